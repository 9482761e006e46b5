"""ReadDma against a plain reference of the split, with a memory that stalls on every channel.

A seed is in its test's name.
"""

import random
from collections import deque
from dataclasses import dataclass, field, replace

import pytest
from amaranth.sim import Simulator, SimulatorContext

from s2nn.hw.rtl.dma_read import ReadDma
from s2nn.hw.spec.config import ASIC, TINY, ULX3S, AcceleratorConfig
from s2nn.hw.spec.registers import Stream
from tests.rtl.bursts import refusal, split

#: A 4 KiB page of the widest bus holds fewer beats than the longest burst.
WIDE = replace(ASIC, axi_data_bits=256)
CONFIGS = [pytest.param(config, id=f"{config.axi_data_bits}-bit") for config in (TINY, ULX3S, ASIC, WIDE)]
OKAY, SLVERR = 0, 2


def word(config: AcceleratorConfig, address: int) -> int:
    """What the memory holds at a beat: different for every address, all bits used."""
    return (address // config.axi_bytes + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC8341082276BF3A27251F86C6A11D0C18E95 % (
        1 << config.axi_data_bits)


@dataclass(kw_only=True)
class Stalls:
    """Chance that a channel pauses in a cycle, and cycles from AR to the first beat."""

    request: float = 0.0
    ar: float = 0.0
    r: float = 0.0
    data: float = 0.0
    latency: int = 4


@dataclass
class Trace:
    """What one bench saw, with cycle numbers."""

    requests: list[int] = field(default_factory=list)
    ar_valid: list[int] = field(default_factory=list)
    bursts: list[tuple[int, int]] = field(default_factory=list)
    events: list[tuple[int, int]] = field(default_factory=list)  # o_burst: (stream, beats)
    beats: list[tuple[int, int, int]] = field(default_factory=list)  # o_data: (data, stream, last)
    beat_cycles: list[int] = field(default_factory=list)
    bus_beat_cycles: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    most_outstanding: int = 0


class Bench:
    """One ReadDma, its requester, its memory and its consumer, stepped cycle by cycle."""

    def __init__(self, config: AcceleratorConfig, *, seed: int = 0, stalls: Stalls | None = None,
                 bad_beats: dict[int, int] | None = None, max_outstanding: int = 8) -> None:
        self.config, self.stalls, self.random = config, stalls or Stalls(), random.Random(seed)
        self.dut = ReadDma(config, max_outstanding=max_outstanding)
        self.requests: deque[tuple[int, int, Stream]] = deque()
        self.bad_beats = bad_beats or {}  # RRESP by number of the beat on the bus
        self.discard = False
        self.cycle = 0
        self.trace = Trace()
        self._memory: deque[tuple[int, int, bool]] = deque()  # (cycle from which it may come, address, last)
        self._bursts_out = 0
        self._request_valid = self._r_valid = False
        self._held: dict[str, tuple[int, ...] | None] = {"ar": None, "data": None}

    def run(self, testbench) -> Trace:
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(testbench)
        simulator.run()
        return self.trace

    def _pause(self, channel: str) -> bool:
        return self.random.random() < getattr(self.stalls, channel)

    def _check_held(self, channel: str, valid: int, ready: int, payload: tuple[int, ...]) -> None:
        if self._held[channel] is not None:
            assert valid, f"{channel}: valid dropped in cycle {self.cycle}"
            assert payload == self._held[channel], f"{channel}: payload changed in cycle {self.cycle}"
        self._held[channel] = payload if valid and not ready else None

    async def step(self, ctx: SimulatorContext) -> None:
        self._drive(ctx)
        self._sample(ctx)
        self.cycle += 1
        await ctx.tick()

    async def drain(self, ctx: SimulatorContext, *, limit: int = 20_000) -> None:
        """Steps until nothing is left to do."""
        while self.requests or not ctx.get(self.dut.o_idle):
            await self.step(ctx)
            assert self.cycle < limit, "the DMA hangs"
        await self.step(ctx)

    def _drive(self, ctx: SimulatorContext) -> None:
        dut = self.dut
        ctx.set(dut.i_discard, self.discard)
        self._request_valid = bool(self.requests) and (self._request_valid or not self._pause("request"))
        ctx.set(dut.i_request.valid, self._request_valid)
        if self._request_valid:
            address, beats, stream = self.requests[0]
            ctx.set(dut.i_request.payload, {"address": address, "length": beats - 1, "stream": stream})
        ctx.set(dut.axi.arready, not self._pause("ar"))
        there = bool(self._memory) and self._memory[0][0] <= self.cycle
        self._r_valid = there and (self._r_valid or not self._pause("r"))
        ctx.set(dut.axi.rvalid, self._r_valid)
        if self._r_valid:
            _, address, last = self._memory[0]
            ctx.set(dut.axi.rdata, word(self.config, address))
            ctx.set(dut.axi.rlast, last)
            ctx.set(dut.axi.rresp, self.bad_beats.get(len(self.trace.bus_beat_cycles), OKAY))
        ctx.set(dut.o_data.ready, not self._pause("data"))

    def _sample(self, ctx: SimulatorContext) -> None:
        dut, trace = self.dut, self.trace
        if self._request_valid and ctx.get(dut.i_request.ready):
            self.requests.popleft()
            self._request_valid = False
            trace.requests.append(self.cycle)

        valid, ready = ctx.get(dut.axi.arvalid), ctx.get(dut.axi.arready)
        address, beats = ctx.get(dut.axi.araddr), ctx.get(dut.axi.arlen) + 1
        self._check_held("ar", valid, ready, (address, beats))
        if valid:
            trace.ar_valid.append(self.cycle)
        assert ctx.get(dut.o_burst) == (valid and ready)
        if valid and ready:
            assert ctx.get(dut.axi.arburst) == 1
            assert 1 << ctx.get(dut.axi.arsize) == self.config.axi_bytes
            trace.bursts.append((address, beats))
            trace.events.append((int(ctx.get(dut.o_burst_stream)), ctx.get(dut.o_burst_beats)))
            self._bursts_out += 1
            trace.most_outstanding = max(trace.most_outstanding, self._bursts_out)
            for index in range(beats):
                self._memory.append((self.cycle + self.stalls.latency, address + index * self.config.axi_bytes,
                                     index == beats - 1))

        if self._r_valid and ctx.get(dut.axi.rready):
            self._bursts_out -= self._memory.popleft()[2]
            self._r_valid = False
            trace.bus_beat_cycles.append(self.cycle)

        payload = ctx.get(dut.o_data.payload)
        beat = (int(payload.data), int(payload.stream), int(payload.last))
        valid, ready = ctx.get(dut.o_data.valid), ctx.get(dut.o_data.ready)
        self._check_held("data", valid, ready, beat)
        if self.discard:
            self._held["data"] = None  # a waiting beat is withdrawn
        if valid and ready:
            trace.beats.append(beat)
            trace.beat_cycles.append(self.cycle)
        if ctx.get(dut.o_error):
            trace.errors.append(self.cycle)
        if self._memory or valid:
            assert not ctx.get(dut.o_idle), f"idle with data to come in cycle {self.cycle}"


def check_against_reference(config: AcceleratorConfig, requests: list[tuple[int, int, Stream]], trace: Trace) -> None:
    bursts, events, beats = [], [], []
    for address, count, stream in requests:
        for burst_address, length in split(address, count, config.axi_bytes):
            bursts.append((burst_address, length))
            events.append((stream, length))
            assert burst_address // 4096 == (burst_address + length * config.axi_bytes - 1) // 4096
        start = address - address % config.axi_bytes
        beats += [(word(config, start + index * config.axi_bytes), stream, index == count - 1)
                  for index in range(count)]
    assert trace.bursts == bursts
    assert trace.events == events
    assert trace.beats == beats


def run_requests(config: AcceleratorConfig, requests: list[tuple[int, int, Stream]], **options: object) -> Trace:
    bench = Bench(config, **options)

    async def testbench(ctx: SimulatorContext) -> None:
        bench.requests.extend(requests)
        await bench.drain(ctx)

    return bench.run(testbench)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_beat_of_every_burst_arrives(config: AcceleratorConfig) -> None:
    # Both limits of a burst on each side; test_burst_splitter has the whole table.
    requests = [(0x8000_0000, 257, Stream.INDEX), (0x1000 - config.axi_bytes, 2, Stream.PARAMS),
                (0x2000 - config.axi_bytes, 1, Stream.CODEBOOK), (0x3000, 1, Stream.INPUT),
                (2**32 - 3 * config.axi_bytes, 3, Stream.DESCRIPTOR)]
    check_against_reference(config, requests, run_requests(config, requests))


@pytest.mark.parametrize("seed", range(8))
def test_random_requests_with_stalls_everywhere(seed: int) -> None:
    draw = random.Random(1000 + seed)
    config = (TINY, ULX3S, ASIC, WIDE)[seed % 4]
    requests = [(draw.randrange(2**20) * config.axi_bytes, draw.choice((1, 2, draw.randrange(1, 40))),
                 draw.choice(list(Stream))) for _ in range(12)] + [(0xF00, 260, Stream.INDEX)]
    stalls = Stalls(**{channel: draw.choice((0.0, 0.3, 0.7)) for channel in ("request", "ar", "r", "data")},
                    latency=draw.randrange(1, 40))
    trace = run_requests(config, requests, seed=seed, stalls=stalls, max_outstanding=draw.choice((2, 5, 8)))
    check_against_reference(config, requests, trace)
    assert not trace.errors


def test_latency_is_as_documented() -> None:
    trace = run_requests(TINY, [(0x100, 3, Stream.INDEX)])
    assert trace.ar_valid[0] == trace.requests[0] + 2
    assert trace.beat_cycles == [cycle + 1 for cycle in trace.bus_beat_cycles]


@pytest.mark.parametrize("latency", [1, 30])
def test_no_bubble_when_memory_answers_every_cycle(latency: int) -> None:
    # 8 bursts of 8 beats cover a latency of 30; requests of several streams, so across request boundaries too.
    requests = [(0x1000 * index, beats, stream) for index, (beats, stream) in enumerate(
        [(260, Stream.INDEX)] + [(8, Stream.PARAMS), (8, Stream.INDEX)] * 6 + [(300, Stream.INPUT)])]
    trace = run_requests(ULX3S, requests, stalls=Stalls(latency=latency))
    check_against_reference(ULX3S, requests, trace)
    first = trace.beat_cycles[0]
    assert trace.beat_cycles == list(range(first, first + len(trace.beats)))


@pytest.mark.parametrize("max_outstanding", [2, 4, 8])
def test_bursts_outstanding_reach_and_keep_the_limit(max_outstanding: int) -> None:
    requests = [(0x1000 * index, 2, Stream.INDEX) for index in range(20)]
    trace = run_requests(TINY, requests, stalls=Stalls(latency=100), max_outstanding=max_outstanding)
    check_against_reference(TINY, requests, trace)
    assert trace.most_outstanding == max_outstanding


@pytest.mark.parametrize("response", [1, 2, 3])
def test_each_bad_response_pulses_error_once(response: int) -> None:
    bad = (0, 3, 4, 11)
    requests = [(0x40, 12, Stream.INDEX)]
    trace = run_requests(TINY, requests, seed=response, stalls=Stalls(r=0.3, data=0.5),
                         bad_beats=dict.fromkeys(bad, response))
    check_against_reference(TINY, requests, trace)
    assert trace.errors == [trace.bus_beat_cycles[beat] + 1 for beat in bad]


@pytest.mark.parametrize("seed", range(6))
def test_discard_ends_idle_and_restart_is_clean(seed: int) -> None:
    draw = random.Random(2000 + seed)
    bench = Bench(TINY, seed=seed)

    def requests(count: int, longest: int) -> list[tuple[int, int, Stream]]:
        return [(draw.randrange(2**16) * 4, draw.randrange(1, longest), draw.choice(list(Stream)))
                for _ in range(count)]

    async def testbench(ctx: SimulatorContext) -> None:
        for _ in range(8):
            bench.stalls = Stalls(request=draw.choice((0.0, 0.3)), ar=draw.choice((0.0, 0.95)), r=0.3,
                                  data=draw.choice((0.0, 0.3, 1.0)), latency=draw.randrange(1, 10))
            bench.bad_beats = {2: SLVERR}
            bench.requests.extend(requests(6, draw.choice((2, 40))))
            for _ in range(draw.randrange(40)):
                await bench.step(ctx)
            bench.discard = True
            bursts, beats = len(bench.trace.bursts), len(bench.trace.beats)
            on_bus = bool(ctx.get(bench.dut.axi.arvalid))
            await bench.drain(ctx)  # requests offered meanwhile are dropped as well
            assert len(bench.trace.bursts) == bursts + on_bus, "only the burst that was on AR may still start"
            assert len(bench.trace.beats) <= beats + 1, "at most the waiting beat may still be taken"

            bench.discard = False
            bench.trace, bench.bad_beats = Trace(), {}
            bench.stalls = Stalls(request=0.3, ar=0.3, r=0.3, data=0.3, latency=5)
            after = requests(2, 20)
            bench.requests.extend(after)
            await bench.drain(ctx)
            check_against_reference(TINY, after, bench.trace)
            assert not bench.trace.errors
            bench.trace = Trace()

    bench.run(testbench)


def test_idle_follows_the_request() -> None:
    bench = Bench(TINY)

    async def testbench(ctx: SimulatorContext) -> None:
        assert ctx.get(bench.dut.o_idle)
        bench.requests.append((0, 1, Stream.INDEX))
        await bench.step(ctx)
        assert not ctx.get(bench.dut.o_idle)
        await bench.drain(ctx)
        assert ctx.get(bench.dut.o_idle)

    bench.run(testbench)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_parameters_are_checked() -> None:
    assert refusal(lambda: ReadDma(TINY, max_outstanding=1)) == "max_outstanding must be at least 2, not 1"
