"""The codebook of one sub-bit layer: 2^eta sign patterns of nine taps, to which every kernel is quantised.

    K      the full set {-1, +1}^9, 512 patterns
    P      latent codewords, real, [2^eta, 9]                        (trained when `learned`)
    M      codewords in use, M = sign(P) in {-1, +1}^(2^eta x 9)
    w      latent kernels, [G, 9], one group of nine taps per row
    idx    argmin_k ||M_k - w||^2 = argmax_k <M_k, w>                since every ||M_k||^2 = 9: one matmul
    w_b    M[idx]

S2NN (arXiv 2509.24266, Alg. 1 and eqs. 5-6) samples M at random per layer and leaves open how it is trained; the
rules used here are those of Sub-bit Neural Networks (ICCV 2021, published code): the gradient of every kernel
assigned to a codeword is summed into its latent; M keeps its sign while |P| < 1e-3 (hysteresis); equal codewords are
replaced by unused random ones; P is clamped to [-3, 3].

Besides the random start there is a fitted one, which earns most of the accuracy here: train some epochs with all of K
(a 1-bit layer), then take the codewords that serve the kernels found so far best (`fit_codewords`).
"""

import torch
from torch import nn

from s2nn.hw.spec.errors import ConfigError

TAPS = 9
ETAS = range(2, 7)
HYSTERESIS = 1e-3  # Ref: Sub-bit Neural Networks, published code
LATENT_LIMIT = 3.0  # Ref: ditto


def sign(w: torch.Tensor) -> torch.Tensor:
    """+1 for w >= 0, else -1: sign(0) = +1 (S2NN eq. 4)."""
    return torch.where(w >= 0, 1.0, -1.0).to(w.dtype)


def pattern_of(signs: torch.Tensor) -> torch.Tensor:
    """Signs [N, 9] to pattern numbers [N] in 0..511; tap k sets bit k when it is +1."""
    return ((signs > 0).long() << torch.arange(TAPS, device=signs.device)).sum(dim=1)


def signs_of(patterns: torch.Tensor) -> torch.Tensor:
    """Inverse of `pattern_of`: [N] to float +-1 [N, 9]."""
    bits = (patterns[:, None] >> torch.arange(TAPS, device=patterns.device)) & 1
    return bits.float() * 2 - 1


def assign(w: torch.Tensor, codewords: torch.Tensor) -> torch.Tensor:
    """Nearest codeword of each kernel: w [G, 9], codewords +-1 [K, 9] -> idx [G]."""
    return (w @ codewords.T).argmax(dim=1)


def fit_codewords(w: torch.Tensor, count: int, *, rounds: int = 50) -> torch.Tensor:
    """Codewords +-1 [count, 9] that maximise sum_g max_k <k, w_g>: k-means with sign centroids.

    Starts from the `count` sign patterns with the largest total |w|; each round assigns the kernels and sets every
    codeword to the sign of the sum of its kernels, which is the best one for them. A codeword that turned equal to an
    earlier one, or lost all its kernels, takes the heaviest pattern not yet in use. Stops when nothing changes.
    Deterministic, and equal on all devices up to rounding in the sums.
    """
    w = w.detach().double().cpu()
    weight = torch.zeros(2**TAPS, dtype=w.dtype).index_add_(0, pattern_of(sign(w)), w.abs().sum(dim=1))
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


class _StraightThrough(torch.autograd.Function):
    """w_b = M[idx]; dL/dw = 1[|w| <= 1]*dL/dw_b (S2NN eq. 6, read with the latent); dL/dP_k = sum over its kernels."""

    @staticmethod
    def forward(ctx, w, latent, codewords, idx, to_codebook):
        ctx.save_for_backward(w, idx)
        ctx.latent_shape, ctx.to_codebook = latent.shape, to_codebook
        return codewords[idx]

    @staticmethod
    def backward(ctx, *grad_outputs):
        (grad,) = grad_outputs
        w, idx = ctx.saved_tensors
        grad_latent = grad.new_zeros(ctx.latent_shape).index_add_(0, idx, grad) if ctx.to_codebook else None
        return grad * (w.abs() <= 1), grad_latent, None, None, None


class Codebook(nn.Module):
    """Codebook of one layer.

    Parameters
    ----------
    eta : bits per kernel, 2..6.
    generator : source of the random codewords.
    learned : train the codewords.
    period : every `period`-th training step passes a gradient to the latent codewords.
    latent_scale : |P| right after a (re)start; the smaller it is against the learning rate, the sooner a sign can turn.
    started : False makes the layer a 1-bit layer (all of K) until `start` is called.
    """

    latent: torch.Tensor
    codewords: torch.Tensor

    def __init__(self, *, eta: int, generator: torch.Generator, learned: bool = True, period: int = 25,
                 latent_scale: float = 0.1, started: bool = True):
        super().__init__()
        if eta not in ETAS:
            raise ConfigError(f"eta must be one of {', '.join(map(str, ETAS))}", value=eta)
        if period < 1:
            raise ConfigError("codebook period must be at least 1 step", value=period)
        self.eta, self.learned, self.period, self.latent_scale = eta, learned, period, latent_scale
        codewords = signs_of(torch.randperm(2**TAPS, generator=generator)[: 2**eta])
        self.register_buffer("codewords", codewords)
        if learned:
            self.latent = nn.Parameter(codewords * latent_scale)
        else:
            self.register_buffer("latent", codewords * latent_scale)
        self.to_codebook = False
        self.is_running = started  # a Python bool: reading a buffer would stall the device in every forward pass

    def get_extra_state(self) -> torch.Tensor:
        return torch.tensor(self.is_running)

    def set_extra_state(self, state: torch.Tensor) -> None:
        self.is_running = bool(state)

    def begin_step(self, step: int) -> None:
        """Tell the codebook which training step comes next, so that it knows whether P gets a gradient."""
        self.to_codebook = self.learned and self.is_running and step % self.period == 0

    def index(self, w: torch.Tensor) -> torch.Tensor:
        """w [G, 9] -> idx [G]."""
        return assign(w.detach(), self.codewords)

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """w [G, 9] -> w_b [G, 9], each row one of the codewords."""
        return _StraightThrough.apply(w, self.latent, self.codewords, self.index(w), self.to_codebook)  # type: ignore[no-any-return]

    @torch.no_grad()
    def start(self, w: torch.Tensor) -> None:
        """Choose the codewords from the kernels w [G, 9] and use them from now on."""
        self.set_codewords(fit_codewords(w, 2**self.eta))
        self.is_running = True

    @torch.no_grad()
    def set_codewords(self, codewords: torch.Tensor) -> None:
        """Use these codewords +-1 [2^eta, 9]; the latents restart at +-latent_scale."""
        self.codewords.copy_(codewords)
        self.latent.copy_(codewords * self.latent_scale)

    @torch.no_grad()
    def update(self, generator: torch.Generator) -> int:
        """After an optimiser step: clamp P, refresh M, repair duplicates; returns how many were repaired."""
        if not self.to_codebook:
            return 0
        self.latent.clamp_(-LATENT_LIMIT, LATENT_LIMIT)
        self.codewords.copy_(torch.where(self.latent.abs() >= HYSTERESIS, sign(self.latent), self.codewords))
        patterns = pattern_of(self.codewords).tolist()
        repeated = [k for k, pattern in enumerate(patterns) if pattern in patterns[:k]]
        if repeated:
            free = [p for p in range(2**TAPS) if p not in set(patterns)]
            picks = torch.randperm(len(free), generator=generator)[: len(repeated)].tolist()
            fresh = signs_of(torch.tensor([free[i] for i in picks])).to(self.latent)
            rows = torch.tensor(repeated, device=self.latent.device)
            self.codewords[rows] = fresh
            self.latent[rows] = fresh * self.latent_scale
        return len(repeated)

    def extra_repr(self) -> str:
        return f"eta={self.eta}, learned={self.learned}, running={self.is_running}"
