"""PoolUnit: the maximum, or the sum as three planes, of the four words of a pool window, chunk by chunk.

A seed is in its test's name.
"""

import random
from dataclasses import dataclass, replace

import pytest
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.pool import SUM_PLANES, PoolUnit
from s2nn.hw.spec.config import MAX_CHUNKS, TINY, AcceleratorConfig
from tests.rtl.streams import Bench

CONFIG = replace(TINY, max_chunks=5)
MANY = replace(TINY, lanes=16, time_lanes=8, max_chunks=MAX_CHUNKS)


@dataclass
class PoolLayer:
    """Words in order: position by position, of each its chunks."""

    pool: bool
    chunks: int
    words: list[int]
    by_sum: bool = False

    def expected(self) -> list[int]:
        """Reference: over the four words of each window and chunk, bit by bit."""
        if not self.pool:
            return self.words
        found = []
        window = 4 * self.chunks
        for at in range(0, len(self.words), window):
            for chunk in range(self.chunks):
                four = self.words[at + chunk:at + window:self.chunks]
                if len(four) < 4:
                    continue
                if not self.by_sum:
                    found.append(four[0] | four[1] | four[2] | four[3])
                    continue
                counts = [sum(word >> bit & 1 for word in four) for bit in range(max(four).bit_length())]
                found += [sum((count >> plane & 1) << bit for bit, count in enumerate(counts))
                          for plane in range(SUM_PLANES)]
        return found


def random_layer(draw: random.Random, config: AcceleratorConfig, *, pool: bool, chunks: int, windows: int,
                 by_sum: bool = False) -> PoolLayer:
    words = [draw.randrange(1 << config.word_bits) & draw.randrange(1 << config.word_bits)
             for _ in range(windows * chunks * 4)]
    return PoolLayer(pool, chunks, words, by_sum)


def run(config: AcceleratorConfig, layers: list[PoolLayer], *, seed: int = 0, stall: float = 0.0) -> list[int]:
    """Pools layer after layer, each from i_start on; returns the cycles from a layer's first word to its last."""
    dut = PoolUnit(config)
    bench = Bench(dut, seed=seed, stall=stall)
    wanted = [word for layer in layers for word in layer.expected()]
    cycles = []

    async def script(ctx: SimulatorContext) -> None:
        for layer in layers:
            ctx.set(dut.i_pool, layer.pool)
            ctx.set(dut.i_sum, layer.by_sum)
            ctx.set(dut.i_chunks, layer.chunks)
            ctx.set(dut.i_start, 1)
            await ctx.tick()
            ctx.set(dut.i_start, 0)
            begin = bench.cycles
            for word in layer.words:
                await bench.offer(ctx, dut.i, word)
            cycles.append(bench.cycles - begin)

    got = bench.get(dut.o, len(wanted))
    bench.run(script)
    assert got == wanted
    return cycles


@pytest.mark.parametrize("by_sum", [False, True])
@pytest.mark.parametrize("chunks", [1, 2, 4, 5])
def test_four_words_of_a_window_become_one(chunks: int, by_sum: bool) -> None:
    draw = random.Random(chunks)
    layer = random_layer(draw, CONFIG, pool=True, chunks=chunks, windows=12, by_sum=by_sum)
    # A word per cycle, but each window's last words leave as three planes of a sum.
    assert run(CONFIG, [layer]) == [12 * chunks * (6 if by_sum else 4)]


@pytest.mark.parametrize("chunks", [1, 5])
def test_words_pass_without_a_pool(chunks: int) -> None:
    layer = random_layer(random.Random(0), CONFIG, pool=False, chunks=chunks, windows=5)
    assert run(CONFIG, [layer]) == [len(layer.words)]


@pytest.mark.parametrize("by_sum", [False, True])
def test_every_set_of_members_counts_once(by_sum: bool) -> None:
    """Bit k of the four words: the members of set k, so that all sixteen sets stand side by side."""
    config = replace(CONFIG, lanes=16, time_lanes=1, max_chunks=8)
    words = [sum((members >> member & 1) << members for members in range(16)) for member in range(4)]
    layer = PoolLayer(True, 1, words * 3, by_sum)
    assert layer.expected()[:1] == ([0b0110_1001_1001_0110] if by_sum else [0xFFFE])
    run(config, [layer])


@pytest.mark.parametrize("by_sum", [False, True])
def test_as_many_chunks_and_bits_as_there_can_be(by_sum: bool) -> None:
    run(MANY, [random_layer(random.Random(0), MANY, pool=True, chunks=MAX_CHUNKS, windows=3, by_sum=by_sum)])


def test_a_layer_begins_anew_wherever_the_one_before_broke_off() -> None:
    """A layer that ends within a window, or within the chunks of a position, leaves nothing behind."""
    draw = random.Random(0)
    layers = []
    for length in range(1, 24):
        broken = random_layer(draw, CONFIG, pool=True, chunks=3, windows=2, by_sum=length % 2 == 0)
        broken.words = broken.words[:length]
        layers += [broken, random_layer(draw, CONFIG, pool=True, chunks=draw.choice((1, 2, 5)), windows=2)]
    run(CONFIG, layers)


@pytest.mark.parametrize("seed", range(5))
def test_random_layers_in_turn_with_stalls(seed: int) -> None:
    draw = random.Random(seed)
    layers = [random_layer(draw, CONFIG, pool=draw.random() < 0.7, chunks=draw.randint(1, 5),
                           windows=draw.randint(1, 4), by_sum=draw.random() < 0.5) for _ in range(12)]
    run(CONFIG, layers, seed=seed, stall=0.4)
