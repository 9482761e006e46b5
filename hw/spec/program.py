"""`Program`: a net in integers, as lowering makes it, packing stores it, and every simulator runs it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.spec.config import GROUP_TAPS, PIXEL_BITS, ceil_div
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.semantics import IntArray, bipolar_weight

Shape = tuple[int, int, int]

#: Largest mantissa of a threshold (15 bits, of which all ones mark a lane without a channel) and of a bias (signed 16
#: bits) in a parameter word.
THRESHOLD_LIMIT = (1 << 15) - 2
BIAS_LIMIT = (1 << 15) - 1


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weight planes of one layer, as groups of nine taps.

    Parameters
    ----------
    symbols : (planes, c_out, groups_y, groups_x, c_in) uint16, planes most significant first. With a codebook, indices
        below 2**index_bits; without one, raw groups: bit 3*ky+kx is the weight bit of tap (ky, kx), 1 for +1.
    codebook : (2**index_bits,) uint16 raw groups, or None.
    """

    symbols: NDArray[np.uint16]
    codebook: NDArray[np.uint16] | None = None

    def __post_init__(self) -> None:
        limit = 1 << GROUP_TAPS if self.codebook is None else len(self.codebook)
        if self.symbols.ndim != 5 or (self.symbols.size and int(self.symbols.max()) >= limit):
            raise LoweringError(f"symbols must have 5 axes and lie below {limit}",
                                value=(self.symbols.shape, int(self.symbols.max(initial=0))), source="Weights")
        if self.codebook is not None and (len(self.codebook) not in (4, 8, 16, 32, 64)
                                          or int(self.codebook.max()) >= 1 << GROUP_TAPS):
            raise LoweringError("a codebook must have 4, 8, 16, 32 or 64 nine-bit codewords",
                                value=self.codebook.tolist(), source="Weights")

    @property
    def num_planes(self) -> int:
        """Weight planes."""
        return self.symbols.shape[0]

    @property
    def symbol_bits(self) -> int:
        """Stored bits per group: eta with a codebook, 9 without."""
        return GROUP_TAPS if self.codebook is None else (len(self.codebook) - 1).bit_length()

    def groups(self) -> NDArray[np.uint16]:
        """Symbols decoded to raw nine-bit groups, same shape."""
        return self.symbols if self.codebook is None else self.codebook[self.symbols]

    def integers(self) -> IntArray:
        """Integer weights (c_out, c_in, 3*groups_y, 3*groups_x)."""
        groups = self.groups()  # (planes, c_out, gy, gx, c_in)
        taps = (groups[..., None] >> np.arange(GROUP_TAPS)) & 1  # (planes, c_out, gy, gx, c_in, 9)
        weights = bipolar_weight(taps.astype(np.uint8))  # (c_out, gy, gx, c_in, 9)
        c_out, gy, gx, c_in, _ = weights.shape
        grid = weights.reshape(c_out, gy, gx, c_in, 3, 3).transpose(0, 3, 1, 4, 2, 5)
        return np.ascontiguousarray(grid.reshape(c_out, c_in, 3 * gy, 3 * gx))


def raw_groups(bits: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Weight bits (planes, c_out, c_in, 3*gy, 3*gx), 1 for +1 -> raw symbols (planes, c_out, gy, gx, c_in)."""
    planes, c_out, c_in, height, width = bits.shape
    gy, gx = height // 3, width // 3
    grid = bits.reshape(planes, c_out, c_in, gy, 3, gx, 3).transpose(0, 1, 3, 5, 2, 4, 6)
    taps = grid.reshape(planes, c_out, gy, gx, c_in, GROUP_TAPS).astype(np.uint16)
    return (taps << np.arange(GROUP_TAPS, dtype=np.uint16)).sum(axis=-1).astype(np.uint16)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer in integers; `semantics` says what it computes.

    Parameters
    ----------
    name : unique within the program.
    kind : "conv" fires spikes; "classify" sums logits over all steps of its single output position.
    in_shape, out_shape : (channels, height, width); out_shape is after pooling.
    weights : groups of nine; the kernel is groups_y*3 by groups_x*3 taps, its first tap at (-pad, -pad).
    stride, pad : of the convolution. pool : 2x2 max-pool (floor) of the output spikes.
    image_input : the input is the 8-bit image, constant over time; otherwise spikes of the layer before.
    threshold, bias, negate : (c_out,) theta and bias mantissas, and whether the channel's accumulator is negated.
    param_shift : left shift of both mantissas.
    leak : factor of the leak in units of 2**-leak_bits of the configuration.
    soft_reset : subtract the threshold on a spike instead of a reset to 0.
    logit_scale : what one unit of a logit is worth (classify only; for reports, not used by hardware).
    """

    name: str
    kind: Literal["conv", "classify"]
    in_shape: Shape
    out_shape: Shape
    weights: Weights
    stride: int = 1
    pad: int = 0
    pool: bool = False
    image_input: bool = False
    threshold: IntArray
    bias: IntArray
    negate: NDArray[np.bool_]
    param_shift: int = 0
    leak: int = 0
    soft_reset: bool = False
    logit_scale: float = 1.0

    @property
    def num_groups(self) -> int:
        """Groups of one output channel, over all planes."""
        planes, _, gy, gx, c_in = self.weights.symbols.shape
        return planes * gy * gx * c_in

    @property
    def conv_shape(self) -> Shape:
        """Output (channels, height, width) before pooling; positions that pooling drops are not computed."""
        c, h, w = self.out_shape
        return (c, 2 * h, 2 * w) if self.pool else self.out_shape

    @property
    def weight_bits(self) -> int:
        """Stored bits of all symbols, without padding and codebook."""
        return self.weights.symbols.size * self.weights.symbol_bits


@dataclass(frozen=True, kw_only=True)
class Program:
    """A whole net in integers.

    Parameters
    ----------
    name : of the net.
    steps : time steps T.
    leak_bits, fraction_bits : of the configuration it was lowered for; both change the integers.
    layers : in order; each but the first reads the spikes of the one before; the last is "classify".
    """

    name: str
    steps: int
    leak_bits: int
    fraction_bits: int
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        shape = self.layers[0].in_shape
        for index, layer in enumerate(self.layers):
            def refuse(rule: str, value: object, name: str = layer.name) -> LoweringError:
                return LoweringError(rule, value=value, source=f"layer {name}")
            if layer.in_shape != shape:
                raise refuse(f"in_shape must be {shape}, the output of the layer before", layer.in_shape)
            _, c_out, gy, gx, c_in = layer.weights.symbols.shape
            if (c_out, c_in) != (layer.out_shape[0], layer.in_shape[0]):
                raise refuse("weights must have the layer's channels", layer.weights.symbols.shape)
            if layer.image_input != (index == 0):
                raise refuse("the first layer, and no other, reads the image", layer.image_input)
            if (layer.kind == "classify") != (index == len(self.layers) - 1):
                raise refuse("the last layer, and no other, is the classifier", layer.kind)
            if layer.kind == "classify" and layer.out_shape[1:] != (1, 1):
                raise refuse("the classifier must have one output position", layer.out_shape)
            if layer.kind == "classify" and layer.leak != 1 << self.leak_bits:
                raise refuse(f"the classifier must not leak: leak must be {1 << self.leak_bits}", layer.leak)
            for name, values, low, high in (("threshold", layer.threshold, 1, THRESHOLD_LIMIT),
                                            ("bias", layer.bias, -BIAS_LIMIT - 1, BIAS_LIMIT)):
                if values.shape != (c_out,) or int(values.min()) < low or int(values.max()) > high:
                    raise refuse(f"{name} must be {c_out} mantissas in {low}..{high}", values)
            if layer.negate.shape != (c_out,):
                raise refuse(f"negate must have {c_out} flags", layer.negate.shape)
            for axis in (1, 2):
                taps = 3 * (gy, gx)[axis - 1]
                reach = (layer.conv_shape[axis] - 1) * layer.stride + taps - layer.pad
                if reach > layer.in_shape[axis] + layer.pad + 2:
                    raise refuse("output positions must lie on the padded input", (layer.out_shape, layer.in_shape))
            shape = layer.out_shape

    @property
    def in_shape(self) -> Shape:
        """(channels, height, width) of the input image."""
        return self.layers[0].in_shape

    @property
    def num_classes(self) -> int:
        """Logits of the classifier."""
        return self.layers[-1].out_shape[0]

    def accumulator_limit(self, layer: Layer) -> int:
        """Largest unsigned popcount accumulator of the layer: sum over groups of nine taps times 2**plane."""
        _, _, gy, gx, c_in = layer.weights.symbols.shape
        return ((1 << layer.weights.num_planes) - 1) * gy * gx * c_in * GROUP_TAPS

    def membrane_limit(self, layer: Layer) -> int:
        """Bound on |u| of the layer over all steps, for any input: what `membrane_bits` must hold with a sign."""
        pixels = (1 << PIXEL_BITS) - 1 if layer.image_input else 1
        shift = 0 if layer.image_input or layer.kind == "classify" else self.fraction_bits
        bias = int(np.abs(layer.bias).max()) << layer.param_shift
        current = (self.accumulator_limit(layer) * pixels << shift) + bias
        limit = 0
        for _ in range(self.steps):
            limit = ceil_div(limit * layer.leak, 1 << self.leak_bits) + current
            if layer.soft_reset:
                limit += int(layer.threshold.max()) << layer.param_shift
        return limit
