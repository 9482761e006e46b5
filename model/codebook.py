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

Before the lookup `s2nn.model.os_quant` may adjust w to w^ (idx and gradient are then those of w^). Besides random
codewords there are chosen ones, see `s2nn.model.codewords`: train some epochs with all of K (a 1-bit layer), then take
the codewords that serve the kernels found so far best.
"""

import torch
from torch import nn

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.grouping import TAPS
from s2nn.model.os_quant import GRID, Assignment, Pairs

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


class LatentGate(torch.autograd.Function):
    """w unchanged; dL/dw = 1[|w| <= 1] * gradient: the indicator of S2NN eq. 6, read with the latent."""

    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        return w.view_as(w)

    @staticmethod
    def backward(ctx, *grad_outputs):
        (w,) = ctx.saved_tensors
        return grad_outputs[0] * (w.abs() <= 1)


class _Lookup(torch.autograd.Function):
    """w_b = M[idx]; dL/dw^ = dL/dw_b, straight through; dL/dP_k = sum of dL/dw_b over the kernels of k, if asked."""

    @staticmethod
    def forward(ctx, w_hat, latent, codewords, idx, to_codebook):
        ctx.save_for_backward(idx)
        ctx.latent_shape, ctx.to_codebook = latent.shape, to_codebook
        return codewords[idx]

    @staticmethod
    def backward(ctx, *grad_outputs):
        (grad,) = grad_outputs
        (idx,) = ctx.saved_tensors
        grad_latent = grad.new_zeros(ctx.latent_shape).index_add_(0, idx, grad) if ctx.to_codebook else None
        return grad, grad_latent, None, None, None


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
    assignment, pairs : how a kernel chooses its codeword, and which taps are neighbours, see `s2nn.model.os_quant`.
    """

    latent: torch.Tensor
    codewords: torch.Tensor

    def __init__(self, *, eta: int, generator: torch.Generator, learned: bool = True, period: int = 25,
                 latent_scale: float = 0.1, started: bool = True,
                 assignment: Assignment | None = None, pairs: Pairs = GRID):
        super().__init__()
        if eta not in ETAS:
            raise ConfigError(f"eta must be one of {', '.join(map(str, ETAS))}", value=eta)
        if period < 1:
            raise ConfigError("codebook period must be at least 1 step", value=period)
        self.eta, self.learned, self.period, self.latent_scale = eta, learned, period, latent_scale
        self.assignment, self.pairs = assignment or Assignment(), pairs
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

    @torch.no_grad()
    def index(self, w: torch.Tensor) -> torch.Tensor:
        """w [G, 9] -> idx [G]."""
        return assign(self.assignment.adjust(w, pairs=self.pairs), self.codewords)

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """w [G, 9] -> w_b [G, 9], each row one of the codewords."""
        with torch.autocast(w.device.type, enabled=False):  # in bfloat16 near codewords would be mistaken for nearest
            w_hat = self.assignment.adjust(LatentGate.apply(w), pairs=self.pairs)  # type: ignore[arg-type]
            idx = assign(w_hat.detach(), self.codewords)
            return _Lookup.apply(w_hat, self.latent, self.codewords, idx, self.to_codebook)  # type: ignore[no-any-return]

    @torch.no_grad()
    def start(self, codewords: torch.Tensor) -> None:
        """Use these codewords +-1 [2^eta, 9] from now on, instead of all of K."""
        self.set_codewords(codewords)
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
        return f"eta={self.eta}, learned={self.learned}, running={self.is_running}, assignment={self.assignment.rule}"
