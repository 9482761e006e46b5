"""What the Python twin and the C++ core have in common: their interface and the counters that they must agree on."""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim.dram.address import Locations
from s2nn.hw.sim.dram.standard import Command
from s2nn.hw.sim.dram.stats import CommandRecord

UNKNOWN = -1  # completion of a request whose column command is undecided
AS_SOON_AS_POSSIBLE = -1  # arrival of a request that comes when its queue has room
FOREVER = 1 << 60


class State(IntEnum):
    """What the rank's background current depends on."""

    PRECHARGED = 0
    ACTIVE = 1
    PRECHARGED_POWER_DOWN = 2
    ACTIVE_POWER_DOWN = 3
    SELF_REFRESH = 4
    REFRESHING = 5


@dataclass
class Counters:
    """Raw counters of a run: by Command, by outcome (hit, miss, conflict), by State; times in cycles."""

    commands: list[int] = field(default_factory=lambda: [0] * len(Command))
    outcomes: list[int] = field(default_factory=lambda: [0] * 3)
    state_cycles: list[int] = field(default_factory=lambda: [0] * len(State))
    read_latency_min: int = 0
    read_latency_max: int = 0
    read_latency_sum: int = 0
    last_column_command_cycle: int = 0
    finish_cycle: int = 0

    def count_read_latency(self, latency: int):
        """Count the latency of the read that `commands` counted last."""
        is_first = self.commands[Command.RD] == 1
        self.read_latency_min = latency if is_first else min(self.read_latency_min, latency)
        self.read_latency_max = max(self.read_latency_max, latency)
        self.read_latency_sum += latency

    def with_state_cycles(self, state_cycles: list[int]) -> "Counters":
        """A copy with other residencies."""
        return replace(
            self, commands=list(self.commands), outcomes=list(self.outcomes), state_cycles=list(state_cycles)
        )


@dataclass
class BankCounters:
    """Raw counters of one bank: by Command (PREA and REF count for no bank), by outcome."""

    commands: list[int] = field(default_factory=lambda: [0] * len(Command))
    outcomes: list[int] = field(default_factory=lambda: [0] * 3)


class Engine(Protocol):
    """A controller with its device. Causal: what happens before `now` is decided, later submissions cannot change it.

    Arguments are checked by `DramModel`, which is what users see.
    """

    @property
    def now(self) -> int:
        """Every command before this cycle is decided."""
        ...

    @property
    def num_pending(self) -> int:
        """Requests without a column command."""
        ...

    @property
    def num_requests(self) -> int:
        """Requests so far."""
        ...

    def submit(self, arrival: int, bank: int, row: int, column: int, is_write: bool) -> None:
        """Append one request; ids count from 0. Arrivals do not decrease, or are AS_SOON_AS_POSSIBLE."""
        ...

    def submit_all(self, arrivals: NDArray[np.int64], places: Locations, is_write: NDArray[np.bool_]) -> None:
        """Append many requests."""
        ...

    def completion(self, ident: int) -> int:
        """Cycle after the request's last data beat, or UNKNOWN."""
        ...

    def completions(self) -> NDArray[np.int64]:
        """Completion of every request in order of submission."""
        ...

    def advance(self, cycle: int) -> None:
        """Decide every command before `cycle`. Going backwards does nothing."""
        ...

    def drain(self) -> None:
        """Serve everything and advance past the last data beat."""
        ...

    def commands(self) -> list[CommandRecord]:
        """Every command so far, if they are recorded."""
        ...

    def counters(self) -> Counters:
        """Counters of the cycles [0, now)."""
        ...

    def bank_counters(self) -> list[BankCounters]:
        """Counters by bank."""
        ...
