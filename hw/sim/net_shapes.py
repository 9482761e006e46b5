"""Shapes of whole nets, without weights: what a traffic model must know of each layer of a net.

Maps are named after the layer that makes them; `INPUT` is the net's input. A layer reads the map of the layer before
unless `source` names another, and a `residual` map is read beside it and added to the layer's input current.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from s2nn.hw.spec.config import GROUP_TAPS, ceil_div
from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.program import INPUT, ResidualOp

#: Bits of the weights of first layer and classifier, stored as that many planes.
PLANE_BITS = 8
#: Kernels of convolutions that keep the size of the map.
_PADDED_KERNELS = (1, 3, 7)

Map = tuple[int, int, int]


class WeightKind(StrEnum):
    """How a layer's weights are stored."""

    #: As the format under comparison has it: 1-bit, entropy-coded or sub-bit.
    COMPARED = "compared"
    #: One packed bit per weight in every format.
    ONE_BIT = "one_bit"
    #: `PLANE_BITS` planes in every format.
    PLANES = "planes"


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """One layer.

    Parameters
    ----------
    name : unique in the net; also the name of its output map.
    kind : "conv" fires spikes; "shortcut" is a convolution whose sums go into the accumulators of the layer behind
        `residual` and leaves no map; "classify" sums logits.
    c_in, height, width : of the input map. c_out : output channels or classes.
    kernel : 1, 3 or 7, padded to keep the size of the map; another one must be as large as the map and makes a fully
        connected layer. A classifier always spans the whole map.
    stride : 1 or 2. pool : 2x2 max-pool (floor) of the output spikes.
    global_pool : a classifier that averages the map first, so that it has one weight per channel and class.
    weights : how they are stored.
    source : map that is read. residual : second map that is read, or None.
    """

    name: str
    kind: Literal["conv", "shortcut", "classify"] = "conv"
    c_in: int
    c_out: int
    height: int
    width: int
    kernel: int = 3
    stride: int = 1
    pool: bool = False
    global_pool: bool = False
    weights: WeightKind = WeightKind.COMPARED
    source: str
    residual: str | None = None

    def __post_init__(self) -> None:
        rules = [(self.kernel in _PADDED_KERNELS or self.is_linear, "kernel", "must be 1, 3 or 7, or span the map"),
                 (self.stride in (1, 2), "stride", "must be 1 or 2")]
        rules += [(getattr(self, field) >= 1, field, "must be at least 1")
                  for field in ("c_in", "c_out", "height", "width")]
        for holds, field, rule in rules:
            if not holds:
                raise ConfigError(rule, value=getattr(self, field), field=field, source=f"layer {self.name}")

    @property
    def is_linear(self) -> bool:
        """A fully connected layer: its kernel spans the map."""
        return self.kernel == self.height == self.width and self.kernel not in _PADDED_KERNELS and self.kind == "conv"

    @property
    def pad(self) -> int:
        """Padding at each side."""
        return 0 if self.is_linear or self.kind == "classify" else self.kernel // 2

    @property
    def conv_height(self) -> int:
        """Output rows before pooling; a row that pooling drops is not computed."""
        rows = 1 if self.is_linear or self.kind == "classify" else ceil_div(self.height, self.stride)
        return rows - rows % 2 if self.pool else rows

    @property
    def conv_width(self) -> int:
        """Output columns before pooling."""
        columns = 1 if self.is_linear or self.kind == "classify" else ceil_div(self.width, self.stride)
        return columns - columns % 2 if self.pool else columns

    @property
    def out_shape(self) -> Map:
        """(channels, rows, columns) of the output map."""
        shrink = 2 if self.pool else 1
        return self.c_out, self.conv_height // shrink, self.conv_width // shrink

    @property
    def window_groups(self) -> int:
        """Windows of nine taps that the input of one channel takes at one position; a 1x1 layer groups channels."""
        if self.kind == "classify" and not self._per_channel:
            return ceil_div(self.height, 3) * ceil_div(self.width, 3)
        return 1 if self._per_channel else ceil_div(self.kernel, 3)**2

    @property
    def group_channels(self) -> int:
        """Channels as the engine counts them: groups of nine for layers with one tap per channel."""
        return ceil_div(self.c_in, GROUP_TAPS) if self._per_channel else self.c_in

    @property
    def num_planes(self) -> int:
        """Weight planes."""
        return PLANE_BITS if self.weights is WeightKind.PLANES else 1

    @property
    def num_groups(self) -> int:
        """Groups of nine of one output channel, over all planes."""
        return self.num_planes * self.window_groups * self.group_channels

    @property
    def num_weights(self) -> int:
        """Weights of the layer."""
        taps = self.kernel**2 if self.kind != "classify" else 1 if self.global_pool else self.height * self.width
        return self.c_out * self.c_in * taps

    @property
    def _per_channel(self) -> bool:
        if self.kind == "classify":
            return self.global_pool or (self.height, self.width) == (1, 1)
        return self.kernel == 1


@dataclass(frozen=True, kw_only=True)
class NetShape:
    """A net.

    Parameters
    ----------
    name, title : on the command line, and for people.
    input_shape : (C, H, W). input_spikes : the input is spikes of all time steps, not an 8-bit image.
    steps : time steps T that the net is usually run with.
    layers : in the order in which they are run; the last one classifies.
    source : where the shape comes from and what is assumed about it.
    residual_op : how a program of the shape joins a residual: the shape means CURRENT, the others join spikes instead.
    """

    name: str
    title: str
    input_shape: Map
    input_spikes: bool = False
    steps: int
    layers: tuple[LayerShape, ...]
    source: str
    residual_op: ResidualOp = ResidualOp.ADD

    def __post_init__(self) -> None:
        shapes = {INPUT: self.input_shape}
        for layer in self.layers:
            where = f"{self.name}: layer {layer.name}"
            if layer.name in shapes:
                raise ConfigError("names of layers must be unique", value=layer.name, source=where)
            if shapes.get(layer.source) != (layer.c_in, layer.height, layer.width):
                raise ConfigError(f"source must be a map of shape {(layer.c_in, layer.height, layer.width)}",
                                  value=layer.source, source=where)
            if layer.residual is not None and shapes.get(layer.residual) != layer.out_shape:
                raise ConfigError(f"residual must be a map of shape {layer.out_shape}", value=layer.residual,
                                  source=where)
            if layer.kind == "conv":
                shapes[layer.name] = layer.out_shape
        if not self.layers or [layer.kind for layer in self.layers].count("classify") != 1 \
                or self.layers[-1].kind != "classify":
            raise ConfigError("the last layer, and no other, must classify", source=self.name)

    def map_shape(self, name: str) -> Map:
        """(channels, rows, columns) of a map."""
        return self.input_shape if name == INPUT else next(la.out_shape for la in self.layers if la.name == name)

    def maps_read(self, layer: LayerShape) -> tuple[str, ...]:
        """Names of the maps that a layer reads."""
        return (layer.source,) if layer.residual is None else (layer.source, layer.residual)

    def live_maps(self, index: int) -> set[str]:
        """Maps that exist while layer `index` runs: those it reads or makes, and those that a later layer reads."""
        made = {INPUT} | {layer.name for layer in self.layers[:index + 1] if layer.kind == "conv"}
        wanted = {name for layer in self.layers[index:] for name in self.maps_read(layer)}
        return made & (wanted | {self.layers[index].name})

    @property
    def num_compared_weights(self) -> int:
        """Weights that the formats under comparison store differently."""
        return sum(layer.num_weights for layer in self.layers if layer.weights is WeightKind.COMPARED)


def plain_layers(input_shape: Map, stages: Sequence[tuple[int, bool]], *, classes: int, global_pool: bool,
                 first_kind: WeightKind = WeightKind.PLANES) -> tuple[LayerShape, ...]:
    """A chain of 3x3 convolutions (channels, pooled) and a classifier; the first reads the net's input."""
    layers: list[LayerShape] = []
    shape, source = input_shape, INPUT
    for number, (channels, pool) in enumerate(stages):
        layer = LayerShape(name=f"conv{number}", c_in=shape[0], c_out=channels, height=shape[1], width=shape[2],
                           pool=pool, weights=first_kind if number == 0 else WeightKind.COMPARED, source=source)
        layers.append(layer)
        shape, source = layer.out_shape, layer.name
    layers.append(classifier(shape, source, classes=classes, global_pool=global_pool))
    return tuple(layers)


def classifier(shape: Map, source: str, *, classes: int, global_pool: bool) -> LayerShape:
    """The last layer, behind a map of this shape and name."""
    return LayerShape(name="classifier", kind="classify", c_in=shape[0], c_out=classes, height=shape[1], width=shape[2],
                      global_pool=global_pool, weights=WeightKind.PLANES, source=source)


def enlarged(net: NetShape, factor: int) -> NetShape:
    """The net on an input `factor` times as high and wide."""
    channels, height, width = net.input_shape
    layers = (replace(layer, height=factor * layer.height, width=factor * layer.width) for layer in net.layers)
    return replace(net, name=f"{net.name}-x{factor}", input_shape=(channels, factor * height, factor * width),
                   layers=tuple(layers))
