"""Modelled energy per add of the two PE variants: operations that their RTL makes in a cycle, times the energy table.

A model, not a measurement: open tools give no switching activity, so every operation of a cycle counts as one access of
the table, whatever its operands do, and wires, clock and control count nothing. An add is what `array.adds` counts: one
window, one lane, one time lane. All time lanes are taken to have a spike, and the layer to have a codebook.

Both variants: the accumulator's addition and register, the registered count, and popcount(window) once for all lanes.

    decode   per lane: the codeword's choice (a multiplexer as deep as the index is wide) and register, two registers of
             the raw group beside it and the choice between the two; per add: AND and popcount
    select   per codeword and time lane, for all lanes: AND, popcount and count register; per lane: index registers;
             per add: the choice of a count in two stages with registers between them, and AND, popcount and two
             registers of the raw group beside it, which run whether the layer has raw groups or not
"""

from collections.abc import Mapping

from s2nn.hw.sim.energy_table import EnergyTable
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig

_COUNT_BITS = GROUP_TAPS.bit_length()
_CODEWORD_BITS = GROUP_TAPS + 1

#: Operation of the table, bits -> how many of them an add takes.
Operations = Mapping[tuple[str, int], float]


def operations_per_add(variant: str, config: AcceleratorConfig) -> Operations:
    """Operations per add of "decode" or "select", for a layer with codewords of config.index_bits.

    >>> operations_per_add("decode", AcceleratorConfig(lanes=16))["popcount", 9]  # its own, and the common one
    1.0625
    """
    eta, lanes, times = config.index_bits, config.lanes, config.time_lanes
    accumulator = config.accumulator_bits + 1
    found: dict[tuple[str, int], float] = {}

    def count(op: str, bits: int, number: float) -> None:
        found[op, bits] = found.get((op, bits), 0) + number

    count("add", accumulator, 1 + 1 / lanes)
    count("register", accumulator, 1 + 1 / lanes)
    count("register", _COUNT_BITS, 1 + 1 / lanes)
    count("popcount", GROUP_TAPS, 1 / lanes)
    if variant == "decode":
        count("register", GROUP_TAPS, 2 / times)
        count("mux", _CODEWORD_BITS, (eta + 1) / times)
        count("register", _CODEWORD_BITS, 1 / times)
        groups = 1.0
    else:
        low_bits = eta // 2
        groups = 1 + 2**eta / lanes  # the raw group, and this lane's part of all codewords
        count("register", _COUNT_BITS, groups + 1)  # the raw count passes two registers
        count("register", eta, 2 / times)
        count("mux", _COUNT_BITS, low_bits * 2**(eta - low_bits) + eta - low_bits)
        count("register", _COUNT_BITS, 2**(eta - low_bits))
    count("and", GROUP_TAPS, groups)
    count("popcount", GROUP_TAPS, groups)
    return found


def energy_per_add_pj(variant: str, config: AcceleratorConfig, table: EnergyTable) -> float:
    """Modelled energy of one add, pJ."""
    return sum(number * table.logic_pj(op, bits) for (op, bits), number in operations_per_add(variant, config).items())
