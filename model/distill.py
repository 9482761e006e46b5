"""Distillation from a full-precision teacher: MPFD of S2NN (arXiv 2509.24266, section 4.3) and its alternatives.

    L = L_ce + lambda * L_distill

    mpfd         sum over layer pairs and t of ||G_tea[t] - G_stu[t]||_F^2,                                  (15)
                 G[t] = U U^T / ||U U^T||_F,  U = Q(u~[t]) in R^(B x CHW)                                    (16)
    membrane     MPFD without the Gram matrix: sum over layer pairs and t of the mean of (u~_tea[t] - u~_stu[t])^2
    firing_rate  sum over layer pairs of the mean of (r_tea - r_stu)^2, r = mean over t of the spikes
    logits       theta^2 * KL(softmax(z_tea/theta) || softmax(z_stu/theta)), theta the temperature, mean over the batch

    u~  membrane before the reset, [T, B, C, H, W];  G  B x B, how alike the images of a batch look to the layer

The paper leaves open lambda, the layer pairs (here: every LIF layer and its namesake in the teacher, unless told
otherwise), and the norm in (16), written ||.||_2: Frobenius here. A membrane of zeros has G = 0.
"""

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.neurons import LIF

NONE, MPFD, MEMBRANE, FIRING_RATE, LOGITS = LOSSES = ("none", "mpfd", "membrane", "firing_rate", "logits")
EPSILON = 1e-12


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """What the student learns from its teacher.

    Parameters
    ----------
    loss : "none", or one of the module's losses.
    weight : lambda.
    pairs : student layer -> teacher layer, module names of LIF layers ("blocks.1.lif"); empty pairs all by name.
    temperature : of the logits.
    teacher : checkpoint of a full-precision net of the same shape; None trains one first, with the same recipe.
    """

    loss: str = NONE
    weight: float = 1.0
    pairs: dict[str, str] = field(default_factory=dict)
    temperature: float = 4.0
    teacher: str | None = None

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ConfigError(f"must be one of {', '.join(LOSSES)}", value=self.loss, field="loss")
        for name in ("weight", "temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError("must be positive", value=getattr(self, name), field=name)

    @property
    def is_off(self) -> bool:
        return self.loss == NONE


def gram(u: torch.Tensor) -> torch.Tensor:
    """G of every step: u [T, B, ...] -> [T, B, B], each of Frobenius norm 1 (0 where u is 0)."""
    q = u.flatten(2).float() if u.dtype in (torch.bfloat16, torch.float16) else u.flatten(2)
    g = torch.bmm(q, q.transpose(1, 2))
    return g / torch.linalg.matrix_norm(g, keepdim=True).clamp_min(EPSILON)


def mpfd_loss(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """(15) for one layer pair: membranes [T, B, ...], which may differ in all but T and B -> scalar."""
    return (gram(teacher) - gram(student)).square().sum()


def membrane_loss(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Membranes [T, B, ...] of one shape -> scalar, summed over t."""
    return (teacher.float() - student.float()).square().mean() * len(student)


def firing_rate_loss(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Spikes [T, B, ...] of one shape -> scalar."""
    return (teacher.float().mean(dim=0) - student.float().mean(dim=0)).square().mean()


def logit_loss(teacher: torch.Tensor, student: torch.Tensor, temperature: float) -> torch.Tensor:
    """Logits [B, classes] -> scalar."""
    log_p = F.log_softmax(student.float() / temperature, dim=1)
    return F.kl_div(log_p, F.log_softmax(teacher.float() / temperature, dim=1), reduction="batchmean",
                    log_target=True) * temperature**2


class LayerTap:
    """What chosen LIF layers of a net did in its last forward pass: spikes and membranes, by module name."""

    def __init__(self, net: nn.Module, names: list[str]):
        self.seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        layers = lif_layers(net)
        for name in names:
            if name not in layers:
                raise ConfigError(f"must be a LIF layer of the net: {', '.join(layers)}", value=name, field="pairs")
            layers[name].observer = lambda s, u, name=name: self.seen.update({name: (s, u)})

    def take(self, name: str, *, membrane: bool) -> torch.Tensor:
        """Membrane or spikes [T, B, ...] of that layer."""
        s, u = self.seen[name]
        return u if membrane else s

    def forget(self) -> None:
        """Let go of the tensors."""
        self.seen.clear()


def lif_layers(net: nn.Module) -> dict[str, LIF]:
    """Module name -> LIF layer, in the order of the modules."""
    return {name: module for name, module in net.named_modules() if isinstance(module, LIF)}


class Distiller:
    """Teacher and student side by side; the teacher runs once per batch, without gradient, in eval mode.

    Use: `distiller.watch(x)`, then the student's forward pass on the same x, then `distiller.loss(logits)`.
    """

    def __init__(self, options: Distillation, *, teacher: nn.Module, student: nn.Module):
        self.options, self.teacher = options, teacher.eval().requires_grad_(False)
        self.pairs: dict[str, str] = {}
        if options.loss not in (NONE, LOGITS):
            self.pairs = dict(options.pairs) or {name: name for name in lif_layers(student)}
        self._student = LayerTap(student, list(self.pairs))
        self._teacher = LayerTap(teacher, list(dict.fromkeys(self.pairs.values())))
        self._logits = torch.empty(0)

    @torch.no_grad()
    def watch(self, x: torch.Tensor) -> None:
        """Run the teacher on the batch and keep what the loss needs of it."""
        self._logits = self.teacher(x)

    def loss(self, logits: torch.Tensor) -> torch.Tensor:
        """lambda * L_distill of the batch just watched; `logits` [B, classes] are the student's."""
        options = self.options
        with torch.autocast(logits.device.type, enabled=False):
            if options.loss == LOGITS:
                total = logit_loss(self._logits, logits, options.temperature)
            else:
                total = torch.stack([self._pair_loss(*pair) for pair in self.pairs.items()]).sum()
        self._student.forget()
        self._teacher.forget()
        return options.weight * total

    def _pair_loss(self, student: str, teacher: str) -> torch.Tensor:
        loss = {MPFD: mpfd_loss, MEMBRANE: membrane_loss, FIRING_RATE: firing_rate_loss}[self.options.loss]
        is_membrane = self.options.loss != FIRING_RATE
        taken = self._teacher.take(teacher, membrane=is_membrane), self._student.take(student, membrane=is_membrane)
        shapes = [tuple(part.shape) for part in taken]
        if self.options.loss != MPFD and shapes[0] != shapes[1]:
            raise ConfigError(f"layers {teacher} (teacher) and {student} (student) must have maps of one shape for "
                              f'the loss "{self.options.loss}"', value=shapes, field="pairs")
        return loss(*taken)
