"""Layers with random weights, and the descriptors that placement makes of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from s2nn.hw.spec.config import AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import DESCRIPTOR
from s2nn.hw.spec.placement import SectionOffsets, describe
from s2nn.hw.spec.program import INPUT, Layer, Program, ResidualOp, Shape
from s2nn.hw.spec.weights import ZERO_CODEWORD, Grouping, Weights

#: Names of maps that hold currents beside their spikes begin with it.
KEPT = "kept"


def make_layer(rng: np.random.Generator, *, in_shape: Shape, channels: int = 4, eta: int | None = None,
               planes: int = 1, zero: bool = False, kernel: tuple[int, int] = (3, 3), stride: int = 1, pad: int = 1,
               gather: bool = False, shared_taps: bool = False, pool: bool = False, image: bool = False, peak: int = 1,
               add: int = 0, iand: bool = False, current: bool = False, beside: bool = False, **params: Any) -> Layer:
    """A convolution with random symbols and parameters, reading an image or a map with values up to `peak`.

    zero : one codeword is nine zeros. add : join a residual map with values up to this. iand : join one of spikes.
    current : add the currents that a map keeps. beside : currents are kept beside the spikes that are read.
    """
    sizes = [(size + 2 * pad - taps) // stride + 1 for size, taps in zip(in_shape[1:], kernel, strict=True)]
    if gather:
        groups = ceil_div(in_shape[0] * (1 if shared_taps else kernel[0] * kernel[1]), 9)
    else:
        groups = ceil_div(kernel[0], 3) * ceil_div(kernel[1], 3) * in_shape[0]
    codebook = None
    if eta is not None:
        codebook = rng.permutation(512)[:1 << eta].astype(np.uint16)
        if zero:
            codebook[rng.integers(len(codebook))] = ZERO_CODEWORD
    symbols = rng.integers(0, 512 if eta is None else 1 << eta, (planes, channels, groups), dtype=np.uint16)
    joins: dict[str, Any] = {"residual": f"residual{add or 1}",
                             "residual_op": ResidualOp.ADD if add else ResidualOp.IAND}
    if current:
        joins = {"residual": f"{KEPT}1", "residual_op": ResidualOp.CURRENT, "gain": np.ones(channels, dtype=np.int64)}
    return Layer(**{
        "name": "layer", "kind": "conv", "source": INPUT if image else f"{KEPT}source1" if beside else f"source{peak}",
        "in_shape": in_shape,
        "out_shape": (channels, *(size // (1 + pool) for size in sizes)), "kernel": kernel,
        "weights": Weights(symbols=symbols, codebook=codebook),
        "grouping": Grouping.INPUTS if gather else Grouping.TAPS, "shared_taps": shared_taps, "stride": stride,
        "pad": pad, "pool": pool, "image_input": image, "threshold": rng.integers(1, 200, channels),
        "bias": rng.integers(-100, 100, channels), "negate": rng.random(channels) < 0.5, "leak": 1,
    } | (joins if add or iand or current else {}) | params)


def make_program(config: AcceleratorConfig, layer: Layer, *, steps: int = 4) -> Program:
    """That layer behind the maps that it reads, and a classifier."""
    rng = np.random.default_rng(0)
    image = layer.in_shape if layer.image_input else (1, *layer.in_shape[1:])
    maps = [] if layer.image_input else _sums(rng, image, layer.source, layer.in_shape)
    if layer.residual is not None:
        maps += _sums(rng, image, layer.residual, layer.out_shape)
    behind = make_layer(rng, in_shape=layer.out_shape, kernel=layer.out_shape[1:], pad=0, kind="classify",
                        name="behind", source=layer.name, leak=1 << config.leak_bits)
    return Program(name="test", steps=steps, leak_bits=config.leak_bits, fraction_bits=config.fraction_bits,
                   current_bits=config.current_bits, layers=(*maps, layer, behind))


def _sums(rng: np.random.Generator, image: Shape, name: str, shape: Shape) -> list[Layer]:
    """Layers name1, name2, ... of that shape: spikes, and then each map added to the one before."""
    stem, peak = name.rstrip("0123456789"), int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
    kernel = tuple(size + 6 - wanted + 1 for size, wanted in zip(image[1:], shape[1:], strict=True))
    spikes = make_layer(rng, in_shape=image, channels=shape[0], kernel=kernel, pad=3, image=True, name=f"{stem}1",
                        keep_shift=np.ones(shape[0], dtype=np.int64) if stem.startswith(KEPT) else None)
    return [spikes, *(make_layer(rng, in_shape=shape, channels=shape[0], kernel=(1, 1), pad=0, name=f"{stem}{k + 1}",
                                 source=f"{stem}1", residual=f"{stem}{k}", residual_op=ResidualOp.ADD)
                      for k in range(1, peak))]


def describe_layer(config: AcceleratorConfig, layer: Layer, *, steps: int = 4,
                   weight_base: int | None = None) -> dict[str, int]:
    """The layer's descriptor, as placement makes it; the layers around it may be too large for the accelerator.

    weight_base : the layer is resident from that row on.
    """
    room = replace(config, weight_rows=1 << 16, resident_rows=0, spike_words=1 << 15, accumulator_bits=31,
                   membrane_bits=32, fraction_bits=0)
    program = make_program(room, layer, steps=steps)
    fields = describe(room, program, [SectionOffsets(0, 0, 0)] * len(program.layers))
    resident = {} if weight_base is None else {"resident": 1, "weight_base": weight_base}
    return fields[1 + program.layers.index(layer)] | resident


def blank_descriptor(**fields: int) -> Mapping[str, int]:
    """A descriptor with only these fields set."""
    assert set(fields) <= {field.name for field in DESCRIPTOR.fields}
    return {field.name: 0 for field in DESCRIPTOR.fields} | fields
