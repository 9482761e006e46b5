"""Quantised layers: values, scales, straight-through gradients, grids."""

import pytest
import torch
from torch.nn import functional as F

from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.semantics import bipolar_planes, bipolar_weight
from s2nn.model.codebook import Codebook, pattern_of
from s2nn.model.layers import BinaryConv2d, BinaryLinear, PlaneConv2d, PlaneLinear, SubBitConv2d, SubBitLinear
from s2nn.model.quantise import from_code, nearest_odd, to_code


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def book(eta=4, **options):
    return Codebook(eta=eta, generator=generator(9), **options)


LAYERS = {
    "binary conv": (lambda: BinaryConv2d(3, 5, generator=generator()), (2, 3, 6, 6)),
    "binary linear": (lambda: BinaryLinear(20, 5, generator=generator()), (2, 20)),
    "sub-bit conv": (lambda: SubBitConv2d(3, 5, codebook=book(), generator=generator()), (2, 3, 6, 6)),
    "sub-bit linear": (lambda: SubBitLinear(20, 5, codebook=book(), generator=generator()), (2, 20)),
    "sub-bit conv before its codebook starts": (
        lambda: SubBitConv2d(3, 5, codebook=book(started=False), generator=generator()), (2, 3, 6, 6)),
    "plane conv": (lambda: PlaneConv2d(3, 5, generator=generator()), (2, 3, 6, 6)),
    "plane linear": (lambda: PlaneLinear(20, 5, generator=generator()), (2, 20)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_forward_multiplies_by_scale_times_integers(name):
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(shape, generator=generator(1))
    weight = layer.integer_weight() * layer.scale()
    expected = F.conv2d(x, weight, padding=1) if weight.dim() == 4 else F.linear(x, weight)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
    assert layer(x).requires_grad


@pytest.mark.parametrize("name", [name for name in LAYERS if "plane" not in name])
def test_scale_is_the_mean_magnitude_of_each_output_channel(name):
    layer = LAYERS[name][0]()
    expected = [row.abs().mean().item() for row in layer.weight]
    assert layer.scale().flatten().tolist() == pytest.approx(expected)
    assert set(layer.integer_weight().flatten().tolist()) == {-1.0, 1.0}


def test_straight_through_gradient_is_cut_where_the_latent_left_the_unit_interval():
    layer = BinaryConv2d(1, 1, generator=generator())
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([-2.0, -1, -0.5, 0, 0.5, 1, 1.0001, 2, 3]).reshape(1, 1, 3, 3))
    layer.quantised_weight().sum().backward()
    passes = [0, 1, 1, 1, 1, 1, 0, 0, 0]
    assert (layer.weight.grad.flatten() / layer.scale().item()).tolist() == pytest.approx(passes)
    layer.clip_latent()
    assert layer.weight.abs().max() == 1


def test_every_sub_bit_kernel_is_a_codeword_and_groups_of_a_linear_layer_are_nine_consecutive_inputs():
    conv = SubBitConv2d(4, 6, codebook=book(), generator=generator())
    allowed = set(pattern_of(conv.codebook.codewords).tolist())
    assert set(pattern_of(conv.integer_weight().reshape(-1, 9)).tolist()) <= allowed
    linear = SubBitLinear(20, 6, codebook=book(), generator=generator())
    codewords = linear.codebook.codewords[linear.indices()].reshape(6, 27)
    assert torch.equal(linear.integer_weight(), codewords[:, :20])
    assert len(linear.indices()) == 6 * 3


@pytest.mark.parametrize(("x", "odd"), [(0.0, 1), (-0.1, -1), (1.0, 1), (1.99, 1), (2.0, 3), (-2.0, -1), (-2.01, -3),
                                        (15.2, 15), (99.0, 15), (-99.0, -15)])
def test_nearest_odd(x, odd):
    assert nearest_odd(torch.tensor(x), 15).item() == odd


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_codes_are_the_planes_of_the_contract(bits):
    limit = 2**bits - 1
    odd = torch.arange(-limit, limit + 1, 2)
    assert torch.equal(from_code(to_code(odd, bits), bits), odd)
    planes = bipolar_planes(odd.numpy(), bits)  # most significant first
    code = sum(planes[k].astype(int) << (bits - 1 - k) for k in range(bits))
    assert code.tolist() == to_code(odd, bits).tolist()
    assert bipolar_weight(planes).tolist() == odd.tolist()


def test_plane_grids_use_their_whole_range():
    conv, linear = PlaneConv2d(2, 4, generator=generator()), PlaneLinear(30, 4, generator=generator(), bits=4)
    assert conv.scale().shape == (4, 1, 1, 1) and linear.scale().numel() == 1
    assert conv.integer_weight().abs().amax(dim=(1, 2, 3)).tolist() == [255] * 4
    assert linear.integer_weight().abs().max() == 15
    assert torch.all(conv.integer_weight() % 2 == 1)
    error = (conv.integer_weight() * conv.scale() - conv.weight).abs() / conv.scale()
    assert error.max() <= 1 + 1e-4  # half a step of the odd grid


@pytest.mark.parametrize("bits", [0, 9])
def test_plane_bits_outside_1_to_8_are_refused(bits):
    with pytest.raises(ConfigError, match=r"must have 1\.\.8 bits"):
        PlaneConv2d(1, 1, generator=generator(), bits=bits)
