"""WeightBuffer: the bytes of `packing.pack_index` read back as the layer's symbols. A seed is in its test's name."""

import random
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.weight_buffer import WeightBuffer
from s2nn.hw.spec import packing
from s2nn.hw.spec.config import TINY, AcceleratorConfig, ceil_div
from s2nn.hw.spec.program import Layer
from tests.rtl.layers import make_layer
from tests.rtl.streams import Bench

#: Eight, four and two slices a beat. A half of the first holds 36 slices: four slices of its last beat are too many.
CONFIGS = {
    "8 a beat": replace(TINY, weight_rows=4, index_bits=6),
    "4 a beat": replace(TINY, weight_rows=8, index_bits=6, lanes=8),
    "2 a beat": replace(TINY, weight_rows=8, index_bits=6, lanes=16),
    "64-bit bus": replace(TINY, weight_rows=4, index_bits=6, lanes=8, axi_data_bits=64),
    "binary": replace(TINY, weight_rows=4).as_binary(),
}


def random_layer(config: AcceleratorConfig, seed: int, bits: int, groups: int, tiles: int) -> Layer:
    rng = np.random.default_rng([seed, bits, groups])
    return make_layer(rng, in_shape=(groups, 1, 1), eta=None if bits == 9 else bits, channels=tiles * config.lanes)


def tile_symbols(config: AcceleratorConfig, layer: Layer, tile: int) -> np.ndarray:
    """Reference: symbols (groups, lanes) of a tile."""
    return layer.weights.symbols[0, tile * config.lanes:(tile + 1) * config.lanes].T


def tile_rows(layer: Layer) -> int:
    """Rows of the banks that a tile takes."""
    return ceil_div(layer.num_groups * layer.weights.symbol_bits, 9)


async def fill_tile(ctx: SimulatorContext, bench: Bench, config: AcceleratorConfig, layer: Layer, tile: int,
                    first_row: int, *, extra_beats: int = 0) -> None:
    """Stores a tile from that row on, and offers further beats, which must be dropped."""
    dut = bench.dut
    ctx.set(dut.i_fill_row, first_row)
    ctx.set(dut.i_fill_rows, tile_rows(layer))
    size = packing.tile_bytes(config, layer)
    data = packing.pack_index(config, layer)[tile * size:(tile + 1) * size]
    data += bench.draw.randbytes(extra_beats * config.axi_bytes)
    for at in range(0, len(data), config.axi_bytes):
        while bench.pause():
            assert ctx.get(dut.o_slice_writes) == 0
            await ctx.tick()
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, int.from_bytes(data[at:at + config.axi_bytes], "little"))
        ctx.set(dut.i_fill_next, at + config.axi_bytes == len(data))  # what follows is the next tile
        assert ctx.get(dut.o_slice_writes) == config.slices_per_beat
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.i_fill_next, 0)


async def settle(ctx: SimulatorContext) -> None:
    """Until the last beat has reached the banks, less the two cycles from `i_read` to the bank's read."""
    await ctx.tick()


async def read_tile(ctx: SimulatorContext, bench: Bench, config: AcceleratorConfig, layer: Layer, tile: int,
                    first_row: int) -> None:
    """Reads every group of a tile, in any order, and compares. A width is there a cycle before its first symbol is
    read, and in that cycle the read side may stand still."""
    dut, draw = bench.dut, bench.draw
    symbols, bits = tile_symbols(config, layer, tile), layer.weights.symbol_bits
    ctx.set(dut.i_symbol_bits, bits)
    ctx.set(dut.i_enable, draw.randrange(2))
    await ctx.tick()
    under_way: list[int | None] = []  # groups whose symbols are inside
    slices_read = 0
    for group in [*draw.sample(range(len(symbols)), len(symbols)), None, None, None]:
        while bench.pause():
            ctx.set(dut.i_enable, 0)
            await ctx.tick()
        ctx.set(dut.i_enable, 1)
        ctx.set(dut.i_read, group is not None)
        if group is not None:
            channel = draw.randrange(min(group + 1, config.lanes))  # of the block that the group is in
            row, phase = divmod((group - channel) * bits, 9)
            ctx.set(dut.i_row, first_row + row)
            ctx.set(dut.i_channel_row, channel * bits // 9)
            ctx.set(dut.i_phase, phase + channel * bits % 9)
        under_way.append(group)
        slices_read += ctx.get(dut.o_slice_reads)
        await ctx.tick()
        if len(under_way) == 4 and (due := under_way.pop(0)) is not None:
            got = [int(ctx.get(dut.o[lane])) & (1 << bits) - 1 for lane in range(config.lanes)]
            assert got == symbols[due].tolist(), f"tile {tile}, group {due}, {bits} bits"
    assert slices_read == len(symbols) * bits


def run(config: AcceleratorConfig, layers: list[Layer], *, seed: int, stall: float, extra_beats: int = 0) -> None:
    """Fills the halves in turn with the tiles of all layers, each while the tile before it is read group by group.

    The reader goes round its tile until the next one is in place, and once more.
    """
    bench = Bench(WeightBuffer(config), seed=seed, stall=stall)
    tiles = [(layer, tile) for layer in layers for tile in range(packing.num_tiles(config, layer))]
    filled = read = 0

    async def fill(ctx: SimulatorContext) -> None:
        nonlocal filled
        for number, (layer, tile) in enumerate(tiles):
            while number >= read + 2:
                await ctx.tick()
            await fill_tile(ctx, bench, config, layer, tile, number % 2 * config.weight_rows, extra_beats=extra_beats)
            filled += 1

    async def drain(ctx: SimulatorContext) -> None:
        nonlocal read
        for number, (layer, tile) in enumerate(tiles):
            while filled <= number:
                await ctx.tick()
            await settle(ctx)
            beside = True
            while beside:
                beside = filled < min(number + 2, len(tiles))
                await read_tile(ctx, bench, config, layer, tile, number % 2 * config.weight_rows)
            read += 1

    bench.run(fill, drain)


def capacity(config: AcceleratorConfig, bits: int) -> int:
    return 9 * config.weight_rows // bits


WIDTHS = [(name, bits) for name in CONFIGS for bits in ((9,) if name == "binary" else (2, 3, 4, 5, 6, 9))]


@pytest.mark.parametrize(("name", "bits"), WIDTHS)
def test_full_halves_read_back_while_the_other_is_filled(name: str, bits: int) -> None:
    # Padding behind a tile that fills its half to the last slice must not wrap round into row 0.
    config = CONFIGS[name]
    run(config, [random_layer(config, 0, bits, capacity(config, bits), tiles=5)], seed=0, stall=0.0)


@pytest.mark.parametrize("name", CONFIGS)
def test_one_row_less_and_one_row_more(name: str) -> None:
    config = CONFIGS[name]
    sizes = [capacity(config, 9) - 1, capacity(config, 9)]
    run(config, [random_layer(config, 1, 9, groups, tiles=3) for groups in sizes], seed=1, stall=0.0)
    # Beats beyond the last row are dropped, as padding is.
    beats = 9 // config.slices_per_beat
    run(config, [random_layer(config, 1, 9, sizes[1], tiles=3)], seed=1, stall=0.0, extra_beats=beats)


@pytest.mark.parametrize("seed", range(5))
def test_random_layers_in_turn_with_stalls(seed: int) -> None:
    draw, config = random.Random(seed), list(CONFIGS.values())[seed]
    widths = [draw.choice((2, 3, 4, 5, 6, 9)) if config.is_codebook else 9 for _ in range(4)]
    layers = [random_layer(config, seed, bits, draw.randint(1, capacity(config, bits)), tiles=draw.randint(1, 3))
              for bits in widths]
    run(config, layers, seed=seed, stall=0.4)


@pytest.mark.parametrize("seed", range(5))
def test_tiles_that_stay_lie_row_by_row(seed: int) -> None:
    """Behind the halves, from the first row to the last; filled in any order, since none reaches into another."""
    draw, config = random.Random(seed), list(CONFIGS.values())[seed]
    widths = [draw.choice((2, 3, 4, 5, 6, 9)) if config.is_codebook else 9 for _ in range(3)]
    layers = [random_layer(config, seed, bits, draw.randint(1, capacity(config, bits)), tiles=2) for bits in widths]
    tiles, row = [], 2 * config.weight_rows
    for layer, tile in product(layers, range(2)):
        tiles.append((layer, tile, row))
        row += tile_rows(layer)
    halves = [(random_layer(config, seed, 9, capacity(config, 9), tiles=2), tile, tile * config.weight_rows)
              for tile in range(2)]
    config = replace(config, resident_rows=row - 2 * config.weight_rows)
    bench = Bench(WeightBuffer(config), seed=seed)

    async def script(ctx: SimulatorContext) -> None:
        for layer, tile, first_row in draw.sample(tiles + halves, len(tiles) + 2):
            await fill_tile(ctx, bench, config, layer, tile, first_row, extra_beats=3)
        await settle(ctx)
        for layer, tile, first_row in draw.sample(tiles + halves, len(tiles) + 2):
            await read_tile(ctx, bench, config, layer, tile, first_row)

    bench.run(script)
