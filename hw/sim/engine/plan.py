"""What the engine must know of each layer, from a program's spikes: the cycles of every block, and what is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim.activity import LOAD_INPUT, expected_work, presented, window_lanes
from s2nn.hw.sim.engine.native import Costs
from s2nn.hw.sim.functional import FunctionalResult, Map
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.program import INPUT, Layer, Program

#: Counters that the values of spikes and the borders of maps decide, not the order of things.
SPIKE_COUNTERS = ("array.adds", "weight_buffer.slice_reads", "spike_buffer.word_reads", "neuron.spikes")


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """One descriptor of one image: its name, block costs (see `native.Costs`) and `SPIKE_COUNTERS`."""

    name: str
    costs: Costs
    counters: dict[str, int]


def plan_image(config: AcceleratorConfig, program: Program, fields: Sequence[Mapping[str, int]],
               inputs: NDArray[np.uint8], result: FunctionalResult, number: int) -> list[LayerPlan]:
    """Plans of the input load and of each layer, for input `number` of the batch that `result` belongs to.

    fields : of the program's descriptors.
    """
    maps: dict[str, Map] = {INPUT: inputs[number]} | {layer.name: layer.spikes[number] for layer in result.layers}
    nothing = np.zeros((0, 0, 0), dtype=np.uint8)
    plans = [LayerPlan(name=LOAD_INPUT, costs=nothing, counters=dict.fromkeys(SPIKE_COUNTERS, 0))]
    for index, layer in enumerate(program.layers):
        lanes = window_lanes(config, layer, presented(config, program, layer, maps[layer.source]))
        work = expected_work(config, layer, fields[index + 1], lanes)
        work["neuron.spikes"] = int(result.layers[index].fired[number]) if layer.kind == "conv" else 0
        plans.append(LayerPlan(name=layer.name, costs=block_costs(layer, lanes),
                               counters={name: work[name] for name in SPIKE_COUNTERS}))
    return plans


def block_costs(layer: Layer, lanes_with_spike: NDArray[np.uint8]) -> Costs:
    """Active windows of each block in the order of the loop nest, from `activity.window_lanes`.

    The four positions of a pool window follow each other; other positions are in raster order.
    """
    active = np.count_nonzero(lanes_with_spike, axis=2).astype(np.uint8)  # (passes, blocks, H', W')
    passes, blocks, height, width = active.shape
    side = 2 if layer.pool else 1
    windows = active.reshape(passes, blocks, height // side, side, width // side, side)
    return np.ascontiguousarray(windows.transpose(2, 4, 3, 5, 0, 1)).reshape(height * width, passes, blocks)


def totals(layers: Sequence[dict[str, int]]) -> dict[str, int]:
    """Counters of a whole run from those of its layers."""
    return {name: sum(counters[name] for counters in layers) for name in layers[0]}
