"""MembraneBuffer: each chunk finds the membranes that the one before left, position by position."""

import random
from dataclasses import replace

import pytest

from s2nn.hw.rtl.membrane_buffer import MembraneBuffer
from s2nn.hw.spec.config import TINY
from tests.rtl.streams import Bench

CONFIG = replace(TINY, membrane_words=8)


@pytest.mark.parametrize("positions", [1, 2, 7, 8])
def test_membranes_come_back_in_the_order_of_the_positions(positions, seed=5):
    """Words are walked from the first one again after a rewind; the last word of the memory is the boundary."""
    dut, draw = MembraneBuffer(CONFIG), random.Random(seed)
    bench = Bench(dut, seed=seed)
    limit = 1 << CONFIG.membrane_bits - 1
    left: list[list[int]] = [[0] * CONFIG.lanes for _ in range(positions)]

    async def walk(ctx):
        for chunk in range(3):
            ctx.set(dut.i_rewind, 1)
            await ctx.tick()
            ctx.set(dut.i_rewind, 0)
            for position in range(positions):
                await ctx.tick().repeat(2)
                if chunk:
                    assert [ctx.get(dut.o[lane]) for lane in range(CONFIG.lanes)] == left[position]
                ctx.set(dut.i_advance, 1)
                await ctx.tick()
                ctx.set(dut.i_advance, 0)
                await ctx.tick().repeat(draw.randrange(1, 4))
                left[position] = [draw.choice((-limit, limit - 1, draw.randrange(-limit, limit)))
                                  for _ in range(CONFIG.lanes)]
                ctx.set(dut.i_membranes, left[position])
                ctx.set(dut.i_write, 1)
                await ctx.tick()
                ctx.set(dut.i_write, 0)

    bench.run(walk)
