"""The memory controller: column requests in, completion cycles out, one command per cycle at most.

Policy, in order of priority at each cycle:

1. A refresh that is due (every tREFI, on a fixed grid) stops new commands: PREA as soon as allowed if a row is open,
   then REF. A REF is late by at most `DramStandard.refresh_lateness_bound` cycles, and never accumulates delay.
2. Column commands go strictly in order of submission (AXI read data must return in order anyway, and nothing starves).
3. While the oldest request waits, the next `lookahead` requests may prepare *their* banks (PRE, ACT), each bank for the
   oldest request that wants it; the oldest ready command wins the cycle. Rows stay open until another is wanted or a
   refresh comes (open page).

The model is causal: `advance(cycle)` decides the commands of all cycles before `cycle`, and later submissions cannot
change them. It jumps from command to command, so idle time costs nothing. Integers only, no randomness.
"""

from collections import deque

from s2nn.hw.sim.dram.address import AddressMap
from s2nn.hw.sim.dram.device import CLOSED, RANK_WIDE, Device
from s2nn.hw.sim.dram.presets import DEFAULT_PRESET, preset
from s2nn.hw.sim.dram.standard import Command, DramStandard
from s2nn.hw.sim.dram.stats import CommandRecord, DramStats
from s2nn.hw.spec.errors import SimulationError

_ACT, _PRE, _PREA, _RD, _WR, _REF = (
    int(c) for c in (Command.ACT, Command.PRE, Command.PREA, Command.RD, Command.WR, Command.REF)
)
_HIT, _MISS, _CONFLICT = range(3)
_UNKNOWN = -1
_FOREVER = 1 << 62


class DramModel:
    """One channel of one rank behind an in-order controller. Cycles are DRAM clock cycles from 0.

    Parameters
    ----------
    standard : a DramStandard or the name of a preset.
    lookahead : how many of the oldest requests may prepare banks, the oldest included.
    record_trace : keep every command in `trace`.

    Members
    -------
    now : every command before this cycle is decided.
    trace : list of CommandRecord, empty without `record_trace`.
    """

    def __init__(
        self, standard: DramStandard | str = DEFAULT_PRESET, *, lookahead: int = 16, record_trace: bool = False
    ):
        if lookahead < 1:
            raise SimulationError("lookahead must be at least 1 request", value=lookahead)
        self.standard = preset(standard) if isinstance(standard, str) else standard
        self.address_map = AddressMap(self.standard.organisation)
        self.now = 0
        self.trace: list[CommandRecord] = []
        self._record_trace = record_trace
        self._lookahead = lookahead
        self._device = Device(self.standard)
        num_banks = self.standard.organisation.num_banks
        # Per bank, the waiting requests (id, arrival, row, column, is_write), oldest first; `_busy_banks` have some.
        self._queues: list[deque[tuple[int, int, int, int, bool]]] = [deque() for _ in range(num_banks)]
        self._busy_banks: list[int] = []
        self._head_outcome = [_HIT] * num_banks
        self._completion: list[int] = []
        self._next_column = 0  # id of the request whose column command comes next
        self._last_arrival = 0
        self._refresh_due = self.standard.timing.n_refi
        self._counts = [0] * len(Command)
        self._outcomes = [0, 0, 0]
        self._latency_min, self._latency_max, self._latency_sum = 0, 0, 0
        self._last_column_command, self._finish = 0, 0
        # Residency: cycles of closed intervals by state, and where the open one began.
        self._active_cycles, self._state_since = 0, 0
        self._last_refresh = _UNKNOWN

    # -- requests ------------------------------------------------------------------------------------------------------

    def submit(self, arrival_cycle: int, address: int, is_write: bool) -> int:
        """Queue one burst (`burst_bytes` at `address`) and return its id: 0, 1, 2, ... in order of submission.

        Arrivals must not decrease and must not lie before `now`; SimulationError otherwise, or for a bad address.
        """
        if arrival_cycle < self._last_arrival or arrival_cycle < self.now:
            rule = f"arrivals must be in order and not before cycle {max(self._last_arrival, self.now)}"
            raise SimulationError(rule, value=arrival_cycle)
        bank, row, column = self.address_map.locate(address)
        request_id = len(self._completion)
        self._last_arrival = arrival_cycle
        self._completion.append(_UNKNOWN)
        queue = self._queues[bank]
        if not queue:
            self._busy_banks.append(bank)
        queue.append((request_id, arrival_cycle, row, column, is_write))
        return request_id

    def completion_cycle(self, request_id: int) -> int | None:
        """Cycle after the request's last data beat, or None while its column command is undecided."""
        cycle = self._completion[request_id]
        return None if cycle == _UNKNOWN else cycle

    @property
    def num_pending(self) -> int:
        """Requests whose column command has not been issued."""
        return len(self._completion) - self._next_column

    # -- time ----------------------------------------------------------------------------------------------------------

    def advance(self, cycle: int):
        """Decide every command before `cycle`. Going backwards does nothing."""
        at = self.now
        while at < cycle:
            at = self._step(at, cycle)
        self.now = max(self.now, cycle)

    def drain(self) -> int:
        """Serve everything submitted, advance past its last data beat and return that cycle (`finish_cycle`)."""
        at = self.now
        while self.num_pending:
            at = self._step(at, _FOREVER)
        self.now = max(self.now, at)
        self.advance(self._finish)
        return self._finish

    def _step(self, cycle: int, until: int) -> int:
        """Issue the first command possible in [cycle, until); return the first cycle that is still undecided."""
        if cycle >= self._refresh_due:
            return self._refresh(cycle, until)
        at, bank, command, request = min(until, self._refresh_due), CLOSED, 0, None
        first_id, last_id = self._next_column, self._next_column + self._lookahead
        for candidate_bank in self._busy_banks:
            candidate = self._queues[candidate_bank][0]
            candidate_id, arrival, row, _, is_write = candidate
            if candidate_id >= last_id:
                continue
            open_row = self._device.open_row[candidate_bank]
            if open_row == row:
                if candidate_id != first_id:
                    continue
                needed = _WR if is_write else _RD
            else:
                needed = _ACT if open_row == CLOSED else _PRE
            ready = max(cycle, arrival, self._device.earliest_cycle(needed, candidate_bank))
            if ready < at or (ready == at and request is not None and candidate_id < request[0]):
                at, bank, command, request = ready, candidate_bank, needed, candidate
        if request is None:
            return at
        if command == _ACT:
            self._issue(at, _ACT, bank, request[2], -1)
            self._head_outcome[bank] = max(self._head_outcome[bank], _MISS)
        elif command == _PRE:
            self._issue(at, _PRE, bank, -1, -1)
            self._head_outcome[bank] = _CONFLICT
        else:
            self._issue(at, command, bank, request[2], request[3])
            self._complete(at, command, bank, request)
        return at + 1

    def _refresh(self, cycle: int, until: int) -> int:
        command = _PREA if self._device.num_open else _REF
        at = max(cycle, self._device.earliest_cycle(command, RANK_WIDE))
        if at >= until:
            return until
        self._issue(at, command, RANK_WIDE, -1, -1)
        if command == _REF:
            self._refresh_due += self.standard.timing.n_refi
        return at + 1

    def _issue(self, cycle: int, command: int, bank: int, row: int, column: int):
        was_open = self._device.num_open
        self._device.issue(cycle, command, bank, row)
        self._counts[command] += 1
        if self._record_trace:
            self.trace.append(CommandRecord(cycle, Command(command).name, bank, row, column))
        if command == _REF:
            self._last_refresh = cycle
        elif not was_open and self._device.num_open:
            self._state_since = cycle
        elif was_open and not self._device.num_open:
            self._active_cycles += cycle - self._state_since

    def _complete(self, cycle: int, command: int, bank: int, request: tuple[int, int, int, int, bool]):
        timing = self.standard.timing
        data_latency = timing.n_cl if command == _RD else timing.n_cwl
        completion = cycle + data_latency + timing.n_bl
        queue = self._queues[bank]
        queue.popleft()
        if not queue:
            self._busy_banks.remove(bank)
        self._completion[request[0]] = completion
        self._next_column += 1
        self._outcomes[self._head_outcome[bank]] += 1
        self._head_outcome[bank] = _HIT
        self._last_column_command = cycle
        self._finish = max(self._finish, completion)
        if command == _RD:
            latency = completion - request[1]
            self._latency_min = min(self._latency_min, latency) if self._counts[_RD] > 1 else latency
            self._latency_max = max(self._latency_max, latency)
            self._latency_sum += latency

    # -- results -------------------------------------------------------------------------------------------------------

    def stats(self) -> DramStats:
        """Counters of the cycles [0, now)."""
        active, refresh = self._active_cycles, self._counts[_REF] * self.standard.timing.n_rfc
        if self._device.num_open:
            active += self.now - self._state_since
        if self._last_refresh != _UNKNOWN:  # the last refresh may not be over
            refresh -= max(0, self._last_refresh + self.standard.timing.n_rfc - self.now)
        hits, misses, conflicts = self._outcomes
        burst_bytes = self.address_map.burst_bytes
        return DramStats(
            preset=self.standard.name,
            t_ck_ps=self.standard.timing.t_ck_ps,
            n_bl=self.standard.timing.n_bl,
            cycles=self.now,
            num_act=self._counts[_ACT],
            num_pre=self._counts[_PRE],
            num_prea=self._counts[_PREA],
            num_rd=self._counts[_RD],
            num_wr=self._counts[_WR],
            num_ref=self._counts[_REF],
            row_hits=hits,
            row_misses=misses,
            row_conflicts=conflicts,
            read_bytes=self._counts[_RD] * burst_bytes,
            write_bytes=self._counts[_WR] * burst_bytes,
            read_latency_min_cycles=self._latency_min,
            read_latency_max_cycles=self._latency_max,
            read_latency_sum_cycles=self._latency_sum,
            active_standby_cycles=active,
            precharge_standby_cycles=self.now - active - refresh,
            refresh_cycles=refresh,
            last_column_command_cycle=self._last_column_command,
            finish_cycle=self._finish,
        )
