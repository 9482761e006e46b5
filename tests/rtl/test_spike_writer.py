"""SpikeWriter: every word of a map is written once, where `MapPlacement` says. A seed is in its test's name."""

import random
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.spike_writer import SpikeWriter
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from s2nn.hw.spec.descriptor import Residual
from s2nn.hw.spec.maps import MapPlacement
from tests.rtl.layers import blank_descriptor
from tests.rtl.streams import Bench, plain

CONFIG = replace(TINY, spike_words=256, max_chunks=9)
NARROW = replace(TINY, spike_words=256, time_lanes=1, max_chunks=9)


@dataclass(frozen=True)
class WrittenLayer:
    """An output map and how it comes about. add : largest value of the residual map, 0 without one."""

    size: tuple[int, int]
    tiles: int = 1
    chunks: int = 1
    pool: str = ""
    add: int = 0
    iand: bool = False
    base: int = 0

    @property
    def peak(self) -> int:
        return 4 if self.pool == "sum" else 1 + self.add

    @property
    def planes(self) -> int:
        return self.peak.bit_length()

    @property
    def residual_planes(self) -> int:
        return 1 if self.iand else self.add.bit_length()

    def placement(self, config: AcceleratorConfig) -> MapPlacement:
        placed = MapPlacement((self.tiles * config.lanes, *self.size), self.tiles, self.chunks, self.planes, self.base)
        assert placed.end <= config.spike_words
        return placed

    def descriptor(self, config: AcceleratorConfig) -> Any:
        placed = self.placement(config)
        return blank_descriptor(
            out_height=self.size[0], out_width=self.size[1], out_chunks=self.chunks, out_planes=self.planes,
            out_base=placed.base, out_row_stride=placed.row_stride, out_col_stride=placed.col_stride, tiles=self.tiles,
            pool=int(bool(self.pool)), pool_sum=int(self.pool == "sum"), residual_planes=self.residual_planes,
            residual=Residual.ADD if self.add else Residual.IAND if self.iand else Residual.NONE)


LAYERS = {
    "one word": WrittenLayer((1, 1)),
    "one row": WrittenLayer((1, 8), chunks=2, base=5),
    "one column": WrittenLayer((8, 1), tiles=2, base=200),
    "a row and a column of banks less one": WrittenLayer((5, 2), chunks=3),
    "whole rows and columns of banks": WrittenLayer((6, 3), tiles=2, chunks=2, base=100),
    "a row and a column of banks more": WrittenLayer((4, 7), tiles=3, chunks=2, base=31),
    "nine chunks": WrittenLayer((3, 4), chunks=9, tiles=2),
    "the last word of the banks": WrittenLayer((7, 4), tiles=2, chunks=2, base=256 - 24),
    "largest of four": WrittenLayer((2, 5), tiles=2, chunks=3, pool="max", base=3),
    "sum of four": WrittenLayer((4, 2), tiles=2, chunks=2, pool="sum", base=64),
    "spikes added to spikes": WrittenLayer((4, 4), tiles=2, chunks=2, add=1, base=9),
    "three planes, no more than before": WrittenLayer((2, 4), tiles=3, chunks=2, add=4),
    "four planes, one more than before": WrittenLayer((3, 2), tiles=1, chunks=4, add=7, base=17),
    "spikes that silence": WrittenLayer((3, 5), tiles=2, chunks=2, iand=True, base=40),
}


def word(bits: np.ndarray) -> int:
    return sum(int(bit) << k for k, bit in enumerate(bits))


def random_words(config: AcceleratorConfig, layer: WrittenLayer, seed: int) -> tuple[list[int], list[int], list[dict]]:
    """Words of spikes, of the residual map, and the writes that they must cause."""
    rng = np.random.default_rng(seed)
    placed, members = layer.placement(config), 4 if layer.pool else 1
    spikes, residual, writes = [], [], []
    for tile, y, x in product(range(layer.tiles), *map(range, layer.size)):
        fired = rng.random((members, layer.chunks, config.word_bits)) < 0.4
        spikes += [word(bits) for member in fired for bits in member]
        for chunk in range(layer.chunks):
            values = fired[:, chunk].any(axis=0) if layer.pool == "max" else fired[:, chunk].sum(axis=0)
            if layer.add or layer.iand:
                before = rng.integers(0, (layer.add or 1) + 1, config.word_bits)
                residual += [word(before >> plane & 1) for plane in range(layer.residual_planes)]
                values = before & ~values & 1 if layer.iand else before + values
            for plane in range(layer.planes):
                number = chunk * layer.planes + plane
                writes.append({
                    "enable": 1 << 3 * (y % 3) + x % 3, "word": word(values.astype(int) >> plane & 1), "x": x, "y": y,
                    "address": placed.base + y // 3 * placed.row_stride + x // 3 * placed.col_stride
                    + number * placed.blocks + tile, "pass": number, "tile": tile,
                })
    assert len({(write["enable"], write["address"]) for write in writes}) == len(writes)
    return spikes, residual, writes


def run(config: AcceleratorConfig, layers: list[WrittenLayer], *, seed: int = 0, stall: float = 0.0) -> int:
    """Writes map after map, each when the one before is done; returns the cycles from the first word on."""
    dut = SpikeWriter(config)
    bench = Bench(dut, seed=seed, stall=stall)
    plans = [random_words(config, layer, seed * 100 + number) for number, layer in enumerate(layers)]
    wanted = [write for _, _, writes in plans for write in writes]
    got, begin = [], 0

    async def script(ctx: SimulatorContext) -> None:
        nonlocal begin
        for layer, (spikes, _, _) in zip(layers, plans, strict=True):
            ctx.set(dut.i_descriptor, layer.descriptor(config))
            await ctx.tick()
            ctx.set(dut.i_start, 1)
            await ctx.tick()
            ctx.set(dut.i_start, 0)
            begin = bench.cycles
            for payload in spikes:
                await bench.offer(ctx, dut.i, payload)
            while ctx.get(dut.o_busy):
                await ctx.tick()

    async def watch(ctx: SimulatorContext) -> None:
        moved = 0
        while len(got) < len(wanted):
            _, _, enable, address, payload, valid, probe, moves, busy = await ctx.tick().sample(
                dut.o_write_enable, dut.o_write_address, dut.o_write_word, dut.o_probe_valid, dut.o_probe.as_value(),
                dut.o_moves, dut.o_busy)
            assert valid == bool(enable) and moved == valid  # the counter's event is a cycle early
            assert busy or not moves
            moved = moves
            if enable:
                place = plain(dut.o_probe.shape(), probe)
                assert place["word"] == payload
                got.append(place | {"enable": enable, "address": address})

    bench.put(dut.i_residual, [payload for _, residual, _ in plans for payload in residual])
    bench.run(script, watch)
    for number, (one, other) in enumerate(zip(got, wanted, strict=True)):
        assert one == other, f"write {number}"
    return bench.cycles - begin


@pytest.mark.parametrize("config", [CONFIG, NARROW], ids=["tiny", "one time lane"])
@pytest.mark.parametrize("name", LAYERS)
def test_words_are_written_where_their_map_lies(name: str, config: AcceleratorConfig) -> None:
    run(config, [LAYERS[name]])


@pytest.mark.parametrize("name", ["nine chunks", "spikes added to spikes", "four planes, one more than before"])
def test_three_cycles_to_a_write_and_one_plane_per_cycle(name: str) -> None:
    layer = LAYERS[name]
    writes = layer.size[0] * layer.size[1] * layer.tiles * layer.chunks * layer.planes
    assert run(CONFIG, [layer]) == writes + 3


@pytest.mark.parametrize("seed", range(5))
def test_random_maps_in_turn_with_stalls(seed: int) -> None:
    draw = random.Random(seed)
    run((CONFIG, NARROW)[seed % 2], [LAYERS[name] for name in draw.sample(list(LAYERS), 7)], seed=seed, stall=0.4)
