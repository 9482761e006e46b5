"""The golden model: runs a `Program` on images or spikes in exact integers, just as `s2nn.hw.spec.semantics` says.

Lowering, the torch integer forward and the RTL are each compared with this, layer by layer and bit for bit. It knows
nothing of lanes, tiles or memory; what those cost is counted by `s2nn.hw.sim.activity` from the spikes found here.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from s2nn.hw.spec.errors import DataError
from s2nn.hw.spec.program import INPUT, Layer, PoolOp, Program, ResidualOp
from s2nn.hw.spec.semantics import IntArray, kept_current, lif_step, shortcut_current

#: Pixels, spikes, or sums of spikes.
Map = NDArray[np.uint8 | np.bool_]

#: Images that are run at once; bounds the memory that the unfolded windows take.
_BATCH_IMAGES = 32
# Whole numbers up to here have an exact float, and so does every sum that stays below.
_EXACT_FLOAT32 = 1 << 24
_EXACT_FLOAT64 = 1 << 53


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """What one spiking layer did with each image.

    Parameters
    ----------
    name : of the layer.
    spikes : (B, T, C, H, W), after pooling or the residual: what the next layers read. bool, or uint8 where spikes were
        added up.
    fired : (B, T, H) spikes fired before pooling, by step and computed row.
    membrane : (B, C, H, W) potential after the last step's reset, before pooling.
    kept : (B, T, C, H, W) kept currents of `current_bits` bits; None where none are.
    """

    name: str
    spikes: Map
    fired: IntArray
    membrane: IntArray
    kept: IntArray | None = None
    current_bits: int = 0

    @property
    def stored(self) -> NDArray[np.uint8 | np.bool_ | np.uint16]:
        """(B, T, C, H, W) what the planes of the map hold, read as one integer: above the spikes the bits of the kept
        currents, in two's complement."""
        if self.kept is None:
            return self.spikes
        bits = self.kept & (1 << self.current_bits) - 1
        return (bits << 1 | self.spikes).astype(np.uint16)


@dataclass(frozen=True, kw_only=True)
class FunctionalResult:
    """What a program did with a batch of images.

    Parameters
    ----------
    layers : one per spiking layer, in order; the classifier fires nothing.
    logits : (B, classes), in units of the classifier's `logit_scale`.
    """

    layers: tuple[LayerResult, ...]
    logits: IntArray

    @property
    def predictions(self) -> IntArray:
        """(B,) class of the largest logit; of equal ones the lowest index wins."""
        return self.logits.argmax(axis=1).astype(np.int64)


def run(program: Program, images: NDArray[np.uint8]) -> FunctionalResult:
    """Run a program on images (B, C, H, W) uint8, or on spikes (B, T, C, H, W) uint8 of 0 and 1 if it takes those.

    Raises `DataError` if the inputs are not of the program's shape and type, or there are none.
    """
    _check_inputs(program, images)
    parts = [_run_batch(program, images[i:i + _BATCH_IMAGES]) for i in range(0, len(images), _BATCH_IMAGES)]
    layers = tuple(replace(
        same[0],
        spikes=np.concatenate([part.spikes for part in same]),
        fired=np.concatenate([part.fired for part in same]),
        membrane=np.concatenate([part.membrane for part in same]),
        kept=None if same[0].kept is None else np.concatenate([part.kept for part in same if part.kept is not None]),
    ) for same in zip(*(part.layers for part in parts), strict=True))
    return FunctionalResult(layers=layers, logits=np.concatenate([part.logits for part in parts]))


def predict(program: Program, images: NDArray[np.uint8]) -> IntArray:
    """(B,) predicted classes of images as for `run`; keeps no spikes, so that a whole test set fits in memory.

    Raises `DataError` as `run`.
    """
    _check_inputs(program, images)
    return np.concatenate([_run_batch(program, images[i:i + _BATCH_IMAGES]).predictions
                           for i in range(0, len(images), _BATCH_IMAGES)])


def accumulate(layer: Layer, inputs: Map) -> IntArray:
    """Exact accumulators a = sum of weight*activation: inputs (N, c_in, H, W) -> (N, c_out, H', W') before pooling.

    The kernel's first tap lies at (y*stride - pad, x*stride - pad); taps outside the map read zero. Positions that a
    floor pooling drops are not computed.
    """
    weights = layer.integer_weights()  # (c_out, c_in, height, width)
    c_out, c_in, taps_y, taps_x = weights.shape
    _, height, width = layer.conv_shape
    windows = sliding_window_view(pad_map(layer, inputs), (taps_y, taps_x), axis=(2, 3))
    windows = windows[:, :, ::layer.stride, ::layer.stride]  # (N, c_in, H', W', taps_y, taps_x)
    bound = int(np.abs(weights).sum(axis=(1, 2, 3)).max()) * int(inputs.max(initial=0))
    # Every partial sum is a whole number within the bound, so the matrix product is exact in any order of summation.
    assert bound < _EXACT_FLOAT64
    dtype = np.float32 if bound < _EXACT_FLOAT32 else np.float64
    unfolded = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, c_in * taps_y * taps_x).astype(dtype)
    sums = unfolded @ weights.reshape(c_out, -1).T.astype(dtype)  # (N*H'*W', c_out)
    return sums.reshape(len(inputs), height, width, c_out).transpose(0, 3, 1, 2).astype(np.int64)


def pad_map(layer: Layer, inputs: Map) -> Map:
    """Inputs (N, c_in, H, W) with `pad` zeros before and cut, or filled with zeros, where the last window ends."""
    _, height, width = layer.conv_shape
    reach = [(size - 1) * layer.stride + taps
             for size, taps in zip((height, width), layer.kernel, strict=True)]
    after = [(layer.pad, max(0, end - layer.pad - size)) for end, size in zip(reach, inputs.shape[2:], strict=True)]
    return np.pad(inputs, ((0, 0), (0, 0), *after))[:, :, :reach[0], :reach[1]]


def currents(layer: Layer, inputs: Map, *, steps: int, fraction_bits: int) -> IntArray:
    """Input currents c of a layer, (B, T, c_out, H', W') before pooling.

    inputs : spikes (B, T, c_in, H, W), or for the image layer pixels (B, c_in, H, W), whose current is the same at
    each of the `steps` time steps.
    """
    sign = np.where(layer.negate, -1, 1)[:, None, None]
    bias = (layer.bias.astype(np.int64) << layer.param_shift)[:, None, None]
    if layer.image_input:
        constant = sign * accumulate(layer, inputs) + bias  # (B, c_out, H', W')
        return np.broadcast_to(constant[:, None], (len(inputs), steps, *constant.shape[1:]))
    fraction_bits = 0 if layer.kind == "classify" else fraction_bits
    sums = accumulate(layer, inputs.reshape(len(inputs) * steps, *inputs.shape[2:]))
    return (sign * (sums << fraction_bits) + bias).reshape(len(inputs), steps, *sums.shape[1:])


def fire(layer: Layer, current: IntArray, *, leak_bits: int) -> LayerResult:
    """Integrate, fire, reset and pool: currents (B, T, c_out, H', W') of a spiking layer to its result."""
    theta = (layer.threshold.astype(np.int64) << layer.param_shift)[:, None, None]
    membrane = np.zeros((current.shape[0], *current.shape[2:]), dtype=np.int64)
    spikes = np.empty(current.shape, dtype=np.bool_)
    for step in range(current.shape[1]):
        membrane, spikes[:, step] = lif_step(membrane, current[:, step], theta=theta, leak_factor=layer.leak,
                                             leak_bits=leak_bits, soft_reset=layer.soft_reset)
    fired = spikes.sum(axis=(2, 4), dtype=np.int64)
    passed_on = _pool(layer, spikes) if layer.pool else spikes
    return LayerResult(name=layer.name, spikes=passed_on, fired=fired, membrane=membrane)


def with_shortcut(layer: Layer, current: IntArray, kept: IntArray) -> IntArray:
    """A layer's currents with those that an earlier one kept, both (B, T, C, H, W)."""
    assert layer.gain is not None
    return current + shortcut_current(kept, layer.gain[:, None, None], layer.gain_shift)


def keep(layer: Layer, current: IntArray, current_bits: int) -> IntArray | None:
    """What a layer keeps of its currents (B, T, C, H, W), the same shape; None where it keeps none."""
    if layer.keep_shift is None:
        return None
    return kept_current(current, layer.keep_shift[:, None, None], current_bits)


def combine(layer: Layer, spikes: Map, residual: Map) -> Map:
    """What a layer with a residual of spikes passes on, from its spikes and that map, both (B, T, C, H, W)."""
    if layer.residual_op is ResidualOp.IAND:
        return residual.astype(np.bool_) & (spikes == 0)
    return residual.astype(np.uint8) + spikes


def _run_batch(program: Program, images: NDArray[np.uint8]) -> FunctionalResult:
    maps: dict[str, Map] = {INPUT: images}
    kept: dict[str, IntArray] = {}
    layers = []
    for layer in program.layers[:-1]:
        current = currents(layer, maps[layer.source], steps=program.steps, fraction_bits=program.fraction_bits)
        if layer.residual is not None and layer.adds_current:
            current = with_shortcut(layer, current, kept[layer.residual])
        result = replace(fire(layer, current, leak_bits=program.leak_bits),
                         kept=keep(layer, current, program.current_bits), current_bits=program.current_bits)
        if result.kept is not None:
            kept[layer.name] = result.kept
        if layer.residual is not None and not layer.adds_current:
            result = replace(result, spikes=combine(layer, result.spikes, maps[layer.residual]))
        layers.append(result)
        maps[layer.name] = result.spikes
    # The classifier neither leaks nor fires: its membrane is the sum of its currents.
    last = program.layers[-1]
    current = currents(last, maps[last.source], steps=program.steps, fraction_bits=program.fraction_bits)
    return FunctionalResult(layers=tuple(layers), logits=current.sum(axis=1)[:, :, 0, 0])


def _pool(layer: Layer, spikes: NDArray[np.bool_]) -> Map:
    """2x2 maximum or sum of (..., 2H, 2W)."""
    *outer, height, width = spikes.shape
    windows = spikes.reshape(*outer, height // 2, 2, width // 2, 2)
    if layer.pool_op is PoolOp.SUM:
        return windows.sum(axis=(-3, -1), dtype=np.uint8)
    return np.logical_or.reduce(windows, axis=(-3, -1))


def _check_inputs(program: Program, inputs: NDArray[np.uint8]) -> None:
    shape = ((program.steps,) if program.spike_input else ()) + program.in_shape
    if inputs.dtype != np.uint8 or inputs.shape[1:] != shape or not len(inputs):
        raise DataError(f"inputs must be uint8 of shape (B, {', '.join(map(str, shape))}) with B >= 1",
                        value=f"{inputs.dtype} {inputs.shape}", source=program.name)
    if program.spike_input and int(inputs.max()) > 1:
        raise DataError("spikes must be 0 or 1", value=int(inputs.max()), source=program.name)
