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
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.program import BIAS_LIMIT, THRESHOLD_LIMIT, Layer, Program, Shape, Weights
from s2nn.hw.spec.semantics import IntArray

_CALIBRATION_IMAGES = 4
_CALIBRATION_ROUNDS = 9


@dataclass(frozen=True, kw_only=True)
class RandomConv:
    """One spiking layer of a random program.

    Parameters
    ----------
    channels : output channels.
    eta : bits per index into a random codebook; None stores raw nine-bit groups (the binary format).
    planes : weight planes, 1..8; 1 is a 1-bit or sub-bit layer, 8 an 8-bit one.
    groups : kernel height and width in groups of three taps.
    stride, pad, pool, soft_reset : as `s2nn.hw.spec.program.Layer`.
    leak : factor in units of 2**-leak_bits; None draws one between half and all of the membrane.
    firing : share of (position, step) pairs at which a channel should fire, roughly.
    """

    channels: int
    eta: int | None = None
    planes: int = 1
    groups: tuple[int, int] = (1, 1)
    stride: int = 1
    pad: int = 1
    pool: bool = False
    soft_reset: bool = False
    leak: int | None = None
    firing: float = 0.2


def random_images(seed: int, shape: Shape, count: int, *, density: float = 0.4) -> NDArray[np.uint8]:
    """Images (count, C, H, W) uint8; a share of about `density` of the pixels, more or less by image, is not black."""
    rng = np.random.default_rng([seed, 1])
    pixels = rng.integers(0, 256, size=(count, *shape), dtype=np.uint8)
    share = density * rng.uniform(0.5, 1.5, (count, 1, 1, 1))
    return np.where(rng.random(pixels.shape) < share, pixels, 0).astype(np.uint8)


def random_program(seed: int, config: AcceleratorConfig, *, in_shape: Shape, layers: Sequence[RandomConv],
                   classes: int = 10, steps: int = 4, classifier_planes: int = 8, name: str = "random") -> Program:
    """A program with these spiking layers and a classifier over the whole last map.

    The first layer always takes raw groups, since it reads pixels through its planes like a trained net's; so does
    the classifier. Whether `config` can hold the result (buffers, widths) is checked where it is packed.

    Raises `LoweringError` for layers that make no valid program.
    """
    rng = np.random.default_rng([seed, 0])
    inputs: functional.Map = random_images(seed, in_shape, _CALIBRATION_IMAGES)
    built: list[Layer] = []
    shape = in_shape
    for index, spec in enumerate(layers):
        draft = _draft_conv(rng, config, spec, index, shape)
        layer, inputs = _calibrate(rng, config, spec, draft, inputs, steps)
        built.append(layer)
        shape = layer.out_shape
    draft = _draft_classifier(rng, config, shape, classes, classifier_planes, image_input=not built)
    mean = functional.currents(draft, inputs, steps=steps, fraction_bits=config.fraction_bits).mean(axis=(0, 1, 3, 4))
    built.append(_with_params(draft, np.ones(classes), -mean))
    return Program(name=name, steps=steps, leak_bits=config.leak_bits, fraction_bits=config.fraction_bits,
                   layers=tuple(built))


def _random_weights(rng: np.random.Generator, shape: tuple[int, ...], eta: int | None) -> Weights:
    """Symbols of `shape`; a codebook holds distinct codewords."""
    if eta is None:
        return Weights(symbols=rng.integers(0, 1 << GROUP_TAPS, size=shape, dtype=np.uint16))
    codebook = rng.permutation(1 << GROUP_TAPS)[:1 << eta].astype(np.uint16)
    return Weights(symbols=rng.integers(0, 1 << eta, size=shape, dtype=np.uint16), codebook=codebook)


def _draft_conv(rng: np.random.Generator, config: AcceleratorConfig, spec: RandomConv, index: int,
                in_shape: Shape) -> Layer:
    """The layer with weights, shapes and leak, and with neutral thresholds."""
    rows, cols = ((size + 2 * spec.pad - 3 * groups) // spec.stride + 1
                  for size, groups in zip(in_shape[1:], spec.groups, strict=True))
    out_shape = (spec.channels, rows // 2, cols // 2) if spec.pool else (spec.channels, rows, cols)
    half = 1 << (config.leak_bits - 1)
    return Layer(
        name=f"conv{index}", kind="conv", in_shape=in_shape, out_shape=out_shape,
        weights=_random_weights(rng, (spec.planes, spec.channels, *spec.groups, in_shape[0]),
                                None if index == 0 else spec.eta),
        stride=spec.stride, pad=spec.pad, pool=spec.pool, image_input=index == 0,
        threshold=np.ones(spec.channels, dtype=np.int64), bias=np.zeros(spec.channels, dtype=np.int64),
        negate=rng.random(spec.channels) < 0.3,
        leak=int(rng.integers(half, 2 * half + 1)) if spec.leak is None else spec.leak, soft_reset=spec.soft_reset)


def _calibrate(rng: np.random.Generator, config: AcceleratorConfig, spec: RandomConv, draft: Layer,
               inputs: functional.Map, steps: int) -> tuple[Layer, NDArray[np.bool_]]:
    """The layer with thresholds and biases that make it fire at the asked rate, and its spikes on the inputs."""
    current = functional.currents(draft, inputs, steps=steps, fraction_bits=config.fraction_bits)  # (B, T, C, H, W)
    mean, spread = current.mean(axis=(0, 1, 3, 4)), np.maximum(current.std(axis=(0, 1, 3, 4)), 1.0)
    bias = -mean + spread * rng.uniform(-0.3, 0.3, spec.channels)
    theta = spread * 1.5

    def attempt() -> tuple[Layer, NDArray[np.bool_]]:
        layer = _with_params(draft, theta, bias)
        shifted = current + (layer.bias << layer.param_shift)[:, None, None]
        return layer, functional.fire(layer, shifted, leak_bits=config.leak_bits).spikes

    layer, spikes = attempt()
    # A slow leak adds currents up, so the rate does not follow from their distribution: step the threshold towards it.
    for _ in range(_CALIBRATION_ROUNDS):
        rate = spikes.mean(axis=(0, 1, 3, 4))  # (C,)
        theta = theta * np.where(rate > 1.2 * spec.firing, 1.3, np.where(rate < 0.8 * spec.firing, 0.8, 1.0))
        layer, spikes = attempt()
    return layer, spikes


def _with_params(draft: Layer, theta: NDArray[np.float64], bias: NDArray[np.float64]) -> Layer:
    """The layer with these thresholds and biases, as mantissas under the smallest shift that holds all of them."""
    peak = max(float(np.abs(bias).max()) / BIAS_LIMIT, float(theta.max()) / THRESHOLD_LIMIT, 1.0)
    shift = int(np.ceil(np.log2(peak)))
    mantissas: list[IntArray] = [np.floor(values / (1 << shift)).astype(np.int64) for values in (theta, bias)]
    return replace(draft, threshold=mantissas[0].clip(1, THRESHOLD_LIMIT), bias=mantissas[1], param_shift=shift)


def _draft_classifier(rng: np.random.Generator, config: AcceleratorConfig, in_shape: Shape, classes: int, planes: int,
                      *, image_input: bool) -> Layer:
    """A classifier whose kernel covers the whole map, with its first tap on the map or in the zeros before it."""
    groups_y, groups_x = (ceil_div(size, 3) for size in in_shape[1:])
    slack = min(3 * groups_y - in_shape[1], 3 * groups_x - in_shape[2])
    return Layer(
        name="classifier", kind="classify", in_shape=in_shape, out_shape=(classes, 1, 1),
        weights=_random_weights(rng, (planes, classes, groups_y, groups_x, in_shape[0]), None),
        pad=int(rng.integers(0, slack + 1)), image_input=image_input,
        threshold=np.ones(classes, dtype=np.int64), bias=np.zeros(classes, dtype=np.int64),
        negate=rng.random(classes) < 0.3, leak=1 << config.leak_bits)
