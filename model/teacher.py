"""Trained nets that help to train another one: the full-precision teacher, and the 1-bit twin whose kernels a codebook
is chosen from. Both come as packed checkpoints."""

from dataclasses import replace
from pathlib import Path

import torch

from s2nn.hw.spec.errors import CheckpointError, ConfigError
from s2nn.model.checkpoint import load_checkpoint
from s2nn.model.distill import Distillation, Distiller
from s2nn.model.fold import FoldedNet
from s2nn.model.layers import SubBitConv2d
from s2nn.model.nets import NetConfig, SpikingNet

FULL_PRECISION = "fp"


def unfold(net: FoldedNet) -> SpikingNet:
    """A folded full-precision net as a module in eval mode, each channel's gain in its BN; equal up to rounding."""
    if not net.config.full_precision:
        raise ConfigError("only a full-precision net can be unfolded: others have no latents left",
                          value=net.config.weight_format)
    unfolded = SpikingNet(net.config, generator=torch.Generator())
    with torch.no_grad():
        for block, layer in zip(unfolded.spiking_blocks(), net.layers, strict=False):
            block.conv.weight.copy_(layer.weight)
            block.bn.weight.copy_(layer.gain * net.config.input_division(block.stage))
            block.bn.bias.copy_(layer.bias)
            assert block.bn.running_var is not None
            block.bn.running_var.fill_(1 - block.bn.eps)
            if block.lif is not None:
                block.lif.tau.fill_(layer.tau)
                block.lif.theta.fill_(layer.theta)
        unfolded.classifier.weight.copy_(net.layers[-1].weight)
        unfolded.classifier.bias.copy_(net.layers[-1].bias)
    return unfolded.eval()


def _load(name_or_path: str, *, weights: str, like: NetConfig) -> FoldedNet:
    """The net of a checkpoint in this weight format, whose shape is that of `like` (T, tau and theta may differ)."""
    net = load_checkpoint(name_or_path).net
    if net.config.weight_format != weights:
        raise CheckpointError(f"must hold a net of the weight format {weights}", value=net.config.weight_format,
                              source=name_or_path)
    for name in ("input_shape", "layers", "classes", "spike_input", "block"):
        if getattr(net.config, name) != getattr(like, name):
            raise CheckpointError(f"must be that of the net that learns from it, {getattr(like, name)!r}",
                                  value=getattr(net.config, name), field=name, source=name_or_path)
    return net


def load_teacher(name_or_path: str | Path, config: NetConfig) -> SpikingNet:
    """A full-precision checkpoint as the teacher of a net of this config. Raises `CheckpointError`."""
    return unfold(_load(str(name_or_path), weights=FULL_PRECISION, like=config))


def twin_kernels(name_or_path: str | Path, net: SpikingNet) -> dict[int, torch.Tensor]:
    """Stage number -> kernels +-1 [G, 9] of a 1-bit checkpoint, for the sub-bit stages of `net`."""
    twin = _load(str(name_or_path), weights="binary", like=net.config)
    return {number: block.conv.group(twin.layers[number].weight).to(block.conv.weight)
            for number, block in enumerate(net.spiking_blocks()) if isinstance(block.conv, SubBitConv2d)}


def make_distiller(options: Distillation, *, teacher: SpikingNet | None, student: SpikingNet) -> Distiller | None:
    """The distiller of a run, or None without distillation. `options.pairs` name stages ("conv2") here."""
    if options.is_off:
        return None
    if teacher is None:
        raise ConfigError("a recipe with distillation needs a teacher", value=options.loss, field="distillation.loss")
    pairs = {_lif_name(student, ours): _lif_name(teacher, theirs) for ours, theirs in options.pairs.items()}
    return Distiller(replace(options, pairs=pairs), teacher=teacher, student=student)


def _lif_name(net: SpikingNet, stage: str) -> str:
    names = {block.stage.name: f"blocks.{n}.lif" for n, block in enumerate(net.spiking_blocks()) if block.stage.fires}
    if stage not in names:
        raise ConfigError(f"must name stages that fire: {', '.join(names)}", value=stage, field="distillation.pairs")
    return names[stage]
