"""From a folded net to an integer `Program`: the only place where floats become the accelerator's integers.

A channel's neuron sees current = g*acc + b with threshold theta (g, b: folded gain and bias; acc: exact integer).
Dividing by |g| changes no spike, and leaves an integer accumulator that needs no multiplier:

    sign(g)*acc*2^F + b*unit  against  theta*unit,     unit = 2^F/|g|          F = fraction_bits, 0 in the image layer

    negate_o = g < 0;  bias_o = round(b*unit / 2^p);  theta_o = max(1, round(theta*unit / 2^p))     p = param_shift
    leak     = tau * 2^leak_bits, which must be a whole number

Round means to nearest, ties to even. p is the smallest shift at which all mantissas of the layer fit their 16 bits. A
channel whose gain is so small that its mantissas would need more takes the largest unit that fits: its bias and
threshold keep their ratio, and its input counts for more than it should. That is allowed while the excess stays below
half a threshold for any input, and refused beyond. `LayerReport` counts those channels.

The classifier has one gain: logit_o = mean_t(gain*acc + b_o) = gain/T * sum_t(acc + b_o/gain), so bias_o is
round(b_o/gain), which the engine adds once per step, and logit_scale = gain/T.
"""

from dataclasses import dataclass

import numpy as np
import torch

from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.placement import SectionOffsets, describe
from s2nn.hw.spec.program import BIAS_LIMIT, INPUT, THRESHOLD_LIMIT, Layer, Program, Shape, Weights, group_taps
from s2nn.hw.spec.semantics import IntArray, bipolar_planes
from s2nn.model.codebook import TAPS, pattern_of
from s2nn.model.fold import FoldedLayer, FoldedNet

MAX_PARAM_SHIFT = 15


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """How well one layer fitted: param_shift, channels with a negative gain, channels with a capped unit, and the bits
    that accumulator and membrane need in the worst case (the membrane's with its sign)."""

    name: str
    param_shift: int
    negated_channels: int
    capped_channels: int
    accumulator_bits: int
    membrane_bits: int


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A program and how it came out, layer by layer."""

    program: Program
    report: tuple[LayerReport, ...]


@dataclass(frozen=True, kw_only=True)
class _Params:
    threshold: IntArray
    bias: IntArray
    negate: np.ndarray
    param_shift: int
    capped: int


def _doubles(values: torch.Tensor) -> np.ndarray:
    return values.double().numpy()


def _quantise_neuron(gain: np.ndarray, bias: np.ndarray, theta: float, *, fraction_bits: int, largest_acc: np.ndarray,
                     mantissa_room: int, name: str) -> _Params:
    """Mantissas of one layer. largest_acc [O] bounds |acc| of each channel; `mantissa_room` is the largest threshold or
    |bias| that the membrane leaves room for."""
    peak = np.maximum(theta, np.abs(bias))
    with np.errstate(divide="ignore"):
        unit = np.where(gain == 0, np.inf, 2.0**fraction_bits / np.abs(gain))
    for shift in range(MAX_PARAM_SHIFT + 1):
        room = min(min(THRESHOLD_LIMIT, BIAS_LIMIT) << shift, mantissa_room)
        capped = peak * unit > room
        excess = (2.0**fraction_bits * peak / room - np.abs(gain)) * largest_acc  # of a capped channel's current
        if (excess[capped] <= theta / 2).all():
            break
        if room == mantissa_room:
            raise LoweringError(f"threshold and bias of a channel must fit {mantissa_room}, what its membrane leaves",
                                value=float((peak * unit).max()), source=f"layer {name}")
    else:
        raise LoweringError(f"param_shift must be at most {MAX_PARAM_SHIFT}", value=float((peak * unit).max()),
                            source=f"layer {name}")
    unit = np.where(capped, room / peak, unit) / 2.0**shift
    return _Params(threshold=np.rint(theta * unit).astype(np.int64).clip(1, THRESHOLD_LIMIT),
                   bias=np.rint(bias * unit).astype(np.int64), negate=gain < 0, param_shift=shift,
                   capped=int(capped.sum()))


def _mantissa_room(config: AcceleratorConfig, *, current_limit: int, leak: int, steps: int, soft_reset: bool) -> int:
    """Largest |bias| and threshold with which no membrane leaves its width: Program.membrane_limit, inverted."""
    growth = decay = 0.0
    for _ in range(steps):
        decay = decay * leak / (1 << config.leak_bits) + 1
        growth += 1  # ceilings in the bound: at most one per step
    available = (1 << (config.membrane_bits - 1)) - 1 - growth * decay
    return int(available / decay - current_limit) // (2 if soft_reset else 1)


def _weights(layer: FoldedLayer, *, config: AcceleratorConfig, planes: int) -> Weights:
    """Groups of a convolution; a codebook layer stays one only if the configuration decodes codebooks."""
    c_out, c_in = layer.weight.shape[:2]
    if layer.codewords is not None and layer.indices is not None and config.is_codebook:
        symbols = layer.indices.numpy().astype(np.uint16).reshape(1, c_out, c_in)
        return Weights(symbols=symbols, codebook=pattern_of(layer.codewords).numpy().astype(np.uint16))
    return Weights(symbols=group_taps(bipolar_planes(layer.weight.numpy().astype(np.int64), planes)))


def _classifier_weights(weight: torch.Tensor, shape: Shape, planes: int) -> Weights:
    """[classes, C*H*W] as one kernel over the whole map."""
    bits = bipolar_planes(weight.numpy().astype(np.int64).reshape(-1, *shape), planes)
    return Weights(symbols=group_taps(bits))


def _leak(tau: float, config: AcceleratorConfig, name: str) -> int:
    scaled = tau * (1 << config.leak_bits)
    if scaled != round(scaled):
        raise LoweringError(f"tau must be a multiple of 1/{1 << config.leak_bits}", value=tau, source=f"layer {name}")
    return round(scaled)


def _conv(net: FoldedNet, number: int, source: str, in_shape: Shape, config: AcceleratorConfig) -> tuple[Layer, int]:
    """The layer, and how many of its channels were capped."""
    layer, name, image = net.layers[number], f"conv{number}", number == 0
    soft_reset = not net.config.hard_reset
    c_out, c_in = layer.weight.shape[:2]
    planes = net.config.plane_bits if image else 1
    height, width = (size // 2 if layer.pool else size for size in in_shape[1:])
    leak = _leak(layer.tau, config, name)
    pixel = 255 if image else 1
    accumulator_limit = ((1 << planes) - 1) * c_in * TAPS * pixel
    weight = _doubles(layer.weight).reshape(c_out, -1)
    largest_acc = pixel * np.maximum(weight.clip(min=0).sum(axis=1), -weight.clip(max=0).sum(axis=1))
    fraction_bits = 0 if image else config.fraction_bits
    room = _mantissa_room(config, current_limit=accumulator_limit << fraction_bits, leak=leak,
                          steps=net.config.time_steps, soft_reset=soft_reset)
    if room < 1:
        raise LoweringError(f"membrane must fit {config.membrane_bits} bits", value=accumulator_limit << fraction_bits,
                            field="largest input current", source=f"layer {name}")
    params = _quantise_neuron(_doubles(layer.gain), _doubles(layer.bias), layer.theta, fraction_bits=fraction_bits,
                              largest_acc=largest_acc, mantissa_room=room, name=name)
    lowered = Layer(name=name, kind="conv", source=source, in_shape=in_shape, out_shape=(c_out, height, width),
                    kernel=(3, 3), weights=_weights(layer, config=config, planes=planes), pad=1, pool=layer.pool,
                    image_input=image, threshold=params.threshold, bias=params.bias, negate=params.negate,
                    param_shift=params.param_shift, leak=leak, soft_reset=soft_reset)
    return lowered, params.capped


def _classifier(net: FoldedNet, source: str, in_shape: Shape, config: AcceleratorConfig) -> Layer:
    head = net.layers[-1]
    gain, classes = float(head.gain[0]), len(head.bias)
    ratio = np.rint(_doubles(head.bias) / gain)
    shift = max(0, int(np.abs(ratio).max() / BIAS_LIMIT).bit_length())
    return Layer(name="classifier", kind="classify", source=source, in_shape=in_shape, out_shape=(classes, 1, 1),
                 kernel=in_shape[1:], weights=_classifier_weights(head.weight, in_shape, net.config.plane_bits),
                 threshold=np.ones(classes, dtype=np.int64), bias=np.rint(ratio / 2.0**shift).astype(np.int64),
                 negate=np.zeros(classes, dtype=bool), param_shift=shift, leak=1 << config.leak_bits,
                 logit_scale=gain / net.config.time_steps)


def lower_with_report(net: FoldedNet, config: AcceleratorConfig, *, name: str = "net") -> Lowered:
    """As `lower`, with the report."""
    layers, capped, source, shape = [], [], INPUT, net.config.input_shape
    for number in range(len(net.layers) - 1):
        layer, channels = _conv(net, number, source, shape, config)
        layers.append(layer)
        capped.append(channels)
        source, shape = layer.name, layer.out_shape
    layers.append(_classifier(net, source, shape, config))
    program = Program(name=name, steps=net.config.time_steps, leak_bits=config.leak_bits,
                      fraction_bits=config.fraction_bits, layers=tuple(layers))
    # Everything the configuration limits (buffers, widths, chunks) is a rule of the contract: let it judge the program.
    describe(config, program, [SectionOffsets(0, 0, 0)] * len(layers))
    report = tuple(LayerReport(
        name=layer.name, param_shift=layer.param_shift, negated_channels=int(layer.negate.sum()),
        capped_channels=channels,
        accumulator_bits=program.accumulator_limit(layer).bit_length(),
        membrane_bits=program.membrane_limit(layer).bit_length() + 1,
    ) for layer, channels in zip(layers, [*capped, 0], strict=True))
    return Lowered(program=program, report=report)


def lower(net: FoldedNet, config: AcceleratorConfig, *, name: str = "net") -> Program:
    """The integer program of a folded net for one accelerator configuration.

    A sub-bit net lowered for a binary configuration has its kernels written out as raw groups. Raises `LoweringError`
    where the configuration cannot hold or express the net.
    """
    return lower_with_report(net, config, name=name).program
