"""ResidualQueue: words leave once and in order, and its room is told a cycle ahead.

A seed is in its test's name.
"""

import random

import pytest
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.residual_queue import RESIDUAL_WORDS, ResidualQueue
from s2nn.hw.spec.config import TINY
from tests.rtl.streams import Bench


def run(seed: int, *, gaps: float, stall: float, count: int, cycles: int) -> tuple[list[int], list[int], list[int]]:
    """What went in, what came out, and how many words were inside in each cycle."""
    dut = ResidualQueue(TINY)
    draws = random.Random(seed), random.Random(seed + 1)
    sent, received, inside = [], [], []

    async def both(ctx: SimulatorContext) -> None:
        foretold, word = None, None
        for _ in range(cycles):
            if word is None and len(sent) < count and draws[0].random() >= gaps:
                word = draws[0].randrange(1 << TINY.word_bits)
            ctx.set(dut.i.valid, word is not None)
            ctx.set(dut.i.payload, word or 0)
            ctx.set(dut.o.ready, draws[1].random() >= stall)
            _, _, takes, valid, ready, payload, room = await ctx.tick().sample(
                dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload, dut.o_ready_next)
            assert foretold in (None, takes)
            foretold = room
            if valid and ready:
                received.append(payload)
            if takes and word is not None:
                sent.append(word)
                word = None
            inside.append(len(sent) - len(received))

    Bench(dut).run(both)
    return sent, received, inside


@pytest.mark.parametrize(("gaps", "stall"), [(0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.1, 0.3), (0.0, 0.9), (0.9, 0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_words_leave_once_and_in_order(seed, gaps, stall):
    sent, received, inside = run(seed, gaps=gaps, stall=stall, count=200, cycles=2500)
    assert len(sent) == 200 and received == sent and max(inside) <= RESIDUAL_WORDS


def test_it_holds_as_many_words_as_it_says_and_passes_one_each_cycle():
    sent, _, inside = run(0, gaps=0.0, stall=1.0, count=100, cycles=50)
    assert len(sent) == inside[-1] == RESIDUAL_WORDS
    _, received, inside = run(0, gaps=0.0, stall=0.0, count=100, cycles=103)
    assert len(received) == 100 and max(inside) <= 3
