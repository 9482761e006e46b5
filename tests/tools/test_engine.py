"""The cycle engine behind the tools: it passes the checks of a simulator, and `s2nn sim` and `s2nn bench` show it."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from s2nn.hw.sim.random_program import random_images
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import TINY
from s2nn.tools import engine
from s2nn.tools.cli import main
from s2nn.tools.engine import EngineSimulator
from s2nn.tools.manifest import describe_export
from s2nn.tools.run import run_comparison
from s2nn.tools.simulation import run_golden
from s2nn.tools.verify import verify_runs

NET = Path(__file__).parents[1] / "tb" / "nets" / "digits-eta4"


@pytest.mark.parametrize("stall_probability", [0.0, 0.3])
def test_the_engine_passes_every_check_of_a_simulator(pair, tmp_path, stall_probability):
    simulator, images = EngineSimulator(stall_probability=stall_probability, seed=2), random_images(8, (1, 6, 6), 3)
    for net in pair:
        image = build_image(net.config, net.program)
        golden = run_golden(net.config, net.program, image, images, addresses=simulator.addresses(net.config, image))
        runs = simulator.run(net.config, net.program, image, images, run_dir=tmp_path, tell=lambda line: None)
        checks = verify_runs(describe_export(net.config, net.program, image), golden, runs)
        assert not [failure for check in checks for failure in check.failures]
        assert all(check.images == 3 for check in checks)


def test_batches_change_nothing(pair, monkeypatch, tmp_path):
    net, images, told = pair[1], random_images(8, (1, 6, 6), 5), []
    image = build_image(net.config, net.program)

    def counters():
        runs = EngineSimulator().run(net.config, net.program, image, images, run_dir=tmp_path, tell=told.append)
        return [run.counters for run in runs]

    at_once = counters()
    monkeypatch.setattr(engine, "_BATCH_IMAGES", 2)
    assert counters() == at_once
    assert [line.split(": ")[1] for line in told] == [f"{n} of 5 images" for n in (5, 2, 4, 5)]


def test_run_takes_the_engine_for_a_simulator(pair, workload, tmp_path):
    result = run_comparison(TINY, pair, workload, EngineSimulator(), folder=tmp_path)
    assert not result.failures
    assert all(net["counters"]["cycles.total"] > 0 for net in result.stats["nets"])


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_sim_counts_cycles_by_layer_in_the_engine(tmp_path):
    assert call("export", NET, "--out", tmp_path).exit_code == 0
    result = call("sim", tmp_path / "digits-eta4", "--level", "engine", "--images", 3, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["level"], len(document["predictions"])) == ("engine", 3)
    for name, value in document["counters"].items():
        assert value == sum(layer["counters"][name] for layer in document["layers"])
    expected = json.loads(call("sim", tmp_path / "digits-eta4", "--images", 3, "--json").stdout)
    assert document["predictions"] == expected["predictions"]
    work = [name for name in expected["counters"] if not name.endswith("_bursts")]  # whose addresses differ
    assert {name: document["counters"][name] for name in work} == {name: expected["counters"][name] for name in work}
    table = call("sim", tmp_path / "digits-eta4", "--level", "engine", "--images", 1).stdout
    assert "modelled (cycle engine)" in table and "load_input" in table


def test_sim_writes_trace_and_layers(tmp_path):
    assert call("export", NET, "--out", tmp_path).exit_code == 0
    trace, layers = tmp_path / "trace.json", tmp_path / "layers.csv"
    files = ["--trace", trace, "--layers", layers]
    assert call("sim", tmp_path / "digits-eta4", "--level", "engine", "--images", 2, *files).exit_code == 0
    assert {event["ph"] for event in json.loads(trace.read_text())["traceEvents"]} == {"M", "X"}
    with layers.open() as lines:
        rows = list(csv.DictReader(lines))
    assert len({row["image"] for row in rows}) == 2
    assert rows[0]["layer"] == "load_input" and int(rows[0]["dram.input_read_bytes"]) == 64
    refused = call("sim", tmp_path / "digits-eta4", "--trace", trace)
    assert refused.exit_code == 1
    assert "level must be engine, not 'functional'" in refused.stderr


def test_bench_measures_the_engine():
    result = call("bench", "engine", "default", "--images", 1, "--repetitions", 1, "--json")
    assert result.exit_code == 0, result.output
    series, = json.loads(result.stdout)["series"]
    assert series["net"] == "default"
    assert 0 < series["skipped"] < series["cycles"]
    assert series["cycles_per_s"] > 0
