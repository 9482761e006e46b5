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
from tests.rtl.layers import describe_layer, make_layer
from tests.rtl.streams import Bench, plain

Step = dict[str, object]
CONFIG = replace(TINY, spike_words=1024, index_bits=6, max_chunks=5)

#: Each line leaves the ordinary in another direction; lanes = time_lanes*2 = 4.
LAYERS = {
    "smallest": ({"in_shape": (1, 1, 1), "channels": 1}, 1),
    "one channel more than a block": ({"in_shape": (5, 3, 3), "eta": 4}, 2),
    "one channel less than two blocks": ({"in_shape": (7, 3, 3), "eta": 2, "channels": 5}, 2),
    "three blocks, three tiles": ({"in_shape": (12, 2, 3), "eta": 6, "channels": 12}, 2),
    "no padding": ({"in_shape": (3, 5, 4), "pad": 0}, 2),
    "padding of two": ({"in_shape": (3, 3, 4), "pad": 2}, 2),
    "padding of three, partial groups": ({"in_shape": (2, 3, 3), "pad": 3, "groups": (2, 3)}, 2),
    "stride": ({"in_shape": (5, 7, 8), "eta": 3, "stride": 2}, 2),
    "stride, padding of three": ({"in_shape": (1, 5, 5), "stride": 2, "pad": 3}, 2),
    "pool": ({"in_shape": (5, 6, 5), "eta": 5, "pool": True}, 2),
    "pool, stride, three chunks": ({"in_shape": (2, 9, 9), "eta": 2, "pool": True, "stride": 2, "pad": 2}, 5),
    "planes": ({"in_shape": (5, 2, 2), "planes": 3, "groups": (1, 2), "pad": 2}, 3),
    "image": ({"in_shape": (3, 4, 4), "planes": 2, "image": True, "channels": 6}, 3),
    "nine groups": ({"in_shape": (6, 4, 5), "groups": (3, 3), "pad": 3, "eta": 4, "pool": True}, 3),
}


def describe(name: str) -> dict[str, int]:
    options, steps = LAYERS[name]
    return describe_layer(CONFIG, make_layer(np.random.default_rng(0), **options), steps=steps)


def reference(d: dict[str, int], config: AcceleratorConfig, *, channels: int, half: int) -> list[list[Step]]:
    """Steps by tile. The weights' place is counted in slices, without the descriptor's rows and phases."""
    tiles = []
    last = {"chunk": d["in_chunks"] - 1, "y": d["out_height"] - 1, "x": d["out_width"] - 1, "plane": d["planes"] - 1,
            "gy": d["groups_y"] - 1, "gx": d["groups_x"] - 1, "block": d["in_blocks"] - 1}
    for _ in range(d["tiles"]):
        steps: list[Step] = []
        for y, x, py, px in np.ndindex(d["out_height"], d["out_width"], d["pool"] + 1, d["pool"] + 1):
            row = ((d["pool"] + 1) * y + py) * d["stride"] - d["pad"]
            col = ((d["pool"] + 1) * x + px) * d["stride"] - d["pad"]
            for chunk in range(d["in_chunks"]):
                slices = 0
                for plane, gy, gx, block in np.ndindex(d["planes"], d["groups_y"], d["groups_x"], d["in_blocks"]):
                    at = {"plane": plane, "gy": gy, "gx": gx, "block": block}
                    emit = all(value == last[key] for key, value in at.items())
                    steps.append({
                        "row_div": (row + 3 * gy) // 3 & 0x3FF, "row_mod": row % 3,
                        "col_div": (col + 3 * gx) // 3 & 0x3FF, "col_mod": col % 3,
                        "offset": chunk * d["in_blocks"] + block,
                        "weight_row": slices // 9, "weight_phase": slices % 9,
                        "tags": {
                            "first": int(not any(at.values())),
                            "shift": int(plane > 0 and not (gy or gx or block)),
                            "emit": int(emit),
                            "first_chunk": int(chunk == 0), "last_chunk": int(chunk == last["chunk"]),
                            "tile_first": int(not any((y, x, py, px, chunk))),
                            "tile_last": int(emit and (py, px, chunk) == (d["pool"], d["pool"], last["chunk"])
                                             and (y, x) == (last["y"], last["x"])),
                            "half": half,
                        },
                    })
                    slices += min(config.lanes, channels - block * config.lanes) * d["symbol_bits"]
        tiles.append(steps)
        half = 1 - half
    return tiles


def run(names: list[str], *, seed: int, stall: float, late: float) -> list[int]:
    """Walks these layers one after the other and compares their steps; returns the cycles of each."""
    dut = LoopNest(CONFIG)
    bench = Bench(dut, limit=50_000)
    draw = random.Random(seed)
    bits, layout = Value.cast(dut.o.payload), step_layout(CONFIG)
    cycles = []

    async def walk(ctx: SimulatorContext) -> None:
        half = 0
        for name in names:
            d = describe(name)
            tiles = reference(d, CONFIG, channels=LAYERS[name][0]["in_shape"][0], half=half)
            half ^= len(tiles) & 1
            left = [step for steps in reversed(tiles) for step in reversed(steps)]
            starts = {sum(map(len, tiles[k:])) for k in range(len(tiles))}  # steps left where a tile begins
            taken, held, count = 0, None, 0
            assert not ctx.get(dut.o_busy)
            ctx.set(dut.i_descriptor, d)
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
                        assert plain(layout, payload) == left.pop(), f"{name}: {len(left)} steps before the end"
                await ctx.tick()
                count += 1
            assert (len(left), taken) == (0, len(tiles)), name
            cycles.append(count)

    bench.run(walk)
    return cycles


@pytest.mark.parametrize("name", LAYERS)
def test_steps_equal_nested_loops(name: str) -> None:
    run([name], seed=0, stall=0.0, late=0.0)


@pytest.mark.parametrize("seed", range(3))
def test_layers_follow_each_other_with_stalls_and_late_tiles(seed: int) -> None:
    names = random.Random(seed).sample(list(LAYERS), 6)
    run(names, seed=seed, stall=0.4, late=0.7)


@pytest.mark.parametrize("name", ["smallest", "three blocks, three tiles", "pool"])
def test_one_step_per_cycle_and_one_idle_cycle_per_tile(name: str) -> None:
    d = describe(name)
    tiles = reference(d, CONFIG, channels=LAYERS[name][0]["in_shape"][0], half=0)
    assert run([name], seed=0, stall=0.0, late=0.0) == [sum(len(steps) + 1 for steps in tiles)]


def test_255_tiles_and_a_tile_that_fills_its_half() -> None:
    # 9 rows of 4 lanes: 144 slices, the last of them in the last row and bank.
    config = replace(CONFIG, weight_rows=16)
    d = describe_layer(config, make_layer(np.random.default_rng(0), in_shape=(16, 1, 1), channels=255 * 4), steps=1)
    assert (d["tiles"], d["tile_beats"] * config.slices_per_beat) == (255, 9 * config.weight_rows)
    dut = LoopNest(config)
    bench = Bench(dut)
    got = bench.get(dut.o, 255 * 4)

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
    assert got == [step for steps in reference(d, config, channels=16, half=0) for step in steps]
