"""LoopNest: the steps of a layer are those of nested Python loops. A seed is in its test's name."""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.layouts import step_layout
from s2nn.hw.rtl.loop_nest import LoopNest
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from s2nn.hw.spec.program import Layer
from tests.rtl.layers import describe_layer, make_layer
from tests.rtl.loop_reference import Step, reference
from tests.rtl.streams import Bench, plain

CONFIG = replace(TINY, spike_words=1024, index_bits=6, max_chunks=5, resident_rows=77)
LINEAR = {"pad": 0, "gather": True}
POINT, SHARED = LINEAR | {"kernel": (1, 1)}, LINEAR | {"shared_taps": True}

#: Each line leaves the ordinary in another direction: options and time steps; lanes = time_lanes*2 = 4.
LAYERS = {
    "smallest": ({"in_shape": (1, 1, 1), "channels": 1}, 1),
    "one channel more than a block": ({"in_shape": (5, 3, 3), "eta": 4}, 2),
    "one channel less than two blocks": ({"in_shape": (7, 3, 3), "eta": 2, "channels": 5}, 2),
    "three blocks, three tiles": ({"in_shape": (12, 2, 3), "eta": 6, "channels": 12}, 2),
    "no padding": ({"in_shape": (3, 5, 4), "pad": 0}, 2),
    "padding of two": ({"in_shape": (3, 3, 4), "pad": 2}, 2),
    "padding of three, groups beyond the map": ({"in_shape": (2, 3, 3), "pad": 3, "kernel": (6, 9)}, 2),
    "stride": ({"in_shape": (5, 7, 8), "eta": 3, "stride": 2}, 2),
    "stride, padding of three": ({"in_shape": (1, 5, 5), "stride": 2, "pad": 3}, 2),
    "pool": ({"in_shape": (5, 6, 5), "eta": 5, "pool": True}, 2),
    "pool, stride, three chunks": ({"in_shape": (2, 9, 9), "eta": 2, "pool": True, "stride": 2, "pad": 2}, 5),
    "planes": ({"in_shape": (5, 2, 2), "planes": 3, "kernel": (3, 6), "pad": 2}, 3),
    "image": ({"in_shape": (3, 4, 4), "planes": 2, "image": True, "channels": 6}, 3),
    "nine groups": ({"in_shape": (6, 4, 5), "kernel": (9, 9), "pad": 3, "eta": 4, "pool": True}, 3),
    # Kernels that do not fill their last groups.
    "kernel of 1x1": ({"in_shape": (5, 3, 3), "kernel": (1, 1), "pad": 0}, 2),
    "kernel of 2x4": ({"in_shape": (5, 4, 4), "kernel": (2, 4), "eta": 4}, 2),
    "kernel of 5x3": ({"in_shape": (3, 5, 4), "kernel": (5, 3), "pad": 2, "planes": 2}, 3),
    "kernel of 7x8, stride": ({"in_shape": (2, 7, 9), "kernel": (7, 8), "pad": 3, "stride": 2, "eta": 3}, 2),
    # Sets of nine gathered words of four inputs.
    "1x1, one word": ({"in_shape": (3, 3, 4), **POINT}, 2),
    "1x1, eight words": ({"in_shape": (32, 2, 2), **POINT, "eta": 4}, 2),
    "1x1, a full set": ({"in_shape": (36, 2, 2), **POINT, "eta": 5}, 3),
    "1x1, one channel more than a set": ({"in_shape": (37, 2, 2), **POINT, "eta": 3}, 2),
    "1x1 with planes, stride, padding, pool": (
        {"in_shape": (41, 5, 7), "kernel": (1, 1), "stride": 2, "gather": True, "planes": 3, "pool": True}, 3),
    "1x1 on an image": ({"in_shape": (3, 2, 2), **POINT, "planes": 8, "image": True}, 1),
    "linear, a set less a word": ({"in_shape": (8, 2, 2), "kernel": (2, 2), **LINEAR, "channels": 9}, 2),
    "linear, a full set": ({"in_shape": (4, 3, 3), "kernel": (3, 3), **LINEAR, "eta": 2}, 3),
    "linear, a set and a word": ({"in_shape": (4, 2, 5), "kernel": (2, 5), **LINEAR, "eta": 4}, 2),
    "linear, sets across taps": ({"in_shape": (20, 4, 3), "kernel": (4, 3), **LINEAR, "planes": 2}, 4),
    "gathered with stride and padding": (
        {"in_shape": (8, 4, 5), "kernel": (2, 3), "stride": 2, "gather": True, "eta": 6, "channels": 5}, 2),
    "shared taps": ({"in_shape": (5, 3, 4), "kernel": (3, 4), **SHARED}, 3),
    "shared taps of two sets": (
        {"in_shape": (37, 4, 4), "kernel": (2, 2), "stride": 2, **SHARED, "eta": 4,
         "planes": 2, "channels": 5}, 3),
    # Sums of spikes: two planes up to 3, three up to 7, four up to 15.
    "sums of two planes": ({"in_shape": (5, 2, 3), "peak": 2, "eta": 4}, 3),
    "sums of four planes, weight planes": ({"in_shape": (5, 2, 2), "peak": 8, "planes": 3, "channels": 5}, 4),
    "gathered sums": ({"in_shape": (20, 2, 2), "kernel": (2, 2), "peak": 3, **LINEAR, "eta": 5}, 3),
    "gathered sums, one word, weight planes": (
        {"in_shape": (2, 2, 2), "kernel": (1, 1), "peak": 4, **LINEAR, "planes": 2}, 3),
    "shared taps of sums": (
        {"in_shape": (41, 2, 2), "kernel": (2, 2), "peak": 5, **SHARED, "planes": 2}, 3),
    # The planes of a residual map after each position and chunk.
    "residual of spikes": ({"in_shape": (3, 4, 5), "add": 1, "channels": 3}, 2),
    "residual of spikes in three tiles and chunks": ({"in_shape": (2, 3, 4), "iand": True, "channels": 9}, 5),
    "residual of sums": ({"in_shape": (5, 4, 4), "add": 2, "stride": 2, "pad": 0, "channels": 6}, 3),
    "residual of three planes, sums, weight planes": (
        {"in_shape": (5, 2, 4), "peak": 2, "planes": 2, "add": 7, "channels": 12, "kernel": (2, 4)}, 5),
    "residual over gathered inputs": (
        {"in_shape": (38, 2, 4), **POINT, "add": 3, "channels": 5}, 3),
    "residual over one gathered word": ({"in_shape": (4, 1, 1), **POINT, "add": 1}, 1),
    "residual over shared taps of sums": (
        {"in_shape": (5, 3, 3), "kernel": (3, 3), "gather": True, "shared_taps": True, "peak": 2, "add": 2}, 2),
    # Weights that stay: tiles one behind the other, from the first row behind the halves and up to the last.
    "resident": ({"in_shape": (5, 3, 3), "eta": 4, "channels": 12, "weight_base": 512}, 2),
    "resident to the last row": (
        {"in_shape": (11, 2, 2), "channels": 28, "add": 1, "pad": 1, "weight_base": 512 + 77 - 7 * 11}, 2),
    "resident, gathered sums": (
        {"in_shape": (20, 2, 2), "kernel": (2, 2), "peak": 3, **LINEAR, "eta": 5, "channels": 9, "weight_base": 530},
        3),
}
#: With currents of five bits beside the spikes.
SHORTCUTS = replace(CONFIG, current_bits=5)
SHORTCUT_LAYERS = {
    "spikes beside currents": ({"in_shape": (5, 3, 4), "beside": True, "eta": 4}, 5),
    "gathered spikes beside currents": ({"in_shape": (38, 2, 2), **POINT, "beside": True, "planes": 2}, 4),
    "currents": ({"in_shape": (3, 4, 5), "current": True, "channels": 3}, 2),
    "currents in three tiles and chunks": ({"in_shape": (2, 3, 4), "current": True, "channels": 9}, 5),
    "currents, spikes beside others": ({"in_shape": (5, 3, 4), "current": True, "beside": True, "stride": 2}, 3),
}


def make(name: str) -> tuple[Layer, dict[str, int]]:
    """The layer, its steps, and where its weights stay."""
    options, steps = (LAYERS | SHORTCUT_LAYERS)[name]
    options, place = dict(options), {"steps": steps}
    if "weight_base" in options:
        place["weight_base"] = options.pop("weight_base")
    return make_layer(np.random.default_rng(0), **options), place


def meant(got: Step, wanted: Step) -> Step:
    """Of a step, the fields that the reference speaks of."""
    return {name: meant(got[name], value) if isinstance(value, dict) else got[name] for name, value in wanted.items()}


def run(names: list[str], *, seed: int, stall: float, late: float, config: AcceleratorConfig = CONFIG) -> list[int]:
    """Walks these layers one after the other and compares their steps; returns the cycles of each."""
    dut = LoopNest(config)
    bench = Bench(dut, limit=50_000)
    draw = random.Random(seed)
    bits, layout = Value.cast(dut.o.payload), step_layout(config)
    cycles = []

    async def walk(ctx: SimulatorContext) -> None:
        half = 0
        for name in names:
            layer, place = make(name)
            tiles = reference(config, layer, half=half, **place)
            half ^= len(tiles) & ("weight_base" not in place)
            left = [step for steps in reversed(tiles) for step in reversed(steps)]
            starts = {sum(map(len, tiles[k:])) for k in range(len(tiles))}  # steps left where a tile begins
            taken, held, count = 0, None, 0
            assert not ctx.get(dut.o_busy)
            ctx.set(dut.i_descriptor, describe_layer(config, layer, **place))
            ctx.set(dut.i_start, 1)
            await ctx.tick()
            ctx.set(dut.i_start, 0)
            while ctx.get(dut.o_busy):
                ready, tile_ready = draw.random() >= stall, draw.random() >= late
                ctx.set(dut.o.ready, ready)
                ctx.set(dut.i_tile_ready, tile_ready)
                waiting = len(left) in starts and taken == len(tiles) - sorted(starts).index(len(left)) - 1
                assert ctx.get(dut.o_waiting) == waiting
                assert ctx.get(dut.o_tile_take) == (waiting and tile_ready)
                assert ctx.get(dut.o.valid) == (not waiting)
                taken += ctx.get(dut.o_tile_take)
                if not waiting:
                    payload = ctx.get(bits)
                    assert held in (None, payload), "payload changed while it waited"
                    held = None if ready else payload
                    if ready:
                        wanted = left.pop()
                        got = meant(plain(layout, payload), wanted)
                        assert got == wanted, f"{name}: {len(left)} steps before the end"
                await ctx.tick()
                count += 1
            assert (len(left), taken) == (0, len(tiles)), name
            cycles.append(count)

    bench.run(walk)
    return cycles


@pytest.mark.parametrize("name", LAYERS)
def test_steps_equal_nested_loops(name: str) -> None:
    run([name], seed=0, stall=0.0, late=0.0)


@pytest.mark.parametrize("name", [*SHORTCUT_LAYERS, "three blocks, three tiles", "image", "residual of sums"])
def test_steps_pass_over_what_lies_beside(name: str) -> None:
    run([name], seed=0, stall=0.0, late=0.0, config=SHORTCUTS)


def test_layers_with_and_without_shortcuts_follow_each_other() -> None:
    names = [*SHORTCUT_LAYERS, "residual of sums", "pool, stride, three chunks", *reversed(SHORTCUT_LAYERS)]
    run(names, seed=3, stall=0.4, late=0.7, config=SHORTCUTS)


@pytest.mark.parametrize("seed", range(6))
def test_layers_follow_each_other_with_stalls_and_late_tiles(seed: int) -> None:
    names = random.Random(seed).sample(list(LAYERS), 7)
    run(names, seed=seed, stall=0.4, late=0.7)


def test_resident_layers_leave_the_halves_in_turn() -> None:
    run(["smallest", "resident", "smallest", "resident to the last row", "three blocks, three tiles",
         "resident, gathered sums", "smallest"], seed=0, stall=0.0, late=0.3)


@pytest.mark.parametrize("name", ["smallest", "three blocks, three tiles", "pool", "linear, sets across taps",
                                  "sums of four planes, weight planes", "residual of spikes in three tiles and chunks"])
def test_one_step_per_cycle_and_one_idle_cycle_per_tile(name: str) -> None:
    layer, place = make(name)
    tiles = reference(CONFIG, layer, **place)
    assert run([name], seed=0, stall=0.0, late=0.0) == [sum(len(steps) + 1 for steps in tiles)]


@pytest.mark.parametrize(("channels", "gather"), [(16, False), (144, True)])
def test_255_tiles_and_a_tile_that_fills_its_half(channels: int, gather: bool) -> None:
    # 16 groups of 9 slices: the last slice lies in the last row and bank.
    config = replace(CONFIG, weight_rows=16)
    layer = make_layer(np.random.default_rng(0), in_shape=(channels, 1, 1), channels=255 * 4, kernel=(1, 1), pad=0,
                       gather=gather)
    d = describe_layer(config, layer, steps=1)
    assert (d["tiles"], d["tile_beats"] * config.slices_per_beat) == (255, 9 * config.weight_rows)
    wanted = [step for steps in reference(config, layer, steps=1) for step in steps]
    dut = LoopNest(config)
    bench = Bench(dut)
    got = bench.get(dut.o, len(wanted))

    async def start(ctx: SimulatorContext) -> None:
        ctx.set(dut.i_descriptor, d)
        ctx.set(dut.i_tile_ready, 1)
        ctx.set(dut.i_start, 1)
        await ctx.tick()
        ctx.set(dut.i_start, 0)

    async def end(ctx: SimulatorContext) -> None:
        await ctx.tick().repeat(2)
        while ctx.get(dut.o_busy):
            await ctx.tick()

    bench.run(start, end)
    assert [meant(one, other) for one, other in zip(got, wanted, strict=True)] == wanted
