"""AXI4 as the memory understands it: bursts, the rules that a master must keep, faults and traffic by address region.

# Ref: ARM IHI 0022 (AMBA AXI and ACE protocol specification), chapter "Single interface requirements": burst address
# calculation, the 4 KiB boundary, handshake stability, response encoding.
"""

from dataclasses import dataclass
from enum import IntEnum

from s2nn.hw.spec.axi import BOUNDARY_BYTES, MAX_BURST_BEATS
from s2nn.hw.spec.errors import SimulationError


class Response(IntEnum):
    """RRESP and BRESP."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class BurstType(IntEnum):
    """ARBURST and AWBURST."""

    FIXED = 0
    INCR = 1
    WRAP = 2


@dataclass(frozen=True, kw_only=True)
class Burst:
    """One address phase. `beat_bytes` is 2**AxSIZE, `beats` is AxLEN + 1; refused unless an INCR burst by the rules."""

    channel: str
    ident: int
    address: int
    beats: int
    beat_bytes: int
    burst_type: int
    bus_bytes: int

    def __post_init__(self):
        if self.burst_type != BurstType.INCR:
            self._refuse("a burst must be of type INCR", self.burst_type)
        if self.beats > MAX_BURST_BEATS:
            self._refuse(f"a burst must have at most {MAX_BURST_BEATS} beats", self.beats)
        if self.beat_bytes > self.bus_bytes:
            self._refuse(f"a beat must fit the bus of {self.bus_bytes} bytes", self.beat_bytes)
        if self.address // BOUNDARY_BYTES != (self.end - 1) // BOUNDARY_BYTES:
            self._refuse("a burst must not cross 4 KiB", f"{self.address:#x}..{self.end:#x}")

    def _refuse(self, rule: str, value: object):
        raise SimulationError(rule, value=value, source="axi", field=self.channel)

    @property
    def start(self) -> int:
        """Address of the first beat, aligned to its size."""
        return self.address - self.address % self.beat_bytes

    @property
    def end(self) -> int:
        """Address after the last beat."""
        return self.start + self.beats * self.beat_bytes

    def beat_address(self, beat: int) -> int:
        """Aligned address of a beat."""
        return self.start + beat * self.beat_bytes


class StablePayload:
    """Valid and payload must hold until ready: remembers what was offered in the first stalled cycle.

    The payload is compared at the handshake, valid in every cycle (reading wide signals each cycle would cost more than
    the whole memory model).
    """

    def __init__(self, channel: str):
        self._channel = channel
        self._offered: tuple[int, ...] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether an offer waits for ready."""
        return self._offered is not None

    def stalled(self, payload: tuple[int, ...]):
        """The first cycle with valid and without ready."""
        self._offered = payload

    def withdrawn(self):
        """A cycle without valid; SimulationError if an offer was waiting."""
        if self._offered is not None:
            raise SimulationError("valid must hold until ready", value="withdrawn", source="axi", field=self._channel)

    def accepted(self, payload: tuple[int, ...]):
        """The handshake; SimulationError if the payload is not the one that was offered."""
        offered, self._offered = self._offered, None
        if offered is not None and offered != payload:
            raise SimulationError(
                f"the payload must hold until ready: {_hex(offered)} was offered",
                value=_hex(payload),
                source="axi",
                field=self._channel,
            )

    def reset(self):
        """Forget a waiting offer."""
        self._offered = None


def _hex(payload: tuple[int, ...]) -> str:
    return " ".join(f"{value:#x}" for value in payload)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Addresses [start, end) that answer `response`, hold no data (reads give 0) and cause no DRAM command."""

    start: int
    end: int
    response: Response


@dataclass(kw_only=True)
class Region:
    """Traffic of the addresses [start, end). A burst belongs to the region of its first beat, a byte to its own region.

    `*_bytes` are whole beats as the bus moves them; `strobed_bytes` are the written ones.
    """

    name: str
    start: int
    end: int
    read_bursts: int = 0
    read_bytes: int = 0
    write_bursts: int = 0
    write_bytes: int = 0
    strobed_bytes: int = 0

    def count(self, burst: Burst, *, is_write: bool):
        """Add the part of `burst` that lies here."""
        overlap = max(0, min(self.end, burst.end) - max(self.start, burst.start))
        starts_here = int(self.start <= burst.start < self.end)
        if is_write:
            self.write_bursts += starts_here
            self.write_bytes += overlap
        else:
            self.read_bursts += starts_here
            self.read_bytes += overlap

    def as_dict(self) -> dict[str, int]:
        """The counters for JSON."""
        names = ("read_bursts", "read_bytes", "write_bursts", "write_bytes", "strobed_bytes")
        return {name: getattr(self, name) for name in names}
