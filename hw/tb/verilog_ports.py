"""The ports of a Verilog module, read from its header: what a test may touch."""

import re

from s2nn.hw.spec.errors import SimulationError


def module_ports(verilog: str, module: str) -> list[str]:
    """Names of the ports of `module` in the text `verilog`, with or without types in the header.

    >>> module_ports("module top #(parameter W = 8) (input clk, output [W-1:0] q); endmodule", "top")
    ['clk', 'q']
    """
    text = re.sub(r"//[^\n]*|/\*.*?\*/|\(\*.*?\*\)", "", verilog, flags=re.DOTALL)
    start = re.search(rf"\bmodule\s+{re.escape(module)}\b\s*", text)
    if start is None:
        raise SimulationError("the top level must be a module of the Verilog sources", value=module)
    position = start.end()
    if text[position : position + 1] == "#":
        position = _closing(text, text.index("(", position)) + 1
    opening = re.compile(r"\s*\(").match(text, position)
    if opening is None:
        return []
    header = text[opening.end() : _closing(text, opening.end() - 1)]
    return [name for part in header.split(",") for name in re.findall(r"(\w+)\s*$", part)]


def _closing(text: str, opening: int) -> int:
    """Index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise SimulationError("parentheses of a module header must match", value=text[opening : opening + 40])
