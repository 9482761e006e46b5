"""Integer semantics against plain Python integers, at every boundary where frameworks disagree."""

import doctest
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from s2nn.hw.spec import semantics
from s2nn.hw.spec.semantics import bipolar_planes, bipolar_weight, leak, lif_step


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
