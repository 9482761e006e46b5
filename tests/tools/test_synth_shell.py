"""The measuring shell: every port bit is driven or folded, and what it cannot wrap is refused."""

import re

import pytest

from s2nn.hw.spec.errors import ToolError
from s2nn.tools.synth_shell import SHELL_TOP, Port, emit_shell, ports_of

CLK = Port(name="clk", direction="input", width=1)
RST = Port(name="rst", direction="input", width=1)


def out(width: int) -> Port:
    return Port(name="y", direction="output", width=width)


def test_each_bit_of_each_port_is_connected_once():
    ports = [CLK, RST, Port(name="a", direction="input", width=5), Port(name="b", direction="input", width=1), out(3),
             Port(name="z", direction="output", width=4)]
    text = emit_shell("dut", ports)
    assert "(* blackbox *)" in text and f"module {SHELL_TOP}(" in text
    instance = next(line for line in text.splitlines() if line.startswith("  dut dut("))
    assert ".a(chain[4:0])" in instance and ".b(chain[5:5])" in instance
    assert ".y(folded[2:0])" in instance and ".z(folded[6:3])" in instance
    assert ".clk(clk)" in instance and ".rst(rst_sync[1])" in instance


@pytest.mark.parametrize("width", [1, 3, 4, 5, 16, 17, 700])
def test_fold_reads_each_register_bit_exactly_once(width: int):
    text = emit_shell("dut", [CLK, out(width)])
    read: dict[int, list[int]] = {}
    for stage, high, low in re.findall(r"<= \^fold(\d+)\[(\d+):(\d+)\];", text):
        assert int(high) - int(low) < 4
        read.setdefault(int(stage), []).extend(range(int(low), int(high) + 1))
    for stage, bits in read.items():
        declared = re.search(rf"reg \[(\d+):0\] fold{stage};", text)
        assert declared and sorted(bits) == list(range(int(declared[1]) + 1))
    assert f"assign o = fold{len(read)}[0];" in text


def test_design_without_inputs_or_reset_is_wrapped():
    text = emit_shell("dut", [CLK, out(1)])
    assert "chain <= i;" in text and ".rst(" not in text


def test_unusual_names_are_escaped():
    text = emit_shell("top.core", [CLK, Port(name="a[0]", direction="input", width=1), out(1)])
    assert "module \\top.core (" in text and ".\\a[0] (chain[0:0])" in text


@pytest.mark.parametrize(("ports", "rule"), [
    ([RST, out(1)], "must have its clock as an input, not 'clk'"),
    ([CLK, RST], "must have an output"),
    ([CLK, out(1), Port(name="sda", direction="inout", width=1)],
     "sda: a shell can drive inputs and fold outputs only, not 'inout'"),
])
def test_what_cannot_be_wrapped_is_refused(ports: list[Port], rule: str):
    with pytest.raises(ToolError, match=re.escape(rule)):
        emit_shell("dut", ports)


def test_ports_are_read_from_a_netlist():
    ports = {"clk": {"direction": "input", "bits": [2]}, "y": {"direction": "output", "bits": [3, "0"]},
             "nothing": {"direction": "input", "bits": []}}
    assert ports_of({"ports": ports}) == [CLK, out(2)]
