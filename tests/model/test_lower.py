"""Lowering and the torch integer forward, against loops over the contract's own functions."""

import numpy as np
import pytest
import torch

from s2nn.hw.sim import functional
from s2nn.hw.spec.config import SMALL, ULX3S
from s2nn.hw.spec.errors import DataError, LoweringError
from s2nn.hw.spec.semantics import lif_step
from s2nn.model.evaluate import predict
from s2nn.model.fold import FoldedNet
from s2nn.model.integer import integer_evaluate, integer_forward, integer_predict
from s2nn.model.lower import lower, lower_with_report
from tests.layer_types import LAYER_TYPES


def reference(program, image):
    """One image (C, H, W) through the program with plain loops: ([spikes (T, C, H, W)], logits)."""
    x = np.repeat(image[None].astype(np.int64), program.steps, axis=0)  # (T, C, H, W)
    maps = []
    for layer in program.layers:
        weight = layer.integer_weights()
        c_out, _, ky, kx = weight.shape
        _, height, width = layer.conv_shape
        shift = 0 if layer.image_input or layer.kind == "classify" else program.fraction_bits
        padded = np.pad(x, ((0, 0), (0, 0), (layer.pad, ky), (layer.pad, kx)))
        current = np.zeros((program.steps, c_out, height, width), dtype=np.int64)
        for y in range(height):
            for column in range(width):
                window = padded[:, :, y : y + ky, column : column + kx]
                acc = np.einsum("tcyx,ocyx->to", window, weight)
                signed = np.where(layer.negate, -acc, acc)
                current[:, :, y, column] = signed * 2**shift + layer.bias * 2**layer.param_shift
        if layer.kind == "classify":
            return maps, current.sum(axis=0)[:, 0, 0]
        v, spikes = np.zeros(current.shape[1:], dtype=np.int64), []
        theta = (layer.threshold * 2**layer.param_shift)[:, None, None]
        for c in current:
            v, s = lif_step(v, c, theta=theta, leak_factor=layer.leak, leak_bits=program.leak_bits,
                            soft_reset=layer.soft_reset)
            spikes.append(s)
        x = np.stack(spikes).astype(np.int64)
        if layer.pool:
            x = np.maximum.reduce([x[:, :, i : 2 * (x.shape[2] // 2) : 2, j : 2 * (x.shape[3] // 2) : 2]
                                   for i in (0, 1) for j in (0, 1)])
        maps.append(x.astype(bool))
    raise AssertionError


@pytest.mark.parametrize("eta", [None, 4, 6])
@pytest.mark.parametrize("hard_reset", [True, False])
@pytest.mark.parametrize(("shape", "steps", "tau"), [((1, 8, 8), 4, 0.5), ((2, 9, 7), 6, 0.75), ((1, 10, 10), 1, 0.0)])
def test_integer_forward_equals_loops_over_the_contract(tiny_net_config, folded_net, change, eta, hard_reset, shape,
                                                        steps, tau):
    config = change(tiny_net_config, eta=eta, hard_reset=hard_reset, input_shape=shape, time_steps=steps, tau=tau)
    program = lower(folded_net(config, 6), ULX3S)
    images = torch.randint(0, 256, (2, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    result = integer_forward(program, images)
    fired = []
    for b in range(2):
        maps, logits = reference(program, images[b].numpy())
        assert result.logits[b].tolist() == logits.tolist()
        for spikes, expected in zip(result.spikes, maps, strict=True):
            assert np.array_equal(spikes[:, b].numpy(), expected)
            fired.append(expected.mean())
    assert max(fired) > 0.02


@pytest.mark.parametrize("name", LAYER_TYPES)
def test_every_layer_type_is_the_golden_models(name):
    program, inputs = LAYER_TYPES[name].program(9), LAYER_TYPES[name].inputs(9, 3)
    golden, result = functional.run(program, inputs), integer_forward(program, torch.from_numpy(inputs))
    for layer, spikes, membranes in zip(golden.layers, result.spikes, result.membranes, strict=True):
        assert np.array_equal(spikes.transpose(0, 1).numpy(), layer.spikes), layer.name
        assert np.array_equal(membranes.numpy(), layer.membrane), layer.name
        assert (layer.kept is not None) == (layer.name in result.kept)
        if layer.kept is not None:
            assert np.array_equal(result.kept[layer.name].transpose(0, 1).numpy(), layer.kept), layer.name
    assert result.logits.tolist() == golden.logits.tolist()


@pytest.mark.parametrize("eta", [None, 3])
@pytest.mark.parametrize("hard_reset", [True, False])
def test_integers_stay_close_to_the_floats(tiny_net_config, folded_net, change, eta, hard_reset):
    net = folded_net(change(tiny_net_config, eta=eta, hard_reset=hard_reset), 7)
    images = torch.randint(0, 256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    program = lower(net, ULX3S)
    result = integer_forward(program, images)
    for floats, integers, share in zip(net.spikes(images), result.spikes, (0.005, 0.05, 0.1), strict=True):
        assert (floats.bool() != integers).float().mean() < share
    # The random classifier magnifies single spikes, a trained one does not; what must hold is that both tell the same.
    logits = torch.stack((net(images), result.logits * program.layers[-1].logit_scale)).flatten(1)
    assert torch.corrcoef(logits)[0, 1] > 0.9
    assert (predict(net, images) == integer_predict(program, images)).float().mean() > 0.7
    assert integer_evaluate(program, images, integer_predict(program, images)) == 1.0


def test_without_leak_and_bias_the_first_layer_is_exact(tiny_net_config, folded_net, change):
    """theta*unit rounds by at most half a unit of param_shift; spikes differ only within that distance."""
    net = folded_net(change(tiny_net_config, tau=0.0), 8)
    images = torch.randint(0, 256, (20, 1, 8, 8), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    floats, integers = net.spikes(images)[0], integer_forward(lower(net, ULX3S), images).spikes[0]
    assert (floats.bool() != integers).float().mean() < 1e-3


def test_a_binary_configuration_gets_the_same_net_as_raw_groups(tiny_net_config, folded_net):
    net = folded_net(tiny_net_config, 9)
    coded, raw = lower(net, ULX3S), lower(net, ULX3S.as_binary())
    assert [layer.weights.symbol_bits for layer in coded.layers] == [9, 3, 3, 9]
    assert [layer.weights.symbol_bits for layer in raw.layers] == [9, 9, 9, 9]
    for a, b in zip(coded.layers, raw.layers, strict=True):
        assert np.array_equal(a.integer_weights(), b.integer_weights()) and np.array_equal(a.threshold, b.threshold)


def test_negative_gain_negates_the_channel_and_report_says_what_was_needed(tiny_net_config, folded_net):
    net = folded_net(tiny_net_config, 10)
    lowered = lower_with_report(net, ULX3S)
    for layer, folded, entry in zip(lowered.program.layers[:-1], net.layers, lowered.report, strict=False):
        assert layer.negate.tolist() == (folded.gain < 0).tolist()
        assert entry.negated_channels == int(layer.negate.sum()) and entry.capped_channels == 0
        assert entry.membrane_bits <= ULX3S.membrane_bits and entry.accumulator_bits <= ULX3S.accumulator_bits
    assert sum(entry.negated_channels for entry in lowered.report) > 0


def with_gain(net: FoldedNet, number: int, channel: int, gain: float, change) -> FoldedNet:
    layers = list(net.layers)
    gains = layers[number].gain.clone()
    gains[channel] = gain
    layers[number] = change(layers[number], gain=gains)
    return FoldedNet(net.config, layers)


@pytest.mark.parametrize("gain", [0.0, 1e-30, 1e-7])
def test_a_channel_that_hardly_hears_its_input_is_capped_and_fires_by_its_bias(tiny_net_config, folded_net, change,
                                                                                gain):
    net = with_gain(folded_net(tiny_net_config, 11), 1, 2, gain, change)
    lowered = lower_with_report(net, ULX3S)
    assert lowered.report[1].capped_channels == 1
    layer, folded = lowered.program.layers[1], net.layers[1]
    assert layer.bias[2] / layer.threshold[2] == pytest.approx(float(folded.bias[2]) / folded.theta, rel=1e-3, abs=1e-4)


def test_membranes_that_could_overflow_are_refused(tiny_net_config, folded_net, change):
    net = folded_net(tiny_net_config, 12)
    with pytest.raises(LoweringError, match=r"conv0: .*membrane must fit 20 bits"):
        lower(net, SMALL)
    narrow = change(ULX3S, membrane_bits=21)
    quiet = with_gain(net, 0, 0, 1e-6, change)
    with pytest.raises(LoweringError, match="layer conv0: threshold and bias of a channel must fit"):
        lower(quiet, narrow)


def test_a_net_that_the_buffers_cannot_hold_is_refused(tiny_net_config, folded_net, change):
    with pytest.raises(LoweringError, match="spike_words"):
        lower(folded_net(tiny_net_config, 12), change(ULX3S, spike_words=8))
    with pytest.raises(LoweringError, match="tau must be a multiple of 1/2"):
        lower(folded_net(change(tiny_net_config, tau=0.75), 12), change(ULX3S, leak_bits=1))


def test_images_of_another_type_or_shape_are_refused(tiny_net_config, folded_net):
    program = lower(folded_net(tiny_net_config, 12), ULX3S)
    good = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    for images in (good.float(), torch.zeros(1, 1, 8, 9, dtype=torch.uint8), good[:0]):
        with pytest.raises(DataError, match="inputs must be uint8"):
            integer_forward(program, images)
