"""InputLoader: the bytes of `packing.pack_input` become the input map's words. A seed is in its test's name."""

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.input_loader import InputLoader
from s2nn.hw.spec import packing
from s2nn.hw.spec.config import TINY, AcceleratorConfig, ceil_div
from tests.rtl.layers import blank_descriptor
from tests.rtl.streams import Bench

CONFIGS = {
    "tiny": replace(TINY, max_chunks=8),
    "one time lane": replace(TINY, time_lanes=1, max_chunks=16),
    "eight time lanes": replace(TINY, time_lanes=8),
    "64-bit bus": replace(TINY, lanes=16, time_lanes=4, axi_data_bits=64, max_chunks=8),
}
#: Bytes in all, with 4 to a beat: less than one, whole ones, one more and one less.
SHAPES = [(1, 1, 1), (3, 1, 1), (4, 1, 1), (1, 5, 1), (2, 3, 4), (3, 2, 4), (4, 3, 3), (1, 1, 7)]


@dataclass
class Input:
    """An image (C, H, W), or spikes (T, C, H, W)."""

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.values.shape[-3:]

    @property
    def is_image(self) -> bool:
        return self.values.ndim == 3

    def chunks(self, config: AcceleratorConfig) -> int:
        """Of the input map."""
        return ceil_div(8 if self.is_image else len(self.values), config.time_lanes)

    def bytes_per_channel(self) -> int:
        return 1 if self.is_image else ceil_div(len(self.values), 8)

    def words(self, config: AcceleratorConfig) -> list[int]:
        """Reference: by position and chunk. Time lanes are bits of a pixel, the highest first, or steps."""
        channels, height, width = self.shape
        found = []
        for y, x, chunk in np.ndindex(height, width, self.chunks(config)):
            word = 0
            for channel in range(channels):
                for lane in range(config.time_lanes):
                    number = chunk * config.time_lanes + lane
                    if self.is_image:
                        bit = int(self.values[channel, y, x]) >> 7 - number & 1
                    else:
                        bit = int(self.values[number, channel, y, x]) if number < len(self.values) else 0
                    word |= bit << channel * config.time_lanes + lane
            found.append(word)
        return found


def random_input(seed: int, shape: tuple[int, int, int], steps: int | None) -> Input:
    """An image, or spikes of so many steps."""
    rng = np.random.default_rng([seed, *shape])
    if steps is None:
        return Input(rng.integers(0, 256, shape, dtype=np.uint8))
    return Input(rng.integers(0, 2, (steps, *shape), dtype=np.uint8))


def run(config: AcceleratorConfig, inputs: list[Input], *, seed: int = 0, stall: float = 0.0) -> list[int]:
    """Loads input after input from one stream of beats; returns the busy cycles of each. Padding is noise."""
    dut, draw = InputLoader(config), random.Random(seed)
    bench = Bench(dut, seed=seed, stall=stall)
    beats, cycles = [], []
    for one in inputs:
        data = packing.pack_input(config, one.values)
        used = int(np.prod(one.shape)) * one.bytes_per_channel()
        data = data[:used] + draw.randbytes(len(data) - used)
        beats += [int.from_bytes(data[at:at + config.axi_bytes], "little")
                  for at in range(0, len(data), config.axi_bytes)]

    async def script(ctx: SimulatorContext) -> None:
        for one in inputs:
            channels, height, width = one.shape
            ctx.set(dut.i_descriptor, blank_descriptor(in_channels=channels, in_height=height, in_width=width,
                                                       out_chunks=one.chunks(config)))
            ctx.set(dut.i_start, 1)
            await ctx.tick()
            ctx.set(dut.i_start, 0)
            wanted, begin = one.words(config), bench.cycles
            for number, word in enumerate(wanted):
                valid = 0
                while not valid:
                    assert ctx.get(dut.o_busy)
                    _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
                assert payload == word, f"word {number} of {one.values.shape}"
            while ctx.get(dut.o_busy):
                assert not ctx.get(dut.o.valid)
                await ctx.tick()
            cycles.append(bench.cycles - begin)
            for _ in range(draw.randrange(3)):  # the next input's beats wait for its start
                assert not ctx.get(dut.i.ready)
                await ctx.tick()

    bench.put(dut.i, beats)
    bench.run(script)  # ends only when all beats are taken
    return cycles


def busy_cycles(config: AcceleratorConfig, one: Input) -> int:
    """A cycle per byte and word, and one that throws the padding away."""
    channels, height, width = one.shape
    return height * width * (channels * one.bytes_per_channel() + one.chunks(config)) + 1


@pytest.mark.parametrize("name", CONFIGS)
def test_pixels_become_bit_planes(name: str) -> None:
    config = CONFIGS[name]
    inputs = [random_input(number, shape, None) for number, shape in enumerate(SHAPES)]
    assert run(config, inputs) == [busy_cycles(config, one) for one in inputs]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("steps", [1, 2, 7, 8, 9, 16])
def test_bytes_of_eight_steps_become_chunks(name: str, steps: int) -> None:
    config = CONFIGS[name]
    inputs = [random_input(number, shape, steps) for number, shape in enumerate(SHAPES)]
    assert run(config, inputs) == [busy_cycles(config, one) for one in inputs]


def test_channels_of_an_earlier_input_do_not_stay() -> None:
    full = Input(np.full((4, 2, 2), 255, dtype=np.uint8))
    run(TINY, [full, random_input(0, (1, 2, 2), None), full, random_input(0, (3, 2, 2), 3)])


def test_as_many_channels_as_lanes() -> None:
    config = CONFIGS["64-bit bus"]
    run(config, [random_input(0, (16, 2, 3), steps) for steps in (None, 9)])


@pytest.mark.parametrize("seed", range(5))
def test_random_inputs_in_turn_with_late_beats(seed: int) -> None:
    draw, config = random.Random(seed), list(CONFIGS.values())[seed % 4]
    most = config.max_chunks * config.time_lanes
    run(config, [random_input(seed * 10 + k, draw.choice(SHAPES), draw.choice((None, 1, draw.randint(2, most), most)))
                 for k in range(8)], seed=seed, stall=0.6)
