"""The modelled energy per add: operations of either variant, counted by hand from the RTL."""

import pytest

from s2nn.hw.sim.energy_table import load_table
from s2nn.tools.pe_area import pe_config
from s2nn.tools.pe_energy import energy_per_add_pj, operations_per_add

# eta, lanes -> operations of one add, with four time lanes and sums of 21 bits.
DECODE_4_8 = {("add", 21): 1.125, ("register", 21): 1.125, ("register", 4): 1.125, ("popcount", 9): 1.125,
              ("register", 9): 0.5, ("mux", 10): 1.25, ("register", 10): 0.25, ("and", 9): 1.0}
# 16 codewords over 8 lanes: two groups a lane, and the raw one. Four choices among four counts, then two levels.
SELECT_4_8 = {("add", 21): 1.125, ("register", 21): 1.125, ("register", 4): 1.125 + 4 + 0.5 + 4,
              ("popcount", 9): 3.125, ("and", 9): 3.0, ("mux", 4): 8 + 2}


@pytest.mark.parametrize(("variant", "expected"), [("decode", DECODE_4_8), ("select", SELECT_4_8)])
def test_operations_of_an_add(variant: str, expected: dict[tuple[str, int], float]) -> None:
    assert operations_per_add(variant, pe_config(4, 8)) == pytest.approx(expected)


def test_energy_is_operations_times_the_table() -> None:
    table = load_table()
    expected = sum(number * table.logic_pj(op, bits) for (op, bits), number in DECODE_4_8.items())
    assert energy_per_add_pj("decode", pe_config(4, 8), table) == pytest.approx(expected)


def test_more_lanes_share_the_counts_of_the_codewords() -> None:
    table = load_table()
    energies = [energy_per_add_pj("select", pe_config(6, lanes), table) for lanes in (8, 16, 32, 64)]
    assert energies == sorted(energies, reverse=True)
