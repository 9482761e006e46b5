"""A Verilog shell that puts a design with hundreds of port bits on four pins: so it can be placed, routed and timed.

All inputs come from one shift register that a single pin feeds; all outputs go into registers that are folded by
pipelined XOR onto a single pin. So nothing of the design can be trimmed away, no port bit needs a package pin, and
every timing path through a port begins or ends in a register right beside it.

    pin `i` -> shift register -> inputs [design] outputs -> registers -> XOR 4:1, register -> ... -> pin `o`
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s2nn.hw.spec.errors import ToolError

SHELL_TOP = "s2nn_shell"
_FOLD = 4  # inputs of one XOR: one LUT4


@dataclass(frozen=True, kw_only=True)
class Port:
    """One port of the design: `direction` is "input" or "output", `width` is in bits."""

    name: str
    direction: str
    width: int


def ports_of(module: Mapping) -> list[Port]:
    """The ports of a module in a JSON netlist of yosys, those of width 0 left out."""
    return [Port(name=name, direction=port["direction"], width=len(port["bits"]))
            for name, port in module["ports"].items() if port["bits"]]


def _identifier(name: str) -> str:
    """`name` as Verilog wants it; anything unusual becomes an escaped identifier, which ends at its blank."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"\\{name} "


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _stub(top: str, ports: Sequence[Port]) -> str:
    """The design as an empty black box, so that the shell can be mapped, and counted, without it."""
    lines = ",\n".join(f"  {port.direction} {_range(port.width)}{_identifier(port.name)}" for port in ports)
    return f"(* blackbox *)\nmodule {_identifier(top)}(\n{lines}\n);\nendmodule\n"


def _fold_stages(width: int) -> list[int]:
    """Register widths from the outputs to the pin: `width`, a quarter of it, ..., 1.

    >>> _fold_stages(40)
    [40, 10, 3, 1]
    """
    stages = [width]
    while stages[-1] > 1:
        stages.append(-(-stages[-1] // _FOLD))
    return stages


def emit_shell(top: str, ports: Sequence[Port], *, clock: str = "clk", reset: str | None = "rst") -> str:
    """Verilog of the shell `SHELL_TOP` around a black box named `top`.

    Parameters
    ----------
    top : name of the design's module.
    ports : its ports; `clock` and `reset` have pins of their own, the others are folded.
    clock : name of the clock input.
    reset : name of the reset input (synchronous to `clock`, registered twice here), or None.

    Raises
    ------
    ToolError
        If there is no input called `clock`, if there is no output, or if a port is neither input nor output.
    """
    for port in ports:
        if port.direction not in ("input", "output"):
            raise ToolError("a shell can drive inputs and fold outputs only",
                            value=port.direction, field=port.name, source=top)
    inputs = [port for port in ports if port.direction == "input" and port.name not in (clock, reset)]
    outputs = [port for port in ports if port.direction == "output"]
    has_reset = any(port.direction == "input" and port.name == reset for port in ports)
    if not any(port.direction == "input" and port.name == clock for port in ports):
        raise ToolError("the design must have its clock as an input", value=clock, field="clock", source=top)
    if not outputs:
        raise ToolError("the design must have an output: without one nothing of it would remain", source=top)

    chain_width = max(1, sum(port.width for port in inputs))
    stages = _fold_stages(sum(port.width for port in outputs))
    # A chain of one bit has no lower part to shift up.
    shifted = f"{{chain[{chain_width - 2}:0], i}}" if chain_width > 1 else "i"

    connections = [f".{_identifier(clock)}(clk)"]
    if has_reset:
        connections.append(f".{_identifier(str(reset))}(rst_sync[1])")
    for bus, group in (("chain", inputs), ("folded", outputs)):
        low = 0
        for port in group:
            connections.append(f".{_identifier(port.name)}({bus}[{low + port.width - 1}:{low}])")
            low += port.width

    lines = [
        _stub(top, ports),
        f"module {SHELL_TOP}(input clk, input rst, input i, output o);",
        f"  reg [{chain_width - 1}:0] chain;",
        "  reg [1:0] rst_sync;",
        f"  wire [{stages[0] - 1}:0] folded;",
        *(f"  reg [{width - 1}:0] fold{n};" for n, width in enumerate(stages)),
        f"  {_identifier(top)} dut({', '.join(connections)});",
        "  always @(posedge clk) begin",
        f"    chain <= {shifted};",
        "    rst_sync <= {rst_sync[0], rst};",
        "    fold0 <= folded;",
    ]
    for n, (above, width) in enumerate(itertools.pairwise(stages)):
        for bit in range(width):
            high = min(above, (bit + 1) * _FOLD) - 1
            lines.append(f"    fold{n + 1}[{bit}] <= ^fold{n}[{high}:{bit * _FOLD}];")
    lines += ["  end", f"  assign o = fold{len(stages) - 1}[0];", "endmodule", ""]
    return "\n".join(lines)
