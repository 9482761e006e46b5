"""The named nets: shapes and sizes, and that each trains, folds, packs and lowers to what the golden model computes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from s2nn.hw.sim import functional
from s2nn.hw.sim.net_catalogue import net_shape
from s2nn.hw.spec.config import ULX3S
from s2nn.hw.spec.errors import ConfigError, LoweringError
from s2nn.hw.spec.program import PoolOp, ResidualOp
from s2nn.hw.spec.weights import Grouping
from s2nn.model.checkpoint import load_checkpoint, save_checkpoint
from s2nn.model.fold import fold
from s2nn.model.integer import integer_forward
from s2nn.model.lower import lower
from s2nn.model.nets import NET_NAMES, NetConfig, SpikingNet, named_net
from s2nn.model.nets.stages import map_peaks
from s2nn.model.nets.zoo import NETS, widen
from s2nn.model.recipe import Recipe
from tests.model.conftest import make_folded, random_inputs, random_net

# Sizes at which a net still has all its layers and takes a fraction of a second.
SMALL_INPUTS = {"vgg9": (3, 8, 8), "vgg16": (3, 32, 32), "vggsnn": (2, 16, 16), "ms-resnet19": (3, 8, 8),
                "sew-resnet19": (3, 8, 8), "s2nn-scnn": (3, 6, 6), "spoken-digits": (1, 8, 16), "nmnist": (2, 9, 9),
                "default": (1, 8, 8)}
#: Built for membrane shortcuts too.
SHORTCUTS = replace(ULX3S, current_bits=8)


def small_net(name: str, **changes) -> NetConfig:
    return named_net(name, **{"width": 1 / 16, "input_shape": SMALL_INPUTS[name], "time_steps": 3, "eta": 3,
                              "classes": 5, **changes})


@pytest.mark.parametrize(("name", "hidden", "first", "head", "batch_norm"), [
    # S2NN, arXiv 2509.24266: what the sizes of its Tab. 1 to 3 are made of.
    ("vggsnn", 9_216_000, 1_152, 46_090, 5_504),
    ("resnet19", 12_312_576 + 172_032, 1_728, 5_130, 10_624),
    ("sew-resnet19", 12_312_576 + 172_032, 1_728, 5_130, 10_624),
    # its Tab. 11: kernels of the six layers, nine weights each; the encoding layer is ours
    ("s2nn-scnn", 9 * (64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 2 * 256 * 256), 1_728, 2_570, 2_304),
])
def test_published_nets_have_their_published_sizes(name, hidden, first, head, batch_norm):
    config = named_net(name)
    stages = config.stages()
    assert sum(stage.num_weights for stage in stages[1:]) == hidden
    assert stages[0].num_weights == first
    assert (config.classifier_inputs + 1) * config.classes == head
    assert 2 * sum(stage.out_channels for stage in stages) == batch_norm


@pytest.mark.parametrize(("name", "shape"), [("default", "default"), ("vgg16", "vgg16"), ("resnet19", "resnet19")])
def test_traffic_is_modelled_for_the_same_nets(name, shape):
    config, modelled = named_net(name), net_shape(shape)
    layers = {(layer.c_in, layer.c_out, layer.height, layer.kernel, layer.stride, layer.pool)
              for layer in modelled.layers[:-1]}
    assert {(stage.in_channels, stage.out_channels, stage.height, stage.kernel, stage.stride, stage.pool)
            for stage in config.stages()} == layers
    assert len(config.stages()) == len(modelled.layers) - 1
    assert config.classifier_inputs * config.classes == modelled.layers[-1].num_weights


def test_a_residual_net_is_the_published_one():
    stages = named_net("sew-resnet19").stages()
    shortcuts = [stage for stage in stages if stage.kernel == 1]
    sizes = [(stage.in_channels, stage.out_channels, stage.stride) for stage in shortcuts]
    assert sizes == [(64, 128, 1), (128, 256, 2), (256, 512, 2)]
    joined = [stage for stage in stages if stage.residual is not None]
    assert len(joined) == 8 and all(stage.residual_op is ResidualOp.ADD for stage in joined)
    assert stages[-1].out_shape == (512, 8, 8)
    peaks = map_peaks(stages, spike_input=False)
    assert [peaks[stage.name] for stage in joined] == [2, 3, 4, 2, 3, 4, 2, 3]
    membrane = named_net("resnet19").stages()
    assert [s.name for s in membrane if not s.fires] == [s.name for s in shortcuts]
    assert [s.membrane for s in membrane if s.membrane] == [s.residual for s in joined]


@pytest.mark.parametrize(("change", "text"), [
    ({"layers": "64B-FC"}, "a residual block must follow a convolution"),
    ({"layers": "8C1-FC"}, "first convolution must be 3x3"),
    ({"layers": "8C3-8B-MP2-FC"}, "MP2 must follow a convolution"),
    ({"layers": "8C3-GAP-8C3-FC"}, "must read .* not 'GAP'"),
    ({"layers": "GAP-FC"}, "at least one convolution"),
    ({"layers": "8C3-AP2-8B-FC"}, "behind AP2"),
    ({"layers": "8C3-MP2-8B-FC", "block": "membrane"}, "membrane block behind any pool"),
    ({"block": "dense"}, "block must be one of sew-add, sew-iand, membrane"),
])
def test_bad_residual_nets_are_refused(change, text):
    with pytest.raises(ConfigError, match=text):
        NetConfig(**change)


def test_unknown_nets_and_widths_are_refused():
    with pytest.raises(ConfigError, match=r"a net must be one of default, .*resnet19, not 'vgg10'"):
        named_net("vgg10")
    with pytest.raises(ConfigError, match="width must be positive"):
        named_net("vgg9", width=0)
    assert widen("64C3S2-6B-FC", 0.25) == "16C3S2-2B-FC"
    assert set(NET_NAMES) >= set(NETS)


def test_a_description_holds_what_differs_from_the_first_version():
    assert set(NetConfig().as_dict()) == {"input_shape", "layers", "classes", "time_steps", "eta", "tau", "theta",
                                          "hard_reset", "plane_bits"}
    assert named_net("vggsnn").as_dict()["spike_input"] is True
    assert named_net("resnet19").as_dict()["block"] == "membrane"


@pytest.mark.parametrize("name", NETS)
def test_every_net_learns_a_batch(name):
    generator = torch.Generator().manual_seed(3)
    config = small_net(name)
    net = SpikingNet(config, generator=generator)
    inputs, labels = random_inputs(config, 10, generator=generator), torch.arange(10) % 5
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(net(inputs), labels)
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimiser.step()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in net.parameters()
               if p.requires_grad and p.shape != (2**3, 9))
    assert min(losses[-5:]) < 0.95 * losses[0], losses


@pytest.mark.parametrize("block", ["sew-add", "sew-iand", "membrane"])
@pytest.mark.parametrize("layers", ["8C3-AP2-8C3-8B-12BS2-12B-GAP-FC", "8C3-MP2-6BS2-5C1S2-FC"])
@pytest.mark.parametrize("spike_input", [True, False])
def test_folding_changes_nothing(block, layers, spike_input):
    config = NetConfig(input_shape=(2, 12, 10), layers=layers, block=block, spike_input=spike_input, time_steps=3,
                       classes=4, eta=3, pointwise_codebook=True)
    net = random_net(config, 5).double().eval()
    inputs = random_inputs(config, 20, generator=torch.Generator().manual_seed(1))
    # float32 folding may move a membrane across its threshold, rarely
    same = (net(inputs) - fold(net)(inputs)).abs().amax(dim=1) < 1e-4
    assert same.float().mean() >= 0.8


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("eta", "pointwise_codebook"), [(None, False), (3, False), (4, True)])
def test_integers_are_the_golden_models(name, eta, pointwise_codebook):
    config = small_net(name, eta=eta, pointwise_codebook=pointwise_codebook)
    net = make_folded(config, 7, least_gain=0.3)  # a gain near 0 would be capped, see test_lower
    program = lower(net, SHORTCUTS if config.block == "membrane" else ULX3S, name=name)
    inputs = random_inputs(config, 3, generator=torch.Generator().manual_seed(2))
    result, golden = integer_forward(program, inputs), functional.run(program, inputs.numpy())
    for layer, spikes in zip(golden.layers, result.spikes, strict=True):
        assert np.array_equal(layer.spikes, spikes.transpose(0, 1).numpy()), layer.name
        if layer.kept is not None:
            assert np.array_equal(layer.kept, result.kept[layer.name].transpose(0, 1).numpy()), layer.name
    assert np.array_equal(golden.logits, result.logits.numpy())
    assert 0.01 < golden.layers[-1].spikes.mean() < 3.5
    # the float net and its integers agree but for roundings at the threshold, which spread from layer to layer
    fired = [spikes for spikes, stage in zip(result.spikes, config.stages(), strict=True) if stage.fires]
    agree = torch.stack([(maps.long() == spikes.long()).double().mean()
                         for maps, spikes in zip(net.spikes(inputs), fired, strict=True)])
    assert agree[0] > 0.97 and agree[1] > 0.9 and agree.mean() > 0.75, agree


def test_program_of_a_residual_net_has_the_hardwares_forms():
    config = small_net("sew-resnet19", block="sew-iand", pointwise_codebook=True)
    program = lower(make_folded(config, 8), ULX3S)
    shortcut = next(layer for layer in program.layers if layer.kernel == (1, 1))
    assert shortcut.grouping is Grouping.INPUTS and shortcut.weights.symbol_bits == 3
    assert [layer.residual_op for layer in program.layers if layer.residual] == [ResidualOp.IAND] * 8
    head = program.layers[-1]
    assert head.shared_taps and head.kernel == (2, 2)
    pooled = lower(make_folded(small_net("vggsnn"), 8), ULX3S)
    assert pooled.spike_input and [layer.pool_op for layer in pooled.layers if layer.pool] == [PoolOp.SUM] * 4


def test_a_membrane_shortcut_needs_a_configuration_with_them():
    net = make_folded(small_net("ms-resnet19"), 9)
    with pytest.raises(LoweringError, match=r"net: current_bits: .* built for membrane shortcuts .*, not 0"):
        lower(net, ULX3S)


def test_shortcuts_of_ms_resnet_have_the_hardwares_forms():
    config = small_net("ms-resnet19")
    program = lower(make_folded(config, 9), SHORTCUTS)
    stages = config.stages()
    assert [layer.residual for layer in program.layers[:-1]] == [stage.membrane for stage in stages]
    assert all(layer.adds_current for layer in program.layers if layer.residual is not None)
    kept = {stage.membrane for stage in stages} - {None}
    assert {layer.name for layer in program.layers if layer.keep_shift is not None} == kept
    # Mantissas use their range; a convolution that only feeds a shortcut never fires.
    gains = [layer.gain for layer in program.layers if layer.gain is not None]
    assert len(gains) == 8 and all(gain.max() >= 1 << 11 for gain in gains)
    inputs = random_inputs(config, 4, generator=torch.Generator().manual_seed(2)).numpy()
    result = functional.run(program, inputs)
    silent = [layer.spikes.sum() for layer, stage in zip(result.layers, stages, strict=True) if not stage.fires]
    assert silent == [0, 0, 0]


def test_a_kept_current_errs_by_half_a_step():
    """Of conv2, a convolution that feeds a shortcut: integers and floats see the same spikes of conv0."""
    net = make_folded(small_net("ms-resnet19", input_shape=(3, 8, 8)), 9, least_gain=0.3)
    program, inputs = lower(net, SHORTCUTS), random_inputs(net.config, 8, generator=torch.Generator().manual_seed(2))
    result, layer, folded = functional.run(program, inputs.numpy()), program.layers[2], net.layers[2]
    spikes = net.spikes(inputs)[0].transpose(0, 1).numpy()  # (B, T, C, H, W)
    assert np.array_equal(spikes, result.layers[0].spikes)
    sums = np.einsum("oc,btchw->btohw", folded.weight.numpy()[:, :, 0, 0], spikes)
    gain, bias = (values.double().numpy()[:, None, None] for values in (folded.gain, folded.bias))
    step = 2.0**layer.keep_shift[:, None, None] * np.abs(gain) / 2**SHORTCUTS.fraction_bits
    kept = result.layers[2].kept
    unclamped = np.abs(kept) < 127
    error = np.abs(kept * step - (gain * sums + bias))[unclamped] / np.broadcast_to(step, kept.shape)[unclamped]
    assert unclamped.mean() > 0.99
    assert error.max() < 0.5 + 0.3  # the bias is rounded too: half a unit in 2 or more to a step
    assert np.abs(kept).max() > 20


def test_more_bits_of_kept_currents_stay_closer_to_the_floats():
    config = small_net("ms-resnet19", layers="8C3-8B-8B-8B-GAP-FC")
    net = make_folded(config, 7, least_gain=0.3)
    inputs = random_inputs(config, 12, generator=torch.Generator().manual_seed(2))
    agree, related = {}, {}
    for bits in (4, 8):
        program = lower(net, replace(SHORTCUTS, current_bits=bits))
        result = integer_forward(program, inputs)
        logits = torch.stack((net(inputs), result.logits * program.layers[-1].logit_scale)).flatten(1)
        related[bits] = torch.corrcoef(logits)[0, 1]
        agree[bits] = (net.spikes(inputs)[-1].long() == result.spikes[-1].long()).double().mean()  # behind three blocks
    assert agree[8] > 0.92 and related[8] > 0.99
    assert 0.8 < agree[4] < agree[8] and related[4] < related[8]


@pytest.mark.parametrize("name", ["ms-resnet19", "sew-resnet19", "vggsnn"])
@pytest.mark.parametrize("pointwise_codebook", [True, False])
def test_checkpoints_hold_every_net(tmp_path, name, pointwise_codebook):
    net = make_folded(small_net(name, pointwise_codebook=pointwise_codebook), 4)
    save_checkpoint(tmp_path / "net", net, recipe=Recipe(net=net.config), test_accuracy=0.5, test_images=1, split="-")
    loaded = load_checkpoint(tmp_path / "net").net
    assert loaded.config == net.config
    inputs = random_inputs(net.config, 4, generator=torch.Generator().manual_seed(2))
    assert torch.equal(net(inputs), loaded(inputs))
    for one, other in zip(net.layers, loaded.layers, strict=True):
        assert torch.equal(one.weight, other.weight) and (one.tau, one.theta) == (other.tau, other.theta)
        for kept, stored in ((one.current_mean, other.current_mean), (one.current_spread, other.current_spread)):
            assert kept is stored is None or torch.equal(kept, stored)
