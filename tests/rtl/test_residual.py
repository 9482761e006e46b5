"""ResidualUnit: spikes are added to a map's values, or silence them, bit by bit. A seed is in its test's name."""

import random
from dataclasses import dataclass, replace

import pytest
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.residual import ResidualUnit
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from s2nn.hw.spec.descriptor import Residual
from tests.rtl.streams import Bench

CONFIGS = {"tiny": TINY, "eight lanes": replace(TINY, lanes=8, time_lanes=4)}
NONE, ADD, IAND = Residual.NONE, Residual.ADD, Residual.IAND
#: Largest value of the residual map: the last before and the first after a further plane, of the map or of the sum; up
#: to seven planes, which is what a descriptor can say.
PEAKS = [1, 2, 3, 4, 6, 7, 8, 14, 15, 126]


@dataclass
class JoinLayer:
    """Values by word and bit of a word: of the residual map up to `peak`, and of the spikes."""

    op: Residual
    peak: int
    values: list[list[int]]
    spikes: list[list[int]]

    @property
    def planes(self) -> int:
        """Of the residual map."""
        return 0 if self.op is NONE else self.peak.bit_length()

    @property
    def out_planes(self) -> int:
        """Of the output."""
        return (self.peak + 1).bit_length() if self.op is ADD else 1

    def expected(self) -> list[int]:
        """Reference: words of the output, plane by plane."""
        found = []
        for values, spikes in zip(self.values, self.spikes, strict=True):
            if self.op is ADD:
                values = [value + spike for value, spike in zip(values, spikes, strict=True)]
            elif self.op is IAND:
                values = [int(value and not spike) for value, spike in zip(values, spikes, strict=True)]
            else:
                values = spikes
            found += planes(values, self.out_planes)
        return found


def planes(values: list[int], count: int) -> list[int]:
    """Words of the bit planes of these values, the lowest first."""
    return [sum((value >> plane & 1) << bit for bit, value in enumerate(values)) for plane in range(count)]


def random_layer(draw: random.Random, config: AcceleratorConfig, op: Residual, peak: int, count: int) -> JoinLayer:
    """Values are drawn so that both ends of their range are common."""
    bits = range(config.word_bits)
    return JoinLayer(op, peak, [[draw.choice((0, peak, draw.randint(0, peak))) for _ in bits] for _ in range(count)],
                     [[draw.randrange(2) for _ in bits] for _ in range(count)])


def run(config: AcceleratorConfig, layers: list[JoinLayer], *, seed: int = 0, stall: float = 0.0) -> int:
    """Joins layer after layer, each there a cycle before its first word. All residual words are offered from the start;
    returns the cycles without that one."""
    dut = ResidualUnit(config)
    bench = Bench(dut, seed=seed, stall=stall)
    wanted = [word for layer in layers for word in layer.expected()]

    async def script(ctx: SimulatorContext) -> None:
        for layer in layers:
            ctx.set(dut.i_residual, layer.op)
            ctx.set(dut.i_residual_planes, layer.planes)
            ctx.set(dut.i_planes, layer.out_planes)
            await ctx.tick()
            for spikes in layer.spikes:
                await bench.offer(ctx, dut.i, planes(spikes, 1)[0])

    words = [word for layer in layers for values in layer.values for word in planes(values, layer.planes)]
    bench.put(dut.i_residual_words, words)
    got = bench.get(dut.o, len(wanted))
    bench.run(script)  # ends only when all words are taken
    assert got == wanted
    return bench.cycles - len(layers)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("peak", PEAKS)
def test_sums_of_values_and_spikes(name: str, peak: int) -> None:
    config = CONFIGS[name]
    layer = random_layer(random.Random(peak), config, ADD, peak, 20)
    # A plane of the output per cycle, whether it has one more than the map or not.
    assert run(config, [layer]) == 20 * layer.out_planes


def test_the_carry_goes_through_all_planes_and_no_further() -> None:
    """Every value of three planes meets a spike and none, with the largest sum beside the smallest."""
    values = [[value] * 4 + [7, 0, 7, 0] for value in range(8)]
    spikes = [[0, 1, 1, 0, 1, 0, 0, 1] for _ in values]
    layer = JoinLayer(ADD, 7, values, spikes)
    assert layer.out_planes == 4
    run(TINY, [layer, layer])


@pytest.mark.parametrize("name", CONFIGS)
def test_iand_keeps_a_spike_where_there_is_none(name: str) -> None:
    config = CONFIGS[name]
    layer = random_layer(random.Random(0), config, IAND, 1, 30)
    assert run(config, [layer]) == 30


def test_spikes_pass_without_a_residual() -> None:
    assert run(TINY, [random_layer(random.Random(0), TINY, NONE, 1, 20)]) == 20


def test_without_a_residual_no_word_of_one_is_taken() -> None:
    """A word that is there already belongs to the layer behind."""
    draw = random.Random(0)
    layers = [random_layer(draw, TINY, op, 3 if op is ADD else 1, 5) for op in (NONE, ADD, NONE, IAND, NONE)]
    run(TINY, layers)


@pytest.mark.parametrize("seed", range(5))
def test_random_layers_in_turn_with_stalls(seed: int) -> None:
    draw, config = random.Random(seed), list(CONFIGS.values())[seed % 2]
    layers = []
    for _ in range(12):
        op = draw.choice((ADD, ADD, IAND, NONE))
        layers.append(random_layer(draw, config, op, draw.choice(PEAKS) if op is ADD else 1, draw.randint(1, 6)))
    run(config, layers, seed=seed, stall=0.4)
