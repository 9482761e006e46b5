"""The cycle engine counts what the RTL counts on other memories, under other stalls, and on sixteen lanes.

Every program on the default memory, with and without stalls, is in test_accelerator.py.
"""

from dataclasses import replace

import pytest

from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.spec.config import ULX3S
from tests.layer_types import LAYER_TYPES
from tests.tb.levels import hold_levels
from tests.tb.test_accelerator import PROGRAMS, SEED, make

pytestmark = pytest.mark.rtl
IMAGES = 3
DDR3L, LPDDR4 = "ddr3l-1600-4gb-x16", "lpddr4-3200-8gb-x16"
# Memory preset (None: a fixed latency) and probability of stalls on every AXI channel.
MEMORIES = {"lpddr4": (LPDDR4, 0.0), "fixed": (None, 0.0), "lpddr4, stalls": (LPDDR4, 0.2)}
# What runs on each of them: a codebook net, raw groups, pooling, gathered words, residuals, spikes in.
CHOSEN = ["codebooks_of_every_width", "binary", "pool_drops_an_odd_row", "linear over a map, sets across taps",
          "residual chain", "spikes in, more than a byte of steps", "one_time_lane",
          "membrane shortcuts, one kept and added"]


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("name", CHOSEN)
def test_every_memory(rtl_build_dir, tmp_path, name, memory):
    dram, stall_probability = MEMORIES[memory]
    if name in PROGRAMS:
        config, program, _, _ = make(name)
        inputs = random_images(SEED, program.in_shape, IMAGES)
    else:
        case = LAYER_TYPES[name]
        config, program, inputs = case.config, case.program(SEED), case.inputs(SEED, IMAGES)
    hold_levels(config, program, inputs, build_dir=rtl_build_dir, run_dir=tmp_path, seed=SEED, dram=dram,
                stall_probability=stall_probability)


@pytest.mark.parametrize("weight_format", ["codebook", "binary"])
def test_sixteen_lanes(rtl_build_dir, tmp_path, weight_format):
    config = replace(ULX3S, weight_format=weight_format)
    eta = 4 if weight_format == "codebook" else None
    program = random_program(SEED, config, in_shape=(1, 12, 12), steps=6, layers=[
        RandomConv(channels=20, planes=8), RandomConv(channels=40, eta=eta, pool=True),
        RandomConv(channels=32, eta=eta)])
    hold_levels(config, program, random_images(SEED, (1, 12, 12), IMAGES), build_dir=rtl_build_dir, run_dir=tmp_path,
                seed=SEED)
