"""Programs of every layer type, for the tests that hold two levels against each other."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim.random_program import RandomConv, random_images, random_program, random_spikes
from s2nn.hw.spec.config import TINY, AcceleratorConfig
from s2nn.hw.spec.program import PoolOp, Program, ResidualOp
from s2nn.hw.spec.weights import Grouping

ADD, IAND, INPUTS, SUM = ResidualOp.ADD, ResidualOp.IAND, Grouping.INPUTS, PoolOp.SUM
CURRENT = ResidualOp.CURRENT


@dataclass(frozen=True, kw_only=True)
class LayerType:
    """One program: spiking layers and options of `random_program`."""

    layers: list[RandomConv]
    in_shape: tuple[int, int, int] = (1, 6, 6)
    config: AcceleratorConfig = TINY
    options: dict[str, Any] = field(default_factory=dict)

    def program(self, seed: int, *, name: str = "random") -> Program:
        """The program of that seed."""
        return random_program(seed, self.config, in_shape=self.in_shape, layers=self.layers, name=name,
                              **{"classes": 4, "classifier_planes": 2, **self.options})

    def inputs(self, seed: int, count: int) -> NDArray[np.uint8]:
        """Images, or spikes if the program takes those."""
        if self.options.get("spike_input"):
            return random_spikes(seed, self.in_shape, count, steps=self.options.get("steps", 4))
        return random_images(seed, self.in_shape, count)


def _image(channels: int, **options: Any) -> RandomConv:
    return RandomConv(channels=channels, planes=options.pop("planes", 2), **options)


def _hidden(channels: int, **options: Any) -> RandomConv:
    return RandomConv(channels=channels, eta=options.pop("eta", 4), **options)


def _pointwise(channels: int, **options: Any) -> RandomConv:
    return _hidden(channels, kernel=(1, 1), pad=0, grouping=INPUTS, **options)


BINARY = TINY.as_binary()
#: Built for membrane shortcuts.
SHORTCUTS = replace(TINY, name="shortcuts", current_bits=6, spike_words=512)
LAYER_TYPES: dict[str, LayerType] = {
    "kernel of 5x5": LayerType(layers=[_image(4, kernel=(5, 5), pad=2), _hidden(4, kernel=(5, 5), pad=2)]),
    "kernel of 1x1 as one tap of a group": LayerType(layers=[_image(4), _hidden(5, kernel=(1, 1), pad=0)]),
    "kernel of 2x4": LayerType(layers=[_image(4), _hidden(4, kernel=(2, 4), pad=1)]),
    "1x1, channels within a group": LayerType(layers=[_image(5), _pointwise(8)]),
    "1x1, one full group": LayerType(layers=[_image(9), _pointwise(4)], in_shape=(1, 4, 4)),
    "1x1, one channel more than a group": LayerType(layers=[_image(10), _pointwise(4)], in_shape=(1, 4, 4)),
    "1x1, a full set of groups": LayerType(layers=[_image(36), _pointwise(4)], in_shape=(1, 3, 3)),
    "1x1, one block more than a set": LayerType(layers=[_image(37), _pointwise(5)], in_shape=(1, 3, 3)),
    "1x1 with stride and pool": LayerType(layers=[_image(12), _pointwise(4, stride=2), _pointwise(6, pool=True)],
                                          in_shape=(1, 7, 9)),
    "1x1 of eight planes on the image": LayerType(layers=[_image(4, planes=8, kernel=(1, 1), pad=0, grouping=INPUTS)],
                                                  in_shape=(3, 5, 5)),
    "1x1 of raw groups": LayerType(layers=[_image(12), RandomConv(channels=4, kernel=(1, 1), pad=0, grouping=INPUTS)],
                                   config=BINARY, in_shape=(1, 5, 5)),
    "linear over a map": LayerType(layers=[_image(8), _hidden(6, kernel=(3, 3), pad=0, grouping=INPUTS)],
                                   in_shape=(1, 3, 3)),
    "linear over a map, sets across taps": LayerType(
        layers=[_image(16), _hidden(4, kernel=(4, 5), pad=0, grouping=INPUTS, eta=3)], in_shape=(1, 4, 5)),
    "linear after linear": LayerType(layers=[_image(4, kernel=(4, 4), pad=0), _pointwise(20), _pointwise(11)],
                                     in_shape=(2, 4, 4), options={"classifier_grouping": INPUTS}),
    "linear with padding": LayerType(layers=[_image(4), _hidden(4, kernel=(2, 2), pad=1, grouping=INPUTS)],
                                     in_shape=(1, 3, 3)),
    "average before a classifier": LayerType(layers=[_image(8), _hidden(12)], in_shape=(1, 4, 5),
                                             options={"classifier_grouping": INPUTS, "classifier_shared_taps": True}),
    "average in front of a layer": LayerType(layers=[_image(41), _hidden(8, kernel=(2, 2), stride=2, pad=0,
                                                                          grouping=INPUTS, shared_taps=True)],
                                             in_shape=(1, 4, 4)),
    "pruned groups": LayerType(layers=[_image(8), _hidden(8, zeros=0.5), _hidden(4, zeros=0.9, eta=2)]),
    "all groups pruned": LayerType(layers=[_image(4), _hidden(4, zeros=1.0)]),
    "residual add": LayerType(layers=[_image(8), _hidden(6), _hidden(8, residual="conv0", residual_op=ADD),
                                      _hidden(4)]),
    "residual chain": LayerType(layers=[
        _image(5), _hidden(5, residual="conv0", residual_op=ADD), _hidden(5, residual="conv1", residual_op=ADD),
        _hidden(5, residual="conv2", residual_op=ADD), _pointwise(4)], options={"steps": 3}),
    "gathered inputs beside a residual of four planes": LayerType(layers=[
        _image(4), *(_hidden(4, source="conv0", residual=f"conv{k}", residual_op=ADD) for k in range(7)),
        _pointwise(4, source="conv0", residual="conv7", residual_op=ADD)]),
    "residual iand": LayerType(layers=[_image(6), _hidden(6, residual="conv0", residual_op=IAND, firing=0.5),
                                       _hidden(4)], options={"steps": 5}),
    "residual over a strided shortcut": LayerType(layers=[
        _image(4), _hidden(8, stride=2), _pointwise(8, stride=2, source="conv0"),
        _hidden(8, source="conv1", residual="conv2", residual_op=ADD)], in_shape=(1, 7, 6)),
    "sums in front of the classifier": LayerType(layers=[_image(4), _hidden(4, residual="conv0", residual_op=ADD)],
                                                 options={"classifier_planes": 5, "steps": 6}),
    "a map read twice": LayerType(layers=[_image(4), _hidden(4), _hidden(4, source="conv0"),
                                          _hidden(4, residual="conv1", residual_op=IAND)]),
    "sum pool": LayerType(layers=[_image(6, pool=True, pool_op=SUM), _hidden(5)], in_shape=(1, 7, 8)),
    "sum pool of several chunks": LayerType(layers=[_image(5), _hidden(6, pool=True, pool_op=SUM, firing=0.5),
                                                    _pointwise(4)], options={"steps": 7}),
    "sum pool in front of the classifier": LayerType(
        layers=[_image(4), _hidden(4, pool=True, pool_op=SUM)],
        options={"classifier_planes": 4, "classifier_grouping": INPUTS, "classifier_shared_taps": True}),
    "spikes in": LayerType(layers=[_hidden(6), _hidden(4)], in_shape=(2, 5, 5), options={"spike_input": True}),
    "spikes in, more than a byte of steps": LayerType(
        layers=[_hidden(6, pool=True)], in_shape=(2, 5, 4), config=TINY,
        options={"spike_input": True, "steps": 8}),
    "spikes in, residual of the input": LayerType(
        layers=[_hidden(2, residual="input", residual_op=ADD), _hidden(4)], in_shape=(2, 4, 4),
        options={"spike_input": True, "steps": 3}),
    "membrane shortcut": LayerType(layers=[
        _image(6, keeps=True), _hidden(5), _hidden(6, residual="conv0", residual_op=CURRENT)], config=SHORTCUTS),
    "membrane shortcuts, one kept and added": LayerType(layers=[
        _image(8, keeps=True), _hidden(4), _hidden(8, residual="conv0", residual_op=CURRENT, keeps=True), _hidden(5),
        _hidden(8, residual="conv2", residual_op=CURRENT, soft_reset=True)], in_shape=(1, 5, 4), config=SHORTCUTS,
        options={"steps": 5}),
    "membrane shortcut over a strided convolution": LayerType(layers=[
        _image(4), _hidden(8, stride=2), _pointwise(8, stride=2, source="conv0", keeps=True),
        _hidden(8, source="conv1", residual="conv2", residual_op=CURRENT, keeps=True),
        _pointwise(8, residual="conv3", residual_op=CURRENT)], in_shape=(1, 7, 6), config=SHORTCUTS,
        options={"steps": 3}),
    "membrane shortcut of spikes in": LayerType(layers=[
        _hidden(9, keeps=True), _hidden(9, residual="conv0", residual_op=CURRENT, keeps=True)], in_shape=(2, 4, 5),
        config=SHORTCUTS, options={"spike_input": True, "classifier_grouping": INPUTS, "steps": 1,
                                   "classifier_shared_taps": True}),
}
