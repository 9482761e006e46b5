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

_LINE = re.compile(r"(0x[0-9a-fA-F]+)\s+(?:(READ|WRITE)\s+(-?\d+)|([RW]))")
_RULE = "a line must be `0xADDR READ|WRITE CYCLE` or `0xADDR R|W`"
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

        def refuse(rule: str, value: object, number: int = number):
            raise SimulationError(rule, value=value, field=f"line {number}", source=path)

        match = _LINE.fullmatch(stripped)
        if match is None:
            refuse(_RULE, stripped)
        address, long_form, cycle, short_form = match.groups()
        if int(address, 16) >= capacity_bytes:
            refuse(f"an address must lie in [0, {capacity_bytes:#x})", address)
        if addresses and bool(arrivals) != (cycle is not None):
            refuse("all lines must have a cycle, or none", stripped)
        if cycle is not None:
            if int(cycle) < 0:
                refuse("a cycle must not be negative", int(cycle))
            if int(cycle) > _LAST_CYCLE:
                refuse(f"a cycle must be at most {_LAST_CYCLE}", int(cycle))
            if arrivals and int(cycle) < arrivals[-1]:
                refuse(f"cycles must not decrease, after {arrivals[-1]}", int(cycle))
            arrivals.append(int(cycle))
        addresses.append(int(address, 16))
        writes.append((long_form or short_form)[0] == "W")
    return RequestTrace(
        addresses=np.array(addresses, dtype=np.int64),
        is_write=np.array(writes, dtype=bool),
        arrival_cycles=np.array(arrivals, dtype=np.int64) if arrivals else None,
    )
