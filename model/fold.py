"""The net after training: integer weights, and BN, scales and 1/255 folded into one gain and one bias per channel.

    acc = sum of w_int * input        exact integers: input is a spike (0/1), a sum of spikes or a pixel (0..255)
    BN(a*acc) = gamma*(a*acc - mean)/sqrt(var + eps) + beta = gain*acc + bias
    gain = gamma*a/sqrt(var + eps)    a = alpha_o; delta_o/255 for an image; alpha_o/4 behind average pooling
    bias = beta - gamma*mean/sqrt(var + eps)

Folded in float64, kept in float32. Every acc is an integer below 2^24, hence exact in float32 whatever the order of
summation: a folded net gives the same logits on every machine. This is what checkpoints store and what accuracy is
reported for.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F

from s2nn.hw.spec.program import INPUT, ResidualOp
from s2nn.model.layers import QuantisedLayer, SubBitConv2d
from s2nn.model.nets import NetConfig, SpikingNet, Stage
from s2nn.model.nets.stages import last_readers
from s2nn.model.neurons import LIFFunction


@dataclass(frozen=True, kw_only=True)
class FoldedLayer:
    """One convolution (or the classifier) of a folded net; the net's stages say how they are connected.

    Parameters
    ----------
    weight : +-1 or odd integers as float32, [O, I, rows, columns]; classifier [classes, I]. Of a full-precision net any
        floats: it then computes the same up to rounding.
    gain, bias : float32 [O]; of the classifier: logits = gain*mean_t(acc) + bias, all gains equal.
    codewords, indices : +-1 [2^eta, 9] and int64 [O*G] if the layer is sub-bit: weight = codewords[indices], with G
        groups of nine for each output channel.
    tau, theta : of the neurons that follow; unused in the classifier and where nothing fires.
    current_mean, current_spread : float32 [O], mean and standard deviation of gain*acc + bias over the training data
        (BN's beta and |gamma|), of a convolution whose current a membrane shortcut takes; else None.
    """

    weight: torch.Tensor
    gain: torch.Tensor
    bias: torch.Tensor
    codewords: torch.Tensor | None = None
    indices: torch.Tensor | None = None
    tau: float = 0.0
    theta: float = 0.0
    current_mean: torch.Tensor | None = None
    current_spread: torch.Tensor | None = None


def fold_bn(bn: nn.BatchNorm2d, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(gain, bias) float32 [O] of y = BN(scale*acc); scale [O]."""
    assert bn.running_mean is not None and bn.running_var is not None
    inverse = bn.weight.detach().double() / (bn.running_var.double() + bn.eps).sqrt()
    gain = inverse * scale.double()
    bias = bn.bias.detach().double() - inverse * bn.running_mean.double()
    return gain.float(), bias.float()


class FoldedNet(nn.Module):
    """A folded net: images uint8 [B, C, H, W] -> logits [B, classes]. Holds no parameters and cannot be trained.

    A net with spike input takes uint8 [B, T, C, H, W] of 0 and 1.
    """

    def __init__(self, config: NetConfig, layers: list[FoldedLayer]):
        super().__init__()
        self.config, self.layers = config, layers

    def to_device(self, device: str | torch.device) -> "FoldedNet":
        def moved(layer: FoldedLayer) -> FoldedLayer:
            return replace(layer, **{k: v.to(device) for k, v in vars(layer).items() if isinstance(v, torch.Tensor)})

        return FoldedNet(self.config, [moved(layer) for layer in self.layers])

    def _current(self, stage: Stage, layer: FoldedLayer, x: torch.Tensor) -> torch.Tensor:
        """Image [B, C, H, W] or integers [T, B, C, H, W] -> gain*acc + bias [T, B, O, H', W']."""
        gain, bias = layer.gain[:, None, None], layer.bias[:, None, None]
        acc = F.conv2d(x if x.dim() == 4 else x.flatten(0, 1), layer.weight, stride=stage.stride,
                       padding=stage.padding)
        current = gain * acc + bias
        if x.dim() == 4:
            return current.unsqueeze(0).expand(self.config.time_steps, -1, -1, -1, -1)
        return current.unflatten(0, (len(x), -1))

    def _fire(self, stage: Stage, layer: FoldedLayer, current: torch.Tensor,
              residual: torch.Tensor | None) -> torch.Tensor:
        """Currents -> the map as integers: spikes, or their sums where they are averaged or added up."""
        tau, theta = current.new_tensor(layer.tau), current.new_tensor(layer.theta)
        s = LIFFunction.apply(current, tau, theta, self.config.hard_reset, True, "atan", 2.0, False)
        if stage.pool:
            flat = s.flatten(0, 1)
            flat = 4 * F.avg_pool2d(flat, 2) if stage.is_mean_pooled else F.max_pool2d(flat, 2)
            s = flat.unflatten(0, (len(s), -1))
        if residual is not None:
            s = residual + s if stage.residual_op is ResidualOp.ADD else residual * (1 - s)
        return s

    def _maps(self, images: torch.Tensor) -> Iterator[torch.Tensor]:
        """The map of each stage that fires, in order; keeps those alone that a later stage reads."""
        x = images.float()
        maps, currents = {INPUT: x.transpose(0, 1) if self.config.spike_input else x}, {}
        stages = self.config.stages()
        finished, kept_currents = last_readers(stages), {stage.membrane for stage in stages}
        for stage, layer in zip(stages, self.layers[:-1], strict=True):
            current = self._current(stage, layer, maps[stage.source])
            if stage.membrane is not None:
                current = current + currents[stage.membrane]
            if stage.name in kept_currents:
                currents[stage.name] = current
            if stage.fires:
                maps[stage.name] = self._fire(stage, layer, current,
                                              None if stage.residual is None else maps[stage.residual])
                yield maps[stage.name]
            for name in finished[stage.name]:
                maps.pop(name, None)
                currents.pop(name, None)

    @torch.no_grad()
    def spikes(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The map of every stage that fires, [T, B, C, H, W] each: spikes, or integers where spikes are added up."""
        return list(self._maps(images))

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        last = deque(self._maps(images), maxlen=1).pop()
        count = last.sum(dim=0)  # (B, C, H, W), spikes over the T steps
        features = count.sum(dim=(2, 3)) if self.config.pooled_head else count.flatten(1)
        head = self.layers[-1]
        return head.gain * F.linear(features, head.weight) / self.config.time_steps + head.bias


def _layer(conv: QuantisedLayer, gain: torch.Tensor, bias: torch.Tensor, **others: float | torch.Tensor) -> FoldedLayer:
    codewords = indices = None
    if isinstance(conv, SubBitConv2d):
        codewords, indices = conv.codebook.codewords.detach().float().cpu().clone(), conv.indices().cpu()
    return FoldedLayer(weight=conv.integer_weight().detach().float().cpu().clone(), gain=gain.cpu().clone(),
                       bias=bias.cpu().clone(), codewords=codewords, indices=indices, **others)  # type: ignore[arg-type]


def fold(net: SpikingNet) -> FoldedNet:
    """Fold a trained net; the result lies on the CPU."""
    layers, config = [], net.config
    kept = {stage.membrane for stage in config.stages()}
    for block in net.spiking_blocks():
        stage = block.stage
        gain, bias = fold_bn(block.bn, block.conv.scale().flatten() / config.input_division(stage))
        neuron = {"tau": float(block.lif.tau), "theta": float(block.lif.theta)} if block.lif is not None else {}
        currents = {"current_mean": block.bn.bias.detach().float().cpu().clone(),
                    "current_spread": block.bn.weight.detach().abs().float().cpu()} if stage.name in kept else {}
        layers.append(_layer(block.conv, gain, bias, **neuron, **currents))
    head, last = net.classifier, config.stages()[-1]
    positions = last.out_height * last.out_width if config.pooled_head else 1
    gain = head.scale().flatten().expand(head.weight.shape[0]) / (positions * config.source_division(last.name))
    layers.append(_layer(head, gain.float(), head.bias.detach().float()))
    return FoldedNet(config, layers)
