"""The memory chip: open rows, power state and, for every command, the first cycle at which the table allows it.

The device refuses what a chip must never see, so no controller can be fast by cheating.
"""

from collections import deque
from enum import IntEnum

from s2nn.hw.sim.dram.standard import RANK_COMMANDS, Command, DramStandard, Level
from s2nn.hw.spec.errors import SimulationError

CLOSED = -1
RANK_WIDE = -1  # the bank of PREA, REF and the power commands in traces and arguments

_ACT, _PRE, _PREA, _RD, _RDA, _WR, _WRA, _REF, _PDE, _PDX, _SRE, _SRX = map(int, Command)
_COLUMN = (_RD, _WR, _RDA, _WRA)
_CLOSING = (_PRE, _RDA, _WRA)


class Power(IntEnum):
    """What the clock enable does to the rank."""

    UP = 0
    DOWN = 1
    SELF_REFRESH = 2


_EXIT = {Power.DOWN: _PDX, Power.SELF_REFRESH: _SRX}
_POWER_AFTER = {_PDE: Power.DOWN, _SRE: Power.SELF_REFRESH, _PDX: Power.UP, _SRX: Power.UP}


class Device:
    """State of one rank.

    Members
    -------
    open_row : per bank, the open row or CLOSED.
    num_open : banks with an open row.
    power : Power.
    """

    def __init__(self, standard: DramStandard):
        self.standard = standard
        organisation, num_commands = standard.organisation, len(Command)
        self.open_row = [CLOSED] * organisation.num_banks
        self.num_open = 0
        self.power = Power.UP
        self._rank_ready = [0] * num_commands
        groups = [[0] * num_commands for _ in range(organisation.num_bank_groups)]
        self._bank_ready = [[0] * num_commands for _ in range(organisation.num_banks)]
        # The bank group's list of each bank: the same object for the banks of one group.
        self._group_ready = [groups[bank // organisation.banks_per_group] for bank in range(organisation.num_banks)]
        # The table by preceding command: [(following, latency)], rows with a window apart with their own history.
        self._rows: dict[Level, list[list[tuple[int, int]]]] = {level: [[] for _ in Command] for level in Level}
        self._windows: list[list[tuple[deque[int], tuple[int, ...], int]]] = [[] for _ in Command]
        for row in standard.constraints:
            history: deque[int] = deque(maxlen=row.window)
            for command in row.preceding:
                if row.window > 1:
                    self._windows[command].append((history, tuple(map(int, row.following)), row.latency))
                else:
                    self._rows[row.level][command] += [(int(following), row.latency) for following in row.following]

    def earliest_cycle(self, command: int, bank: int) -> int:
        """First cycle at which timing allows `command` to `bank` (RANK_WIDE for those without), states aside."""
        ready = self._rank_ready[command]
        if bank == RANK_WIDE:
            return ready
        return max(ready, self._group_ready[bank][command], self._bank_ready[bank][command])

    def issue(self, cycle: int, command: int, bank: int, row: int = CLOSED):
        """Put `command` on the bus at `cycle`; SimulationError if a state or the table forbids it."""
        if cycle < self.earliest_cycle(command, bank):
            raise SimulationError(
                f"{Command(command).name} to bank {bank} must wait until cycle {self.earliest_cycle(command, bank)}",
                value=cycle,
            )
        self._change_state(command, bank, row)
        _push(self._rank_ready, self._rows[Level.RANK][command], cycle)
        if bank != RANK_WIDE:
            _push(self._group_ready[bank], self._rows[Level.BANK_GROUP][command], cycle)
            _push(self._bank_ready[bank], self._rows[Level.BANK][command], cycle)
        for history, followings, latency in self._windows[command]:
            history.append(cycle)
            if len(history) == history.maxlen:
                _push(self._rank_ready, [(following, latency) for following in followings], history[0])

    def _change_state(self, command: int, bank: int, row: int):
        if (bank == RANK_WIDE) != (command in RANK_COMMANDS):
            raise SimulationError(f"{Command(command).name} must name a bank if it has one", value=bank)
        if self.power is not Power.UP and command != _EXIT[self.power]:
            rule = f"a rank in {self.power.name.lower()} accepts {Command(_EXIT[self.power]).name} alone"
            raise SimulationError(rule, value=Command(command).name)
        if command in _COLUMN:
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
        elif command in (_REF, _SRE) and self.num_open:
            rule = f"{Command(command).name} needs every bank precharged"
            raise SimulationError(rule, value=f"{self.num_open} open")
        elif command in (_PDX, _SRX) and (self.power is Power.UP or command != _EXIT[self.power]):
            raise SimulationError(f"{Command(command).name} needs its entry first", value=self.power.name.lower())
        if command in _CLOSING and self.open_row[bank] != CLOSED:
            self.open_row[bank] = CLOSED
            self.num_open -= 1
        self.power = _POWER_AFTER.get(command, self.power)


def _push(ready: list[int], rows: list[tuple[int, int]], cycle: int):
    """Put off the commands that follow one at `cycle`."""
    for following, latency in rows:
        if cycle + latency > ready[following]:
            ready[following] = cycle + latency
