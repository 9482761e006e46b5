"""The memory chip: open rows and, for every command, the first cycle at which the constraint table allows it.

The device refuses what a chip must never see, so no controller can be fast by cheating.
"""

from collections import deque

from s2nn.hw.sim.dram.standard import Command, DramStandard, Level
from s2nn.hw.spec.errors import SimulationError

CLOSED = -1
RANK_WIDE = -1  # the bank of PREA and REF in traces and arguments

_ACT, _PRE, _PREA, _RD, _RDA, _WR, _WRA, _REF = (int(command) for command in Command)
_CLOSING = (_PRE, _RDA, _WRA)


class Device:
    """State of one rank.

    Members
    -------
    open_row : per bank, the open row or CLOSED.
    num_open : banks with an open row.
    """

    def __init__(self, standard: DramStandard):
        self.standard = standard
        num_banks, num_commands = standard.organisation.num_banks, len(Command)
        self.open_row = [CLOSED] * num_banks
        self.num_open = 0
        self._rank_ready = [0] * num_commands
        self._bank_ready = [[0] * num_commands for _ in range(num_banks)]
        # The table by preceding command: [(following, latency)], rows with a window apart with their own history.
        self._rank_rows: list[list[tuple[int, int]]] = [[] for _ in Command]
        self._bank_rows: list[list[tuple[int, int]]] = [[] for _ in Command]
        self._windows: list[list[tuple[deque[int], tuple[int, ...], int]]] = [[] for _ in Command]
        self._compile()

    def _compile(self):
        for row in self.standard.constraints:
            if row.window > 1:
                if row.level is not Level.RANK:
                    raise SimulationError("a row with a window must be of level rank", value=row.rule)
                history: deque[int] = deque(maxlen=row.window)
                for command in row.preceding:
                    self._windows[command].append((history, tuple(map(int, row.following)), row.latency))
                continue
            rows = self._bank_rows if row.level is Level.BANK else self._rank_rows
            for command in row.preceding:
                rows[command] += [(int(following), row.latency) for following in row.following]

    def earliest_cycle(self, command: int, bank: int) -> int:
        """First cycle at which timing allows `command` to `bank` (RANK_WIDE for PREA, REF), row states aside."""
        ready = self._rank_ready[command]
        if bank != RANK_WIDE and self._bank_ready[bank][command] > ready:
            return self._bank_ready[bank][command]
        return ready

    def issue(self, cycle: int, command: int, bank: int, row: int = CLOSED):
        """Put `command` on the bus at `cycle`; SimulationError if a row state or the table forbids it."""
        if cycle < self.earliest_cycle(command, bank):
            raise SimulationError(
                f"{Command(command).name} to bank {bank} must wait until cycle {self.earliest_cycle(command, bank)}",
                value=cycle,
            )
        self._change_state(command, bank, row)
        rank_ready = self._rank_ready
        for following, latency in self._rank_rows[command]:
            if cycle + latency > rank_ready[following]:
                rank_ready[following] = cycle + latency
        if bank != RANK_WIDE:
            bank_ready = self._bank_ready[bank]
            for following, latency in self._bank_rows[command]:
                if cycle + latency > bank_ready[following]:
                    bank_ready[following] = cycle + latency
        for history, followings, latency in self._windows[command]:
            history.append(cycle)
            if len(history) == history.maxlen:
                for following in followings:
                    rank_ready[following] = max(rank_ready[following], history[0] + latency)

    def _change_state(self, command: int, bank: int, row: int):
        if command == _RD or command == _WR or command == _RDA or command == _WRA:
            if self.open_row[bank] == CLOSED:
                raise SimulationError("a column command needs an open row", value=f"bank {bank}")
        elif command == _ACT:
            if self.open_row[bank] != CLOSED:
                raise SimulationError("ACT needs a precharged bank", value=f"bank {bank}")
            self.open_row[bank] = row
            self.num_open += 1
        elif command == _PREA:
            self.open_row = [CLOSED] * len(self.open_row)
            self.num_open = 0
        elif command == _REF and self.num_open:
            raise SimulationError("REF needs every bank precharged", value=f"{self.num_open} open")
        if command in _CLOSING and self.open_row[bank] != CLOSED:
            self.open_row[bank] = CLOSED
            self.num_open -= 1
