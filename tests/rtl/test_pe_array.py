"""PEArray: sums of weights and spikes, planes by Horner's rule, held while nobody takes them.

A seed is in its test's name.
"""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.decode_then_popcount import DecodeThenPopcount
from s2nn.hw.rtl.layouts import Tags
from s2nn.hw.rtl.pe_array import PEArray, Variant
from s2nn.hw.rtl.popcount_then_select import PopcountThenSelect
from s2nn.hw.spec import packing
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from tests.rtl.streams import Bench, plain

CONFIGS = {"tiny": TINY, "one time lane": replace(TINY, time_lanes=1, max_chunks=8),
           "eight time lanes": replace(TINY, time_lanes=8), "narrow sums": replace(TINY, accumulator_bits=8)}
VARIANTS = [DecodeThenPopcount, PopcountThenSelect]
Record = dict[str, object]


def random_sum(draw: random.Random, config: AcceleratorConfig, planes: int, length: int) -> list[Record]:
    """The operations of one position and chunk: `length` a plane, some of them silent. Symbols are raw groups."""
    plan = []
    for plane in range(planes):
        for number in range(length):
            tags = {name: draw.randrange(2) for name, _ in Tags}
            tags |= {"first": int(plane == number == 0), "shift": int(plane > 0 and number == 0),
                     "emit": int((plane, number) == (planes - 1, length - 1))}
            silent = draw.random() < 0.2
            window = [0 if silent else draw.randrange(1 << config.time_lanes) for _ in range(9)]
            plan.append({"tags": tags, "window": window,
                         "symbols": [draw.randrange(512) for _ in range(config.lanes)]})
    return plan


def sums(config: AcceleratorConfig, plan: list[Record], codebook: list[int] | None) -> Record:
    """Reference: a tap of weight plane k from the last counts 2**k."""
    def group(symbol: int) -> int:
        return symbol if codebook is None else codebook[symbol % len(codebook)]

    positive = [[0] * config.time_lanes for _ in range(config.lanes)]
    total = [0] * config.time_lanes
    planes = sum(op["tags"]["shift"] for op in plan) + 1
    plane = 0
    for op in plan:
        plane += op["tags"]["shift"]
        scale = 1 << planes - 1 - plane
        for t in range(config.time_lanes):
            taps = [tap for tap in range(9) if op["window"][tap] >> t & 1]
            total[t] += scale * len(taps)
            for lane, symbol in enumerate(op["symbols"]):
                positive[lane][t] += scale * sum(group(symbol) >> tap & 1 for tap in taps)
    return {"positive": positive, "total": total, "tags": plan[-1]["tags"]}


def run(config: AcceleratorConfig, plans: list[list[Record]], *, variant: Variant, seed: int, stall: float,
        busy: float = 0.0, codebook: list[int] | None = None) -> int:
    """Sends the operations, with idle cycles between them, and compares what comes out; returns the cycles."""
    dut = PEArray(config, variant=variant)
    bench = Bench(dut, seed=seed, stall=stall)
    draw = random.Random(seed + 1)
    operations = [op for plan in plans for op in plan]
    got, cycles = [], 0
    bits = Value.cast(dut.o)

    async def script(ctx: SimulatorContext) -> None:
        nonlocal cycles
        if codebook is not None:
            data = packing.pack_codebook(config, np.array(codebook, dtype=np.uint16))
            for at in range(0, len(data), config.axi_bytes):
                beat = int.from_bytes(data[at:at + config.axi_bytes], "little")
                await bench.offer(ctx, dut.i_codewords, beat)
            ctx.set(dut.i_codebook, 1)
            ctx.set(dut.i_index_bits, len(codebook).bit_length() - 1)
        await ctx.tick().repeat(2)  # the last codeword and the index width are registered
        held = None
        while len(got) < len(plans):
            ready = draw.random() >= busy
            ctx.set(dut.i_ready, ready)
            valid, payload = ctx.get(dut.o_valid), ctx.get(bits)
            assert held in (None, (valid, payload)), "sums changed while they waited"
            held = (valid, payload) if valid and not ready else None
            assert ctx.get(dut.o_stall) == (valid and not ready)
            if valid and ready:
                got.append(plain(dut.o.shape(), payload))
            offered = bool(operations) and not bench.pause()
            ctx.set(dut.i_valid, offered)
            op = operations[0] if offered else {"tags": {name: 1 for name, _ in Tags}, "window": [1] * 9,
                                                "symbols": [511] * config.lanes}
            for name, member in (("tags", dut.i_tags), ("window", dut.i_window), ("symbols", dut.i_symbols)):
                ctx.set(member, op[name])
            enable = not ctx.get(dut.o_stall)
            ctx.set(dut.i_enable, enable)
            if offered and enable:
                del operations[0]
            assert ctx.get(dut.o_busy) or not valid
            await ctx.tick()
            cycles += 1
        assert not ctx.get(dut.o_busy)

    bench.run(script)
    for number, (one, plan) in enumerate(zip(got, plans, strict=True)):
        assert one == sums(config, plan, codebook), f"sum {number}"
    return cycles


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("planes", "length"), [(1, 1), (1, 3), (2, 1), (3, 2), (8, 1)])
@pytest.mark.parametrize("name", ["tiny", "one time lane", "eight time lanes"])
def test_planes_add_up_by_horners_rule(name: str, planes: int, length: int, variant: Variant) -> None:
    config, draw = CONFIGS[name], random.Random(0)
    plans = [random_sum(draw, config, planes, length) for _ in range(4)]
    # One operation a cycle; the last sum comes four cycles after its last operation, and is taken in the next.
    assert run(config, plans, variant=variant, seed=0, stall=0.0) == 4 * planes * length + 4


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_largest_sum_fits(variant: Variant) -> None:
    config = CONFIGS["narrow sums"]
    plan = random_sum(random.Random(0), config, 1, 28)  # 28 * 9 = 252; 29 would be 261
    for op in plan:
        op |= {"window": [3] * 9, "symbols": [511] * config.lanes}
    assert sums(config, plan, None)["total"] == [252, 252]
    run(config, [plan, plan], variant=variant, seed=0, stall=0.0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(4))
def test_random_sums_with_gaps_and_slow_neurons(seed: int, variant: Variant) -> None:
    draw = random.Random(seed)
    config = list(CONFIGS.values())[seed % 3]
    plans = [random_sum(draw, config, draw.randint(1, 3), draw.randint(1, 4)) for _ in range(25)]
    run(config, plans, variant=variant, seed=seed, stall=0.3, busy=0.7)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("index_bits", "eta"), [(2, 2), (4, 2), (4, 3), (4, 4), (6, 6)])
def test_codewords_count_as_their_groups(index_bits: int, eta: int, variant: Variant) -> None:
    """Bits of a symbol above the index belong to the symbols behind it."""
    config, draw = replace(TINY, index_bits=index_bits), random.Random(eta)
    plans = [random_sum(draw, config, draw.randint(1, 2), draw.randint(1, 4)) for _ in range(25)]
    codebook = draw.sample(range(512), 1 << eta)
    run(config, plans, variant=variant, seed=eta, stall=0.3, busy=0.3, codebook=codebook)


def test_a_binary_configuration_counts_raw_groups() -> None:
    draw = random.Random(0)
    plans = [random_sum(draw, TINY.as_binary(), 1, 4) for _ in range(5)]
    run(TINY.as_binary(), plans, variant=DecodeThenPopcount, seed=0, stall=0.3)


def test_selecting_counts_needs_a_codebook() -> None:
    with pytest.raises(ValueError, match="only from a codebook, not with 'binary' weights"):
        PopcountThenSelect(TINY.as_binary())
