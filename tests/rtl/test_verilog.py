"""The written Verilog: lint-clean with its waivers, reproducible, and described by its side file."""

import json
import re
from dataclasses import replace
from importlib import resources

import pytest

from s2nn.hw.rtl.verilog import TOP, convert, write_verilog
from s2nn.hw.spec.config import SMALL, TINY, ULX3S
from s2nn.hw.spec.errors import ToolError
from s2nn.hw.spec.registers import COUNTERS
from s2nn.hw.tb.lint import lint

WAIVERS = resources.files("s2nn.hw.rtl") / "lint.vlt"
CONFIGS = {"tiny": TINY, "tiny-binary": TINY.as_binary(), "small": SMALL, "ulx3s": ULX3S,
           "ulx3s-binary": ULX3S.as_binary(), "narrow": replace(TINY, time_lanes=1, max_chunks=8)}


@pytest.fixture(scope="module")
def design(tmp_path_factory):
    """Verilog and side file of TINY."""
    return write_verilog(TINY, tmp_path_factory.mktemp("tiny"))


@pytest.mark.rtl
@pytest.mark.parametrize("name", CONFIGS)
def test_design_lints_clean(tmp_path, name):
    verilog, _ = write_verilog(CONFIGS[name], tmp_path)
    lint(verilog, top=TOP, waivers=WAIVERS)


PLANTED = {
    "a latch": "reg latched; always @* if (rst) latched = clk;",
    "a blocking register": "reg blocking; always @(posedge clk) blocking = rst;",
    "no driver": "wire floating; reg copy; always @(posedge clk) copy <= floating;",
}


@pytest.mark.rtl
@pytest.mark.parametrize("defect", PLANTED)
def test_waivers_hide_no_defect(design, tmp_path, defect):
    text = design[0].read_text()
    head = re.search(rf"^module {TOP}\(.*?\);\n", text, re.MULTILINE | re.DOTALL)
    assert head is not None
    broken = tmp_path / "broken.v"
    broken.write_text(f"{text[:head.end()]}  {PLANTED[defect]}\n{text[head.end():]}")
    with pytest.raises(ToolError, match="must lint clean"):
        lint(broken, top=TOP, waivers=WAIVERS)


def test_elaborating_twice_gives_the_same_text(design):
    again, side = convert.__wrapped__(TINY)
    assert again == design[0].read_text() and side == json.loads(design[1].read_text())


def test_without_cleared_memories_nothing_else_is_missing(design, tmp_path):
    cleared = design[0].read_text()
    text = write_verilog(TINY, tmp_path, clear_memories=False)[0].read_text()
    loop = r"  integer \w+_word;|  initial for \(\w+_word = 0; "
    kept = [line for line in cleared.splitlines() if not re.match(loop, line)]
    assert len(kept) < len(cleared.splitlines())
    assert text.splitlines() == kept


def test_side_file_describes_the_design(design):
    side = json.loads(design[1].read_text())
    assert side["config_digest"] == TINY.digest.hex()
    assert side["counters"] == list(COUNTERS)
    assert {"clk", "rst", "m_axi_arvalid", "s_axil_awvalid", "irq"} <= {port["name"] for port in side["ports"]}
