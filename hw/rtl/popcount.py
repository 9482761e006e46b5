"""How many bits are set, and sums of several numbers."""

from collections.abc import Iterable

from amaranth import Cat, Module, Signal
from amaranth.hdl import Value


def popcount(m: Module, bits: Value) -> Value:
    """Number of set bits, from full adders spelt out as XOR and majority.

    Additions of single bits written with `+` become carry chains, which are larger and slower than the LUTs.
    """
    return add_columns(m, [list(bits)])


def add_columns(m: Module, columns: list[list[Value]]) -> Value:
    """Sum of all bits, where those of column k count 2**k each."""
    while any(len(column) > 1 for column in columns):
        columns = compress(m, columns)
    return Cat(*columns)


def compress(m: Module, columns: list[list[Value]]) -> list[list[Value]]:
    """One layer of adders, with the sum of `columns` and about a third of their bits."""
    result: list[list[Value]] = [[] for _ in range(len(columns) + 1)]
    for weight, column in enumerate(columns):
        for at in range(0, len(column), 3):
            total, carry = _add(m, column[at:at + 3])
            result[weight].append(total)
            if carry is not None:
                result[weight + 1].append(carry)
    return [column for column in result if column]


def _add(m: Module, bits: list[Value]) -> tuple[Value, Value | None]:
    """Sum and carry of one to three bits of the same weight; one bit has no carry."""
    if len(bits) == 1:
        return bits[0], None
    total, carry = Signal(name="popcount_sum"), Signal(name="popcount_carry")
    a, b = bits[:2]
    if len(bits) == 2:
        m.d.comb += [total.eq(a ^ b), carry.eq(a & b)]
    else:
        m.d.comb += [total.eq(a ^ b ^ bits[2]), carry.eq(a & b | bits[2] & (a | b))]
    return total, carry


def add_all(values: Iterable[Value]) -> Value:
    """Sum of several numbers, as a balanced tree."""
    parts = list(values)
    while len(parts) > 1:
        parts = [parts[k] + parts[k + 1] if k + 1 < len(parts) else parts[k] for k in range(0, len(parts), 2)]
    return parts[0]
