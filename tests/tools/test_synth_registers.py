"""Output registers of blocks: which flip-flops go into them, and every case in which they must stay where they are."""

import copy
from collections.abc import Callable

import pytest

from s2nn.tools.synth_registers import ECP5_OUTPUT_REGISTERS, fill_output_registers

CLOCK, ENABLE, OTHER = 2, 3, 4


def flop(data: int, output: int, enable: int | None = ENABLE) -> dict:
    controls = {} if enable is None else {"CE": [enable]}
    return {"type": "TRELLIS_FF",
            "parameters": {"CLKMUX": "CLK", "CEMUX": "1 " if enable is None else "CE", "LSRMUX": "LSR",
                           "REGSET": "RESET"},
            "port_directions": {"CLK": "input", "DI": "input", "LSR": "input", "Q": "output",
                                **dict.fromkeys(controls, "input")},
            "connections": {"CLK": [CLOCK], "DI": [data], "LSR": ["0"], "Q": [output], **controls}}


def block(kind: str, outputs: dict[str, int], connections: dict[str, int | str]) -> dict:
    return {"type": kind, "parameters": {},
            "port_directions": {**dict.fromkeys(outputs, "output"), **dict.fromkeys(connections, "input")},
            "connections": {port: [bit] for port, bit in {**outputs, **connections}.items()}}


def reader(bit: int) -> dict:
    return block("LUT4", {}, {"A": bit})


def memory_design() -> dict:
    """Two bits of port B are read through flip-flops, a third by nothing; port A is not read."""
    return {"ports": {"y": {"direction": "output", "bits": [20, 21]}},
            "cells": {"memory": block("DP16KD", {"DOA0": 9, "DOB0": 10, "DOB1": 11, "DOB2": 12},
                                      {"CLKA": CLOCK, "CLKB": CLOCK, "CEB": OTHER, "OCEB": "1", "RSTB": "0"}),
                      "q0": flop(10, 20), "q1": flop(11, 21)}}


def fill(design: dict) -> dict[str, int]:
    return dict(fill_output_registers(design, ECP5_OUTPUT_REGISTERS))


def test_a_memorys_register_takes_the_flip_flops_with_their_enable():
    design = memory_design()
    assert fill(design) == {"DP16KD": 2}
    assert set(design["cells"]) == {"memory"}
    cell = design["cells"]["memory"]
    assert cell["parameters"] == {"REGMODE_B": "OUTREG"}
    assert cell["connections"] == {"DOA0": [9], "DOB0": [20], "DOB1": [21], "DOB2": [12], "CLKA": [CLOCK],
                                   "CLKB": [CLOCK], "CEB": [OTHER], "OCEB": [ENABLE], "RSTB": ["0"]}
    assert fill(design) == {}, "a second time there is nothing left to take"


def test_without_an_enable_the_register_always_moves():
    design = memory_design()
    design["cells"].update(q0=flop(10, 20, enable=None), q1=flop(11, 21, enable=None))
    assert fill(design) == {"DP16KD": 2}
    assert design["cells"]["memory"]["connections"]["OCEB"] == ["1"]


def test_a_multiplier_gets_its_clock_and_controls():
    product = block("MULT18X18D", {"P0": 10, "P35": 11}, {"A0": OTHER, "B0": OTHER})
    design = {"ports": {}, "cells": {"product": product, "q0": flop(10, 20), "q1": flop(11, 21), "reader": reader(21)}}
    assert fill(design) == {"MULT18X18D": 2}
    cell = design["cells"]["product"]
    assert cell["parameters"] == {"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0"}
    assert cell["connections"] == {"P0": [20], "P35": [21], "A0": [OTHER], "B0": [OTHER], "CLK0": [CLOCK],
                                   "CE0": [ENABLE], "RST0": ["0"]}
    assert {port: cell["port_directions"][port] for port in ("CLK0", "CE0", "RST0")} == {
        "CLK0": "input", "CE0": "input", "RST0": "input"}
    assert set(design["cells"]) == {"product", "reader"}


STAYS: dict[str, Callable[[dict], object]] = {
    "an output is read past its flip-flop": lambda d: d["cells"].update(other=reader(10)),
    "an output is read by logic only": lambda d: d["cells"].update(q1=reader(11)),
    "an output leaves the design": lambda d: d["ports"]["y"]["bits"].append(10),
    "an output enables its flip-flop": lambda d: d["cells"]["q0"]["connections"].update(DI=[OTHER], CE=[10]),
    "two flip-flops on one output": lambda d: d["cells"].update(twin=flop(10, 22)),
    "two enables": lambda d: d["cells"].update(q1=flop(11, 21, enable=OTHER)),
    "one with and one without enable": lambda d: d["cells"].update(q1=flop(11, 21, enable=None)),
    "another clock": lambda d: [d["cells"][q]["connections"].update(CLK=[OTHER]) for q in ("q0", "q1")],
    "two clocks": lambda d: d["cells"]["q1"]["connections"].update(CLK=[OTHER]),
    "a reset": lambda d: d["cells"]["q0"]["connections"].update(LSR=[OTHER]),
    "starts at 1": lambda d: d["cells"]["q0"]["parameters"].update(REGSET="SET"),
    "falling edge": lambda d: d["cells"]["q0"]["parameters"].update(CLKMUX="INV"),
    "inverted enable": lambda d: d["cells"]["q0"]["parameters"].update(CEMUX="INV"),
    "inverted reset": lambda d: d["cells"]["q0"]["parameters"].update(LSRMUX="INV"),
    "the block has a reset": lambda d: d["cells"]["memory"]["connections"].update(RSTB=[OTHER]),
    "the block's register is in use": lambda d: d["cells"]["memory"]["parameters"].update(REGMODE_B="OUTREG"),
    "nothing is read": lambda d: [d["cells"].pop(q) for q in ("q0", "q1")],
}


@pytest.mark.parametrize("case", STAYS)
def test_otherwise_nothing_is_touched(case: str):
    design = memory_design()
    STAYS[case](design)
    before = copy.deepcopy(design)
    assert fill(design) == {}
    assert design == before
