"""Small random programs and images for tests: seeded, valid for a configuration, and neither silent nor saturated.

Random weights with random thresholds leave most nets dead or firing everywhere, and a test on them shows little. Here
the thresholds of each layer are set from the currents that random images cause in it, so that each channel fires at
about the rate asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim import functional
from s2nn.hw.sim.net_shapes import PLANE_BITS, NetShape, WeightKind
from s2nn.hw.spec.config import DEFAULT_CURRENT_BITS, GROUP_TAPS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import KEEP_SHIFTS
from s2nn.hw.spec.program import (
    BIAS_LIMIT,
    GAIN_LIMIT,
    GAIN_SHIFTS,
    INPUT,
    THRESHOLD_LIMIT,
    Layer,
    PoolOp,
    Program,
    ResidualOp,
    Shape,
)
from s2nn.hw.spec.semantics import IntArray
from s2nn.hw.spec.weights import ZERO_CODEWORD, Grouping, Weights

_CALIBRATION_IMAGES = 4
_CALIBRATION_ROUNDS = 9


@dataclass(frozen=True, kw_only=True)
class RandomConv:
    """One spiking layer of a random program; layer k is named conv{k}.

    Parameters
    ----------
    channels : output channels.
    eta : bits per index into a random codebook; None stores raw nine-bit groups (the binary format).
    planes : weight planes, 1..8; 1 is a 1-bit or sub-bit layer, 8 an 8-bit one.
    zeros : share of groups that are pruned, with a codebook only; 0 leaves the zero codeword out of it.
    kernel, grouping, shared_taps, stride, pad, pool, pool_op, soft_reset : as `s2nn.hw.spec.program.Layer`.
    source : map that is read; None: that of the layer before. residual, residual_op : map that is joined, or None.
    keeps : the currents are kept, for a later layer's residual CURRENT.
    leak : factor in units of 2**-leak_bits; None draws one between half and all of the membrane.
    firing : share of (position, step) pairs at which a channel should fire, roughly.
    """

    channels: int
    eta: int | None = None
    planes: int = 1
    zeros: float = 0.0
    kernel: tuple[int, int] = (3, 3)
    grouping: Grouping = Grouping.TAPS
    shared_taps: bool = False
    stride: int = 1
    pad: int = 1
    pool: bool = False
    pool_op: PoolOp = PoolOp.MAX
    soft_reset: bool = False
    source: str | None = None
    residual: str | None = None
    residual_op: ResidualOp | None = None
    keeps: bool = False
    leak: int | None = None
    firing: float = 0.2


def random_images(seed: int, shape: Shape, count: int, *, density: float = 0.4) -> NDArray[np.uint8]:
    """Images (count, C, H, W) uint8; a share of about `density` of the pixels, more or less by image, is not black."""
    rng = np.random.default_rng([seed, 1])
    pixels = rng.integers(0, 256, size=(count, *shape), dtype=np.uint8)
    share = density * rng.uniform(0.5, 1.5, (count, 1, 1, 1))
    return np.where(rng.random(pixels.shape) < share, pixels, 0).astype(np.uint8)


def random_spikes(seed: int, shape: Shape, count: int, *, steps: int, rate: float = 0.2) -> NDArray[np.uint8]:
    """Inputs of a net that takes spikes: (count, T, C, H, W) uint8, each 1 with probability `rate`."""
    return (np.random.default_rng([seed, 2]).random((count, steps, *shape)) < rate).astype(np.uint8)


def random_program(seed: int, config: AcceleratorConfig, *, in_shape: Shape, layers: Sequence[RandomConv],
                   classes: int = 10, classifier_planes: int = 8, classifier_grouping: Grouping = Grouping.TAPS,
                   classifier_shared_taps: bool = False, steps: int = 4, spike_input: bool = False,
                   name: str = "random", calibration: NDArray[np.uint8] | None = None) -> Program:
    """A program with these spiking layers and a classifier whose kernel is the whole last map.

    calibration : inputs (B, ...) on which thresholds are set; None: some random ones.

    Layers that read an image always take raw groups, since they read pixels through their planes like a trained net's;
    so does the classifier. Whether `config` can hold the result (buffers, widths) is checked where it is packed.

    Raises `LoweringError` for layers that make no valid program.
    """
    rng = np.random.default_rng([seed, 0])
    inputs = calibration
    if inputs is None:
        inputs = (random_spikes(seed, in_shape, _CALIBRATION_IMAGES, steps=steps) if spike_input
                  else random_images(seed, in_shape, _CALIBRATION_IMAGES))
    maps: dict[str, functional.Map] = {INPUT: inputs}
    kept: dict[str, IntArray] = {}
    shapes: dict[str, Shape] = {INPUT: in_shape}
    built: list[Layer] = []
    source = INPUT
    for index, spec in enumerate(layers):
        source = spec.source or source
        image_input = source == INPUT and not spike_input
        draft = _draft_conv(rng, config, spec, f"conv{index}", source, shapes[source], image_input=image_input)
        current = functional.currents(draft, maps[source], steps=steps, fraction_bits=config.fraction_bits)
        if draft.residual is not None and draft.adds_current:
            added = kept[draft.residual]
            draft = _with_gain(rng, draft, current, added)
            current = functional.with_shortcut(draft, current, added)
        layer, current = _calibrate(rng, config, spec, draft, current)
        spikes = functional.fire(layer, current, leak_bits=config.leak_bits).spikes
        if spec.keeps:
            layer = _with_keep_shift(config, layer, current)
            made = functional.keep(layer, current, config.current_bits)
            assert made is not None
            kept[layer.name] = made
        built.append(layer)
        source = layer.name
        maps[source] = spikes
        if layer.residual is not None and not layer.adds_current:
            maps[source] = functional.combine(layer, spikes, maps[layer.residual])
        shapes[source] = layer.out_shape
    kernel = shapes[source][1:]
    groups = _num_groups(kernel, shapes[source][0], classifier_grouping, classifier_shared_taps)
    draft = Layer(
        name="classifier", kind="classify", source=source, in_shape=shapes[source], out_shape=(classes, 1, 1),
        kernel=kernel, weights=_random_weights(rng, (classifier_planes, classes, groups), None),
        grouping=classifier_grouping, shared_taps=classifier_shared_taps,
        image_input=source == INPUT and not spike_input,
        threshold=np.ones(classes, dtype=np.int64), bias=np.zeros(classes, dtype=np.int64),
        negate=rng.random(classes) < 0.3, leak=1 << config.leak_bits)
    mean = functional.currents(draft, maps[source], steps=steps, fraction_bits=config.fraction_bits)
    built.append(_with_params(draft, np.ones(classes), -mean.mean(axis=(0, 1, 3, 4))))
    return Program(name=name, steps=steps, spike_input=spike_input, leak_bits=config.leak_bits,
                   fraction_bits=config.fraction_bits, current_bits=config.current_bits if kept else 0,
                   layers=tuple(built))


def _random_weights(rng: np.random.Generator, shape: tuple[int, ...], eta: int | None, zeros: float = 0.0) -> Weights:
    """Symbols of `shape`; a codebook holds distinct codewords, the zero codeword last if a share `zeros` is pruned."""
    if eta is None:
        return Weights(symbols=rng.integers(0, 1 << GROUP_TAPS, size=shape, dtype=np.uint16))
    codebook = rng.permutation(1 << GROUP_TAPS)[:1 << eta].astype(np.uint16)
    symbols = rng.integers(0, 1 << eta, size=shape, dtype=np.uint16)
    if zeros:
        codebook[-1] = ZERO_CODEWORD
        last = len(codebook) - 1
        symbols = np.where(rng.random(shape) < zeros, last, symbols % last).astype(np.uint16)
    return Weights(symbols=symbols, codebook=codebook)


def _num_groups(kernel: tuple[int, int], channels: int, grouping: Grouping, shared_taps: bool) -> int:
    if grouping is Grouping.INPUTS:
        return ceil_div(channels * (1 if shared_taps else kernel[0] * kernel[1]), GROUP_TAPS)
    return ceil_div(kernel[0], 3) * ceil_div(kernel[1], 3) * channels


def _draft_conv(rng: np.random.Generator, config: AcceleratorConfig, spec: RandomConv, name: str, source: str,
                in_shape: Shape, *, image_input: bool) -> Layer:
    """The layer with weights, shapes and leak, and with neutral thresholds."""
    rows, cols = ((size + 2 * spec.pad - taps) // spec.stride + 1
                  for size, taps in zip(in_shape[1:], spec.kernel, strict=True))
    out_shape = (spec.channels, rows // 2, cols // 2) if spec.pool else (spec.channels, rows, cols)
    half = 1 << (config.leak_bits - 1)
    groups = _num_groups(spec.kernel, in_shape[0], spec.grouping, spec.shared_taps)
    eta = None if image_input else spec.eta
    return Layer(
        name=name, kind="conv", source=source, in_shape=in_shape, out_shape=out_shape, kernel=spec.kernel,
        weights=_random_weights(rng, (spec.planes, spec.channels, groups), eta, spec.zeros),
        grouping=spec.grouping, shared_taps=spec.shared_taps, stride=spec.stride, pad=spec.pad, pool=spec.pool,
        pool_op=spec.pool_op,
        residual=spec.residual, residual_op=spec.residual_op, image_input=image_input,
        gain=np.ones(spec.channels, dtype=np.int64) if spec.residual_op is ResidualOp.CURRENT else None,
        threshold=np.ones(spec.channels, dtype=np.int64), bias=np.zeros(spec.channels, dtype=np.int64),
        negate=rng.random(spec.channels) < 0.3,
        leak=int(rng.integers(half, 2 * half + 1)) if spec.leak is None else spec.leak, soft_reset=spec.soft_reset)


def _with_gain(rng: np.random.Generator, draft: Layer, current: IntArray, kept: IntArray) -> Layer:
    """The layer with gains that bring what an earlier layer kept to the size of its own currents, more or less."""
    own, other = (np.maximum(values.std(axis=(0, 1, 3, 4)), 1.0) for values in (current, kept))
    gain = own / other * rng.uniform(0.5, 1.5, len(own))
    shift = max(shift for shift in GAIN_SHIFTS if shift == 0 or gain.max() * 2**shift <= GAIN_LIMIT)
    return replace(draft, gain=np.rint(gain * 2**shift).astype(np.int64).clip(0, GAIN_LIMIT), gain_shift=shift)


def _with_keep_shift(config: AcceleratorConfig, layer: Layer, current: IntArray) -> Layer:
    """The layer with the least shifts that keep currents of up to twice their spread whole; larger ones are clamped."""
    reach = np.abs(current.mean(axis=(0, 1, 3, 4))) + 2 * np.maximum(current.std(axis=(0, 1, 3, 4)), 1.0)
    shift = np.ceil(np.log2(reach / (1 << config.current_bits - 1))).astype(np.int64)
    return replace(layer, keep_shift=shift.clip(KEEP_SHIFTS[0], KEEP_SHIFTS[-1]))


def _calibrate(rng: np.random.Generator, config: AcceleratorConfig, spec: RandomConv, draft: Layer,
               current: IntArray) -> tuple[Layer, IntArray]:
    """The layer with thresholds and biases that make it fire at the asked rate, and its currents with these.

    current : (B, T, C, H, W), without a bias.
    """
    mean, spread = current.mean(axis=(0, 1, 3, 4)), np.maximum(current.std(axis=(0, 1, 3, 4)), 1.0)
    bias = -mean + spread * rng.uniform(-0.3, 0.3, spec.channels)
    theta = spread * 1.5

    def attempt() -> tuple[Layer, IntArray]:
        layer = _with_params(draft, theta, bias)
        return layer, current + (layer.bias << layer.param_shift)[:, None, None]

    layer, shifted = attempt()
    # A slow leak adds currents up, so the rate does not follow from their distribution: step the threshold towards it.
    for _ in range(_CALIBRATION_ROUNDS):
        rate = functional.fire(layer, shifted, leak_bits=config.leak_bits).spikes.mean(axis=(0, 1, 3, 4))  # (C,)
        theta = theta * np.where(rate > 1.2 * spec.firing, 1.3, np.where(rate < 0.8 * spec.firing, 0.8, 1.0))
        layer, shifted = attempt()
    return layer, shifted


def _with_params(draft: Layer, theta: NDArray[np.float64], bias: NDArray[np.float64]) -> Layer:
    """The layer with these thresholds and biases, as mantissas under the smallest shift that holds all of them."""
    peak = max(float(np.abs(bias).max()) / BIAS_LIMIT, float(theta.max()) / THRESHOLD_LIMIT, 1.0)
    shift = int(np.ceil(np.log2(peak)))
    mantissas: list[IntArray] = [np.floor(values / (1 << shift)).astype(np.int64) for values in (theta, bias)]
    return replace(draft, threshold=mantissas[0].clip(1, THRESHOLD_LIMIT), bias=mantissas[1], param_shift=shift)


def built_for(config: AcceleratorConfig, net: NetShape) -> AcceleratorConfig:
    """The configuration, with membrane shortcuts if the net has them."""
    needs = net.residual_op is ResidualOp.CURRENT and not config.current_bits
    return replace(config, current_bits=DEFAULT_CURRENT_BITS) if needs else config


def net_program(seed: int, config: AcceleratorConfig, net: NetShape, *, eta: int, classifier_planes: int = PLANE_BITS,
                calibration: NDArray[np.uint8] | None = None) -> Program:
    """A random program of a net's shape, see `net_layers` and `random_program`; the compared layers are sub-bit."""
    pooled = net.layers[-1].global_pool
    return random_program(seed, config, in_shape=net.input_shape, name=net.name,
                          layers=net_layers(net, eta=eta, residual_op=net.residual_op),
                          classes=net.layers[-1].c_out, classifier_planes=classifier_planes, steps=net.steps,
                          classifier_grouping=Grouping.INPUTS if pooled else Grouping.TAPS,
                          classifier_shared_taps=pooled, spike_input=net.input_spikes, calibration=calibration)


def net_layers(net: NetShape, *, eta: int | None, residual_op: ResidualOp = ResidualOp.ADD,
               firing: float = 0.2) -> list[RandomConv]:
    """The spiking layers of a net for `random_program`, under its names conv0, conv1, ...

    Parameters
    ----------
    net : gives shapes; what joins a layer, and a block's shortcut, does so as `residual_op` says: CURRENT adds to its
        current, which is what the shape means, the others join its spikes.
    eta : of the compared layers; None stores raw groups. firing : see `RandomConv`.
    """
    names = {INPUT: INPUT} | {layer.name: f"conv{index}" for index, layer in enumerate(net.layers)}
    layers: list[RandomConv] = []
    shortcut: str | None = None
    for layer in net.layers[:-1]:
        residual = layer.residual or (shortcut if layer.kind == "conv" else None)
        pointwise = layer.kernel == 1
        layers.append(RandomConv(
            channels=layer.c_out, eta=eta if layer.weights is WeightKind.COMPARED else None, planes=layer.num_planes,
            kernel=(layer.kernel, layer.kernel), grouping=Grouping.INPUTS if pointwise else Grouping.TAPS,
            stride=layer.stride, pad=layer.pad, pool=layer.pool, source=names[layer.source],
            residual=None if residual is None else names[residual],
            residual_op=None if residual is None else residual_op, firing=firing))
        shortcut = layer.name if layer.kind == "shortcut" else None
    if residual_op is ResidualOp.CURRENT:
        kept = {layer.residual for layer in layers}
        layers = [replace(layer, keeps=f"conv{index}" in kept) for index, layer in enumerate(layers)]
    return layers
