"""ComputePipeline: window and weights meet, wherever the window's first bank. A seed is in its test's name."""

import random
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.compute import ComputePipeline
from s2nn.hw.spec import packing
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from s2nn.hw.spec.program import Layer
from tests.rtl.blocks import random_tags
from tests.rtl.layers import make_layer
from tests.rtl.streams import Bench, plain

CONFIG = replace(TINY, weight_rows=4)
BINARY = CONFIG.as_binary()
PHASES = list(product(range(3), range(3)))
Record = dict[str, object]


def random_sum(draw: random.Random, config: AcceleratorConfig, layer: Layer, *, half: int) -> list[Record]:
    """Operations of one position: a few groups of the tile, each with a window in tap order and its first bank."""
    bits, groups = layer.weights.symbol_bits, layer.num_groups
    chosen = sorted(draw.sample(range(groups), draw.randint(1, min(groups, 4))))
    phase = draw.choice(PHASES)
    plan = []
    for group in chosen:
        channel = draw.randrange(min(group + 1, config.lanes))
        row, offset = divmod((group - channel) * bits, 9)
        taps = [draw.randrange(1 << config.time_lanes) for _ in range(9)]
        tags = random_tags(draw, first=int(group == chosen[0]), shift=0, emit=int(group == chosen[-1]), tile_last=0)
        plan.append({"group": group, "taps": taps, "active": int(draw.random() < 0.8), "phase": phase,
                     "row": half * config.weight_rows + row, "offset": offset, "channel_slices": channel * bits,
                     "tags": tags})
    return plan


def operation(op: Record) -> Record:
    """As the scanner sends it: window in bank order."""
    first_row, first_col = op["phase"]
    window = [0] * 9
    for ky, kx in np.ndindex(3, 3):
        window[(first_row + ky) % 3 * 3 + (first_col + kx) % 3] = op["taps"][3 * ky + kx]
    return {"window": window, "row_mod": first_row, "col_mod": first_col, "active": op["active"],
            "weight_row": op["row"], "channel_row": op["channel_slices"] // 9,
            "phase": op["offset"] + op["channel_slices"] % 9, "tags": op["tags"]}


def expect(config: AcceleratorConfig, layer: Layer, tile: int, plan: list[Record]) -> Record:
    """Reference, from the layer's integer weights."""
    weights = layer.weights.integers()[tile * config.lanes:(tile + 1) * config.lanes]  # (lanes, groups, 9)
    raised, total = [[0] * config.time_lanes for _ in range(config.lanes)], [0] * config.time_lanes
    for op in plan:
        for t in range(config.time_lanes):
            taps = [tap for tap in range(9) if op["active"] and op["taps"][tap] >> t & 1]
            total[t] += len(taps) << op["tags"]["scale"]
            for lane in range(config.lanes):
                raised[lane][t] += sum(int(weights[lane, op["group"], tap]) + 1 for tap in taps) << op["tags"]["scale"]
    return {"raised": raised, "total": total, "tags": plan[-1]["tags"]}


def run(config: AcceleratorConfig, layer: Layer, plans: list[list[list[Record]]], *, seed: int, stall: float,
        busy: float) -> None:
    """Runs tile after tile. A half is filled with the tile after next from the cycle behind its release."""
    dut = ComputePipeline(config)
    bench = Bench(dut, seed=seed, stall=stall)
    draw = random.Random(seed + 1)
    bits = Value.cast(dut.o)
    filled = released = 0
    got: list[Record] = []
    loaded = layer.weights.codebook is None

    async def load(ctx: SimulatorContext) -> None:
        nonlocal loaded
        if layer.weights.codebook is not None:
            data = packing.pack_codebook(config, layer.weights.codebook)
            for at in range(0, len(data), config.axi_bytes):
                await bench.offer(ctx, dut.array.i_codewords, int.from_bytes(data[at:at + config.axi_bytes], "little"))
            loaded = True

    async def fill(ctx: SimulatorContext) -> None:
        nonlocal filled
        size, data = packing.tile_bytes(config, layer), packing.pack_index(config, layer)
        for tile in range(len(plans)):
            while tile >= released + 2:
                await ctx.tick()
            ctx.set(dut.weights.i_fill_row, tile % 2 * config.weight_rows)
            ctx.set(dut.weights.i_fill_rows, config.weight_rows)
            for at in range(tile * size, (tile + 1) * size, config.axi_bytes):
                ctx.set(dut.weights.i.valid, 1)
                ctx.set(dut.weights.i.payload, int.from_bytes(data[at:at + config.axi_bytes], "little"))
                ctx.set(dut.weights.i_fill_next, at + config.axi_bytes == (tile + 1) * size)
                await ctx.tick()
            ctx.set(dut.weights.i.valid, 0)
            ctx.set(dut.weights.i_fill_next, 0)
            filled += 1

    async def scan(ctx: SimulatorContext) -> None:
        ctx.set(dut.i_codebook, layer.weights.codebook is not None)
        ctx.set(dut.i_symbol_bits, layer.weights.symbol_bits)
        for tile, tile_plans in enumerate(plans):
            while filled <= tile or not loaded:
                await ctx.tick()
            for op in (op for plan in tile_plans for op in plan):
                while bench.pause():
                    await ctx.tick()
                ctx.set(dut.i_valid, 1)
                ctx.set(dut.i, operation(op))
                await ctx.tick().until(dut.o_enable)
                ctx.set(dut.i_valid, 0)

    async def neurons(ctx: SimulatorContext) -> None:
        nonlocal released
        wanted, ready = sum(map(len, plans)), False
        while len(got) < wanted:
            ready_next = draw.random() >= busy
            ctx.set(dut.i_ready_next, ready_next)
            _, _, valid, payload, release, inside = await ctx.tick().sample(
                dut.o_valid, bits, dut.o_release, dut.o_busy)
            released += release
            assert inside or not (valid or release)
            if valid and ready:
                got.append(plain(dut.o.shape(), payload))
            ready = ready_next
        await ctx.tick()
        assert not ctx.get(dut.o_busy)

    bench.run(load, fill, scan, neurons)
    assert released == len(plans)
    wanted = [expect(config, layer, tile, plan) for tile, tile_plans in enumerate(plans) for plan in tile_plans]
    for number, (one, other) in enumerate(zip(got, wanted, strict=True)):
        assert one == other, number


def random_run(config: AcceleratorConfig, eta: int | None, tiles: int, sums: int, seed: int
               ) -> tuple[Layer, list[list[list[Record]]]]:
    draw = random.Random(seed)
    groups = 9 * config.weight_rows // (eta or 9)
    layer = make_layer(np.random.default_rng(seed), in_shape=(groups, 1, 1), channels=tiles * config.lanes, eta=eta,
                       zero=True)
    plans = []
    for tile in range(tiles):
        plans.append([random_sum(draw, config, layer, half=tile % 2) for _ in range(sums)])
        plans[-1][-1][-1]["tags"]["tile_last"] = 1
    return layer, plans


@pytest.mark.parametrize("phase", PHASES)
def test_window_is_turned_into_tap_order(phase: tuple[int, int]) -> None:
    layer, plans = random_run(CONFIG, 4, 1, 6, seed=0)
    for op in (op for plan in plans[0] for op in plan):
        op["phase"] = phase
    run(CONFIG, layer, plans, seed=0, stall=0.0, busy=0.0)


def test_sums_nine_cycles_behind_their_last_operation() -> None:
    dut = ComputePipeline(CONFIG)

    async def script(ctx: SimulatorContext) -> None:
        ctx.set(dut.i_valid, 1)
        ctx.set(dut.i, {"active": 0, "tags": {"first": 1, "emit": 1}})
        await ctx.tick()
        ctx.set(dut.i_valid, 0)
        cycles = 1
        while not ctx.get(dut.o_valid):
            assert ctx.get(dut.o_busy)
            await ctx.tick()
            cycles += 1
        assert cycles == 9

    Bench(dut).run(script)


@pytest.mark.parametrize("eta", [2, 3, 4, None])
@pytest.mark.parametrize("busy", [0.0, 0.8])
def test_a_released_half_may_be_overwritten_at_once(eta: int | None, busy: float) -> None:
    layer, plans = random_run(CONFIG, eta, 6, 2, seed=3)
    run(CONFIG, layer, plans, seed=3, stall=0.0, busy=busy)


@pytest.mark.parametrize("seed", range(3))
def test_random_tiles_with_stalls(seed: int) -> None:
    config = (CONFIG, BINARY, CONFIG)[seed]
    layer, plans = random_run(config, (4, None, 3)[seed], 5, 6, seed=seed)
    run(config, layer, plans, seed=seed, stall=0.3, busy=0.5)
