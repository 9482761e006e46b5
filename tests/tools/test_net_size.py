"""`s2nn size`: the published Mbit cells, and packed bytes equal to those of a real image."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import ULX3S
from s2nn.hw.spec.image import SectionKind
from s2nn.model.fold import fold
from s2nn.model.lower import lower
from s2nn.model.nets import NetConfig, SpikingNet, named_net
from s2nn.tools.bench_engine import ROOMY
from s2nn.tools.cli import main
from s2nn.tools.net_size import PAPER_RATES, net_size, packed_bytes

# S2NN, arXiv 2509.24266, Tab. 1 (CIFAR-10), Tab. 2 (CIFAR-100) and Tab. 3 (DVS-CIFAR10), column "size".
PUBLISHED = {
    ("resnet19", 10): {"fp32": 400.07, "1-bit": 13.04, "eta6": 8.92, "eta5": 7.55, "eta4": 6.05},
    ("resnet19", 100): {"fp32": 401.55, "1-bit": 14.52, "eta6": 10.40, "eta5": 9.03, "eta4": 7.53},
    ("vggsnn", 10): {"fp32": 296.60, "1-bit": 10.91, "eta6": 7.86, "eta5": 6.85, "eta4": 5.74},
}


def size(*options: str) -> dict:
    result = CliRunner().invoke(main, ["size", *options, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize(("net", "classes"), PUBLISHED)
def test_published_sizes_are_reproduced(net, classes):
    document = size("--net", net, "--classes", str(classes), "--eta", "6")
    cells = {row["format"]: row["paper_mbit"] for row in document["formats"]}
    assert cells == pytest.approx(PUBLISHED[net, classes], abs=0.01)
    assert document["paper_mbit"] == cells["eta6"]


@pytest.mark.parametrize("eta", PAPER_RATES)
def test_the_asked_format_stands_at_the_top(eta):
    document = size("--net", "vggsnn", "--eta", str(eta), "--width", "0.25")
    row = next(row for row in document["formats"] if row["eta"] == eta)
    assert {key: document[key] for key in row} == row
    hidden = document["parameters"]["hidden"]
    assert document["packed"]["codebook"] == 7 * 2 * 2**eta
    assert document["packed"]["index"] > eta / 9 * hidden / 8
    assert document["packed"]["total"] == sum(n for kind, n in document["packed"].items() if kind != "total")


@pytest.mark.parametrize(("name", "pointwise_codebook"), [("sew-resnet19", True), ("sew-resnet19", False),
                                                          ("vgg9", False), ("nmnist", False), ("ms-resnet19", False),
                                                          ("linear", True),
                                                          ("linear", False)])
@pytest.mark.parametrize("eta", [None, 3])
def test_packed_bytes_are_those_of_the_image(name, pointwise_codebook, eta):
    options = {"eta": eta, "pointwise_codebook": pointwise_codebook, "time_steps": 2, "classes": 7}
    net = (NetConfig(input_shape=(1, 8, 8), layers="8C3-MP2-16C3-MP2-20FC-11FC-FC", **options) if name == "linear"
           else named_net(name, width=1 / 4, **options))
    trained = SpikingNet(net, generator=torch.Generator().manual_seed(0))
    config = replace(ROOMY, current_bits=8, spike_words=1 << 14) if net.block == "membrane" else ROOMY
    image = build_image(config, lower(fold(trained), config))
    counted = packed_bytes(net, config)
    assert counted["total"] == len(image.to_bytes())
    for kind in (SectionKind.CODEBOOK, SectionKind.PARAMS, SectionKind.INDEX, SectionKind.DESCRIPTORS):
        key = kind.name.lower()
        assert counted[key] == sum(len(section.data) for section in image.sections if section.kind == kind), key


def test_membrane_shortcuts_cost_parameters_alone():
    one, other = (net_size(named_net(name, width=1 / 8, eta=4), ULX3S, name=name, eta=4)["packed"]
                  for name in ("ms-resnet19", "sew-resnet19"))
    assert {kind for kind in one if one[kind] != other[kind]} == {"params", "total"}
    assert other["params"] < one["params"] < 2 * other["params"]


@pytest.mark.parametrize(("options", "text"), [
    (("--net", "vgg19"), "a net must be one of"), (("--eta", "7"), "eta: must be None"),
    (("--eta", "1"), "eta: must be None"), (("--width", "0"), "width must be positive"),
    (("--config", "big"), "preset must be one of"),
])
def test_bad_options_are_refused(options, text):
    result = CliRunner().invoke(main, ["size", *options, "--json"])
    assert result.exit_code == 1 and text in json.loads(result.stdout)["error"]["text"]


def test_an_eta_outside_the_paper_has_no_paper_size():
    document = size("--net", "default", "--eta", "3")
    assert document["paper_mbit"] is None and document["packed"]["total"] > 0
    assert CliRunner().invoke(main, ["size", "--net", "default", "--eta", "3"]).exit_code == 0
