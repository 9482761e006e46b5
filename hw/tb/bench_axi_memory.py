"""The AXI memory (axi_memory.sv, the top level here) against an AXI master that is not ours (cocotbext-axi).

The clock is driven by cocotb, not by HDL: the master samples at the rising edge and drives behind it, which needs
Python to see the values before the edge.

Environment: S2NN_STALL_PERCENT, the probability of a stall on every channel of both sides (default 0).
"""

import logging
import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotbext.axi import AxiBus, AxiMaster, AxiResp

from s2nn.hw.sim.dram import DEFAULT_PRESET, ControllerConfig, preset
from s2nn.hw.sim.dram.address import Location, Mapping
from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.tb.axi_memory import DEFAULT_COLUMN_PS, DEFAULT_LATENCY_CYCLES, AxiMemory, Fault, Response
from s2nn.hw.tb.stalls import AxiStalls, random_stalls

CLOCK_PERIOD_PS = 10_000
SIZE_BYTES = 1 << 16
SETTLE_CYCLES = 4  # in reset and behind it; the memory measures the clock first
GUARD = 0xAA
AW_SIGNALS = ("s_axi_awvalid", "s_axi_wvalid", "s_axi_bready")
AR_SIGNALS = ("s_axi_arvalid", "s_axi_rready")


async def _bench(dut, *, with_master: bool = True, **options):
    """Clock, reset, memory and (unless the test drives the wires) the master."""
    stall = int(os.environ.get("S2NN_STALL_PERCENT", "0")) / 100
    seed = cocotb.RANDOM_SEED
    dut.rst.value = 1
    for name in (*AW_SIGNALS, *AR_SIGNALS):
        getattr(dut, name).value = 0
    Clock(dut.clk, CLOCK_PERIOD_PS, unit="ps").start()
    options = {"size_bytes": SIZE_BYTES, "stalls": AxiStalls(probability=stall, seed=seed)} | options
    memory = AxiMemory(dut.failed, data_bits=8 * _bus_bytes(dut), clock_period_ps=CLOCK_PERIOD_PS, **options).start()
    master = None
    if with_master:
        logging.getLogger(f"cocotb.{dut._name}.s_axi").setLevel(logging.WARNING)
        master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        if stall:
            channels = {
                "ar": master.read_if.ar_channel,
                "r": master.read_if.r_channel,
                "aw": master.write_if.aw_channel,
                "w": master.write_if.w_channel,
                "b": master.write_if.b_channel,
            }
            for name, channel in channels.items():
                channel.set_pause_generator(random_stalls(probability=stall, seed=f"master.{seed}.{name}"))
    await ClockCycles(dut.clk, SETTLE_CYCLES)
    dut.rst.value = 0
    await ClockCycles(dut.clk, SETTLE_CYCLES)
    return memory, master


def _bus_bytes(dut) -> int:
    return len(dut.s_axi_rdata) // 8


@cocotb.test
async def every_burst_length_reads_back(dut):
    """Reads of 1 to 256 beats return the loaded bytes, in one burst each, and move no other byte."""
    memory, master = await _bench(dut)
    content = random.Random(1).randbytes(SIZE_BYTES)
    memory.load(0, content)
    beat_bytes = _bus_bytes(dut)
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
    memory, master = await _bench(dut)
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
    memory, master = await _bench(dut)

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
    memory, master = await _bench(dut, regions=regions)
    await master.read(0x0, 2048)
    await master.read(0x1000, 64)
    await master.write(0x1FC0, bytes(128))  # split at 4 KiB by the master
    await master.write(0x2100, bytes(3))
    counters = memory.counters()
    by_region = counters["regions"]
    beat_bytes = _bus_bytes(dut)
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
    memory, master = await _bench(dut, faults=[fault])
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
    memory, _ = await _bench(dut, with_master=False, stalls=None, record_trace=True)
    beats = 8
    await _offer_read(dut, address=0x400, beats=beats)
    accepted_ps = get_sim_time("step") - memory.origin_ps
    timing = preset(DEFAULT_PRESET).timing
    ready_ps = (-(-accepted_ps // timing.t_ck_ps) + timing.n_rcd + timing.n_cl + timing.n_bl) * timing.t_ck_ps
    ready_ps += DEFAULT_LATENCY_CYCLES * CLOCK_PERIOD_PS
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
    commands = [record.command for record in memory.dram.trace]
    assert commands == ["ACT"] + ["RD"] * (beats * _bus_bytes(dut) // 16)


@cocotb.test
async def reset_drops_what_was_in_progress(dut):
    """A reset in the middle of a read burst ends it; the next burst is whole."""
    memory, _ = await _bench(dut, with_master=False, stalls=None)
    memory.load(0, bytes(range(256)) * (SIZE_BYTES // 256))
    await _offer_read(dut, address=0x0, beats=64)
    dut.s_axi_rready.value = 1
    await RisingEdge(dut.s_axi_rvalid)
    await ClockCycles(dut.clk, 5)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    await FallingEdge(dut.clk)
    assert dut.s_axi_rvalid.value == 0
    dut.rst.value = 0
    await _offer_read(dut, address=0x40, beats=2)
    words = []
    while True:
        await RisingEdge(dut.clk)
        if dut.s_axi_rvalid.value == 1:
            words.append(int(dut.s_axi_rdata.value).to_bytes(_bus_bytes(dut), "little"))
            if dut.s_axi_rlast.value == 1:
                break
    assert b"".join(words) == bytes(range(0x40, 0x40 + 2 * _bus_bytes(dut)))


@cocotb.test(expect_error=SimulationError)
async def a_burst_across_4_kib_is_refused(dut):
    """A burst up to the last byte below 4 KiB is served, one beat more is not."""
    memory, _ = await _bench(dut, with_master=False, stalls=None)
    await _offer_read(dut, address=4096 - 8 * _bus_bytes(dut), beats=8)
    await RisingEdge(dut.s_axi_rvalid)
    assert memory.counters()["read_bytes"] == 8 * _bus_bytes(dut)
    await _offer_read(dut, address=4096 - 8 * _bus_bytes(dut), beats=9)
    await ClockCycles(dut.clk, 2)


@cocotb.test(expect_error=SimulationError)
async def a_wrapping_burst_is_refused(dut):
    """Only INCR."""
    await _bench(dut, with_master=False, stalls=None)
    await _offer_read(dut, address=0, beats=4, burst_type=2)
    await ClockCycles(dut.clk, 2)


@cocotb.test(expect_error=SimulationError)
async def a_changed_address_is_refused(dut):
    """The address must hold while ready is low."""
    await _bench(dut, with_master=False, stalls=AxiStalls(patterns={"ar": [True] * 4}))
    _set_read(dut, address=0x0, beats=1)
    await ClockCycles(dut.clk, 2)
    _set_read(dut, address=0x40, beats=1)
    await ClockCycles(dut.clk, 10)


@cocotb.test(expect_error=SimulationError)
async def a_withdrawn_valid_is_refused(dut):
    """Valid must hold while ready is low."""
    await _bench(dut, with_master=False, stalls=AxiStalls(patterns={"ar": [True] * 6}))
    _set_read(dut, address=0x0, beats=1)
    await ClockCycles(dut.clk, 2)
    dut.s_axi_arvalid.value = 0
    await ClockCycles(dut.clk, 10)


@cocotb.test(expect_error=SimulationError)
async def a_wrong_clock_period_is_refused(dut):
    """clock_period_ps must be the clock's."""
    dut.rst.value = 1
    for name in (*AW_SIGNALS, *AR_SIGNALS):
        getattr(dut, name).value = 0
    Clock(dut.clk, CLOCK_PERIOD_PS // 2, unit="ps").start()
    AxiMemory(dut.failed, data_bits=8 * _bus_bytes(dut), clock_period_ps=CLOCK_PERIOD_PS, size_bytes=SIZE_BYTES).start()
    await ClockCycles(dut.clk, 4)


def _set_read(dut, *, address: int, beats: int, burst_type: int = 1):
    dut.s_axi_arid.value = 0
    dut.s_axi_araddr.value = address
    dut.s_axi_arlen.value = beats - 1
    dut.s_axi_arsize.value = _bus_bytes(dut).bit_length() - 1
    dut.s_axi_arburst.value = burst_type
    dut.s_axi_arvalid.value = 1


async def _offer_read(dut, *, address: int, beats: int, burst_type: int = 1):
    """Drive one read address and return at the edge of its handshake."""
    _set_read(dut, address=address, beats=beats, burst_type=burst_type)
    while True:
        await RisingEdge(dut.clk)
        if dut.s_axi_arready.value == 1:
            break
    dut.s_axi_arvalid.value = 0
