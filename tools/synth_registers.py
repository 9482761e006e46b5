"""Registers that stand right behind a memory or multiplier block move into the block's own output register.

yosys maps block RAMs and multipliers without these registers and has no pass that fills them. Cycle for cycle nothing
changes. In time much does: an output of an ECP5 block RAM is valid 5.8 ns after the clock edge without its register
and less than 1 ns after it with it (nextpnr's tables).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Cell = dict
Bit = int | str  # a net's number, or a constant "0", "1", "x"


@dataclass(frozen=True, kw_only=True)
class OutputRegister:
    """An optional register behind some outputs of a block.

    Parameters
    ----------
    cell : type of the block.
    outputs : pattern of the names of the outputs that it takes, all of them or none.
    clock, enable : the block's ports for it.
    reset : port of its reset, tied to 0.
    parameters : of the block, with the register in use.
    """

    cell: str
    outputs: str
    clock: str
    enable: str
    reset: str
    parameters: Mapping[str, str]


# Ref: Lattice FPGA-TN-02204 (ECP5 memory usage), output register and OCE of a true dual port RAM; FPGA-TN-02205 (ECP5
# sysDSP usage), attributes of MULT18X18D.
ECP5_OUTPUT_REGISTERS = (
    *(OutputRegister(cell="DP16KD", outputs=rf"DO{side}\d+", clock=f"CLK{side}", enable=f"OCE{side}",
                     reset=f"RST{side}", parameters={f"REGMODE_{side}": "OUTREG"}) for side in "AB"),
    OutputRegister(cell="MULT18X18D", outputs=r"P\d+", clock="CLK0", enable="CE0", reset="RST0", parameters={
        "REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0"}),
)


def fill_output_registers(module: dict, registers: tuple[OutputRegister, ...]) -> Counter[str]:
    """Move what fits of a flat module of a yosys JSON netlist, in place; flip-flops that went, by type of the block.

    A block takes the flip-flops if every output of it that is read drives the data of one flip-flop and nothing else,
    and all of these have one clock, which is the block's if it has one there, one enable or none, and neither set,
    reset nor inverted controls. A block that uses the register, or its reset, keeps it as it is.
    """
    readers = _readers(module)
    taken: Counter[str] = Counter()
    for cell in list(module["cells"].values()):
        for register in registers:
            if cell["type"] == register.cell and (moved := _fill(module, cell, register, readers)):
                taken[cell["type"]] += moved
    return taken


def _readers(module: dict) -> Mapping[Bit, list[tuple[str, str]]]:
    """Of each net, the inputs that read it: name of cell and port; of the module's own outputs, no cell's name."""
    readers: dict[Bit, list[tuple[str, str]]] = defaultdict(list)
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                for bit in bits:
                    readers[bit].append((name, port))
    for name, port in module["ports"].items():
        if port["direction"] != "input":
            for bit in port["bits"]:
                readers[bit].append(("", name))
    return readers


def _fill(module: dict, cell: Cell, register: OutputRegister, readers: Mapping[Bit, list[tuple[str, str]]]) -> int:
    """The flip-flops that went into this register of the block; 0 if it cannot take them."""
    flops: dict[str, str] = {}  # port of the block -> name of its flip-flop
    for port, bit in _outputs(cell, register):
        if sinks := readers.get(bit, []):
            (name, sink), *others = sinks
            if others or sink != "DI" or not _is_plain(module["cells"].get(name)):
                return 0
            flops[port] = name
    controls = {tuple(module["cells"][name]["connections"].get(port, ["1"])[0] for port in ("CLK", "CE"))
                for name in flops.values()}
    if len(controls) != 1:
        return 0
    clock, enable = controls.pop()
    connections = cell["connections"]
    in_use = register.parameters.items() <= cell["parameters"].items()
    if in_use or connections.get(register.reset, ["0"]) != ["0"] or connections.get(register.clock, [clock]) != [clock]:
        return 0
    for port, value in ((register.clock, clock), (register.enable, enable), (register.reset, "0")):
        connections[port] = [value]
        cell["port_directions"][port] = "input"
    cell["parameters"].update(register.parameters)
    for port, name in flops.items():
        connections[port] = module["cells"].pop(name)["connections"]["Q"]
    return len(flops)


def _outputs(cell: Cell, register: OutputRegister) -> Iterator[tuple[str, Bit]]:
    for port, bits in cell["connections"].items():
        if re.fullmatch(register.outputs, port):
            yield port, bits[0]


def _is_plain(cell: Cell | None) -> bool:
    """A flip-flop of ECP5 on the rising edge that starts at 0, without reset and with nothing inverted."""
    if cell is None or cell["type"] != "TRELLIS_FF":
        return False
    parameters = cell["parameters"]
    return (parameters["CLKMUX"] == "CLK" and parameters["CEMUX"].strip() in ("CE", "1")
            and parameters["LSRMUX"] == "LSR" and cell["connections"]["LSR"] == ["0"]
            and parameters["REGSET"] == "RESET")
