"""ActivityScanner: one operation per active channel, or one silent one, in order. A seed is in its test's name."""

import random
from dataclasses import replace

import pytest
from amaranth.hdl import Value
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.scanner import ActivityScanner
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from tests.rtl.blocks import random_side, seen, spikes_of
from tests.rtl.streams import Bench, plain

CONFIGS = {"tiny": TINY, "one time lane": replace(TINY, time_lanes=1, max_chunks=8),
           "eight lanes": replace(TINY, lanes=8)}
Record = dict[str, object]


def random_block(draw: random.Random, config: AcceleratorConfig, active: list[int]) -> Record:
    """A block in which just these windows hold spikes; banks that are not on the map hold noise."""
    words = [0] * 9
    for channel in active:
        while not any(spikes_of(config, word, channel) for word in words):
            for bank in draw.sample(range(9), draw.choice((1, 1, 4))):
                words[bank] |= draw.randrange(1 << config.time_lanes) << channel * config.time_lanes
    on_map = sum(1 << bank for bank, word in enumerate(words) if word or draw.randrange(2))
    words = [word if on_map >> bank & 1 else draw.randrange(1 << config.word_bits) for bank, word in enumerate(words)]
    return {"words": words, "on_map": on_map, "active": sum(1 << channel for channel in active),
            "row_mod": draw.randrange(3), "col_mod": draw.randrange(3), **random_side(draw, config)}


def operations(config: AcceleratorConfig, block: Record, symbol_bits: int) -> list[Record]:
    """Reference. Windows of inactive operations are of no account."""
    def window(channel: int) -> list[int]:
        return [spikes_of(config, word, channel) for word in seen(block["words"], block["on_map"])]

    active = [channel for channel in range(config.lanes) if any(window(channel))]
    side = {name: block[name] for name in ("row_mod", "col_mod", "weight_row")}
    if not active:
        return [{**side, "active": 0, "tags": block["tags"]}]
    found = []
    for channel in active:
        tags = dict(block["tags"])
        for name in ("first", "shift"):
            tags[name] &= channel == active[0]
        for name in ("emit", "tile_last"):
            tags[name] &= channel == active[-1]
        found.append({**side, "active": 1, "window": window(channel), "channel_row": channel * symbol_bits // 9,
                      "phase": block["weight_phase"] + channel * symbol_bits % 9, "tags": tags})
    return found


def run(config: AcceleratorConfig, blocks: list[Record], *, symbol_bits: int, seed: int, stall: float) -> int:
    """Scans the blocks and compares; returns the cycles from the first block to the last operation."""
    dut = ActivityScanner(config)
    bench = Bench(dut, seed=seed, stall=stall)
    expected = [op for block in blocks for op in operations(config, block, symbol_bits)]
    got, issued, cycles = [], [], 0
    bits = Value.cast(dut.o)

    async def array(ctx: SimulatorContext) -> None:
        nonlocal cycles
        ctx.set(dut.i_symbol_bits, symbol_bits)
        before = None
        while len(got) < len(expected):
            enable = not bench.pause()
            ctx.set(dut.i_enable, enable)
            _, _, valid, op, issue, active, busy = await ctx.tick().sample(
                dut.o_valid, bits, dut.o_issue, dut.o_issue_active, dut.o_busy)
            assert before in (None, (valid, op)), "the operation changed while the array stood still"
            before = None if enable else (valid, op)
            assert busy or not valid
            assert enable or not issue
            cycles += busy
            if issue:
                issued.append(active)
            if valid and enable:
                got.append(plain(dut.o.shape(), op))
        assert not ctx.get(dut.o_busy)

    bench.put(dut.i, blocks)
    bench.run(array)
    assert issued == [op["active"] for op in expected]
    for number, (op, wanted) in enumerate(zip(got, expected, strict=True)):
        assert {name: op[name] for name in wanted} == wanted, number
    return cycles


@pytest.mark.parametrize("symbol_bits", [2, 9])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_set_of_active_channels_in_order(name: str, symbol_bits: int) -> None:
    config, draw = CONFIGS[name], random.Random(0)
    sets = range(1 << config.lanes) if config.lanes == 4 else [0, 1, 128, 255, 129, 0, 0, 126]
    blocks = [random_block(draw, config, [c for c in range(config.lanes) if members >> c & 1]) for members in sets]
    cycles = run(config, blocks, symbol_bits=symbol_bits, seed=0, stall=0.0)
    # One cycle more: the last operation is registered.
    assert cycles == sum(max(1, members.bit_count()) for members in sets) + 1


@pytest.mark.parametrize("seed", range(4))
def test_random_blocks_with_a_stalling_array(seed: int) -> None:
    draw = random.Random(seed)
    config = list(CONFIGS.values())[seed % 3]
    blocks = [random_block(draw, config, draw.sample(range(config.lanes), draw.choice((0, 0, 1, 2, config.lanes))))
              for _ in range(60)]
    run(config, blocks, symbol_bits=draw.choice((2, 3, 4, 9)), seed=seed, stall=0.4)
