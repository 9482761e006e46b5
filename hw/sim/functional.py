"""The golden model: runs a `Program` on 8-bit images in exact integers, just as `s2nn.hw.spec.semantics` says.

Lowering, the torch integer forward and the RTL are each compared with this, layer by layer and bit for bit. It knows
nothing of lanes, tiles or memory; what those cost is counted by `s2nn.hw.sim.activity` from the spikes found here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from s2nn.hw.spec.errors import DataError
from s2nn.hw.spec.program import Layer, Program
from s2nn.hw.spec.semantics import IntArray, lif_step

#: Pixels or spikes.
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
    spikes : (B, T, C, H, W), after pooling: what the next layer reads.
    fired : (B,) spikes fired before pooling, over all steps and computed positions.
    membrane : (B, C, H, W) potential after the last step's reset, before pooling.
    """

    name: str
    spikes: NDArray[np.bool_]
    fired: IntArray
    membrane: IntArray


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
    """Run a program on images (B, C, H, W) uint8, B >= 1.

    Raises `DataError` if the images are not of the program's shape and type.
    """
    _check_images(program, images)
    parts = [_run_batch(program, images[i:i + _BATCH_IMAGES]) for i in range(0, len(images), _BATCH_IMAGES)]
    layers = tuple(LayerResult(
        name=same[0].name,
        spikes=np.concatenate([part.spikes for part in same]),
        fired=np.concatenate([part.fired for part in same]),
        membrane=np.concatenate([part.membrane for part in same]),
    ) for same in zip(*(part.layers for part in parts), strict=True))
    return FunctionalResult(layers=layers, logits=np.concatenate([part.logits for part in parts]))


def predict(program: Program, images: NDArray[np.uint8]) -> IntArray:
    """(B,) predicted classes of images (B, C, H, W) uint8; keeps no spikes, so that a whole test set fits in memory.

    Raises `DataError` as `run`.
    """
    _check_images(program, images)
    return np.concatenate([_run_batch(program, images[i:i + _BATCH_IMAGES]).predictions
                           for i in range(0, len(images), _BATCH_IMAGES)])


def accumulate(layer: Layer, inputs: Map) -> IntArray:
    """Exact accumulators a = sum of weight*activation: inputs (N, c_in, H, W) -> (N, c_out, H', W') before pooling.

    The kernel's first tap lies at (y*stride - pad, x*stride - pad); taps outside the map read zero. Positions that a
    floor pooling drops are not computed.
    """
    weights = layer.weights.integers()  # (c_out, c_in, taps_y, taps_x)
    c_out, c_in, taps_y, taps_x = weights.shape
    _, height, width = layer.conv_shape
    windows = sliding_window_view(pad_map(layer, inputs), (taps_y, taps_x), axis=(2, 3))
    windows = windows[:, :, ::layer.stride, ::layer.stride]  # (N, c_in, H', W', taps_y, taps_x)
    peak = 255 if layer.image_input else 1
    bound = int(np.abs(weights).sum(axis=(1, 2, 3)).max()) * peak
    # Every partial sum is a whole number within the bound, so the matrix product is exact in any order of summation.
    assert bound < _EXACT_FLOAT64
    dtype = np.float32 if bound < _EXACT_FLOAT32 else np.float64
    unfolded = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, c_in * taps_y * taps_x).astype(dtype)
    sums = unfolded @ weights.reshape(c_out, -1).T.astype(dtype)  # (N*H'*W', c_out)
    return sums.reshape(len(inputs), height, width, c_out).transpose(0, 3, 1, 2).astype(np.int64)


def pad_map(layer: Layer, inputs: Map) -> Map:
    """Inputs (N, c_in, H, W) with `pad` zeros before and cut, or filled with zeros, where the last window ends."""
    (_, height, width), (_, _, groups_y, groups_x, _) = layer.conv_shape, layer.weights.symbols.shape
    reach_y, reach_x = (height - 1) * layer.stride + 3 * groups_y, (width - 1) * layer.stride + 3 * groups_x
    after = [(layer.pad, max(0, reach - layer.pad - size))
             for reach, size in zip((reach_y, reach_x), inputs.shape[2:], strict=True)]
    return np.pad(inputs, ((0, 0), (0, 0), *after))[:, :, :reach_y, :reach_x]


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
    fired = spikes.sum(axis=(1, 2, 3, 4), dtype=np.int64)
    return LayerResult(name=layer.name, spikes=_pool(spikes) if layer.pool else spikes, fired=fired, membrane=membrane)


def _run_batch(program: Program, images: NDArray[np.uint8]) -> FunctionalResult:
    inputs: Map = images
    layers = []
    for layer in program.layers[:-1]:
        current = currents(layer, inputs, steps=program.steps, fraction_bits=program.fraction_bits)
        layers.append(fire(layer, current, leak_bits=program.leak_bits))
        inputs = layers[-1].spikes
    # The classifier neither leaks nor fires: its membrane is the sum of its currents.
    current = currents(program.layers[-1], inputs, steps=program.steps, fraction_bits=program.fraction_bits)
    return FunctionalResult(layers=tuple(layers), logits=current.sum(axis=1)[:, :, 0, 0])


def _pool(spikes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """2x2 max of (..., 2H, 2W)."""
    *outer, height, width = spikes.shape
    return np.logical_or.reduce(spikes.reshape(*outer, height // 2, 2, width // 2, 2), axis=(-3, -1))


def _check_images(program: Program, images: NDArray[np.uint8]) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != program.in_shape or not len(images):
        raise DataError(f"images must be uint8 of shape (B, {', '.join(map(str, program.in_shape))}) with B >= 1",
                        value=f"{images.dtype} {images.shape}", source=program.name)
