"""A DRAM standard as data: organisation, timing, constraint rows and supply currents.

Nothing here acts. The device checks the rows, the controller obeys them, the energy model reads the rails; a new
standard is a new table (`tables/*.toml`, or a user's file). Timing is in whole clock cycles (`n_*`), time in
picoseconds (`t_*_ps`), current in mA, voltage in mV.
"""

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from s2nn.hw.spec.errors import ConfigError


class Command(IntEnum):
    """Commands on the command bus. RDA and WRA close the row; PREA, REF and the power commands act on the rank."""

    ACT = 0
    PRE = 1
    PREA = 2
    RD = 3
    RDA = 4
    WR = 5
    WRA = 6
    REF = 7
    PDE = 8  # power-down entry
    PDX = 9  # power-down exit
    SRE = 10  # self-refresh entry
    SRX = 11  # self-refresh exit


#: Commands that act on all banks: they have no bank address.
RANK_COMMANDS = frozenset({Command.PREA, Command.REF, Command.PDE, Command.PDX, Command.SRE, Command.SRX})


class Level(StrEnum):
    """How far a constraint reaches: between commands to one bank, one bank group, or any two to the rank."""

    BANK = "bank"
    BANK_GROUP = "bank_group"
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
        if self.window > 1 and self.level is not Level.RANK:
            raise ConfigError("a row with a window must be of level rank", value=str(self.level), field=self.rule)
        for command in (*self.preceding, *self.following):
            if self.level is not Level.RANK and command in RANK_COMMANDS:
                rule = f"a row with {command.name}, which has no bank, must be of level rank"
                raise ConfigError(rule, value=str(self.level), field=self.rule)


@dataclass(frozen=True, kw_only=True)
class Organisation:
    """Shape of one channel of one rank: `devices` chips side by side, each `device_width_bits` wide.

    `num_banks` counts all banks; they divide evenly into `num_bank_groups`.
    """

    num_banks: int
    num_rows: int
    num_columns: int
    device_width_bits: int
    burst_length: int
    num_bank_groups: int = 1
    devices: int = 1

    def __post_init__(self):
        for field, value in vars(self).items():
            if value < 1 or value & (value - 1):
                raise ConfigError("must be a power of two", value=value, field=field)
        if self.bus_width_bits < 8:
            raise ConfigError("the data bus must be at least 8 bits wide", value=self.bus_width_bits, field="devices")
        if self.burst_length > self.num_columns:
            raise ConfigError("a burst must fit a row", value=self.burst_length, field="burst_length")
        if self.num_bank_groups > self.num_banks:
            raise ConfigError(
                f"must be at most num_banks = {self.num_banks}", value=self.num_bank_groups, field="num_bank_groups"
            )

    @property
    def bus_width_bits(self) -> int:
        """Bits of the data bus."""
        return self.devices * self.device_width_bits

    @property
    def banks_per_group(self) -> int:
        """Banks of one bank group."""
        return self.num_banks // self.num_bank_groups

    @property
    def column_bytes(self) -> int:
        """Bytes of one beat on the data bus."""
        return self.bus_width_bits // 8

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
    """The clock in picoseconds and the timing parameters in its cycles, by their JEDEC names.

    `_s` holds between bank groups, `_l` within one; without bank groups the two are equal.
    """

    t_ck_ps: int
    n_bl: int  # cycles of the data bus per burst
    n_cl: int  # RD to first data (RL), without n_dqsck
    n_cwl: int  # WR to first data (WL), without n_dqss
    n_rcd: int
    n_rp: int  # one bank
    n_rp_ab: int  # all banks
    n_ras: int
    n_rc: int
    n_rrd_s: int
    n_rrd_l: int
    n_faw: int
    n_ccd_s: int
    n_ccd_l: int
    n_wtr_s: int
    n_wtr_l: int
    n_wr: int
    n_rtp: int
    n_rfc: int
    n_refi: int
    n_pden: int  # ACT, PRE or REF to power-down entry (tACTPDEN, tPRPDEN, tREFPDEN; LPDDR4: tCMDCKE)
    n_cke: int  # least time in power-down, and between two of them
    n_xp: int
    n_ckesr: int  # least time in self-refresh
    n_xs: int  # self-refresh exit to a command without DLL
    n_xsdll: int  # self-refresh exit to RD
    n_turn: int = 2  # idle cycles of the data bus between a read and a write burst
    n_dqsck: int = 0  # LPDDR4: RL to data
    n_dqss: int = 0  # LPDDR4: WL to data

    def __post_init__(self):
        for field, value in vars(self).items():
            least = 0 if field in ("n_turn", "n_dqsck", "n_dqss") else 1
            if value < least:
                raise ConfigError(f"must be at least {least}", value=value, field=field)
        if self.n_rc < self.n_ras + self.n_rp:
            raise ConfigError(
                f"must be at least n_ras + n_rp = {self.n_ras + self.n_rp}", value=self.n_rc, field="n_rc"
            )
        if self.n_refi <= self.n_rfc:
            raise ConfigError(f"must be more than n_rfc = {self.n_rfc}", value=self.n_refi, field="n_refi")

    @property
    def read_latency(self) -> int:
        """Cycles from RD to the first data beat."""
        return self.n_cl + self.n_dqsck

    @property
    def write_latency(self) -> int:
        """Cycles from WR to the first data beat."""
        return self.n_cwl + self.n_dqss


@dataclass(frozen=True, kw_only=True)
class Rail:
    """One supply: its voltage (mV) and what one device draws from it (mA), by JEDEC's IDD conditions."""

    name: str
    voltage_mv: float
    idd0_ma: float  # one bank ACT - PRE at tRC
    idd2n_ma: float  # precharge standby
    idd2p_ma: float  # precharge power-down
    idd3n_ma: float  # active standby
    idd3p_ma: float  # active power-down
    idd4r_ma: float  # burst read
    idd4w_ma: float  # burst write
    idd5b_ma: float  # burst refresh
    idd6_ma: float  # self-refresh

    def __post_init__(self):
        for field, value in vars(self).items():
            if field != "name" and value < 0:
                raise ConfigError("must not be negative", value=value, field=field)


@dataclass(frozen=True, kw_only=True)
class Interface:
    """Energy of the data pins, pJ per transferred bit: drivers and termination, no core."""

    read_pj_per_bit: float
    write_pj_per_bit: float

    def __post_init__(self):
        for field, value in vars(self).items():
            if value < 0:
                raise ConfigError("must not be negative", value=value, field=field)


@dataclass(frozen=True, kw_only=True)
class DramStandard:
    """Everything that the model knows about a memory. `name` identifies it in statistics and on command lines."""

    name: str
    organisation: Organisation
    timing: Timing
    constraints: tuple[TimingConstraint, ...]
    rails: tuple[Rail, ...]
    interface: Interface | None = None

    def with_bus_width(self, bus_width_bits: int) -> "DramStandard":
        """The same devices, as many side by side as fill a bus of `bus_width_bits`; named NAME:BITS."""
        width = self.organisation.device_width_bits
        if bus_width_bits < width or bus_width_bits % width:
            raise ConfigError(f"a bus must be a multiple of the device's {width} bits wide", value=bus_width_bits)
        organisation = replace(self.organisation, devices=bus_width_bits // width)
        return replace(self, name=f"{self.name}:{bus_width_bits}", organisation=organisation)

    @property
    def refresh_lateness_bound(self) -> int:
        """Most cycles from a refresh falling due to its REF: any last command, PREA, REF (from the table itself)."""
        before = {Command.ACT, Command.RD, Command.WR}  # what the controller issues between refreshes
        return self._longest(before, Command.PREA) + self._longest({Command.PREA}, Command.REF)

    def _longest(self, preceding: set[Command], following: Command) -> int:
        """Longest plain gap from one of `preceding` to `following`."""
        return max(
            (row.latency for row in self.constraints if following in row.following and preceding & {*row.preceding}),
            default=1,
        )
