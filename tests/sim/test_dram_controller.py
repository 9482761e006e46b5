"""The controller: bandwidth and latency, refresh, and laws that hold for any stream of requests.

The laws are checked on the command trace by a checker that knows JEDEC's numbers and nothing of our table, and against
a twin that goes cycle by cycle.
"""

import csv
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2nn.hw.sim.dram import DEFAULT_PRESET, DramModel, DramStats, preset, write_trace
from s2nn.hw.sim.dram.address import AddressMap, Location
from s2nn.hw.sim.dram.device import CLOSED, RANK_WIDE, Device
from s2nn.hw.sim.dram.standard import Command
from s2nn.hw.spec.errors import ConfigError, SimulationError

STANDARD = preset(DEFAULT_PRESET)
BURST_BYTES = 16
N_REFI, N_RFC, LATENESS = 6240, 208, 39

# (preceding, following, same bank only, gap): Ref: JEDEC JESD79-3F, DDR3-1600K, 4 Gb, x16.
JEDEC_GAPS = [
    ("ACT", "ACT", True, 39),
    ("ACT", "RD", True, 11),
    ("ACT", "WR", True, 11),
    ("ACT", "PRE", True, 28),
    ("RD", "PRE", True, 6),
    ("WR", "PRE", True, 24),
    ("PRE", "ACT", True, 11),
    ("ACT", "ACT", False, 6),
    ("RD", "RD", False, 4),
    ("WR", "WR", False, 4),
    ("RD", "WR", False, 9),
    ("WR", "RD", False, 18),
    ("ACT", "PREA", False, 28),
    ("RD", "PREA", False, 6),
    ("WR", "PREA", False, 24),
    ("PREA", "REF", False, 11),
    ("PRE", "REF", False, 11),
    ("PREA", "ACT", False, 11),
    ("REF", "ACT", False, 208),
]


def check_trace(trace):
    """Raise AssertionError unless the trace obeys JEDEC's gaps and row states."""
    open_row = {}
    last_seen: dict[tuple[str, int], int] = {}
    acts, previous = [], -1
    for record in trace:
        assert record.cycle > previous, "two commands in one cycle"
        previous = record.cycle
        for first, second, same_bank, cycles in JEDEC_GAPS:
            if record.command == second:
                seen = last_seen.get((first, record.bank if same_bank else -2))
                assert seen is None or record.cycle - seen >= cycles, (first, record)
        last_seen[record.command, record.bank] = last_seen[record.command, -2] = record.cycle
        if record.command == "ACT":
            assert open_row.get(record.bank) is None
            acts.append(record.cycle)
            assert len(acts) < 5 or acts[-1] - acts[-5] >= 32, "tFAW"
            open_row[record.bank] = record.row
        elif record.command == "PRE":
            open_row[record.bank] = None
        elif record.command == "PREA":
            open_row.clear()
        elif record.command == "REF":
            assert not any(row is not None for row in open_row.values())
        else:
            assert open_row.get(record.bank) == record.row


def serve(requests, **options):
    """Run (gap to the previous arrival, burst index, is_write) requests; returns the drained model and arrivals."""
    model = DramModel(record_trace=True, **options)
    arrival, arrivals = 0, []
    for wait, burst, is_write in requests:
        arrival += wait
        arrivals.append(arrival)
        model.submit(arrival, burst * BURST_BYTES, is_write)
    model.drain()
    return model, arrivals


def bursts_strategy():
    """Few rows of few banks, so that hits, misses and conflicts all happen."""
    return st.builds(
        lambda row, bank, column: row << 10 | bank << 7 | column,
        st.integers(0, 2),
        st.integers(0, 7),
        st.integers(0, 127),
    )


REQUESTS = st.lists(
    st.tuples(st.one_of(st.integers(0, 3), st.integers(0, 9000)), bursts_strategy(), st.booleans()), max_size=60
)


@settings(max_examples=80, deadline=None)
@given(REQUESTS, st.sampled_from([1, 2, 16]))
def test_any_stream_obeys_jedec_and_loses_nothing(requests, lookahead):
    model, arrivals = serve(requests, lookahead=lookahead)
    check_trace(model.trace)
    columns = [record for record in model.trace if record.command in ("RD", "WR")]
    address_map = AddressMap(STANDARD.organisation)
    served = [
        (address_map.address(Location(record.bank, record.row, record.column)) // BURST_BYTES, record.command == "WR")
        for record in columns
    ]
    assert served == [(burst, is_write) for _, burst, is_write in requests]  # none lost, none twice, in order
    for index, (record, arrival) in enumerate(zip(columns, arrivals, strict=True)):
        assert record.cycle >= arrival
        assert model.completion_cycle(index) == record.cycle + (8 if record.command == "WR" else 11) + 4
    refreshes = [record.cycle for record in model.trace if record.command == "REF"]
    assert len(refreshes) >= (model.now - LATENESS) // N_REFI
    for index, cycle in enumerate(refreshes, start=1):
        assert index * N_REFI <= cycle <= index * N_REFI + LATENESS
    stats = model.stats()
    assert stats.row_hits + stats.row_misses + stats.row_conflicts == len(requests) == stats.num_requests
    assert stats.active_standby_cycles + stats.precharge_standby_cycles + stats.refresh_cycles == stats.cycles
    assert min(stats.active_standby_cycles, stats.precharge_standby_cycles, stats.refresh_cycles) >= 0


def stepped_twin(requests, lookahead):
    """The controller's policy said again, naively: every cycle, the first rule that applies; the trace as tuples."""
    device, address_map = Device(STANDARD), AddressMap(STANDARD.organisation)
    waiting, arrival = [], 0
    for wait, burst, is_write in requests:
        arrival += wait
        waiting.append((arrival, address_map.locate(burst * BURST_BYTES), is_write))
    trace, cycle, refresh_due = [], 0, N_REFI

    def try_issue(command, bank, row=-1, column=-1):
        if cycle < device.earliest_cycle(command, bank):
            return False
        device.issue(cycle, command, bank, row)
        trace.append((cycle, Command(command).name, bank, row, column))
        return True

    def serve_one():
        claimed = set()
        for index, (arrived, place, is_write) in enumerate(waiting[:lookahead]):
            if place.bank in claimed:
                continue
            claimed.add(place.bank)
            if arrived > cycle:
                return
            row = device.open_row[place.bank]
            if row == place.row:
                if index == 0 and try_issue(Command.WR if is_write else Command.RD, place.bank, row, place.column):
                    waiting.pop(0)
                    return
            elif row == CLOSED:
                if try_issue(Command.ACT, place.bank, place.row):
                    return
            elif try_issue(Command.PRE, place.bank):
                return

    while waiting:
        if cycle >= refresh_due:
            is_refresh = not device.num_open
            if try_issue(Command.REF if is_refresh else Command.PREA, RANK_WIDE) and is_refresh:
                refresh_due += N_REFI
        else:
            serve_one()
        cycle += 1
    return trace


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.one_of(st.just(0), st.integers(0, 700)), bursts_strategy(), st.booleans()), max_size=40),
    st.sampled_from([1, 3, 16]),
)
def test_jumping_from_event_to_event_equals_going_cycle_by_cycle(requests, lookahead):
    model, _ = serve(requests, lookahead=lookahead)
    expected = stepped_twin(requests, lookahead)
    assert [tuple(record) for record in model.trace][: len(expected)] == expected
    assert all(record.command in ("PREA", "REF") for record in model.trace[len(expected) :])


@settings(max_examples=40, deadline=None)
@given(REQUESTS, st.integers(1, 500))
def test_requests_may_be_submitted_late_and_time_taken_in_small_steps(requests, stride):
    batch, arrivals = serve(requests)
    online = DramModel(record_trace=True)
    for arrival, (_, burst, is_write) in zip(arrivals, requests, strict=True):
        while online.now < arrival:
            online.advance(min(arrival, online.now + stride))
        online.submit(arrival, burst * BURST_BYTES, is_write)
    online.drain()
    assert online.trace == batch.trace
    assert online.stats() == batch.stats()


@pytest.mark.parametrize("is_write", [False, True])
def test_row_hit_streaming_keeps_the_bus_busy(is_write):
    model, _ = serve([(0, burst, is_write) for burst in range(20_000)])
    peak_minus_refresh = 1 - N_RFC / N_REFI
    assert model.stats().bus_utilisation >= 0.95 * peak_minus_refresh
    assert model.stats().row_hits >= 0.99 * 20_000


def test_interleaved_streams_keep_the_bus_busy():
    """Three streams of 2 KiB bursts in different rows: lookahead hides their activations."""
    starts = (0, 1 << 16, 1 << 20)
    requests = [
        (0, start + 128 * turn + column, False) for turn in range(40) for start in starts for column in range(128)
    ]
    model, _ = serve(requests)
    assert model.stats().bus_utilisation >= 0.95 * (1 - N_RFC / N_REFI)


def test_one_bank_random_rows_are_bound_by_trc():
    """Each request opens another row of bank 0: one per tRC = 39 cycles, RD to PRE never on the critical path."""
    model, _ = serve([(0, row << 10, False) for row in range(100)])
    acts = [record.cycle for record in model.trace if record.command == "ACT"]
    assert {b - a for a, b in pairwise(acts)} == {39}


def test_all_banks_random_rows_are_bound_by_tfaw():
    """Eight banks in turn with room between the requests of one bank: four ACTs per tFAW = 32 cycles."""
    model, _ = serve([(0, (turn << 10) | (bank << 7), False) for turn in range(12) for bank in range(8)])
    acts = [record.cycle for record in model.trace if record.command == "ACT"]
    window = {b - a for a, b in zip(acts[8:], acts[12:], strict=False)}
    assert min(window) == 32


def test_first_read_takes_trcd_cl_and_the_burst():
    model, _ = serve([(0, 0, False)])
    assert model.completion_cycle(0) == 11 + 11 + 4
    stats = model.stats()
    assert (stats.row_hits, stats.row_misses, stats.row_conflicts) == (0, 1, 0)
    assert stats.read_latency_min_cycles == stats.read_latency_max_cycles == 26
    assert stats.read_latency_mean_cycles == 26.0


def test_hit_miss_and_conflict_are_told_apart():
    model, _ = serve([(0, 0, False), (100, 1, False), (100, 1 << 10, False), (100, 1 << 7, True)])
    stats = model.stats()
    assert (stats.row_hits, stats.row_misses, stats.row_conflicts) == (1, 2, 1)
    assert (stats.num_act, stats.num_pre, stats.num_rd, stats.num_wr) == (3, 1, 3, 1)
    assert (stats.read_bytes, stats.write_bytes) == (48, 16)


def test_idle_memory_refreshes_exactly_on_time():
    model = DramModel(record_trace=True)
    model.advance(3 * N_REFI + 1)
    assert [(record.cycle, record.command) for record in model.trace] == [(n * N_REFI, "REF") for n in (1, 2, 3)]
    stats = model.stats()
    assert stats.refresh_cycles == 2 * N_RFC + 1
    assert stats.active_standby_cycles == 0


def test_an_open_row_is_closed_by_refresh():
    model, _ = serve([(0, 0, False), (N_REFI - 1, 1, False)])
    assert [record.command for record in model.trace] == ["ACT", "RD", "RD", "PREA", "REF"][: len(model.trace)]
    model.submit(2 * N_REFI - 1000, 2 * BURST_BYTES, False)
    model.drain()
    assert model.stats().row_misses == 2


def test_what_was_decided_cannot_be_changed():
    model = DramModel()
    assert model.submit(5, 0, False) == 0
    assert model.completion_cycle(0) is None
    with pytest.raises(SimulationError, match="not before cycle 5, not 4"):
        model.submit(4, 0, False)
    model.advance(50)
    with pytest.raises(SimulationError, match="not before cycle 50, not 49"):
        model.submit(49, 0, False)
    model.advance(20)
    assert model.now == 50


@pytest.mark.parametrize("address", [-16, 512 << 20])
def test_addresses_outside_are_refused(address):
    with pytest.raises(SimulationError, match="must lie in"):
        DramModel().submit(0, address, False)


def test_unaligned_addresses_are_refused():
    with pytest.raises(SimulationError, match="multiple of 16 bytes, not 8"):
        DramModel().submit(0, 8, False)


def test_unknown_presets_are_refused():
    with pytest.raises(ConfigError, match="ddr3l-1600-4gb-x16, not 'ddr9'"):
        DramModel("ddr9")


def test_the_address_map_is_row_bank_column():
    address_map = AddressMap(STANDARD.organisation)
    assert address_map.locate(0) == (0, 0, 0)
    assert address_map.locate(16) == (0, 0, 8)
    assert address_map.locate(2048) == (1, 0, 0)
    assert address_map.locate(8 * 2048) == (0, 1, 0)
    last = (512 << 20) - 16
    assert address_map.locate(last) == (7, 32767, 1016)
    assert address_map.address(address_map.locate(last)) == last


def test_statistics_and_trace_survive_files(tmp_path):
    model, _ = serve([(0, burst, burst % 3 == 0) for burst in range(50)])
    stats = model.stats()
    assert DramStats.from_dict(stats.as_dict()) == stats
    with pytest.raises(SimulationError, match="num_rd"):
        DramStats.from_dict({name: value for name, value in stats.as_dict().items() if name != "num_rd"})
    write_trace(tmp_path / "trace.csv", model.trace)
    with (tmp_path / "trace.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(model.trace)
    assert rows[0] == {"cycle": "0", "command": "ACT", "bank": "0", "row": "0", "column": "-1"}
