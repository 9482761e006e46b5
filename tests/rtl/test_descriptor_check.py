"""check_descriptor: what is refused, at both sides of each bound that no test of the whole accelerator reaches."""

from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from s2nn.hw.rtl.descriptor_check import check_descriptor
from s2nn.hw.rtl.layouts import DescriptorLayout
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from s2nn.hw.spec.descriptor import Opcode, Residual
from s2nn.hw.spec.registers import ErrorCode

CURRENTS = replace(TINY, current_bits=6)
LAYER = {"opcode": Opcode.CONV, "symbol_bits": 9} | dict.fromkeys((
    "planes", "steps", "in_blocks", "in_chunks", "in_planes", "groups_y", "groups_x", "out_height", "out_width",
    "out_chunks", "out_planes", "tiles", "tile_beats", "tile_rows"), 1)
LOAD = {"opcode": Opcode.LOAD_MAP} | dict.fromkeys(
    ("out_height", "out_width", "tiles", "tile_beats", "out_chunks", "out_planes"), 1)
STORE = {"opcode": Opcode.STORE_MAP, "residual": Residual.ADD} | dict.fromkeys(
    ("out_height", "out_width", "tiles", "tile_beats", "in_chunks", "residual_planes"), 1)
INPUT = {"opcode": Opcode.LOAD_INPUT} | dict.fromkeys(
    ("in_channels", "in_height", "in_width", "out_chunks", "out_planes", "out_height", "out_width", "tiles",
     "tile_beats"), 1)
ADD = LAYER | {"residual": Residual.ADD, "residual_planes": 1}
KEEP = LAYER | {"keep_current": 1, "out_planes": 7}


def verdict(config: AcceleratorConfig, fields: dict[str, int]) -> ErrorCode:
    """What is said of a descriptor."""
    m, seen = Module(), []
    descriptor, error = Signal(DescriptorLayout), Signal(ErrorCode)
    m.d.comb += error.eq(check_descriptor(m, config, descriptor))

    async def look(ctx):
        for name, value in fields.items():
            ctx.set(descriptor[name], value)
        await ctx.tick()
        seen.append(ctx.get(error))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(look)
    simulator.run()
    return seen[0]


@pytest.mark.parametrize(("config", "fields", "fits"), [
    (TINY, LAYER, True), (TINY, LOAD, True), (TINY, STORE, True), (TINY, INPUT, True),
    (TINY, INPUT | {"in_channels": TINY.lanes}, True), (TINY, INPUT | {"in_channels": TINY.lanes + 1}, False),
    (TINY, INPUT | {"out_planes": 4}, True), (TINY, INPUT | {"out_planes": 5}, False),
    (TINY, LOAD | {"out_planes": 4}, True), (TINY, LOAD | {"out_planes": 5}, False),
    (TINY, LOAD | {"out_planes": 9}, False), (TINY, LOAD | {"out_planes": 0}, False),
    (TINY, STORE | {"residual_planes": 4}, True), (TINY, STORE | {"residual_planes": 5}, False),
    (TINY, STORE | {"residual_planes": 9}, False), (TINY, STORE | {"residual": Residual.NONE}, False),
    (CURRENTS, LOAD | {"out_planes": 7}, True), (CURRENTS, LOAD | {"out_planes": 8}, False),
    (CURRENTS, STORE | {"residual_planes": 7}, True), (CURRENTS, STORE | {"residual_planes": 8}, False),
    (TINY, ADD, True), (TINY, ADD | {"residual_planes": 4}, True), (TINY, ADD | {"residual_planes": 5}, False),
    (TINY, ADD | {"residual_planes": 8}, False), (TINY, ADD | {"residual_planes": 0}, False),
    (TINY, ADD | {"residual": Residual.IAND, "residual_planes": 8}, False),
    (TINY, KEEP, False), (CURRENTS, KEEP, True), (CURRENTS, KEEP | {"out_planes": 6}, False),
    (CURRENTS, KEEP | {"pool": 1}, False), (CURRENTS, LAYER | {"pool": 1}, True),
    (CURRENTS, KEEP | {"residual": Residual.ADD, "residual_planes": 1}, False),
    (CURRENTS, KEEP | {"residual": Residual.IAND, "residual_planes": 1}, False),
    (CURRENTS, KEEP | {"residual": Residual.CURRENT, "residual_planes": 6}, True),
    (CURRENTS, KEEP | {"residual": Residual.CURRENT, "residual_planes": 5}, False),
    (CURRENTS, KEEP | {"residual": Residual.CURRENT, "residual_planes": 6, "image_input": 1}, False),
])
def test_what_does_not_fit_is_refused(config, fields, fits):
    assert verdict(config, fields) == (ErrorCode.NONE if fits else ErrorCode.UNSUPPORTED)


@pytest.mark.parametrize("opcode", [0, max(Opcode) + 1, 255])
def test_an_unknown_opcode_is_told_apart(opcode):
    assert verdict(TINY, {"opcode": opcode}) == ErrorCode.OPCODE
