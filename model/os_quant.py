"""Outlier-aware choice of codewords: what happens to a group of nine before its nearest codeword is looked up.

OS-Quant (S2NN, arXiv 2509.24266, section 4.2), for the nine weights of one kernel:

    IQR = Q3 - Q1                                   quartiles: medians of the lower and the upper four     (7)
    O   = {ij : w_ij < Q1 - gamma*IQR or w_ij > Q3 + gamma*IQR}                                          (8, 9)
    Omega_ij = mean over the 4-connected neighbours pq within the kernel of |w_ij - w_pq|              (10, 11)
    w^_ij = w_ij / Omega_ij  for ij in O, else w_ij                                                        (12)
    idx   = argmin_k ||k - w^||^2,  dL/dw = 1[|w| <= 1] * dL/dw^ * dw^/dw                                  (13)

As printed, an outlier lands near +-1 whatever the scale of the kernel: among weights of 1e-3 that makes it larger, not
smaller. `scale_covariant` therefore takes

    w^_ij = w_ij * s / Omega_ij,   s = mean |w_pq| over pq not in O

which gives an outlier the magnitude of the others, and with it the same codeword for c*w as for w, every c > 0. A
kernel whose other weights are all zero (s = 0) stays as it is. Where the two readings agree, s is 1.

The alternatives that the paper measures against OS-Quant are named but not defined there. Taken here:

    hamming     w^ = sign(w), 0 for 0: the codeword of the smallest Hamming distance
    layer_clip  w clipped to the fences (8) of all weights of the layer
    iqr_clip    w clipped to the fences (8) of its kernel
    z_clip      w clipped to mean +- z*std of its kernel
    z_scale     as OS-Quant, with O = {ij : |w_ij - mean| > z*std}

std divides by n = 9, so |w_ij - mean|/std never exceeds sqrt(8) = 2.83: the customary z = 3 would find nothing.
Fences, means and deviations carry no gradient; a clipped weight has derivative zero, `hamming` derivative one. Omega
and s are differentiated unless `detach_omega`; the printed (13) does not detach them.

A group of nine consecutive inputs has no rows and columns: there the neighbours are the one before and the one after.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.grouping import SIDE, TAPS

AS_PRINTED, SCALE_COVARIANT = "as_printed", "scale_covariant"
NEAREST = "nearest"

#: Pairs of neighbouring taps: of a 3x3 kernel, and of nine inputs in a row.
GRID = tuple((i, i + 1) for i in range(TAPS) if i % SIDE < SIDE - 1) + tuple((i, i + SIDE) for i in range(TAPS - SIDE))
LINE = tuple((i, i + 1) for i in range(TAPS - 1))
Pairs = tuple[tuple[int, int], ...]

#: Compare-exchanges that sort nine values. # Ref: Knuth, TAOCP vol. 3, section 5.3.4: 25 comparators are the least
SORT9 = ((0, 3), (1, 7), (2, 5), (4, 8), (0, 7), (2, 4), (3, 8), (5, 6), (0, 2), (1, 3), (4, 5), (7, 8), (1, 4),
         (3, 6), (5, 7), (0, 1), (2, 4), (3, 5), (6, 8), (2, 3), (4, 5), (6, 7), (1, 2), (3, 4), (5, 6))


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """How a kernel chooses its codeword.

    Parameters
    ----------
    rule : "nearest" (the paper's baseline), "os_quant", or an alternative named in the module.
    gamma : width of the fences in IQRs, for os_quant, iqr_clip and layer_clip.
    z : limit in standard deviations, for z_clip and z_scale; below sqrt(8).
    scaling : "scale_covariant" or "as_printed", for os_quant and z_scale.
    detach_omega : no gradient through Omega and s, for os_quant and z_scale.
    """

    rule: str = NEAREST
    gamma: float = 1.5
    z: float = 2.0
    scaling: str = SCALE_COVARIANT
    detach_omega: bool = False

    def __post_init__(self):
        if self.rule not in RULES:
            raise ConfigError(f"must be one of {', '.join(RULES)}", value=self.rule, field="rule")
        if self.scaling not in (AS_PRINTED, SCALE_COVARIANT):
            raise ConfigError(f"must be {SCALE_COVARIANT} or {AS_PRINTED}", value=self.scaling, field="scaling")
        if not self.gamma >= 0:
            raise ConfigError("must be at least 0", value=self.gamma, field="gamma")
        if not 0 < self.z < (TAPS - 1) ** 0.5:
            raise ConfigError("must lie between 0 and sqrt(8): none of nine values is further from their mean",
                              value=self.z, field="z")

    def adjust(self, w: torch.Tensor, *, pairs: Pairs = GRID) -> torch.Tensor:
        """w [G, 9] -> w^ [G, 9], differentiable; `pairs` are the neighbouring taps."""
        return w if self.rule == NEAREST else RULES[self.rule](self, w.T.contiguous(), pairs).T


def sort9(columns: torch.Tensor) -> list[torch.Tensor]:
    """The order statistics of every kernel, [9, G] -> nine tensors [G], ascending: a sorting network."""
    rows = list(columns.unbind(0))
    for i, j in SORT9:
        rows[i], rows[j] = torch.minimum(rows[i], rows[j]), torch.maximum(rows[i], rows[j])
    return rows


def fences(w: torch.Tensor, gamma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Q1 - gamma*IQR and Q3 + gamma*IQR of every kernel, [G] each, from w [9, G].

    The quartiles are medians of halves, without the median of all nine: means of the second and third value from
    either end. Interpolated quartiles (NumPy's default) differ, and do not give the paper's example.
    """
    ordered = sort9(w.detach())
    q1, q3 = (ordered[1] + ordered[2]) / 2, (ordered[6] + ordered[7]) / 2
    reach = gamma * (q3 - q1)
    return q1 - reach, q3 + reach


def layer_fences(w: torch.Tensor, gamma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The fences of all weights together, as two scalars; quartiles as in `fences`."""
    ordered = w.detach().flatten().sort().values
    half = len(ordered) // 2
    lower, upper = ordered[:half], ordered[len(ordered) - half :]
    q1, q3 = (0.5 * (part[(half - 1) // 2] + part[half // 2]) for part in (lower, upper))
    reach = gamma * (q3 - q1)
    return q1 - reach, q3 + reach


def _z_limits(w: torch.Tensor, z: float) -> tuple[torch.Tensor, torch.Tensor]:
    std, mean = torch.std_mean(w.detach(), dim=0, correction=0)
    return mean - z * std, mean + z * std


def neighbour_distance(w: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """Omega of every tap: w [9, G] -> [9, G]."""
    incidence = w.new_zeros(TAPS, len(pairs))
    for column, pair in enumerate(pairs):
        incidence[list(pair), column] = 1
    first, second = (list(ends) for ends in zip(*pairs, strict=True))
    return (incidence / incidence.sum(dim=1, keepdim=True)) @ (w[first] - w[second]).abs()


def _scaled(options: Assignment, w: torch.Tensor, outlier: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """w^ of (12): outliers over Omega, times s unless as printed. An outlier that equals all its neighbours (Omega = 0;
    it takes a pair at the end of a row of inputs, or a small z) stays as it is."""
    source = w.detach() if options.detach_omega else w
    omega = neighbour_distance(source, pairs)
    outlier = outlier & (omega > 0)
    factor = 1 / torch.where(outlier, omega, 1.0)  # elsewhere unused, and finite for the gradient's sake
    if options.scaling == SCALE_COVARIANT:
        inliers = (~outlier).sum(dim=0).clamp_min(1)
        s = torch.where(outlier, 0.0, source.abs()).sum(dim=0) / inliers
        factor = torch.where(s > 0, factor * s, 1.0)
    return torch.where(outlier, w * factor, w)


def _os_quant(options: Assignment, w: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    low, high = fences(w, options.gamma)
    return _scaled(options, w, (w < low) | (w > high), pairs)


def _z_scale(options: Assignment, w: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    low, high = _z_limits(w, options.z)
    return _scaled(options, w, (w < low) | (w > high), pairs)


def _hamming(options: Assignment, w: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    return w + (torch.sign(w) - w).detach()


RULES: dict[str, Callable[[Assignment, torch.Tensor, Pairs], torch.Tensor]] = {
    NEAREST: lambda options, w, pairs: w,
    "os_quant": _os_quant,
    "hamming": _hamming,
    "layer_clip": lambda options, w, pairs: w.clamp(*layer_fences(w, options.gamma)),
    "iqr_clip": lambda options, w, pairs: w.clamp(*fences(w, options.gamma)),
    "z_clip": lambda options, w, pairs: w.clamp(*_z_limits(w, options.z)),
    "z_scale": _z_scale,
}
