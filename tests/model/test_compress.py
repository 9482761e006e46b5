"""compress_: which layers of a foreign net change, into what, and that the rest of the net does not notice."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.codebook import pattern_of
from s2nn.model.compress import S2NNConfig, begin_step, compress_, end_step
from s2nn.model.grouping import group_inputs, group_taps
from s2nn.model.layers import BinaryConv2d, SubBitConv2d
from s2nn.model.neurons import LIF
from s2nn.model.os_quant import Assignment


class Foreign(nn.Module):
    """A net that knows nothing of s2nn's layers: one call per time step, strides, groups, biases, odd kernels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.features = nn.Sequential(nn.Conv2d(6, 12, 3, stride=2, padding=1, groups=2),
                                      nn.Conv2d(12, 10, 5, padding=2), nn.Conv2d(10, 11, 1, bias=False))
        self.hidden = nn.Linear(11 * 16, 20)
        self.head = nn.Linear(20, 3)
        self.lif = LIF()

    def forward(self, x):
        currents = torch.stack([self.features(self.stem(x)) for _ in range(2)])
        return self.head(torch.relu(self.hidden(self.lif(currents).mean(dim=0).flatten(1))))


def run(net):
    return net(torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)))


def test_it_swaps_all_but_the_ends_and_reports_names_etas_and_bits():
    net = Foreign()
    report = compress_(net, S2NNConfig(eta=4, etas={r"features\.1": 3}))
    assert [(layer.name, layer.kind, layer.eta, layer.bits) for layer in report.swapped] == [
        ("features.0", "Conv2d", 4, 12 * 3 * 4 + 16 * 9),
        ("features.1", "Conv2d", 3, 10 * 12 * 4 * 3 + 8 * 9),  # 5x5: four groups a kernel
        ("features.2", "Conv2d", None, 110), ("hidden", "Linear", None, 11 * 16 * 20)]
    assert report.kept == ("stem", "head")
    assert report.as_dict()["swapped"][2]["bits_per_weight"] == 1
    assert "features.1: Conv2d [10, 12, 5, 5], eta 3" in str(report)
    for name, group, count in (("features.0", group_taps, 16), ("features.1", group_taps, 8)):
        layer = net.get_submodule(name)
        latent = layer.parametrizations.weight.original
        alpha = latent.detach().abs().mean(dim=(1, 2, 3), keepdim=True)
        signs = layer.weight.detach() / alpha
        torch.testing.assert_close(signs.abs(), torch.ones_like(signs))
        book = layer.parametrizations.weight[0].codebook
        assert len(book.codewords) == count
        if name == "features.0":
            assert set(pattern_of(group(signs)).tolist()) <= set(pattern_of(book.codewords).tolist())
    assert len(net.hidden.weight.abs().unique(dim=1)[0]) == 1


def test_linear_and_pointwise_layers_take_groups_of_nine_inputs_when_asked():
    net = Foreign()
    report = compress_(net, S2NNConfig(eta=2, group_inputs=True))
    bits = {layer.name: layer.bits for layer in report.swapped}
    assert bits["features.2"] == 11 * 2 * 2 + 4 * 9 and bits["hidden"] == 20 * 20 * 2 + 4 * 9
    weight = net.features[2].weight.detach()
    groups = group_inputs(weight)[::2]  # the first nine of ten inputs; the second group is mostly idle
    book = net.features[2].parametrizations.weight[0].codebook
    assert set(pattern_of(groups).tolist()) <= set(pattern_of(book.codewords).tolist())


def test_values_are_those_of_our_own_layers():
    generator = torch.Generator().manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(4, 5, 3, padding=1, bias=False), nn.Conv2d(5, 5, 3, padding=1, bias=False))
    x = torch.randn(2, 4, 6, 6, generator=generator)
    compress_(plain, S2NNConfig(keep_ends=False, etas={"1": None}))
    book = plain[0].parametrizations.weight[0].codebook
    ours = nn.Sequential(SubBitConv2d(4, 5, codebook=book, generator=generator),
                         BinaryConv2d(5, 5, generator=generator))
    for mine, theirs in zip(ours, plain, strict=True):
        mine.weight.data.copy_(theirs.parametrizations.weight.original)
    weight = torch.randn(2, 5, 6, 6, generator=generator)
    for net in (ours, plain):
        (net(x) * weight).sum().backward()
    torch.testing.assert_close(ours(x), plain(x))
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine.weight.grad, theirs.parametrizations.weight.original.grad)


def test_a_compressed_net_trains_with_an_optimiser_made_before():
    net = Foreign()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    compress_(net, S2NNConfig(eta=3, period=2, assignment=Assignment(rule="os_quant"), group_inputs=True))
    latents = [p for name, p in net.named_parameters() if name.endswith("codebook.latent")]
    optimiser.add_param_group({"params": latents, "lr": 0.1})
    generator, labels, losses = torch.Generator().manual_seed(0), torch.tensor([0, 1, 2, 0]), []
    codewords = net.features[0].parametrizations.weight[0].codebook.codewords.clone()
    net.features[0].parametrizations.weight.original.data[0, 0, 0, 0] = 1.5
    for step in range(30):
        begin_step(net, step)
        with parametrize.cached():
            loss = F.cross_entropy(run(net), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        end_step(net, generator)
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert net.features[0].parametrizations.weight.original.abs().max() <= 1
    assert not torch.equal(net.features[0].parametrizations.weight[0].codebook.codewords, codewords)


def test_the_state_and_a_baked_net_give_the_same_outputs():
    net, other = Foreign(), Foreign()
    for part in (net, other):
        compress_(part, S2NNConfig(eta=2))
    net.features[0].parametrizations.weight[0].codebook.set_codewords(torch.ones(4, 9))
    expected = run(net)
    other.load_state_dict(net.state_dict())
    assert torch.equal(run(other), expected) and torch.equal(run(copy.deepcopy(net)), expected)
    for layer in (*net.features, net.hidden):
        parametrize.remove_parametrizations(layer, "weight")
    assert torch.equal(run(net), expected) and type(net.hidden) is nn.Linear


class MultiStepConv2d(nn.Conv2d):
    """As other SNN libraries wrap it: [T, N, C, H, W], with a forward of its own."""

    def forward(self, x):
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def test_a_subclass_keeps_its_own_forward():
    net = nn.Sequential(MultiStepConv2d(2, 4, 3, stride=2, padding=1, bias=False))
    compress_(net, S2NNConfig(eta=3, keep_ends=False))
    x = torch.randn(3, 2, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([F.conv2d(step, net[0].weight, stride=2, padding=1) for step in x])
    assert isinstance(net[0], MultiStepConv2d)
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize(("options", "swapped"), [
    ({"targets": [r"features\..*"]}, ["features.0", "features.1", "features.2"]),
    ({"targets": [r"features\.[01]", "head"], "keep_ends": False}, ["features.0", "features.1", "head"]),
    ({"ignore": [r".*\.1", "hidden"]}, ["features.0", "features.2"]),
    ({"targets": ["stem"]}, [])])
def test_expressions_choose_layers(options, swapped):
    report = compress_(Foreign(), S2NNConfig(**options))
    assert [layer.name for layer in report.swapped] == swapped


def test_a_filter_is_asked_about_name_and_layer():
    report = compress_(Foreign(), S2NNConfig(), lambda name, layer: isinstance(layer, nn.Linear))
    assert [layer.name for layer in report.swapped] == ["hidden"]


@pytest.mark.parametrize(("options", "text"), [
    ({"targets": ["featurs"]}, r"targets: must match one of stem, features\.0, .*not 'featurs'"),
    ({"ignore": ["x"]}, "ignore: must match"), ({"etas": {"conv9": 3}}, "etas: must match"),
    ({"etas": {"features.*": 3, ".*0": 4}}, r"etas: at most one expression may match layer features\.0"),
    ({"targets": ["("]}, "targets: must be a regular expression"), ({"eta": 7}, "eta: must be None"),
    ({"etas": {"hidden": 1}}, r"etas\.hidden: must be None \(1-bit\) or one of 2, 3, 4, 5, 6, not 1")])
def test_bad_requests_are_refused_and_leave_the_net_alone(options, text):
    net = Foreign()
    with pytest.raises(ConfigError, match=text):
        compress_(net, S2NNConfig(**options))
    assert not any(parametrize.is_parametrized(module) for module in net.modules())


def test_a_net_is_compressed_once():
    net = Foreign()
    compress_(net, S2NNConfig())
    with pytest.raises(ConfigError, match=r"features\.0: its weight must not be parametrised already"):
        compress_(net, S2NNConfig())
