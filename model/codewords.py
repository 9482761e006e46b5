"""Codewords chosen from kernels, instead of at random: the start of a sub-bit layer that was a 1-bit layer before.

    fitted    k-means with sign centroids on the latent kernels: the codewords that serve them best
    medoid    k-medoids under Hamming distance on the sign patterns of a 1-bit layer, weighted by their frequency

S2NN motivates its codebooks by how few of the 512 kernels of a trained 1-bit net carry most of its weight (arXiv
2509.24266, Tab. 5), and then samples at random; both choices here are ours.
"""

from collections.abc import Callable

import torch

from s2nn.model.codebook import assign, pattern_of, sign, signs_of
from s2nn.model.grouping import TAPS

KERNELS = 2**TAPS
MAX_SWEEPS = 50


def fit_codewords(w: torch.Tensor, count: int, *, rounds: int = 50) -> torch.Tensor:
    """Codewords +-1 [count, 9] that maximise sum_g max_k <k, w_g>: k-means with sign centroids.

    Starts from the `count` sign patterns with the largest total |w|; each round assigns the kernels and sets every
    codeword to the sign of the sum of its kernels, which is the best one for them. A codeword that turned equal to an
    earlier one, or lost all its kernels, takes the heaviest pattern not yet in use. Stops when nothing changes.
    Deterministic, and equal on all devices up to rounding in the sums.
    """
    w = w.detach().double().cpu()
    weight = torch.zeros(KERNELS, dtype=w.dtype).index_add_(0, pattern_of(sign(w)), w.abs().sum(dim=1))
    by_weight = weight.argsort(descending=True, stable=True).tolist()
    chosen = by_weight[:count]
    for _ in range(rounds):
        idx = assign(w, signs_of(torch.tensor(chosen)).double())
        total = torch.zeros(count, TAPS, dtype=w.dtype).index_add_(0, idx, w)
        size = torch.bincount(idx, minlength=count).tolist()
        found = pattern_of(sign(total)).tolist()
        kept: list[int | None] = []
        for k in range(count):
            kept.append(found[k] if size[k] and found[k] not in kept else None)
        spare = iter([p for p in by_weight if p not in kept])
        updated = [next(spare) if p is None else p for p in kept]
        if updated == chosen:
            break
        chosen = updated
    return signs_of(torch.tensor(chosen))


def hamming_distances() -> torch.Tensor:
    """Taps in which two patterns differ: float [512, 512]."""
    signs = signs_of(torch.arange(KERNELS))
    return (TAPS - signs @ signs.T) / 2


def medoid_codewords(w: torch.Tensor, count: int) -> torch.Tensor:
    """Codewords +-1 [count, 9]: `count` patterns with the least total Hamming distance from the kernels' patterns.

    The kernels w [G, 9] count by their signs. Starts from the most frequent patterns and exchanges medoids for patterns
    that occur while that lowers the total: what comes out, no single exchange improves (PAM, Kaufman & Rousseeuw 1990).
    Patterns of equal frequency rank by number; where fewer than `count` occur, unused ones fill up. Deterministic.
    """
    frequency = torch.bincount(pattern_of(sign(w.detach().cpu())), minlength=KERNELS).double()
    distances = hamming_distances().double()
    medoids = frequency.argsort(descending=True, stable=True)[:count]
    occurs = frequency > 0
    for _ in range(MAX_SWEEPS):
        changed = False
        for i in range(count):
            others = torch.cat((medoids[:i], medoids[i + 1 :]))
            rest = distances[others].amin(dim=0)  # to the nearest of the others, (512,)
            totals = torch.minimum(rest, distances) @ frequency  # with each candidate in place of medoid i
            allowed = occurs.clone()
            allowed[others] = False
            totals[~allowed] = torch.inf
            best = int(totals.argmin())
            if totals[best] < (torch.minimum(rest, distances[medoids[i]]) * frequency).sum() - 1e-9:
                medoids[i], changed = best, True
        if not changed:
            break
    return signs_of(medoids)


RANDOM = "random"
#: Ways to choose codewords from kernels [G, 9]: (w, count) -> +-1 [count, 9].
CHOICES: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "fitted": fit_codewords, "medoid": medoid_codewords,
}
