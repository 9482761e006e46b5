"""The Verilator runner: port lists, reuse of builds, and failures as typed errors."""

import fcntl
import shutil
import threading

import pytest

from s2nn.hw.spec.errors import SimulationError, ToolError
from s2nn.hw.tb import simulator
from s2nn.hw.tb.verilog_ports import module_ports

AND_GATE = """
// module and_gate (not this one);
module and_gate (a, b, clk, q);
  input wire a; input wire b; input wire clk; output wire q;
  assign q = a & b;
endmodule
"""


@pytest.mark.parametrize(
    ("verilog", "ports"),
    [
        (AND_GATE, ["a", "b", "clk", "q"]),
        (
            "module and_gate(input wire [3:0] a, b, output reg signed [7:0] q /* last, one */);endmodule",
            ["a", "b", "q"],
        ),
        ("module and_gate #(parameter W = $clog2(8), V = (1)) (input [W-1:0] a);endmodule", ["a"]),
        ("(* top = 1 *)\nmodule and_gate();endmodule", []),
        ("module and_gate;endmodule", []),
    ],
)
def test_ports_of_a_header(verilog, ports):
    assert module_ports(verilog, "and_gate") == ports


def test_an_unknown_top_level_is_refused():
    with pytest.raises(SimulationError, match="must be a module of the Verilog sources, not 'or_gate'"):
        module_ports(AND_GATE, "or_gate")


def test_a_missing_tool_is_named(monkeypatch, tmp_path):
    real_which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda tool, *args: None if tool == "g++" else real_which(tool, *args))
    source = tmp_path / "and_gate.v"
    source.write_text(AND_GATE)
    with pytest.raises(ToolError, match="not 'g\\+\\+'"):
        simulator.build(verilog_sources=[source], toplevel="and_gate", build_dir=tmp_path / "build")


def test_a_missing_source_is_refused(tmp_path):
    with pytest.raises(SimulationError, match=r"nowhere\.v"):
        simulator.build(verilog_sources=[tmp_path / "nowhere.v"], toplevel="x", build_dir=tmp_path)


@pytest.mark.rtl
def test_verilog_that_does_not_compile_is_reported(tmp_path):
    source = tmp_path / "and_gate.v"
    source.write_text(AND_GATE.replace("a & b", "a & nobody"))
    with pytest.raises(ToolError, match="nobody"):
        simulator.build(verilog_sources=[source], toplevel="and_gate", build_dir=tmp_path / "build")


@pytest.mark.rtl
def test_builds_are_reused_and_failures_reported(tmp_path, build_root, monkeypatch):
    source = tmp_path / "and_gate.v"
    source.write_text(AND_GATE)
    (tmp_path / "bench_and.py").write_text(
        "import cocotb\n"
        "from cocotb.triggers import Timer\n"
        "@cocotb.test\n"
        "async def both(dut):\n"
        "    dut.a.value, dut.b.value = 1, 1\n"
        "    await Timer(1, 'ns')\n"
        "    assert dut.q.value == 1\n"
        "@cocotb.test\n"
        "async def wrong(dut):\n"
        "    dut.a.value, dut.b.value = 0, 1\n"
        "    await Timer(1, 'ns')\n"
        "    assert dut.q.value == 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    options = {"verilog_sources": [source], "toplevel": "and_gate", "build_dir": build_root / "and_gate"}
    result = simulator.build_and_test(**options, test_module="bench_and", testcase="both", test_dir=tmp_path / "run")
    assert result["tests"] == 1
    binary = build_root / "and_gate" / "and_gate"
    built = binary.stat().st_mtime_ns
    runner = simulator.build(**options)
    assert binary.stat().st_mtime_ns == built
    with pytest.raises(SimulationError, match="must"):
        simulator.run(runner, toplevel="and_gate", test_module="bench_and", test_dir=tmp_path / "run2")


@pytest.mark.rtl
def test_builds_into_one_folder_wait_for_each_other(tmp_path, build_root):
    source = tmp_path / "and_gate.v"
    source.write_text(AND_GATE)
    options = {"verilog_sources": [source], "toplevel": "and_gate", "build_dir": build_root / "and_gate"}
    simulator.build(**options)
    second = threading.Thread(target=simulator.build, kwargs=options, daemon=True)
    with (build_root / "and_gate" / "build.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second.start()
        second.join(timeout=0.5)
        assert second.is_alive()
    second.join(timeout=60)
    assert not second.is_alive()


@pytest.mark.rtl
def test_cpp_that_does_not_compile_is_reported(tmp_path):
    source, cpp = tmp_path / "and_gate.v", tmp_path / "broken.cpp"
    source.write_text(AND_GATE)
    cpp.write_text("int both(int a, int b) { return a & nobody; }\n")
    with pytest.raises(ToolError, match=r"broken\.cpp must compile:[\s\S]*nobody"):
        simulator.build(verilog_sources=[source], toplevel="and_gate", build_dir=tmp_path / "build", cpp_sources=[cpp])


@pytest.mark.rtl
def test_cpp_is_linked_in_and_a_changed_header_builds_anew(tmp_path, build_root, monkeypatch):
    source, cpp, header = (tmp_path / name for name in ("caller.sv", "answer.cpp", "answer.h"))
    source.write_text("module caller(output int q); import \"DPI-C\" function int answer(); initial q = answer(); "
                      "endmodule\n")
    cpp.write_text('#include "answer.h"\nextern "C" int answer() { return ANSWER; }\n')
    (tmp_path / "bench_answer.py").write_text(
        "import ctypes, os\n"
        "import cocotb\n"
        "from cocotb.triggers import Timer\n"
        "@cocotb.test\n"
        "async def both_ways(dut):\n"
        "    await Timer(1, 'ns')\n"
        "    assert int(dut.q.value) == ctypes.CDLL(None).answer() == int(os.environ['ANSWER'])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for answer in (41, 42):
        header.write_text(f"#define ANSWER {answer}\n")
        result = simulator.build_and_test(
            verilog_sources=[source], toplevel="caller", build_dir=build_root / "caller", cpp_sources=[cpp, header],
            test_module="bench_answer", test_dir=tmp_path / f"run{answer}", environment={"ANSWER": str(answer)})
        assert result["tests"] == 1
