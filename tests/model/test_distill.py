"""Distillation losses against plain loops, and a distiller between two nets that share nothing but LIF layers."""

import math

import pytest
import torch
from torch import nn

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.distill import (
    LOSSES,
    Distillation,
    Distiller,
    firing_rate_loss,
    gram,
    lif_layers,
    logit_loss,
    membrane_loss,
    mpfd_loss,
)
from s2nn.model.neurons import LIF


def membranes(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def plain_gram(u):
    """(16) for one step, u [B, ...], with loops."""
    rows = u.flatten(1)
    products = torch.stack([torch.stack([(a * b).sum() for b in rows]) for a in rows])
    return products / math.sqrt(products.square().sum())


def test_gram_matrices_are_batch_similarities_of_norm_one():
    u = membranes(3, 4, 2, 5, 5)
    g = gram(u)
    assert g.shape == (3, 4, 4)
    for t in range(3):
        torch.testing.assert_close(g[t], plain_gram(u[t]))
    torch.testing.assert_close(torch.linalg.matrix_norm(g), torch.ones(3, dtype=torch.double))
    assert not gram(torch.zeros(2, 3, 4)).any()
    assert gram(membranes(1, 4, 6).bfloat16()).dtype == torch.float32


def test_mpfd_sums_over_steps_and_forgets_scale_and_layer_shape():
    teacher, student = membranes(3, 4, 8, 2, 2, seed=1), membranes(3, 4, 5, 6, seed=2)
    expected = sum((plain_gram(a) - plain_gram(b)).square().sum() for a, b in zip(teacher, student, strict=True))
    torch.testing.assert_close(mpfd_loss(teacher, student), expected)
    torch.testing.assert_close(mpfd_loss(7 * teacher, student), expected)
    assert mpfd_loss(teacher, 0.01 * teacher).item() == pytest.approx(0, abs=1e-20)


def test_mpfd_has_the_gradient_of_its_formula():
    teacher, student = membranes(2, 3, 4, seed=1), membranes(2, 3, 5, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda u: mpfd_loss(teacher, u), (student,))


def test_the_other_losses_by_hand():
    a, b = torch.tensor([[[1.0, 0]], [[1, 1]]]), torch.tensor([[[0.0, 0]], [[1, 0]]])  # (T = 2, B = 1, 2)
    assert membrane_loss(a, b).item() == pytest.approx(1.0)  # t = 0: 1/2, t = 1: 1/2
    assert firing_rate_loss(a, b).item() == pytest.approx(((1 - .5) ** 2 + (.5 - 0) ** 2) / 2)
    teacher, student = torch.tensor([[2.0, 0]]), torch.tensor([[0.0, 1]])
    p, q = torch.softmax(teacher / 4, 1)[0], torch.softmax(student / 4, 1)[0]
    assert logit_loss(teacher, student, 4.0).item() == pytest.approx(16 * (p * (p / q).log()).sum().item())
    assert logit_loss(teacher, teacher, 4.0).item() == pytest.approx(0, abs=1e-6)


class Net(nn.Module):
    """Linear, LIF, linear, LIF, mean over T = 3."""

    def __init__(self, width, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = nn.Linear(6, width), nn.Linear(width, 4)
        self.lif1, self.lif2 = LIF(), LIF()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.lif2(self.second(self.lif1(self.first(x).expand(3, -1, -1)))).mean(dim=0)


@pytest.mark.parametrize("loss", LOSSES[1:])
def test_a_distiller_runs_the_teacher_once_per_batch_without_gradient(loss):
    teacher, student = Net(8, 1), Net(8, 2)
    distiller = Distiller(Distillation(loss=loss, weight=0.5), teacher=teacher, student=student)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(4)) * 3
    distiller.watch(x)
    logits = student(x)
    value = distiller.loss(logits)
    value.backward()
    assert teacher.calls == 1 and not teacher.training and all(p.grad is None for p in teacher.parameters())
    assert student.first.weight.grad.abs().sum() > 0
    seen = {}
    for name, net in (("teacher", teacher), ("student", student)):
        for lif, layer in lif_layers(net).items():
            layer.observer = lambda s, u, key=(name, lif): seen.update({key: (s, u)})
        seen[name] = net(x)
    expected = {
        "logits": lambda: logit_loss(seen["teacher"], seen["student"], 4.0),
        "mpfd": lambda: sum(mpfd_loss(seen["teacher", n][1], seen["student", n][1]) for n in ("lif1", "lif2")),
        "membrane": lambda: sum(membrane_loss(seen["teacher", n][1], seen["student", n][1]) for n in ("lif1", "lif2")),
        "firing_rate": lambda: sum(firing_rate_loss(seen["teacher", n][0], seen["student", n][0])
                                   for n in ("lif1", "lif2")),
    }[loss]()
    torch.testing.assert_close(value, 0.5 * expected)


def test_pairs_choose_layers_and_mpfd_joins_layers_of_any_width():
    teacher, student = Net(20, 1), Net(8, 2)
    distiller = Distiller(Distillation(loss="mpfd", pairs={"lif2": "lif1"}), teacher=teacher, student=student)
    distiller.watch(torch.randn(5, 6))
    assert distiller.loss(student(torch.randn(5, 6))) > 0
    with pytest.raises(ConfigError, match="pairs: must be a LIF layer of the net: lif1, lif2, not 'conv3'"):
        Distiller(Distillation(loss="mpfd", pairs={"conv3": "lif1"}), teacher=teacher, student=student)
    narrow = Distiller(Distillation(loss="membrane"), teacher=teacher, student=student)
    narrow.watch(torch.randn(5, 6))
    with pytest.raises(ConfigError, match=r"layers lif1 \(teacher\) and lif1 \(student\) must have maps of one shape"):
        narrow.loss(student(torch.randn(5, 6)))


@pytest.mark.parametrize(("arguments", "text"), [({"loss": "kd"}, "loss: must be one of none, mpfd"),
                                                 ({"weight": 0.0}, "weight: must be positive"),
                                                 ({"temperature": -1.0}, "temperature: must be positive")])
def test_bad_options_are_refused(arguments, text):
    with pytest.raises(ConfigError, match=text):
        Distillation(**arguments)
