"""The Verilog around the accelerator in a simulation: its ports, and a log of every spike word that it writes."""

import json
from pathlib import Path

TOP = "harness"

_TEMPLATE = """// Generated from {design}.json by s2nn.hw.tb.harness: the design and a log of its probe.
module {top} (
{ports}
);
  wire probe_valid;
  wire [7:0] probe_layer;
  wire [{probe_high}:0] probe;
  integer log_file = 0;
  string log_name;
  initial if ($value$plusargs("probe_log=%s", log_name)) log_file = $fopen(log_name, "w");
  always @(posedge clk)
    if (probe_valid && log_file != 0) $fwrite(log_file, "%h %h %h\\n", run_index, probe_layer, probe);
  final if (log_file != 0) $fclose(log_file);
  {design} dut (
{connections}
  );
endmodule
"""


def write_harness(side_file: Path, folder: Path) -> Path:
    """Write harness.sv for the design of the side file (see hw/rtl/verilog.py); returns its path.

    The harness has the design's ports but the probe, and an input run_index that each logged line carries. A line is
    `run_index layer probe` in hexadecimal; plusarg probe_log names the file.
    """
    side = json.loads(side_file.read_text())
    outside = [port for port in side["ports"] if not port["name"].startswith("probe")]
    lines = [f"  {port['direction']} wire [{port['width'] - 1}:0] {port['name']}" if port["width"] > 1
             else f"  {port['direction']} wire {port['name']}" for port in outside]
    lines.append("  input wire [31:0] run_index")
    probe_width = next(port["width"] for port in side["ports"] if port["name"] == "probe")
    connections = ",\n".join(f"    .{port['name']}({port['name']})" for port in side["ports"])
    path = folder / f"{TOP}.sv"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(_TEMPLATE.format(design=side["top"], top=TOP, ports=",\n".join(lines), probe_high=probe_width - 1,
                                     connections=connections))
    return path
