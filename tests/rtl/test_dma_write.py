"""WriteDma against a plain reference of the split, with a memory that takes addresses and data in any order.

A seed is in its test's name.
"""

import random
from collections import deque
from dataclasses import dataclass, field, replace

import pytest
from amaranth.sim import Simulator, SimulatorContext

from s2nn.hw.rtl.dma_write import WriteDma
from s2nn.hw.spec.config import ASIC, TINY, ULX3S, AcceleratorConfig
from tests.rtl.bursts import split

WIDE = replace(ASIC, axi_data_bits=256)
CONFIGS = [pytest.param(config, id=f"{config.axi_data_bits}-bit") for config in (TINY, ULX3S, ASIC, WIDE)]
OKAY = 0
Beat = tuple[int, int]  # data, strobes


@dataclass(kw_only=True)
class Stalls:
    """Chance that a channel pauses in a cycle, and what the memory waits for."""

    request: float = 0.0
    data: float = 0.0
    aw: float = 0.0
    w: float = 0.0
    b: float = 0.0
    latency: int = 3  # cycles from the last beat to its response
    aw_after_w: bool = False  # AWREADY only once the burst's data is in
    w_after_aw: bool = False  # WREADY only once the burst's address is in


@dataclass
class Trace:
    """What one bench saw, with cycle numbers."""

    requests: list[int] = field(default_factory=list)
    bursts: list[tuple[int, int]] = field(default_factory=list)
    aw_valid: list[int] = field(default_factory=list)
    events: list[int] = field(default_factory=list)  # o_burst_beats
    written: list[list[Beat]] = field(default_factory=list)  # beats by burst
    w_cycles: list[int] = field(default_factory=list)
    responses: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)


class Bench:
    """One WriteDma, its requester, its data source and its memory, stepped cycle by cycle."""

    def __init__(self, config: AcceleratorConfig, requests: list[tuple[int, int]], *, seed: int = 0,
                 stalls: Stalls | None = None, bad_bursts: dict[int, int] | None = None) -> None:
        self.config, self.stalls, self.random = config, stalls or Stalls(), random.Random(seed)
        self.dut = WriteDma(config)
        self.requests = deque(requests)
        self.source = [(self.random.getrandbits(config.axi_data_bits), self.random.getrandbits(config.axi_bytes))
                       for _, beats in requests for _ in range(beats)]
        self.bad_bursts = bad_bursts or {}  # BRESP by number of the burst
        self.trace = Trace()
        self.cycle = 0
        self._offered = deque(self.source)
        self._open: list[Beat] = []  # the burst that W is in
        self._respond_from: int | None = None
        self._valid = {"request": False, "data": False, "b": False}
        self._held: dict[str, tuple[int, ...] | None] = {"aw": None, "w": None}

    def run(self) -> Trace:
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(self._testbench)
        simulator.run()
        return self.trace

    async def _testbench(self, ctx: SimulatorContext) -> None:
        assert ctx.get(self.dut.o_idle)
        while self.requests or not ctx.get(self.dut.o_idle):
            self._drive(ctx)
            self._sample(ctx)
            self.cycle += 1
            await ctx.tick()
            assert self.cycle < 20_000, "the DMA hangs"
        self._drive(ctx)
        self._sample(ctx)

    def _pause(self, channel: str) -> bool:
        return self.random.random() < getattr(self.stalls, channel)

    def _offer(self, channel: str, there: bool) -> bool:
        self._valid[channel] = there and (self._valid[channel] or not self._pause(channel))
        return self._valid[channel]

    def _check_held(self, channel: str, valid: int, ready: int, payload: tuple[int, ...]) -> None:
        if self._held[channel] is not None:
            assert valid, f"{channel}: valid dropped in cycle {self.cycle}"
            assert payload == self._held[channel], f"{channel}: payload changed in cycle {self.cycle}"
        self._held[channel] = payload if valid and not ready else None

    def _drive(self, ctx: SimulatorContext) -> None:
        dut, trace = self.dut, self.trace
        ctx.set(dut.i_request.valid, self._offer("request", bool(self.requests)))
        if self._valid["request"]:
            address, beats = self.requests[0]
            ctx.set(dut.i_request.payload, {"address": address, "length": beats - 1})
        ctx.set(dut.i_data.valid, self._offer("data", bool(self._offered)))
        if self._valid["data"]:
            ctx.set(dut.i_data.payload, dict(zip(("data", "strb"), self._offered[0], strict=True)))
        address_first = len(trace.bursts) > len(trace.written)
        data_first = len(trace.written) > len(trace.bursts)
        ctx.set(dut.axi.awready, not self._pause("aw") and not (self.stalls.aw_after_w and not data_first))
        ctx.set(dut.axi.wready, not self._pause("w") and not (self.stalls.w_after_aw and not address_first))
        there = self._respond_from is not None and self._respond_from <= self.cycle
        ctx.set(dut.axi.bvalid, self._offer("b", there))
        ctx.set(dut.axi.bresp, self.bad_bursts.get(len(trace.responses), OKAY) if self._valid["b"] else 3)

    def _sample(self, ctx: SimulatorContext) -> None:
        dut, axi, trace = self.dut, self.dut.axi, self.trace
        if self._valid["request"] and ctx.get(dut.i_request.ready):
            self.requests.popleft()
            self._valid["request"] = False
            trace.requests.append(self.cycle)
        if self._valid["data"] and ctx.get(dut.i_data.ready):
            self._offered.popleft()
            self._valid["data"] = False

        valid, ready = ctx.get(axi.awvalid), ctx.get(axi.awready)
        burst = (ctx.get(axi.awaddr), ctx.get(axi.awlen) + 1)
        self._check_held("aw", valid, ready, burst)
        if valid:
            trace.aw_valid.append(self.cycle)
        assert ctx.get(dut.o_burst) == (valid and ready)
        if valid and ready:
            assert ctx.get(axi.awburst) == 1
            assert 1 << ctx.get(axi.awsize) == self.config.axi_bytes
            trace.bursts.append(burst)
            trace.events.append(ctx.get(dut.o_burst_beats))

        valid, ready = ctx.get(axi.wvalid), ctx.get(axi.wready)
        beat, last = (ctx.get(axi.wdata), ctx.get(axi.wstrb)), ctx.get(axi.wlast)
        self._check_held("w", valid, ready, (*beat, last))
        if valid and ready:
            trace.w_cycles.append(self.cycle)
            self._open.append(beat)
            if last:
                trace.written.append(self._open)
                self._open = []

        if self._valid["b"] and ctx.get(axi.bready):
            self._valid["b"] = False
            self._respond_from = None
            trace.responses.append(self.cycle)
        elif self._respond_from is None and len(trace.responses) < min(len(trace.bursts), len(trace.written)):
            self._respond_from = self.cycle + self.stalls.latency

        if ctx.get(dut.o_done):
            trace.done.append(self.cycle)
        if ctx.get(dut.o_error):
            trace.errors.append(self.cycle)
        if len(trace.responses) < max(len(trace.bursts), len(trace.written)) or self._open:
            assert not ctx.get(dut.o_idle), f"idle before the response in cycle {self.cycle}"


def check_against_reference(bench: Bench, requests: list[tuple[int, int]]) -> None:
    trace, source = bench.trace, iter(bench.source)
    by_request = [split(*request, bench.config.axi_bytes) for request in requests]
    bursts = [burst for request in by_request for burst in request]
    assert trace.bursts == bursts
    assert trace.events == [beats for _, beats in bursts]
    assert trace.written == [[next(source) for _ in range(beats)] for _, beats in bursts]
    assert len(trace.responses) == len(bursts)
    last_responses, burst = [], 0
    for request in by_request:
        burst += len(request)
        last_responses.append(trace.responses[burst - 1])
    assert trace.done == [cycle + 1 for cycle in last_responses]


@pytest.mark.parametrize("config", CONFIGS)
def test_burst_ends_at_4_kib(config: AcceleratorConfig) -> None:
    requests = [(0x1234_5000 - room * config.axi_bytes, beats)
                for room in (1, 2, 128) for beats in (room - 1, room, room + 1) if beats] + [(0x8000_0000, 1)]
    bench = Bench(config, requests)
    bench.run()
    check_against_reference(bench, requests)


@pytest.mark.parametrize("beats", [255, 256])
def test_longest_request(beats: int) -> None:
    # On the widest bus 256 beats are two pages: three bursts where the first one starts within a page.
    for address in (0x2000, 0x2020):
        bench = Bench(WIDE, [(address, beats)])
        bench.run()
        check_against_reference(bench, [(address, beats)])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("order", ["free", "aw_after_w", "w_after_aw"])
def test_random_requests_with_stalls_everywhere(seed: int, order: str) -> None:
    draw = random.Random(3000 + seed)
    config = (TINY, ULX3S, ASIC, WIDE)[seed % 4]
    requests = [(draw.randrange(2**16) * config.axi_bytes, draw.randrange(1, 40)) for _ in range(8)]
    requests.append((0x7000 - 20 * config.axi_bytes, 50))
    stalls = Stalls(**{channel: draw.choice((0.0, 0.3, 0.7)) for channel in ("request", "data", "aw", "w", "b")},
                    latency=draw.randrange(1, 10), **({order: True} if order != "free" else {}))
    bench = Bench(config, requests, seed=seed, stalls=stalls)
    trace = bench.run()
    check_against_reference(bench, requests)
    assert not trace.errors


def test_latency_is_as_documented() -> None:
    bench = Bench(ULX3S, [(0x100, 8)])
    trace = bench.run()
    assert trace.aw_valid[0] == trace.w_cycles[0] == trace.requests[0] + 2


def test_one_beat_per_cycle_within_a_burst() -> None:
    bench = Bench(ULX3S, [(0, 256)])
    trace = bench.run()
    assert trace.w_cycles == list(range(trace.w_cycles[0], trace.w_cycles[0] + 256))


@pytest.mark.parametrize("response", [1, 2, 3])
def test_each_bad_response_pulses_error_once(response: int) -> None:
    requests = [(0x1000 - 8, 4), (0x3000, 2), (0x2000 - 4, 2), (0x4000, 1)]  # 2 + 1 + 2 + 1 bursts
    bench = Bench(TINY, requests, bad_bursts={0: response, 2: response, 4: response})
    trace = bench.run()
    check_against_reference(bench, requests)
    assert trace.errors == [trace.responses[burst] + 1 for burst in (0, 2, 4)]
