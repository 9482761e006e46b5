"""`s2nn bench neurons` on stand-ins for the other packages: what it compares, counts and refuses."""

import json
import sys

import pytest
import torch
from typer.testing import CliRunner

from s2nn.hw.spec.errors import ConfigError, SimulationError, ToolError
from s2nn.model.neurons import LIF
from s2nn.tools import bench_neurons as bench
from s2nn.tools import neuron_peers
from s2nn.tools.cli import main

OPTIONS = {"steps": [2], "shape": [3, 4], "repetitions": 2, "threads": 1, "device": "cpu", "seed": 1,
           "compiled_peers": False}


def stand_ins(monkeypatch, **peers):
    """Eager neurons of ours in the place of everything; `peers` are others."""
    names = (*bench.OURS, "SpikingJelly", "snnTorch")
    neurons = {name: LIF() for name in names} | {name.replace("_", " "): peer for name, peer in peers.items()}
    monkeypatch.setattr(bench, "_neurons", lambda compiled_peers: neurons)


def test_times_ratios_and_agreement_are_reported(monkeypatch):
    stand_ins(monkeypatch)
    result = bench.bench_neurons(**OPTIONS)
    assert [(one["steps"], one["pass"]) for one in result["ratios"]] == [(2, which) for which in bench.PASSES]
    assert all(len(one["seconds"]) == 2 for one in result["series"]) and len(result["series"]) == 8
    spent = {one["neuron"]: one["median_s"] for one in result["series"] if one["pass"] == bench.PASSES[0]}
    expected = min(spent["SpikingJelly"], spent["snnTorch"]) / spent[bench.OURS[0]]
    assert result["ratios"][0]["eager_to_peers"] == pytest.approx(expected)
    assert set(result["agreement"][0]["gradient_differences"].values()) == {0.0}
    assert json.dumps(result)
    assert [table.row_count for table in bench.bench_tables(result)] == [2, 2]


@pytest.mark.parametrize(("peer", "text"), [
    (LIF(theta=0.2), r"snnTorch: spikes must be equal .* not '[1-9]\d* spikes"),
    (LIF(surrogate_name="sigmoid"), r"snnTorch: spikes must be equal .* not '0 spikes, .*e-01'"),
])
def test_a_neuron_that_computes_something_else_is_refused(monkeypatch, peer, text):
    stand_ins(monkeypatch, snnTorch=peer)
    with pytest.raises(SimulationError, match=text):
        bench.bench_neurons(**OPTIONS)


def test_neurons_that_meet_the_threshold_are_left_out(monkeypatch):
    class Above(LIF):
        """Fires above the threshold only."""

        def forward(self, x):
            return super().forward(torch.where(x == 1, x - 1e-6, x))

    stand_ins(monkeypatch, snnTorch=Above())
    x = torch.tensor([[[1.0, 1.5, 0.2]]])
    agreement = bench._agreement(bench._neurons(False), x, torch.ones_like(x))
    assert agreement["neurons_at_threshold"] == 1 and agreement["spikes"] == 2


def test_a_missing_package_is_named_with_its_installation(monkeypatch):
    monkeypatch.setitem(sys.modules, "spikingjelly.activation_based.neuron", None)
    with pytest.raises(ToolError, match=r"spikingjelly: must be installed to be measured: pip install 's2nn\[bench\]'"):
        neuron_peers.spikingjelly_lif()
    result = CliRunner().invoke(main, ["bench", "neurons", "--json"])
    assert result.exit_code == 1 and json.loads(result.stdout)["error"]["type"] == "ToolError"


@pytest.mark.parametrize("text", ["", "4,x", "4,0", "-1"])
def test_bad_shapes_are_refused(text):
    with pytest.raises(ConfigError, match="shape: must be sizes"):
        bench.parse_shape(text)
