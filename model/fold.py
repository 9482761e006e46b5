"""The net after training: integer weights, and BN, scales and 1/255 folded into one gain and one bias per channel.

    acc = sum of w_int * input        exact integers: input is a spike (0/1) or a pixel (0..255)
    BN(a*acc) = gamma*(a*acc - mean)/sqrt(var + eps) + beta = gain*acc + bias
    gain = gamma*a/sqrt(var + eps)                                  a = alpha_o, or delta_o/255 for the image layer
    bias = beta - gamma*mean/sqrt(var + eps)

Folded in float64, kept in float32. Every acc is an integer below 2^24, hence exact in float32 whatever the order of
summation: a folded net gives the same logits on every machine. This is what checkpoints store and what accuracy is
reported for.
"""

from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F

from s2nn.model.layers import QuantisedLayer, SubBitConv2d
from s2nn.model.nets import NetConfig, SpikingNet
from s2nn.model.neurons import LIFFunction


@dataclass(frozen=True, kw_only=True)
class FoldedLayer:
    """One convolution (or the classifier) of a folded net.

    Parameters
    ----------
    weight : +-1 or odd integers as float32, [O, I, 3, 3]; classifier [classes, I].
    gain, bias : float32 [O]; of the classifier: logits = gain*mean_t(acc) + bias, all gains equal.
    codewords, indices : +-1 [2^eta, 9] and int64 [O*I] if the layer is sub-bit: weight = codewords[indices].
    tau, theta, pool : of the neuron and the pool that follow; unused in the classifier.
    """

    weight: torch.Tensor
    gain: torch.Tensor
    bias: torch.Tensor
    codewords: torch.Tensor | None = None
    indices: torch.Tensor | None = None
    tau: float = 0.0
    theta: float = 0.0
    pool: bool = False


def fold_bn(bn: nn.BatchNorm2d, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(gain, bias) float32 [O] of y = BN(scale*acc); scale [O]."""
    assert bn.running_mean is not None and bn.running_var is not None
    inverse = bn.weight.detach().double() / (bn.running_var.double() + bn.eps).sqrt()
    gain = inverse * scale.double()
    bias = bn.bias.detach().double() - inverse * bn.running_mean.double()
    return gain.float(), bias.float()


class FoldedNet(nn.Module):
    """A folded net: images uint8 [B, C, H, W] -> logits [B, classes]. Holds no parameters and cannot be trained."""

    def __init__(self, config: NetConfig, layers: list[FoldedLayer]):
        super().__init__()
        self.config, self.layers = config, layers

    def to_device(self, device: str | torch.device) -> "FoldedNet":
        def moved(layer: FoldedLayer) -> FoldedLayer:
            return replace(layer, **{k: v.to(device) for k, v in vars(layer).items() if isinstance(v, torch.Tensor)})

        return FoldedNet(self.config, [moved(layer) for layer in self.layers])

    @torch.no_grad()
    def spikes(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Output spikes of every convolution after its pool, [T, B, C, H, W] each."""
        time_steps, maps = self.config.time_steps, []
        x = images.float()
        for layer in self.layers[:-1]:
            gain, bias = layer.gain[:, None, None], layer.bias[:, None, None]
            acc = F.conv2d(x if x.dim() == 4 else x.flatten(0, 1), layer.weight, padding=1)
            current = gain * acc + bias
            if x.dim() == 4:
                current = current.unsqueeze(0).expand(time_steps, -1, -1, -1, -1)
            else:
                current = current.unflatten(0, (time_steps, -1))
            tau, theta = current.new_tensor(layer.tau), current.new_tensor(layer.theta)
            x = LIFFunction.apply(current, tau, theta, self.config.hard_reset, True, "atan", 2.0, False)
            if layer.pool:
                x = F.max_pool2d(x.flatten(0, 1), 2).unflatten(0, (time_steps, -1))
            maps.append(x)
        return maps

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        count = self.spikes(images)[-1].sum(dim=0).flatten(1)  # (B, C*H*W), spikes over the T steps
        head = self.layers[-1]
        return head.gain * F.linear(count, head.weight) / self.config.time_steps + head.bias


def _layer(conv: QuantisedLayer, gain: torch.Tensor, bias: torch.Tensor, **neuron: float | bool) -> FoldedLayer:
    codewords = indices = None
    if isinstance(conv, SubBitConv2d):
        codewords, indices = conv.codebook.codewords.detach().float().cpu().clone(), conv.indices().cpu()
    return FoldedLayer(weight=conv.integer_weight().detach().float().cpu().clone(), gain=gain.cpu().clone(),
                       bias=bias.cpu().clone(), codewords=codewords, indices=indices, **neuron)  # type: ignore[arg-type]


def fold(net: SpikingNet) -> FoldedNet:
    """Fold a trained net; the result lies on the CPU."""
    layers = []
    for number, block in enumerate(net.spiking_blocks()):
        scale = block.conv.scale().flatten()  # (O,)
        gain, bias = fold_bn(block.bn, scale / 255 if number == 0 else scale)
        tau, theta = float(block.lif.tau), float(block.lif.theta)
        layers.append(_layer(block.conv, gain, bias, tau=tau, theta=theta, pool=block.pool))
    head = net.classifier
    gain = head.scale().flatten().expand(head.weight.shape[0])
    layers.append(_layer(head, gain.float(), head.bias.detach().float()))
    return FoldedNet(net.config, layers)
