"""The memory controller in plain Python: the readable specification that the C++ core equals command for command.

One command per cycle at most. What a cycle does, first rule that applies:

1. Requests that have arrived enter the read or the write queue in order of submission, while their queue has room. One
   that finds an older request for the same burst in the other queue waits for it.
2. In power-down or self-refresh: PDX or SRX, when a request is queued, a refresh is due or self-refresh is to begin.
3. A refresh that is due while nothing is queued, or that may not be postponed further: PREA if a row is open, then REF.
   Nothing else is issued until then.
4. Idle for long enough: PREA if a row is open, then SRE. For a shorter time: PDE.
5. The active queue (reads; writes while they drain) is scheduled first-ready, first-come: a ready column command before
   a ready ACT or PRE, older before younger. Each bank works for the oldest hit on its open row, or, when there is none
   or `row_hit_cap` commands have passed it, for its oldest miss.
6. The page policy's PRE of a row that nobody in either queue wants.

Writes drain when there are no reads, when `write_high_watermark` is reached, or when the oldest read waits for one;
they stop at `write_low_watermark`. After self-refresh a refresh is due at once.

The model jumps from command to command, so idle time costs nothing. Integers only, no randomness.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim.dram.address import Locations
from s2nn.hw.sim.dram.config import ControllerConfig
from s2nn.hw.sim.dram.device import CLOSED, RANK_WIDE, Device, Power
from s2nn.hw.sim.dram.engine import AS_SOON_AS_POSSIBLE, FOREVER, UNKNOWN, BankCounters, Counters, State
from s2nn.hw.sim.dram.standard import Command, DramStandard
from s2nn.hw.sim.dram.stats import CommandRecord

_ACT, _PRE, _PREA, _RD, _RDA, _WR, _WRA, _REF, _PDE, _PDX, _SRE, _SRX = map(int, Command)
_HIT, _MISS, _CONFLICT = range(3)
_COLUMN_FIRST, _ROW_NEXT, _PAGE_POLICY, _POWER_DOWN = range(4)  # who wins a cycle
_STATE = {
    Power.UP: (State.PRECHARGED, State.ACTIVE),
    Power.DOWN: (State.PRECHARGED_POWER_DOWN, State.ACTIVE_POWER_DOWN),
    Power.SELF_REFRESH: (State.SELF_REFRESH, State.SELF_REFRESH),
}


@dataclass(slots=True, eq=False)
class _Request:
    ident: int
    arrival: int
    bank: int
    row: int
    column: int
    is_write: bool
    blocker: "_Request | None" = None  # youngest older request for the same burst in the other queue
    is_done: bool = False

    @property
    def place(self) -> tuple[int, int, int]:
        return self.bank, self.row, self.column

    @property
    def is_blocked(self) -> bool:
        return self.blocker is not None and not self.blocker.is_done


@dataclass(slots=True)
class _Choice:
    """A command that could be next, at `ready`; ties go to the lower `priority`, then the lower `order`."""

    ready: int
    priority: int
    order: int
    command: int
    bank: int
    request: _Request | None = None
    passes_older: bool = False

    @property
    def key(self) -> tuple[int, int, int]:
        return self.ready, self.priority, self.order


class Twin:
    """Controller and device of one channel; see `engine.Engine` for its interface."""

    def __init__(self, standard: DramStandard, config: ControllerConfig, *, record_trace: bool):
        self.now = 0
        self._timing, self._config, self._record_trace = standard.timing, config, record_trace
        self._device = Device(standard)
        num_banks = standard.organisation.num_banks
        self._backlog: deque[_Request] = deque()
        self._reads: list[_Request] = []
        self._writes: list[_Request] = []
        self._is_writing = False
        self._completion: list[int] = []
        self._refresh_due = self._timing.n_refi
        self._refresh_end = 0
        self._idle_since = 0  # the cycle after the last column command; read while idle only
        self._last_use = [0] * num_banks  # RD or WR: a row that was opened and not yet used is wanted
        self._passed = [0] * num_banks  # column commands that passed an older request since ACT
        self._outcome = [_HIT] * num_banks  # of the next column command
        self._trace: list[CommandRecord] = []
        self._counters = Counters()
        self._banks = [BankCounters() for _ in range(num_banks)]
        self._state, self._state_since = State.PRECHARGED, 0

    # -- the interface -------------------------------------------------------------------------------------------------

    def submit(self, arrival: int, bank: int, row: int, column: int, is_write: bool):
        """Append one request."""
        self._backlog.append(_Request(len(self._completion), arrival, bank, row, column, is_write))
        self._completion.append(UNKNOWN)

    def submit_all(self, arrivals: NDArray[np.int64], places: Locations, is_write: NDArray[np.bool_]):
        """Append many requests."""
        for request in zip(*(values.tolist() for values in (arrivals, *places, is_write)), strict=True):
            self.submit(*request)

    def completion(self, ident: int) -> int:
        """Cycle after the request's last data beat, or UNKNOWN."""
        return self._completion[ident]

    def completions(self) -> NDArray[np.int64]:
        """Completion of every request."""
        return np.array(self._completion, dtype=np.int64)

    @property
    def num_requests(self) -> int:
        """Requests so far."""
        return len(self._completion)

    @property
    def num_pending(self) -> int:
        """Requests without a column command."""
        return len(self._backlog) + len(self._reads) + len(self._writes)

    def advance(self, cycle: int):
        """Decide every command before `cycle`."""
        at = self.now
        while at < cycle:
            at = self._step(at, cycle)
        self.now = max(self.now, cycle)

    def drain(self):
        """Serve everything and advance past the last data beat."""
        at = self.now
        while self.num_pending:
            at = self._step(at, FOREVER)
        self.now = max(self.now, at)
        self.advance(self._counters.finish_cycle)

    def commands(self) -> list[CommandRecord]:
        """Every command so far."""
        return self._trace

    def counters(self) -> Counters:
        """Counters of the cycles [0, now)."""
        state_cycles = list(self._counters.state_cycles)
        state_cycles[self._state] += self.now - self._state_since
        refreshing = self._counters.commands[_REF] * self._timing.n_rfc - max(0, self._refresh_end - self.now)
        state_cycles[State.PRECHARGED] -= refreshing
        state_cycles[State.REFRESHING] = refreshing
        return self._counters.with_state_cycles(state_cycles)

    def bank_counters(self) -> list[BankCounters]:
        """Counters by bank."""
        return self._banks

    # -- a cycle -------------------------------------------------------------------------------------------------------

    def _step(self, cycle: int, until: int) -> int:
        """Issue the first command possible in [cycle, until); return the first cycle that is still undecided."""
        until = self._admit(cycle, until)
        is_idle = not (self._reads or self._writes)
        self_refresh_at = self._idle_since + self._config.self_refresh_limit_cycles if is_idle else FOREVER
        if self._device.power is Power.SELF_REFRESH:
            return until if is_idle else self._issue_rank(_SRX, cycle, until)
        if self._device.power is Power.DOWN:
            wake_at = min(self._refresh_due, self_refresh_at) if is_idle else cycle
            return self._issue_rank(_PDX, max(cycle, wake_at), until)
        refresh_at = self._refresh_due
        if not is_idle:
            refresh_at += self._config.max_postponed_refreshes * self._timing.n_refi
        if cycle >= refresh_at:
            return self._issue_rank(_PREA if self._device.num_open else _REF, cycle, until)
        if cycle >= self_refresh_at:
            return self._issue_rank(_PREA if self._device.num_open else _SRE, cycle, until)
        until = min(until, refresh_at, self_refresh_at)
        choices = self._page_policy_choices(cycle)
        if is_idle:
            choices.append(self._power_down_choice(cycle))
        else:
            choices += self._queue_choices(cycle)
        best = min(choices, key=lambda choice: choice.key, default=None)
        if best is None or best.ready >= until:
            return until
        self._act_on(best)
        return best.ready + 1

    def _admit(self, cycle: int, until: int) -> int:
        """Queue what has arrived by `cycle`; return when the next request arrives, if that is before `until`."""
        while self._backlog and self._backlog[0].arrival <= cycle:
            request = self._backlog[0]
            queue, other = (self._writes, self._reads) if request.is_write else (self._reads, self._writes)
            depth = self._config.write_queue_depth if request.is_write else self._config.read_queue_depth
            if len(queue) == depth:
                return until
            if request.arrival == AS_SOON_AS_POSSIBLE:
                request.arrival = cycle
            request.blocker = next((older for older in reversed(other) if older.place == request.place), None)
            queue.append(self._backlog.popleft())
        return min(until, self._backlog[0].arrival) if self._backlog else until

    def _choose_direction(self):
        """Reads or writes: `_is_writing` for this cycle."""
        reads, writes = self._reads, self._writes
        read_is_blocked = bool(reads) and reads[0].is_blocked
        if not writes or writes[0].is_blocked:
            self._is_writing = False
        elif not reads or read_is_blocked or len(writes) >= self._config.write_high_watermark:
            self._is_writing = True
        elif len(writes) <= self._config.write_low_watermark:
            self._is_writing = False

    def _queue_choices(self, cycle: int) -> list[_Choice]:
        self._choose_direction()
        hits: dict[int, _Choice] = {}
        misses: dict[int, _Request] = {}
        for request in self._writes if self._is_writing else self._reads:
            if request.is_blocked:
                continue
            bank = request.bank
            if self._device.open_row[bank] != request.row:
                misses.setdefault(bank, request)
            elif bank not in hits and not (bank in misses and self._passed[bank] >= self._config.row_hit_cap):
                command = _WR if request.is_write else _RD
                hits[bank] = self._choice(cycle, _COLUMN_FIRST, command, request, passes_older=bank in misses)
        choices = list(hits.values())
        for bank, request in misses.items():
            if bank not in hits:
                command = _ACT if self._device.open_row[bank] == CLOSED else _PRE
                choices.append(self._choice(cycle, _ROW_NEXT, command, request))
        return choices

    def _choice(self, cycle: int, priority: int, command: int, request: _Request, passes_older=False) -> _Choice:
        ready = max(cycle, self._device.earliest_cycle(command, request.bank))
        return _Choice(ready, priority, request.ident, command, request.bank, request, passes_older)

    def _page_policy_choices(self, cycle: int) -> list[_Choice]:
        """A PRE for each open row that no queued request wants."""
        limit = self._config.page_limit_cycles
        if limit >= FOREVER or not self._device.num_open:
            return []
        wanted = {(request.bank, request.row) for queue in (self._reads, self._writes) for request in queue}
        choices = []
        for bank, row in enumerate(self._device.open_row):
            if row != CLOSED and (bank, row) not in wanted:
                ready = max(cycle, self._last_use[bank] + limit, self._device.earliest_cycle(_PRE, bank))
                choices.append(_Choice(ready, _PAGE_POLICY, bank, _PRE, bank))
        return choices

    def _power_down_choice(self, cycle: int) -> _Choice:
        wanted_at = self._idle_since + self._config.power_down_limit_cycles
        ready = max(cycle, wanted_at, self._refresh_end, self._device.earliest_cycle(_PDE, RANK_WIDE))
        return _Choice(ready, _POWER_DOWN, 0, _PDE, RANK_WIDE)

    # -- commands ------------------------------------------------------------------------------------------------------

    def _issue_rank(self, command: int, cycle: int, until: int) -> int:
        """Issue a command without a bank as early as possible in [cycle, until)."""
        at = max(cycle, self._device.earliest_cycle(command, RANK_WIDE))
        if at >= until:
            return until
        self._issue(at, command, RANK_WIDE)
        if command == _REF:
            self._refresh_due += self._timing.n_refi
            self._refresh_end = at + self._timing.n_rfc
        elif command == _SRX:
            self._refresh_due = at
        return at + 1

    def _act_on(self, choice: _Choice):
        request, bank = choice.request, choice.bank
        if request is None:  # page policy or power-down
            self._issue(choice.ready, choice.command, bank)
        elif choice.command == _PRE:
            self._issue(choice.ready, _PRE, bank)
            self._outcome[bank] = _CONFLICT
        elif choice.command == _ACT:
            self._issue(choice.ready, _ACT, bank, request.row)
            self._outcome[bank] = max(self._outcome[bank], _MISS)
            self._passed[bank] = 0
        else:
            self._issue(choice.ready, choice.command, bank, request.row, request.column)
            self._passed[bank] += choice.passes_older
            self._complete(choice.ready, request)

    def _issue(self, cycle: int, command: int, bank: int, row: int = CLOSED, column: int = -1):
        self._device.issue(cycle, command, bank, row)
        self._counters.commands[command] += 1
        if bank != RANK_WIDE:
            self._banks[bank].commands[command] += 1
        if self._record_trace:
            self._trace.append(CommandRecord(cycle, Command(command).name, bank, row, column))
        state = _STATE[self._device.power][self._device.num_open > 0]
        if state is not self._state:
            self._counters.state_cycles[self._state] += cycle - self._state_since
            self._state, self._state_since = state, cycle

    def _complete(self, cycle: int, request: _Request):
        timing, counters, bank = self._timing, self._counters, request.bank
        (self._writes if request.is_write else self._reads).remove(request)
        request.is_done = True
        latency = timing.write_latency if request.is_write else timing.read_latency
        completion = cycle + latency + timing.n_bl
        self._completion[request.ident] = completion
        counters.outcomes[self._outcome[bank]] += 1
        self._banks[bank].outcomes[self._outcome[bank]] += 1
        self._outcome[bank] = _HIT
        self._last_use[bank] = cycle
        self._idle_since = cycle + 1
        counters.last_column_command_cycle = cycle
        counters.finish_cycle = max(counters.finish_cycle, completion)
        if not request.is_write:
            counters.count_read_latency(completion - request.arrival)
