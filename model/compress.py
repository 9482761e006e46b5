r"""One call that makes the convolutions and linear layers of any torch net sub-bit or 1-bit, in place.

    report = compress_(net, S2NNConfig(eta=4, targets=[r"features\..*"], etas={r"features\.3": 6}))
    for step, batch in enumerate(batches):
        begin_step(net, step)
        ...                                   # forward, backward, optimiser step
        end_step(net, generator)

Each layer keeps its class, stride, dilation, groups, bias and hooks: only its `weight` becomes a function of the old
one, through torch.nn.utils.parametrize, so wrappers of other SNN libraries work as they are. The old weight is the
latent, the very parameter that an optimiser may hold already. A net that calls its layers once per time step computes
that function each time, unless the loop stands under `torch.nn.utils.parametrize.cached()`.
`torch.nn.utils.parametrize.remove_parametrizations(layer, "weight")` leaves the quantised weight as a plain one.

Nets built here (`s2nn.model.nets`) need none of this: their recipes say the same in YAML.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.codebook import Codebook
from s2nn.model.grouping import TAPS, group_inputs, group_taps, ungroup_inputs, ungroup_taps
from s2nn.model.layer_names import check_all_match, check_etas, check_patterns, eta_of, matches
from s2nn.model.layers import SignThrough
from s2nn.model.os_quant import GRID, LINE, Assignment

Filter = Callable[[str, nn.Module], bool]


@dataclass(frozen=True, kw_only=True)
class S2NNConfig:
    """What `compress_` does to which layers.

    Parameters
    ----------
    eta : bits per group of nine weights, 2..6; None makes layers 1-bit.
    etas : regular expression -> eta, for layers whose whole module name it matches; no two may match one layer.
    targets, ignore : a layer is swapped if one of `targets` matches its whole module name, and none of `ignore` does.
    keep_ends : leave the first and the last layer of the net alone, as the papers do.
    group_inputs : linear and 1x1 layers take nine consecutive inputs as a group; otherwise they become 1-bit, as the
        text of S2NN has it (arXiv 2509.24266, App. K.1).
    assignment : how kernels choose codewords, see `s2nn.model.os_quant`.
    learned, period, latent_scale : of the codewords, see `s2nn.model.codebook`.
    seed : of the random codewords.
    """

    eta: int | None = 4
    etas: Mapping[str, int | None] = field(default_factory=dict)
    targets: Sequence[str] = (".*",)
    ignore: Sequence[str] = ()
    keep_ends: bool = True
    group_inputs: bool = False
    assignment: Assignment = field(default_factory=Assignment)
    learned: bool = True
    period: int = 25
    latent_scale: float = 0.1
    seed: int = 0

    def __post_init__(self):
        check_etas(self.eta, self.etas)
        check_patterns(self.targets, field="targets")
        check_patterns(self.ignore, field="ignore")


@dataclass(frozen=True, kw_only=True)
class SwappedLayer:
    """One layer after `compress_`: bits are those of the stored weights, indices and codebook, or signs; the scales of
    the output channels are not counted. eta is None for a 1-bit layer."""

    name: str
    kind: str
    eta: int | None
    shape: tuple[int, ...]
    weights: int
    bits: int

    @property
    def bits_per_weight(self) -> float:
        return self.bits / self.weights


@dataclass(frozen=True, kw_only=True)
class CompressionReport:
    """What was swapped, and which convolutions and linear layers were left as they are."""

    swapped: tuple[SwappedLayer, ...]
    kept: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"swapped": [{**asdict(layer), "bits_per_weight": layer.bits_per_weight} for layer in self.swapped],
                "kept": list(self.kept)}

    def __str__(self) -> str:
        lines = [f"{layer.name}: {layer.kind} {list(layer.shape)}, "
                 f"{'1 bit' if layer.eta is None else f'eta {layer.eta}'}, {layer.bits:,} bits, "
                 f"{layer.bits_per_weight:.3f} per weight" for layer in self.swapped]
        return "\n".join([*lines, f"kept: {', '.join(self.kept) or 'none'}"])


class QuantisedWeight(nn.Module):
    """Latent weight [O, ...] -> alpha_o * sign(w), or alpha_o * nearest codewords; see `s2nn.model.layers`.

    `codebook` None makes it 1-bit; `gathered` groups inputs instead of taps.
    """

    def __init__(self, codebook: Codebook | None, *, gathered: bool):
        super().__init__()
        self.codebook, self.gathered = codebook, gathered

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        alpha = w.detach().abs().mean(dim=tuple(range(1, w.dim())), keepdim=True)
        if self.codebook is None:
            return SignThrough.apply(w) * alpha  # type: ignore[no-any-return]
        group, ungroup = (group_inputs, ungroup_inputs) if self.gathered else (group_taps, ungroup_taps)
        return ungroup(self.codebook(group(w)), w.shape) * alpha


def compress_(net: nn.Module, config: S2NNConfig, filter: Filter | None = None) -> CompressionReport:
    """Make the Conv2d and Linear layers of `net` sub-bit or 1-bit in place, their weights becoming the latents.

    Parameters
    ----------
    net : any module; its own weight and every layer's device and dtype stay.
    filter : (module name, layer) -> whether to swap it, asked after the expressions of `config`.

    Raises
    ------
    ConfigError
        An expression that matches no layer, two `etas` for one layer, or a layer whose weight is parametrised already.
    """
    layers = {name: module for name, module in net.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
    names = list(layers)
    for field_name in ("targets", "ignore", "etas"):
        check_all_match(getattr(config, field_name), names, field=field_name)
    ends = {names[0], names[-1]} if config.keep_ends else set()
    chosen = {name: module for name, module in layers.items()
              if name not in ends and any(matches(pattern, name) for pattern in config.targets)
              and not any(matches(pattern, name) for pattern in config.ignore)
              and (filter is None or filter(name, module))}
    etas = {name: eta_of(name, config.eta, config.etas) for name in chosen}
    for name, module in chosen.items():
        if parametrize.is_parametrized(module, "weight"):
            raise ConfigError("its weight must not be parametrised already", value=type(module).__name__, source=name)
    generator = torch.Generator().manual_seed(config.seed)
    return CompressionReport(
        swapped=tuple(_swap(name, module, etas[name], config, generator) for name, module in chosen.items()),
        kept=tuple(name for name in names if name not in chosen))


def _swap(name: str, module: nn.Module, eta: int | None, config: S2NNConfig,
          generator: torch.Generator) -> SwappedLayer:
    weight: torch.Tensor = module.weight  # type: ignore[assignment]
    gathered = weight.shape[2:].numel() == 1  # linear, or 1x1
    kind = type(module).__name__
    book = None
    if eta is not None and (config.group_inputs or not gathered):
        book = Codebook(eta=eta, generator=generator, learned=config.learned, period=config.period,
                        latent_scale=config.latent_scale, assignment=config.assignment,
                        pairs=LINE if gathered else GRID)
        book.to(device=weight.device, dtype=weight.dtype)
    bits = weight.numel()
    if book is not None:
        groups = (group_inputs if gathered else group_taps)(weight.detach())
        bits = len(groups) * book.eta + 2**book.eta * TAPS
    parametrize.register_parametrization(module, "weight", QuantisedWeight(book, gathered=gathered))
    return SwappedLayer(name=name, kind=kind, eta=None if book is None else book.eta, shape=tuple(weight.shape),
                        weights=weight.numel(), bits=bits)


def begin_step(net: nn.Module, step: int) -> None:
    """Before the forward pass of training step 0, 1, ...: codebooks learn whether they get a gradient."""
    for module in net.modules():
        if isinstance(module, Codebook):
            module.begin_step(step)


@torch.no_grad()
def end_step(net: nn.Module, generator: torch.Generator) -> None:
    """After the optimiser step: clip latents to [-1, 1], refresh and repair codewords (`generator` draws new ones)."""
    for module in net.modules():
        if isinstance(module, parametrize.ParametrizationList) and isinstance(module[0], QuantisedWeight):
            module.original.clamp_(-1, 1)
        elif isinstance(module, Codebook):
            module.update(generator)
