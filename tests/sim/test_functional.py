"""The golden model against loops over taps and neurons, written from the text of `hw/spec/semantics.py` alone."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from s2nn.hw.sim import functional
from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.spec.config import TINY, ULX3S, AcceleratorConfig
from s2nn.hw.spec.errors import DataError
from tests.layer_types import LAYER_TYPES


def tap_weight(layer, o, c, ky, kx):
    """Integer weight of one tap from the stored symbols."""
    channels, columns = layer.in_shape[0], layer.kernel[1]
    if layer.grouping == "inputs":
        group, bit = divmod(c if layer.shared_taps else (ky * columns + kx) * channels + c, 9)
    else:
        group, bit = (ky // 3 * -(-columns // 3) + kx // 3) * channels + c, 3 * (ky % 3) + kx % 3
    weight = 0
    for plane in range(layer.weights.num_planes):
        symbol = int(layer.weights.symbols[plane, o, group])
        raw = symbol if layer.weights.codebook is None else int(layer.weights.codebook[symbol])
        weight = 2 * weight + (0 if raw == 512 else 1 if raw >> bit & 1 else -1)
    return weight


def reference_accumulator(layer, activation, o, y, x):
    """Sum over all taps; activation (C, H, W) of any integers."""
    total = 0
    for c in range(layer.in_shape[0]):
        for ky in range(layer.kernel[0]):
            for kx in range(layer.kernel[1]):
                row, col = y * layer.stride - layer.pad + ky, x * layer.stride - layer.pad + kx
                if 0 <= row < layer.in_shape[1] and 0 <= col < layer.in_shape[2]:
                    total += tap_weight(layer, o, c, ky, kx) * int(activation[c, row, col])
    return total


def reference_layer(program, layer, maps, residual, kept):
    """What the layer passes on (T, C, H, W) and the number of spikes fired before pooling, or logits.

    maps : T inputs (C, H, W); residual : (T, C, H, W) or None. kept : by layer what it keeps, which is added to.
    """
    top = 1 << max(program.current_bits - 1, 0)
    own = np.zeros((program.steps, *layer.conv_shape), dtype=int)
    channels, height, width = layer.conv_shape
    spikes = np.zeros((program.steps, channels, height, width), dtype=bool)
    logits = [0] * channels
    for o in range(channels):
        sign = -1 if layer.negate[o] else 1
        bias, theta = (int(values[o]) << layer.param_shift for values in (layer.bias, layer.threshold))
        for y in range(height):
            for x in range(width):
                v = 0
                for t in range(program.steps):
                    a = reference_accumulator(layer, maps[t], o, y, x)
                    if layer.kind == "classify":
                        logits[o] += sign * a + bias
                        continue
                    c = sign * a * (1 if layer.image_input else 2**program.fraction_bits) + bias
                    if layer.residual_op == "current":
                        c += int(kept[layer.residual][t, o, y, x]) * int(layer.gain[o]) // 2**layer.gain_shift
                    if layer.keep_shift is not None:
                        unit = 2 ** int(layer.keep_shift[o])
                        own[t, o, y, x] = max(-top, min(top - 1, (2 * c + unit) // (2 * unit)))
                    u = v * layer.leak // 2**program.leak_bits + c
                    spikes[t, o, y, x] = u >= theta
                    v = (u - theta if layer.soft_reset else 0) if u >= theta else u
    if layer.kind == "classify":
        return logits, 0
    if layer.keep_shift is not None:
        kept[layer.name] = own
    fired = int(spikes.sum())
    if layer.pool:
        members = [spikes[:, :, i::2, j::2].astype(int) for i in (0, 1) for j in (0, 1)]
        spikes = sum(members) if layer.pool_op == "sum" else np.maximum.reduce(members)
    if layer.residual_op == "add":
        spikes = np.array(residual, dtype=int) + spikes
    if layer.residual_op == "iand":
        spikes = (np.array(residual) == 1) & (spikes == 0)
    return spikes, fired


@dataclass(frozen=True, kw_only=True)
class Case:
    """One random program."""

    name: str
    layers: list[RandomConv]
    in_shape: tuple[int, int, int] = (1, 5, 5)
    config: AcceleratorConfig = TINY
    steps: int = 4
    classes: int = 3
    classifier_planes: int = 2
    seed: int = field(default=7)


CASES = [
    Case(name="sub-bit", layers=[RandomConv(channels=3, planes=3), RandomConv(channels=4, eta=4)]),
    Case(name="1-bit", layers=[RandomConv(channels=3, planes=8), RandomConv(channels=4)]),
    Case(name="eta 2 and 6", layers=[RandomConv(channels=3), RandomConv(channels=3, eta=2),
                                     RandomConv(channels=2, eta=6)], config=ULX3S),
    Case(name="T = 6", layers=[RandomConv(channels=3), RandomConv(channels=3, eta=3)], steps=6),
    Case(name="T = 1", layers=[RandomConv(channels=3), RandomConv(channels=3, eta=3)], steps=1),
    Case(name="odd map pooled", layers=[RandomConv(channels=3, pool=True), RandomConv(channels=2, eta=4)],
         in_shape=(2, 7, 5)),
    Case(name="stride 2", layers=[RandomConv(channels=3, stride=2), RandomConv(channels=3, eta=4, stride=2)],
         in_shape=(1, 6, 7)),
    Case(name="stride 2, pooled, no pad", layers=[RandomConv(channels=3, stride=2, pad=0, pool=True)],
         in_shape=(1, 9, 10)),
    Case(name="soft reset", layers=[RandomConv(channels=3, soft_reset=True, firing=0.5),
                                    RandomConv(channels=4, eta=4, soft_reset=True, firing=0.4)], steps=5),
    Case(name="full leak and none", layers=[RandomConv(channels=3, leak=0), RandomConv(channels=3, eta=4, leak=256)]),
    Case(name="6x6 taps of four groups", layers=[RandomConv(channels=2, kernel=(6, 6), pad=2),
                                                 RandomConv(channels=2, kernel=(3, 6), pad=3)]),
    Case(name="7x7 classifier of 3x3 groups", layers=[RandomConv(channels=2)], in_shape=(1, 7, 7), classes=4),
    Case(name="classifier alone", layers=[], in_shape=(2, 4, 4), classifier_planes=8),
    Case(name="multi-plane spike layer", layers=[RandomConv(channels=2), RandomConv(channels=3, planes=4)]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_model_equals_loops(case):
    program = random_program(case.seed, case.config, in_shape=case.in_shape, layers=case.layers, classes=case.classes,
                             steps=case.steps, classifier_planes=case.classifier_planes)
    compare_with_loops(program, random_images(case.seed + 1, case.in_shape, 2))


@pytest.mark.parametrize("name", LAYER_TYPES)
def test_every_layer_type_equals_loops(name):
    compare_with_loops(LAYER_TYPES[name].program(7), LAYER_TYPES[name].inputs(8, 1))


def compare_with_loops(program, inputs):
    result = functional.run(program, inputs)
    assert len(result.layers) == len(program.layers) - 1
    for b, values in enumerate(inputs):
        maps, kept = {"input": values if program.spike_input else [values] * program.steps}, {}
        for index, layer in enumerate(program.layers):
            expected, fired = reference_layer(program, layer, maps[layer.source], maps.get(layer.residual), kept)
            if layer.kind == "classify":
                assert result.logits[b].tolist() == expected
            else:
                got = result.layers[index]
                np.testing.assert_array_equal(got.spikes[b], expected, err_msg=f"{layer.name}, image {b}")
                assert (got.name, got.fired[b].sum()) == (layer.name, fired)
                assert (got.kept is not None) == (layer.name in kept)
                if got.kept is not None:
                    np.testing.assert_array_equal(got.kept[b], kept[layer.name])
                    held = expected | kept[layer.name] % (1 << program.current_bits) << 1
                    np.testing.assert_array_equal(got.stored[b], held)
                maps[layer.name] = list(expected)


def test_lowest_index_wins_between_equal_logits():
    result = functional.FunctionalResult(layers=(), logits=np.array([[1, 3, 3], [2, 2, 2], [-5, -9, -5]]))
    assert result.predictions.tolist() == [1, 0, 0]


def test_a_batch_equals_its_images_one_by_one():
    layers = [RandomConv(channels=4), RandomConv(channels=4, eta=4)]
    program = random_program(3, TINY, in_shape=(1, 6, 6), layers=layers)
    images = random_images(4, program.in_shape, 35)  # more than one internal batch
    whole = functional.run(program, images)
    assert functional.predict(program, images).tolist() == whole.predictions.tolist()
    for b in (0, 31, 32, 34):
        single = functional.run(program, images[b:b + 1])
        assert single.logits[0].tolist() == whole.logits[b].tolist()
        for one, many in zip(single.layers, whole.layers, strict=True):
            np.testing.assert_array_equal(one.spikes[0], many.spikes[b])
            np.testing.assert_array_equal(one.membrane[0], many.membrane[b])
            assert (one.fired[0] == many.fired[b]).all()


@pytest.mark.parametrize("images", [np.zeros((1, 1, 5, 6), np.uint8), np.zeros((1, 5, 5), np.uint8),
                                    np.zeros((0, 1, 5, 5), np.uint8), np.zeros((1, 1, 5, 5), np.int64)],
                         ids=["width", "axes", "empty", "type"])
def test_images_of_another_shape_or_type_are_refused(images):
    program = random_program(0, TINY, in_shape=(1, 5, 5), layers=[RandomConv(channels=2)])
    with pytest.raises(DataError, match=r"inputs must be uint8 of shape \(B, 1, 5, 5\)"):
        functional.run(program, images)


@pytest.mark.parametrize("seed", range(5))
def test_random_programs_are_neither_silent_nor_saturated(seed):
    layers = [RandomConv(channels=8, planes=8), RandomConv(channels=8, eta=4, pool=True),
              RandomConv(channels=8, eta=3, soft_reset=True)]
    program = random_program(seed, ULX3S, in_shape=(1, 12, 12), layers=layers, steps=6)
    result = functional.run(program, random_images(seed + 100, program.in_shape, 4))
    for layer in result.layers:
        assert 0.05 < layer.spikes.mean() < 0.5, f"seed {seed}, {layer.name}"


def test_the_same_seed_makes_the_same_program():
    one, two, other = (random_program(seed, TINY, in_shape=(1, 5, 5), layers=[RandomConv(channels=3)])
                       for seed in (5, 5, 6))
    assert one.layers[0].weights.symbols.tolist() == two.layers[0].weights.symbols.tolist()
    assert one.layers[0].threshold.tolist() == two.layers[0].threshold.tolist()
    assert one.layers[0].weights.symbols.tolist() != other.layers[0].weights.symbols.tolist()
