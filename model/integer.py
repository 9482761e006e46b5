"""Torch forward pass of an integer `Program`, written independently of the NumPy golden model, to be compared with it.

Convolutions run in float64 on integers: every sum is below 2^53 and therefore exact in any order. Membranes are int64.
`s2nn.hw.spec.semantics` defines what must come out.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from s2nn.hw.spec.errors import DataError
from s2nn.hw.spec.program import INPUT, Layer, PoolOp, Program, ResidualOp
from s2nn.model.evaluate import first_argmax


@dataclass(frozen=True, kw_only=True)
class IntegerResult:
    """What a program did with a batch of images.

    spikes : [T, B, C, H, W] of every spiking layer, after its pool or residual; bool, uint8 where spikes were added up.
    membranes : int64 [B, C, H, W] of every spiking layer after the last step's reset, before its pool, without the
        positions that the pool drops.
    kept : int64 [T, B, C, H, W] currents that a layer keeps, by its name.
    logits : int64 [B, classes].
    """

    spikes: list[torch.Tensor]
    membranes: list[torch.Tensor]
    kept: dict[str, torch.Tensor]
    logits: torch.Tensor

    @property
    def predictions(self) -> torch.Tensor:
        """Class of the largest logit, the lowest among equals: int64 [B]."""
        return first_argmax(self.logits)


def _accumulate(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """x float64 [N, C, H, W] -> exact sums int64 [N, O, H', W'] at the layer's output positions before pooling."""
    weight = torch.from_numpy(layer.integer_weights()).double().to(x.device)
    _, height, width = layer.conv_shape
    reach_y = (height - 1) * layer.stride + weight.shape[2] - layer.pad - x.shape[2]
    reach_x = (width - 1) * layer.stride + weight.shape[3] - layer.pad - x.shape[3]
    padded = F.pad(x, (layer.pad, max(0, reach_x), layer.pad, max(0, reach_y)))
    return F.conv2d(padded, weight, stride=layer.stride)[:, :, :height, :width].round().long()


def _shifted(mantissas: object, layer: Layer, device: torch.device) -> torch.Tensor:
    """Mantissas (O,) as integers [O, 1, 1] after the layer's shift."""
    return (torch.as_tensor(mantissas, device=device).long() << layer.param_shift)[:, None, None]


def _fire(layer: Layer, current: torch.Tensor, leak_bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """current int64 [T, B, C, H, W] -> (spikes bool, same shape; membrane after the last reset [B, C, H, W])."""
    theta = _shifted(layer.threshold, layer, current.device)
    v, spikes = torch.zeros_like(current[0]), []
    for c in current:
        u = ((v * layer.leak) >> leak_bits) + c  # arithmetic shift: the floor, also below zero
        s = u >= theta
        v = torch.where(s, u - theta if layer.soft_reset else torch.zeros_like(u), u)
        spikes.append(s)
    return torch.stack(spikes), v


def _with_shortcut(layer: Layer, current: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """current int64 [T, B, O, H, W] and the floor of kept * gain / 2^shift, of the same shape."""
    gain = torch.as_tensor(layer.gain, device=current.device)[:, None, None]
    return current + torch.div(kept * gain, 1 << layer.gain_shift, rounding_mode="floor")


def _keep(layer: Layer, current: torch.Tensor, bits: int) -> torch.Tensor:
    """current int64 [T, B, O, H, W] in `bits` bits: divided by 2^shift to nearest, ties upwards, and clamped."""
    unit = 2 ** torch.as_tensor(layer.keep_shift, device=current.device)[:, None, None]
    return torch.div(2 * current + unit, 2 * unit, rounding_mode="floor").clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def integer_forward(program: Program, images: torch.Tensor) -> IntegerResult:
    """Run the program on images uint8 [B, C, H, W], or on spikes uint8 [B, T, C, H, W], on their device."""
    shape = ((program.steps,) if program.spike_input else ()) + program.in_shape
    if images.dtype != torch.uint8 or tuple(images.shape[1:]) != shape or not len(images):
        raise DataError(f"inputs must be uint8 [B, {', '.join(map(str, shape))}] with B >= 1",
                        value=f"{images.dtype} {list(images.shape)}", source=program.name)
    steps, batch = program.steps, len(images)
    maps = {INPUT: images.transpose(0, 1) if program.spike_input else images}  # [T, B, C, H, W], an image [B, C, H, W]
    all_spikes, membranes, kept = [], [], {}
    for layer in program.layers:
        x = maps[layer.source].double()
        x = x if layer.image_input else x.flatten(0, 1)
        bias = _shifted(layer.bias, layer, images.device)
        sign = 1 - 2 * torch.from_numpy(layer.negate).long().to(images.device)[:, None, None]
        shift = 0 if layer.image_input or layer.kind == "classify" else program.fraction_bits
        current = sign * (_accumulate(layer, x) << shift) + bias  # (T*B, O, H, W), of the image (B, O, H, W)
        current = current.expand(steps, *current.shape) if layer.image_input else current.unflatten(0, (steps, batch))
        if layer.kind == "classify":
            return IntegerResult(spikes=all_spikes, membranes=membranes, kept=kept,
                                 logits=current.sum(dim=0)[:, :, 0, 0])
        if layer.residual is not None and layer.adds_current:
            current = _with_shortcut(layer, current, kept[layer.residual])
        if layer.keep_shift is not None:
            kept[layer.name] = _keep(layer, current, program.current_bits)
        spikes, membrane = _fire(layer, current, program.leak_bits)
        if layer.pool:
            windows = spikes.unflatten(4, (-1, 2)).unflatten(3, (-1, 2))
            spikes = (windows.any(dim=6).any(dim=4) if layer.pool_op is PoolOp.MAX
                      else windows.sum(dim=(4, 6)).to(torch.uint8))
        if layer.residual is not None and not layer.adds_current:
            shortcut = maps[layer.residual]
            spikes = (shortcut.bool() & ~spikes if layer.residual_op is ResidualOp.IAND
                      else shortcut.to(torch.uint8) + spikes)
        all_spikes.append(spikes)
        membranes.append(membrane)
        maps[layer.name] = spikes
    raise AssertionError("a Program ends in a classifier")  # Program refuses any other


def integer_predict(program: Program, images: torch.Tensor, *, batch_size: int = 100) -> torch.Tensor:
    """Predicted classes of many images, batch by batch: int64 [N]."""
    return torch.cat([integer_forward(program, batch).predictions.cpu() for batch in images.split(batch_size)])


def integer_evaluate(program: Program, images: torch.Tensor, labels: torch.Tensor, *, batch_size: int = 100) -> float:
    """Share of images whose integer prediction is their label, 0..1."""
    return (integer_predict(program, images, batch_size=batch_size) == labels.cpu()).double().mean().item()
