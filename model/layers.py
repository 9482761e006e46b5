"""Layers with sub-bit, 1-bit or n-bit weights, each with a full-precision latent behind a straight-through gradient.

    SubBitConv2d, SubBitLinear   alpha_o * M[idx], eta bits per nine taps      S2NN eqs. 5-6, see `codebook`
    BinaryConv2d, BinaryLinear   alpha_o * sign(w), sign(0) = +1               S2NN eq. 4: the 1-bit twin
    PlaneConv2d, PlaneLinear     delta * w_int, odd integers of n bits         see `quantise`

alpha_o = mean |w| over output channel o, no gradient through it. Latents of the first two families are clipped to
[-1, 1] after every step (`clip_latent`), so that their straight-through gradient never dies. No layer but the
classifier has a bias: a BN follows. `integer_weight()` is +-1 or odd integers and `scale()` what it is multiplied by,
[O, 1, ...].
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn import functional as F

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.codebook import Codebook, LatentGate, sign
from s2nn.model.grouping import group_inputs, group_taps, ungroup_inputs, ungroup_taps
from s2nn.model.quantise import nearest_odd, plane_delta, plane_limit, straight_through

Kernel = int | tuple[int, int]


class QuantisedLayer(nn.Module, ABC):
    """A latent weight, how it is quantised, and what multiplies the integers."""

    weight: nn.Parameter

    def _init_weight(self, shape: tuple[int, ...], generator: torch.Generator) -> None:
        fan_in = math.prod(shape[1:])
        self.weight = nn.Parameter(torch.randn(shape, generator=generator) * math.sqrt(2 / fan_in))

    @abstractmethod
    def quantised_weight(self) -> torch.Tensor:
        """What the forward pass multiplies with: scale() * integer_weight(), with the straight-through gradient."""

    @abstractmethod
    def integer_weight(self) -> torch.Tensor:
        """+-1 or odd integers, shape of the weight."""

    def scale(self) -> torch.Tensor:
        """Multiplier of the integers, [O, 1, ...]: alpha, the mean |w| of each output channel."""
        return self.weight.detach().abs().mean(dim=tuple(range(1, self.weight.dim())), keepdim=True)

    @torch.no_grad()
    def clip_latent(self) -> None:
        self.weight.clamp_(-1, 1)


class SignThrough(LatentGate):
    """sign(w) forward, 1[|w| <= 1] * gradient backward."""

    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        return sign(w)


class _Binary(QuantisedLayer):
    def integer_weight(self) -> torch.Tensor:
        return sign(self.weight.detach())

    def quantised_weight(self) -> torch.Tensor:
        return SignThrough.apply(self.weight) * self.scale()  # type: ignore[no-any-return]


class _SubBit(QuantisedLayer):
    codebook: Codebook

    gathered = True  # a group is nine consecutive inputs, not nine taps

    def group(self, w: torch.Tensor) -> torch.Tensor:
        """A tensor of the weight's shape as groups of nine, [G, 9]."""
        return group_inputs(w) if self.gathered else group_taps(w)

    def groups(self) -> torch.Tensor:
        """The latent as groups of nine, [G, 9]."""
        return self.group(self.weight)

    def _ungroup(self, kernels: torch.Tensor) -> torch.Tensor:
        """Kernels [G, 9] in the shape of the weight."""
        return (ungroup_inputs if self.gathered else ungroup_taps)(kernels, self.weight.shape)

    def indices(self) -> torch.Tensor:
        """Codebook index of every kernel, [G], output channel outermost."""
        return self.codebook.index(self.groups())

    def integer_weight(self) -> torch.Tensor:
        w = self.groups().detach()
        return self._ungroup(self.codebook.codewords[self.codebook.index(w)] if self.codebook.is_running else sign(w))

    def quantised_weight(self) -> torch.Tensor:
        if not self.codebook.is_running:  # not even regrouped: the same arithmetic as the 1-bit twin, bit for bit
            return SignThrough.apply(self.weight) * self.scale()  # type: ignore[no-any-return]
        return self._ungroup(self.codebook(self.groups())) * self.scale()


def _check_channels(in_channels: int, out_channels: int) -> None:
    if in_channels < 1 or out_channels < 1:
        raise ConfigError("a layer needs at least one input and one output channel", value=(in_channels, out_channels))


class Convolution(QuantisedLayer):
    """[N, C, H, W] -> [N, O, H', W']: kernel 3 with padding 1, or kernel 1 without; stride 1 or 2. A kernel (H, W) is
    that of a linear layer over a whole map: no padding, one output position."""

    stride: int
    padding: int
    gathered: bool

    def _init_convolution(self, in_channels: int, out_channels: int, kernel: Kernel, stride: int,
                          generator: torch.Generator) -> None:
        _check_channels(in_channels, out_channels)
        if kernel not in (1, 3) and not isinstance(kernel, tuple):
            raise ConfigError("kernel must be 1, 3 or that of a whole map", value=kernel)
        if stride not in (1, 2):
            raise ConfigError("stride must be 1 or 2", value=stride)
        self.stride, self.padding, self.gathered = stride, 1 if kernel == 3 else 0, kernel != 3
        shape = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        self._init_weight((out_channels, in_channels, *shape), generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.quantised_weight(), stride=self.stride, padding=self.padding)


class BinaryConv2d(Convolution, _Binary):
    """1-bit convolution."""

    def __init__(self, in_channels: int, out_channels: int, *, generator: torch.Generator, kernel: Kernel = 3,
                 stride: int = 1):
        super().__init__()
        self._init_convolution(in_channels, out_channels, kernel, stride, generator)


class SubBitConv2d(Convolution, _SubBit):
    """Sub-bit convolution.

    3x3: one codeword per (output, input) channel pair, taps in raster order. Others: nine consecutive inputs in the
    order (row, column, channel) share one codeword, as in `SubBitLinear`.
    """

    def __init__(self, in_channels: int, out_channels: int, *, codebook: Codebook, generator: torch.Generator,
                 kernel: Kernel = 3, stride: int = 1):
        super().__init__()
        self._init_convolution(in_channels, out_channels, kernel, stride, generator)
        self.codebook = codebook


class BinaryLinear(_Binary):
    """1-bit linear layer: [N, in] -> [N, out]."""

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator):
        super().__init__()
        _check_channels(in_features, out_features)
        self._init_weight((out_features, in_features), generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.quantised_weight())


class SubBitLinear(_SubBit):
    """Sub-bit linear layer: nine consecutive inputs share one codeword; the last group of a row may be partly idle.

    No paper gives a grouping rule for linear layers; nine keeps the rate of eta/9 bits per weight and the same codeword
    width as the 3x3 kernels. The taps beyond `in_features` have latent zero and touch no input.
    """

    def __init__(self, in_features: int, out_features: int, *, codebook: Codebook, generator: torch.Generator):
        super().__init__()
        _check_channels(in_features, out_features)
        self._init_weight((out_features, in_features), generator)
        self.codebook = codebook

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.quantised_weight())


class _Plane(QuantisedLayer):
    bits: int
    per_channel: bool

    def scale(self) -> torch.Tensor:
        """Grid step delta, [O, 1, ...] or [1, 1, ...]."""
        return plane_delta(self.weight, self.bits, per_channel=self.per_channel)

    def integer_weight(self) -> torch.Tensor:
        return nearest_odd(self.weight.detach() / self.scale(), plane_limit(self.bits))

    def quantised_weight(self) -> torch.Tensor:
        return straight_through(self.weight, self.integer_weight() * self.scale())

    def clip_latent(self) -> None:
        """Nothing to clip: the grid follows the largest weight."""


class PlaneConv2d(Convolution, _Plane):
    """n-bit 3x3 convolution, padding 1, one grid step per output channel (BN absorbs it)."""

    per_channel = True

    def __init__(self, in_channels: int, out_channels: int, *, generator: torch.Generator, bits: int = 8,
                 stride: int = 1):
        super().__init__()
        plane_limit(bits)
        self.bits = bits
        self._init_convolution(in_channels, out_channels, 3, stride, generator)


class PlaneLinear(_Plane):
    """n-bit linear layer with bias, one grid step for the layer, so that its integer logits compare across classes."""

    per_channel = False

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator, bits: int = 8):
        super().__init__()
        _check_channels(in_features, out_features)
        plane_limit(bits)
        self.bits = bits
        self._init_weight((out_features, in_features), generator)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.quantised_weight(), self.bias)
