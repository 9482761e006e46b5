"""Request traces as text, in the forms that DRAM simulators share.

    0xADDR READ|WRITE CYCLE    arrives at that DRAM cycle; cycles do not decrease
    0xADDR R|W                 arrives as soon as the controller's queue has room

One form per file; empty lines and lines that begin with # are skipped, and the last line needs no line end. A request
moves the one burst that holds its byte.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.spec.errors import SimulationError

_LINE = re.compile(r"(0x[0-9a-fA-F]+)\s+(?:(READ|WRITE)\s+(-?[0-9]{1,30})|([RW]))")
_LAST_CYCLE = 1 << 59


class RequestTrace(NamedTuple):
    """Requests in order: bytes, directions and, in a timed trace, DRAM cycles. Arrays of one length."""

    addresses: NDArray[np.int64]
    is_write: NDArray[np.bool_]
    arrival_cycles: NDArray[np.int64] | None


def read_requests(path: Path, *, capacity_bytes: int) -> RequestTrace:
    """Read a trace for a memory of `capacity_bytes`; SimulationError names file, line, rule and value."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SimulationError(f"a trace must be UTF-8 text ({error})", source=path) from error
    addresses: list[int] = []
    writes: list[bool] = []
    arrivals: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            address, is_write, cycle = _parse(stripped, capacity_bytes, after=arrivals[-1] if arrivals else 0)
            if addresses and bool(arrivals) != (cycle is not None):
                raise SimulationError("all lines must have a cycle, or none", value=stripped)
        except SimulationError as error:
            raise SimulationError(error.rule, value=error.value, field=f"line {number}", source=path) from None
        addresses.append(address)
        writes.append(is_write)
        if cycle is not None:
            arrivals.append(cycle)
    return RequestTrace(
        addresses=np.array(addresses, dtype=np.int64),
        is_write=np.array(writes, dtype=bool),
        arrival_cycles=np.array(arrivals, dtype=np.int64) if arrivals else None,
    )


def _parse(line: str, capacity_bytes: int, *, after: int) -> tuple[int, bool, int | None]:
    """(address, is it a write, cycle or None) of one line; cycles are not before `after`."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise SimulationError("a line must be `0xADDR READ|WRITE CYCLE` or `0xADDR R|W`", value=line)
    digits, long_form, cycle, short_form = match.groups()
    address = int(digits, 16)
    if address >= capacity_bytes:
        raise SimulationError(f"an address must lie in [0, {capacity_bytes:#x})", value=digits)
    if cycle is None:
        return address, short_form == "W", None
    arrival = int(cycle)
    if arrival < 0:
        raise SimulationError("a cycle must not be negative", value=arrival)
    if arrival > _LAST_CYCLE:
        raise SimulationError(f"a cycle must be at most {_LAST_CYCLE}", value=arrival)
    if arrival < after:
        raise SimulationError(f"cycles must not decrease, after {after}", value=arrival)
    return address, long_form == "WRITE", arrival
