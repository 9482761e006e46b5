"""The memory as its users see it: bursts in, completion cycles out, statistics and the command trace afterwards."""

import ctypes
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from s2nn.hw.sim.dram.address import AddressMap
from s2nn.hw.sim.dram.config import ControllerConfig
from s2nn.hw.sim.dram.engine import AS_SOON_AS_POSSIBLE, UNKNOWN, Engine, State
from s2nn.hw.sim.dram.native import Core
from s2nn.hw.sim.dram.presets import DEFAULT_PRESET, preset
from s2nn.hw.sim.dram.standard import Command, DramStandard
from s2nn.hw.sim.dram.stats import BankStats, CommandRecord, DramStats
from s2nn.hw.sim.dram.twin import Twin
from s2nn.hw.spec.errors import SimulationError


class EngineName(StrEnum):
    """Which of the two equal implementations runs: the C++ core (fast) or the Python twin (readable)."""

    CORE = "core"
    TWIN = "twin"


class DramModel:
    """One channel of one rank behind an FR-FCFS controller (`twin` says its rules). Cycles are DRAM clocks from 0.

    Parameters
    ----------
    standard : a DramStandard or the name of a preset.
    config : the controller's policy.
    engine : the core needs a C++ compiler once; raises ToolError without one.
    record_trace : keep every command in `trace`.
    library : the core of this process, see `native.Core`; for the core only.
    """

    def __init__(
        self,
        standard: DramStandard | str = DEFAULT_PRESET,
        *,
        config: ControllerConfig | None = None,
        engine: EngineName | str = EngineName.CORE,
        record_trace: bool = False,
        library: ctypes.CDLL | None = None,
    ):
        self.standard = preset(standard) if isinstance(standard, str) else standard
        self.config = config or ControllerConfig()
        self.address_map = AddressMap(self.standard.organisation, self.config.mapping)
        self.engine: Engine
        if EngineName(engine) is EngineName.CORE:
            self.engine = Core(self.standard, self.config, record_trace=record_trace, library=library)
        else:
            self.engine = Twin(self.standard, self.config, record_trace=record_trace)
        self._last_arrival = 0

    # -- requests ------------------------------------------------------------------------------------------------------

    def submit(self, arrival_cycle: int, address: int, is_write: bool) -> int:
        """Queue one burst (`burst_bytes` at `address`) and return its id: 0, 1, 2, ... in order of submission.

        Arrivals must not decrease and must not lie before `now`; SimulationError otherwise, or for a bad address.
        """
        location = self.address_map.locate(address)
        self._check_arrivals(arrival_cycle, arrival_cycle)
        self.engine.submit(arrival_cycle, *location, is_write)
        return self.engine.num_requests - 1

    def submit_all(self, addresses: ArrayLike, is_write: ArrayLike, arrival_cycles: ArrayLike | None = None) -> range:
        """Queue many bursts, arrays of one length, and return their ids.

        Without `arrival_cycles` each request comes as soon as its queue has room, like those of a master that is held
        by back-pressure; with them the rules of `submit` hold.
        """
        places = self.address_map.locate_all(np.asarray(addresses, dtype=np.int64))
        writes = np.asarray(is_write, dtype=bool)
        if arrival_cycles is None:
            arrivals = np.full(len(writes), AS_SOON_AS_POSSIBLE, dtype=np.int64)
        else:
            arrivals = np.asarray(arrival_cycles, dtype=np.int64)
        if not len(places.bank) == len(writes) == len(arrivals):
            lengths = (len(places.bank), len(writes), len(arrivals))
            raise SimulationError("addresses, directions and arrivals must be of one length", value=lengths)
        if arrival_cycles is not None and len(arrivals):
            steps = np.flatnonzero(np.diff(arrivals) < 0)
            if steps.size:
                before, after = arrivals[steps[0] : steps[0] + 2].tolist()
                raise SimulationError(f"arrivals must be in order, after {before}", value=after)
            self._check_arrivals(int(arrivals[0]), int(arrivals[-1]))
        first = self.engine.num_requests
        self.engine.submit_all(arrivals, places, writes)
        return range(first, self.engine.num_requests)

    def _check_arrivals(self, first: int, last: int):
        if first < self._last_arrival or first < self.now:
            rule = f"arrivals must be in order and not before cycle {max(self._last_arrival, self.now)}"
            raise SimulationError(rule, value=first)
        self._last_arrival = last

    def completion_cycle(self, request_id: int) -> int | None:
        """Cycle after the request's last data beat, or None while its column command is undecided."""
        if not 0 <= request_id < self.engine.num_requests:
            raise SimulationError(f"a request must be one of {self.engine.num_requests}", value=request_id)
        cycle = self.engine.completion(request_id)
        return None if cycle == UNKNOWN else cycle

    @property
    def num_pending(self) -> int:
        """Requests whose column command has not been issued."""
        return self.engine.num_pending

    # -- time ----------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Every command before this cycle is decided."""
        return self.engine.now

    def advance(self, cycle: int):
        """Decide every command before `cycle`. Going backwards does nothing."""
        self.engine.advance(cycle)

    def drain(self) -> int:
        """Serve everything submitted, advance past its last data beat and return that cycle (`finish_cycle`)."""
        self.engine.drain()
        return self.engine.counters().finish_cycle

    @property
    def refresh_lateness_bound(self) -> int:
        """Most cycles from a refresh falling due to its REF, with postponement and power-down."""
        timing, config = self.standard.timing, self.config
        bound = self.standard.refresh_lateness_bound
        if config.max_postponed_refreshes:  # the one before may have been late, too
            bound = config.max_postponed_refreshes * timing.n_refi + max(bound, timing.n_rfc + timing.n_rp_ab)
        if config.power_down_after_cycles is not None:
            bound += timing.n_cke + timing.n_xp
        if config.self_refresh_after_cycles is not None:
            bound += timing.n_xs
        return bound

    # -- results -------------------------------------------------------------------------------------------------------

    @property
    def trace(self) -> list[CommandRecord]:
        """Every command, in order; empty without `record_trace`."""
        return self.engine.commands()

    def completion_cycles(self) -> NDArray[np.int64]:
        """Completion of every request in order of submission; -1 while undecided."""
        return self.engine.completions()

    def bank_stats(self) -> list[BankStats]:
        """Counters by bank."""
        return [
            BankStats(
                bank=bank,
                num_act=counters.commands[Command.ACT],
                num_pre=counters.commands[Command.PRE],
                num_rd=counters.commands[Command.RD],
                num_wr=counters.commands[Command.WR],
                row_hits=counters.outcomes[0],
                row_misses=counters.outcomes[1],
                row_conflicts=counters.outcomes[2],
            )
            for bank, counters in enumerate(self.engine.bank_counters())
        ]

    def stats(self) -> DramStats:
        """Counters of the cycles [0, now)."""
        counters = self.engine.counters()
        commands, state_cycles = counters.commands, counters.state_cycles
        hits, misses, conflicts = counters.outcomes
        burst_bytes = self.address_map.burst_bytes
        return DramStats(
            preset=self.standard.name,
            t_ck_ps=self.standard.timing.t_ck_ps,
            n_bl=self.standard.timing.n_bl,
            cycles=self.now,
            num_act=commands[Command.ACT],
            num_pre=commands[Command.PRE],
            num_prea=commands[Command.PREA],
            num_rd=commands[Command.RD],
            num_wr=commands[Command.WR],
            num_ref=commands[Command.REF],
            row_hits=hits,
            row_misses=misses,
            row_conflicts=conflicts,
            read_bytes=commands[Command.RD] * burst_bytes,
            write_bytes=commands[Command.WR] * burst_bytes,
            read_latency_min_cycles=counters.read_latency_min,
            read_latency_max_cycles=counters.read_latency_max,
            read_latency_sum_cycles=counters.read_latency_sum,
            active_standby_cycles=state_cycles[State.ACTIVE],
            precharge_standby_cycles=state_cycles[State.PRECHARGED],
            refresh_cycles=state_cycles[State.REFRESHING],
            last_column_command_cycle=counters.last_column_command_cycle,
            finish_cycle=counters.finish_cycle,
            num_pde=commands[Command.PDE],
            num_pdx=commands[Command.PDX],
            num_sre=commands[Command.SRE],
            num_srx=commands[Command.SRX],
            active_power_down_cycles=state_cycles[State.ACTIVE_POWER_DOWN],
            precharge_power_down_cycles=state_cycles[State.PRECHARGED_POWER_DOWN],
            self_refresh_cycles=state_cycles[State.SELF_REFRESH],
        )
