"""`Program`: a net in integers, as lowering makes it, packing stores it, and every simulator runs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.spec.config import GROUP_TAPS, PIXEL_BITS, ceil_div
from s2nn.hw.spec.descriptor import GAIN_SHIFT_UNIT, KEEP_SHIFTS
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.semantics import IntArray
from s2nn.hw.spec.weights import Grouping, Weights

Shape = tuple[int, int, int]

#: Name of the map that a program starts from; every other map has the name of the layer that makes it.
INPUT = "input"
#: Largest mantissa of a threshold (15 bits, of which all ones mark a lane without a channel) and of a bias (signed 16
#: bits) in a parameter word.
THRESHOLD_LIMIT = (1 << 15) - 2
BIAS_LIMIT = (1 << 15) - 1
#: Largest gain of a shortcut (unsigned 16 bits), and the shifts that its product may have.
GAIN_LIMIT = (1 << 16) - 1
GAIN_SHIFTS = tuple(GAIN_SHIFT_UNIT * step for step in range(4))


class PoolOp(StrEnum):
    """What a 2x2 pool makes of its four spikes."""

    MAX = "max"
    #: Their sum, 0..4: average pooling with the division folded into the next layer.
    SUM = "sum"


class ResidualOp(StrEnum):
    """How a layer meets a residual map: its spikes s meet the map's x (spike-element-wise, SEW-ResNet, arXiv 2102.04159
    table 1), or its current the one that the map keeps (membrane shortcut of MS-ResNet, arXiv 2112.08954)."""

    #: x + s.
    ADD = "add"
    #: x and not s; x must be spikes.
    IAND = "iand"
    #: The kept current is added to the layer's before it fires.
    CURRENT = "current"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer in integers; `semantics` says what it computes.

    Parameters
    ----------
    name : unique within the program; also names the map that the layer makes.
    kind : "conv" fires spikes; "classify" sums logits over all steps of its single output position.
    source : the map that is read. in_shape, out_shape : (channels, height, width); out_shape is after pooling.
    kernel : (height, width) in taps, the first at (-pad, -pad). stride, pad : of the convolution.
    weights, grouping : groups of nine.
    shared_taps : all taps of the kernel have one weight per input channel (grouping INPUTS, stored once): the layer
        sees the sum over its window, as behind average pooling.
    pool, pool_op : 2x2 pool (floor) of the output spikes, and what it does.
    residual, residual_op : a second map, of the shape of the output, that the spikes (CURRENT: the currents) are
        combined with; or None.
    gain, gain_shift : with CURRENT, (c_out,) gains of the kept currents and the right shift of their product.
    keep_shift : (c_out,) right shifts of the currents that the map keeps beside the spikes; None: it keeps none.
    image_input : the source is the 8-bit image, constant over time.
    threshold, bias, negate : (c_out,) theta and bias mantissas, and whether the channel's accumulator is negated.
    param_shift : left shift of both mantissas.
    leak : factor of the leak in units of 2**-leak_bits of the configuration.
    soft_reset : subtract the threshold on a spike instead of a reset to 0.
    logit_scale : what one unit of a logit is worth (classify only; for reports, not used by hardware).
    """

    name: str
    kind: Literal["conv", "classify"]
    source: str
    in_shape: Shape
    out_shape: Shape
    kernel: tuple[int, int]
    weights: Weights
    grouping: Grouping = Grouping.TAPS
    shared_taps: bool = False
    stride: int = 1
    pad: int = 0
    pool: bool = False
    pool_op: PoolOp = PoolOp.MAX
    residual: str | None = None
    residual_op: ResidualOp | None = None
    image_input: bool = False
    threshold: IntArray
    bias: IntArray
    negate: NDArray[np.bool_]
    param_shift: int = 0
    leak: int = 0
    soft_reset: bool = False
    logit_scale: float = 1.0
    gain: IntArray | None = None
    gain_shift: int = 0
    keep_shift: IntArray | None = None

    def __post_init__(self) -> None:
        for holds, field, rule in (
            (not self.shared_taps or self.grouping is Grouping.INPUTS, "shared_taps", "needs grouping INPUTS"),
            ((self.residual is None) == (self.residual_op is None), "residual_op", "must be given with a residual"),
            (self.residual is None or (self.kind == "conv" and not self.pool), "residual",
             "must join a spiking layer without a pool"),
            (self.adds_current == (self.gain is not None), "gain", "must be given with a residual CURRENT"),
            (not self.adds_current or not self.image_input, "image_input", "must not meet a residual CURRENT"),
            (self.gain_shift in GAIN_SHIFTS, "gain_shift", f"must be one of {', '.join(map(str, GAIN_SHIFTS))}"),
            (self.keep_shift is None or (self.kind == "conv" and not self.pool and (
                self.residual is None or self.adds_current)), "keep_shift",
             "must be of a spiking layer without a pool or a residual of spikes"),
            (min(self.kernel) >= 1, "kernel", "must have at least one tap"),
            (self.weights.symbols.shape[1:] == (self.out_shape[0], self.groups_per_plane), "weights",
             f"must have the symbols of {self.out_shape[0]} channels x {self.groups_per_plane} groups"),
        ):
            if not holds:
                raise LoweringError(rule, value=getattr(getattr(self, field), "symbols", getattr(self, field)),
                                    field=field, source=f"layer {self.name}")

    @property
    def kernel_groups(self) -> tuple[int, int]:
        """Rows and columns of groups in the kernel (grouping TAPS)."""
        return ceil_div(self.kernel[0], 3), ceil_div(self.kernel[1], 3)

    @property
    def adds_current(self) -> bool:
        """Whether a kept current is added to the layer's."""
        return self.residual_op is ResidualOp.CURRENT

    @property
    def has_current_params(self) -> bool:
        """Whether its channels have a second parameter word: gain and keep shift."""
        return self.adds_current or self.keep_shift is not None

    @property
    def num_inputs(self) -> int:
        """Weights of one output channel, without those that fill up groups."""
        return self.in_shape[0] * (1 if self.shared_taps else self.kernel[0] * self.kernel[1])

    @property
    def groups_per_plane(self) -> int:
        """Groups of one output channel in one weight plane."""
        if self.grouping is Grouping.INPUTS:
            return ceil_div(self.num_inputs, GROUP_TAPS)
        return self.kernel_groups[0] * self.kernel_groups[1] * self.in_shape[0]

    @property
    def num_groups(self) -> int:
        """Groups of one output channel, over all planes."""
        return self.weights.num_planes * self.groups_per_plane

    @property
    def conv_shape(self) -> Shape:
        """Output (channels, height, width) before pooling; positions that pooling drops are not computed."""
        c, h, w = self.out_shape
        return c, self.pool_side * h, self.pool_side * w

    @property
    def pool_side(self) -> int:
        """Rows, and columns, of computed positions that one position of the output is made of."""
        return 2 if self.pool else 1

    def conv_rows(self, rows: range) -> range:
        """Rows before pooling that these rows of the output are made of."""
        return range(self.pool_side * rows.start, self.pool_side * rows.stop)

    @property
    def weight_bits(self) -> int:
        """Stored bits of all symbols, without padding and codebook."""
        return self.weights.symbols.size * self.weights.symbol_bits

    def integer_weights(self) -> IntArray:
        """Integer weights (c_out, c_in, height, width) of the kernel."""
        groups = self.weights.integers()  # (c_out, groups, 9)
        c_out, (c_in, _, _), (height, width) = len(groups), self.in_shape, self.kernel
        if self.grouping is Grouping.INPUTS:
            flat = groups.reshape(c_out, -1)[:, :self.num_inputs]
            taps = (1, 1) if self.shared_taps else self.kernel
            grid = flat.reshape(c_out, *taps, c_in).transpose(0, 3, 1, 2)
            return np.broadcast_to(grid, (c_out, c_in, height, width)).copy()
        gy, gx = self.kernel_groups
        grid = groups.reshape(c_out, gy, gx, c_in, 3, 3).transpose(0, 3, 1, 4, 2, 5)
        return grid.reshape(c_out, c_in, 3 * gy, 3 * gx)[:, :, :height, :width].copy()


@dataclass(frozen=True, kw_only=True)
class Program:
    """A whole net in integers.

    Parameters
    ----------
    name : of the net.
    steps : time steps T.
    spike_input : the input is spikes (T, C, H, W) of every time step; otherwise an 8-bit image, constant over time.
    leak_bits, fraction_bits : of the configuration it was lowered for; both change the integers.
    current_bits : of a kept current; 0 where none is kept.
    layers : in the order in which they run, each reading maps made before it; the last is "classify".
    """

    name: str
    steps: int
    spike_input: bool = False
    leak_bits: int
    fraction_bits: int
    current_bits: int = 0
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if self.layers[0].source != INPUT:
            raise LoweringError("the first layer must read the input", value=self.layers[0].source, source=self.name)
        shapes = {INPUT: self.in_shape}
        for index, layer in enumerate(self.layers):
            for holds, rule, value in self._rules(layer, shapes, is_last=index == len(self.layers) - 1):
                if not holds:
                    raise LoweringError(rule, value=value, source=f"layer {layer.name}")
            shapes[layer.name] = layer.out_shape

    def _rules(self, layer: Layer, shapes: dict[str, Shape], *,
               is_last: bool) -> Iterator[tuple[bool, str, object]]:
        """What must hold of a layer behind maps of these shapes; a rule may rely on those before it."""
        c_out, no_leak = layer.out_shape[0], 1 << self.leak_bits
        yield layer.name not in shapes, "the name must be new", layer.name
        yield layer.source in shapes, f"source must be one of {', '.join(shapes)}", layer.source
        yield (layer.in_shape == shapes[layer.source],
               f"in_shape must be {shapes[layer.source]}, that of {layer.source}", layer.in_shape)
        yield (layer.image_input == (layer.source == INPUT and not self.spike_input),
               "image_input must be set for layers that read the image, and no other", layer.image_input)
        classifies = layer.kind == "classify"
        yield classifies == is_last, "the last layer, and no other, must be the classifier", layer.kind
        yield (not classifies or layer.out_shape[1:] == (1, 1), "the classifier must have one output position",
               layer.out_shape)
        yield (not classifies or layer.leak == no_leak, f"the classifier must not leak: leak must be {no_leak}",
               layer.leak)
        if layer.residual is not None:
            known = layer.residual in shapes and (layer.residual != INPUT or self.spike_input)
            yield known, "residual must be a map of spikes made before", layer.residual
            yield (shapes[layer.residual] == layer.out_shape,
                   f"residual must have the output's shape {layer.out_shape}", shapes[layer.residual])
            yield (layer.residual_op is not ResidualOp.IAND or self.peak(layer.residual) == 1,
                   "residual must hold single spikes for IAND", self.peak(layer.residual))
            yield (layer.adds_current == self.keeps_current(layer.residual),
                   "residual must keep its currents for CURRENT, and for no other operation", layer.residual)
        yield (layer.keep_shift is None or self.current_bits > 0, "current_bits must be given where currents are kept",
               self.current_bits)
        for name, values, low, high in (("threshold", layer.threshold, 1, THRESHOLD_LIMIT),
                                        ("bias", layer.bias, -BIAS_LIMIT - 1, BIAS_LIMIT),
                                        ("gain", layer.gain, 0, GAIN_LIMIT),
                                        ("keep_shift", layer.keep_shift, KEEP_SHIFTS[0], KEEP_SHIFTS[-1])):
            if values is not None:
                fits = values.shape == (c_out,) and int(values.min()) >= low and int(values.max()) <= high
                yield fits, f"{name} must be {c_out} mantissas in {low}..{high}", values
        yield layer.negate.shape == (c_out,), f"negate must have {c_out} flags", layer.negate.shape
        reach = [(size - 1) * layer.stride + taps - layer.pad
                 for size, taps in zip(layer.conv_shape[1:], layer.kernel, strict=True)]
        yield (all(end <= size + layer.pad for end, size in zip(reach, layer.in_shape[1:], strict=True)),
               "output positions must lie on the padded input", (layer.out_shape, layer.in_shape))

    @property
    def in_shape(self) -> Shape:
        """(channels, height, width) of the input."""
        return self.layers[0].in_shape

    @property
    def input_row_bytes(self) -> int:
        """Bytes of one row of the packed input (hw/spec/packing.py): a pixel, or eight steps of spikes, a byte."""
        channels, _, width = self.in_shape
        return channels * width * (ceil_div(self.steps, PIXEL_BITS) if self.spike_input else 1)

    @property
    def num_classes(self) -> int:
        """Logits of the classifier."""
        return self.layers[-1].out_shape[0]

    def layer(self, name: str) -> Layer:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)

    def peak(self, name: str) -> int:
        """Largest value in a map at one time step: 255 in an image, 1 in spikes, more where spikes were added up."""
        if name == INPUT:
            return 1 if self.spike_input else (1 << PIXEL_BITS) - 1
        layer = self.layer(name)
        if layer.pool and layer.pool_op is PoolOp.SUM:
            return 4
        if layer.residual is None or layer.residual_op is not ResidualOp.ADD:
            return 1
        return 1 + self.peak(layer.residual)

    def keeps_current(self, name: str) -> bool:
        """Whether a map holds currents beside its spikes."""
        return name != INPUT and self.layer(name).keep_shift is not None

    def accumulator_limit(self, layer: Layer) -> int:
        """Largest popcount accumulator of the layer: nine taps times 2**plane times the input's peak, over all groups.

        The planes of an image add up in the neuron, not here.
        """
        peak = 1 if layer.image_input else self.peak(layer.source)
        taps = layer.kernel[0] * layer.kernel[1] if layer.shared_taps else 1
        return ((1 << layer.weights.num_planes) - 1) * layer.groups_per_plane * taps * GROUP_TAPS * peak

    def membrane_limit(self, layer: Layer) -> int:
        """Bound on |u| of the layer over all steps, for any input: what `membrane_bits` must hold with a sign."""
        pixels = (1 << PIXEL_BITS) - 1 if layer.image_input else 1
        shift = 0 if layer.image_input or layer.kind == "classify" else self.fraction_bits
        constant = np.abs(layer.bias) << layer.param_shift  # of each channel
        if layer.gain is not None:
            constant = constant - (-(layer.gain << self.current_bits - 1) >> layer.gain_shift)  # rounded up
        current = (self.accumulator_limit(layer) * pixels << shift) + int(constant.max())
        limit = 0
        for _ in range(self.steps):
            limit = ceil_div(limit * layer.leak, 1 << self.leak_bits) + current
            if layer.soft_reset:
                limit += int(layer.threshold.max()) << layer.param_shift
        return limit
