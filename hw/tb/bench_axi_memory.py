"""The AXI memory (axi_memory.sv, the top level here) against an AXI master that is not ours (cocotbext-axi).

Environment: S2NN_STALL_PERCENT, see `axi_driver`.
"""

import random

import cocotb
from cocotb.simtime import get_sim_time
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotbext.axi import AxiResp

from s2nn.hw.sim.axi import AxiStalls, Fault, Response
from s2nn.hw.sim.axi.memory import DEFAULT_COLUMN_PS, DEFAULT_LATENCY_CYCLES
from s2nn.hw.sim.dram import DEFAULT_PRESET, ControllerConfig, preset
from s2nn.hw.sim.dram.address import Location, Mapping
from s2nn.hw.tb.axi_driver import (
    CLOCK_PERIOD_PS,
    SIZE_BYTES,
    bus_bytes,
    offer_read,
    reset_with,
    set_address,
    start_clock,
    start_with_master,
)

GUARD = 0xAA


@cocotb.test
async def every_burst_length_reads_back(dut):
    """Reads of 1 to 256 beats return the loaded bytes, in one burst each, and move no other byte."""
    memory, master = await start_with_master(dut)
    content = random.Random(1).randbytes(SIZE_BYTES)
    memory.load(0, content)
    beat_bytes = bus_bytes(dut)
    lengths = [*range(1, 20), 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256]
    for beats in lengths:
        address = 4096 * (beats % 16)
        read = await master.read(address, beats * beat_bytes)
        assert read.resp == AxiResp.OKAY
        assert read.data == content[address : address + beats * beat_bytes], f"{beats} beats"
    counters = memory.counters()
    assert counters["read_bursts"] == len(lengths)
    assert counters["read_bytes"] == sum(lengths) * beat_bytes
    assert memory.finish().read_bytes == sum(-(-beats * beat_bytes // 16) * 16 for beats in lengths)


@cocotb.test
async def writes_touch_their_bytes_only(dut):
    """Unaligned writes of any length (strobes at both ends) change exactly their bytes."""
    memory, master = await start_with_master(dut)
    memory.load(0, bytes([GUARD]) * SIZE_BYTES)
    generator = random.Random(2)
    expected = bytearray([GUARD]) * SIZE_BYTES
    strobed = 0
    for length in [*range(1, 40), 100, 257, 1000, 4097]:
        address = generator.randrange(SIZE_BYTES - length)
        content = generator.randbytes(length)
        assert (await master.write(address, content)).resp == AxiResp.OKAY
        expected[address : address + length] = content
        strobed += length
    assert memory.data == expected
    assert memory.counters()["strobed_bytes"] == strobed


@cocotb.test
async def concurrent_masters_see_a_memory(dut):
    """Eight workers on disjoint ranges, several bursts outstanding: every read returns the last write."""
    memory, master = await start_with_master(dut)

    async def worker(index: int):
        generator = random.Random(index)
        low, span = index * 4096, 4096
        mirror = bytearray(span)
        for _ in range(12):
            length = generator.randrange(1, 600)
            offset = generator.randrange(span - length)
            if generator.random() < 0.5:
                mirror[offset : offset + length] = content = generator.randbytes(length)
                await master.write(low + offset, content)
            else:
                read = await master.read(low + offset, length)
                assert read.data == mirror[offset : offset + length]
        return bytes(mirror)

    tasks = [cocotb.start_soon(worker(index)) for index in range(8)]
    for index, task in enumerate(tasks):
        mirror = await task
        assert memory.dump(index * 4096, 4096) == mirror
    stats = memory.finish()
    assert stats.row_hits + stats.row_misses + stats.row_conflicts == stats.num_requests


@cocotb.test
async def traffic_is_counted_by_region(dut):
    """Bytes belong to their region, bursts to that of the first beat; the whole is the sum."""
    regions = [("weights", 0, 0x1000), ("spikes", 0x1000, 0x2000), ("rest", 0x2000, SIZE_BYTES)]
    memory, master = await start_with_master(dut, regions=regions)
    await master.read(0x0, 2048)
    await master.read(0x1000, 64)
    await master.write(0x1FC0, bytes(128))  # split at 4 KiB by the master
    await master.write(0x2100, bytes(3))
    counters = memory.counters()
    by_region = counters["regions"]
    beat_bytes = bus_bytes(dut)
    assert by_region["weights"]["read_bytes"] == 2048
    assert by_region["weights"]["read_bursts"] == -(-2048 // (256 * beat_bytes))
    assert by_region["spikes"]["read_bytes"] == 64
    assert by_region["spikes"]["write_bytes"] == 64 == by_region["spikes"]["strobed_bytes"]
    assert by_region["rest"]["write_bytes"] == 64 + beat_bytes
    assert by_region["rest"]["strobed_bytes"] == 67
    assert by_region["rest"]["write_bursts"] == 2
    for name in ("read_bursts", "read_bytes", "write_bursts", "write_bytes", "strobed_bytes"):
        assert counters[name] == sum(region[name] for region in by_region.values()), name


@cocotb.test
async def faults_and_strangers_answer_with_errors(dut):
    """A fault's response comes back, outside the memory is DECERR, and neither costs a DRAM command."""
    fault = Fault(start=0x100, end=0x140, response=Response.SLVERR)
    memory, master = await start_with_master(dut, faults=[fault])
    memory.load(0, bytes([GUARD]) * SIZE_BYTES)
    assert (await master.read(0x100, 16)).resp == AxiResp.SLVERR
    assert (await master.write(0x120, b"lost")).resp == AxiResp.SLVERR
    assert (await master.read(SIZE_BYTES, 16)).resp == AxiResp.DECERR
    assert (await master.write(SIZE_BYTES + 64, b"lost")).resp == AxiResp.DECERR
    assert memory.data == bytes([GUARD]) * SIZE_BYTES
    assert memory.finish().num_requests == 0
    memory.faults = ()
    assert (await master.read(0x100, 16)).resp == AxiResp.OKAY


@cocotb.test
async def first_beat_comes_when_the_dram_says(dut):
    """An idle memory answers a burst after tRCD + CL + BL and the fixed latency, then one beat per cycle."""
    start_clock(dut)
    memory = await reset_with(dut, stalls=AxiStalls(), record_trace=True)
    beats, timing = 8, preset(DEFAULT_PRESET).timing
    await offer_read(dut, address=0x400, beats=beats)
    accepted_ps = get_sim_time("step") - memory.origin_ps
    done_ps = (-(-accepted_ps // timing.t_ck_ps) + timing.n_rcd + timing.n_cl + timing.n_bl) * timing.t_ck_ps
    await _expect_beats(dut, memory, beats, accepted_ps=accepted_ps, done_ps=done_ps)
    commands = [record.command for record in memory.dram.trace]
    assert commands == ["ACT"] + ["RD"] * (beats * bus_bytes(dut) // 16)


@cocotb.test
async def without_dram_the_first_beat_comes_after_a_fixed_time(dut):
    """A memory without DRAM has all data of a burst after `column_ps`; it has no DRAM statistics."""
    start_clock(dut)
    memory = await reset_with(dut, stalls=AxiStalls(), dram=None)
    for address in (0x400, 0x1000):
        await offer_read(dut, address=address, beats=4)
        accepted_ps = get_sim_time("step") - memory.origin_ps
        await _expect_beats(dut, memory, 4, accepted_ps=accepted_ps, done_ps=accepted_ps + DEFAULT_COLUMN_PS)
    assert memory.finish() is None


async def _expect_beats(dut, memory, beats: int, *, accepted_ps: int, done_ps: int):
    """Take `beats` and check when they came: the first as soon as its column's data were there, then one per cycle."""
    ready_ps = done_ps + DEFAULT_LATENCY_CYCLES * CLOCK_PERIOD_PS
    # The memory's output register takes the beat at the first edge not before `ready_ps`; the master sees it one later.
    expected_ps = accepted_ps + (-(-(ready_ps - accepted_ps) // CLOCK_PERIOD_PS) + 1) * CLOCK_PERIOD_PS
    dut.s_axi_rready.value = 1
    seen_ps = []
    while len(seen_ps) < beats:
        await RisingEdge(dut.clk)
        if dut.s_axi_rvalid.value == 1:
            seen_ps.append(get_sim_time("step") - memory.origin_ps)
    assert seen_ps[0] == expected_ps
    assert seen_ps[-1] - seen_ps[0] == (beats - 1) * CLOCK_PERIOD_PS


@cocotb.test
@cocotb.parametrize(mapping=list(map(str, Mapping)))
async def columns_are_those_of_the_address_map(dut, mapping):
    """The C++ side finds the bank, row and column that `AddressMap` says, in every mapping."""
    start_clock(dut)
    memory = await reset_with(dut, stalls=AxiStalls(), record_trace=True, size_bytes=1 << 24,
                                  dram="ddr4-2400-8gb-x16",
                              controller=ControllerConfig(mapping=Mapping(mapping)))
    dut.s_axi_rready.value = 1
    generator, addresses = random.Random(3), []
    for _ in range(20):
        addresses.append(generator.randrange((1 << 24) // 16) * 16)
        await offer_read(dut, address=addresses[-1], beats=1)
    await RisingEdge(dut.clk)
    memory.finish()
    read = [Location(*record[2:]) for record in memory.dram.trace if record.command == "RD"]
    assert sorted(read) == sorted(map(memory.dram.address_map.locate, addresses))


@cocotb.test
async def stalls_delay_and_repeat(dut):
    """Random stalls take cycles, more the likelier they are; the same seed takes the same, another one others."""
    start_clock(dut)
    dut.s_axi_rready.value = 1
    lasted = {}
    for probability, seed in ((0.0, 1), (0.3, 1), (0.3, 1), (0.3, 2), (0.7, 1)):
        await reset_with(dut, stalls=AxiStalls(probability=probability, seed=seed), dram=None)
        started_ps = get_sim_time("step")
        await offer_read(dut, address=0, beats=100)
        while not (dut.s_axi_rvalid.value == 1 and dut.s_axi_rlast.value == 1):
            await RisingEdge(dut.clk)
        lasted.setdefault((probability, seed), set()).add((get_sim_time("step") - started_ps) // CLOCK_PERIOD_PS)
    assert all(len(cycles) == 1 for cycles in lasted.values()), lasted
    cycles = {case: min(of_case) for case, of_case in lasted.items()}
    assert cycles[0.0, 1] < cycles[0.3, 1] < cycles[0.7, 1], cycles
    assert cycles[0.3, 1] != cycles[0.3, 2], cycles


@cocotb.test
@cocotb.parametrize(channel=["ar", "aw"])
async def a_pattern_stalls_as_listed(dut, channel):
    """One draw per edge: the first when the memory leaves reset, then while an offer waits."""
    start_clock(dut)
    lasted = []
    for count in (0, 1, 2, 5):
        await reset_with(dut, stalls=AxiStalls(patterns={channel: [True] * count}))
        set_address(dut, channel, address=0x40, beats=1)
        started_ps = get_sim_time("step")
        while True:
            await RisingEdge(dut.clk)
            if getattr(dut, f"s_axi_{channel}ready").value == 1:
                break
        getattr(dut, f"s_axi_{channel}valid").value = 0
        lasted.append((get_sim_time("step") - started_ps) // CLOCK_PERIOD_PS)
    assert lasted == [1, 2, 3, 6]


@cocotb.test
async def reset_drops_what_was_in_progress(dut):
    """A reset in the middle of a read burst ends it; the next burst is whole."""
    start_clock(dut)
    memory = await reset_with(dut, stalls=AxiStalls())
    memory.load(0, bytes(range(256)) * (SIZE_BYTES // 256))
    await offer_read(dut, address=0x0, beats=64)
    dut.s_axi_rready.value = 1
    await RisingEdge(dut.s_axi_rvalid)
    await ClockCycles(dut.clk, 5)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    await FallingEdge(dut.clk)
    assert dut.s_axi_rvalid.value == 0
    dut.rst.value = 0
    await offer_read(dut, address=0x40, beats=2)
    words = []
    while True:
        await RisingEdge(dut.clk)
        if dut.s_axi_rvalid.value == 1:
            words.append(int(dut.s_axi_rdata.value).to_bytes(bus_bytes(dut), "little"))
            if dut.s_axi_rlast.value == 1:
                break
    assert b"".join(words) == bytes(range(0x40, 0x40 + 2 * bus_bytes(dut)))
