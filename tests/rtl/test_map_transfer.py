"""MapLoader and MapStorer: words of the spike buffer to beats of DRAM and back. A seed is in its test's name."""

import random
from dataclasses import replace

import pytest

from s2nn.hw.rtl.map_transfer import MapLoader, MapStorer
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from tests.rtl.layers import blank_descriptor
from tests.rtl.streams import Bench

#: Words of 8, 32, 64 and 128 bits on 32 bits: a part of a beat, a whole one, two, four.
CONFIGS = {"part of a beat": TINY, "one beat": replace(TINY, lanes=8, time_lanes=4),
           "two beats": replace(TINY, lanes=16, time_lanes=4), "four beats": replace(TINY, lanes=16, time_lanes=8)}


def beats_of(config: AcceleratorConfig, word: int) -> list[int]:
    """Reference: lowest bits first, in whole beats."""
    count = config.spilled_word_bytes // config.axi_bytes
    return [word >> k * config.axi_data_bits & (1 << config.axi_data_bits) - 1 for k in range(count)]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_loader_takes_each_map_whole(config, count, stall, seed=3):
    dut, draw = MapLoader(config), random.Random(seed)
    bench = Bench(dut, seed=seed, stall=stall)
    maps = [[draw.getrandbits(config.word_bits) for _ in range(count + k)] for k in range(2)]
    got: list[int] = []
    ends: list[int] = []

    async def load(ctx):
        for words in maps:
            beats = [beat for word in words for beat in beats_of(config, word)]
            ctx.set(dut.i_descriptor, blank_descriptor() | {"tile_beats": len(beats)})
            ctx.set(dut.i_start, 1)
            await ctx.tick()
            ctx.set(dut.i_start, 0)
            assert ctx.get(dut.o_busy)
            for beat in beats:
                await bench.offer(ctx, dut.i, beat)
            await ctx.tick().until(~dut.o_busy)
            ends.append(len(got))

    async def watch(ctx):
        async for _, _, valid, word in ctx.tick().sample(dut.o.valid, dut.o.payload):
            if valid:
                got.append(word)
            if len(got) == sum(map(len, maps)):
                return

    bench.run(load, watch)
    assert got == [word for words in maps for word in words]
    assert ends == [count, 2 * count + 1]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_storer_cuts_words_into_beats(config, stall, seed=4):
    dut, draw = MapStorer(config), random.Random(seed)
    bench = Bench(dut, seed=seed, stall=stall)
    words = [draw.getrandbits(config.word_bits) for _ in range(20)]
    expected = [beat for word in words for beat in beats_of(config, word)]
    bench.put(dut.i, words)
    got = bench.get(dut.o, len(expected))
    bench.run()
    assert got == [{"data": beat, "strb": (1 << config.axi_bytes) - 1} for beat in expected]
    if not stall:
        assert bench.cycles <= len(expected) + 3
