"""Full-precision layers: the net that a quantised one is measured against, and its teacher in distillation.

They stand where quantised layers do, with a scale of 1 and the weight itself as what it multiplies; the accelerator has
no form of them, so lowering refuses such a net.
"""

import torch
from torch import nn
from torch.nn import functional as F

from s2nn.model.layers import Convolution, Kernel, QuantisedLayer


class _FullPrecision(QuantisedLayer):
    def scale(self) -> torch.Tensor:
        """Ones, [O, 1, ...]."""
        return torch.ones_like(self.weight.detach()[(slice(None), *(slice(1),) * (self.weight.dim() - 1))])

    def integer_weight(self) -> torch.Tensor:
        """The weight, which is no integer here."""
        return self.weight.detach()

    def quantised_weight(self) -> torch.Tensor:
        return self.weight

    def clip_latent(self) -> None:
        """Nothing to clip: there is no straight-through gradient."""


class FullPrecisionConv2d(Convolution, _FullPrecision):
    """Convolution with float32 weights."""

    def __init__(self, in_channels: int, out_channels: int, *, generator: torch.Generator, kernel: Kernel = 3,
                 stride: int = 1):
        super().__init__()
        self._init_convolution(in_channels, out_channels, kernel, stride, generator)


class FullPrecisionLinear(_FullPrecision):
    """Linear layer with float32 weights and bias."""

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator):
        super().__init__()
        self._init_weight((out_features, in_features), generator)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)
