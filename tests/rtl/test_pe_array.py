"""PEArray: sums of weights and inputs, planes by Horner's rule and by scale, held while nobody takes them.

A seed is in its test's name.
"""

import random
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.decode_then_popcount import DecodeThenPopcount
from s2nn.hw.rtl.pe_array import PEArray, Variant
from s2nn.hw.rtl.popcount_then_select import PopcountThenSelect
from s2nn.hw.spec import packing
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from s2nn.hw.spec.weights import ZERO_CODEWORD
from tests.rtl.blocks import random_tags
from tests.rtl.bursts import refusal
from tests.rtl.streams import Bench, plain

CONFIGS = {"tiny": TINY, "one time lane": replace(TINY, time_lanes=1, max_chunks=8),
           "eight time lanes": replace(TINY, time_lanes=8, index_bits=2)}
VARIANTS = [DecodeThenPopcount, PopcountThenSelect]
#: Planes of weights, operations a plane, planes of inputs.
SHAPES = [(1, 1, 1), (1, 4, 1), (2, 1, 1), (3, 2, 1), (8, 1, 1), (1, 1, 4), (1, 2, 3), (2, 2, 2), (3, 1, 2)]
Record = dict[str, Any]
Plan = list[Record]


@dataclass
class ArrayLayer:
    """Sums, each a list of operations; and the codebook that their symbols point into, or None for raw groups."""

    plans: list[Plan]
    codebook: list[int] | None = None

    def weights(self, symbol: int) -> list[int]:
        """The nine weights of a symbol, of which the bits above the index belong to the symbols behind it."""
        group = symbol if self.codebook is None else self.codebook[symbol % len(self.codebook)]
        return [0] * 9 if group == ZERO_CODEWORD else [1 if group >> tap & 1 else -1 for tap in range(9)]

    def sums(self, config: AcceleratorConfig, plan: Plan) -> Record:
        """Reference: an input of plane s counts 2**s, and a weight of plane k from the last counts 2**k."""
        raised = [[0] * config.time_lanes for _ in range(config.lanes)]
        total = [0] * config.time_lanes
        planes_left = sum(op["tags"]["shift"] for op in plan)
        for op in plan:
            planes_left -= op["tags"]["shift"]
            worth = 1 << planes_left + op["tags"]["scale"]
            weights = [self.weights(symbol) for symbol in op["symbols"]]
            for t in range(config.time_lanes):
                taps = [tap for tap in range(9) if op["window"][tap] >> t & 1]
                total[t] += worth * len(taps)
                for lane in range(config.lanes):
                    raised[lane][t] += worth * sum(weights[lane][tap] + 1 for tap in taps)
        return {"raised": raised, "total": total, "tags": plan[-1]["tags"]}


def random_sum(draw: random.Random, config: AcceleratorConfig, planes: int, length: int, in_planes: int) -> Plan:
    """The operations of one position and chunk: `length` a plane of weights and inputs, some of them silent."""
    plan = []
    for plane in range(planes):
        for number in range(in_planes * length):
            tags = random_tags(draw, first=int(plane == number == 0), shift=int(plane > 0 and number == 0), emit=0,
                               scale=number // length)
            silent = draw.random() < 0.2
            window = [0 if silent else draw.randrange(1 << config.time_lanes) for _ in range(9)]
            plan.append({"tags": tags, "window": window,
                         "symbols": [draw.randrange(512) for _ in range(config.lanes)]})
    plan[-1]["tags"]["emit"] = 1
    return plan


def random_sums(draw: random.Random, config: AcceleratorConfig, count: int) -> list[Plan]:
    return [random_sum(draw, config, *shape) for shape in draw.choices(SHAPES, k=count)]


def random_codebook(draw: random.Random, eta: int, *, zero: bool) -> list[int]:
    codebook = draw.sample(range(512), 1 << eta)
    if zero:
        codebook[draw.randrange(len(codebook))] = ZERO_CODEWORD
    return codebook


def run(config: AcceleratorConfig, layers: list[ArrayLayer], *, variant: Variant, seed: int = 0, stall: float = 0.0,
        busy: float = 0.0) -> list[int]:
    """Sends the operations of layer after layer, with idle cycles between them, and compares what comes out.

    A codebook is loaded while the layer before runs, into the half that the one before that has left. Returns the
    cycles of each layer.
    """
    dut = PEArray(config, variant=variant)
    bench = Bench(dut, seed=seed, stall=stall)
    draw = random.Random(seed + 1)
    codebooks = [layer.codebook for layer in layers if layer.codebook is not None]
    loaded, begun = 0, 0
    cycles = []
    bits = Value.cast(dut.o)

    async def load(ctx: SimulatorContext) -> None:
        nonlocal loaded
        for number, codebook in enumerate(codebooks):
            while begun < number:
                await ctx.tick()
            data = packing.pack_codebook(config, np.array(codebook, dtype=np.uint16))
            for at in range(0, len(data), config.axi_bytes):
                while bench.pause():
                    await ctx.tick()
                ctx.set(dut.i_codewords.valid, 1)
                ctx.set(dut.i_codewords.payload, int.from_bytes(data[at:at + config.axi_bytes], "little"))
                taken = False
                while not taken:
                    taken = ctx.get(dut.i_codewords.ready)
                    ctx.set(dut.i_load_start, taken and at + config.axi_bytes == len(data))
                    await ctx.tick()
                ctx.set(dut.i_codewords.valid, 0)
                ctx.set(dut.i_load_start, 0)
            loaded += 1

    async def script(ctx: SimulatorContext) -> None:
        nonlocal begun
        for layer in layers:
            assert not ctx.get(dut.o_busy)
            ctx.set(dut.i_codebook, layer.codebook is not None)
            ctx.set(dut.i_index_bits, 9)
            if layer.codebook is not None:
                while loaded == begun:
                    await ctx.tick()
                ctx.set(dut.i_index_bits, len(layer.codebook).bit_length() - 1)
                ctx.set(dut.i_codebook_half, begun % 2)
                begun += 1
            await ctx.tick().repeat(3)  # the last codeword, the half and the index width are registered
            begin = bench.cycles
            await calculate(ctx, layer)
            cycles.append(bench.cycles - begin)

    async def calculate(ctx: SimulatorContext, layer: ArrayLayer) -> None:
        operations = [op for plan in layer.plans for op in plan]
        got, held, ready = [], None, False
        while len(got) < len(layer.plans):
            ready_next = draw.random() >= busy
            ctx.set(dut.i_ready_next, ready_next)
            valid, payload = ctx.get(dut.o_valid), ctx.get(bits)
            assert held in (None, (valid, payload)), "sums changed while they waited"
            held = (valid, payload) if valid and not ready else None
            assert ctx.get(dut.o_stall) == (valid and not ready)
            if valid and ready:
                got.append(plain(dut.o.shape(), payload))
            offered = bool(operations) and not bench.pause()
            ctx.set(dut.i_valid, offered)
            op = operations[0] if offered else {"tags": random_tags(draw), "window": [1] * 9,
                                                "symbols": [511] * config.lanes}
            for name, member in (("tags", dut.i_tags), ("window", dut.i_window), ("symbols", dut.i_symbols)):
                ctx.set(member, op[name])
            enable = not ctx.get(dut.o_stall)
            ctx.set(dut.i_enable, enable)
            if offered and enable:
                del operations[0]
            assert ctx.get(dut.o_busy) or not valid
            ready = ready_next
            await ctx.tick()
        assert not ctx.get(dut.o_busy)
        for number, (one, plan) in enumerate(zip(got, layer.plans, strict=True)):
            assert one == layer.sums(config, plan), f"layer {len(cycles)}, sum {number}"

    bench.run(load, script)
    return cycles


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CONFIGS)
def test_planes_add_up_by_horners_rule_and_by_scale(name: str, variant: Variant) -> None:
    config, draw = CONFIGS[name], random.Random(0)
    layers = [ArrayLayer([random_sum(draw, config, *shape) for _ in range(4)]) for shape in SHAPES]
    # One operation a cycle; the last sum comes five cycles after its last operation, and is taken at once.
    assert run(config, layers, variant=variant) == [4 * prod(shape) + 5 for shape in SHAPES]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_largest_sums_fit(variant: Variant) -> None:
    config, layers = replace(TINY, accumulator_bits=8), []
    for scale, length in ((0, 28), (1, 14), (2, 7), (3, 3)):
        plan = random_sum(random.Random(0), config, 1, length, 1)
        for op in plan:
            op |= {"window": [3] * 9, "symbols": [511] * config.lanes}
            op["tags"]["scale"] = scale
        layers.append(ArrayLayer([plan, plan]))
        assert layers[-1].sums(config, plan)["total"] == [9 * length << scale] * 2
        assert 9 * length << scale < 256 <= 9 * (length + 1) << scale
    run(config, layers, variant=variant)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(4))
def test_random_sums_with_gaps_and_slow_neurons(seed: int, variant: Variant) -> None:
    draw = random.Random(seed)
    config = list(CONFIGS.values())[seed % 3]
    run(config, [ArrayLayer(random_sums(draw, config, 15))], variant=variant, seed=seed, stall=0.3, busy=0.7)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("index_bits", "eta"), [(2, 2), (4, 2), (4, 3), (4, 4), (6, 6)])
def test_codewords_count_as_their_groups(index_bits: int, eta: int, variant: Variant) -> None:
    config, draw = replace(TINY, index_bits=index_bits), random.Random(eta)
    layers = [ArrayLayer(random_sums(draw, config, 10), random_codebook(draw, eta, zero=zero))
              for zero in (False, True)]
    run(config, layers, variant=variant, seed=eta, stall=0.3, busy=0.3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_zero_codeword_counts_each_input_once(variant: Variant) -> None:
    """Beside a codeword of all +1, which counts twice, and one of all -1, which does not count."""
    draw, layers = random.Random(0), []
    for place in (0, 1, 14, 15):
        codebook = [511 if number % 2 else 0 for number in range(16)]
        codebook[place] = ZERO_CODEWORD
        plans = random_sums(draw, TINY, 6)
        for op in (op for plan in plans for op in plan):
            op["symbols"] = [place, place ^ 1, place ^ 2, draw.choice((place, place ^ 1))]
        layers.append(ArrayLayer(plans, codebook))
        for sums in (layers[-1].sums(TINY, plan) for plan in plans):
            assert sums["raised"][0] == sums["total"]
    run(TINY, layers, variant=variant)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(3))
def test_codebooks_in_turn_with_raw_layers_between(seed: int, variant: Variant) -> None:
    """Raw symbols that look like the index of the zero codeword are groups like any other."""
    draw = random.Random(seed)
    layers = []
    for _ in range(6):
        codebook = None
        if draw.random() < 0.7:
            codebook = random_codebook(draw, draw.randint(2, 4), zero=draw.random() < 0.7)
        plans = random_sums(draw, TINY, 3)
        if draw.random() < 0.5:
            for op in (op for plan in plans for op in plan):
                op["symbols"] = [draw.randrange(16) for _ in op["symbols"]]
        layers.append(ArrayLayer(plans, codebook))
    run(TINY, layers, variant=variant, seed=seed, stall=0.3, busy=0.3)


def test_a_binary_configuration_counts_raw_groups() -> None:
    draw, config = random.Random(0), TINY.as_binary()
    run(config, [ArrayLayer(random_sums(draw, config, 5))], variant=DecodeThenPopcount, stall=0.3)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_selecting_counts_needs_a_codebook() -> None:
    assert "only from a codebook, not with 'binary'" in refusal(lambda: PopcountThenSelect(TINY.as_binary()))
