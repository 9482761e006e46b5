"""Coordinates as quotient and remainder by three: the banks go by the remainder, the addresses by the quotient."""

from amaranth.hdl import Value


def advance(div: Value, mod: Value, step: Value | int) -> tuple[Value, Value]:
    """(div, mod) of the coordinate 3*div + mod + step, for step in 0..4."""
    total = mod + step
    wraps = (total >= 3) + (total >= 6)
    return div + wraps, (total - 3 * wraps)[:2]
