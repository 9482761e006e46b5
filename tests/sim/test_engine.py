"""The cycle engine's books on every layer type; tests/tb/test_engine_equals_rtl.py holds its cycles against the RTL."""


import numpy as np
import pytest

from s2nn.hw.sim import functional, memory_map
from s2nn.hw.sim.activity import expected_activity
from s2nn.hw.sim.axi import AxiStalls
from s2nn.hw.sim.engine import EngineSession
from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import TINY
from s2nn.hw.spec.errors import DataError, SimulationError
from s2nn.hw.spec.registers import COUNTERS, Cause
from tests.layer_types import LAYER_TYPES

SEED = 11
NAMES = sorted(LAYER_TYPES)


def case(name, count=2):
    """Configuration, program, image, inputs of a layer type."""
    of_type = LAYER_TYPES[name]
    program = of_type.program(SEED)
    return of_type.config, program, build_image(of_type.config, program), of_type.inputs(SEED, count)


def small(*, in_shape=(1, 6, 6), config=TINY):
    """The same of a net of two spiking layers."""
    program = random_program(SEED, config, in_shape=in_shape, classes=4, classifier_planes=2,
                             layers=[RandomConv(channels=8, planes=2), RandomConv(channels=8, eta=4, pool=True)])
    return config, program, build_image(config, program)


@pytest.mark.parametrize("name", NAMES)
def test_work_and_traffic_of_each_layer_are_those_expected_from_the_spikes(name):
    config, program, image, inputs = case(name)
    result = functional.run(program, inputs)
    addresses = memory_map.place(config, image)
    expected = expected_activity(config, program, image, inputs, result, addresses=addresses)
    runs = EngineSession(config, program, image).run(inputs, result=result)
    for run, activity in zip(runs, expected, strict=True):
        assert [layer for layer, _ in run.layers] == [step for step, _ in activity.steps]
        for (layer, counters), (_, wanted) in zip(run.layers, activity.steps, strict=True):
            assert {key: counters[key] for key in wanted} == wanted, f"seed {SEED}, {layer}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stall_probability", [0.0, 0.3])
def test_skipping_changes_nothing(name, stall_probability):
    config, program, image, inputs = case(name)

    def books(skips):
        stalls = AxiStalls(probability=stall_probability, seed=SEED)
        runs = EngineSession(config, program, image, stalls=stalls, skips=skips).run(inputs)
        return [(run.layers, run.axi, run.dram) for run in runs], sum(run.skipped for run in runs)

    one_by_one, none = books(skips=False)
    skipping, skipped = books(skips=True)
    assert none == 0 < skipped
    assert skipping == one_by_one, f"seed {SEED}"


@pytest.mark.parametrize("name", NAMES)
def test_the_causes_of_each_layer_add_up(name):
    for run in EngineSession(*case(name)[:3]).run(case(name)[3]):
        assert tuple(run.counters) == COUNTERS
        for counters in (run.counters, *(of_layer for _, of_layer in run.layers)):
            assert sum(counters[f"cycles.{cause.name.lower()}"] for cause in Cause) == counters["cycles.total"]


def test_bus_traffic_equals_the_counters():
    config, program, image, inputs = case("residual chain")
    for run in EngineSession(config, program, image).run(inputs):
        for unit in ("bytes", "bursts"):
            reads = [value for key, value in run.counters.items() if key.endswith(f"_read_{unit}")]
            assert sum(reads) == run.axi[f"read_{unit}"]
            assert run.counters[f"dram.logits_write_{unit}"] == run.axi[f"write_{unit}"]


def test_a_session_goes_on_where_it_was():
    config, program, image = small()
    images = random_images(SEED, (1, 6, 6), 4)
    together = EngineSession(config, program, image).run(images)
    session = EngineSession(config, program, image)
    apart = session.run(images[:1]) + session.run(images[1:])
    assert [(run.layers, run.dram) for run in apart] == [(run.layers, run.dram) for run in together]
    times = [run.dram[when]["cycles"] for run in together for when in ("before", "after")]
    assert times == sorted(set(times))


def test_a_slow_memory_costs_cycles_and_no_work():
    config, program, image = small()
    images = random_images(SEED, (1, 6, 6), 1)
    fast, slow, stalled = (EngineSession(config, program, image, **options).run(images)[0].counters for options in (
        {"dram": None}, {}, {"stalls": AxiStalls(probability=0.5, seed=SEED)}))
    assert fast["cycles.total"] < slow["cycles.total"] < stalled["cycles.total"]
    work = [name for name in COUNTERS if not name.startswith("cycles.")]
    assert {name: fast[name] for name in work} == {name: slow[name] for name in work} == {
        name: stalled[name] for name in work}


def test_silence_costs_a_cycle_a_block():
    config, program, image = small()
    run, = EngineSession(config, program, image).run(np.zeros((1, 1, 6, 6), dtype=np.uint8))
    counters = dict(run.layers)["conv0"]
    assert counters["cycles.compute"] == counters["array.active_windows"] == 0
    assert counters["cycles.silent"] == counters["array.silent_blocks"] > 0


def test_a_run_beyond_the_limit_is_refused():
    config, program, image = small()
    session = EngineSession(config, program, image, timeout_cycles=100)
    with pytest.raises(SimulationError, match="input 0: a run must end within 100 cycles"):
        session.run(random_images(SEED, (1, 6, 6), 1))


def test_a_result_of_other_inputs_is_refused():
    config, program, image = small()
    images = random_images(SEED, (1, 6, 6), 3)
    with pytest.raises(SimulationError, match="must be the result of 3 images, not 2"):
        EngineSession(config, program, image).run(images, result=functional.run(program, images[:2]))


def test_inputs_of_another_shape_are_refused():
    config, program, image = small()
    with pytest.raises(DataError, match="inputs must be uint8 of shape"):
        EngineSession(config, program, image).run(random_images(SEED, (1, 5, 6), 1))
