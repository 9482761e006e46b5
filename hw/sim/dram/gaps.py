"""The least gap between commands as the device enforces it, found by trying: nothing is read from the table."""

from dataclasses import dataclass
from itertools import product

from s2nn.hw.sim.dram.device import RANK_WIDE, Device, Power
from s2nn.hw.sim.dram.standard import RANK_COMMANDS, Command, DramStandard
from s2nn.hw.spec.errors import SimulationError

_START = 100_000  # far from everything before
_ENTRY_OF: dict[int, Power] = {Command.PDX: Power.DOWN, Command.SRX: Power.SELF_REFRESH}
_POWER_AFTER: dict[int, Power] = {
    Command.PDE: Power.DOWN,
    Command.SRE: Power.SELF_REFRESH,
    Command.PDX: Power.UP,
    Command.SRX: Power.UP,
}


@dataclass(frozen=True, kw_only=True)
class CommandGap:
    """Least cycles from `preceding` to `following`, by where `following` goes, row states aside.

    1 where nothing is in the way: one command per cycle. None if there is no such bank, or if the rank's power state
    needs another command in between. Commands without a bank have the same gap everywhere.
    """

    preceding: Command
    following: Command
    same_bank: int | None
    same_bank_group: int | None  # another bank of the group
    other_bank_group: int | None


class _Forbidden(Exception):
    """No waiting helps."""


class _TimingOnly(Device):
    """Keeps the table and the power state and forgets rows, so that every pair of commands can be tried."""

    def _change_state(self, command: int, bank: int, row: int):
        wakes = command in _ENTRY_OF
        if wakes != (self.power is not Power.UP) or (wakes and self.power is not _ENTRY_OF[command]):
            raise _Forbidden
        self.power = _POWER_AFTER.get(command, self.power)


def least_gaps(standard: DramStandard) -> list[CommandGap]:
    """The gaps of every ordered pair of commands."""
    organisation = standard.organisation
    in_group = 1 if organisation.banks_per_group > 1 else None
    in_other_group = organisation.banks_per_group if organisation.num_bank_groups > 1 else None
    return [
        CommandGap(
            preceding=preceding,
            following=following,
            same_bank=_gap(standard, preceding, following, 0),
            same_bank_group=None if in_group is None else _gap(standard, preceding, following, in_group),
            other_bank_group=None if in_other_group is None else _gap(standard, preceding, following, in_other_group),
        )
        for preceding, following in product(Command, repeat=2)
    ]


def act_train(standard: DramStandard, count: int = 5) -> list[int]:
    """Cycles of `count` ACTs as early as possible, from 0, to banks of alternating groups: tRRD and tFAW at work."""
    organisation = standard.organisation
    device, cycles = _TimingOnly(standard), []
    for index in range(count):
        group, bank = index % organisation.num_bank_groups, index // organisation.num_bank_groups
        place = (group * organisation.banks_per_group + bank) % organisation.num_banks
        cycles.append(_first_accepted(device, cycles[-1] + 1 if cycles else _START, Command.ACT, place))
    return [cycle - _START for cycle in cycles]


def _gap(standard: DramStandard, preceding: Command, following: Command, bank: int) -> int | None:
    device = _TimingOnly(standard)
    device.power = _ENTRY_OF.get(preceding, Power.UP)
    device.issue(_START, preceding, _bank_of(preceding, 0))
    try:
        return _first_accepted(device, _START + 1, following, _bank_of(following, bank)) - _START
    except _Forbidden:
        return None


def _first_accepted(device: Device, cycle: int, command: Command, bank: int) -> int:
    """The first cycle from `cycle` on at which the device does not refuse `command`."""
    while True:
        try:
            device.issue(cycle, command, bank)
        except SimulationError:
            cycle += 1
        else:
            return cycle


def _bank_of(command: Command, bank: int) -> int:
    return RANK_WIDE if command in RANK_COMMANDS else bank
