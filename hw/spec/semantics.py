"""The integer arithmetic of the engine: golden model, lowering, torch forward and RTL all follow these functions.

A group's weights are bits: 1 means +1, 0 means -1. An n-bit weight is n such planes, most significant first, so it
is an odd integer (no zero): with bits b_k in {-1, +1}, w = sum_k 2**k * b_k, |w| <= 2**n - 1. A codebook may hold one
codeword of nine zeros instead, for pruned groups.

An activation is 0 or 1, or an unsigned integer given as bit planes: a pixel, or a sum of spikes.

One time step of a neuron of channel o, with accumulator a = sum over taps of weight*activation (an exact integer):

    c  = sign_o * a * 2**F + bias_o        spike input, F = fraction_bits;
    c  = sign_o * a + bias_o               image input and classifier (no fraction)
    u  = floor(v * leak / 2**L) + c        L = leak_bits; floor, also for negative v
    s  = 1 if u >= theta_o else 0
    v' = 0 if s else u                     hard reset
    v' = u - theta_o if s else u           soft reset

What a layer passes on at a step is s; or the maximum or the sum of four s that lie 2x2; or with a residual map x: x + s
(ADD), or x and not s (IAND).

A membrane shortcut (MS-ResNet, arXiv 2112.08954) adds the current of an earlier layer. That layer keeps its c of each
step as an integer y of B bits beside its spikes, and the later one adds it:

    y  = clamp(floor((c + 2**(k_o - 1)) / 2**k_o))   to -2**(B-1) .. 2**(B-1) - 1; k_o its keep shift, B = current_bits
    c  = sign_o * a * 2**F + bias_o + floor(y * gain_o / 2**G)    G = gain_shift of the later layer, gain_o unsigned

A layer that does both keeps the c with the shortcut in it.

v is 0 before the first step. bias_o and theta_o are mantissas of 16 and 15 bits, shifted left by the
layer's param_shift.
Nothing but y saturates, nothing wraps: lowering proves that no value leaves its width, and refuses the net otherwise.
This is S2NN eq. 1-3 (arXiv 2509.24266) with the scale of each channel divided out, so that no multiplier is needed.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Int = TypeVar("Int", int, IntArray)


def bipolar_weight(planes: NDArray[np.bool_] | NDArray[np.uint8], *,
                   zero: NDArray[np.bool_] | bool = False) -> IntArray:
    """Integer weights from bit planes: planes (n, ...), most significant first -> (...) integers.

    zero : where a plane's weight is 0 instead of +1 or -1, of a shape that broadcasts to that of the planes.

    >>> bipolar_weight(np.array([[1], [0]], dtype=np.uint8)).tolist()   # +2 - 1
    [1]
    >>> bipolar_weight(np.array([[1, 0]], dtype=np.uint8), zero=np.array([[False, True]])).tolist()
    [1, 0]
    """
    signs = np.where(zero, 0, 2 * planes.astype(np.int64) - 1)
    weights = np.zeros(planes.shape[1:], dtype=np.int64)
    for plane in signs:
        weights = 2 * weights + plane
    return weights


def bipolar_planes(weights: IntArray, num_planes: int) -> NDArray[np.uint8]:
    """Inverse of `bipolar_weight`: odd integers (...) -> bit planes (num_planes, ...), most significant first.

    >>> bipolar_planes(np.array([1, -3]), 2).tolist()
    [[1, 0], [0, 0]]
    """
    limit = (1 << num_planes) - 1
    if np.any(weights % 2 == 0) or np.any(np.abs(weights) > limit):
        raise ValueError(f"{num_planes}-plane weights must be odd and within +-{limit}")
    unsigned = (weights + limit) // 2  # 0 .. 2**n - 1, plain binary of the bits
    shifts = np.arange(num_planes - 1, -1, -1).reshape((-1,) + (1,) * weights.ndim)
    return ((unsigned[None] >> shifts) & 1).astype(np.uint8)


def leak(v: Int, factor: int, leak_bits: int) -> Int:
    """floor(v * factor / 2**leak_bits); the shift is arithmetic, so negative values round towards minus infinity.

    >>> leak(-3, 128, 8), leak(3, 128, 8)
    (-2, 1)
    """
    return (v * factor) >> leak_bits


def lif_step(v: IntArray, current: IntArray, *, theta: IntArray, leak_factor: int, leak_bits: int,
             soft_reset: bool) -> tuple[IntArray, NDArray[np.bool_]]:
    """One step of the integer LIF neuron; returns the membrane after reset and the spikes (see the module's text).

    >>> v, s = lif_step(np.array([10, -5]), np.array([6, 1]), theta=np.array([11, 11]), leak_factor=128,
    ...                 leak_bits=8, soft_reset=False)
    >>> v.tolist(), s.tolist()
    ([0, -2], [True, False])
    """
    u = leak(v, leak_factor, leak_bits) + current
    spikes = u >= theta
    after = np.where(spikes, u - theta if soft_reset else 0, u)
    return after, spikes


def kept_current(current: IntArray, shift: IntArray | int, bits: int) -> IntArray:
    """What a layer keeps of its current: current / 2**shift to nearest, ties towards plus infinity, clamped to `bits`
    bits in two's complement.

    shift : at least 1, of a shape that broadcasts to that of the current.

    >>> kept_current(np.array([-5, -4, 3, 4, 11, 12]), 3, 4).tolist()
    [-1, 0, 0, 1, 1, 2]
    >>> kept_current(np.array([-1000, -129, 1000]), 3, 4).tolist()
    [-8, -8, 7]
    """
    half = np.left_shift(1, np.asarray(shift) - 1)
    limit = 1 << (bits - 1)
    return np.clip((current + half) >> shift, -limit, limit - 1).astype(np.int64)


def shortcut_current(kept: IntArray, gain: IntArray, shift: int) -> IntArray:
    """What a kept current adds to a later one: floor(kept * gain / 2**shift).

    >>> shortcut_current(np.array([-3, 3]), np.array([8, 8]), 4).tolist()
    [-2, 1]
    """
    return (kept * gain) >> shift
