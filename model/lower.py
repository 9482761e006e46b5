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

Spikes that an average pool or a residual adds up reach the next layer as integers; their division is in its gain. A
membrane shortcut (MS-ResNet) adds the current of another layer before this one fires: `shortcuts` says how. A
convolution that only feeds a shortcut gets the highest thresholds that fit: nobody reads what it fires.

The classifier has one gain: logit_o = mean_t(gain*acc + b_o) = gain/T * sum_t(acc + b_o/gain), so bias_o is
round(b_o/gain), which the engine adds once per step, and logit_scale = gain/T.
"""

from dataclasses import dataclass

import numpy as np
import torch

from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.placement import SectionOffsets, describe
from s2nn.hw.spec.program import BIAS_LIMIT, GAIN_LIMIT, INPUT, THRESHOLD_LIMIT, Layer, Program, ResidualOp
from s2nn.hw.spec.semantics import IntArray, bipolar_planes
from s2nn.hw.spec.weights import Grouping, Weights, fewest_groups, group_inputs, group_taps
from s2nn.model.codebook import TAPS, pattern_of
from s2nn.model.fold import FoldedLayer, FoldedNet
from s2nn.model.nets.stages import Stage, WeightKind, map_peaks
from s2nn.model.shortcuts import KeptMap, gains, keep, reaches

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
    """unit : integer current of a channel that is worth a current of 1."""

    threshold: IntArray
    bias: IntArray
    negate: np.ndarray
    param_shift: int
    capped: int
    unit: np.ndarray


def _doubles(values: torch.Tensor) -> np.ndarray:
    return values.double().numpy()


def _quantise_neuron(gain: np.ndarray, bias: np.ndarray, theta: float, *, fraction_bits: int, largest_acc: np.ndarray,
                     mantissa_room: int, shortcut: KeptMap | None, current_bits: int, name: str) -> _Params:
    """Mantissas of one layer. largest_acc [O] bounds |acc| of each channel; `mantissa_room` is the largest threshold,
    or |bias| with the largest current of the shortcut, that the membrane leaves room for."""
    peak = np.maximum(theta, np.abs(bias))
    whole = peak if shortcut is None else np.maximum(theta, np.abs(bias) + shortcut.largest(current_bits))
    with np.errstate(divide="ignore"):
        unit = np.where(gain == 0, np.inf, 2.0**fraction_bits / np.abs(gain))
    for shift in range(MAX_PARAM_SHIFT + 1):
        mantissa = min(THRESHOLD_LIMIT, BIAS_LIMIT) << shift
        largest = np.minimum(mantissa / peak, mantissa_room / whole)  # unit
        if shortcut is not None:
            largest = np.minimum(largest, GAIN_LIMIT / shortcut.step)
        capped = unit > largest
        excess = (2.0**fraction_bits / largest - np.abs(gain)) * largest_acc  # of a capped channel's current
        if (excess[capped] <= theta / 2).all():
            break
        if mantissa >= mantissa_room:
            raise LoweringError(f"threshold and bias of a channel must fit {mantissa_room}, what its membrane leaves",
                                value=float((peak * unit).max()), source=f"layer {name}")
    else:
        raise LoweringError(f"param_shift must be at most {MAX_PARAM_SHIFT}", value=float((peak * unit).max()),
                            source=f"layer {name}")
    unit = np.where(capped, largest, unit)
    return _Params(threshold=np.rint(theta * unit / 2.0**shift).astype(np.int64).clip(1, THRESHOLD_LIMIT),
                   bias=np.rint(bias * unit / 2.0**shift).astype(np.int64), negate=gain < 0, param_shift=shift,
                   capped=int(capped.sum()), unit=unit)


def _mantissa_room(config: AcceleratorConfig, *, current_limit: int, leak: int, steps: int, soft_reset: bool) -> int:
    """Largest |bias| and threshold with which no membrane leaves its width: Program.membrane_limit, inverted."""
    growth = decay = 0.0
    for _ in range(steps):
        decay = decay * leak / (1 << config.leak_bits) + 1
        growth += 1  # ceilings in the bound: at most one per step
    available = (1 << (config.membrane_bits - 1)) - 1 - growth * decay
    return int(available / decay - current_limit) // (2 if soft_reset else 1)


def _bits(weight: torch.Tensor, planes: int) -> np.ndarray:
    """Odd integers [O, I, H, W] as weight bits (planes, O, I, H, W)."""
    return bipolar_planes(weight.numpy().astype(np.int64), planes)


def _weights(layer: FoldedLayer, stage: Stage, *, config: AcceleratorConfig, planes: int) -> Weights:
    """Groups of a convolution; a codebook layer stays one only if the configuration decodes codebooks."""
    if layer.codewords is not None and layer.indices is not None and config.is_codebook:
        symbols = layer.indices.numpy().astype(np.uint16).reshape(1, stage.out_channels, stage.groups_per_channel)
        return Weights(symbols=symbols, codebook=pattern_of(layer.codewords).numpy().astype(np.uint16))
    group = group_inputs if stage.gathered else group_taps
    return Weights(symbols=group(_bits(layer.weight, planes)))


def _leak(tau: float, config: AcceleratorConfig, name: str) -> int:
    scaled = tau * (1 << config.leak_bits)
    if scaled != round(scaled):
        raise LoweringError(f"tau must be a multiple of 1/{1 << config.leak_bits}", value=tau, source=f"layer {name}")
    return round(scaled)


def _conv(net: FoldedNet, number: int, peaks: dict[str, int], config: AcceleratorConfig, reach: dict[str, np.ndarray],
          kept: dict[str, KeptMap]) -> tuple[Layer, int]:
    """The layer of one stage, and how many of its channels were capped; `peaks` are those of the maps.

    reach : see `reaches`. kept : currents that layers before this one keep; its own are added.
    """
    layer, stage = net.layers[number], net.config.stages()[number]
    image, soft_reset = stage.source == INPUT and not net.config.spike_input, not net.config.hard_reset and stage.fires
    theta, shortcut = layer.theta, None if stage.membrane is None else kept[stage.membrane]
    if not stage.fires:  # the threshold of the neurons that its current goes to
        reader = next(n for n, other in enumerate(net.config.stages()) if other.membrane == stage.name)
        theta = net.layers[reader].theta
    peak = peaks[stage.source]
    planes = net.config.plane_bits if stage.weights is WeightKind.PLANES else 1
    leak = _leak(layer.tau, config, stage.name)
    accumulator_limit = ((1 << planes) - 1) * stage.groups_per_channel * TAPS * peak
    weight = _doubles(layer.weight).reshape(stage.out_channels, -1)
    largest_acc = peak * np.maximum(weight.clip(min=0).sum(axis=1), -weight.clip(max=0).sum(axis=1))
    fraction_bits = 0 if image else config.fraction_bits
    room = _mantissa_room(config, current_limit=accumulator_limit << fraction_bits, leak=leak,
                          steps=net.config.time_steps, soft_reset=soft_reset)
    if shortcut is not None:  # what rounding may add to the gains
        room -= (1 << config.current_bits - 1) + 1
    if room < 1:
        raise LoweringError(f"membrane must fit {config.membrane_bits} bits", value=accumulator_limit << fraction_bits,
                            field="largest input current", source=f"layer {stage.name}")
    params = _quantise_neuron(_doubles(layer.gain), _doubles(layer.bias), theta, fraction_bits=fraction_bits,
                              largest_acc=largest_acc, mantissa_room=room, shortcut=shortcut,
                              current_bits=config.current_bits, name=stage.name)
    threshold = params.threshold
    if not stage.fires:
        threshold = np.full_like(threshold, min(THRESHOLD_LIMIT, room >> params.param_shift))
    gain, gain_shift = (None, 0) if shortcut is None else gains(shortcut, params.unit)
    if stage.name in reach:
        kept[stage.name] = keep(reach[stage.name], params.unit, config.current_bits)
    lowered = Layer(name=stage.name, kind="conv", source=stage.source, in_shape=stage.in_shape,
                    out_shape=stage.out_shape, kernel=stage.kernel_shape,
                    weights=_weights(layer, stage, config=config, planes=planes),
                    grouping=Grouping.INPUTS if stage.gathered else Grouping.TAPS, stride=stage.stride,
                    pad=stage.padding, pool=stage.pool, pool_op=stage.pool_op,
                    residual=stage.membrane or stage.residual,
                    residual_op=ResidualOp.CURRENT if stage.membrane else stage.residual_op, image_input=image,
                    threshold=threshold, bias=params.bias, negate=params.negate, param_shift=params.param_shift,
                    leak=leak, soft_reset=soft_reset, gain=gain, gain_shift=gain_shift,
                    keep_shift=kept[stage.name].shift if stage.name in kept else None)
    return lowered, params.capped


def _classifier(net: FoldedNet, config: AcceleratorConfig) -> Layer:
    """The head as one kernel over the whole last map; weights shared by all its taps if it averages the map.

    Groups of nine are taps or consecutive inputs, whichever are fewer: maps of 4x4 fill four groups of taps a channel.
    """
    head, source, pooled = net.layers[-1], net.config.stages()[-1], net.config.pooled_head
    gain, classes, in_shape = float(head.gain[0]), len(head.bias), source.out_shape
    ratio = np.rint(_doubles(head.bias) / gain)
    shift = max(0, int(np.abs(ratio).max() / BIAS_LIMIT).bit_length())
    kernel = (in_shape[0], 1, 1) if pooled else in_shape
    bits = _bits(head.weight.reshape(-1, *kernel), net.config.plane_bits)
    grouping = Grouping.INPUTS if pooled else fewest_groups(in_shape, in_shape[1:], lanes=config.lanes)
    group = group_inputs if grouping is Grouping.INPUTS else group_taps
    return Layer(name="classifier", kind="classify", source=source.name, in_shape=in_shape, out_shape=(classes, 1, 1),
                 kernel=in_shape[1:], weights=Weights(symbols=group(bits)), grouping=grouping, shared_taps=pooled,
                 threshold=np.ones(classes, dtype=np.int64), bias=np.rint(ratio / 2.0**shift).astype(np.int64),
                 negate=np.zeros(classes, dtype=bool), param_shift=shift, leak=1 << config.leak_bits,
                 logit_scale=gain / net.config.time_steps)


def lower_with_report(net: FoldedNet, config: AcceleratorConfig, *, name: str = "net") -> Lowered:
    """As `lower`, with the report."""
    stages = net.config.stages()
    if net.config.full_precision:
        raise LoweringError("weights must be 1-bit, codewords or 8-bit planes: a full-precision net has no integers",
                            value=net.config.weight_format, source=name)
    reach = reaches(stages, net.layers)
    if reach and not config.current_bits:
        raise LoweringError("the configuration must be built for membrane shortcuts (current_bits)",
                            value=config.current_bits, field="current_bits", source=name)
    kept: dict[str, KeptMap] = {}
    peaks = map_peaks(stages, spike_input=net.config.spike_input)
    layers, capped = [], []
    for number in range(len(stages)):
        layer, channels = _conv(net, number, peaks, config, reach, kept)
        layers.append(layer)
        capped.append(channels)
    layers.append(_classifier(net, config))
    program = Program(name=name, steps=net.config.time_steps, spike_input=net.config.spike_input,
                      leak_bits=config.leak_bits, fraction_bits=config.fraction_bits,
                      current_bits=config.current_bits if kept else 0, layers=tuple(layers))
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
