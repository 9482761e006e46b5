"""Every constraint row of every standard is probed at n-1 (refused) and n (allowed); known gaps hold; states count."""

from dataclasses import replace

import pytest

from s2nn.hw.sim.dram import PRESET_NAMES, preset
from s2nn.hw.sim.dram.device import CLOSED, RANK_WIDE, Device, Power
from s2nn.hw.sim.dram.gaps import act_train, least_gaps
from s2nn.hw.sim.dram.standard import RANK_COMMANDS, Command, Level, TimingConstraint
from s2nn.hw.spec.errors import ConfigError, SimulationError
from tests.sim.dram_reference import STANDARDS

ACT, PRE, PREA, RD, RDA, WR, WRA, REF, PDE, PDX, SRE, SRX = Command
DDR3L = preset("ddr3l-1600-4gb-x16")
START = 100_000  # far from everything before
ROWS = [(standard, row) for standard in STANDARDS for row in standard.constraints]


class TimingOnly(Device):
    """A device that keeps the table and forgets all states, so that every pair of commands can be probed."""

    def _change_state(self, command: int, bank: int, row: int):
        pass


def place(command: Command, bank: int) -> int:
    return RANK_WIDE if command in RANK_COMMANDS else bank


def banks_of(standard, level: Level) -> list[int]:
    """Banks in which a row that starts in bank 0 must act."""
    organisation = standard.organisation
    count = {Level.BANK: 1, Level.BANK_GROUP: organisation.banks_per_group, Level.RANK: organisation.num_banks}[level]
    return [0, count - 1]


@pytest.mark.parametrize(
    ("standard", "row"), ROWS, ids=[f"{standard.name}: {row.rule}" for standard, row in ROWS]
)
def test_row_is_refused_at_latency_less_one_and_allowed_at_latency(standard, row):
    alone = replace(standard, constraints=(row,))
    for first in row.preceding:
        for second in row.following:
            for bank in banks_of(standard, row.level):
                device = TimingOnly(alone)
                for count in range(row.window):
                    device.issue(START + count, first, place(first, 0))
                if row.latency > row.window:  # else one command per cycle says it
                    with pytest.raises(SimulationError, match=f"must wait until cycle {START + row.latency}"):
                        device.issue(START + row.latency - 1, second, place(second, bank))
                device.issue(START + row.latency, second, place(second, bank))


@pytest.mark.parametrize(
    ("standard", "row"), ROWS, ids=[f"{standard.name}: {row.rule}" for standard, row in ROWS]
)
def test_row_does_not_reach_beyond_its_level(standard, row):
    banks = standard.organisation.num_banks
    outside = {Level.BANK: 1, Level.BANK_GROUP: standard.organisation.banks_per_group}.get(row.level, banks)
    if outside >= banks:
        return
    device = TimingOnly(replace(standard, constraints=(row,)))
    device.issue(START, row.preceding[0], 0)
    assert device.earliest_cycle(row.following[0], outside) == 0


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)
def test_the_measured_gap_of_a_pair_is_its_longest_row(standard):
    levels = {
        "same_bank": set(Level),
        "same_bank_group": {Level.BANK_GROUP, Level.RANK},
        "other_bank_group": {Level.RANK},
    }
    for gap in least_gaps(standard):
        for where, reaching in levels.items():
            measured = getattr(gap, where)
            latencies = [
                row.latency
                for row in standard.constraints
                if row.window == 1 and row.level in reaching and gap.preceding in row.preceding
                and gap.following in row.following
            ]
            if measured is not None:
                assert measured == max(latencies, default=1), (gap, where)


# Ref: command-pair gaps of DDR3-1600K 4 Gb x16, measured on CMU-SAFARI/ramulator2 2.1.
KNOWN_GAPS = [
    (ACT, RD, "same_bank", 11),
    (ACT, PRE, "same_bank", 28),
    (ACT, ACT, "same_bank_group", 6),
    (RD, RD, "same_bank", 4),
    (RD, WR, "same_bank", 9),
    (RD, PRE, "same_bank", 6),
    (WR, RD, "same_bank", 18),
    (WR, PRE, "same_bank", 24),
    (RDA, ACT, "same_bank", 17),
    (WRA, ACT, "same_bank", 35),
    (PRE, ACT, "same_bank", 11),
    (REF, ACT, "same_bank", 208),
    # By hand from the same parameters.
    (ACT, ACT, "same_bank", 39),
    (ACT, WR, "same_bank", 11),
    (WR, WR, "same_bank_group", 4),
    (RD, RD, "same_bank_group", 4),
    (RD, WR, "same_bank_group", 9),
    (WR, RD, "same_bank_group", 18),
    (PREA, REF, "same_bank", 11),
    (PREA, ACT, "same_bank", 11),
    (RD, PREA, "same_bank", 6),
    (WR, PREA, "same_bank", 24),
    (ACT, PREA, "same_bank", 28),
    (REF, REF, "same_bank", 208),
    (PDX, ACT, "same_bank", 5),
    (SRX, RD, "same_bank", 512),
    (SRX, ACT, "same_bank", 216),
    (RD, PDE, "same_bank", 16),
    (PDE, ACT, "same_bank", None),  # PDX comes first
    (ACT, ACT, "other_bank_group", None),  # there is none
]


@pytest.mark.parametrize("name", ["ddr3-1600k-4gb-x16", "ddr3l-1600-4gb-x16"])
def test_known_gaps_of_ddr3_1600k(name):
    gaps = {(gap.preceding, gap.following): gap for gap in least_gaps(preset(name))}
    measured = [(first, second, where, getattr(gaps[first, second], where)) for first, second, where, _ in KNOWN_GAPS]
    assert measured == KNOWN_GAPS
    assert act_train(preset(name)) == [0, 6, 12, 18, 32]


# By hand from the tables: within a bank group (tCCD_L, tRRD_L, tWTR_L) and across (tCCD_S, tRRD_S, tWTR_S).
@pytest.mark.parametrize(
    ("first", "second", "same_group", "other_group"),
    [(RD, RD, 6, 4), (WR, WR, 6, 4), (ACT, ACT, 8, 7), (WR, RD, 12 + 4 + 9, 12 + 4 + 3), (RD, WR, 11, 11)],
)
def test_bank_groups_of_ddr4(first, second, same_group, other_group):
    gaps = {(gap.preceding, gap.following): gap for gap in least_gaps(preset("ddr4-2400-8gb-x16"))}
    gap = gaps[first, second]
    assert (gap.same_bank_group, gap.other_bank_group) == (same_group, other_group)
    assert act_train(preset("ddr4-2400-8gb-x16")) == [0, 7, 14, 21, 36]


def test_lpddr4_waits_for_its_strobe_and_its_long_commands():
    gaps = {(gap.preceding, gap.following): gap for gap in least_gaps(preset("lpddr4-3200-8gb-x16"))}
    assert gaps[RD, WR].same_bank == 28 + 6 + 8 + 2 - 14
    assert gaps[WR, RD].same_bank == 14 + 1 + 8 + 16
    assert gaps[WR, PRE].same_bank == 14 + 1 + 8 + 29
    assert gaps[ACT, RD].same_bank_group == 4  # ACT-1, ACT-2
    assert (gaps[PRE, ACT].same_bank, gaps[PREA, ACT].same_bank) == (29, 34)


def test_a_fifth_act_waits_for_tfaw():
    device = Device(DDR3L)
    for bank, cycle in enumerate((0, 6, 12, 18)):
        assert device.earliest_cycle(ACT, bank) <= cycle
        device.issue(cycle, ACT, bank, 0)
    with pytest.raises(SimulationError, match="ACT to bank 4 must wait until cycle 32, not 31"):
        device.issue(31, ACT, 4, 0)
    device.issue(32, ACT, 4, 0)


def test_a_column_command_needs_an_open_row():
    with pytest.raises(SimulationError, match="needs an open row"):
        Device(DDR3L).issue(0, RD, 0)


def test_act_needs_a_precharged_bank():
    device = Device(DDR3L)
    device.issue(0, ACT, 3, 7)
    with pytest.raises(SimulationError, match="precharged bank"):
        device.issue(1000, ACT, 3, 8)


@pytest.mark.parametrize("command", [REF, SRE])
def test_refresh_waits_for_precharge(command):
    device = Device(DDR3L)
    device.issue(0, ACT, 3, 7)
    with pytest.raises(SimulationError, match=f"{command.name} needs every bank precharged, not '1 open'"):
        device.issue(1000, command, RANK_WIDE)
    device.issue(1000, PRE, 3)
    with pytest.raises(SimulationError, match="must wait"):
        device.issue(1010, command, RANK_WIDE)
    device.issue(1011, command, RANK_WIDE)


def test_auto_precharge_closes_the_row():
    device = Device(DDR3L)
    device.issue(0, ACT, 3, 7)
    device.issue(11, RDA, 3)
    assert device.open_row[3] == CLOSED
    assert device.num_open == 0


@pytest.mark.parametrize(("entry", "leave", "other"), [(PDE, PDX, SRX), (SRE, SRX, PDX)])
def test_a_sleeping_rank_accepts_its_exit_alone(entry, leave, other):
    device = Device(DDR3L)
    with pytest.raises(SimulationError, match=f"{leave.name} needs its entry first"):
        device.issue(0, leave, RANK_WIDE)
    device.issue(10, entry, RANK_WIDE)
    for command in (ACT, REF, other):
        with pytest.raises(SimulationError, match=f"accepts {leave.name} alone"):
            device.issue(1000, command, place(command, 0))
    device.issue(1000, leave, RANK_WIDE)
    assert device.power is Power.UP


@pytest.mark.parametrize(("command", "bank"), [(ACT, RANK_WIDE), (REF, 0), (PREA, 3)])
def test_a_command_names_a_bank_if_it_has_one(command, bank):
    with pytest.raises(SimulationError, match=f"{command.name} must name a bank if it has one, not {bank}"):
        Device(DDR3L).issue(0, command, bank)


def test_refresh_is_late_by_a_precharge_at_most():
    bounds = {name: preset(name).refresh_lateness_bound for name in PRESET_NAMES}
    assert list(bounds.values()) == [28 + 11, 28 + 11, 39 + 17, 68 + 34]


def row(**changes):
    fields = {"rule": "tX", "level": Level.BANK, "preceding": (ACT,), "following": (RD,), "latency": 4}
    return TimingConstraint(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latency": 0}, "tX: a latency must be at least 1 cycle, not 0"),
        ({"window": 0}, "tX: a window must be at least 1 command, not 0"),
        ({"window": 4}, "tX: a row with a window must be of level rank, not 'bank'"),
        ({"following": (REF,)}, "tX: a row with REF, which has no bank, must be of level rank, not 'bank'"),
    ],
)
def test_bad_rows_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        row(**changes)
