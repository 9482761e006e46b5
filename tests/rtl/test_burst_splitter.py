"""BurstSplitter: bursts as long as AXI allows, and no longer, on every width of bus. A seed is in its test's name."""

import random
from dataclasses import replace

import pytest
from amaranth.sim import Simulator, SimulatorContext

from s2nn.hw.rtl.burst_splitter import BurstSplitter
from s2nn.hw.spec.config import ASIC, TINY, ULX3S, AcceleratorConfig
from tests.rtl.bursts import refusal

#: A 4 KiB page of the widest bus holds fewer beats than the longest burst.
WIDE = replace(ASIC, axi_data_bits=256)
CONFIGS = [pytest.param(config, id=f"{config.axi_data_bits}-bit") for config in (TINY, ULX3S, ASIC, WIDE)]
Burst = tuple[int, int, int]  # address, beats, last


def split(address: int, beats: int, beat_bytes: int) -> list[Burst]:
    """Reference."""
    bursts = []
    address -= address % beat_bytes
    while beats:
        length = min(beats, 256, (4096 - address % 4096) // beat_bytes)
        beats -= length
        bursts.append((address, length, int(beats == 0)))
        address = (address + length * beat_bytes) % 2**32
    return bursts


def run(config: AcceleratorConfig, requests: list[tuple[int, int]], *, seed: int = 0,
        stall: float = 0.0) -> tuple[list[Burst], int]:
    """(bursts, cycles) for requests with that chance of a pause on either side."""
    draw = random.Random(seed)
    dut = BurstSplitter(config, length_bits=16)
    bursts: list[Burst] = []
    cycles = 0

    async def testbench(ctx: SimulatorContext) -> None:
        nonlocal cycles
        pending, offered, held = list(reversed(requests)), False, None
        while pending or not ctx.get(dut.o_idle):
            offered = bool(pending) and (offered or draw.random() >= stall)
            ctx.set(dut.i.valid, offered)
            if offered:
                ctx.set(dut.i.payload, {"address": pending[-1][0], "length": pending[-1][1] - 1})
            ready = draw.random() >= stall
            ctx.set(dut.o.ready, ready)
            if offered and ctx.get(dut.i.ready):
                pending.pop()
                offered = False
            valid, payload = ctx.get(dut.o.valid), ctx.get(dut.o.payload)
            burst = (payload.address, payload.length + 1, payload.last)
            assert held is None or (valid and burst == held), "payload changed while it waited"
            held = burst if valid and not ready else None
            if valid and ready:
                bursts.append(burst)
            cycles += 1
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()
    return bursts, cycles


def reference(config: AcceleratorConfig, requests: list[tuple[int, int]]) -> list[Burst]:
    bursts = [burst for request in requests for burst in split(*request, config.axi_bytes)]
    for address, beats, _ in bursts:
        assert 1 <= beats <= 256
        assert address // 4096 == (address + beats * config.axi_bytes - 1) // 4096
    return bursts


@pytest.mark.parametrize("config", CONFIGS)
def test_burst_ends_at_256_beats(config: AcceleratorConfig) -> None:
    lengths = (1, 2, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1025, 65535, 65536)
    requests = [(0x8000_0000, beats) for beats in lengths]
    assert run(config, requests)[0] == reference(config, requests)


@pytest.mark.parametrize("config", CONFIGS)
def test_burst_ends_at_4_kib(config: AcceleratorConfig) -> None:
    page_beats = 4096 // config.axi_bytes
    rooms = sorted({room for near in (1, 128, 256, 257, 512, page_beats) for room in (near - 1, near, near + 1)
                    if 1 <= room <= page_beats})  # beats up to the boundary
    requests = [(0x1234_5000 - room * config.axi_bytes, beats)
                for room in rooms for beats in (room - 1, room, room + 1, room + 256, room + 257) if beats]
    assert run(config, requests)[0] == reference(config, requests)


@pytest.mark.parametrize("config", CONFIGS)
def test_addresses_at_both_ends_of_memory(config: AcceleratorConfig) -> None:
    requests = [(0, 300), (2**32 - 300 * config.axi_bytes, 300), (2**32 - config.axi_bytes, 1)]
    assert run(config, requests)[0] == reference(config, requests)


def test_address_bits_below_a_beat_are_ignored() -> None:
    assert run(ULX3S, [(0x0FF9, 3)])[0] == [(0x0FF8, 1, 0), (0x1000, 2, 1)]


@pytest.mark.parametrize("seed", range(4))
def test_random_requests_with_stalls(seed: int) -> None:
    draw = random.Random(seed)
    config = (TINY, ULX3S, ASIC, WIDE)[seed]
    requests = [(draw.randrange(2**32), draw.choice((1, draw.randrange(1, 600), draw.randrange(1, 2**16))))
                for _ in range(12)]
    assert run(config, requests, seed=seed, stall=0.4)[0] == reference(config, requests)


def test_one_burst_per_cycle_and_one_cycle_per_request() -> None:
    requests = [(0, 1024), (0x8000, 1), (0x9000, 257)]
    bursts, cycles = run(TINY, requests)
    assert cycles == len(bursts) + len(requests)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_parameters_are_checked() -> None:
    assert refusal(lambda: BurstSplitter(TINY, length_bits=7)) == "length_bits must be at least 8, AxLEN's, not 7"
