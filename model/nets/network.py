"""The trainable net: the stages of a `NetConfig` with latent weights, BN and neurons.

Direct coding: the first convolution (8-bit planes) sees the 8-bit image x/255 once and its BN output is the same input
current at every one of the T steps; a net with spike input sees the spikes of each step instead. The other convolutions
are sub-bit or 1-bit and see spikes, averages or sums of spikes. The classifier (8-bit planes, with bias) reads the last
map, flattened or averaged; the logits are the mean over the T steps. Nothing else is learnable, so that everything
folds into the accelerator's integers.
"""

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from s2nn.hw.spec.program import INPUT, ResidualOp
from s2nn.model.codebook import Codebook
from s2nn.model.full_precision import FullPrecisionConv2d, FullPrecisionLinear
from s2nn.model.layers import BinaryConv2d, PlaneConv2d, PlaneLinear, QuantisedLayer, SubBitConv2d
from s2nn.model.nets.config import NetConfig
from s2nn.model.nets.stages import Stage, WeightKind, last_readers
from s2nn.model.neurons import LIF
from s2nn.model.os_quant import GRID, LINE, Assignment

CODEWORD_SEED_OFFSET = 1_000_000


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How the layers train; nothing of this is left in the trained net.

    Parameters
    ----------
    surrogate, slope : see `s2nn.model.surrogate`.
    learn_codewords, codebook_period, codebook_latent_scale : see `s2nn.model.codebook.Codebook`.
    codebook_started : False if the trainer starts the codebooks later, from chosen codewords.
    assignment : how kernels choose codewords, see `s2nn.model.os_quant`.
    compiled : neurons through torch.compile.
    """

    surrogate: str = "atan"
    slope: float | None = None
    learn_codewords: bool = True
    codebook_period: int = 25
    codebook_latent_scale: float = 0.1
    codebook_started: bool = True
    assignment: Assignment = field(default_factory=Assignment)
    compiled: bool = False


class SpikingBlock(nn.Module):
    """One stage: convolution, BN, LIF and what the spikes meet. `lif` is None in a stage that does not fire."""

    conv: QuantisedLayer
    bn: nn.BatchNorm2d
    lif: LIF | None
    stage: Stage

    def __init__(self, conv: QuantisedLayer, lif: LIF | None, stage: Stage):
        super().__init__()
        self.conv, self.bn, self.lif, self.stage = conv, nn.BatchNorm2d(stage.out_channels), lif, stage

    def current(self, x: torch.Tensor, time_steps: int) -> torch.Tensor:
        """Image [B, C, H, W] or spikes [T, B, C, H, W] -> what the neurons integrate [T, B, O, H', W']."""
        if x.dim() == 4:
            return self.bn(self.conv(x)).unsqueeze(0).expand(time_steps, -1, -1, -1, -1)  # once, for every step
        return self.bn(self.conv(x.flatten(0, 1))).unflatten(0, (time_steps, -1))  # (T, B, O, H', W')

    def fire(self, current: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        """Currents -> the map [T, B, O, H'', W''] that later stages read."""
        assert self.lif is not None
        s = self.lif(current)
        if self.stage.pool:
            pool = F.avg_pool2d if self.stage.is_mean_pooled else F.max_pool2d
            s = pool(s.flatten(0, 1), 2).unflatten(0, (s.shape[0], -1))
        if residual is not None:
            s = residual + s if self.stage.residual_op is ResidualOp.ADD else residual * (1 - s)
        return s


class SpikingNet(nn.Module):
    """The trainable net. `generator` seeds all weights and codebooks."""

    def __init__(self, config: NetConfig, *, generator: torch.Generator, options: TrainingOptions | None = None):
        super().__init__()
        options = options or TrainingOptions()
        self.config = config
        self.time_steps = config.time_steps  # a training schedule may lower it for a while
        # Codewords have a source of their own, so that nets of all formats start from the same weights.
        codeword_generator = torch.Generator().manual_seed(generator.initial_seed() + CODEWORD_SEED_OFFSET)
        self.blocks = nn.ModuleList(
            SpikingBlock(_convolution(stage, config, options, generator, codeword_generator),
                         _neurons(config, options) if stage.fires else None, stage) for stage in config.stages())
        self.classifier = _classifier(config, generator)

    def spiking_blocks(self) -> list[SpikingBlock]:
        """The blocks in order, one per stage; the first reads the input."""
        return [block for block in self.blocks if isinstance(block, SpikingBlock)]

    def quantised_layers(self) -> list[QuantisedLayer]:
        return [m for m in self.modules() if isinstance(m, QuantisedLayer)]

    def codebooks(self) -> list[Codebook]:
        return [m for m in self.modules() if isinstance(m, Codebook)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images [B, C, H, W], uint8 or float on the same scale 0..255, or spikes [B, T, C, H, W] -> [B, classes]."""
        x = images.to(self.classifier.weight.dtype)
        x = x[:, : self.time_steps].transpose(0, 1) if self.config.spike_input else x / 255
        maps, currents = {INPUT: x}, {}
        kept_currents = {block.stage.membrane for block in self.spiking_blocks()}
        finished = last_readers(self.config.stages())
        for block in self.spiking_blocks():
            stage = block.stage
            current = block.current(maps[stage.source], self.time_steps)
            if stage.membrane is not None:
                current = current + currents[stage.membrane]
            if stage.name in kept_currents:
                currents[stage.name] = current
            if stage.fires:
                maps[stage.name] = x = block.fire(current, None if stage.residual is None else maps[stage.residual])
            for name in finished[stage.name]:  # what autograd does not keep is free again
                maps.pop(name, None)
                currents.pop(name, None)
        # The classifier is linear, so the mean over T of its outputs is its output for the mean over T.
        count = x.sum(dim=0)  # (B, C, H, W)
        features = count.mean(dim=(2, 3)) if self.config.pooled_head else count.flatten(1)
        return self.classifier(features / self.time_steps)


def _classifier(config: NetConfig, generator: torch.Generator) -> PlaneLinear | FullPrecisionLinear:
    shape = config.classifier_inputs, config.classes
    if config.full_precision:
        return FullPrecisionLinear(*shape, generator=generator)
    return PlaneLinear(*shape, bits=config.plane_bits, generator=generator)


def _neurons(config: NetConfig, options: TrainingOptions) -> LIF:
    return LIF(tau=config.tau, theta=config.theta, hard_reset=config.hard_reset, surrogate_name=options.surrogate,
               slope=options.slope, compiled=options.compiled)


def _convolution(stage: Stage, config: NetConfig, options: TrainingOptions, generator: torch.Generator,
                 codeword_generator: torch.Generator) -> QuantisedLayer:
    shape = stage.in_channels, stage.out_channels
    kernel = stage.kernel_shape if stage.linear else stage.kernel
    if stage.weights is WeightKind.FULL_PRECISION:
        return FullPrecisionConv2d(*shape, kernel=kernel, stride=stage.stride, generator=generator)
    if stage.weights is WeightKind.PLANES:
        return PlaneConv2d(*shape, bits=config.plane_bits, stride=stage.stride, generator=generator)
    if stage.weights is WeightKind.BINARY:
        return BinaryConv2d(*shape, kernel=kernel, stride=stage.stride, generator=generator)
    assert stage.eta is not None
    codebook = Codebook(eta=stage.eta, generator=codeword_generator, learned=options.learn_codewords,
                        period=options.codebook_period, latent_scale=options.codebook_latent_scale,
                        started=options.codebook_started, assignment=options.assignment,
                        pairs=LINE if stage.gathered else GRID)
    return SubBitConv2d(*shape, kernel=kernel, stride=stage.stride, codebook=codebook, generator=generator)
