"""WindowReader and SpikeBuffer: what is read is the map in zeros: neighbourhoods, gathered words, words of a residual.

Seeds are in the tests' names.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.spike_buffer import SpikeBuffer
from s2nn.hw.rtl.window import WindowReader
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from s2nn.hw.spec.maps import MapPlacement
from tests.rtl.blocks import active_channels, gathered, random_side, seen
from tests.rtl.layers import blank_descriptor
from tests.rtl.streams import Bench

CONFIG = replace(TINY, spike_words=64)
NARROW = replace(TINY, spike_words=128, time_lanes=1, max_chunks=8)
#: (height, width), blocks, chunks, planes, and whether the map lies at the end of the banks.
MAPS = [((1, 1), 1, 1, 1, False), ((1, 1), 2, 3, 1, True), ((1, 7), 1, 2, 2, True), ((5, 1), 3, 1, 1, False),
        ((2, 2), 1, 1, 4, True), ((3, 3), 3, 3, 2, True), ((4, 4), 1, 2, 1, False), ((7, 5), 2, 1, 3, True),
        ((6, 9), 1, 3, 1, True)]
Line = tuple[tuple[int, int], int, int, int, bool]
Position = tuple[int, int]


class WindowAndBuffer(wiring.Component):
    """The reader on its buffer, with the buffer's write port outside."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.window, self.buffer = WindowReader(config), SpikeBuffer(config)
        super().__init__({"o_reads": Out(9), "i_unused": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.window, m.submodules.buffer = self.window, self.buffer
        m.d.comb += [self.buffer.i_read_enable.eq(self.window.o_read_enable),
                     self.buffer.i_read_address.eq(self.window.o_read_address),
                     self.window.i_words.eq(self.buffer.o_words), self.o_reads.eq(self.window.o_read_enable)]
        return m


class SpikeMap:
    """Random words (height, width, words of a position) at a place in the banks."""

    def __init__(self, config: AcceleratorConfig, line: Line, seed: int) -> None:
        (height, width), blocks, chunks, planes, at_end = line
        placed = MapPlacement((blocks * config.lanes, height, width), blocks, chunks, planes, 0)
        assert placed.words <= config.spike_words
        self.placed = replace(placed, base=config.spike_words - placed.words) if at_end else placed
        self.words = np.random.default_rng(seed).integers(0, 1 << config.word_bits, (height, width, placed.col_stride))

    def at(self, row: int, col: int, number: int) -> int:
        """A word of any position, 0 off the map."""
        height, width = self.words.shape[:2]
        return int(self.words[row, col, number]) if 0 <= row < height and 0 <= col < width else 0

    async def store(self, ctx: SimulatorContext, buffer: SpikeBuffer) -> None:
        for y, x, number in np.ndindex(self.words.shape):
            ctx.set(buffer.i_write_enable, 1 << (3 * (y % 3) + x % 3))
            ctx.set(buffer.i_write_address, self.placed.base + y // 3 * self.placed.row_stride
                    + x // 3 * self.placed.col_stride + number)
            ctx.set(buffer.i_write_word, int(self.words[y, x, number]))
            await ctx.tick()
        ctx.set(buffer.i_write_enable, 0)


@dataclass
class Plan:
    """Steps, and what they must cause."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    residual: list[int] = field(default_factory=list)
    reads: int = 0

    def _step(self, row: int, col: int, number: int, side: dict[str, Any], **members: int) -> None:
        self.steps.append({
            "row_div": row // 3, "row_mod": row % 3, "col_div": col // 3, "col_mod": col % 3, "offset": number,
            "gather": 0, "slot": 0, "set_last": 1, "residual": 0, "row_taps": 1, "col_taps": 1} | side | members)

    def neighbourhood(self, draw: random.Random, config: AcceleratorConfig, source: SpikeMap, at: Position,
                      taps: tuple[int, int]) -> None:
        """The taps of a kernel, in the banks of their positions; other banks stay as they are and count as zero."""
        number, side = draw.randrange(source.words.shape[2]), random_side(draw, config)
        self._step(*at, number, side, row_taps=taps[0], col_taps=taps[1])
        words, on_map = [0] * 9, 0
        for row, col in ((at[0] + ky, at[1] + kx) for ky, kx in np.ndindex(taps)):
            bank = row % 3 * 3 + col % 3
            words[bank] = source.at(row, col, number)
            on_map |= (0 <= row < source.words.shape[0] and 0 <= col < source.words.shape[1]) << bank
        self.reads += on_map.bit_count()
        self.blocks.append({"words": words, "on_map": on_map, "active": active_channels(config, words),
                            "row_mod": at[0] % 3, "col_mod": at[1] % 3, **side})

    def gather(self, draw: random.Random, config: AcceleratorConfig, source: SpikeMap,
               places: Sequence[Position]) -> None:
        """A set of words, one of each position."""
        words = []
        for slot, (row, col) in enumerate(places):
            number, side = draw.randrange(source.words.shape[2]), random_side(draw, config)
            self._step(row, col, number, side, gather=1, slot=slot, set_last=int(slot == len(places) - 1))
            words.append(source.at(row, col, number))
            self.reads += 0 <= row < source.words.shape[0] and 0 <= col < source.words.shape[1]
        self.blocks.append(gathered(config, words) | side)

    def join(self, draw: random.Random, config: AcceleratorConfig, source: SpikeMap, gather: int) -> None:
        """A word of the residual map, which always lies on it."""
        row, col, number = (draw.randrange(size) for size in source.words.shape)
        self._step(row, col, number, random_side(draw, config), residual=1, gather=gather)
        self.residual.append(source.at(row, col, number))
        self.reads += 1


def run(config: AcceleratorConfig, source: SpikeMap, plan: Plan, *, residual: SpikeMap | None = None, seed: int = 0,
        stall: float = 0.0, patience: int = 0) -> int:
    """Takes the steps and compares; returns the cycles in which the reader was busy.

    patience : cycles that each residual word has to wait, beyond the stalls.
    """
    dut = WindowAndBuffer(config)
    bench = Bench(dut, seed=seed, stall=stall)
    reads = cycles = 0
    _, height, width = source.placed.shape
    descriptor = {"in_height": height, "in_width": width, "in_base": source.placed.base,
                  "in_row_stride": source.placed.row_stride, "in_col_stride": source.placed.col_stride}
    if residual is not None:
        descriptor |= {"residual_base": residual.placed.base, "residual_row_stride": residual.placed.row_stride,
                       "residual_col_stride": residual.placed.col_stride}

    async def offer(ctx: SimulatorContext) -> None:
        ctx.set(dut.window.i_descriptor, blank_descriptor(**descriptor))
        ctx.set(dut.buffer.i_write_enable, 0x1FF)
        ctx.set(dut.buffer.i_write_word, (1 << config.word_bits) - 1)
        for address in range(config.spike_words):  # spikes wherever no map lies
            ctx.set(dut.buffer.i_write_address, address)
            await ctx.tick()
        for one in (source, residual) if residual is not None else (source,):
            await one.store(ctx, dut.buffer)
        for step in plan.steps:
            await bench.offer(ctx, dut.window.i, step)

    async def count(ctx: SimulatorContext) -> None:
        nonlocal reads, cycles
        while len(blocks) < len(plan.blocks) or len(words) < len(plan.residual):
            _, _, read, busy = await ctx.tick().sample(dut.o_reads, dut.window.o_busy)
            reads += read.bit_count()
            cycles += busy
        assert not ctx.get(dut.window.o_busy)

    async def take_late(ctx: SimulatorContext) -> None:
        for _ in plan.residual:
            await ctx.tick().repeat(patience)
            ctx.set(dut.window.o_residual.ready, 1)
            words.append(*await ctx.tick().sample(dut.window.o_residual.payload).until(dut.window.o_residual.valid))
            ctx.set(dut.window.o_residual.ready, 0)

    blocks, words = bench.get(dut.window.o, len(plan.blocks)), []
    if patience:
        bench.add(take_late)
    else:
        words = bench.get(dut.window.o_residual, len(plan.residual))
    bench.run(offer, count)
    assert words == plan.residual
    for number, (block, wanted) in enumerate(zip(blocks, plan.blocks, strict=True)):
        assert block | {"words": seen(block["words"], block["on_map"])} == wanted, f"block {number}"
    assert reads == plan.reads
    return cycles


def around(source: SpikeMap) -> list[Position]:
    """Every position from one whose window just misses the map on one side to that on the other, and beyond."""
    height, width = source.words.shape[:2]
    return [(row, col) for row in range(-3, height + 7) for col in range(-3, width + 7)]


def by_size(value: tuple) -> str:
    """The name of a map, or of a kernel."""
    height, width = value if len(value) == 2 else value[0]
    return f"{height}x{width}"


@pytest.mark.parametrize("line", MAPS, ids=by_size)
def test_window_equals_the_map_in_zeros(line: Line) -> None:
    source, plan, draw = SpikeMap(CONFIG, line, 0), Plan(), random.Random(0)
    for at in around(source):
        plan.neighbourhood(draw, CONFIG, source, at, (3, 3))
    run(CONFIG, source, plan)


@pytest.mark.parametrize("taps", [(1, 1), (1, 3), (2, 2), (2, 3), (3, 1), (3, 2)], ids=by_size)
def test_taps_beyond_the_kernel_are_not_read(taps: tuple[int, int]) -> None:
    source, plan, draw = SpikeMap(CONFIG, MAPS[6], 0), Plan(), random.Random(0)
    for at in around(source):
        plan.neighbourhood(draw, CONFIG, source, at, taps)
    run(CONFIG, source, plan)


@pytest.mark.parametrize("line", MAPS, ids=by_size)
def test_gathered_words_are_those_of_their_positions(line: Line) -> None:
    source, plan, draw = SpikeMap(CONFIG, line, 0), Plan(), random.Random(0)
    places = around(source)
    draw.shuffle(places)
    while places:
        length = draw.choice((1, 2, 8, 9, 9))
        plan.gather(draw, CONFIG, source, places[:length])
        del places[:length]
    run(CONFIG, source, plan)


@pytest.mark.parametrize("gather", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_random_steps_with_residuals_and_stalls(seed: int, gather: bool) -> None:
    draw, config = random.Random(seed), (CONFIG, NARROW)[seed % 2]
    source = SpikeMap(config, MAPS[6 + seed % 2], seed)
    residual = SpikeMap(config, ((4, 5), 2, 1, 3, False), seed + 1)
    residual.placed = replace(residual.placed, base=source.placed.end if source.placed.base == 0 else 0)
    assert residual.placed.end <= (source.placed.base or config.spike_words)
    plan, places = Plan(), around(source)
    draw.shuffle(places)
    for at in places:
        if gather:
            plan.gather(draw, config, source, [at, *draw.sample(places, draw.choice((0, 0, 1, 8)))])
        else:
            plan.neighbourhood(draw, config, source, at, (draw.randint(1, 3), draw.randint(1, 3)))
        for _ in range(draw.choice((0, 0, 1, 3))):
            plan.join(draw, config, residual, int(gather))
    run(config, source, plan, residual=residual, seed=seed, stall=0.4)


@pytest.mark.parametrize("gather", [False, True])
def test_blocks_wait_once_the_queue_of_residual_words_is_full(gather: bool) -> None:
    source, residual = SpikeMap(CONFIG, MAPS[4], 0), SpikeMap(CONFIG, ((3, 4), 1, 1, 2, False), 1)
    plan, draw = Plan(), random.Random(0)
    for at in around(source)[::2]:
        if gather:
            plan.gather(draw, CONFIG, source, [at])
        else:
            plan.neighbourhood(draw, CONFIG, source, at, (3, 3))
        for _ in range(2):
            plan.join(draw, CONFIG, residual, int(gather))
    assert run(CONFIG, source, plan, residual=residual, patience=10) > 10 * (len(plan.residual) - 25)


def test_latency_of_eight_cycles_and_one_window_per_cycle() -> None:
    source, plan, draw = SpikeMap(CONFIG, MAPS[5], 0), Plan(), random.Random(0)
    for at in around(source):
        plan.neighbourhood(draw, CONFIG, source, at, (3, 3))
    assert run(CONFIG, source, plan) == len(plan.steps) + 7


@pytest.mark.parametrize("length", [1, 9])
def test_latency_of_ten_cycles_and_one_gathered_word_per_cycle(length: int) -> None:
    source, plan, draw = SpikeMap(CONFIG, MAPS[5], 0), Plan(), random.Random(0)
    places = around(source)
    for at in range(0, len(places) - length + 1, length):
        plan.gather(draw, CONFIG, source, places[at:at + length])
    assert run(CONFIG, source, plan) == len(plan.steps) + 9
