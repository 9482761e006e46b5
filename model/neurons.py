"""Leaky integrate-and-fire neurons over all T time steps as one autograd.Function.

The S2NN neuron (arXiv 2509.24266, eqs. 1-3), in the letters of the paper:

    u~[t] = tau*u[t-1] + x[t]                 u[-1] = 0; x is the conv/linear output after BN, NOT divided by tau
    s[t]  = H(u~[t] - theta)                  H(z) = 1 for z >= 0: a membrane that equals the threshold fires
    u[t]  = u~[t]*(1 - s[t])                  hard reset, to zero
    u[t]  = u~[t] - theta*s[t]                soft reset, by subtraction

    x      input current           [T, B, ...]
    u~, u  membrane potential before and after the reset
    s      spike, 0.0 or 1.0       [T, B, ...]
    tau    leak factor in [0, 1] (not a time constant in seconds); theta  threshold

Only u~ is kept for the backward pass: s and u follow from it. The paper states neither tau, theta nor the surrogate, so
they are parameters here; the defaults (0.5, 1, atan) are those of the SNN literature it builds on.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import nn

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.surrogate import surrogate

COMPILED_SHAPES = 64


def _reset(u_pre: torch.Tensor, s: torch.Tensor, theta: torch.Tensor, hard: bool) -> torch.Tensor:
    return u_pre * (1 - s) if hard else u_pre - theta * s


def _forward_steps(x: torch.Tensor, tau: torch.Tensor, theta: torch.Tensor,
                   hard: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(s, u~), both [T, B, ...]."""
    s, u_pre = torch.empty_like(x), torch.empty_like(x)
    u = torch.zeros_like(x[0])
    for t in range(x.shape[0]):
        u_pre[t] = x[t] if t == 0 else tau * u + x[t]
        s[t] = u_pre[t] >= theta
        u = _reset(u_pre[t], s[t], theta, hard)
    return s, u_pre


def _backward_steps(grad_s: torch.Tensor, u_pre: torch.Tensor, tau: torch.Tensor, theta: torch.Tensor, hard: bool,
                    detach_reset: bool, surrogate_name: str, slope: float, learn: bool,
                    grad_membrane: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(dL/dx [T, B, ...], dL/dtau [B, ...], dL/dtheta [B, ...]); the last two are zero unless `learn`.

    grad_membrane : dL/du~ of a loss that reads the membrane itself, [T, B, ...], or None.
    """
    h_fn, _ = surrogate(surrogate_name)
    grad_x = torch.empty_like(u_pre)
    grad_tau, grad_theta = torch.zeros_like(u_pre[0]), torch.zeros_like(u_pre[0])
    grad_u = torch.zeros_like(u_pre[0])  # dL/du[t], the membrane after the reset
    for t in range(u_pre.shape[0] - 1, -1, -1):
        z = u_pre[t] - theta
        s, h = (u_pre[t] >= theta).to(z.dtype), h_fn(z, slope)
        total_s = grad_s[t]  # dL/ds[t], through the output and, unless detached, through the reset
        if not detach_reset:
            total_s = total_s - grad_u * (u_pre[t] if hard else theta)
        if learn and not hard:
            grad_theta = grad_theta - grad_u * s
        grad_pre = total_s * h + (grad_u * (1 - s) if hard else grad_u)
        if grad_membrane is not None:
            grad_pre = grad_pre + grad_membrane[t]
        grad_x[t] = grad_pre
        if learn:
            grad_theta = grad_theta - total_s * h
            if t > 0:
                s_before = (u_pre[t - 1] >= theta).to(z.dtype)
                grad_tau = grad_tau + grad_pre * _reset(u_pre[t - 1], s_before, theta, hard)
        grad_u = tau * grad_pre
    return grad_x, grad_tau, grad_theta


@cache
def _compiled(step_fn: Callable) -> Callable:
    # One kernel per shape: a net has more of them (layers times lengths of T) than the compiler expects.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, COMPILED_SHAPES)
    return torch.compile(step_fn, dynamic=False)


class LIFFunction(torch.autograd.Function):
    """All T steps of the neuron: `apply(x, tau, theta, hard, detach_reset, surrogate_name, slope, compiled)` -> s.

    With True as a ninth argument it gives (s, u~), and takes gradients for both.
    """

    @staticmethod
    def forward(ctx, x, tau, theta, hard, detach_reset, surrogate_name, slope, compiled, with_membrane=False):
        run = _compiled(_forward_steps) if compiled else _forward_steps
        s, u_pre = run(x, tau, theta, hard)
        ctx.save_for_backward(u_pre, tau, theta)
        ctx.rules = (hard, detach_reset, surrogate_name, slope)
        ctx.compiled = compiled
        ctx.set_materialize_grads(False)
        return (s, u_pre) if with_membrane else s

    @staticmethod
    def backward(ctx, *grad_outputs):
        u_pre, tau, theta = ctx.saved_tensors
        learn = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        run = _compiled(_backward_steps) if ctx.compiled else _backward_steps
        hard, detach_reset, name, slope = ctx.rules
        grad_s, grad_membrane = (*grad_outputs, None)[:2]
        grad_s = torch.zeros_like(u_pre) if grad_s is None else grad_s
        grad_x, grad_tau, grad_theta = run(grad_s, u_pre, tau, theta, hard, detach_reset, name, slope, learn,
                                           grad_membrane)
        if not learn:
            return grad_x, *(None,) * 8
        return grad_x, grad_tau.sum_to_size(tau.shape), grad_theta.sum_to_size(theta.shape), *(None,) * 6


class LIF(nn.Module):
    """Multi-step LIF layer, [T, B, ...] currents to [T, B, ...] spikes.

    Parameters
    ----------
    tau, theta : initial leak factor and threshold, one per layer.
    hard_reset : reset to zero (True) or by subtracting theta (False).
    learn_tau, learn_theta : train them (off by default: the published net keeps them fixed).
    surrogate, slope : shape of the backward pass, see `s2nn.model.surrogate`; slope None takes its default.
    detach_reset : no gradient through the reset's spike, as is usual; False differentiates it too.
    compiled : run both passes through torch.compile (one fused kernel each; needs a working inductor back end).

    An `observer`, if set, is handed (s, u~) of every forward pass: spikes and the membrane before the reset, both
    [T, B, ...] and differentiable, for losses on inner layers (`s2nn.model.distill`).
    """

    observer: Callable[[torch.Tensor, torch.Tensor], None] | None

    tau: torch.Tensor
    theta: torch.Tensor

    def __init__(self, *, tau: float = 0.5, theta: float = 1.0, hard_reset: bool = True, learn_tau: bool = False,
                 learn_theta: bool = False, surrogate_name: str = "atan", slope: float | None = None,
                 detach_reset: bool = True, compiled: bool = False):
        super().__init__()
        if not 0 <= tau <= 1:
            raise ConfigError("tau must lie in [0, 1]", value=tau)
        if not theta > 0:
            raise ConfigError("theta must be positive", value=theta)
        self.hard_reset, self.detach_reset, self.compiled = hard_reset, detach_reset, compiled
        self.surrogate_name, self.observer = surrogate_name, None
        self.slope = surrogate(surrogate_name)[1] if slope is None else slope
        for name, value, learn in (("tau", tau, learn_tau), ("theta", theta, learn_theta)):
            tensor = torch.tensor(float(value))
            if learn:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [T, B, ...] -> s [T, B, ...]."""
        tau, theta = self.tau.to(x.dtype), self.theta.to(x.dtype)
        rules = self.hard_reset, self.detach_reset, self.surrogate_name, self.slope, self.compiled
        if self.observer is None:
            return LIFFunction.apply(x, tau, theta, *rules)  # type: ignore[no-any-return]
        s, u_pre = LIFFunction.apply(x, tau, theta, *rules, True)  # type: ignore[misc]
        self.observer(s, u_pre)
        return s

    def extra_repr(self) -> str:
        reset = "hard" if self.hard_reset else "soft"
        return f"tau={float(self.tau):g}, theta={float(self.theta):g}, reset={reset}, surrogate={self.surrogate_name}"
