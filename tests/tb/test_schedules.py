"""RTL, golden model and cycle engine agree when maps are spilled to DRAM and when weights are fetched for each step."""

from dataclasses import replace

import pytest

from s2nn.hw.sim import functional, memory_map
from s2nn.hw.sim.random_program import RandomConv
from s2nn.hw.spec.build import build_image, descriptors
from s2nn.hw.spec.config import TINY
from s2nn.hw.spec.descriptor import Opcode
from s2nn.hw.spec.program import PoolOp, ResidualOp
from s2nn.hw.spec.registers import ErrorCode
from s2nn.hw.spec.schedule import Schedule
from s2nn.hw.spec.weights import Grouping
from s2nn.hw.tb.runner import simulate_rtl
from s2nn.tools.rtl import design_folder
from tests.layer_types import LayerType
from tests.tb.levels import hold_levels

pytestmark = pytest.mark.rtl
SEED, IMAGES = 11, 2
#: A spike buffer that makes bands of most maps, room for resident weights, and a membrane buffer.
NARROW = replace(TINY, name="narrow", spike_words=128, resident_rows=64, membrane_words=256)
KEEPING = replace(NARROW, name="keeping", current_bits=5, spike_words=256)
ONE_STEP = replace(NARROW, name="one_step", time_lanes=1, max_chunks=8)

CONVS = [RandomConv(channels=8, planes=2), RandomConv(channels=8, eta=4, pool=True), RandomConv(channels=8, eta=3)]
RESIDUALS = [RandomConv(channels=8, planes=2),
             RandomConv(channels=8, eta=4, residual="conv0", residual_op=ResidualOp.ADD),
             RandomConv(channels=8, eta=4, stride=2),
             RandomConv(channels=4, eta=3, source="conv1", kernel=(1, 1), pad=0, stride=2, grouping=Grouping.INPUTS),
             RandomConv(channels=8, eta=4, source="conv2")]
SUMS = [RandomConv(channels=4, planes=2, pool=True, pool_op=PoolOp.SUM),
        RandomConv(channels=8, eta=4, kernel=(5, 5), pad=2)]
CURRENT = ResidualOp.CURRENT
SHORTCUTS = [RandomConv(channels=8, planes=2, keeps=True), RandomConv(channels=6, eta=4),
             RandomConv(channels=8, eta=4, residual="conv0", residual_op=CURRENT, keeps=True),
             RandomConv(channels=12, eta=4, stride=2),
             RandomConv(channels=12, eta=3, source="conv2", kernel=(1, 1), pad=0, stride=2, grouping=Grouping.INPUTS,
                        keeps=True),
             RandomConv(channels=12, eta=4, source="conv3", residual="conv4", residual_op=CURRENT)]
PER_STEP, SPILLED = Schedule(per_step=True), Schedule(maps="spilled")
# name: what runs, under which schedule
CASES = {
    "bands of a chain": (LayerType(config=NARROW, in_shape=(1, 20, 11), layers=CONVS), Schedule()),
    "bands of a residual net": (LayerType(config=NARROW, in_shape=(1, 19, 9), layers=RESIDUALS), Schedule()),
    "bands of sums and of a large kernel": (LayerType(config=NARROW, in_shape=(1, 44, 9), layers=SUMS), Schedule()),
    "bands of an input whose rows are no beats": (LayerType(config=NARROW, in_shape=(3, 23, 9), layers=CONVS),
                                                  Schedule()),
    "bands of spikes in, every map through DRAM": (
        LayerType(config=NARROW, in_shape=(2, 28, 13), layers=CONVS[1:], options={"spike_input": True, "steps": 5}),
        SPILLED),
    "every map through DRAM": (LayerType(config=TINY, in_shape=(1, 8, 7), layers=RESIDUALS), SPILLED),
    "each step, one time lane": (LayerType(config=ONE_STEP, in_shape=(1, 6, 6), layers=CONVS), PER_STEP),
    "each step, residuals": (LayerType(config=ONE_STEP, in_shape=(1, 6, 6), layers=RESIDUALS), PER_STEP),
    "each chunk, the last one cut short": (LayerType(config=NARROW, in_shape=(1, 6, 6), layers=CONVS,
                                                     options={"steps": 5}), PER_STEP),
    "each step, every map through DRAM": (LayerType(config=ONE_STEP, in_shape=(1, 9, 5), layers=SUMS),
                                          Schedule(per_step=True, maps="spilled")),
    "bands of membrane shortcuts": (LayerType(config=KEEPING, in_shape=(1, 13, 7), layers=SHORTCUTS,
                                              options={"steps": 3}), Schedule()),
    "membrane shortcuts, every map through DRAM": (LayerType(config=KEEPING, in_shape=(1, 8, 5), layers=SHORTCUTS),
                                                   SPILLED),
    "each chunk, membrane shortcuts": (LayerType(config=KEEPING, in_shape=(1, 4, 4), layers=SHORTCUTS,
                                                 options={"steps": 3}), PER_STEP),
}


@pytest.mark.parametrize("stall_probability", [0.0, 0.3])
@pytest.mark.parametrize("name", CASES)
def test_schedule(rtl_build_dir, tmp_path, name, stall_probability):
    case, schedule = CASES[name]
    program, inputs = case.program(SEED), case.inputs(SEED, IMAGES)
    opcodes = {step["opcode"] for step in descriptors(build_image(case.config, program, schedule))}
    if "bands" in name or "DRAM" in name:
        assert {Opcode.LOAD_MAP, Opcode.STORE_MAP} <= opcodes
    hold_levels(case.config, program, inputs, build_dir=rtl_build_dir, run_dir=tmp_path, seed=SEED,
                stall_probability=stall_probability, schedule=schedule)


@pytest.mark.parametrize("response", [2, 3], ids=["SLVERR", "DECERR"])
@pytest.mark.parametrize("offset", ["the first byte", "a later band"])
def test_an_error_in_the_scratch_region_is_reported_and_the_next_run_is_right(rtl_build_dir, tmp_path, offset,
                                                                             response):
    """A spilled map is written before it is read, so the write meets the fault."""
    case, schedule = CASES["bands of a residual net"]
    program, inputs = case.program(SEED), case.inputs(SEED, IMAGES)
    image = build_image(case.config, program, schedule)
    addresses, design = memory_map.place(case.config, image), design_folder(case.config, rtl_build_dir)
    start = addresses.scratch + (0 if offset == "the first byte" else memory_map.scratch_bytes(case.config, image) // 2)
    runs = simulate_rtl(case.config, design, image, list(inputs), build_dir=design / "verilator", run_dir=tmp_path,
                        faults=[{"start": start, "end": start + 4, "response": response}], clear_faults=True,
                        stall_probability=0.2, seed=SEED, timeout_cycles=200_000)
    assert [run.error for run in runs] == [ErrorCode.WRITE_RESPONSE, ErrorCode.NONE]
    golden = functional.run(program, inputs)
    assert runs[1].logits[:4].tolist() == golden.logits[1].tolist()
