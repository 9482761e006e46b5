"""Synthesis without running a tool: cell counts, what the placer's answers mean, the report, and refusals."""

import dataclasses
import io
import json
import re

import pytest
from rich.console import Console

from s2nn.hw.spec.errors import ToolError
from s2nn.tools.synth import SynthResult, synthesise
from s2nn.tools.synth_report import area_difference, results_table, write_report
from s2nn.tools.synth_targets import RESOURCES, TARGETS, get_target
from s2nn.tools.synth_timing import critical_path, fmax_mhz, refusal

RESULT = SynthResult(
    label="binary", top="top", target="ecp5-85k", device="LFE5U-85F CABGA381",
    lut4=100, ff=50, bram=2, dsp=0, carry=8, lutram=0, shell=dict.fromkeys(RESOURCES, 3),
    logic_used=120, logic_available=83640, fmax_mhz=61.25, requested_mhz=50.0, seed=1, fmax_mhz_by_seed={},
    critical_path=None, fits=True, placed=True, reason="", logs={}, seconds={}, versions={},
)


def test_cells_are_counted_by_resource():
    cells = {"LUT4": 7, "TRELLIS_FF": 5, "DP16KD": 2, "PDPW16KD": 1, "MULT18X18D": 1, "CCU2C": 4, "TRELLIS_DPR16X4": 3,
             "dut": 1}
    assert get_target("ecp5-85k").count(cells) == {"lut4": 7, "ff": 5, "bram": 3, "dsp": 1, "carry": 4, "lutram": 3}
    cells = {"SB_LUT4": 7, "SB_DFF": 2, "SB_DFFESR": 3, "SB_RAM40_4K": 2, "SB_RAM40_4KNR": 1, "SB_MAC16": 1,
             "SB_CARRY": 6}
    assert get_target("ice40-up5k").count(cells) == {"lut4": 7, "ff": 5, "bram": 3, "dsp": 1, "carry": 6, "lutram": 0}


@pytest.mark.parametrize("name", TARGETS)
def test_a_full_device_fits_and_one_cell_more_does_not(name: str):
    target = get_target(name)
    full = {resource: target.capacity.get(resource, 0) for resource in RESOURCES}
    assert target.overflow(full) is None
    for resource, there in target.capacity.items():
        assert target.overflow({**full, resource: there + 1}) == f"{resource}: {there + 1} needed, {there} available"


def test_unknown_target_names_the_known_ones():
    with pytest.raises(ToolError, match="target: must be one of ecp5-85k, ice40-hx8k, ice40-up5k, not 'xc7'"):
        get_target("xc7")


@pytest.mark.parametrize(("log", "reason"), [
    ("Info: \t        ICESTORM_RAM:      35/     32   109%\nInfo: \t SB_IO: 4/ 206 1%\n"
     "ERROR: Unable to place cell 'm', no BELs remaining to implement cell type 'ICESTORM_RAM'\n",
     "ICESTORM_RAM: 35 needed, 32 available"),
    ("ERROR: Unable to find legal placement for all cells, design is probably at utilisation limit.\n",
     "Unable to find legal placement for all cells, design is probably at utilisation limit."),
    ("ERROR: Failed to open input file\n", None),
    ("", None),
])
def test_only_a_full_device_is_a_refusal(log: str, reason: str | None):
    assert refusal(log) == reason


def path_of(start: str, delays: list[float], domain: tuple[str, str] = ("posedge clk", "posedge clk")) -> dict:
    kinds = ["clk-to-q", "routing", "logic", "routing", "setup"]
    steps = [{"type": kind, "delay": delay, "from": {"cell": start, "port": "Q"}, "to": {"cell": "end", "port": "DI"}}
             for kind, delay in zip(kinds, delays, strict=True)]
    return {"from": domain[0], "to": domain[1], "path": steps}


def test_critical_path_is_the_slowest_within_the_clock():
    report = {
        "fmax": {"clk": {"achieved": 80.0, "constraint": 50.0}},
        "critical_paths": [
            path_of("dut.a", [0.5, 1.0, 0.25, 2.0, 0.25]),
            path_of("chain", [0.5, 1.0, 0.25, 1.0, 0.25]),
            path_of("pin", [9.0, 9.0, 9.0, 9.0, 9.0], domain=("<async>", "posedge clk")),
        ],
    }
    path = critical_path(report)
    assert path is not None
    assert (path.start, path.end, path.levels, path.through_design) == ("dut.a.Q", "end.DI", 1, True)
    assert (path.total_ns, path.logic_ns, path.routing_ns) == (4.0, 1.0, 3.0)
    assert fmax_mhz(report) == 80.0
    assert critical_path({"critical_paths": []}) is None and fmax_mhz({"fmax": {}}) is None


def test_report_holds_every_field_and_the_difference(tmp_path):
    other = dataclasses.replace(RESULT, label="codebook", lut4=130, ff=45)
    path = tmp_path / "new" / "synth.json"
    write_report([RESULT, other], path, baseline="binary")
    document = json.loads(path.read_text())
    assert document["format"] == "s2nn-synth" and document["baseline"] == "binary"
    assert document["results"][0] == {**dataclasses.asdict(RESULT), "minus_baseline": None}
    assert document["results"][1]["minus_baseline"] == {**dict.fromkeys(RESOURCES, 0), "lut4": 30, "ff": -5}
    assert area_difference(RESULT, RESULT) == dict.fromkeys(RESOURCES, 0)
    assert [entry.name for entry in path.parent.iterdir()] == ["synth.json"]


def test_table_shows_difference_and_refusal():
    results = [RESULT, dataclasses.replace(RESULT, label="codebook", lut4=130),
               dataclasses.replace(RESULT, label="huge", target="ice40-hx8k", fits=False, placed=False, fmax_mhz=None,
                                   reason="bram: 35 needed, 32 available")]
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(results_table(results, baseline="binary"))
    text = console.export_text()
    assert "+30" in text and "61.2" in text and "no: bram: 35 needed, 32 available" in text


@pytest.mark.parametrize(("change", "rule"), [
    ({"target": "xc7"}, "must be one of"),
    ({"freq_mhz": 0.0}, "freq_mhz: must be greater than 0, not 0.0"),
    ({"seeds": []}, "seeds: must be one or more, each once, not []"),
    ({"seeds": [1, 2, 1]}, "seeds: must be one or more, each once, not [1, 2, 1]"),
    ({}, "the Verilog file must exist"),
])
def test_bad_arguments_are_refused_before_a_tool_starts(tmp_path, change: dict, rule: str):
    source = tmp_path / "top.v"
    if change:
        source.write_text("")
    arguments = {"target": "ecp5-85k", "build_dir": tmp_path / "build", "freq_mhz": 50.0, **change}
    with pytest.raises(ToolError, match=re.escape(rule)):
        synthesise(source, "top", **arguments)
    assert not (tmp_path / "build").exists()
