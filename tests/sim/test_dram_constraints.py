"""Every constraint row is probed at n-1 (refused) and n (allowed); known gaps between command pairs hold."""

import pytest

from s2nn.hw.sim.dram.ddr3 import DDR3L_1600_4GB_X16
from s2nn.hw.sim.dram.device import CLOSED, RANK_WIDE, Device
from s2nn.hw.sim.dram.standard import Command, Level, Organisation, Timing, TimingConstraint
from s2nn.hw.spec.errors import ConfigError, SimulationError

ACT, PRE, PREA, RD, RDA, WR, WRA, REF = Command
START = 100_000  # far from everything before


class TimingOnly(Device):
    """A device that keeps the table and forgets the rows, so that every pair of commands can be probed."""

    def _change_state(self, command: int, bank: int, row: int):
        pass


def gap(first: Command, second: Command, *, other_bank: bool = False) -> int:
    """Least cycles from `first` to `second` on an otherwise idle device, by trying each cycle."""
    device = TimingOnly(DDR3L_1600_4GB_X16)
    device.issue(START, first, bank_of(first, 0))
    for cycles in range(1000):
        try:
            device.issue(START + cycles, second, bank_of(second, int(other_bank)))
        except SimulationError:
            continue
        return cycles
    raise AssertionError("never allowed")


def bank_of(command: Command, bank: int) -> int:
    """The bank argument of `command`: RANK_WIDE for those that act on all banks."""
    return RANK_WIDE if command in (PREA, REF) else bank


# Ref: command-pair gaps of DDR3-1600K 4 Gb x16, measured on CMU-SAFARI/ramulator2 2.1.
KNOWN_GAPS = [
    (ACT, RD, False, 11),
    (ACT, PRE, False, 28),
    (ACT, ACT, True, 6),
    (RD, RD, False, 4),
    (RD, WR, False, 9),
    (RD, PRE, False, 6),
    (WR, RD, False, 18),
    (WR, PRE, False, 24),
    (RDA, ACT, False, 17),
    (WRA, ACT, False, 35),
    (PRE, ACT, False, 11),
    (REF, ACT, False, 208),
    # By hand from the same parameters.
    (ACT, ACT, False, 39),
    (ACT, WR, False, 11),
    (WR, WR, True, 4),
    (RD, RD, True, 4),
    (RD, WR, True, 9),
    (WR, RD, True, 18),
    (PREA, REF, False, 11),
    (PREA, ACT, True, 11),
    (RD, PREA, False, 6),
    (WR, PREA, False, 24),
    (ACT, PREA, False, 28),
    (REF, REF, False, 208),
]


@pytest.mark.parametrize(("first", "second", "other_bank", "cycles"), KNOWN_GAPS)
def test_gap_of_a_command_pair(first, second, other_bank, cycles):
    assert gap(first, second, other_bank=other_bank) == cycles


PLAIN_ROWS = [row for row in DDR3L_1600_4GB_X16.constraints if row.window == 1]


@pytest.mark.parametrize("row", PLAIN_ROWS, ids=lambda row: row.rule)
def test_every_row_is_refused_at_latency_less_one_and_allowed_at_latency(row):
    for first in row.preceding:
        for second in row.following:
            device = TimingOnly(DDR3L_1600_4GB_X16)
            bank = bank_of(second, 0 if row.level is Level.BANK else 1)
            device.issue(START, first, bank_of(first, 0))
            with pytest.raises(SimulationError, match="must wait"):
                device.issue(START + row.latency - 1, second, bank)
            device.issue(START + row.latency, second, bank)


def test_a_fifth_act_waits_for_tfaw():
    device = Device(DDR3L_1600_4GB_X16)
    for bank, cycle in enumerate((0, 6, 12, 18)):
        assert device.earliest_cycle(ACT, bank) <= cycle
        device.issue(cycle, ACT, bank, 0)
    with pytest.raises(SimulationError, match="ACT to bank 4 must wait until cycle 32, not 31"):
        device.issue(31, ACT, 4, 0)
    device.issue(32, ACT, 4, 0)


def test_a_column_command_needs_an_open_row():
    with pytest.raises(SimulationError, match="needs an open row"):
        Device(DDR3L_1600_4GB_X16).issue(0, RD, 0)


def test_act_needs_a_precharged_bank():
    device = Device(DDR3L_1600_4GB_X16)
    device.issue(0, ACT, 3, 7)
    with pytest.raises(SimulationError, match="precharged bank"):
        device.issue(1000, ACT, 3, 8)


def test_refresh_waits_for_precharge():
    device = Device(DDR3L_1600_4GB_X16)
    device.issue(0, ACT, 3, 7)
    with pytest.raises(SimulationError, match="every bank precharged"):
        device.issue(1000, REF, RANK_WIDE)
    device.issue(1000, PRE, 3)
    with pytest.raises(SimulationError, match="must wait"):
        device.issue(1010, REF, RANK_WIDE)
    device.issue(1011, REF, RANK_WIDE)


def test_auto_precharge_closes_the_row():
    device = Device(DDR3L_1600_4GB_X16)
    device.issue(0, ACT, 3, 7)
    device.issue(11, RDA, 3)
    assert device.open_row[3] == CLOSED
    assert device.num_open == 0


def test_organisation_of_the_preset():
    organisation = DDR3L_1600_4GB_X16.organisation
    assert organisation.capacity_bytes == 512 << 20  # 4 Gb
    assert organisation.row_bytes == 2048
    assert organisation.burst_bytes == 16
    assert DDR3L_1600_4GB_X16.refresh_lateness_bound == 28 + 11


def test_bad_tables_are_refused():
    good = {"num_banks": 8, "num_rows": 8, "num_columns": 8, "device_width_bits": 16, "burst_length": 8}
    with pytest.raises(ConfigError, match="num_banks: must be a power of two, not 6"):
        Organisation(**good | {"num_banks": 6})
    with pytest.raises(ConfigError, match="a burst must fit a row, not 16"):
        Organisation(**good | {"burst_length": 16})
    with pytest.raises(ConfigError, match="at least 8 bits wide, not 4"):
        Organisation(**good | {"device_width_bits": 4})
    with pytest.raises(ConfigError, match="tX: a latency must be at least 1 cycle, not 0"):
        TimingConstraint(rule="tX", level=Level.BANK, preceding=(ACT,), following=(RD,), latency=0)
    timing = vars(DDR3L_1600_4GB_X16.timing)
    with pytest.raises(ConfigError, match="n_rc: must be at least n_ras \\+ n_rp = 39, not 38"):
        Timing(**timing | {"n_rc": 38})
