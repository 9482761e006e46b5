"""The controller: its policies, laws that hold for any stream of requests, bandwidth, and what its policies refuse.

Every run is made twice, by the C++ core and by its Python twin, which must agree on each command and each counter.
"""

import csv
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2nn.hw.sim.dram import (
    DEFAULT_PRESET,
    PRESET_NAMES,
    ControllerConfig,
    DramModel,
    DramStats,
    EngineName,
    PagePolicy,
    preset,
    write_trace,
)
from s2nn.hw.sim.dram.address import Location, Mapping
from s2nn.hw.spec.errors import ConfigError, SimulationError
from tests.sim.dram_reference import STANDARDS, address_of, check_trace, configs, requests, submit

STANDARD = preset(DEFAULT_PRESET)
N_REFI, N_RFC = 6240, 208
READ_END, WRITE_END = 11 + 4, 8 + 4  # RD, WR to the cycle after the last beat


def serve(stream, standard=STANDARD, finish=DramModel.drain, **options) -> DramModel:
    """Run a stream of (gap, (row, bank, burst), is_write) on both engines; returns the core's model."""
    config = ControllerConfig(**options)
    core, twin = (DramModel(standard, config=config, engine=engine, record_trace=True) for engine in EngineName)
    for model in (core, twin):
        submit(model, stream)
        finish(model)
    assert_equal(core, twin)
    return core


def assert_equal(model: DramModel, other: DramModel):
    assert model.trace == other.trace
    assert model.stats() == other.stats()
    assert model.bank_stats() == other.bank_stats()
    assert model.completion_cycles().tolist() == other.completion_cycles().tolist()


def commands(model: DramModel) -> list[tuple[int, str]]:
    return [(record.cycle, record.command) for record in model.trace]


def columns(model: DramModel) -> list[tuple[str, int, int]]:
    """(command, bank, row) of the column commands in order."""
    return [(record.command, record.bank, record.row) for record in model.trace if record.command in ("RD", "WR")]


# -- laws of any stream ------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(STANDARDS), configs(), requests())
def test_core_equals_twin_and_any_stream_obeys_the_table_and_loses_nothing(standard, config, stream):
    core, twin = (DramModel(standard, config=config, engine=engine, record_trace=True) for engine in EngineName)
    submitted = submit(core, stream)
    submit(twin, stream)
    core.drain()
    twin.drain()
    assert_equal(core, twin)
    check_trace(standard, core.trace)
    check_requests(core, submitted)
    check_refreshes(core)
    check_counters(core)


def check_requests(model, submitted):
    """Each request has one column command, after its arrival; same addresses in order; queues as deep as configured."""
    timing = model.standard.timing
    served = {record.cycle: record for record in model.trace if record.command in ("RD", "WR")}
    issued = []
    for ident, (arrival, address, is_write) in enumerate(submitted):
        latency = timing.write_latency if is_write else timing.read_latency
        issued.append(model.completion_cycle(ident) - latency - timing.n_bl)
        record = served.pop(issued[-1])  # none twice
        assert record.command == ("WR" if is_write else "RD")
        assert model.address_map.address(Location(record.bank, record.row, record.column)) == address
        assert record.cycle >= arrival
    assert not served  # none invented
    depths = {True: model.config.write_queue_depth, False: model.config.read_queue_depth}
    for ident, (_, address, is_write) in enumerate(submitted):
        older = range(ident)
        assert all(issued[other] < issued[ident] for other in older if submitted[other][1] == address)
        waiting = sum(issued[other] > issued[ident] for other in older if submitted[other][2] == is_write)
        assert waiting < depths[is_write]


def check_refreshes(model):
    """A refresh is due every tREFI and at the end of self-refresh; none is early, none later than the bound."""
    n_refi, bound = model.standard.timing.n_refi, model.refresh_lateness_bound
    due, asleep = n_refi, False
    for record in model.trace:
        asleep = record.command == "SRE" or (asleep and record.command != "SRX")
        if record.command == "REF":
            assert due <= record.cycle <= due + bound
            due += n_refi
        elif record.command == "SRX":
            due = record.cycle
    assert asleep or model.now <= due + bound


def check_counters(model):
    stats = model.stats()
    assert stats.row_hits + stats.row_misses + stats.row_conflicts == stats.num_requests
    residencies = [getattr(stats, field.name) for field in fields(DramStats) if field.name in (
        "active_standby_cycles", "precharge_standby_cycles", "refresh_cycles", "active_power_down_cycles",
        "precharge_power_down_cycles", "self_refresh_cycles")]
    assert sum(residencies) == stats.cycles
    assert min(residencies) >= 0
    for name in ("num_act", "num_pre", "num_rd", "num_wr", "row_hits", "row_misses", "row_conflicts"):
        assert sum(getattr(bank, name) for bank in model.bank_stats()) == getattr(stats, name)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(STANDARDS), configs(), requests(max_size=30), st.sampled_from([1, 7, 450]))
def test_requests_may_be_submitted_late_and_time_taken_in_small_steps(standard, config, stream, stride):
    """With a stride of one cycle this is the policy cycle by cycle, which jumping from command to command equals."""
    stream = [(min(gap, 20 * stride + 200), place, is_write) for gap, place, is_write in stream]
    batch = DramModel(standard, config=config, record_trace=True)
    submit(batch, stream)
    batch.drain()
    online = DramModel(standard, config=config, engine=EngineName.TWIN, record_trace=True)

    def walk_to(cycle):
        while online.now < cycle:
            online.advance(min(cycle, online.now + stride))

    submit(online, stream, on_arrival=walk_to)
    walk_to(batch.now)
    assert_equal(batch, online)


@settings(max_examples=30, deadline=None)
@given(configs(), st.lists(st.tuples(st.integers(0, 255), st.booleans()), min_size=1, max_size=120))
def test_untimed_requests_come_as_their_queue_has_room(config, bursts):
    core, twin = (DramModel(config=config, engine=engine, record_trace=True) for engine in EngineName)
    addresses = np.array([burst * 16 for burst, _ in bursts])
    writes = [is_write for _, is_write in bursts]
    for model in (core, twin):
        assert model.submit_all(addresses, writes) == range(len(bursts))
        model.drain()
    assert_equal(core, twin)
    assert core.stats().num_requests == len(bursts)
    check_refreshes(core)


# -- bandwidth ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_write", [False, True])
@pytest.mark.parametrize("name", [*PRESET_NAMES, "ddr4-2400-8gb-x16:64"])
def test_row_hit_streaming_keeps_the_bus_busy(name, is_write):
    model = DramModel(name)
    addresses = np.arange(50_000) * model.address_map.burst_bytes
    model.submit_all(addresses, np.full(len(addresses), is_write))
    model.drain()
    timing = model.standard.timing
    assert model.stats().bus_utilisation >= 0.95 * (1 - timing.n_rfc / timing.n_refi)
    assert model.stats().row_hits >= 0.98 * len(addresses)


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_random_reads_are_bound_by_tfaw_and_trrd(name):
    """Every read opens a row: one per max(tFAW / 4, tRRD, tRC / banks), refresh aside."""
    model, timing = DramModel(name), preset(name).timing
    num_bursts = model.address_map.capacity_bytes // model.address_map.burst_bytes
    addresses = np.random.default_rng(1).integers(0, num_bursts, 20_000) * model.address_map.burst_bytes
    model.submit_all(addresses, np.zeros(len(addresses), dtype=bool))
    model.drain()
    bound = max(timing.n_faw / 4, timing.n_rrd_s, timing.n_rc / model.standard.organisation.num_banks)
    cycles = model.now / len(addresses) * (1 - timing.n_rfc / timing.n_refi)
    assert 0.999 * bound <= cycles <= 1.07 * bound


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_random_rows_of_one_bank_are_bound_by_trc(name):
    model = serve([(0, (row, 0, 0), False) for row in range(50)], preset(name))
    acts = [record.cycle for record in model.trace if record.command == "ACT"]
    assert {b - a for a, b in pairwise(acts)} == {preset(name).timing.n_rc}


def test_bank_groups_are_used_in_turn():
    """Bursts that stay in one group are tCCD_L apart, those of the default mapping tCCD_S."""
    addresses, reads = np.arange(3000) * 16, np.zeros(3000, dtype=bool)
    cycles = {}
    for mapping in (Mapping.ROW_BANK_COLUMN_GROUP, Mapping.ROW_BANK_COLUMN):
        model = DramModel("ddr4-2400-8gb-x16", config=ControllerConfig(mapping=mapping))
        model.submit_all(addresses, reads)
        cycles[mapping] = model.drain()
    assert cycles[Mapping.ROW_BANK_COLUMN] / cycles[Mapping.ROW_BANK_COLUMN_GROUP] == pytest.approx(6 / 4, rel=0.06)


def test_interleaved_streams_keep_the_bus_busy():
    """Three streams of 2 KiB bursts in different rows of different banks: their activations hide."""
    starts = (0, 1, 5)
    model = DramModel()
    places = [(turn, bank, column) for turn in range(40) for bank in starts for column in range(128)]
    addresses = [address_of(model, *place) for place in places]
    model.submit_all(addresses, np.zeros(len(addresses), dtype=bool))
    model.drain()
    assert model.stats().bus_utilisation >= 0.95 * (1 - N_RFC / N_REFI)


# -- policies ----------------------------------------------------------------------------------------------------------


def test_a_first_read_takes_act_cl_and_a_burst():
    model = serve([(100, (0, 0, 0), False)])
    assert commands(model) == [(100, "ACT"), (111, "RD")]
    assert model.completion_cycle(0) == 111 + READ_END
    assert model.stats().read_latency_min_cycles == 11 + READ_END


def test_hits_pass_an_older_miss_as_often_as_the_cap_says():
    stream = [(0, (0, 0, 0), False), (0, (1, 0, 0), False), *((0, (0, 0, burst), False) for burst in range(1, 8))]
    for cap in (1, 3):
        rows = [row for _, _, row in columns(serve(stream, row_hit_cap=cap))]
        assert rows == [0] * (1 + cap) + [1] + [0] * (7 - cap)
    assert [row for _, _, row in columns(serve(stream))] == [0] * 8 + [1]


def test_the_cap_counts_anew_for_each_activation():
    stream = [(0, (row, 0, burst), False) for burst, row in enumerate((0, 1, 0, 0, 1, 0))]
    assert [row for _, _, row in columns(serve(stream, row_hit_cap=1))] == [0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(("num_writes", "first"), [(23, 0), (24, 24 - 8)])
def test_writes_wait_for_the_high_watermark_and_drain_to_the_low_one(num_writes, first):
    stream = [(0, (0, 0, burst), True) for burst in range(num_writes)]
    stream += [(0, (0, 1, burst), False) for burst in range(20)]
    kinds = [command for command, _, _ in columns(serve(stream))]
    assert kinds == ["WR"] * first + ["RD"] * 20 + ["WR"] * (num_writes - first)


def test_writes_do_not_wait_without_reads():
    assert commands(serve([(5, (0, 0, 0), True)])) == [(5, "ACT"), (16, "WR")]


def test_a_read_waits_for_an_older_write_to_its_address():
    same, other = (0, 0, 0), (0, 0, 1)
    kinds = [command for command, _, _ in columns(serve([(0, same, True), (0, other, False), (0, same, False)]))]
    assert kinds == ["RD", "WR", "RD"]
    kinds = [command for command, _, _ in columns(serve([(0, same, False), *[(0, other, False)] * 9, (0, same, True)]))]
    assert kinds == ["RD"] * 10 + ["WR"]


def test_rows_close_as_the_page_policy_says():
    def run(**options):
        return commands(serve([(0, (0, 0, 0), False)], finish=lambda model: model.advance(1000), **options))

    assert run() == [(0, "ACT"), (11, "RD")]
    assert run(page_policy=PagePolicy.CLOSE) == [(0, "ACT"), (11, "RD"), (28, "PRE")]  # tRAS
    timeout = {"page_policy": PagePolicy.TIMEOUT, "page_timeout_cycles": 100}
    assert run(**timeout) == [(0, "ACT"), (11, "RD"), (111, "PRE")]


def test_a_wanted_row_stays_open():
    stream = [(0, (0, 0, burst), False) for burst in range(40)]
    model = serve(stream, page_policy=PagePolicy.CLOSE)
    assert model.stats().num_act == 1


def test_an_idle_memory_refreshes_exactly_on_time():
    model = serve([], finish=lambda model: model.advance(3 * N_REFI + 1))
    assert commands(model) == [(n * N_REFI, "REF") for n in (1, 2, 3)]
    stats = model.stats()
    assert (stats.refresh_cycles, stats.active_standby_cycles) == (2 * N_RFC + 1, 0)


def test_an_open_row_is_closed_by_refresh():
    model = serve([(0, (0, 0, 0), False), (N_REFI + 500, (0, 0, 1), False)])
    assert commands(model)[2:4] == [(N_REFI, "PREA"), (N_REFI + 11, "REF")]
    assert model.stats().row_misses == 2


def test_refreshes_are_postponed_while_requests_wait_and_made_up_for_when_idle():
    stream = [(0, (0, 0, burst % 128), False) for burst in range(5000)]  # 20 000 cycles, three refreshes due
    model = serve(stream, max_postponed_refreshes=8, finish=lambda model: model.advance(30_000))
    last_read = model.stats().last_column_command_cycle
    refreshes = [record.cycle for record in model.trace if record.command == "REF"]
    assert last_read < refreshes[0] and refreshes[2] - refreshes[0] == 2 * N_RFC
    model = serve(stream, max_postponed_refreshes=1)
    assert 2 * N_REFI <= next(record.cycle for record in model.trace if record.command == "REF") <= 2 * N_REFI + 39


def test_power_down_begins_after_the_idle_time_and_ends_with_a_request():
    stream = [(0, (0, 0, 0), False), (1000, (0, 0, 1), False)]
    model = serve(stream, power_down_after_cycles=50)
    assert commands(model) == [(0, "ACT"), (11, "RD"), (62, "PDE"), (1000, "PDX"), (1005, "RD")]  # 12 + 50, tXP
    stats = model.stats()
    assert (stats.active_power_down_cycles, stats.num_pde, stats.num_pdx) == (1000 - 62, 1, 1)


def test_a_rank_in_power_down_is_refreshed():
    model = serve([], finish=lambda model: model.advance(7000), power_down_after_cycles=20)
    assert commands(model) == [(20, "PDE"), (N_REFI, "PDX"), (N_REFI + 5, "REF"), (N_REFI + 5 + N_RFC, "PDE")]
    assert model.stats().precharge_power_down_cycles == (N_REFI - 20) + (7000 - N_REFI - 5 - N_RFC)


def test_self_refresh_begins_after_its_idle_time_and_refreshes_once_at_its_end():
    stream = [(0, (0, 0, 0), False), (100_000, (0, 0, 1), False)]
    model = serve(stream, self_refresh_after_cycles=100)
    wake = 100_000
    assert commands(model) == [
        (0, "ACT"), (11, "RD"), (112, "PREA"), (123, "SRE"),
        (wake, "SRX"), (wake + 216, "REF"), (wake + 216 + N_RFC, "ACT"), (wake + 512, "RD"),  # tXS, tRFC, tXSDLL
    ]
    assert model.stats().self_refresh_cycles == wake - 123


def test_the_refresh_clock_starts_anew_after_self_refresh():
    stream = [(100_000, (0, 0, 0), False), (1000, (0, 0, 1), False)]
    model = serve(stream, finish=lambda model: model.advance(107_000), self_refresh_after_cycles=7000)
    refreshes = [record.cycle for record in model.trace if record.command == "REF"]
    assert refreshes == [N_REFI, 100_000 + 216, 100_000 + N_REFI + 11]  # due at SRX: tXS; then PREA first


def test_power_down_gives_way_to_self_refresh():
    idle_times = {"power_down_after_cycles": 20, "self_refresh_after_cycles": 400}
    model = serve([], finish=lambda model: model.advance(5000), **idle_times)
    assert commands(model) == [(20, "PDE"), (400, "PDX"), (405, "SRE")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"write_high_watermark": 33}, r"write_high_watermark: must be in 1\.\.32, not 33"),
        ({"write_low_watermark": 24}, r"write_low_watermark: must be in 0\.\.23, not 24"),
        ({"row_hit_cap": 0}, "row_hit_cap: must be at least 1, not 0"),
        ({"max_postponed_refreshes": 9}, r"max_postponed_refreshes: must be in 0\.\.8, not 9"),
        ({"power_down_after_cycles": 0}, "power_down_after_cycles: must be at least 1, not 0"),
        ({"read_queue_depth": 0}, "read_queue_depth: must be at least 1, not 0"),
    ],
)
def test_bad_policies_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        ControllerConfig(**changes)


# -- files -------------------------------------------------------------------------------------------------------------


def test_statistics_and_trace_survive_files(tmp_path):
    model = serve([(0, (0, 0, burst), burst % 3 == 0) for burst in range(50)])
    stats = model.stats()
    assert DramStats.from_dict(stats.as_dict()) == stats
    older = {name: value for name, value in stats.as_dict().items() if "power_down" not in name}
    assert DramStats.from_dict(older) == stats
    with pytest.raises(SimulationError, match="num_rd"):
        DramStats.from_dict({name: value for name, value in stats.as_dict().items() if name != "num_rd"})
    write_trace(tmp_path / "trace.csv", model.trace)
    with (tmp_path / "trace.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(model.trace)
    assert rows[0] == {"cycle": "0", "command": "ACT", "bank": "0", "row": "0", "column": "-1"}
