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

import torch
from torch import nn
from torch.nn import functional as F

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.codebook import TAPS, Codebook, sign
from s2nn.model.quantise import nearest_odd, plane_delta, plane_limit, straight_through


class QuantisedLayer(nn.Module):
    """A latent weight, how it is quantised, and what multiplies the integers."""

    weight: nn.Parameter

    def _init_weight(self, shape: tuple[int, ...], generator: torch.Generator) -> None:
        fan_in = math.prod(shape[1:])
        self.weight = nn.Parameter(torch.randn(shape, generator=generator) * math.sqrt(2 / fan_in))

    def quantised_weight(self) -> torch.Tensor:
        """What the forward pass multiplies with: scale() * integer_weight(), with the straight-through gradient."""
        raise NotImplementedError

    def integer_weight(self) -> torch.Tensor:
        """+-1 or odd integers, shape of the weight."""
        raise NotImplementedError

    def scale(self) -> torch.Tensor:
        """Multiplier of the integers, [O, 1, ...]: alpha, the mean |w| of each output channel."""
        return self.weight.detach().abs().mean(dim=tuple(range(1, self.weight.dim())), keepdim=True)

    @torch.no_grad()
    def clip_latent(self) -> None:
        self.weight.clamp_(-1, 1)


class _SignThrough(torch.autograd.Function):
    """sign(w) forward, 1[|w| <= 1] * gradient backward."""

    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        return sign(w)

    @staticmethod
    def backward(ctx, *grad_outputs):
        (w,) = ctx.saved_tensors
        return grad_outputs[0] * (w.abs() <= 1)


class _Binary(QuantisedLayer):
    def integer_weight(self) -> torch.Tensor:
        return sign(self.weight.detach())

    def quantised_weight(self) -> torch.Tensor:
        return _SignThrough.apply(self.weight) * self.scale()  # type: ignore[no-any-return]


class _SubBit(QuantisedLayer):
    codebook: Codebook

    def groups(self) -> torch.Tensor:
        """The latent as kernels of nine taps, [G, 9]."""
        raise NotImplementedError

    def _ungroup(self, kernels: torch.Tensor) -> torch.Tensor:
        """Kernels [G, 9] in the shape of the weight."""
        raise NotImplementedError

    def indices(self) -> torch.Tensor:
        """Codebook index of every kernel, [G], output channel outermost."""
        return self.codebook.index(self.groups())

    def integer_weight(self) -> torch.Tensor:
        w = self.groups().detach()
        return self._ungroup(self.codebook.codewords[self.codebook.index(w)] if self.codebook.is_running else sign(w))

    def quantised_weight(self) -> torch.Tensor:
        if not self.codebook.is_running:  # not even regrouped: the same arithmetic as the 1-bit twin, bit for bit
            return _SignThrough.apply(self.weight) * self.scale()  # type: ignore[no-any-return]
        return self._ungroup(self.codebook(self.groups())) * self.scale()


def _check_channels(in_channels: int, out_channels: int) -> None:
    if in_channels < 1 or out_channels < 1:
        raise ConfigError("a layer needs at least one input and one output channel", value=(in_channels, out_channels))


class _Convolution(QuantisedLayer):
    """Kernel 3 with padding 1, or kernel 1 without; stride 1 or 2: [N, C, H, W] -> [N, O, H', W']."""

    stride: int

    def _init_convolution(self, in_channels: int, out_channels: int, kernel: int, stride: int,
                          generator: torch.Generator) -> None:
        _check_channels(in_channels, out_channels)
        for name, value, allowed in (("kernel", kernel, (1, 3)), ("stride", stride, (1, 2))):
            if value not in allowed:
                raise ConfigError(f"{name} must be {allowed[0]} or {allowed[1]}", value=value)
        self.stride = stride
        self._init_weight((out_channels, in_channels, kernel, kernel), generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.quantised_weight(), stride=self.stride, padding=self.weight.shape[2] // 2)


class BinaryConv2d(_Convolution, _Binary):
    """1-bit convolution, 3x3 or 1x1, stride 1 or 2."""

    def __init__(self, in_channels: int, out_channels: int, *, generator: torch.Generator, kernel: int = 3,
                 stride: int = 1):
        super().__init__()
        self._init_convolution(in_channels, out_channels, kernel, stride, generator)


class SubBitConv2d(_Convolution, _SubBit):
    """Sub-bit convolution, stride 1 or 2.

    3x3: one codeword per (output, input) channel pair, taps in raster order. 1x1: nine consecutive input channels share
    one codeword, as in `SubBitLinear`.
    """

    def __init__(self, in_channels: int, out_channels: int, *, codebook: Codebook, generator: torch.Generator,
                 kernel: int = 3, stride: int = 1):
        super().__init__()
        self._init_convolution(in_channels, out_channels, kernel, stride, generator)
        self.idle_taps = -in_channels * kernel**2 % TAPS
        self.codebook = codebook

    def groups(self) -> torch.Tensor:
        if not self.idle_taps:
            return self.weight.reshape(-1, TAPS)
        return F.pad(self.weight.flatten(1), (0, self.idle_taps)).reshape(-1, TAPS)

    def _ungroup(self, kernels: torch.Tensor) -> torch.Tensor:
        if not self.idle_taps:
            return kernels.reshape(self.weight.shape)
        out_channels, *inputs = self.weight.shape
        return kernels.reshape(out_channels, -1)[:, : math.prod(inputs)].reshape(self.weight.shape)


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
        self.idle_taps = -in_features % TAPS
        self.codebook = codebook

    def groups(self) -> torch.Tensor:
        return F.pad(self.weight, (0, self.idle_taps)).reshape(-1, TAPS)

    def _ungroup(self, kernels: torch.Tensor) -> torch.Tensor:
        out_features, in_features = self.weight.shape
        return kernels.reshape(out_features, -1)[:, :in_features]

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


class PlaneConv2d(_Convolution, _Plane):
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
