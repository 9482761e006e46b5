"""Training that leaves the numbers: noticed before the weights change, with the layer where it began."""

from collections.abc import Callable

import torch
from torch import nn

from s2nn.hw.spec.errors import S2NNError
from s2nn.model.nets import SpikingNet

#: The last layer's name in messages; stages have their own.
CLASSIFIER = "classifier"


class DivergedError(S2NNError):
    """Training whose loss or gradient is no longer a number."""


def _layers(net: SpikingNet) -> list[tuple[str, nn.Module]]:
    """Name and module of every stage and of the classifier, in the order of the forward pass."""
    return [*((block.stage.name, block) for block in net.spiking_blocks()), (CLASSIFIER, net.classifier)]


def _is_finite(*tensors: torch.Tensor | None) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor is not None)


@torch.no_grad()
def first_layer_not_finite(net: SpikingNet, images: torch.Tensor) -> str | None:
    """Name of the first layer, in the order of the forward pass, that holds or makes a value that is no finite number;
    failing that of the last one with such a gradient, where a backward pass meets it first (gradients that a trainer
    has replaced tell nothing). None if there is none.

    Looks at parameters, at the outputs of convolution and BN (a neuron would turn NaN into silence), and at gradients.
    Changes nothing: BN's statistics are put back.
    """
    bad: list[str] = []

    def look(name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
        def after(_module: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            if not _is_finite(output):
                bad.append(name)

        return after

    hooks = [module.register_forward_hook(look(name)) for name, layer in _layers(net) for module in layer.modules()
             if isinstance(module, nn.BatchNorm2d) or layer is net.classifier]
    kept = {name: value.clone() for name, value in net.named_buffers()}
    try:
        for name, layer in _layers(net):
            if not _is_finite(*layer.parameters()):
                return name
        net(images)
    finally:
        for hook in hooks:
            hook.remove()
        for name, value in net.named_buffers():
            value.copy_(kept[name])
    if bad:
        return bad[0]
    spoiled = [name for name, layer in _layers(net) if not _is_finite(*(p.grad for p in layer.parameters()))]
    return spoiled[-1] if spoiled else None
