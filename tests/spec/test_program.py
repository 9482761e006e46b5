"""Programs: what is refused before anything is packed, and bounds that hold for every input."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from s2nn.hw.sim import functional
from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.spec.build import LayerNames, build_image, descriptors, recover_program
from s2nn.hw.spec.config import SMALL, TINY, ULX3S, ceil_div
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.maps import place_maps
from s2nn.hw.spec.program import Program, ResidualOp
from s2nn.hw.spec.weights import Weights
from tests.layer_types import LAYER_TYPES


def program_of(config=TINY, layers=None, **options):
    options = {"in_shape": (1, 6, 6), "classes": 3, "classifier_planes": 2} | options
    layers = layers or [RandomConv(channels=6), RandomConv(channels=5, eta=4)]
    return random_program(1, config, layers=layers, **options)


def changed(program: Program, index: int, **fields) -> Program:
    layers = list(program.layers)
    layers[index] = replace(layers[index], **fields)
    return replace(program, layers=tuple(layers))


INCONSISTENT = {
    "shapes do not follow": ({"in_shape": (6, 5, 6)}, "in_shape must be"),
    "channels do not match": ({"out_shape": (7, 6, 6)}, "weights: must have the symbols of 7 channels x 6 groups"),
    "a second image layer": ({"image_input": True}, "image_input must be set for layers that read the image"),
    "a classifier in between": ({"kind": "classify"}, "the last layer, and no other, must be the classifier"),
    "threshold 0": ({"threshold": np.array([0, 1, 1, 1, 1])}, r"threshold must be 5 mantissas in 1\.\.32766"),
    "threshold too large": ({"threshold": np.array([1, 1, 1, 1, 32767])}, r"threshold must be 5 mantissas"),
    "bias too small": ({"bias": np.array([0, 0, 0, 0, -32769])}, r"bias must be 5 mantissas in -32768\.\.32767"),
    "too few biases": ({"bias": np.zeros(4, dtype=np.int64)}, "bias must be 5 mantissas"),
    "too few signs": ({"negate": np.zeros(4, dtype=bool)}, "negate must have 5 flags"),
    "positions beyond the map": ({"out_shape": (5, 9, 6)}, "output positions must lie on the padded input"),
}


@pytest.mark.parametrize("name", INCONSISTENT)
def test_an_inconsistent_program_is_refused(name):
    fields, text = INCONSISTENT[name]
    with pytest.raises(LoweringError, match=text):
        changed(program_of(), 1, **fields)


ONES = np.ones(8, dtype=np.int64)
SHORTCUT = "membrane shortcuts, one kept and added"
#: Fields of conv2, which adds the current of conv0 and keeps its own.
BAD_SHORTCUTS = {
    "no gain": ({"gain": None}, "gain: must be given with a residual CURRENT"),
    "a gain alone": ({"residual": None, "residual_op": None}, "gain: must be given with a residual CURRENT"),
    "a map that keeps nothing": ({"residual": "conv1"}, "residual must have the output's shape"),
    "spikes of a map that keeps currents": ({"residual_op": ResidualOp.ADD, "gain": None, "keep_shift": None},
                                            "residual must keep its currents for CURRENT, and for no other operation"),
    "gain too large": ({"gain": ONES * 65536}, r"gain must be 8 mantissas in 0\.\.65535"),
    "gain below 0": ({"gain": -ONES}, r"gain must be 8 mantissas in 0\.\.65535"),
    "gain shift": ({"gain_shift": 5}, "gain_shift: must be one of 0, 4, 8, 12, not 5"),
    "keep shift 0": ({"keep_shift": 0 * ONES}, r"keep_shift must be 8 mantissas in 1\.\.16"),
    "keep shift 17": ({"keep_shift": 17 * ONES}, r"keep_shift must be 8 mantissas in 1\.\.16"),
    "a pool": ({"pool": True}, "must join a spiking layer without a pool"),
}


@pytest.mark.parametrize("name", BAD_SHORTCUTS)
def test_an_inconsistent_shortcut_is_refused(name):
    fields, text = BAD_SHORTCUTS[name]
    with pytest.raises(LoweringError, match=text):
        changed(LAYER_TYPES[SHORTCUT].program(1), 2, **fields)


def test_a_kept_current_needs_its_bits():
    with pytest.raises(LoweringError, match="current_bits must be given where currents are kept, not 0"):
        replace(LAYER_TYPES[SHORTCUT].program(1), current_bits=0)


@pytest.mark.parametrize("bits", [0, 5, 7])
def test_a_configuration_with_other_shortcuts_is_refused(bits):
    case = LAYER_TYPES[SHORTCUT]
    with pytest.raises(LoweringError, match=f"built for membrane shortcuts of the program's 6 bits, not {bits}"):
        build_image(replace(case.config, current_bits=bits), case.program(1))


def test_the_bound_of_a_membrane_counts_the_shortcut():
    case = LAYER_TYPES["membrane shortcut"]
    program = case.program(1)
    plain = replace(program.layers[2], residual=None, residual_op=None, gain=None, leak=0)
    joined = replace(program.layers[2], gain=np.array([1, 2, 3, 40, 5, 6]), gain_shift=4, leak=0)
    assert program.membrane_limit(joined) - program.membrane_limit(plain) == 32 * 40 // 16


@pytest.mark.parametrize(("bias", "gain", "expected"), [
    ([900, 0, 0, 0, 0, 0], [0, 0, 0, 800, 0, 0], 1600),  # of different channels: not their sum
    ([-900, 0, 0, 0, 0, 0], [800, 0, 0, 0, 0, 0], 2500),
    ([0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], 2),
    ([0, 0, 0, 0, 0, 0], [0, 0, 9, 0, 0, 0], 18),
])
def test_the_bound_of_a_membrane_is_that_of_one_channel(bias, gain, expected):
    program = LAYER_TYPES["membrane shortcut"].program(1)
    layer = replace(program.layers[2], leak=0, param_shift=0, bias=np.array(bias), gain=np.array(gain), gain_shift=4)
    silent = replace(layer, bias=np.zeros(6, dtype=np.int64), gain=np.zeros(6, dtype=np.int64))
    assert program.current_bits == 6  # a kept current is at least -32
    assert program.membrane_limit(layer) - program.membrane_limit(silent) == expected


@pytest.mark.parametrize("name", [name for name, case in LAYER_TYPES.items() if case.config.current_bits])
def test_a_program_with_shortcuts_comes_back_from_its_image(name):
    case = LAYER_TYPES[name]
    program = case.program(2)
    image = build_image(case.config, program)
    names = [LayerNames(name=la.name, source=la.source, residual=la.residual, c_out=la.out_shape[0])
             for la in program.layers]
    back = recover_program(case.config, image, name=program.name, in_shape=program.in_shape, layers=names,
                           spike_input=program.spike_input, logit_scale=1.0)
    assert build_image(case.config, back) == image
    assert back.current_bits == 6


def test_a_classifier_that_leaks_is_refused():
    with pytest.raises(LoweringError, match="must not leak: leak must be 256, not 255"):
        changed(program_of(), 2, leak=255)


@pytest.mark.parametrize(("symbols", "codebook"), [
    (np.full((1, 1, 1), 512, np.uint16), None),
    (np.full((1, 1, 1), 4, np.uint16), np.zeros(4, np.uint16)),
    (np.zeros((1, 1), np.uint16), None),
    (np.zeros((1, 1, 1), np.uint16), np.zeros(12, np.uint16)),
    (np.zeros((1, 1, 1), np.uint16), np.full(4, 513, np.uint16)),
])
def test_weights_that_are_none_are_refused(symbols, codebook):
    with pytest.raises(LoweringError, match="must"):
        Weights(symbols=symbols, codebook=codebook)


# What the configuration can hold, just so and just not: name -> (config, fits, does not fit, text).
def with_channels(count):
    return lambda config: program_of(config, [RandomConv(channels=count), RandomConv(channels=4)])


def with_steps(steps):
    return lambda config: program_of(config, steps=steps)


def with_field(index, **fields):
    return lambda config: changed(program_of(config), index, **fields)


LIMITS = {
    # A tile of raw groups: c_in * 9 slices in 9 * weight_rows.
    "weight buffer": (replace(TINY, weight_rows=32), with_channels(32), with_channels(33), "fit the weight buffer"),
    # A band of three rows of the second layer takes 1 bank row x 2 columns x 1 block x 2 chunks; its input rows take
    # 2 bank rows x 2 columns x 2 chunks for each block of four channels.
    "spike buffer": (replace(TINY, spike_words=32), with_channels(12), with_channels(13), "must fit spike_words = 32"),
    "chunks": (TINY, with_steps(8), with_steps(9), "must fit 4 chunks of 2"),
    "classes": (TINY, lambda config: program_of(config, classes=4), lambda config: program_of(config, classes=5),
                "must fit one tile of 4 lanes"),
    "input channels": (TINY, lambda config: program_of(config, in_shape=(4, 3, 3)),
                       lambda config: program_of(config, in_shape=(5, 3, 3)), "at most 4 channels"),
    "index bits": (TINY, lambda config: program_of(config, [RandomConv(channels=4), RandomConv(channels=4, eta=4)]),
                   lambda config: program_of(config, [RandomConv(channels=4), RandomConv(channels=4, eta=5)]),
                   "index_bits: must not exceed the configuration's 4"),
    "codebook in a binary design": (TINY.as_binary(), with_channels(4), program_of, "takes raw groups only"),
    "leak": (TINY, with_field(1, leak=256), with_field(1, leak=257), r"leak: must lie in 0\.\.256"),
    "stride": (TINY, lambda config: program_of(config, [RandomConv(channels=4, stride=2)]),
               lambda config: program_of(config, [RandomConv(channels=4, stride=3)]), "stride: must be 1 or 2"),
    "pad": (TINY, with_field(1, pad=3), with_field(1, pad=4), r"pad: must lie in 0\.\.3"),
    # 6 channels of 9 taps are 54, in 8 planes 54 * 255 = 13770: 14 bits.
    "accumulator": (replace(TINY, accumulator_bits=14),
                    lambda config: program_of(config, [RandomConv(channels=6), RandomConv(channels=4, planes=8)]),
                    lambda config: program_of(config, [RandomConv(channels=8), RandomConv(channels=4, planes=8)]),
                    "accumulator: must fit 14 bits"),
    # One step: 6 * 9 << 4 = 864 and a bias of 3231 make 4095; one more needs another bit.
    "membrane": (replace(TINY, accumulator_bits=12, membrane_bits=13),
                 lambda config: membrane_case(config, bias=3231), lambda config: membrane_case(config, bias=3232),
                 "membrane: must fit 13 signed bits"),
    "threshold": (replace(TINY, accumulator_bits=12, membrane_bits=13),
                  lambda config: membrane_case(config, threshold=4095),
                  lambda config: membrane_case(config, threshold=4096), "param_shift: threshold and bias must fit 13"),
}


def membrane_case(config, *, bias=0, threshold=1):
    program = program_of(config, [RandomConv(channels=6), RandomConv(channels=4)], steps=1, in_shape=(1, 3, 3),
                         classifier_planes=1)
    program = changed(program, 0, bias=np.zeros(6, int), threshold=np.ones(6, int), param_shift=0)
    return changed(program, 1, bias=np.full(4, bias), threshold=np.full(4, threshold), param_shift=0)


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_of_a_configuration_on_both_sides(name):
    config, fits, exceeds, text = LIMITS[name]
    build_image(config, fits(config))
    with pytest.raises(LoweringError, match=text):
        build_image(config, exceeds(config))


def test_integers_of_another_configuration_are_refused():
    with pytest.raises(LoweringError, match=r"leak_bits and fraction_bits must be \(4, 4\)"):
        build_image(SMALL, program_of())


@pytest.mark.parametrize("config", [TINY, ULX3S], ids=lambda config: config.name)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (2, 7, 5), (3, 9, 9)])
def test_maps_take_each_word_once_and_leave_their_neighbour_alone(config, shape):
    program = program_of(config, [RandomConv(channels=6), RandomConv(channels=5), RandomConv(channels=3)],
                         in_shape=shape, steps=3)
    taken = []
    for place in place_maps(config, program).values():
        words = set()
        for y, x, chunk, block in np.ndindex(*place.shape[1:], place.chunks, place.blocks):
            word = place.base + y // 3 * place.row_stride + x // 3 * place.col_stride + chunk * place.blocks + block
            assert 0 <= word < config.spike_words
            assert (y % 3, x % 3, word) not in words
            words.add((y % 3, x % 3, word))
        taken.append(words)
    for before, after in pairwise(taken):
        assert not before & after


def test_descriptors_say_what_the_program_is():
    program = program_of(steps=5)
    load, first, second, last = descriptors(build_image(TINY, program))
    assert (load["in_channels"], load["tile_beats"], load["out_chunks"]) == (1, ceil_div(36, 4), 4)
    assert (first["image_input"], first["in_chunks"], first["out_chunks"]) == (1, 4, 3)
    assert (second["codebook"], second["symbol_bits"], second["codebook_beats"], second["tiles"]) == (1, 4, 8, 2)
    # Six channels in blocks of four: a full block takes 16 slices (one row and seven), the last one 8.
    assert (second["in_blocks"], second["block_rows"], second["block_phase"]) == (2, 1, 7)
    assert (second["last_block_rows"], second["last_block_phase"]) == (0, 8)
    assert [step["last"] for step in (load, first, second, last)] == [0, 0, 0, 1]


@pytest.mark.parametrize("soft_reset", [False, True])
@pytest.mark.parametrize("leak", [0, 100, 256])
def test_no_membrane_leaves_its_bound(leak, soft_reset):
    layers = [RandomConv(channels=4, planes=2, leak=leak, soft_reset=soft_reset),
              RandomConv(channels=6, eta=3, leak=leak, soft_reset=soft_reset, firing=0.5)]
    program = program_of(TINY, layers, steps=6)
    images = np.concatenate([random_images(seed, program.in_shape, 4, density=1.0) for seed in range(3)]
                            + [np.full((1, 1, 6, 6), 255, np.uint8)])
    result = functional.run(program, images)
    for layer, done in zip(program.layers, result.layers, strict=False):
        assert np.abs(done.membrane).max() <= program.membrane_limit(layer)
    assert np.abs(result.logits).max() <= program.membrane_limit(program.layers[-1])


def test_the_bound_is_reached():
    # All weights +1, all pixels 255: 9 taps in the middle, no leak, no spike in four steps.
    program = program_of(TINY, [RandomConv(channels=2, leak=256)], steps=4)
    program = changed(program, 0, weights=Weights(symbols=np.full((1, 2, 1), 511, np.uint16)), param_shift=0,
                      bias=np.full(2, 7), threshold=np.full(2, 32766), negate=np.zeros(2, bool))
    done = functional.run(program, np.full((1, 1, 6, 6), 255, np.uint8)).layers[0]
    assert not done.fired.any()
    assert done.membrane.max() == program.membrane_limit(program.layers[0]) == 4 * (9 * 255 + 7)
