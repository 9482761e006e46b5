"""CodewordDecoder: indices become the codewords that `packing.pack_codebook` stored. A seed is in its test's name."""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import SimulatorContext

from s2nn.hw.rtl.decoder import CodewordDecoder
from s2nn.hw.spec import packing
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from s2nn.hw.spec.weights import ZERO_CODEWORD
from tests.rtl.streams import Bench

#: (index_bits, axi_data_bits): one to sixteen codewords a beat, and beats that hold more than the whole codebook.
MEMORIES = [(2, 32), (6, 32), (2, 64), (5, 64), (2, 128), (3, 128), (6, 128), (2, 256), (3, 256), (4, 256)]


def make_config(index_bits: int, axi_data_bits: int) -> AcceleratorConfig:
    return replace(TINY, index_bits=index_bits, axi_data_bits=axi_data_bits, lanes=max(4, axi_data_bits // 8))


def beats(config: AcceleratorConfig, codebook: np.ndarray) -> list[int]:
    data = packing.pack_codebook(config, codebook)
    return [int.from_bytes(data[at:at + config.axi_bytes], "little") for at in range(0, len(data), config.axi_bytes)]


def decoded(codeword: int) -> int:
    """Reference: the zero codeword has all its taps, and a mark above them."""
    return 0b1_111_111_111 if codeword == ZERO_CODEWORD else codeword


def run(config: AcceleratorConfig, widths: list[int], *, seed: int, stall: float) -> None:
    """Loads a random codebook of each width into the halves in turn. Looks every index up, in the codebook before, too,
    whose half is still as it was; then sends raw groups through."""
    dut, draw = CodewordDecoder(config), random.Random(seed)
    bench = Bench(dut, seed=seed, stall=stall)

    async def look_up(ctx: SimulatorContext, symbols: list[int], expected: list[int]) -> None:
        """Symbols in rows of lanes, one row a cycle; the last row may be short. Words come two cycles later."""
        rows = [symbols[at:at + config.lanes] for at in range(0, len(symbols), config.lanes)]
        await ctx.tick()  # the index width is registered
        for number, row in enumerate([*rows, []]):
            before = [int(word) for word in ctx.get(dut.o)]
            ctx.set(dut.i_symbols, row + [0] * (config.lanes - len(row)))
            while bench.pause():
                ctx.set(dut.i_enable, 0)
                await ctx.tick()
                assert [int(word) for word in ctx.get(dut.o)] == before
            ctx.set(dut.i_enable, 1)
            await ctx.tick()
            if number:
                due = expected[(number - 1) * config.lanes:number * config.lanes]
                assert [int(word) for word in ctx.get(dut.o)][:len(due)] == due

    async def look_all_up(ctx: SimulatorContext, half: int, codebook: np.ndarray) -> None:
        bits = (len(codebook) - 1).bit_length()
        ctx.set(dut.i_codebook, 1)
        ctx.set(dut.i_codebook_half, half)
        ctx.set(dut.i_index_bits, bits)
        # Bits above the index belong to the symbols behind it.
        symbols = [index | draw.randrange(512) >> bits << bits for index in range(1 << bits)]
        await look_up(ctx, symbols, [decoded(codeword) for codeword in codebook.tolist()])

    async def script(ctx: SimulatorContext) -> None:
        loaded = []
        for number, bits in enumerate(widths):
            codebook = np.array(draw.sample(range(512), 1 << bits), dtype=np.uint16)
            if draw.randrange(3):
                codebook[draw.randrange(len(codebook))] = ZERO_CODEWORD
            loaded.append(codebook)
            data = beats(config, codebook)
            for at, beat in enumerate(data):
                while bench.pause():
                    await ctx.tick()
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload, beat)
                while True:
                    ready = ctx.get(dut.i.ready)
                    ctx.set(dut.i_load_start, ready and at == len(data) - 1)  # what follows is the next codebook
                    await ctx.tick()
                    if ready:
                        break
                ctx.set(dut.i.valid, 0)
                ctx.set(dut.i_load_start, 0)
            for earlier in range(max(0, number - 1), number + 1):
                await look_all_up(ctx, earlier % 2, loaded[earlier])
            ctx.set(dut.i_codebook, 0)
            ctx.set(dut.i_index_bits, 9)
            raw = [draw.randrange(512) for _ in range(2 * config.lanes)]
            await look_up(ctx, raw, raw)

    bench.run(script)


@pytest.mark.parametrize(("index_bits", "axi_data_bits"), MEMORIES)
def test_a_codebook_of_every_width_reads_back(index_bits: int, axi_data_bits: int) -> None:
    widths = [*range(2, index_bits + 1), *reversed(range(2, index_bits + 1))]
    run(make_config(index_bits, axi_data_bits), widths, seed=0, stall=0.0)


@pytest.mark.parametrize("seed", range(3))
def test_codebooks_in_turn_with_stalls(seed: int) -> None:
    config = make_config(*((4, 32), (5, 64), (6, 128))[seed])
    draw = random.Random(seed)
    run(config, [draw.randint(2, config.index_bits) for _ in range(5)], seed=seed, stall=0.4)


def test_binary_configuration_passes_groups_on_and_takes_any_codebook() -> None:
    config = TINY.as_binary()
    dut = CodewordDecoder(config)

    async def script(ctx: SimulatorContext) -> None:
        assert ctx.get(dut.i.ready)
        inside = [[0] * config.lanes] * 2
        for enable, symbols in ((1, [1, 2, 3, 511]), (0, [5, 6, 7, 8]), (1, [0, 256, 255, 9]), (1, [4, 4, 4, 4])):
            ctx.set(dut.i_enable, enable)
            ctx.set(dut.i_symbols, symbols)
            await ctx.tick()
            if enable:
                inside = [symbols, inside[0]]
            assert [int(word) for word in ctx.get(dut.o)] == inside[1]

    Bench(dut).run(script)
