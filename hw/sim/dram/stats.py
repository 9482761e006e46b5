"""What a run of the memory leaves behind: counters, state residency, latencies and the command trace."""

import csv
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from s2nn.hw.spec.errors import SimulationError


class CommandRecord(NamedTuple):
    """One command: DRAM cycle, name, bank (-1: all), row (-1: none), column of the first beat (-1: none)."""

    cycle: int
    command: str
    bank: int
    row: int
    column: int


@dataclass(frozen=True, kw_only=True)
class DramStats:
    """Counters of a run of `cycles` DRAM cycles. All integers; ratios are properties.

    A request is a row hit if its bank had its row open, a miss if the bank was precharged, a conflict if another row
    was open. The six residencies add up to `cycles`; refresh lasts tRFC from REF. Latency is from arrival to the end
    of the last data beat. Counters with a default are absent from older files.
    """

    preset: str
    t_ck_ps: int
    n_bl: int
    cycles: int
    num_act: int
    num_pre: int
    num_prea: int
    num_rd: int
    num_wr: int
    num_ref: int
    row_hits: int
    row_misses: int
    row_conflicts: int
    read_bytes: int
    write_bytes: int
    read_latency_min_cycles: int
    read_latency_max_cycles: int
    read_latency_sum_cycles: int
    active_standby_cycles: int
    precharge_standby_cycles: int
    refresh_cycles: int
    last_column_command_cycle: int
    finish_cycle: int  # cycle after the last data beat
    num_pde: int = 0
    num_pdx: int = 0
    num_sre: int = 0
    num_srx: int = 0
    active_power_down_cycles: int = 0
    precharge_power_down_cycles: int = 0
    self_refresh_cycles: int = 0

    @property
    def num_requests(self) -> int:
        """Column requests served."""
        return self.num_rd + self.num_wr

    @property
    def read_latency_mean_cycles(self) -> float:
        """Mean read latency in DRAM cycles; 0 if nothing was read."""
        return self.read_latency_sum_cycles / self.num_rd if self.num_rd else 0.0

    @property
    def bus_utilisation(self) -> float:
        """Fraction of all cycles in which the data bus moves data."""
        return self.num_requests * self.n_bl / self.cycles if self.cycles else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The counters for JSON, with the derived ratios beside them (ignored by `from_dict`)."""
        derived = {
            "read_latency_mean_cycles": self.read_latency_mean_cycles,
            "bus_utilisation": self.bus_utilisation,
        }
        return asdict(self) | derived

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "DramStats":
        """The inverse of `as_dict`; SimulationError names a counter that is absent."""
        missing = [field.name for field in fields(cls) if field.name not in values and field.default is MISSING]
        if missing:
            raise SimulationError("DRAM statistics must hold every counter", value=missing, field="missing")
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


@dataclass(frozen=True, kw_only=True)
class BankStats:
    """Counters of one bank. PREA and REF count for no bank."""

    bank: int
    num_act: int
    num_pre: int
    num_rd: int
    num_wr: int
    row_hits: int
    row_misses: int
    row_conflicts: int


def write_trace(path: Path, trace: Iterable[CommandRecord]):
    """Write `trace` as CSV with the header cycle,command,bank,row,column."""
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CommandRecord._fields)
        writer.writerows(trace)
