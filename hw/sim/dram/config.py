"""What can be chosen about the memory controller; the defaults are those of the RTL bench."""

from dataclasses import dataclass
from enum import StrEnum

from s2nn.hw.sim.dram.address import Mapping
from s2nn.hw.spec.errors import ConfigError

#: Most refreshes that JEDEC lets a controller postpone (DDR3, DDR4, LPDDR4).
MAX_POSTPONED_REFRESHES = 8
_NEVER = 1 << 60


class PagePolicy(StrEnum):
    """When a row is closed that no queued request wants: never, at once, or after a time without a command to it."""

    OPEN = "open"
    CLOSE = "close"
    TIMEOUT = "timeout"


@dataclass(frozen=True, kw_only=True)
class ControllerConfig:
    """Policy of one channel's controller. Times in DRAM cycles, depths in requests.

    Parameters
    ----------
    mapping : which address bits are row, bank, bank group and column.
    page_policy, page_timeout_cycles : see PagePolicy; the timeout counts for TIMEOUT only.
    read_queue_depth, write_queue_depth : requests that the scheduler sees; later ones wait outside, in order.
    write_high_watermark, write_low_watermark : queued writes at which writing begins although reads wait, and at
        which it ends again.
    row_hit_cap : column commands to an open row that may pass an older request for another row of the bank.
    max_postponed_refreshes : refreshes that may be owed while requests wait.
    power_down_after_cycles, self_refresh_after_cycles : idle time before entry; None: never.
    """

    # Guess: the depths, watermarks, cap and timeout are those of no product; published simulators use 8 to 64 entries.
    mapping: Mapping = Mapping.ROW_BANK_COLUMN_GROUP
    page_policy: PagePolicy = PagePolicy.OPEN
    page_timeout_cycles: int = 200
    read_queue_depth: int = 32
    write_queue_depth: int = 32
    write_high_watermark: int = 24
    write_low_watermark: int = 8
    row_hit_cap: int = 16
    max_postponed_refreshes: int = 0
    power_down_after_cycles: int | None = None
    self_refresh_after_cycles: int | None = None

    def __post_init__(self):
        for field, low, high in (
            ("page_timeout_cycles", 1, None),
            ("read_queue_depth", 1, None),
            ("write_queue_depth", 1, None),
            ("write_high_watermark", 1, self.write_queue_depth),
            ("write_low_watermark", 0, self.write_high_watermark - 1),
            ("row_hit_cap", 1, None),
            ("max_postponed_refreshes", 0, MAX_POSTPONED_REFRESHES),
            ("power_down_after_cycles", 1, None),
            ("self_refresh_after_cycles", 1, None),
        ):
            value = getattr(self, field)
            if value is not None and (value < low or value > (_NEVER if high is None else high)):
                bounds = f"at least {low}" if high is None else f"in {low}..{high}"
                raise ConfigError(f"must be {bounds}", value=value, field=field)

    @property
    def page_limit_cycles(self) -> int:
        """Cycles after its last command at which an unwanted row is closed."""
        return {PagePolicy.OPEN: _NEVER, PagePolicy.CLOSE: 0}.get(self.page_policy, self.page_timeout_cycles)

    @property
    def power_down_limit_cycles(self) -> int:
        """Idle cycles before power-down."""
        return _NEVER if self.power_down_after_cycles is None else self.power_down_after_cycles

    @property
    def self_refresh_limit_cycles(self) -> int:
        """Idle cycles before self-refresh."""
        return _NEVER if self.self_refresh_after_cycles is None else self.self_refresh_after_cycles
