"""Surrogate gradients: what stands in for the derivative of the Heaviside step H(z), z = u~ - theta.

The forward pass always uses H(z) = 1 if z >= 0 else 0; these functions only shape the backward pass.

    atan      h(z) = (a/2) / (1 + (pi*a*z/2)^2)            a = 2   # Ref: Fang et al., PLIF, ICCV 2021, eq. 10
    triangle  h(z) = a * max(0, 1 - a*|z|)                 a = 1   # Ref: Esser et al., PNAS 2016 (piecewise linear)
    sigmoid   h(z) = a * sigmoid(a*z) * (1 - sigmoid(a*z)) a = 4   # Ref: Neftci et al., IEEE SPM 2019

Each integrates to one over z, so a wider surrogate is a flatter one. `a` is the slope; its default is the value above.
All of them overwrite z with the result and return it: the backward pass of a neuron calls them at every time step.
"""

import math
from collections.abc import Callable

import torch

from s2nn.hw.spec.errors import ConfigError

SurrogateFn = Callable[[torch.Tensor, float], torch.Tensor]


def atan(z: torch.Tensor, a: float) -> torch.Tensor:
    """Derivative of arctan(pi*a*z/2)/pi + 1/2; heavy tails, so that no neuron ever stops learning."""
    return z.mul_(math.pi / 2 * a).square_().add_(1).reciprocal_().mul_(a / 2)


def triangle(z: torch.Tensor, a: float) -> torch.Tensor:
    """Piecewise linear, exactly zero for |z| >= 1/a: cheap and local."""
    return z.abs_().mul_(-a).add_(1).clamp_min_(0).mul_(a)


def sigmoid(z: torch.Tensor, a: float) -> torch.Tensor:
    """Derivative of the logistic function of slope a."""
    p = z.mul_(a).sigmoid_()
    return p.sub_(p.square()).mul_(a)


#: Name -> function and default slope.
SURROGATES: dict[str, tuple[SurrogateFn, float]] = {
    "atan": (atan, 2.0),
    "triangle": (triangle, 1.0),
    "sigmoid": (sigmoid, 4.0),
}


def surrogate(name: str) -> tuple[SurrogateFn, float]:
    """The function h(z, a) of that name and its default slope a."""
    if name not in SURROGATES:
        raise ConfigError(f"surrogate must be one of {', '.join(SURROGATES)}", value=name)
    return SURROGATES[name]
