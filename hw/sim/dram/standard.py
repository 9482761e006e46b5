"""A DRAM standard as data: organisation, timing, constraint rows and supply currents.

Nothing here acts. The device checks the rows, the controller obeys them, the energy model reads the currents; a new
standard is a new table. Timing is in whole clock cycles (`n_*`), time in picoseconds (`t_*_ps`).
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from s2nn.hw.spec.errors import ConfigError


class Command(IntEnum):
    """Commands on the command bus. PREA and REF act on the rank, the others on one bank; RDA and WRA close the row."""

    ACT = 0
    PRE = 1
    PREA = 2
    RD = 3
    RDA = 4
    WR = 5
    WRA = 6
    REF = 7


class Level(StrEnum):
    """How far a constraint reaches: between commands to one bank, or between any two commands to the rank."""

    BANK = "bank"
    RANK = "rank"


@dataclass(frozen=True, kw_only=True)
class TimingConstraint:
    """One row: a `following` command comes at least `latency` cycles after the `window`-th last `preceding` one.

    `window` is 1 for a plain gap; tFAW is ACT -> ACT with window 4. `rule` is the name that a datasheet gives the row.
    """

    rule: str
    level: Level
    preceding: tuple[Command, ...]
    following: tuple[Command, ...]
    latency: int
    window: int = 1

    def __post_init__(self):
        if self.latency < 1:
            raise ConfigError("a latency must be at least 1 cycle", value=self.latency, field=self.rule)
        if self.window < 1:
            raise ConfigError("a window must be at least 1 command", value=self.window, field=self.rule)


@dataclass(frozen=True, kw_only=True)
class Organisation:
    """Shape of one channel of one rank: `devices` chips side by side, each `device_width_bits` wide."""

    num_banks: int
    num_rows: int
    num_columns: int
    device_width_bits: int
    burst_length: int
    devices: int = 1

    def __post_init__(self):
        for field in ("num_banks", "num_rows", "num_columns", "device_width_bits", "burst_length", "devices"):
            value = getattr(self, field)
            if value < 1 or value & (value - 1):
                raise ConfigError("must be a power of two", value=value, field=field)
        if self.devices * self.device_width_bits < 8:
            raise ConfigError(
                "the data bus must be at least 8 bits wide",
                value=self.devices * self.device_width_bits,
                field="devices",
            )
        if self.burst_length > self.num_columns:
            raise ConfigError("a burst must fit a row", value=self.burst_length, field="burst_length")

    @property
    def column_bytes(self) -> int:
        """Bytes of one beat on the data bus."""
        return self.devices * self.device_width_bits // 8

    @property
    def burst_bytes(self) -> int:
        """Bytes that one RD or WR moves."""
        return self.column_bytes * self.burst_length

    @property
    def row_bytes(self) -> int:
        """Bytes of an open row (the page)."""
        return self.column_bytes * self.num_columns

    @property
    def capacity_bytes(self) -> int:
        """Bytes of the channel."""
        return self.row_bytes * self.num_rows * self.num_banks


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The clock in picoseconds and the timing parameters in its cycles, by their JEDEC names."""

    t_ck_ps: int
    n_bl: int  # cycles of the data bus per burst
    n_cl: int  # RD to first data
    n_cwl: int  # WR to first data
    n_rcd: int
    n_rp: int
    n_ras: int
    n_rc: int
    n_rrd: int
    n_faw: int
    n_ccd: int
    n_wtr: int
    n_wr: int
    n_rtp: int
    n_rfc: int
    n_refi: int

    def __post_init__(self):
        for field, value in vars(self).items():
            if value < 1:
                raise ConfigError("must be positive", value=value, field=field)
        if self.n_rc < self.n_ras + self.n_rp:
            raise ConfigError(
                f"must be at least n_ras + n_rp = {self.n_ras + self.n_rp}", value=self.n_rc, field="n_rc"
            )


@dataclass(frozen=True, kw_only=True)
class Currents:
    """Supply voltage (mV) and IDD currents of one device (mA), for the IDD energy method."""

    vdd_mv: int
    idd0_ma: int  # one bank ACT - PRE at tRC
    idd2n_ma: int  # precharge standby
    idd3n_ma: int  # active standby
    idd4r_ma: int  # burst read
    idd4w_ma: int  # burst write
    idd5b_ma: int  # burst refresh


@dataclass(frozen=True, kw_only=True)
class DramStandard:
    """Everything that the model knows about a memory. `name` identifies it in statistics and on command lines."""

    name: str
    organisation: Organisation
    timing: Timing
    constraints: tuple[TimingConstraint, ...]
    currents: Currents

    @property
    def refresh_lateness_bound(self) -> int:
        """Most cycles from a refresh falling due to its REF: any last command, PREA, REF (from the table itself)."""
        before = {Command.ACT, Command.RD, Command.WR}  # what the controller issues between refreshes
        to_prea = max(
            row.latency for row in self.constraints if Command.PREA in row.following and before & {*row.preceding}
        )
        to_ref = max(
            row.latency for row in self.constraints if Command.REF in row.following and Command.PREA in row.preceding
        )
        return to_prea + to_ref
