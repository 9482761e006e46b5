"""SRAM and logic prices against plain references, at both sides of each boundary, by node; and what is refused."""

import json
import math

import pytest

from s2nn.hw.sim.energy_table import load_table
from s2nn.hw.spec.errors import ConfigError

# CACTI 7, read pJ of a 64-bit word: capacity in KiB, then 45, 32, 22 nm itrs-lop and 32 nm itrs-hp.
CACTI = [
    (1, 0.89, 0.42, 0.27, 0.84), (4, 2.69, 1.33, 0.86, 1.81), (8, 3.62, 1.86, 1.21, 3.33),
    (16, 6.92, 2.91, 1.91, 6.36), (32, 8.27, 3.66, 2.44, 9.69), (64, 14.98, 6.14, 4.08, 12.04),
    (128, 17.73, 7.67, 5.18, 16.49), (256, 23.01, 11.67, 7.94, 21.64), (512, 31.67, 15.65, 10.58, 29.67),
]
NODES = ("45 nm", "32 nm", "22 nm", "32 nm itrs-hp")


def reference_pj(capacity_bytes, column):
    """Log-log interpolation, written as a straight line through logarithms."""
    sizes, values = [1024 * row[0] for row in CACTI], [row[column] for row in CACTI]
    if capacity_bytes <= sizes[0]:
        return values[0]
    above = min(sum(size < capacity_bytes for size in sizes), len(sizes) - 1)
    x0, x1, y0, y1 = (math.log2(v) for v in (sizes[above - 1], sizes[above], values[above - 1], values[above]))
    return 2 ** (y0 + (math.log2(capacity_bytes) - x0) * (y1 - y0) / (x1 - x0))


@pytest.mark.parametrize(("column", "node"), [*enumerate(NODES, start=1)])
def test_sram_prices_follow_cacti_at_every_node(column, node):
    table = load_table(node=node)
    assert table.node == node
    for kib, *_ in CACTI:
        for capacity in (1024 * kib - 1, 1024 * kib, 1024 * kib + 1):
            assert table.sram_read_pj(capacity, 64) == pytest.approx(reference_pj(capacity, column), rel=1e-9)
        assert table.sram_read_pj(1024 * kib, 64) == pytest.approx(CACTI[[r[0] for r in CACTI].index(kib)][column])
    for capacity in (1, 3000, 100_000, 1 << 22):
        assert table.sram_read_pj(capacity, 64) == pytest.approx(reference_pj(capacity, column), rel=1e-9)


@pytest.mark.parametrize(("bits", "share"), [(1, 1 / 64), (63, 63 / 64), (64, 1), (65, 65 / 64), (576, 9)])
def test_sram_prices_are_linear_in_word_width(bits, share):
    assert load_table().sram_read_pj(8192, bits) == pytest.approx(3.62 * share)


def test_the_first_node_is_the_default():
    assert load_table().node == "45 nm"
    assert load_table().sram_read_pj(8192, 64) == load_table(node="45 nm").sram_read_pj(8192, 64)


# Horowitz: add 0.03 pJ at 8 bits and 0.1 at 32, multiply 0.2 and 3.1; a power law between and beyond.
@pytest.mark.parametrize("bits", [1, 7, 8, 9, 16, 24, 31, 32, 33, 64])
def test_logic_prices_follow_a_power_law_in_width(bits):
    table = load_table(node="45 nm")
    for op, at_8, at_32 in (("add", 0.03, 0.1), ("multiply", 0.2, 3.1)):
        expected = at_8 * (bits / 8) ** (math.log(at_32 / at_8) / math.log(4))
        assert table.logic_pj(op, bits) == pytest.approx(expected)


def test_logic_stays_at_its_source_s_node():
    """Nothing is scaled: without a price at the node, that of the operation's first entry holds."""
    for node in (None, "32 nm", "22 nm"):
        table = load_table(node=node)
        assert table.logic["add"].node == "40 nm"
        assert table.logic_pj("add", 32) == pytest.approx(0.21)
        assert table.logic["multiply"].node == "45 nm"
    assert load_table(node="45 nm").logic["add"].node == "45 nm"
    assert not load_table().logic["multiply"].is_guess
    assert load_table().logic["popcount"].is_guess


def test_every_sram_and_logic_entry_has_unit_node_and_source():
    for name in ("datasheet", "convention"):
        table = load_table(name)
        for price in table.logic.values():
            assert all(entry.unit and entry.node and entry.source for entry in price.prices)
    assert len(load_table("convention").logic["add"].prices) == 1


@pytest.mark.parametrize(("name", "node", "text"), [
    ("datasheet", "40 nm", "a node must be one of 45 nm, 32 nm, 22 nm, 32 nm itrs-hp, not '40 nm'"),
    ("convention", "22 nm", "a node must be 45 nm, not '22 nm'"),
])
def test_an_unknown_node_is_refused(name, node, text):
    with pytest.raises(ConfigError, match=text):
        load_table(name, node=node)


def priced(bits, value=1.0):
    return {"value": value, "bits": bits, "unit": "pJ/op", "node": "n", "source": "mine"}


@pytest.mark.parametrize("entries", [[priced(8), priced(8)], [priced(32), priced(8)], [priced(None), priced(8)], []])
def test_prices_of_several_widths_must_ascend(tmp_path, entries):
    transfer = {"method": "per_bit", "transfer": {"value": 1, "unit": "pJ/bit", "node": "n", "source": "mine"}}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "mine", "dram": transfer, "sram": transfer, "logic": {"add": entries}}))
    with pytest.raises(ConfigError, match=r"mine\.json: an energy table must be readable"):
        load_table(path)
