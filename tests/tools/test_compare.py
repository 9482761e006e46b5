"""The grid: what its cells hold, that they add up, that the model meets what was measured, and what is refused."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from s2nn.hw.sim.energy_table import load_table
from s2nn.hw.sim.traffic import STREAMS
from s2nn.hw.spec.config import TINY, ULX3S
from s2nn.hw.spec.errors import ConfigError, LoweringError, SimulationError
from s2nn.tools.cli import main
from s2nn.tools.compare import MEASURED, MODELLED, Grid, energy_by_source, read_compare, run_compare, write_compare
from s2nn.tools.compare_plots import draw_compare
from s2nn.tools.compare_tables import compare_tables
from s2nn.tools.lowering import DEFAULT_PAIR, load_workload, lower_checkpoint
from s2nn.tools.net_statistics import PUBLISHED_KERNEL_BITS, kernel_entropy_bits, net_statistics
from s2nn.tools.pricing import price_document
from s2nn.tools.run import run_comparison

GRID = Grid(nets=("default", "vgg16"), schedules=("once_chip", "once_dram"), etas=(4, 6), config=ULX3S, images=2)


@pytest.fixture(scope="module")
def stats(stand_in, tmp_path_factory):
    """A run of the shipped nets on the stand-in for the RTL."""
    nets = [lower_checkpoint(name, ULX3S) for name in DEFAULT_PAIR]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2nn.tools.run.draw_plots", lambda stats, folder: [])
        return run_comparison(ULX3S, nets, load_workload("mnist5k", 2), stand_in(),
                              folder=tmp_path_factory.mktemp("run")).stats


@pytest.fixture(scope="module")
def document(stats):
    return run_compare(GRID, measured=stats)


def cell(document, *place):
    return next(c for c in document["cells"] if (c["net"], c["schedule"], c["storage"], c["origin"]) == place)


def test_the_grid_has_every_cell_with_its_baseline(document):
    places = [(c["net"], c["schedule"], c["storage"]) for c in document["cells"] if c["origin"] == MODELLED]
    assert places == [(net, plan, storage) for net in GRID.nets for plan in GRID.schedules
                      for storage in ("packed", "entropy", "eta4", "eta6")]
    assert {c["baseline"] for c in document["cells"]} == {"packed"}
    assert [c["storage"] for c in document["cells"] if c["is_bound"]] == ["entropy"] * 4
    for one in document["cells"]:
        base = cell(document, one["net"], one["schedule"], "packed", one["origin"])
        assert one["ratios"]["all_stream_bytes"] == base["all_stream_bytes"] / one["all_stream_bytes"]
        assert one["ratios"]["energy"] == pytest.approx(base["energy_pj"]["datasheet"]["total_pj"]
                                                        / one["energy_pj"]["datasheet"]["total_pj"])


def test_the_parts_of_a_cell_add_up(document):
    for one in document["cells"]:
        assert list(one["stream_bytes"]) == list(STREAMS)
        assert one["all_stream_bytes"] == sum(one["stream_bytes"].values())
        for priced in one["energy_pj"].values():
            assert sum(energy_by_source(priced).values()) == pytest.approx(priced["total_pj"])
        if one["origin"] == MODELLED:
            assert one["time_us"] >= max(one["memory_us"], one["compute_us"])


@pytest.mark.parametrize(("storage", "label"), [("packed", 0), ("eta4", 1)])
def test_the_model_meets_the_measured_counters(document, stats, storage, label):
    """Same images: bytes of each stream equal, work counters to rounding."""
    modelled = cell(document, "default", "once_chip", storage, MODELLED)
    measured = cell(document, "default", "once_chip", storage, MEASURED)
    assert modelled["stream_bytes"] == measured["stream_bytes"]
    assert measured["stream_bytes"]["index_read"] * 2 == stats["nets"][label]["counters"]["dram.index_read_bytes"]
    assert modelled["adds"] == pytest.approx(measured["adds"], abs=5)
    assert modelled["compute_us"] == pytest.approx(measured["compute_us"], rel=1e-4)
    assert modelled["energy_pj"]["datasheet"]["on_chip_total_pj"] == pytest.approx(
        measured["energy_pj"]["datasheet"]["on_chip_total_pj"], rel=1e-3)


def test_every_net_says_where_its_numbers_come_from(document):
    default, vgg = document["nets"]["default"], document["nets"]["vgg16"]
    assert default["kernels_from"].startswith("measured: kernel frequencies of mnist5k-binary")
    assert default["activity_from"].startswith("measured: golden model")
    assert vgg["kernels_from"].startswith("assumed: 7.19 bits")
    assert vgg["activity_from"].startswith("assumed: spikes of rate 0.15")
    assert all(0 < bits < 9 for bits in default["kernel_bits"].values())
    assert sum(PUBLISHED_KERNEL_BITS) / 6 == pytest.approx(vgg["other_kernel_bits"])


def test_a_comparison_can_be_priced_anew(document, tmp_path):
    path = write_compare(tmp_path, document)
    for name in ("datasheet", "convention"):
        again = price_document(read_compare(tmp_path), load_table(name), source=path)
        assert [entry["label"] for entry in again["entries"]] == [one["label"] for one in document["cells"]]
        for entry, one in zip(again["entries"], document["cells"], strict=True):
            assert entry["energy_pj"] == one["energy_pj"][name]


def test_csv_and_json_hold_the_same_numbers(document, tmp_path):
    assert json.loads(write_compare(tmp_path, document).read_text()) == json.loads(json.dumps(document))
    rows = list(csv.DictReader((tmp_path / "compare.csv").open()))
    assert {row["baseline"] for row in rows} == {"packed"}
    for one in document["cells"]:
        mine = {row["quantity"]: row["value"] for row in rows if all(
            row[key] == one[field] for key, field in (("net", "net"), ("schedule", "schedule"), ("format", "storage"),
                                                      ("origin", "origin")))}
        assert int(mine["all_stream_bytes"]) == one["all_stream_bytes"]
        assert sum(int(mine[f"dram.{stream}_bytes"]) for stream in STREAMS) == one["all_stream_bytes"]


def test_plots_and_tables_are_pure_functions_of_the_data(document, tmp_path):
    cells = [c for c in document["cells"] if (c["net"], c["schedule"]) == ("default", "once_chip")]
    one = document | {"nets": {"default": document["nets"]["default"]}, "cells": cells}
    first, second = draw_compare(one, tmp_path / "a"), draw_compare(json.loads(json.dumps(one)), tmp_path / "b")
    assert [path.name for path in first] == ["default-dram.png", "default-energy.png", "default-roofline.png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert [table.row_count for table in compare_tables(document)] == [13, 2, 10, 2]


def test_kernel_entropy_is_that_of_a_plain_count():
    groups = np.random.default_rng(0).integers(0, 512, 300, dtype=np.uint16) // 3
    values, counts = np.unique(groups, return_counts=True)
    expected = -sum(count / 300 * np.log2(count / 300) for count in counts)
    assert len(values) > 2
    assert kernel_entropy_bits(groups) == pytest.approx(expected)
    assert kernel_entropy_bits(np.zeros(5, dtype=np.uint16)) == 0
    assert kernel_entropy_bits(np.arange(512, dtype=np.uint16)) == pytest.approx(9)


REFUSED = [
    ({"nets": ("lenet",)}, "a net must be one of default, vgg16, resnet19, ms-resnet19, s2nn-scnn"),
    ({"schedules": ("twice",)}, "a schedule must be one of per_step"),
    ({"etas": (9,)}, "eta must lie in 2..6, not 9"),
    ({"dram": "sdram"}, "a DRAM preset must be one of"),
    ({"spike_rate": 1.5}, r"spike rate must lie in 0\.\.1, not 1\.5"),
]


@pytest.mark.parametrize(("changes", "text"), REFUSED, ids=[text[:30] for _, text in REFUSED])
def test_an_unknown_choice_is_refused(changes, text):
    with pytest.raises(ConfigError, match=text):
        run_compare(replace(GRID, **({"nets": ("vgg16",)} | changes)))


@pytest.mark.parametrize(("weight_rows", "fits"), [(512, True), (256, False)])
def test_a_tile_must_fit_the_weight_buffer(weight_rows, fits):
    """VGG-16 has 512 input channels: 512 x 9 bits are 512 rows of nine banks."""
    grid = replace(GRID, nets=("vgg16",), schedules=("once_chip",), etas=(4,),
                   config=replace(ULX3S, weight_rows=weight_rows))
    if fits:
        assert len(run_compare(grid)["cells"]) == 3
    else:
        with pytest.raises(LoweringError, match=r"layer conv8: packed: a tile must fit the weight buffer .* not 4608"):
            run_compare(grid)


@pytest.mark.parametrize("field", ["nets", "schedules", "etas"])
@pytest.mark.parametrize("value", [(), (4, 4)])
def test_an_empty_or_doubled_axis_is_refused(field, value):
    with pytest.raises(ConfigError, match=f"{field}: must hold at least one name, and none twice"):
        replace(GRID, **{field: value})


def test_a_measured_run_must_be_of_the_same_machine_and_net(stats):
    small = replace(GRID, schedules=("once_chip",), nets=("default",))
    with pytest.raises(ConfigError, match="must be of the accelerator that is compared, not 'tiny'"):
        run_compare(small, measured=stats | {"config": TINY.to_json()})
    with pytest.raises(ConfigError, match="can stand beside net default with schedule once_chip only"):
        run_compare(replace(small, nets=("vgg16",)), measured=stats)
    for nets in (stats["nets"][::-1], [stats["nets"][0] | {"label": "eta9"}], stats["nets"][:1] * 2):
        with pytest.raises(ConfigError, match="must begin with the 1-bit net, and sub-bit nets must follow"):
            run_compare(small, measured=stats | {"nets": nets})
    other = stats["nets"][0] | {"layers": stats["nets"][0]["layers"][:-1]}
    with pytest.raises(ConfigError, match=r"nets\[0\]: a measured run must be of net default"):
        run_compare(small, measured=stats | {"nets": [other]})


@pytest.mark.parametrize("name", ["config", "workload", "nets"])
def test_a_damaged_measured_run_is_refused(stats, name):
    with pytest.raises(SimulationError, match=f"measured: {name}: must be there"):
        run_compare(GRID, measured={key: value for key, value in stats.items() if key != name})
    with pytest.raises(SimulationError, match="workload: images: must be at least 1, not 0"):
        run_compare(GRID, measured=stats | {"workload": stats["workload"] | {"images": 0}})
    for field in ("label", "layers", "dram", "counters"):
        net = {key: value for key, value in stats["nets"][0].items() if key != field}
        with pytest.raises(SimulationError, match=rf"measured: nets\[0\]: {field}: must be there"):
            run_compare(GRID, measured=stats | {"nets": [net]})


def test_another_document_is_no_comparison(tmp_path, stats):
    (tmp_path / "compare.json").write_text(json.dumps(stats))
    with pytest.raises(SimulationError, match="must be of format s2nn-compare, not 's2nn-stats'"):
        read_compare(tmp_path)


def test_statistics_follow_the_spike_rate():
    from s2nn.hw.sim.net_catalogue import net_shape

    quiet, loud = (net_statistics(net_shape("vgg16"), ULX3S, steps=4, spike_rate=rate) for rate in (0.05, 0.3))
    assert quiet.one_bit["conv1"].window_share < loud.one_bit["conv1"].window_share
    assert quiet.one_bit["conv0"] == loud.one_bit["conv0"]  # the image's bits have a rate of their own


def test_the_command_leaves_data_and_plots(tmp_path):
    result = CliRunner().invoke(main, ["compare", "vgg16", "--schedule", "once_chip", "--eta", "4",
                                       "--out", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((tmp_path / "compare.json").read_text())
    drawn = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert drawn == ["vgg16-dram.png", "vgg16-energy.png", "vgg16-roofline.png"]
    for path in (tmp_path / "plots").iterdir():
        path.unlink()
    assert CliRunner().invoke(main, ["plots", str(tmp_path)]).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == drawn


@pytest.mark.parametrize(("arguments", "text"), [
    (["lenet"], "a net must be one of"), (["vgg16", "--schedule", "x"], "a schedule must be one of"),
    (["vgg16", "--protocol", "s2nn-paper"], "a protocol has a net of its own"),
    (["--protocol", "x"], "a protocol must be one of s2nn-paper, not 'x'"),
    (["default", "--measured", "nowhere"], "must be the readable result of a run"),
])
def test_the_command_refuses_by_name(tmp_path, arguments, text):
    result = CliRunner().invoke(main, ["compare", *arguments, "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 1
    assert text in json.loads(result.stdout)["error"]["text"]
    assert not (tmp_path / "out").exists()
