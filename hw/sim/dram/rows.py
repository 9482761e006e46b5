"""The constraint rows that the standards share, as data, and the small language in which latencies are written.

A latency is a sum of timing parameters and numbers: "n_cl + n_bl + n_turn - n_cwl". A standard's file names one of
`SHARED_ROWS` or brings its own rows in the same form.

# Ref: JEDEC JESD79-3F (DDR3), JESD79-4 (DDR4), JESD209-4 (LPDDR4): command-to-command rules without ZQ calibration,
# on-die termination and masked writes.
"""

import re
from typing import NamedTuple

from s2nn.hw.sim.dram.standard import Command, Level, Timing, TimingConstraint
from s2nn.hw.spec.errors import ConfigError

ACT, PRE, PREA, RD, RDA, WR, WRA, REF, PDE, PDX, SRE, SRX = Command
BANK, BANK_GROUP, RANK = Level


class Row(NamedTuple):
    """A TimingConstraint whose latency is still an expression."""

    rule: str
    level: Level
    preceding: tuple[Command, ...]
    following: tuple[Command, ...]
    latency: str
    window: int = 1


_READS, _WRITES = (RD, RDA), (WR, WRA)
_WRITE_END = "n_cwl + n_dqss + n_bl"  # WR to the cycle after its last beat
_READ_END = "n_cl + n_dqsck + n_bl"

_SDRAM = (
    # Between commands to one bank.
    Row("tRCD", BANK, (ACT,), (RD, RDA, WR, WRA), "n_rcd"),
    Row("tRAS", BANK, (ACT,), (PRE,), "n_ras"),
    Row("tRC", BANK, (ACT,), (ACT,), "n_rc"),
    Row("tRP", BANK, (PRE,), (ACT,), "n_rp"),
    Row("tRTP", BANK, (RD,), (PRE,), "n_rtp"),
    Row("tWR", BANK, (WR,), (PRE,), f"{_WRITE_END} + n_wr"),
    Row("tRTP+tRP", BANK, (RDA,), (ACT,), "n_rtp + n_rp"),
    Row("tWR+tRP", BANK, (WRA,), (ACT,), f"{_WRITE_END} + n_wr + n_rp"),
    # Between commands to one bank group.
    Row("tRRD_L", BANK_GROUP, (ACT,), (ACT,), "n_rrd_l"),
    Row("tCCD_L read", BANK_GROUP, _READS, _READS, "n_ccd_l"),
    Row("tCCD_L write", BANK_GROUP, _WRITES, _WRITES, "n_ccd_l"),
    Row("tWTR_L", BANK_GROUP, _WRITES, _READS, f"{_WRITE_END} + n_wtr_l"),
    # Between any two commands to the rank.
    Row("tRRD_S", RANK, (ACT,), (ACT,), "n_rrd_s"),
    Row("tFAW", RANK, (ACT,), (ACT,), "n_faw", window=4),
    Row("tCCD_S read", RANK, _READS, _READS, "n_ccd_s"),
    Row("tCCD_S write", RANK, _WRITES, _WRITES, "n_ccd_s"),
    Row("read to write", RANK, _READS, _WRITES, f"{_READ_END} + n_turn - n_cwl"),
    Row("tWTR_S", RANK, _WRITES, _READS, f"{_WRITE_END} + n_wtr_s"),
    # Precharge all waits for every bank.
    Row("tRAS all", RANK, (ACT,), (PREA,), "n_ras"),
    Row("tRTP all", RANK, _READS, (PREA,), "n_rtp"),
    Row("tWR all", RANK, _WRITES, (PREA,), f"{_WRITE_END} + n_wr"),
    Row("tRP all", RANK, (PREA,), (ACT,), "n_rp_ab"),
    # Refresh and self-refresh: every bank precharged before, then tRFC of silence.
    Row("tRC refresh", RANK, (ACT,), (REF, SRE), "n_rc"),
    Row("tRP refresh", RANK, (PRE,), (REF, SRE), "n_rp"),
    Row("tRP all refresh", RANK, (PREA,), (REF, SRE), "n_rp_ab"),
    Row("tRTP+tRP refresh", RANK, (RDA,), (REF, SRE), "n_rtp + n_rp"),
    Row("tWR+tRP refresh", RANK, (WRA,), (REF, SRE), f"{_WRITE_END} + n_wr + n_rp"),
    Row("tRFC", RANK, (REF,), (ACT, PREA, REF, SRE), "n_rfc"),
    # Power-down.
    Row("tACTPDEN", RANK, (ACT, PRE, PREA, REF), (PDE,), "n_pden"),
    Row("tRDPDEN", RANK, _READS, (PDE,), f"{_READ_END} + 1"),
    Row("tWRPDEN", RANK, (WR,), (PDE,), f"{_WRITE_END} + n_wr"),
    Row("tWRAPDEN", RANK, (WRA,), (PDE,), f"{_WRITE_END} + n_wr + 1"),
    Row("tPD", RANK, (PDE,), (PDX,), "n_cke"),
    Row("tCKE", RANK, (PDX,), (PDE,), "n_cke"),
    Row("tXP", RANK, (PDX,), (ACT, PRE, PREA, RD, RDA, WR, WRA, REF, SRE), "n_xp"),
    # Self-refresh. Reading needs a locked DLL.
    Row("tRDPDEN self-refresh", RANK, _READS, (SRE,), f"{_READ_END} + 1"),
    Row("tCKESR", RANK, (SRE,), (SRX,), "n_ckesr"),
    Row("tXS", RANK, (SRX,), (ACT, PRE, PREA, WR, WRA, REF, PDE, SRE), "n_xs"),
    Row("tXSDLL", RANK, (SRX,), _READS, "n_xsdll"),
)

# LPDDR4 sends a command in two cycles, and ACT, RD and WR in four (ACT-1 ACT-2, RD-1 CAS-2).
_LPDDR4 = (
    *_SDRAM,
    Row("tPPD", RANK, (PRE, PREA), (PRE, PREA), "4"),
    Row("long command", RANK, (ACT, RD, RDA, WR, WRA), (ACT, PRE, PREA, RD, RDA, WR, WRA, REF), "4"),
    Row("short command", RANK, (PRE, PREA), (ACT, RD, RDA, WR, WRA, REF), "2"),
)

SHARED_ROWS: dict[str, tuple[Row, ...]] = {"sdram": _SDRAM, "lpddr4": _LPDDR4}

_TERM = re.compile(r"\s*([+-]?)\s*(n_[a-z0-9_]+|\d+)\s*")


def resolve(row: Row, timing: Timing) -> TimingConstraint:
    """The row with its latency in cycles; ConfigError for an unknown parameter or a malformed expression."""
    return TimingConstraint(
        rule=row.rule,
        level=row.level,
        preceding=row.preceding,
        following=row.following,
        latency=evaluate(row.latency, timing, field=row.rule),
        window=row.window,
    )


def evaluate(expression: str, timing: Timing, *, field: str) -> int:
    """The value, in cycles, of a sum of timing parameters and numbers."""
    position, total = 0, 0
    while position < len(expression):
        term = _TERM.match(expression, position)
        if term is None or (position > 0 and not term[1]):
            raise ConfigError("a latency must be a sum of n_* parameters and numbers", value=expression, field=field)
        if not term[2].isdigit() and not hasattr(timing, term[2]):
            raise ConfigError("a latency must name parameters of [timing]", value=term[2], field=field)
        value = int(term[2]) if term[2].isdigit() else getattr(timing, term[2])
        total += -value if term[1] == "-" else value
        position = term.end()
    return total
