"""The grid and the capacity curve: that cells add up, share their spikes, are kept, and say what the engine counts."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from s2nn.hw.sim import functional
from s2nn.hw.sim.engine import EngineSession
from s2nn.hw.sim.formats import stored_as
from s2nn.hw.sim.net_shapes import LayerShape, NetShape, plain_layers
from s2nn.hw.sim.random_program import RandomConv, net_program, random_images, random_program
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import TINY
from s2nn.hw.spec.errors import ConfigError, LoweringError, SimulationError
from s2nn.hw.spec.registers import Cause
from s2nn.tools import cliff, grid
from s2nn.tools.cli import main
from s2nn.tools.compare import energy_by_source
from s2nn.tools.grid import Grid, run_grid
from s2nn.tools.grid_layers import layer_rows
from s2nn.tools.grid_plots import draw_grid
from s2nn.tools.grid_tables import grid_tables, write_grid

SMALL = NetShape(name="small", title="a small net", input_shape=(1, 8, 8), steps=4, source="a test",
                 layers=plain_layers((1, 8, 8), [(5, False), (10, True), (6, False)], classes=4, global_pool=False))
GRID = Grid(nets=("small",), etas=(4, 2), config=TINY, images=2)


@pytest.fixture(autouse=True)
def only_small(monkeypatch):
    for module in (grid, cliff):
        monkeypatch.setattr(module, "net_shape", lambda name: SMALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("grid")


@pytest.fixture
def document(folder):
    return run_grid(GRID, folder)


def test_every_cell_stands_beside_its_baseline(document):
    assert [(cell["schedule"], cell["storage"]) for cell in document["cells"]] == [
        (plan, storage) for plan in ("per_step", "spilled", "on_chip") for storage in ("binary", "eta4", "eta2")]
    for cell in document["cells"]:
        base = next(one for one in document["cells"]
                    if (one["schedule"], one["storage"]) == (cell["schedule"], "binary"))
        assert cell["ratios"]["all_stream_bytes"] == base["all_stream_bytes"] / cell["all_stream_bytes"]
        assert cell["ratios"]["energy"] == base["energy_pj"]["total_pj"] / cell["energy_pj"]["total_pj"]


def test_the_parts_of_a_cell_add_up(document):
    for cell in document["cells"]:
        counters = cell["counters"]
        assert counters["cycles.total"] == sum(counters[f"cycles.{cause.name.lower()}"] for cause in Cause)
        assert counters["cycles.total"] == pytest.approx(sum(layer["cycles"] for layer in cell["layers"]))
        assert cell["all_stream_bytes"] == pytest.approx(sum(layer["bytes"] for layer in cell["layers"]))
        assert sum(energy_by_source(cell["energy_pj"]).values()) == pytest.approx(cell["energy_pj"]["total_pj"])


def test_schedules_differ_in_what_they_move(document):
    cells = {(cell["schedule"], cell["storage"]): cell for cell in document["cells"]}
    for storage in ("binary", "eta4", "eta2"):
        step, spilled, chip = (cells[plan, storage] for plan in ("per_step", "spilled", "on_chip"))
        assert step["counters"]["dram.index_read_bytes"] == 4 * chip["counters"]["dram.index_read_bytes"]
        assert spilled["spilled_map_bytes"] > 0 == chip["spilled_map_bytes"]
        assert spilled["stream_bytes"]["map_write"] > 0 == chip["stream_bytes"]["map_write"]
        assert step["energy_pj"]["on_chip_pj"]["membrane_buffer"] > 0
        assert "membrane_buffer" not in chip["energy_pj"]["on_chip_pj"]
    # One net in every format: the array takes the same windows.
    assert len({cell["counters"]["array.active_windows"] for cell in document["cells"]
                if cell["schedule"] == "on_chip"}) == 1


def test_cells_are_kept_and_found_again(document, folder, monkeypatch):
    monkeypatch.setattr(grid, "EngineSession", None)  # a run would fail
    again = run_grid(GRID, folder)
    assert json.dumps(again) == json.dumps(document)
    with pytest.raises(TypeError):
        run_grid(replace(GRID, seed=1), folder)


def test_files_and_plots(document, tmp_path):
    write_grid(tmp_path, document)
    with (tmp_path / "grid.csv").open() as file:
        rows = list(csv.DictReader(file))
    total = [float(row["value"]) for row in rows if row["quantity"] == "cycles.total"]
    assert total == [cell["counters"]["cycles.total"] for cell in document["cells"]]
    with (tmp_path / "layers.csv").open() as file:
        assert len(list(csv.DictReader(file))) == sum(len(cell["layers"]) for cell in document["cells"])
    assert json.loads((tmp_path / "grid.json").read_text())["cells"] == document["cells"]
    assert [path.name for path in draw_grid(document, tmp_path)] == ["small-cells.png", "small-layers.png"]
    assert len(grid_tables(document)) == 1


def test_an_rtl_that_counts_otherwise_is_refused(folder, stand_in):
    with pytest.raises(SimulationError, match="RTL and engine must agree"):
        run_grid(replace(GRID, on_rtl=("small",)), folder, rtl=stand_in())


@pytest.mark.parametrize(("changes", "text"), [
    ({"nets": ()}, "nets: must hold at least one"), ({"schedules": ("twice",)}, "schedule must be one of per_step"),
    ({"etas": (5,)}, "eta must lie in 2..4, not 5"), ({"etas": (3, 3)}, "none twice"),
    ({"on_rtl": ("vgg16",)}, "only a net of the grid")])
def test_bad_grids_are_refused(changes, text):
    with pytest.raises(ConfigError, match=text):
        replace(GRID, **changes)


# cycles, compute, bytes -> bound, met, main stall; eight bytes a cycle are achievable.
LIMITS = [(100, 90, 80, "compute", True, None), (100, 89, 80, "compute", False, "wait_index"),
          (100, 50, 760, "memory", True, None), (100, 50, 752, "memory", False, "wait_index")]


@pytest.mark.parametrize(("cycles", "compute", "moved", "bound", "met", "stall"), LIMITS)
def test_limits_on_both_sides_of_the_target(cycles, compute, moved, bound, met, stall):
    counters = {f"cycles.{cause.name.lower()}": 0 for cause in Cause} | {
        "cycles.total": cycles, "cycles.compute": compute, "cycles.wait_index": cycles - compute,
        "dram.index_read_bytes": moved, "array.active_windows": compute}
    row, = layer_rows({"a": counters}, {"a": 200}, {}, images=1, achievable=8.0)
    assert (row["bound"], row["met"], row["main_stall"]) == (bound, met, stall)
    assert row["active_share"] == compute / 200


def test_one_net_in_every_format_fires_alike():
    program, images = net_program(3, TINY, SMALL, eta=2), random_images(3, (1, 8, 8), 2)
    logits = functional.run(program, images).logits
    for eta, bits in ((None, 9), (2, 2), (4, 4)):
        stored = stored_as(program, eta)
        assert [layer.weights.symbol_bits for layer in stored.layers] == [9, bits, bits, 9]
        assert np.array_equal(functional.run(stored, images).logits, logits)
        assert all(len(set(layer.weights.codebook.tolist())) == len(layer.weights.codebook)
                   for layer in stored.layers if layer.weights.codebook is not None)
    with pytest.raises(LoweringError, match="eta must be at least the program's 2"):
        stored_as(program, 1)


def test_pruned_groups_have_no_raw_form():
    spec = [RandomConv(channels=4), RandomConv(channels=4, eta=3, zeros=0.5)]
    program = random_program(0, TINY, in_shape=(1, 4, 4), layers=spec, classes=4)
    with pytest.raises(LoweringError, match="pruned groups cannot be stored as raw ones"):
        stored_as(program, None)


@pytest.mark.parametrize("eta", [None, 3])
def test_the_capacity_curve_is_what_the_second_image_streams(eta):
    program, images = stored_as(net_program(0, TINY, SMALL, eta=3), eta), random_images(0, (1, 8, 8), 2)
    whole = cliff.run_cliff(["small"], [3], TINY)["curves"][0 if eta is None else 1]["zero_rows"]
    for rows in (0, whole // 3, whole - 1, whole):
        config = replace(TINY, resident_rows=rows)
        runs = EngineSession(config, program, build_image(config, program)).run(images)
        assert runs[1].counters["dram.index_read_bytes"] == cliff.streamed_bytes(TINY, program, rows)
        assert (cliff.streamed_bytes(TINY, program, rows) == 0) == (rows == whole)


def test_a_fully_connected_layer_spans_its_map():
    layer = LayerShape(name="fc", c_in=2, c_out=8, height=5, width=5, kernel=5, source="input")
    assert (layer.out_shape, layer.pad, layer.num_weights, layer.num_groups) == ((8, 1, 1), 0, 8 * 2 * 25, 4 * 2)


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_commands(tmp_path):
    result = call("grid", "small", "--config", "tiny", "--eta", 4, "--schedule", "on_chip", "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    assert [cell["storage"] for cell in json.loads(result.stdout)["cells"]] == ["binary", "eta4"]
    assert (tmp_path / "plots" / "small-cells.png").is_file()
    result = call("cliff", "small", "--config", "tiny", "--eta", 4, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    assert [curve["index_bytes"][-1] for curve in json.loads(result.stdout)["curves"]] == [0, 0]
    assert (tmp_path / "cliff.png").is_file()
    assert (tmp_path / "cliff.csv").is_file()
