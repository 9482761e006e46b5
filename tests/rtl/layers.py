"""Layers with random weights, and the descriptors that placement makes of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from s2nn.hw.spec.config import AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import DESCRIPTOR
from s2nn.hw.spec.placement import SectionOffsets, describe
from s2nn.hw.spec.program import Layer, Program, Weights


def make_layer(rng: np.random.Generator, *, in_shape: tuple[int, int, int], channels: int = 4, eta: int | None = None,
               planes: int = 1, groups: tuple[int, int] = (1, 1), stride: int = 1, pad: int = 1, pool: bool = False,
               image: bool = False, **params: Any) -> Layer:
    """A convolution with random symbols and parameters."""
    sizes = [(size + 2 * pad - 3 * taps) // stride + 1 for size, taps in zip(in_shape[1:], groups, strict=True)]
    shape = (planes, channels, *groups, in_shape[0])
    weights = Weights(symbols=rng.integers(0, 512 if eta is None else 1 << eta, shape, dtype=np.uint16),
                      codebook=None if eta is None else rng.permutation(512)[:1 << eta].astype(np.uint16))
    return Layer(**{
        "name": "layer", "kind": "conv", "in_shape": in_shape, "weights": weights, "stride": stride, "pad": pad,
        "pool": pool, "image_input": image, "out_shape": (channels, *(size // (1 + pool) for size in sizes)),
        "threshold": rng.integers(1, 200, channels), "bias": rng.integers(-100, 100, channels),
        "negate": rng.random(channels) < 0.5, "leak": 1,
    } | params)


def make_program(config: AcceleratorConfig, layer: Layer, *, steps: int = 4) -> Program:
    """That layer with one before it, unless it reads the image, and a classifier behind."""
    rng = np.random.default_rng(0)
    before = [] if layer.image_input else [
        make_layer(rng, in_shape=(1, *layer.in_shape[1:]), channels=layer.in_shape[0], image=True, name="before")]
    height, width = layer.out_shape[1:]
    behind = make_layer(rng, in_shape=layer.out_shape, groups=(ceil_div(height, 3), ceil_div(width, 3)), pad=0,
                        kind="classify", name="behind", out_shape=(4, 1, 1), leak=1 << config.leak_bits)
    return Program(name="test", steps=steps, leak_bits=config.leak_bits, fraction_bits=config.fraction_bits,
                   layers=(*before, layer, behind))


def describe_layer(config: AcceleratorConfig, layer: Layer, *, steps: int = 4) -> dict[str, int]:
    """The layer's descriptor, as placement makes it; the layers around it may be too large for the weight buffer."""
    program = make_program(config, layer, steps=steps)
    fields = describe(replace(config, weight_rows=1 << 16), program, [SectionOffsets(0, 0, 0)] * len(program.layers))
    return fields[1 + program.layers.index(layer)]


def blank_descriptor(**fields: int) -> Mapping[str, int]:
    """A descriptor with only these fields set."""
    assert set(fields) <= {field.name for field in DESCRIPTOR.fields}
    return {field.name: 0 for field in DESCRIPTOR.fields} | fields
