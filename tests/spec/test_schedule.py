"""Steps of a run: each row of each map is made and loaded as it must be, and nothing overlaps in the spike buffer."""

from dataclasses import replace
from itertools import combinations

import pytest

from s2nn.hw.sim.random_program import RandomConv, random_program
from s2nn.hw.spec.build import build_image, descriptors, layer_runs
from s2nn.hw.spec.config import TINY, ceil_div
from s2nn.hw.spec.descriptor import Opcode
from s2nn.hw.spec.errors import ConfigError, LoweringError
from s2nn.hw.spec.program import INPUT, ResidualOp
from s2nn.hw.spec.schedule import Schedule, plan_run

NARROW = replace(TINY, spike_words=128, membrane_words=1024)
LAYERS = [RandomConv(channels=8, planes=2), RandomConv(channels=8, eta=4, residual="conv0", residual_op=ResidualOp.ADD),
          RandomConv(channels=8, eta=4, kernel=(5, 5), pad=2, pool=True), RandomConv(channels=4, eta=4, stride=2)]


def program(config, height, width=6, steps=4):
    return random_program(2, config, in_shape=(1, height, width), layers=LAYERS, classes=4, classifier_planes=1,
                          steps=steps)


def test_what_fits_is_one_step_a_layer():
    small = program(TINY, 8)
    steps = plan_run(TINY, small).steps
    assert [step.opcode for step in steps] == [Opcode.LOAD_INPUT, *[Opcode.CONV] * 4, Opcode.CLASSIFY]
    assert not plan_run(TINY, small).scratch


@pytest.mark.parametrize("maps", ["auto", "spilled"])
@pytest.mark.parametrize("height", [9, 24, 25, 37])
def test_bands_cover_each_output_once_and_find_their_rows(height, maps):
    tall = program(NARROW, height)
    plan = plan_run(NARROW, tall, Schedule(maps=maps))
    stored: dict[str, list[int]] = {}
    made: dict[str, list[int]] = {}
    loaded: dict[tuple[str, int], range] = {}  # by map and place
    for step in plan.steps:
        layer = tall.layers[step.layer]
        if step.opcode in (Opcode.LOAD_INPUT, Opcode.LOAD_MAP):
            assert step.opcode == Opcode.LOAD_INPUT or set(step.rows) <= set(stored[step.map])
            loaded[step.map, step.target.base] = step.rows
        elif step.opcode == Opcode.STORE_MAP:
            assert len(step.rows) == len(made[step.map][-len(step.rows):]) and step.rows[-1] == made[step.map][-1]
            stored.setdefault(step.map, []).extend(step.rows)
        else:
            made.setdefault(layer.name, []).extend(step.rows)
            side = 2 if layer.pool else 1
            first = side * step.rows.start * layer.stride - layer.pad
            last = (side * step.rows.stop - 1) * layer.stride - layer.pad + layer.kernel[0] - 1
            is_loaded = layer.source in (*plan.scratch, INPUT)
            available = loaded[layer.source, step.source.base] if is_loaded else range(layer.in_shape[1])
            needed = [row for row in range(first, last + 1) if 0 <= row < layer.in_shape[1]]
            assert set(needed) <= set(available)
            if layer.residual in plan.scratch:
                assert loaded[layer.residual, step.residual.base] == step.rows
            placed = {part for part in (step.source, step.target, step.residual) if part is not None}
            assert all(part.end <= NARROW.spike_words for part in placed)
            for one, other in combinations(placed, 2):
                is_one_map = layer.source == layer.residual and layer.source not in plan.scratch
                assert is_one_map or one.end <= other.base or other.end <= one.base
    for layer in tall.layers:
        assert made[layer.name] == list(range(layer.out_shape[1]))
    for name in plan.scratch:
        assert stored[name] == made[name]
    assert bool(plan.scratch) == (maps == "spilled" or height > 9)


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_each_chunk_is_a_step_of_its_own(steps):
    config = replace(NARROW, spike_words=512)
    short = program(config, 8, steps=steps)
    fields = descriptors(build_image(config, short, Schedule(per_step=True)))
    chunks = ceil_div(steps, config.time_lanes)
    runs = [(run, step) for run, step in zip(layer_runs(fields), fields, strict=True) if run is not None]
    for number in range(len(short.layers)):
        of_layer = [(run.chunk, step) for run, step in runs if run.layer == number]
        assert [chunk for chunk, _ in of_layer] == (list(range(chunks)) if chunks > 1 else [None])
        assert sum(step["steps"] for _, step in of_layer) == steps
        assert [step["load_membranes"] for _, step in of_layer] == [0] + [1] * (chunks - 1)
        assert [step["store_membranes"] for _, step in of_layer] == [1] * (chunks - 1) + [0]
    assert not any(step["resident"] for step in fields if chunks > 1)


def test_membranes_must_fit_their_buffer():
    # The first layer has two tiles of 8x6 positions.
    fits, short = (replace(NARROW, membrane_words=words) for words in (128, 64))
    plan_run(fits, program(fits, 8), Schedule(per_step=True))
    with pytest.raises(LoweringError, match="must fit membrane_words = 64 under per_step, not 96"):
        plan_run(short, program(short, 8), Schedule(per_step=True))


def test_an_unknown_policy_is_refused():
    with pytest.raises(ConfigError, match="maps: must be 'auto' or 'spilled', not 'chip'"):
        Schedule(maps="chip")  # type: ignore[arg-type]


def test_a_band_is_one_transfer():
    """A map of 96 KiB is more than 65,535 beats of a byte-wide word: rows are loaded and stored in parts."""
    roomy = replace(TINY, spike_words=1 << 15, weight_rows=1024, max_chunks=63)
    wide = random_program(2, roomy, in_shape=(1, 40, 40), steps=100, classes=4, classifier_planes=1,
                          layers=[RandomConv(channels=4, planes=1), RandomConv(channels=4, eta=4, pool=True),
                                  RandomConv(channels=4, eta=4, pool=True)])
    fields = descriptors(build_image(roomy, wide, Schedule(maps="spilled")))
    moved = [step["tile_beats"] for step in fields if step["opcode"] in (Opcode.LOAD_MAP, Opcode.STORE_MAP)]
    assert max(moved) <= 65535
    assert sum(step["tile_beats"] for step in fields if step["opcode"] == Opcode.STORE_MAP and step["layer"] == 0) \
        == 40 * 40 * 50 > 65535
