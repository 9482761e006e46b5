"""The multi-step LIF against the same equations written step by step for autograd."""

import itertools

import pytest
import torch

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.neurons import LIF, LIFFunction
from s2nn.model.surrogate import SURROGATES, surrogate

CASES = list(itertools.product((True, False), (True, False), SURROGATES))


class Step(torch.autograd.Function):
    """H(u - theta) with the surrogate as derivative: one step, written plainly."""

    @staticmethod
    def forward(ctx, z, name, slope):
        ctx.save_for_backward(z)
        ctx.rule = name, slope
        return (z >= 0).to(z.dtype)

    @staticmethod
    def backward(ctx, grad):
        (z,) = ctx.saved_tensors
        name, slope = ctx.rule
        return grad * surrogate(name)[0](z.clone(), slope), None, None


def reference(x, tau, theta, hard, detach_reset, name, slope, membranes=None):
    """Spikes; the membranes before the reset are appended to `membranes`."""
    u, spikes = torch.zeros_like(x[0]), []
    for t in range(len(x)):
        u = tau * u + x[t]
        if membranes is not None:
            membranes.append(u)
        s = Step.apply(u - theta, name, slope)
        r = s.detach() if detach_reset else s
        u = u * (1 - r) if hard else u - theta * r
        spikes.append(s)
    return torch.stack(spikes)


@pytest.mark.parametrize(("hard", "detach_reset", "name"), CASES)
@pytest.mark.parametrize("per_channel", [False, True])
def test_values_and_all_gradients_equal_the_step_by_step_net(hard, detach_reset, name, per_channel):
    generator = torch.Generator().manual_seed(1)
    slope = surrogate(name)[1]
    shape = (4, 1, 1) if per_channel else ()
    x = torch.randn(5, 3, 4, 2, 2, dtype=torch.double, generator=generator) * 1.5
    tau = 0.7 + 0.1 * torch.rand(shape, dtype=torch.double, generator=generator)
    theta = 0.9 + 0.1 * torch.rand(shape, dtype=torch.double, generator=generator)
    weight = torch.randn(x.shape, dtype=torch.double, generator=generator)
    results = []
    for run in (reference, lambda *a: LIFFunction.apply(*a, False)):
        inputs = [v.clone().requires_grad_() for v in (x, tau, theta)]
        s = run(*inputs, hard, detach_reset, name, slope)
        (s * weight).sum().backward()
        results.append((s.detach(), *(v.grad for v in inputs)))
    assert 0.1 < results[0][0].mean() < 0.9
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("hard", "detach_reset", "name"), CASES)
@pytest.mark.parametrize("spikes_count_too", [False, True])
def test_an_observer_sees_the_membrane_and_its_gradient_comes_back(hard, detach_reset, name, spikes_count_too):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(4, 3, 5, dtype=torch.double, generator=generator) * 1.5
    weights = torch.randn(2, *x.shape, dtype=torch.double, generator=generator)
    lif = LIF(tau=0.7, theta=0.9, hard_reset=hard, surrogate_name=name, detach_reset=detach_reset).double()
    seen, membranes, results = [], [], []
    lif.observer = lambda s, u: seen.append((s, u))
    for run in (lambda v: (reference(v, lif.tau, lif.theta, hard, detach_reset, name, lif.slope, membranes),
                           torch.stack(membranes)), lambda v: (lif(v), seen[0][1])):
        inputs = x.clone().requires_grad_()
        s, u = run(inputs)
        ((u * weights[0]).sum() + spikes_count_too * (s * weights[1]).sum()).backward()
        results.append((s.detach(), u.detach(), inputs.grad))
    assert torch.equal(seen[0][0], results[1][0])
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("current", "spike"), [(1.0, 1.0), (0.9999999, 0.0), (1.0000001, 1.0)])
def test_a_membrane_that_equals_the_threshold_fires(current, spike):
    assert LIF(theta=1.0)(torch.full((1, 1), current)).item() == spike


@pytest.mark.parametrize(("hard", "expected"), [
    (True, [0, 1, 0, 1]),  # u~ = 0.875, 1.3125, 0.875, 1.3125
    (False, [0, 1, 1, 0]),  # u~ = 0.875, 1.3125, 0.5*0.3125 + 0.875 = 1.03125, 0.5*0.03125 + 0.875 = 0.890625
])
def test_reset_rules_by_hand(hard, expected):
    s = LIF(tau=0.5, theta=1.0, hard_reset=hard)(torch.full((4, 1), 0.875))
    assert s[:, 0].tolist() == expected


def test_tau_and_theta_train_only_when_asked():
    x = torch.randn(3, 2, requires_grad=True)
    assert not list(LIF().parameters())
    lif = LIF(learn_tau=True, learn_theta=True)
    lif(x).sum().backward()
    assert lif.tau.grad is not None and lif.theta.grad is not None and lif.theta.grad != 0


@pytest.mark.parametrize(("arguments", "text"), [({"tau": 1.5}, "tau"), ({"theta": 0.0}, "theta"),
                                                 ({"surrogate_name": "box"}, "surrogate must be one of")])
def test_bad_neurons_are_refused(arguments, text):
    with pytest.raises(ConfigError, match=text):
        LIF(**arguments)


@pytest.mark.parametrize("name", SURROGATES)
def test_surrogates_integrate_to_one(name):
    fn, slope = surrogate(name)
    z = torch.linspace(-2000, 2000, 4_000_001, dtype=torch.double)
    assert torch.trapezoid(fn(z.clone(), slope), z).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("hard", "detach_reset", "name"), CASES)
@pytest.mark.parametrize("learn", [False, True])
def test_the_loops_that_are_compiled_give_what_the_eager_ones_give(monkeypatch, hard, detach_reset, name, learn):
    monkeypatch.setattr("s2nn.model.neurons._compiled", lambda steps_fn: steps_fn)  # traced or not, the same arithmetic
    x, grad = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.double)
    results = []
    for compiled in (False, True):
        lif = LIF(hard_reset=hard, detach_reset=detach_reset, surrogate_name=name, learn_tau=learn, learn_theta=learn,
                  compiled=compiled).double()
        membranes = []
        lif.observer = (lambda s, u_pre, seen=membranes: seen.append(u_pre)) if learn else None
        leaf = x.clone().requires_grad_()
        s = lif(leaf)
        torch.autograd.backward([s, *membranes], [grad, *(0.1 * grad for _ in membranes)])
        results.append([s, *membranes, leaf.grad, *(p.grad for p in lif.parameters())])
    for eager, fused in zip(*results, strict=True):
        assert torch.equal(eager, fused)
    with torch.no_grad():
        assert torch.equal(lif(x), s)


def test_an_expanded_current_fires_as_its_copies_do():
    x = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(3)).to(memory_format=torch.channels_last)
    expanded = x.unsqueeze(0).expand(4, -1, -1, -1, -1).requires_grad_()
    copied = expanded.detach().clone().requires_grad_()
    spikes = LIF()(expanded)
    assert torch.equal(spikes, LIF()(copied)) and torch.equal(LIF()(expanded.detach()), spikes)
    for s, leaf in ((spikes, expanded), (LIF()(copied), copied)):
        (s * torch.arange(s.numel()).reshape(s.shape)).sum().backward()
        assert leaf.grad is not None
    assert torch.equal(expanded.grad, copied.grad)
