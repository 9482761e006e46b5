"""The cycle engine counts what the RTL counts, cycle for cycle and cause for cause, and the DRAM does the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from s2nn.hw.rtl.verilog import write_verilog
from s2nn.hw.sim.axi import AxiStalls
from s2nn.hw.sim.engine import EngineSession
from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import ULX3S
from s2nn.hw.tb.runner import simulate_rtl
from tests.layer_types import LAYER_TYPES
from tests.tb.test_accelerator import PROGRAMS

pytestmark = pytest.mark.rtl
SEED = 7
IMAGES = 3
DDR3L, LPDDR4 = "ddr3l-1600-4gb-x16", "lpddr4-3200-8gb-x16"
# Memory preset (None: a fixed latency) and probability of stalls on every AXI channel.
MEMORIES = {"lpddr4": (LPDDR4, 0.0), "fixed": (None, 0.0), "stalls": (DDR3L, 0.4), "lpddr4, stalls": (LPDDR4, 0.2)}
# What runs on each of them: a codebook net, raw groups, pooling, gathered words, residuals, spikes in.
CHOSEN = ["codebooks_of_every_width", "binary", "pool_drops_an_odd_row", "linear over a map, sets across taps",
          "residual chain", "spikes in, more than a byte of steps", "one_time_lane"]


def case(name):
    """Configuration, program and inputs of a name in either table."""
    if name in LAYER_TYPES:
        of_type = LAYER_TYPES[name]
        return of_type.config, of_type.program(SEED), of_type.inputs(SEED, IMAGES)
    config, in_shape, layers, options = PROGRAMS[name]
    program = random_program(SEED, config, in_shape=in_shape, layers=layers, name=name,
                             **{"classes": 4, "classifier_planes": 2, **options})
    return config, program, random_images(SEED, in_shape, IMAGES)


@pytest.fixture(scope="module")
def differences():
    """Cycles by which the engine missed a run, over the module: the worst is printed."""
    seen: list[int] = []
    yield seen
    print(f"\nengine against RTL: {len(seen)} runs, worst difference {max(seen, default=0)} cycles")  # noqa: T201


def compare(config, program, inputs, build_dir: Path, run_dir: Path, differences: list[int], *, dram=DDR3L,
            stall_probability=0.0):
    """Run both and compare all that they count."""
    image = build_image(config, program)
    design = build_dir / f"{config.name}-{config.weight_format}-{config.digest.hex()}"
    write_verilog(config, design)
    rtl = simulate_rtl(config, design, image, list(inputs), build_dir=design / "verilator", run_dir=run_dir, dram=dram,
                       stall_probability=stall_probability, seed=SEED)
    stalls = AxiStalls(probability=stall_probability, seed=SEED)
    engine = EngineSession(config, program, image, dram=dram, stalls=stalls).run(inputs)
    differences += [abs(ours.counters["cycles.total"] - theirs.counters["cycles.total"])
                    for ours, theirs in zip(engine, rtl, strict=True)]
    for ours, theirs in zip(engine, rtl, strict=True):
        assert ours.counters == theirs.counters, f"seed {SEED}"
        assert [counters["cycles.total"] for _, counters in ours.layers[1:-1]] == theirs.middle_cycles
        assert ours.axi == theirs.axi
        assert ours.dram == theirs.dram


@pytest.mark.parametrize("name", [*PROGRAMS, *LAYER_TYPES])
def test_every_program(rtl_build_dir, tmp_path, differences, name):
    compare(*case(name), rtl_build_dir, tmp_path, differences)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("name", CHOSEN)
def test_every_memory(rtl_build_dir, tmp_path, differences, name, memory):
    dram, stall_probability = MEMORIES[memory]
    compare(*case(name), rtl_build_dir, tmp_path, differences, dram=dram, stall_probability=stall_probability)


@pytest.mark.parametrize("weight_format", ["codebook", "binary"])
def test_sixteen_lanes(rtl_build_dir, tmp_path, differences, weight_format):
    config = replace(ULX3S, weight_format=weight_format)
    eta = 4 if weight_format == "codebook" else None
    program = random_program(SEED, config, in_shape=(1, 12, 12), steps=6, layers=[
        RandomConv(channels=20, planes=8), RandomConv(channels=40, eta=eta, pool=True),
        RandomConv(channels=32, eta=eta)])
    compare(config, program, random_images(SEED, (1, 12, 12), IMAGES), rtl_build_dir, tmp_path, differences)
