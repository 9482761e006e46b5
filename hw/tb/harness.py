"""The Verilog around the accelerator in a simulation: clock, memory, and a log of every spike word that it writes."""

import json
from pathlib import Path

from s2nn.hw.spec.atomic import write_text_atomic
from s2nn.hw.tb import axi_native, simulator

TOP = "harness"
_BUS = "m_axi_"

_TEMPLATE = """// Generated from {design}.json by s2nn.hw.tb.harness: clock, design, AXI memory and a log of the probe.
module {top} #(
  parameter int CLOCK_PERIOD_PS = 10000,
  parameter bit HAS_MEMORY = 1  // 0: the AXI inputs are tied off
) (
{ports}
);
  timeunit 1ps;
  timeprecision 1ps;

  initial begin
    clk = 0;
    forever begin
      #(CLOCK_PERIOD_PS / 2) clk = 1;
      #(CLOCK_PERIOD_PS - CLOCK_PERIOD_PS / 2) clk = 0;
    end
  end

{wires}
  wire probe_valid;
  wire [15:0] probe_layer;
  wire [{probe_high}:0] probe;
  assign layer = probe_layer;
  integer log_file = 0;
  string log_name;
  initial if ($value$plusargs("probe_log=%s", log_name)) log_file = $fopen(log_name, "w");
  always @(posedge clk)
    if (probe_valid && log_file != 0) $fwrite(log_file, "%h %h %h\\n", run_index, probe_layer, probe);
  final if (log_file != 0) $fclose(log_file);

  {design} dut (
{connections}
  );
  if (HAS_MEMORY) begin : with_memory
    axi_memory #(.ADDRESS_BITS({address_bits}), .DATA_BITS({data_bits}), .ID_BITS(1)) memory (
      .clk(clk), .rst(rst), .failed(failed),
      .s_axi_arid(1'b0), .s_axi_awid(1'b0), .s_axi_rid(), .s_axi_bid(),
{memory_connections}
    );
  end else begin : without_memory
    assign {{{tied_off}}} = 0;
  end
endmodule
"""


def write_harness(side_file: Path, folder: Path) -> Path:
    """Write harness.sv for the design of the side file (see hw/rtl/verilog.py); returns its path.

    The harness has the design's ports except the AXI bus and the probe, its clock as an output; an input run_index that
    each logged line carries; the memory's output `failed`; and an output `layer`, the one that runs. A line is
    `run_index layer probe` in hexadecimal; plusarg probe_log names the file.
    """
    side = json.loads(side_file.read_text())
    ports = {port["name"]: port for port in side["ports"]}
    bus = [port for name, port in ports.items() if name.startswith(_BUS)]
    outside = [port for name, port in ports.items() if not name.startswith(("probe", _BUS)) and name != "clk"]
    lines = ["  output reg clk", *(f"  {port['direction']} {_wire(port)}" for port in outside), "  output wire failed",
             "  input wire [31:0] run_index", "  output wire [15:0] layer"]
    of_memory = [f"      .s_axi_{port['name'].removeprefix(_BUS)}({port['name']})" for port in bus]
    path = folder / f"{TOP}.sv"
    write_text_atomic(path, _TEMPLATE.format(
        design=side["top"], top=TOP, ports=",\n".join(lines), probe_high=ports["probe"]["width"] - 1,
        wires="\n".join(f"  {_wire(port)};" for port in bus),
        connections=",\n".join(f"    .{name}({name})" for name in ports),
        memory_connections=",\n".join(of_memory),
        tied_off=", ".join(["failed", *(port["name"] for port in bus if port["direction"] == "input")]),
        address_bits=ports[f"{_BUS}araddr"]["width"], data_bits=ports[f"{_BUS}rdata"]["width"]))
    return path


def _wire(port: dict[str, object]) -> str:
    width = port["width"]
    assert isinstance(width, int)
    return f"wire [{width - 1}:0] {port['name']}" if width > 1 else f"wire {port['name']}"


def build_harness(design: Path, build_dir: Path, *, clock_period_ps: int,
                  has_memory: bool = True) -> simulator.Verilator:
    """Simulator of a design's folder (accelerator.v and accelerator.json); reused while nothing changed.

    Without memory, the design's AXI inputs are 0: its clock runs and no program can.
    """
    bench = write_harness(design / "accelerator.json", build_dir)
    return simulator.build(
        verilog_sources=[design / "accelerator.v", axi_native.verilog_source(), bench], toplevel=TOP,
        build_dir=build_dir, cpp_sources=axi_native.cpp_sources(), timing=True,
        parameters={"CLOCK_PERIOD_PS": clock_period_ps, "HAS_MEMORY": int(has_memory)})
