"""Kernel frequencies and spikes of the grid's nets: measured on the shipped checkpoints, or assumed and said so."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim import functional
from s2nn.hw.sim.net_shapes import NetShape
from s2nn.hw.sim.work import LayerActivity, independent_activity, measured_activity
from s2nn.hw.spec.config import GROUP_TAPS, PIXEL_BITS, AcceleratorConfig
from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.program import INPUT
from s2nn.tools.lowering import DEFAULT_PAIR, common_workload, lower_checkpoint

#: Net that the shipped checkpoints are of.
TRAINED_NET = "default"
DEFAULT_SPIKE_RATE = 0.15
DEFAULT_IMAGES = 8
#: Entropy in bits of the 3x3 kernels of six trained 1-bit layers (ResNet-19 1.2, 2.2, 3.1 and VGGSNN 3, 5, 7): upper
#: bounds that follow from the shares of their most frequent kernels. # Ref: S2NN, arXiv 2509.24266, Tab. 5
PUBLISHED_KERNEL_BITS = (7.43, 7.23, 5.73, 7.68, 7.65, 7.42)
# Share of ones in the bit planes of an image: a guess, natural images are near it in the low planes.
_PIXEL_BIT_RATE = 0.5


@dataclass(frozen=True, kw_only=True)
class NetStatistics:
    """What the grid must know of a net beyond its shape.

    Parameters
    ----------
    kernel_bits : entropy of a 3x3 kernel by layer, bits. other_kernel_bits : of layers not named there.
    one_bit, sub_bit : activity of each layer's input in the 1-bit net and in the sub-bit net.
    spike_rates : share of ones at each layer's input, of the same two nets.
    kernels_from, activity_from : where the numbers come from, "measured ..." or "assumed ...".
    """

    kernel_bits: Mapping[str, float]
    other_kernel_bits: float
    one_bit: Mapping[str, LayerActivity]
    sub_bit: Mapping[str, LayerActivity]
    spike_rates: Mapping[str, Mapping[str, float]]
    kernels_from: str
    activity_from: str

    def to_json(self) -> dict[str, Any]:
        """For the document of a comparison."""
        return {"kernels_from": self.kernels_from, "kernel_bits": dict(self.kernel_bits),
                "other_kernel_bits": self.other_kernel_bits, "activity_from": self.activity_from,
                "spike_rates": {name: dict(rates) for name, rates in self.spike_rates.items()}}


def kernel_entropy_bits(groups: NDArray[np.uint16]) -> float:
    """Entropy of the frequencies of nine-bit groups, bits per group.

    >>> kernel_entropy_bits(np.array([0, 0, 511, 511], dtype=np.uint16))
    1.0
    """
    counts = np.bincount(groups.ravel(), minlength=1 << GROUP_TAPS)
    shares = counts[counts > 0] / counts.sum()
    return float(abs((shares * np.log2(shares)).sum()))


def net_statistics(net: NetShape, config: AcceleratorConfig, *, steps: int, spike_rate: float = DEFAULT_SPIKE_RATE,
                   images: int = DEFAULT_IMAGES, data_root: Path | None = None) -> NetStatistics:
    """Measured on `images` test images for the trained net, assumed with `spike_rate` for the others.

    Raises `ConfigError` for a rate outside 0..1, and what loading checkpoints and data raises.
    """
    if not 0 <= spike_rate <= 1:
        raise ConfigError("spike rate must lie in 0..1", value=spike_rate)
    if net.name == TRAINED_NET:
        return _measured(config, steps, images, data_root)
    return _assumed(net, config, steps, spike_rate)


def _measured(config: AcceleratorConfig, steps: int, images: int, data_root: Path | None) -> NetStatistics:
    pair = [lower_checkpoint(name, config, time_steps=steps) for name in DEFAULT_PAIR]
    workload = common_workload(pair, images, data_root=data_root)
    activities, rates = [], {}
    for lowered in pair:
        result = functional.run(lowered.program, workload.images)
        maps = {INPUT: workload.images} | {layer.name: layer.spikes for layer in result.layers}
        layers = lowered.program.layers
        activities.append({layer.name: measured_activity(config, lowered.program, layer, list(maps[layer.source]))
                           for layer in layers})
        rates[lowered.checkpoint] = {layer.name: float(np.unpackbits(workload.images).mean()) if layer.image_input
                                     else float(maps[layer.source].mean()) for layer in layers}
    compared = pair[0].program.layers[1:-1]
    names = " and ".join(lowered.checkpoint for lowered in pair)
    return NetStatistics(
        kernel_bits={layer.name: kernel_entropy_bits(layer.weights.groups()) for layer in compared},
        other_kernel_bits=float(GROUP_TAPS), one_bit=activities[0], sub_bit=activities[1], spike_rates=rates,
        kernels_from=f"measured: kernel frequencies of {pair[0].checkpoint}",
        activity_from=f"measured: golden model of {names}, T = {steps}, {images} test images of {workload.dataset}")


def _assumed(net: NetShape, config: AcceleratorConfig, steps: int, spike_rate: float) -> NetStatistics:
    images = {layer.name: layer.source == INPUT and not net.input_spikes for layer in net.layers}
    rates = {name: _PIXEL_BIT_RATE if image else spike_rate for name, image in images.items()}
    activity = {name: independent_activity(rate, planes=PIXEL_BITS if images[name] else steps, config=config)
                for name, rate in rates.items()}
    bits = sum(PUBLISHED_KERNEL_BITS) / len(PUBLISHED_KERNEL_BITS)
    return NetStatistics(
        kernel_bits={}, other_kernel_bits=bits, one_bit=activity, sub_bit=activity, spike_rates={"assumed": rates},
        kernels_from=f"assumed: {bits:.2f} bits per kernel, the mean of six trained layers (arXiv 2509.24266, Tab. 5)",
        activity_from=f"assumed: spikes of rate {spike_rate:g}, independent of each other; pixel bits "
                      f"{_PIXEL_BIT_RATE:g}")
