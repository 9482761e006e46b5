"""Layer strings such as "64C3-MP2-128B-256BS2-GAP-FC" and the stages that they stand for.

    nC3, nC1    3x3 convolution (padding 1) or 1x1 convolution to n channels, then BN, then LIF; S2 behind it: stride 2
    nFC         linear layer over the whole map to n channels, then BN, then LIF
    nB          residual block of two 3x3 convolutions to n channels (`BLOCKS` says how its shortcut joins); S2: the
                first one has stride 2. Where channels or stride change, the shortcut is a 1x1 convolution with BN.
    MP2, AP2    2x2 maximum or average of the spikes, stride 2 (an odd last row or column is dropped); follows a
                convolution
    GAP         average over the last map, in front of FC
    FC          the classifier, last and only once; without GAP it reads the last map flattened as (C, H, W)
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.program import INPUT, PoolOp, ResidualOp, Shape
from s2nn.model.layer_names import eta_of
from s2nn.model.nets.stages import Stage, WeightKind

#: How a block's shortcut joins. sew-add, sew-iand: the block's input spikes x meet its output spikes s as x + s or as
#: x and not s (SEW-ResNet, arXiv 2102.04159). membrane: the current that fired x is added to the current that will fire
#: s (MS-ResNet, arXiv 2112.08954); a 1x1 shortcut reads the spikes x, so that every convolution stays spike-driven.
BLOCKS: dict[str, ResidualOp | None] = {"sew-add": ResidualOp.ADD, "sew-iand": ResidualOp.IAND, "membrane": None}
_POOLS = {"MP2": PoolOp.MAX, "AP2": PoolOp.SUM}


class StageBuilder:
    """Turns a layer string into stages, word by word.

    Parameters
    ----------
    input_shape : (C, H, W) of the input.
    eta : of the hidden stages; None makes them 1-bit. etas : expressions over stage names -> eta instead.
    full_precision : all weights float32. block : a key of `BLOCKS`.
    pointwise_codebook : 1x1 convolutions and linear layers take codebook indices too, nine consecutive inputs a group;
        else one bit.
    """

    def __init__(self, *, input_shape: Shape, eta: int | None, etas: Mapping[str, int | None], full_precision: bool,
                 block: str, pointwise_codebook: bool):
        self.eta, self.etas, self.full_precision = eta, etas, full_precision
        self.block, self.pointwise_codebook = block, pointwise_codebook
        self.stages: list[Stage] = []
        self.source, self.shape = INPUT, input_shape
        self._poolable = False

    def add(self, word: str, layers: str) -> None:
        """Append what one word stands for; `layers` is the whole string, for messages."""
        if match := re.fullmatch(r"([1-9]\d*)C([13])(S2)?", word):
            if not self.stages and match[2] != "3":
                raise ConfigError("the first convolution must be 3x3", value=layers)
            self._conv(int(match[1]), kernel=int(match[2]), stride=2 if match[3] else 1)
            self._poolable = True
        elif match := re.fullmatch(r"([1-9]\d*)FC", word):
            if not self.stages:
                raise ConfigError("the first layer must be a convolution", value=layers)
            self._conv(int(match[1]), linear=True)
            self._poolable = False
        elif match := re.fullmatch(r"([1-9]\d*)B(S2)?", word):
            if not self.stages:
                raise ConfigError("a residual block must follow a convolution", value=layers)
            self._block(int(match[1]), stride=2 if match[2] else 1, layers=layers)
            self._poolable = False
        elif word in _POOLS:
            self._pool(word, layers)
        else:
            raise ConfigError("a layer must read nC3, nC1, nB (each perhaps with S2), nFC, MP2, AP2, GAP or FC",
                              value=word)

    def _conv(self, channels: int, *, kernel: int = 3, stride: int = 1, linear: bool = False,
              source: str | None = None, shape: Shape | None = None, fires: bool = True) -> Stage:
        """Append a convolution behind `source` (None: the last map) and step on to its map."""
        shape = self.shape if shape is None else shape
        name = f"conv{len(self.stages)}"
        eta = eta_of(name, self.eta, self.etas)
        weights = self._weights(eta, gathered=linear or kernel == 1)
        stage = Stage(name=name, source=self.source if source is None else source,
                      in_channels=shape[0], out_channels=channels, height=shape[1], width=shape[2], kernel=kernel,
                      stride=stride, linear=linear, weights=weights,
                      eta=eta if weights is WeightKind.CODEBOOK else None, fires=fires)
        self.stages.append(stage)
        self.source, self.shape = stage.name, stage.out_shape
        return stage

    def _weights(self, eta: int | None, *, gathered: bool) -> WeightKind:
        if self.full_precision:
            return WeightKind.FULL_PRECISION
        if not self.stages:
            return WeightKind.PLANES
        sub_bit = eta is not None and (self.pointwise_codebook or not gathered)
        return WeightKind.CODEBOOK if sub_bit else WeightKind.BINARY

    def _block(self, channels: int, *, stride: int, layers: str) -> None:
        op, source, shape = BLOCKS[self.block], self.source, self.shape
        first = self._conv(channels, stride=stride)
        shortcut = source
        if stride != 1 or channels != shape[0]:
            shortcut = self._conv(channels, kernel=1, stride=stride, source=source, shape=shape,
                                  fires=op is not None).name
        elif next(stage.pool and (op is None or stage.is_mean_pooled) for stage in self.stages if stage.name == source):
            raise ConfigError("a residual block behind AP2, or a membrane block behind any pool, must change its "
                              "channels or have stride 2: its shortcut cannot join a pooled map", value=layers)
        last = self._conv(channels, source=first.name, shape=first.out_shape)
        joined = {"membrane": shortcut} if op is None else {"residual": shortcut, "residual_op": op}
        self.stages[-1] = replace(last, **joined)

    def _pool(self, word: str, layers: str) -> None:
        if not self._poolable:
            raise ConfigError(f"{word} must follow a convolution", value=layers)
        self.stages[-1] = replace(self.stages[-1], pool=True, pool_op=_POOLS[word])
        self.shape, self._poolable = self.stages[-1].out_shape, False
        if min(self.shape[1:]) < 1:
            raise ConfigError(f"a map must keep at least one pixel after {word}", value=layers)


def split_layers(layers: str) -> tuple[list[str], bool]:
    """The words before the head, and whether the head averages the map (GAP); refuses a string without one FC."""
    words = layers.split("-")
    if words[-1] != "FC" or words.count("FC") != 1:
        raise ConfigError("layers must end in one FC", value=layers)
    pooled = len(words) > 1 and words[-2] == "GAP"
    return words[:-2] if pooled else words[:-1], pooled
