"""An old run priced anew gives what the run itself priced, and a damaged one is refused by field."""

import json

import pytest
from typer.testing import CliRunner

from s2nn.hw.sim.energy_table import TABLE_NAMES, load_table
from s2nn.hw.spec.config import TINY
from s2nn.hw.spec.errors import S2NNError, SimulationError
from s2nn.tools.cli import main
from s2nn.tools.pricing import price_document, price_table, read_priced
from s2nn.tools.run import run_comparison


@pytest.fixture(scope="module")
def folder(pair, workload, stand_in, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s2nn.tools.run.draw_plots", lambda stats, folder: [])
        return run_comparison(TINY, pair, workload, stand_in(), folder=tmp_path_factory.mktemp("run")).folder


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_energy_is_a_function_of_stats_json_alone(folder, name):
    stats = read_priced(folder)
    again = price_document(stats, load_table(name), source=folder)
    assert [entry["label"] for entry in again["entries"]] == ["binary", "eta4"]
    assert [entry["energy_pj"] for entry in again["entries"]] == [net["energy_pj"][name] for net in stats["nets"]]


def test_the_codebook_is_priced_only_where_one_was_read(folder):
    binary, eta4 = price_document(read_priced(folder), load_table(), source=folder)["entries"]
    assert "codebook_entry" not in binary["energy_pj"]["on_chip_pj"]
    stats = read_priced(folder)["nets"][1]
    decoded = [layer["counters"] for layer in stats["layers"] if layer["counters"]["dram.codebook_read_bytes"]]
    lookups = TINY.lanes * sum(counters["array.active_windows"] for counters in decoded)
    assert len(decoded) == 2
    # A nine-bit entry is a register access per bit (0.009 pJ); its four index bits pass four multiplexers.
    priced = eta4["energy_pj"]["on_chip_pj"]
    assert priced["codebook_entry"] == pytest.approx(lookups * 9 * 0.009)
    assert priced["codebook_select"] == pytest.approx(lookups * 4 * load_table().logic_pj("mux", 9))


def test_the_node_changes_the_memories_alone(folder):
    at_45, at_22 = (price_document(read_priced(folder), load_table(node=node), source=folder)["entries"][0]["energy_pj"]
                    for node in (None, "22 nm"))
    for name in ("weight_buffer", "spike_buffer"):
        assert at_22["on_chip_pj"][name] < at_45["on_chip_pj"][name]
    assert at_22["on_chip_pj"]["array_popcount"] == at_45["on_chip_pj"]["array_popcount"]
    assert at_22["dram"] == at_45["dram"]


def test_the_command_prints_a_table_or_json(folder):
    result = CliRunner().invoke(main, ["price", str(folder), "--table", "convention", "--json"])
    document = json.loads(result.stdout)
    assert (document["table"], document["node"], len(document["entries"])) == ("convention", "45 nm", 2)
    assert price_table(document).row_count == 2
    assert "datasheet table at 22 nm" in CliRunner().invoke(main, ["price", str(folder), "--node", "22 nm"]).stdout


SPOILERS = [
    (lambda stats: stats.pop("config"), "config: must be there, as dict"),
    (lambda stats: stats["config"].pop("lanes"), "must have exactly the fields of AcceleratorConfig"),
    (lambda stats: stats["config"].update(lanes="many"), "config: must be numbers"),
    (lambda stats: stats.pop("nets"), "nets: must be there, as list"),
    (lambda stats: stats["nets"][0].pop("layers"), r"nets\[0\]: layers: must be there"),
    (lambda stats: stats["nets"][1]["dram"].pop("num_rd"), r"nets\[1\]: dram.num_rd: must be a count"),
    (lambda stats: stats["nets"][1]["dram"].update(num_act=-1), r"dram.num_act: must be a count, .*not -1"),
    (lambda stats: stats["nets"][1]["dram"].update(preset="sdram"), "a DRAM preset must be one of"),
    (lambda stats: stats["nets"][1]["dram"].update(preset=7), "dram.preset: must be a name, not 7"),
    (lambda stats: stats["nets"][0]["layers"][2]["counters"].update({"array.adds": "many"}),
     r"nets\[0\]: layers\[2\]: array.adds: must be a count, not 'many'"),
    (lambda stats: stats["nets"].append(7), r"nets\[2\]: layers: must be there"),
]


@pytest.mark.parametrize(("spoil", "text"), SPOILERS, ids=[text for _, text in SPOILERS])
def test_a_damaged_document_is_refused_by_field(folder, spoil, text):
    stats = read_priced(folder)
    spoil(stats)
    with pytest.raises(S2NNError, match=text):
        price_document(stats, load_table(), source="stats.json")


@pytest.mark.parametrize("text", ["", "[]", '{"format": "s2nn-stats", "version": 99}', '{"format": "other"}'])
def test_another_document_is_refused(tmp_path, text):
    (tmp_path / "stats.json").write_text(text)
    with pytest.raises(SimulationError, match=r"stats\.json"):
        read_priced(tmp_path)
    with pytest.raises(SimulationError, match="must be the readable result"):
        read_priced(tmp_path / "nowhere")


def test_an_unknown_table_or_node_is_refused(folder):
    for arguments, text in ((["--table", "mine"], "an energy table must be datasheet or convention"),
                            (["--node", "7 nm"], "a node must be one of 45 nm")):
        result = CliRunner().invoke(main, ["price", str(folder), *arguments])
        assert result.exit_code == 1
        assert text in " ".join(result.stderr.split())
