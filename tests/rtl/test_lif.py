"""LifLane: each step equals `semantics.lif_step`, on both sides of the threshold and of zero.

A seed is in its test's name.
"""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.lif import LifLane
from s2nn.hw.spec.config import SMALL, TINY, AcceleratorConfig
from s2nn.hw.spec.semantics import lif_step
from tests.rtl.streams import Bench

#: The widest and the narrowest of what a configuration may ask for.
WIDE = replace(TINY, accumulator_bits=31, membrane_bits=32, fraction_bits=8)
COARSE = replace(TINY, accumulator_bits=8, membrane_bits=16, fraction_bits=0, leak_bits=1)
CONFIGS = {"tiny": TINY, "small": SMALL, "wide": WIDE, "coarse": COARSE}


class Lane:
    """Drives one lane step by step, with idle cycles between, beside a membrane of the reference."""

    def __init__(self, ctx: SimulatorContext, dut: LifLane, config: AcceleratorConfig, draw: random.Random) -> None:
        self.ctx, self.dut, self.config, self.draw, self.v = ctx, dut, config, draw, 0

    async def pulse(self, *names: str) -> None:
        for name in names:
            self.ctx.set(getattr(self.dut, name), 1)
        await self.ctx.tick()
        for name in names:
            self.ctx.set(getattr(self.dut, name), 0)
        if self.draw.randrange(2):
            await self.ctx.tick()

    def configure(self, *, bias: int, threshold: int, negate: int = 0, leak: int = 0, soft_reset: int = 0,
                  image: int = 0, classify: int = 0, no_channel: int = 0) -> None:
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.i_params, {"bias": bias, "excess_bias": bias - threshold, "negate": negate,
                               "no_channel": no_channel})
        ctx.set(dut.i_negate, negate)
        ctx.set(dut.i_leak, leak)
        ctx.set(dut.i_soft_reset, soft_reset)
        ctx.set(dut.i_image, image)
        ctx.set(dut.i_classify, classify)
        self.bias, self.threshold, self.negate, self.leak = bias, threshold, negate, leak
        self.soft_reset, self.image, self.classify, self.no_channel = soft_reset, image, classify, no_channel

    async def clear(self) -> None:
        await self.pulse("i_clear")
        self.v = 0

    def sums(self, raised: int, total: int) -> int:
        """Offers sums of (weight + 1) * input and of input; returns the sum of weight * input, or its negative."""
        self.ctx.set(self.dut.i_raised, raised)
        self.ctx.set(self.dut.i_total, total)
        return total - raised if self.negate else raised - total

    async def step(self, accumulator: int) -> bool:
        """One time step, compared with the reference; returns whether it fired."""
        fraction = 0 if self.image or self.classify else self.config.fraction_bits
        current = (accumulator << fraction) + self.bias
        v, spikes = lif_step(np.array([self.v]), np.array([current]), theta=np.array([self.threshold]),
                             leak_factor=self.leak, leak_bits=self.config.leak_bits, soft_reset=bool(self.soft_reset))
        fires = bool(spikes[0]) and not self.classify and not self.no_channel
        if self.classify or self.no_channel:
            v = np.array([(self.v * self.leak >> self.config.leak_bits) + current])
        await self.pulse("i_load")
        self.ctx.set(self.dut.i_raised, 0)  # the difference is held from here on
        await self.pulse("i_leak_step")
        await self.pulse("i_fire")
        assert bool(self.ctx.get(self.dut.o_spike)) == fires, (self.v, current)
        self.v = int(v[0])
        assert self.ctx.get(self.dut.o_membrane) == self.v
        return fires


def drive(config: AcceleratorConfig, seed: int, script) -> None:
    dut = LifLane(config)

    async def testbench(ctx: SimulatorContext) -> None:
        await script(Lane(ctx, dut, config, random.Random(seed)))

    Bench(dut).run(testbench)


@pytest.mark.parametrize("name", CONFIGS)
def test_fires_at_the_threshold_and_not_one_below(name: str) -> None:
    config = CONFIGS[name]
    fraction = config.fraction_bits

    async def script(lane: Lane) -> None:
        for soft_reset in (0, 1):
            for threshold in (1, 5 << fraction, (1 << config.membrane_bits - 1) - 1 - (7 << fraction)):
                for below in (0, 1, -1):
                    lane.configure(bias=threshold - below - (7 << fraction), threshold=threshold, soft_reset=soft_reset)
                    await lane.clear()
                    assert await lane.step(lane.sums(16, 9)) == (below <= 0)

    drive(config, 0, script)


@pytest.mark.parametrize("factor", ["none", "one", "half", "most", "all"])
@pytest.mark.parametrize("name", CONFIGS)
def test_leak_rounds_towards_minus_infinity(name: str, factor: str) -> None:
    config = CONFIGS[name]
    one, limit = 1 << config.leak_bits, (1 << config.membrane_bits - 1) - 1
    leak = {"none": 0, "one": 1, "half": one // 2, "most": one - 1, "all": one}[factor]
    # Products of more than 18 bits are put together from two, of which the lower takes 17.
    starts = [0, 1, 2, 3, one - 1, one, one + 1, (1 << 17) - 1, 1 << 17, (1 << 17) + 1, limit // 2]

    async def script(lane: Lane) -> None:
        for start in (sign * start for start in starts if start < limit for sign in (-1, 1)):
            lane.configure(bias=start, threshold=limit, leak=leak)
            await lane.clear()
            await lane.step(lane.sums(0, 0))
            lane.configure(bias=0, threshold=limit, leak=leak)
            await lane.step(lane.sums(0, 0))
            assert lane.v == start * leak // one

    drive(config, 0, script)


def test_a_lane_without_a_channel_never_fires() -> None:
    async def script(lane: Lane) -> None:
        for no_channel in (1, 0):
            lane.configure(bias=0, threshold=1, leak=1 << TINY.leak_bits, no_channel=no_channel)
            await lane.clear()
            fired = [await lane.step(lane.sums(18, 9)) for _ in range(5)]
            assert fired == [not no_channel] * 5

    drive(TINY, 0, script)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", CONFIGS)
def test_random_sequences_equal_the_reference(name: str, seed: int) -> None:
    config = CONFIGS[name]
    room = config.membrane_bits - config.fraction_bits - 3  # leaves the membrane to grow over four steps
    bits = min(config.accumulator_bits, room - 1)

    async def script(lane: Lane) -> None:
        draw = lane.draw
        for _ in range(8):
            theta = draw.randrange(1, 1 << room)
            lane.configure(bias=draw.randrange(-theta, theta), threshold=theta, negate=draw.randrange(2),
                           leak=draw.randint(0, (1 << config.leak_bits) * 3 // 4), soft_reset=draw.randrange(2))
            await lane.clear()
            for _ in range(5):
                total = draw.randrange(1 << bits)
                await lane.step(lane.sums(draw.randint(0, 2 * total), total))

    drive(config, seed, script)


@pytest.mark.parametrize("negate", [0, 1])
@pytest.mark.parametrize("classify", [0, 1])
def test_bit_planes_of_an_image_fold_into_one_current(negate: int, classify: int) -> None:
    async def script(lane: Lane) -> None:
        for _ in range(4):
            lane.configure(bias=lane.draw.randrange(-500, 500), threshold=900, negate=negate, leak=200, image=1,
                           classify=classify)
            await lane.clear()
            image = 0
            for _ in range(8):
                total = lane.draw.randrange(40)
                image = 2 * image + lane.sums(lane.draw.randint(0, 2 * total), total)
                await lane.pulse("i_load")
                await lane.pulse("i_fold")
            lane.sums(77, 99)  # of no account: the folded current drives all steps
            for _ in range(5):
                await lane.step(image)

    drive(TINY, negate, script)


def test_membrane_shifts_in_and_out() -> None:
    async def script(lane: Lane) -> None:
        for value in (-1, 1, -(1 << TINY.membrane_bits - 1), (1 << TINY.membrane_bits - 1) - 1):
            lane.ctx.set(lane.dut.i_membrane, value)
            await lane.pulse("i_shift")
            assert lane.ctx.get(lane.dut.o_membrane) == value

    drive(TINY, 0, script)
