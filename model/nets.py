"""The spiking nets, built from a small config and a string such as "32C3-64C3-MP2-128C3-MP2-128C3-MP2-FC".

    nC3   3x3 convolution to n channels, padding 1, then BN, then LIF
    MP2   2x2 max-pool of the spikes, stride 2 (an odd last row or column is dropped); follows a convolution
    FC    the classifier, last and only once

Direct coding: the first convolution (8-bit planes) sees the 8-bit image x/255 once and its BN output is the same input
current at every one of the T steps. The other convolutions are sub-bit or 1-bit and see spikes. The classifier (8-bit
planes, with bias) reads the last spike map flattened as (C, H, W); the logits are the mean over the T steps.
Nothing else is learnable, so that everything folds into the accelerator's integers.
"""

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.codebook import ETAS, Codebook
from s2nn.model.layers import BinaryConv2d, PlaneConv2d, PlaneLinear, QuantisedLayer, SubBitConv2d
from s2nn.model.neurons import LIF

DEFAULT_LAYERS = "32C3-64C3-MP2-128C3-MP2-128C3-MP2-FC"
CODEWORD_SEED_OFFSET = 1_000_000


@dataclass(frozen=True, kw_only=True)
class NetConfig:
    """What a net is, apart from its weights.

    Parameters
    ----------
    input_shape : (C, H, W) of the 8-bit image.
    layers : the layer string, see the module.
    classes : outputs of FC.
    time_steps : T.
    eta : bits per kernel of the hidden convolutions, 2..6; None makes them 1-bit (the twin).
    tau : leak factor, a multiple of 1/256, because the hardware multiplies by round(256*tau)/256.
    theta, hard_reset : threshold before folding, reset rule.
    plane_bits : bits of the first layer's and the classifier's weights.
    """

    input_shape: tuple[int, int, int] = (1, 28, 28)
    layers: str = DEFAULT_LAYERS
    classes: int = 10
    time_steps: int = 4
    eta: int | None = 4
    tau: float = 0.5
    theta: float = 1.0
    hard_reset: bool = True
    plane_bits: int = 8

    def __post_init__(self):
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ConfigError("input_shape must be (channels, height, width), each at least 1", value=self.input_shape)
        if self.eta is not None and self.eta not in ETAS:
            raise ConfigError(f"eta must be None (1-bit) or one of {', '.join(map(str, ETAS))}", value=self.eta)
        if not 0 <= self.tau <= 1 or self.tau * 256 != round(self.tau * 256):
            raise ConfigError("tau must be a multiple of 1/256 in [0, 1]", value=self.tau)
        if not self.theta > 0:
            raise ConfigError("theta must be positive", value=self.theta)
        for name, least in (("time_steps", 1), ("classes", 2), ("plane_bits", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}", value=getattr(self, name))
        self.stages()

    @property
    def weight_format(self) -> str:
        """"binary" or "eta4", "eta5", ..."""
        return "binary" if self.eta is None else f"eta{self.eta}"

    def stages(self) -> list["Stage"]:
        """The convolutions in order, with their shapes; refuses a string that is no net."""
        words = self.layers.split("-")
        if words[-1] != "FC" or words.count("FC") != 1:
            raise ConfigError("layers must end in one FC", value=self.layers)
        stages: list[Stage] = []
        channels, height, width = self.input_shape
        for word in words[:-1]:
            if match := re.fullmatch(r"([1-9]\d*)C3", word):
                stages.append(Stage(in_channels=channels, out_channels=int(match[1]), height=height, width=width,
                                    pool=False))
                channels = int(match[1])
            elif word == "MP2":
                if not stages or stages[-1].pool:
                    raise ConfigError("MP2 must follow a convolution", value=self.layers)
                stages[-1] = replace(stages[-1], pool=True)
                height, width = stages[-1].out_height, stages[-1].out_width
                if height < 1 or width < 1:
                    raise ConfigError("a map must keep at least one pixel after MP2", value=self.layers)
            else:
                raise ConfigError("a layer must read nC3, MP2 or FC", value=word)
        if not stages:
            raise ConfigError("layers must hold at least one convolution before FC", value=self.layers)
        return stages

    @property
    def classifier_inputs(self) -> int:
        last = self.stages()[-1]
        return last.out_channels * last.out_height * last.out_width

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "input_shape": list(self.input_shape)}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One convolution + BN + LIF, with a pool if `pool`; height and width are those of its input."""

    in_channels: int
    out_channels: int
    height: int
    width: int
    pool: bool

    @property
    def out_height(self) -> int:
        return self.height // 2 if self.pool else self.height

    @property
    def out_width(self) -> int:
        return self.width // 2 if self.pool else self.width


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How the layers train; nothing of this is left in the trained net.

    Parameters
    ----------
    surrogate, slope : see `s2nn.model.surrogate`.
    learn_codewords, codebook_period, codebook_latent_scale : see `s2nn.model.codebook.Codebook`.
    codebook_started : False if the trainer starts the codebooks later, from fitted codewords.
    compiled : neurons through torch.compile.
    """

    surrogate: str = "atan"
    slope: float | None = None
    learn_codewords: bool = True
    codebook_period: int = 25
    codebook_latent_scale: float = 0.1
    codebook_started: bool = True
    compiled: bool = False


class SpikingBlock(nn.Module):
    """Convolution, BN, LIF and perhaps a pool."""

    conv: QuantisedLayer
    bn: nn.BatchNorm2d
    lif: LIF
    pool: bool

    def __init__(self, conv: QuantisedLayer, lif: LIF, *, channels: int, pool: bool):
        super().__init__()
        self.conv, self.bn, self.lif, self.pool = conv, nn.BatchNorm2d(channels), lif, pool

    def forward(self, x: torch.Tensor, time_steps: int) -> torch.Tensor:
        """Image [B, C, H, W] or spikes [T, B, C, H, W] -> spikes [T, B, O, H', W']."""
        if x.dim() == 4:
            current = self.bn(self.conv(x)).unsqueeze(0).expand(time_steps, -1, -1, -1, -1)  # once, for every step
        else:
            current = self.bn(self.conv(x.flatten(0, 1))).unflatten(0, (time_steps, -1))  # (T, B, O, H, W)
        s = self.lif(current)
        if self.pool:
            s = F.max_pool2d(s.flatten(0, 1), 2).unflatten(0, (time_steps, -1))
        return s


class SpikingNet(nn.Module):
    """The trainable net. `generator` seeds all weights and codebooks."""

    def __init__(self, config: NetConfig, *, generator: torch.Generator, options: TrainingOptions | None = None):
        super().__init__()
        options = options or TrainingOptions()
        self.config = config
        self.time_steps = config.time_steps  # a training schedule may lower it for a while
        blocks = []
        # Codewords have a source of their own, so that nets of all formats start from the same weights.
        codeword_generator = torch.Generator().manual_seed(generator.initial_seed() + CODEWORD_SEED_OFFSET)
        for number, stage in enumerate(config.stages()):
            lif = LIF(tau=config.tau, theta=config.theta, hard_reset=config.hard_reset,
                      surrogate_name=options.surrogate, slope=options.slope, compiled=options.compiled)
            conv: QuantisedLayer
            shape = stage.in_channels, stage.out_channels
            if number == 0:
                conv = PlaneConv2d(*shape, bits=config.plane_bits, generator=generator)
            elif config.eta is None:
                conv = BinaryConv2d(*shape, generator=generator)
            else:
                codebook = Codebook(eta=config.eta, generator=codeword_generator, learned=options.learn_codewords,
                                    period=options.codebook_period, latent_scale=options.codebook_latent_scale,
                                    started=options.codebook_started)
                conv = SubBitConv2d(*shape, codebook=codebook, generator=generator)
            blocks.append(SpikingBlock(conv, lif, channels=stage.out_channels, pool=stage.pool))
        self.blocks = nn.ModuleList(blocks)
        self.classifier = PlaneLinear(config.classifier_inputs, config.classes, bits=config.plane_bits,
                                      generator=generator)

    def spiking_blocks(self) -> list[SpikingBlock]:
        """The blocks in order; the first reads the image."""
        return [block for block in self.blocks if isinstance(block, SpikingBlock)]

    def quantised_layers(self) -> list[QuantisedLayer]:
        return [m for m in self.modules() if isinstance(m, QuantisedLayer)]

    def codebooks(self) -> list[Codebook]:
        return [m for m in self.modules() if isinstance(m, Codebook)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images [B, C, H, W], uint8 or float on the same scale 0..255 -> logits [B, classes]."""
        x = images.to(self.classifier.weight.dtype) / 255
        for block in self.blocks:
            x = block(x, self.time_steps)
        # The classifier is linear, so the mean over T of its outputs is its output for the mean over T.
        count = x.sum(dim=0)  # (B, C, H, W)
        return self.classifier(count.flatten(1) / self.time_steps)
