"""n-bit weights as bipolar planes: the format of the first layer and of the classifier.

The accelerator multiplies planes of +-1 by spikes, so an n-bit weight is n planes with shifts:

    w_int = sum_{k=0}^{n-1} 2^k * b_k,   b_k in {-1, +1}      the odd integers of [-(2^n - 1), 2^n - 1]
    w     ~ delta * w_int
    code  = (w_int + 2^n - 1) / 2 = sum_k 2^k * (b_k + 1)/2   unsigned n-bit form of the same planes, for storage

Zero is not on the grid: the smallest magnitude is delta. With n = 8 that costs half a step of an 8-bit grid.
"""

import torch

from s2nn.hw.spec.errors import ConfigError


def plane_limit(bits: int) -> int:
    """Largest |w_int| of an n-bit bipolar weight."""
    if not 1 <= bits <= 8:
        raise ConfigError("plane weights must have 1..8 bits", value=bits)
    return 2**bits - 1


def nearest_odd(x: torch.Tensor, limit: int) -> torch.Tensor:
    """Nearest odd integer in [-limit, limit] (an even integer goes up): 0 -> 1, -0.1 -> -1, 2.0 -> 3."""
    return (2 * torch.floor(x / 2) + 1).clamp(-limit, limit)


def to_code(w_int: torch.Tensor, bits: int) -> torch.Tensor:
    """Odd integers to unsigned codes 0..2^n - 1: -limit -> 0, -1 -> 2^(n-1) - 1, limit -> 2^n - 1."""
    return (w_int.long() + plane_limit(bits)) // 2


def from_code(code: torch.Tensor, bits: int) -> torch.Tensor:
    """Inverse of `to_code`."""
    return 2 * code.long() - plane_limit(bits)


def plane_delta(w: torch.Tensor, bits: int, *, per_channel: bool) -> torch.Tensor:
    """Grid step delta = max|w| / (2^n - 1): over each output channel [O, 1, ...], or over the layer [1, 1, ...]."""
    dims = tuple(range(1, w.dim())) if per_channel else tuple(range(w.dim()))
    peak = w.detach().abs().amax(dim=dims, keepdim=True)
    return peak.clamp_min(1e-12) / plane_limit(bits)


def straight_through(w: torch.Tensor, w_quantised: torch.Tensor) -> torch.Tensor:
    """Value of w_quantised, gradient of w."""
    return w + (w_quantised - w).detach()
