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

The paper states neither tau, theta nor the surrogate, so they are parameters here; the defaults (0.5, 1, atan) are
those of the SNN literature it builds on.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import nn

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.surrogate import surrogate

COMPILED_SHAPES = 64

Rows = Sequence[torch.Tensor]
Gradients = tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor] | None]


class Rules(NamedTuple):
    """What of a neuron is fixed: reset, whether its gradient is cut, and the surrogate."""

    hard: bool
    detach_reset: bool
    surrogate_name: str
    slope: float


def _reset_(u: torch.Tensor, u_pre: torch.Tensor, s: torch.Tensor, theta: torch.Tensor, hard: bool) -> None:
    """u <- the membrane after the reset."""
    torch.addcmul(u_pre, u_pre if hard else theta, s, value=-1, out=u)


def _forward_steps(x: Rows, s: Rows, u_pre: Rows, tau: torch.Tensor, theta: torch.Tensor, hard: bool) -> None:
    """Fill s and u~ from x; each is a list of T tensors [B, ...]."""
    u = torch.empty_like(u_pre[0])
    for t in range(len(x)):
        if t == 0:
            u_pre[t].copy_(x[t])
        else:
            torch.mul(u, tau, out=u_pre[t]).add_(x[t])
        torch.ge(u_pre[t], theta, out=s[t])
        _reset_(u, u_pre[t], s[t], theta, hard)


def _backward_steps(grad_s: Rows, grad_membrane: Rows | None, s: Rows, u_pre: Rows, grad_x: Rows, tau: torch.Tensor,
                    theta: torch.Tensor, rules: Rules, learnt: tuple[torch.Tensor, torch.Tensor] | None) -> None:
    """Fill dL/dx; add to `learnt`, dL/dtau and dL/dtheta of every neuron [B, ...], if given.

    grad_membrane : dL/du~ of a loss that reads the membrane itself, or None.
    """
    h_fn, _ = surrogate(rules.surrogate_name)
    grad_u, h, u = (torch.empty_like(u_pre[0]) for _ in range(3))  # grad_u: dL/du[t], the membrane after the reset
    for t in reversed(range(len(u_pre))):
        is_last = t == len(u_pre) - 1
        h_fn(torch.sub(u_pre[t], theta, out=h), rules.slope)
        total_s = grad_s[t]  # dL/ds[t], through the output and, unless detached, through the reset
        if not rules.detach_reset and not is_last:
            total_s = total_s - grad_u * (u_pre[t] if rules.hard else theta)
        torch.mul(total_s, h, out=grad_x[t])
        if learnt is not None:
            learnt[1].sub_(grad_x[t])
        if not is_last:
            if learnt is not None and not rules.hard:
                learnt[1].addcmul_(grad_u, s[t], value=-1)
            if rules.hard:
                grad_u.addcmul_(grad_u, s[t], value=-1)
            grad_x[t].add_(grad_u)
        if grad_membrane is not None:
            grad_x[t].add_(grad_membrane[t])
        if t > 0:
            if learnt is not None:
                _reset_(u, u_pre[t - 1], s[t - 1], theta, rules.hard)
                learnt[0].addcmul_(grad_x[t], u)
            torch.mul(grad_x[t], tau, out=grad_u)


def _zeros(like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros_like(like[0]), torch.zeros_like(like[0])


def _unbound(x: torch.Tensor | None) -> Rows | None:
    return None if x is None else x.unbind()


def _forward_eager(x: torch.Tensor, tau: torch.Tensor, theta: torch.Tensor, hard: bool,
                   keep: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(s, u~), both [T, B, ...]; u~ is None unless `keep`."""
    s, u_pre = torch.empty_like(x), torch.empty_like(x) if keep else None
    rows = [torch.empty_like(x[0])] * len(x) if u_pre is None else u_pre.unbind()
    _forward_steps(x.unbind(), s.unbind(), rows, tau, theta, hard)
    return s, u_pre


def _backward_eager(grad_s: torch.Tensor, grad_membrane: torch.Tensor | None, s: torch.Tensor, u_pre: torch.Tensor,
                    tau: torch.Tensor, theta: torch.Tensor, rules: Rules, learn: bool) -> Gradients:
    """(dL/dx [T, B, ...], then dL/dtau and dL/dtheta of every neuron [B, ...], if `learn`)."""
    grad_x, learnt = torch.empty_like(u_pre), _zeros(u_pre) if learn else None
    _backward_steps(grad_s.unbind(), _unbound(grad_membrane), s.unbind(), u_pre.unbind(), grad_x.unbind(), tau, theta,
                    rules, learnt)
    return grad_x, learnt


# A compiled loop is bound by memory: it makes T tensors and joins them, since writing into slices of one tensor would
# copy it each time, and its backward pass runs the forward pass again instead of reading what that left.


def _forward_fused(x: torch.Tensor, tau: torch.Tensor, theta: torch.Tensor, hard: bool,
                   keep: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    s, u_pre = _empty_rows(x), _empty_rows(x)
    _forward_steps(x.unbind(), s, u_pre, tau, theta, hard)
    return torch.stack(s), torch.stack(u_pre) if keep else None


def _backward_fused(grad_s: torch.Tensor, grad_membrane: torch.Tensor | None, x: torch.Tensor, tau: torch.Tensor,
                    theta: torch.Tensor, rules: Rules, learn: bool) -> Gradients:
    s, u_pre, grad_x = _empty_rows(x), _empty_rows(x), _empty_rows(x)
    _forward_steps(x.unbind(), s, u_pre, tau, theta, rules.hard)
    learnt = _zeros(x) if learn else None
    _backward_steps(grad_s.unbind(), _unbound(grad_membrane), s, u_pre, grad_x, tau, theta, rules, learnt)
    return torch.stack(grad_x), learnt


def _empty_rows(like: torch.Tensor) -> list[torch.Tensor]:
    return [torch.empty_like(row) for row in like.unbind()]


@cache
def _compiled(steps_fn: Callable) -> Callable:
    # One kernel per shape: a net has more of them (layers times lengths of T) than the compiler expects.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, COMPILED_SHAPES)
    return torch.compile(steps_fn, dynamic=False)


class LIFFunction(torch.autograd.Function):
    """All T steps of the neuron: `apply(x, tau, theta, hard, detach_reset, surrogate_name, slope, compiled)` -> s.

    With True as a ninth argument it gives (s, u~), and takes gradients for both.
    """

    @staticmethod
    def forward(ctx, x, tau, theta, hard, detach_reset, surrogate_name, slope, compiled, with_membrane=False):
        if compiled:
            s, u_pre = _compiled(_forward_fused)(x, tau, theta, hard, with_membrane)
            ctx.save_for_backward(tau, theta, x)
        else:
            s, u_pre = _forward_eager(x, tau, theta, hard, with_membrane or any(ctx.needs_input_grad))
            ctx.save_for_backward(tau, theta, s, u_pre)
        ctx.rules = Rules(hard, detach_reset, surrogate_name, slope)
        ctx.compiled = compiled
        ctx.set_materialize_grads(False)
        return (s, u_pre) if with_membrane else s

    @staticmethod
    def backward(ctx, *grad_outputs):
        tau, theta, *kept = ctx.saved_tensors
        learn = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        grad_s, grad_membrane = (*grad_outputs, None)[:2]
        grad_s = torch.zeros_like(kept[0]) if grad_s is None else grad_s
        if ctx.compiled:
            (x,) = kept
            grad_x, learnt = _compiled(_backward_fused)(grad_s, grad_membrane, x, tau, theta, ctx.rules, learn)
        else:
            s, u_pre = kept
            grad_x, learnt = _backward_eager(grad_s, grad_membrane, s, u_pre, tau, theta, ctx.rules, learn)
        if learnt is None:
            return grad_x, *(None,) * 8
        return grad_x, learnt[0].sum_to_size(tau.shape), learnt[1].sum_to_size(theta.shape), *(None,) * 6


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
