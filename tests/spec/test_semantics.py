"""Integer semantics against plain Python integers, at every boundary where frameworks disagree."""

import doctest
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from s2nn.hw.spec import semantics
from s2nn.hw.spec.semantics import bipolar_planes, bipolar_weight, kept_current, leak, lif_step, shortcut_current


def test_the_examples_in_the_text_hold():
    result = doctest.testmod(semantics)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("num_planes", range(1, 9))
def test_planes_and_weights_are_inverse(num_planes):
    weights = np.arange(-(2**num_planes - 1), 2**num_planes, 2)
    planes = bipolar_planes(weights, num_planes)
    assert planes.shape == (num_planes, 2**num_planes)
    assert bipolar_weight(planes).tolist() == weights.tolist()
    # Most significant plane first: w = sum 2**k * (2*b_k - 1).
    by_hand = sum(2 ** (num_planes - 1 - p) * (2 * planes[p].astype(int) - 1) for p in range(num_planes))
    assert by_hand.tolist() == weights.tolist()


@pytest.mark.parametrize(("weight", "num_planes"), [(0, 1), (2, 3), (9, 3), (-9, 3), (257, 8)])
def test_what_is_no_weight_is_refused(weight, num_planes):
    with pytest.raises(ValueError, match="must be odd and within"):
        bipolar_planes(np.array([weight]), num_planes)


@pytest.mark.parametrize("leak_bits", [1, 4, 8])
@pytest.mark.parametrize("v", [-1000, -257, -256, -255, -3, -1, 0, 1, 3, 255, 256, 257, 1000])
def test_leak_is_the_floor_also_below_zero(v, leak_bits):
    for factor in (0, 1, 2 ** (leak_bits - 1), 2**leak_bits - 1, 2**leak_bits):
        expected = floor(Fraction(v * factor, 2**leak_bits))
        assert leak(v, factor, leak_bits) == expected
        assert int(leak(np.array([v]), factor, leak_bits)[0]) == expected


# membrane, current, theta, leak of 8 bits, soft reset -> membrane after, spike
STEPS = [
    (0, 9, 10, 256, False, 9, False),
    (0, 10, 10, 256, False, 0, True),  # at the threshold it fires
    (0, 11, 10, 256, False, 0, True),
    (0, 10, 10, 256, True, 0, True),
    (0, 25, 10, 256, True, 15, True),  # the rest stays
    (25, 0, 10, 256, True, 15, True),  # and fires again
    (-7, 0, 10, 128, False, -4, False),  # floor(-3.5)
    (7, 0, 10, 128, False, 3, False),
    (19, 1, 10, 128, False, 0, True),  # the leak comes before the current
    (19, 0, 10, 128, False, 9, False),
    (50, -41, 10, 256, False, 9, False),  # the current before the comparison
    (50, 5, 10, 0, False, 5, False),  # no memory
]


@pytest.mark.parametrize(("v", "current", "theta", "factor", "soft", "after", "spike"), STEPS)
def test_one_step_of_a_neuron(v, current, theta, factor, soft, after, spike):
    membrane, spikes = lif_step(np.array([v]), np.array([current]), theta=np.array([theta]), leak_factor=factor,
                                leak_bits=8, soft_reset=soft)
    assert (int(membrane[0]), bool(spikes[0])) == (after, spike)


# current, shift, bits -> what is kept
KEPT = [
    (0, 1, 4, 0), (1, 1, 4, 1), (-1, 1, 4, 0), (2, 1, 4, 1), (-2, 1, 4, -1), (3, 1, 4, 2), (-3, 1, 4, -1),  # ties go up
    (7, 4, 8, 0), (8, 4, 8, 1), (-8, 4, 8, 0), (-9, 4, 8, -1), (23, 4, 8, 1), (24, 4, 8, 2),
    (14, 1, 4, 7), (15, 1, 4, 7), (1000, 1, 4, 7),  # 7.5 would round to 8, which does not fit
    (-16, 1, 4, -8), (-17, 1, 4, -8), (-18, 1, 4, -8), (-15, 1, 4, -7),
    (127 << 16, 16, 8, 127), ((1 << 23) - 1, 16, 8, 127), (-1 << 23, 16, 8, -128),
]


@pytest.mark.parametrize(("current", "shift", "bits", "expected"), KEPT)
def test_a_kept_current_is_rounded_and_clamped(current, shift, bits, expected):
    assert kept_current(np.array([current]), shift, bits).tolist() == [expected]
    assert kept_current(np.array([current]), np.array([shift]), bits).tolist() == [expected]
    exact = floor(Fraction(current, 2**shift) + Fraction(1, 2))
    assert expected == min(max(exact, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1)


# kept, gain, shift -> what is added
SHORTCUTS = [(0, 65535, 0, 0), (127, 65535, 0, 127 * 65535), (-128, 65535, 0, -128 * 65535), (5, 0, 4, 0),
             (-1, 1, 4, -1), (-1, 16, 4, -1), (-1, 17, 4, -2), (1, 15, 4, 0), (1, 16, 4, 1), (-128, 1, 12, -1),
             (-128, 65535, 12, -2048)]


@pytest.mark.parametrize(("kept", "gain", "shift", "expected"), SHORTCUTS)
def test_a_shortcut_adds_the_floor(kept, gain, shift, expected):
    assert shortcut_current(np.array([kept]), np.array([gain]), shift).tolist() == [expected]
    assert expected == floor(Fraction(kept * gain, 2**shift))
