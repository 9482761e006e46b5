"""ParamsLoader: packed parameters become biases with and without the threshold. A seed is in its test's name."""

from dataclasses import replace

import numpy as np
import pytest

from s2nn.hw.rtl.params import ParamsLoader
from s2nn.hw.spec import packing
from s2nn.hw.spec.config import TINY
from s2nn.hw.spec.program import BIAS_LIMIT, GAIN_LIMIT, THRESHOLD_LIMIT
from tests.rtl.layers import make_layer
from tests.rtl.streams import Bench, plain

#: One and two parameter words to a beat.
CONFIGS = {"32-bit bus": TINY, "64-bit bus": replace(TINY, lanes=8, axi_data_bits=64)}


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_a_tile_of_pairs_between_tiles_without(stall, seed=7):
    """Layers that keep or add currents have two words to a channel; others follow at once, on the same hardware."""
    config, rng = replace(TINY, current_bits=5), np.random.default_rng(seed)
    channels, ones = config.lanes, np.ones(config.lanes, dtype=np.int64)
    plain_layer = make_layer(rng, in_shape=(1, 3, 3), channels=channels)
    pairs = make_layer(rng, in_shape=(1, 3, 3), channels=channels, current=True,
                       gain=rng.integers(0, GAIN_LIMIT, channels, endpoint=True),
                       keep_shift=rng.integers(1, 16, channels, endpoint=True))
    kept = make_layer(rng, in_shape=(1, 3, 3), channels=channels, keep_shift=16 * ones)
    layers = [plain_layer, pairs, plain_layer, kept, pairs]
    dut = ParamsLoader(config)
    bench = Bench(dut, seed=seed, stall=stall)
    tiles = []

    async def give(ctx):
        for layer in layers:
            packed = packing.pack_params(config, layer)
            ctx.set(dut.i_pairs, int(layer.has_current_params))
            for at in range(0, len(packed), config.axi_bytes):
                await bench.offer(ctx, dut.i, int.from_bytes(packed[at:at + config.axi_bytes], "little"))

    async def take(ctx):
        for _ in layers:
            await ctx.tick().until(dut.o_valid)
            tiles.append(plain(dut.o.shape(), ctx.get(dut.o.as_value())))
            ctx.set(dut.i_take, 1)
            await ctx.tick()
            ctx.set(dut.i_take, 0)

    bench.run(give, take)
    for layer, tile in zip(layers, tiles, strict=True):
        for number, lane in enumerate(tile):
            assert lane["bias"] == int(layer.bias[number]) & (1 << config.membrane_bits) - 1
            assert lane["negate"] == layer.negate[number]
            if layer.gain is not None:
                assert lane["gain"] == layer.gain[number]
            if layer.keep_shift is not None:
                assert lane["keep_shift"] == layer.keep_shift[number] - 1


@pytest.mark.parametrize("shift", [0, 1, 7])
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_tiles_follow_each_other(config, stall, shift, seed=6):
    """Three tiles, the last one with a lane that has no channel; mantissas at both ends of their range."""
    rng, channels = np.random.default_rng(seed), 3 * config.lanes - 1
    threshold, bias = rng.integers(1, THRESHOLD_LIMIT, channels), rng.integers(-BIAS_LIMIT - 1, BIAS_LIMIT, channels)
    threshold[:2], bias[:2] = (1, THRESHOLD_LIMIT), (-BIAS_LIMIT - 1, BIAS_LIMIT)
    layer = make_layer(rng, in_shape=(1, 3, 3), channels=channels, threshold=threshold, bias=bias)
    packed = packing.pack_params(config, layer)
    beats = [int.from_bytes(packed[at:at + config.axi_bytes], "little")
             for at in range(0, len(packed), config.axi_bytes)]
    dut = ParamsLoader(config)
    bench = Bench(dut, seed=seed, stall=stall)
    bench.put(dut.i, beats)
    tiles = []

    async def take(ctx):
        ctx.set(dut.i_shift, shift)
        for _ in range(3):
            await ctx.tick().until(dut.o_valid)
            while bench.pause():
                await ctx.tick()
            tiles.append(plain(dut.o.shape(), ctx.get(dut.o.as_value())))
            ctx.set(dut.i_take, 1)
            await ctx.tick()
            ctx.set(dut.i_take, 0)
        assert not ctx.get(dut.o_valid)

    bench.run(take)
    lanes = [lane for tile in tiles for lane in tile]
    for number, lane in enumerate(lanes[:channels]):
        assert lane["no_channel"] == 0 and lane["negate"] == layer.negate[number]
        for name, value in (("bias", bias[number]), ("excess_bias", bias[number] - threshold[number])):
            width = config.membrane_bits + (name == "excess_bias")
            assert lane[name] == int(value << shift) & (1 << width) - 1, (number, name)
    assert [lane["no_channel"] for lane in lanes[channels:]] == [1]
