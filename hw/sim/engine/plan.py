"""What the engine must know of each descriptor, from a program's spikes: cycles of every block, and what is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim.activity import image_work
from s2nn.hw.sim.engine.native import Costs
from s2nn.hw.sim.functional import FunctionalResult
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.program import Layer, Program

#: Counters that the values of spikes and the borders of maps decide, not the order of things.
SPIKE_COUNTERS = ("array.adds", "weight_buffer.slice_reads", "spike_buffer.word_reads", "membrane_buffer.word_reads",
                  "membrane_buffer.word_writes", "neuron.spikes")


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """One descriptor of one image: its name, block costs (see `native.Costs`) and `SPIKE_COUNTERS`."""

    name: str
    costs: Costs
    counters: dict[str, int]


def plan_image(config: AcceleratorConfig, program: Program, fields: Sequence[Mapping[str, int]],
               inputs: NDArray[np.uint8], result: FunctionalResult, number: int) -> list[StepPlan]:
    """The plan of each descriptor, for input `number` of the batch that `result` belongs to.

    fields : of the program's descriptors.
    """
    nothing = np.zeros((0, 0, 0), dtype=np.uint8)
    plans = []
    for step, work in zip(fields, image_work(config, program, fields, inputs, result, number), strict=True):
        lanes = work.lanes_with_spike
        costs = nothing if lanes is None else block_costs(program.layers[step["layer"]], lanes)
        counters = {name: work.counters.get(name, 0) for name in SPIKE_COUNTERS}
        plans.append(StepPlan(name=work.name, costs=costs, counters=counters))
    return plans


def block_costs(layer: Layer, lanes_with_spike: NDArray[np.uint8]) -> Costs:
    """Active windows of each block in the order of the loop nest, from `activity.window_lanes`.

    The four positions of a pool window follow each other; other positions are in raster order.
    """
    active = np.count_nonzero(lanes_with_spike, axis=2).astype(np.uint8)  # (passes, blocks, H', W')
    passes, blocks, height, width = active.shape
    side = layer.pool_side
    windows = active.reshape(passes, blocks, height // side, side, width // side, side)
    return np.ascontiguousarray(windows.transpose(2, 4, 3, 5, 0, 1)).reshape(height * width, passes, blocks)


def totals(steps: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Counters of a whole run from those of its descriptors."""
    return {name: sum(counters[name] for counters in steps) for name in steps[0]}
