"""`NetConfig`: what a net is, apart from its weights; a small frozen description that recipes and checkpoints hold."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.program import INPUT, Shape
from s2nn.model.layer_names import check_all_match, check_etas
from s2nn.model.nets.layer_string import BLOCKS, StageBuilder, split_layers
from s2nn.model.nets.stages import Stage

DEFAULT_LAYERS = "32C3-64C3-MP2-128C3-MP2-128C3-MP2-FC"
# Left out of a checkpoint's and recipe's description while they have their defaults: older digests stay as they were.
_LATER_FIELDS = ("spike_input", "block", "pointwise_codebook", "etas", "full_precision")


@dataclass(frozen=True, kw_only=True)
class NetConfig:
    """What a net is, apart from its weights.

    Parameters
    ----------
    input_shape : (C, H, W) of the 8-bit image, or of the spikes of one time step.
    layers : the layer string, see `s2nn.model.nets.layer_string`.
    classes : outputs of FC.
    time_steps : T.
    eta : bits per kernel of the hidden convolutions, 2..6; None makes them 1-bit (the twin).
    tau : leak factor, a multiple of 1/256, because the hardware multiplies by round(256*tau)/256.
    theta, hard_reset : threshold before folding, reset rule.
    plane_bits : bits of the first layer's and the classifier's weights.
    spike_input : the input is spikes of every time step, uint8 [B, T, C, H, W] of 0 and 1, instead of an image.
    block : how residual blocks join their shortcut: sew-add, sew-iand or membrane.
    pointwise_codebook : 1x1 convolutions and hidden linear layers take codebook indices too, nine consecutive inputs a
        group. Off, they are 1-bit, as the text of S2NN (arXiv 2509.24266, App. K.1) has it.
    etas : regular expression over whole stage names ("conv2", "conv[3-5]") -> eta of those stages instead; None: 1-bit.
    full_precision : all weights are float32, those of the first layer and the classifier too: the teacher, not for the
        accelerator. eta must be None then.
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
    spike_input: bool = False
    block: str = "sew-add"
    pointwise_codebook: bool = False
    etas: dict[str, int | None] = field(default_factory=dict)
    full_precision: bool = False

    def __post_init__(self):
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ConfigError("input_shape must be (channels, height, width), each at least 1", value=self.input_shape)
        check_etas(self.eta, self.etas)
        if self.full_precision and (self.eta is not None or self.etas):
            raise ConfigError("must be None in a full-precision net", value=self.eta if self.etas == {} else self.etas,
                              field="etas" if self.etas else "eta")
        if not 0 <= self.tau <= 1 or self.tau * 256 != round(self.tau * 256):
            raise ConfigError("tau must be a multiple of 1/256 in [0, 1]", value=self.tau)
        if not self.theta > 0:
            raise ConfigError("theta must be positive", value=self.theta)
        if self.block not in BLOCKS:
            raise ConfigError(f"block must be one of {', '.join(BLOCKS)}", value=self.block)
        for name, least in (("time_steps", 1), ("classes", 2), ("plane_bits", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}", value=getattr(self, name))
        check_all_match(self.etas, [stage.name for stage in self.stages()[1:]], field="etas")

    @property
    def weight_format(self) -> str:
        """"fp", "binary", or "eta4", "eta5", ..., with "-mixed" behind it where `etas` has exceptions."""
        if self.full_precision:
            return "fp"
        return ("binary" if self.eta is None else f"eta{self.eta}") + ("-mixed" if self.etas else "")

    @cached_property
    def _stages(self) -> tuple[Stage, ...]:
        words, _ = split_layers(self.layers)
        builder = StageBuilder(input_shape=self.input_shape, eta=self.eta, etas=self.etas, block=self.block,
                               full_precision=self.full_precision, pointwise_codebook=self.pointwise_codebook)
        for word in words:
            builder.add(word, self.layers)
        if not builder.stages:
            raise ConfigError("layers must hold at least one convolution before FC", value=self.layers)
        return tuple(builder.stages)

    def stages(self) -> list[Stage]:
        """The convolutions in the order in which they run; refuses a string that is no net."""
        return list(self._stages)

    def stage(self, name: str) -> Stage:
        """The stage that makes the map of that name."""
        return next(stage for stage in self._stages if stage.name == name)

    @property
    def pooled_head(self) -> bool:
        """The classifier reads the average of the last map."""
        return split_layers(self.layers)[1]

    @property
    def last_shape(self) -> Shape:
        """(C, H, W) of the last map."""
        return self._stages[-1].out_shape

    @property
    def classifier_inputs(self) -> int:
        channels, height, width = self.last_shape
        return channels if self.pooled_head else channels * height * width

    def source_division(self, name: str) -> int:
        """What the integers of a map are divided by: 4 behind average pooling, else 1."""
        return 4 if name != INPUT and self.stage(name).is_mean_pooled else 1

    def input_division(self, stage: Stage) -> int:
        """What the integers that the stage reads are divided by: 255 for pixels, else as `source_division`."""
        return 255 if stage.source == INPUT and not self.spike_input else self.source_division(stage.source)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; fields that came later are left out while they have their defaults."""
        defaults = asdict(NetConfig())
        return {name: list(value) if name == "input_shape" else value for name, value in asdict(self).items()
                if name not in _LATER_FIELDS or value != defaults[name]}
