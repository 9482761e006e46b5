"""How many bits are set."""

from amaranth.hdl import Value


def popcount(bits: Value) -> Value:
    """Number of set bits, as a balanced tree."""
    parts = [bits[k] for k in range(len(bits))]
    while len(parts) > 1:
        parts = [parts[k] + parts[k + 1] if k + 1 < len(parts) else parts[k] for k in range(0, len(parts), 2)]
    return parts[0]
