"""GatherSet: neighbourhoods pass, nine words become windows of nine inputs, residual words queue and leave in order.

A seed is in its test's name.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from amaranth.hdl import Value
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.gather import GatherSet
from s2nn.hw.rtl.residual_queue import RESIDUAL_WORDS
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from tests.rtl.blocks import active_channels, gathered, random_side, random_word, seen, spikes_of
from tests.rtl.streams import Bench, plain

CONFIGS = {"tiny": TINY, "one time lane": replace(TINY, time_lanes=1, max_chunks=8),
           "eight lanes": replace(TINY, lanes=8)}
Record = dict[str, Any]


def step(draw: random.Random, config: AcceleratorConfig, words: list[int], on_map: int, **members: int) -> Record:
    """A step of these words, with noise in the banks that are not on the map and with what passes through beside."""
    words = [word if on_map >> bank & 1 else draw.randrange(1 << config.word_bits) for bank, word in enumerate(words)]
    block = {"words": words, "on_map": on_map, "active": 0, "row_mod": draw.randrange(3), "col_mod": draw.randrange(3),
             **random_side(draw, config)}
    taps = [sum(1 << bank for bank, word in enumerate(seen(words, on_map)) if spikes_of(config, word, channel))
            for channel in range(config.lanes)]
    return {"i_gather": 0, "i_slot": 0, "i_set_last": 1, "i_residual": 0, "i_block": block, "i_taps": taps} | members


def single_word(draw: random.Random, config: AcceleratorConfig, word: int, **members: int) -> Record:
    """A step of one word, in any bank; or of none, off the map."""
    bank = draw.randrange(9)
    on_map = 1 << bank if word or draw.randrange(2) else 0
    return step(draw, config, [word] * 9, on_map, **members)


def neighbourhood(draw: random.Random, config: AcceleratorConfig) -> tuple[list[Record], Record]:
    """One step, and the block that leaves."""
    silent, on_map = draw.choice((0.2, 0.9, 1.0)), draw.choice((0x1FF, draw.randrange(1 << 9)))
    one = step(draw, config, [random_word(draw, config, silent=silent) for _ in range(9)], on_map)
    return [one], one["i_block"] | {"active": active_channels(config, seen(one["i_block"]["words"], on_map))}


def gathered_set(draw: random.Random, config: AcceleratorConfig, words: Sequence[int]) -> tuple[list[Record], Record]:
    """The steps of a set of these words, and the block that leaves: with what came beside the last word."""
    steps = [single_word(draw, config, word, i_gather=1, i_slot=slot, i_set_last=int(slot == len(words) - 1))
             for slot, word in enumerate(words)]
    return steps, steps[-1]["i_block"] | gathered(config, words)


def random_set(draw: random.Random, config: AcceleratorConfig, length: int) -> tuple[list[Record], Record]:
    """A set of so many words."""
    words = [random_word(draw, config, silent=draw.choice((0.2, 0.9, 1.0))) for _ in range(length)]
    return gathered_set(draw, config, words)


def residual(draw: random.Random, config: AcceleratorConfig, gather: int) -> tuple[list[Record], int]:
    """A step of the residual map, and the word that leaves; what a set has to do with it is of no account."""
    word = random_word(draw, config)
    return [single_word(draw, config, word, i_residual=1, i_gather=gather, i_slot=draw.randrange(9),
                        i_set_last=draw.randrange(2))], word


def run(config: AcceleratorConfig, steps: list[Record], blocks: list[Record], words: list[int], *, seed: int = 0,
        gaps: float = 0.0, stall: float = 0.0, residual_stall: float | None = None) -> tuple[list[int], list[int]]:
    """Sends the steps and compares both outputs; returns the cycles in which steps were taken and blocks left."""
    dut = GatherSet(config)
    bench = Bench(dut)
    draws = [random.Random(seed * 3 + k) for k in range(3)]
    taken, left, done = [], [], False
    got_blocks, got_words = [], []

    async def pipeline(ctx: SimulatorContext) -> None:
        """The stage in front: it moves only with the unit."""
        nonlocal done
        cycle, following = 0, 0
        while following < len(steps) or ctx.get(dut.o_busy):
            valid = following < len(steps) and draws[0].random() >= gaps
            ctx.set(dut.i_valid, valid)
            for name, value in steps[following if valid else draws[0].randrange(len(steps))].items():
                ctx.set(getattr(dut, name), value)
            moves = False
            while not moves:
                _, _, moves = await ctx.tick().sample(dut.o_enable)
                cycle += 1
            if valid:
                taken.append(cycle)
                following += 1
        for _ in range(100 * RESIDUAL_WORDS):  # words of the residual may wait in their queue
            if len(got_words) < len(words):
                await ctx.tick()
        done = True

    def take(stream: Any, found: list[Any], draw: random.Random, stall: float, cycles: list[int]):
        bits = Value.cast(stream.payload)

        async def testbench(ctx: SimulatorContext) -> None:
            held, cycle = None, 0
            while not done:
                ready = draw.random() >= stall
                ctx.set(stream.ready, ready)
                _, _, valid, payload, busy = await ctx.tick().sample(stream.valid, bits, dut.o_busy)
                cycle += 1
                assert held is None or (valid and payload == held), f"payload {len(found)} changed while it waited"
                assert busy or not valid or stream is dut.o_residual
                held = payload if valid and not ready else None
                if valid and ready:
                    found.append(plain(stream.payload.shape(), payload))
                    cycles.append(cycle)
        return testbench

    bench.run(pipeline, take(dut.o, got_blocks, draws[1], stall, left),
              take(dut.o_residual, got_words, draws[2], stall if residual_stall is None else residual_stall, []))
    for number, (one, wanted) in enumerate(zip(got_blocks, blocks, strict=True)):
        assert one == wanted, f"block {number}"
    assert got_words == words
    return taken, left


def mixed(draw: random.Random, config: AcceleratorConfig, lengths: Sequence[int | None],
          residuals: Sequence[int]) -> tuple[list[Record], list[Record], list[int]]:
    """Sets of these lengths (None: neighbourhoods), each followed by so many residual words."""
    steps, blocks, words = [], [], []
    for length in lengths:
        some, block = neighbourhood(draw, config) if length is None else random_set(draw, config, length)
        steps += some
        blocks.append(block)
        for _ in range(draw.choice(residuals)):
            some, word = residual(draw, config, int(length is not None))
            steps += some
            words.append(word)
    return steps, blocks, words


@pytest.mark.parametrize("name", CONFIGS)
def test_neighbourhoods_pass_in_one_cycle_each(name: str) -> None:
    config, draw = CONFIGS[name], random.Random(0)
    taken, left = run(config, *mixed(draw, config, [None] * 30, [0]))
    assert left == [cycle + 1 for cycle in taken] == list(range(2, 32))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("length", [1, 2, 8, 9])
def test_sets_of_one_length_leave_three_cycles_after_their_last_word(name: str, length: int) -> None:
    config, draw = CONFIGS[name], random.Random(length)
    taken, left = run(config, *mixed(draw, config, [length] * 12, [0]))
    assert taken == list(range(1, 12 * length + 1))
    assert left == [cycle + 3 for cycle in taken[length - 1::length]]


@pytest.mark.parametrize("length", range(1, 9))
def test_words_of_a_longer_set_do_not_stay(length: int) -> None:
    """Behind a set of nine full words, windows beyond a short set are empty."""
    draw = random.Random(length)
    full = (1 << TINY.word_bits) - 1
    some = [random_word(draw, TINY) for _ in range(length)]
    sets = [gathered_set(draw, TINY, words)
            for words in ([full] * 9, some, [full] * 9, [0] * length, [full] * length, [0], some)]
    run(TINY, [one for steps, _ in sets for one in steps], [block for _, block in sets], [])


def test_each_input_goes_to_one_tap_of_one_window() -> None:
    """One spike at a time, through all inputs of a set."""
    config, draw = TINY, random.Random(0)
    steps, blocks = [], []
    for number in range(9 * config.lanes):
        slot, channel = divmod(number, config.lanes)
        some, block = gathered_set(draw, config, [int(k == slot) << channel * config.time_lanes for k in range(9)])
        window, tap = divmod(number, 9)
        steps += some
        blocks.append(block | {"words": [int(k == tap) << window * config.time_lanes for k in range(9)],
                               "active": 1 << window})
    run(config, steps, blocks, [])


@pytest.mark.parametrize("seed", range(6))
def test_random_sets_with_gaps_and_stalls(seed: int) -> None:
    draw, config = random.Random(seed), list(CONFIGS.values())[seed % 3]
    plan = mixed(draw, config, [draw.choice((1, 2, 5, 8, 9, 9)) for _ in range(25)], [0])
    run(config, *plan, seed=seed, gaps=(0.0, 0.3)[seed % 2], stall=0.5)


@pytest.mark.parametrize(("stall", "residual_stall"), [(0.0, 0.0), (0.0, 0.8), (0.8, 0.0), (0.5, 0.5)])
@pytest.mark.parametrize("gather", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_residual_words_and_blocks_leave_once_and_in_order(seed: int, gather: bool, stall: float,
                                                           residual_stall: float) -> None:
    draw, config = random.Random(seed), list(CONFIGS.values())[seed]
    plan = mixed(draw, config, [draw.choice((1, 1, 2, 9)) if gather else None for _ in range(25)], [0, 1, 1, 2, 4])
    run(config, *plan, seed=seed, gaps=(0.0, 0.3, 0.6)[seed], stall=stall, residual_stall=residual_stall)


@pytest.mark.parametrize("gather", [False, True])
def test_residual_words_beside_sets_of_one_word_take_a_cycle_each(gather: bool) -> None:
    draw = random.Random(0)
    taken, left = run(TINY, *mixed(draw, TINY, [1 if gather else None] * 20, [2]))
    assert taken == list(range(1, 61))
    assert left == [cycle + 1 + 2 * gather for cycle in taken[::3]]
