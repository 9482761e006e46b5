"""WindowReader and SpikeBuffer: what is read is the 3x3 neighbourhood of a map in zeros.

Seeds are in the tests' names.
"""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.layouts import Tags
from s2nn.hw.rtl.spike_buffer import SpikeBuffer
from s2nn.hw.rtl.window import WindowReader
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from s2nn.hw.spec.placement import MapPlacement
from tests.rtl.layers import blank_descriptor
from tests.rtl.streams import Bench

CONFIG = replace(TINY, spike_words=32)
NARROW = replace(TINY, spike_words=64, time_lanes=1, max_chunks=8)
#: (height, width), blocks, chunks, and whether the map lies at the end of the banks.
MAPS = [((1, 1), 1, 1, False), ((1, 1), 2, 3, True), ((1, 7), 1, 2, True), ((5, 1), 3, 1, False), ((2, 2), 1, 1, True),
        ((3, 3), 3, 3, True), ((4, 4), 1, 2, False), ((7, 5), 2, 1, True), ((6, 9), 1, 3, True)]


class WindowAndBuffer(wiring.Component):
    """The reader on its buffer, with the buffer's write port outside."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self.window, self.buffer = WindowReader(config), SpikeBuffer(config)
        super().__init__({"o_read": Out(1), "i_unused": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.window, m.submodules.buffer = self.window, self.buffer
        m.d.comb += [self.buffer.i_read_enable.eq(self.window.o_read_enable),
                     self.buffer.i_read_address.eq(self.window.o_read_address),
                     self.window.i_words.eq(self.buffer.o_words), self.o_read.eq(self.window.o_read)]
        return m


def place(config: AcceleratorConfig, shape: tuple[int, int], blocks: int, chunks: int, at_end: bool) -> MapPlacement:
    placed = MapPlacement((blocks * config.lanes, *shape), blocks, chunks, 0)
    assert placed.words <= config.spike_words
    return replace(placed, base=config.spike_words - placed.words) if at_end else placed


async def fill(ctx: SimulatorContext, buffer: SpikeBuffer, config: AcceleratorConfig, placed: MapPlacement,
               words: np.ndarray) -> None:
    """Ones everywhere, then the map's words (height, width, chunks, blocks)."""
    ctx.set(buffer.i_write_enable, 0x1FF)
    ctx.set(buffer.i_write_word, (1 << config.word_bits) - 1)
    for address in range(config.spike_words):
        ctx.set(buffer.i_write_address, address)
        await ctx.tick()
    for y, x, chunk, block in np.ndindex(words.shape):
        ctx.set(buffer.i_write_enable, 1 << (3 * (y % 3) + x % 3))
        ctx.set(buffer.i_write_address, placed.base + y // 3 * placed.row_stride + x // 3 * placed.col_stride
                + chunk * placed.blocks + block)
        ctx.set(buffer.i_write_word, int(words[y, x, chunk, block]))
        await ctx.tick()
    ctx.set(buffer.i_write_enable, 0)


def window_of(words: np.ndarray, row: int, col: int, chunk: int, block: int) -> list[int]:
    """Reference, in bank order: a slice of the map in zeros, of which tap (ky, kx) lies in the bank of its position."""
    height, width = words.shape[:2]
    padded = np.zeros((height + 32, width + 32), dtype=np.int64)
    padded[16:16 + height, 16:16 + width] = words[:, :, chunk, block]
    banks = [0] * 9
    for ky, kx in np.ndindex(3, 3):
        banks[(row + ky) % 3 * 3 + (col + kx) % 3] = int(padded[16 + row + ky, 16 + col + kx])
    return banks


def active_channels(config: AcceleratorConfig, window: list[int]) -> int:
    """Reference: one bit per channel that has a spike in any word."""
    spikes = (1 << config.time_lanes) - 1
    return sum(1 << channel for channel in range(config.lanes)
               if any(word >> channel * config.time_lanes & spikes for word in window))


def run(config: AcceleratorConfig, placed: MapPlacement, positions: list[tuple[int, int, int, int]], *, seed: int,
        stall: float) -> int:
    """Reads these (row, column, chunk, block) and compares; returns the cycles."""
    draw = random.Random(seed)
    _, height, width = placed.shape
    shape = height, width, placed.chunks, placed.blocks
    words = np.random.default_rng(seed).integers(0, 1 << config.word_bits, shape)
    dut = WindowAndBuffer(config)
    bench = Bench(dut, seed=seed, stall=stall)
    side = [{"weight_row": draw.randrange(config.weight_rows), "weight_phase": draw.randrange(9),
             "tags": {name: draw.randrange(2) for name, _ in Tags}} for _ in positions]
    steps = [{"row_div": row // 3, "row_mod": row % 3, "col_div": col // 3, "col_mod": col % 3,
              "offset": chunk * placed.blocks + block, **rest}
             for (row, col, chunk, block), rest in zip(positions, side, strict=True)]
    reads = cycles = 0

    async def offer(ctx: SimulatorContext) -> None:
        ctx.set(dut.window.i_descriptor, blank_descriptor(
            in_height=height, in_width=width, in_base=placed.base, in_row_stride=placed.row_stride,
            in_col_stride=placed.col_stride))
        await fill(ctx, dut.buffer, config, placed, words)
        for step in steps:
            await bench.offer(ctx, dut.window.i, step)

    async def count(ctx: SimulatorContext) -> None:
        nonlocal reads, cycles
        while len(got) < len(steps):
            _, _, read, busy = await ctx.tick().sample(dut.o_read, dut.window.o_busy)
            reads += read
            cycles += busy
        assert not ctx.get(dut.window.o_busy)

    got = bench.get(dut.window.o, len(steps))
    bench.run(offer, count)
    assert reads == len(steps)
    for position, step, block in zip(positions, side, got, strict=True):
        window = window_of(words, *position)
        assert block == {"words": window, "active": active_channels(config, window), "row_mod": position[0] % 3, "col_mod": position[1] % 3,
                         **step}, position
    return cycles


def around(placed: MapPlacement) -> list[tuple[int, int, int, int]]:
    """Every position from the one whose window just misses the map on one side to that on the other, and beyond."""
    _, height, width = placed.shape
    draw = random.Random(height * 100 + width)
    return [(row, col, draw.randrange(placed.chunks), draw.randrange(placed.blocks))
            for row in range(-3, height + 7) for col in range(-3, width + 7)]


@pytest.mark.parametrize("line", MAPS, ids=lambda line: "x".join(map(str, line[0])))
def test_window_equals_the_map_in_zeros(line: tuple[tuple[int, int], int, int, bool]) -> None:
    placed = place(CONFIG, *line)
    run(CONFIG, placed, around(placed), seed=0, stall=0.0)


@pytest.mark.parametrize("seed", range(4))
def test_random_positions_with_stalls(seed: int) -> None:
    config = (CONFIG, NARROW)[seed % 2]
    placed = place(config, *MAPS[5 + seed % 4])
    positions = around(placed)
    random.Random(seed).shuffle(positions)
    run(config, placed, positions, seed=seed, stall=0.4)


def test_latency_of_seven_cycles_and_one_window_per_cycle() -> None:
    placed = place(CONFIG, *MAPS[5])
    assert run(CONFIG, placed, around(placed), seed=0, stall=0.0) == len(around(placed)) + 6
