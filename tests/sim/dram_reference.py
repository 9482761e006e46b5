"""What the DRAM tests share: a checker of command traces that knows rules and no controller, and request streams."""

from itertools import pairwise

from hypothesis import strategies as st

from s2nn.hw.sim.dram import PRESET_NAMES, ControllerConfig, DramModel, PagePolicy, preset
from s2nn.hw.sim.dram.address import Location, Mapping
from s2nn.hw.sim.dram.standard import RANK_COMMANDS, Command, DramStandard, Level

STANDARDS = [preset(name) for name in PRESET_NAMES]


def check_trace(standard: DramStandard, trace) -> None:
    """Raise AssertionError unless `trace` obeys every row of the table, row states and power states.

    Looks back over the trace for each command, which is slow and has no state to get wrong.
    """
    assert all(first.cycle < second.cycle for first, second in pairwise(trace)), "two commands in one cycle"
    longest = max(row.latency for row in standard.constraints)
    group = standard.organisation.banks_per_group
    for index, record in enumerate(trace):
        recent = []
        for older in reversed(trace[:index]):
            if older.cycle <= record.cycle - longest:
                break
            recent.append(older)
        for row in standard.constraints:
            if Command[record.command] not in row.following:
                continue
            names = {command.name for command in row.preceding}
            same = [
                older
                for older in recent
                if older.command in names
                and (row.level is not Level.BANK or older.bank == record.bank)
                and (row.level is not Level.BANK_GROUP or older.bank // group == record.bank // group)
            ]
            if len(same) >= row.window:
                assert record.cycle - same[row.window - 1].cycle >= row.latency, (row.rule, record)
    check_states(trace)


def check_states(trace) -> None:
    """Rows are open when read and closed when refreshed; a sleeping rank hears its wake-up call alone."""
    open_rows, asleep = {}, None
    for record in trace:
        assert (record.bank == -1) == (Command[record.command] in RANK_COMMANDS)
        assert asleep is None or record.command == asleep, record
        asleep = {"PDE": "PDX", "SRE": "SRX"}.get(record.command)
        if record.command == "ACT":
            assert record.bank not in open_rows
            open_rows[record.bank] = record.row
        elif record.command == "PRE":
            del open_rows[record.bank]
        elif record.command == "PREA":
            open_rows.clear()
        elif record.command in ("REF", "SRE"):
            assert not open_rows
        elif record.command in ("RD", "WR"):
            assert open_rows.get(record.bank) == record.row


def requests(max_size: int = 60):
    """Lists of (gap to the previous arrival in cycles, (row, bank, column burst), is_write): few rows of few banks."""
    place = st.tuples(st.integers(0, 2), st.sampled_from([0, 0, 0, 1, 4, 7]), st.integers(0, 3))
    gap = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 300), st.integers(0, 9000))
    return st.lists(st.tuples(gap, place, st.booleans()), max_size=max_size)


def configs():
    """Controllers of every policy, with queues small enough to fill."""

    def build(depth, marks, **rest):
        high = min(depth, marks[0])
        return ControllerConfig(
            read_queue_depth=depth, write_queue_depth=depth, write_high_watermark=high,
            write_low_watermark=min(high - 1, marks[1]), **rest)

    return st.builds(
        build,
        st.sampled_from([1, 2, 5, 32]),
        st.sampled_from([(1, 0), (4, 1), (24, 8)]),
        mapping=st.sampled_from(Mapping),
        page_policy=st.sampled_from(PagePolicy),
        page_timeout_cycles=st.sampled_from([1, 40, 500]),
        row_hit_cap=st.sampled_from([1, 3, 16]),
        max_postponed_refreshes=st.sampled_from([0, 1, 8]),
        power_down_after_cycles=st.sampled_from([None, 1, 60]),
        self_refresh_after_cycles=st.sampled_from([None, 30, 2000]),
    )


def submit(model: DramModel, stream, on_arrival=lambda arrival: None) -> list[tuple[int, int, bool]]:
    """Submit a stream of `requests()`; returns (arrival, address, is_write) of each."""
    submitted, arrival = [], 0
    for gap, (row, bank, burst), is_write in stream:
        arrival += gap
        on_arrival(arrival)
        address = address_of(model, row, bank, burst)
        model.submit(arrival, address, is_write)
        submitted.append((arrival, address, is_write))
    return submitted


def address_of(model: DramModel, row: int, bank: int, burst: int) -> int:
    """Byte address of a burst."""
    column = burst * model.standard.organisation.burst_length
    return model.address_map.address(Location(bank=bank, row=row, column=column))
