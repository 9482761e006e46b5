"""What the cells of a grid share: the accelerator that a net needs, its program and its inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim import functional
from s2nn.hw.sim.dram import DramModel
from s2nn.hw.sim.dram import preset as dram_preset
from s2nn.hw.sim.formats import stored_as
from s2nn.hw.sim.net_shapes import NetShape
from s2nn.hw.sim.random_program import built_for, net_program, random_images, random_spikes
from s2nn.hw.spec.config import GROUP_TAPS, PIXEL_BITS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.packing import num_tiles
from s2nn.hw.spec.placement import tile_rows
from s2nn.hw.spec.program import Program
from s2nn.hw.spec.schedule import Schedule
from s2nn.tools.lowering import Workload

#: Format of the baseline: one packed bit per weight.
BINARY = "binary"
#: Schedules of the grid; `grid_config` builds the machine of each.
SCHEDULES: Mapping[str, Schedule] = {"per_step": Schedule(per_step=True), "spilled": Schedule(maps="spilled"),
                                     "on_chip": Schedule()}
_SEQUENTIAL_READS = 200_000


@dataclass(frozen=True, kw_only=True)
class NetUnderTest:
    """A net of random weights with the inputs that it runs.

    Parameters
    ----------
    shape : of the net. program : with its compared layers in the smallest sub-bit format.
    inputs : images (B, C, H, W) or spikes (B, T, C, H, W), uint8. inputs_from : where they come from.
    """

    shape: NetShape
    program: Program
    inputs: NDArray[np.uint8]
    inputs_from: str

    @cached_property
    def golden(self) -> functional.FunctionalResult:
        """The golden model's run, which is that of every format and schedule."""
        return functional.run(self.program, self.inputs)

    def in_format(self, name: str) -> Program:
        """The program in the format "binary" or "eta4"."""
        return stored_as(self.program, None if name == BINARY else int(name.removeprefix("eta")))


def net_under_test(net: NetShape, config: AcceleratorConfig, *, eta: int, seed: int, images: int,
                   workloads: Sequence[Workload]) -> NetUnderTest:
    """Random weights from a codebook of 2**eta words; real images where a workload has the input's shape."""
    real = next((one for one in workloads if one.images.shape[1:] == net.input_shape and not net.input_spikes), None)
    if real is not None:
        inputs, origin = real.images[:images], f"{images} test images of {real.dataset}"
    elif net.input_spikes:
        inputs = random_spikes(seed, net.input_shape, images, steps=net.steps)
        origin = f"random spikes, seed {seed}"
    else:
        inputs, origin = random_images(seed, net.input_shape, images), f"random images, seed {seed}"
    program = net_program(seed, built_for(config, net), net, eta=eta, calibration=inputs)
    return NetUnderTest(shape=net, program=program, inputs=inputs, inputs_from=origin)


def grid_config(base: AcceleratorConfig, program: Program, schedule: str) -> AcceleratorConfig:
    """The accelerator of one row of the grid: the preset, with the fields widened that the net needs.

    program : in its largest format. Under `per_step` a chunk is a time step: the array has one time lane, the spike
    buffer words of a quarter the bits and so many more of them, and a membrane buffer holds the largest layer.
    """
    if schedule not in SCHEDULES:
        raise ConfigError(f"schedule must be one of {', '.join(SCHEDULES)}", value=schedule)
    accumulator = max(program.accumulator_limit(layer) for layer in program.layers).bit_length()
    membrane = max(program.membrane_limit(layer) for layer in program.layers).bit_length() + 1
    accumulator_bits = max(base.accumulator_bits, accumulator)
    fields: dict[str, Any] = {
        "current_bits": program.current_bits or base.current_bits,
        "weight_rows": max(base.weight_rows, _power_of_two(max(tile_rows(layer) for layer in program.layers))),
        "accumulator_bits": accumulator_bits, "membrane_bits": max(base.membrane_bits, membrane, accumulator_bits + 1)}
    if SCHEDULES[schedule].per_step:
        words = max(num_tiles(base, layer) * layer.conv_shape[1] * layer.conv_shape[2] for layer in program.layers)
        fields |= {"time_lanes": 1, "spike_words": base.spike_words * base.time_lanes,
                   "max_chunks": max(base.max_chunks, program.steps, PIXEL_BITS),
                   "membrane_words": max(base.membrane_words, _power_of_two(words))}
    else:
        fields["max_chunks"] = max(base.max_chunks, ceil_div(program.steps, base.time_lanes))
    return replace(base, **fields)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def achievable_bytes(config: AcceleratorConfig, dram: str) -> dict[str, float]:
    """Bytes per accelerator cycle: of DRAM reads in sequence, refresh included, of the bus, and the lower of both."""
    model, timing = DramModel(dram), dram_preset(dram).timing
    burst_bytes = model.address_map.burst_bytes
    model.submit_all(np.arange(_SEQUENTIAL_READS, dtype=np.int64) * burst_bytes, np.zeros(_SEQUENTIAL_READS, bool))
    seconds = model.drain() * timing.t_ck_ps * 1e-12
    sequential = _SEQUENTIAL_READS * burst_bytes / seconds
    found = {"dram": sequential / (config.clock_mhz * 1e6), "bus": float(config.axi_bytes)}
    return found | {"achievable": min(found.values()), "dram_bytes_per_s": sequential}


def presented_windows(fields: Mapping[str, int], program: Program) -> int:
    """Windows that a layer's descriptor presents to the array, active or not."""
    layer = program.layers[fields["layer"]]
    positions = layer.pool_side * fields["out_height"] * layer.conv_shape[2]
    taps = layer.kernel[0] * layer.kernel[1] if layer.shared_taps else 1
    passes = fields["in_chunks"] * fields["in_planes"]
    return fields["tiles"] * fields["planes"] * positions * passes * layer.groups_per_plane * taps


def resident_kib(config: AcceleratorConfig, rows: int) -> float:
    """KiB of weight buffer that so many rows of the nine banks are."""
    return rows * GROUP_TAPS * config.lanes / 8 / 1024


def load_workloads(datasets: Sequence[str], images: int, data_root: Path | None) -> list[Workload]:
    """The first test images of each data set."""
    from s2nn.tools.lowering import load_workload

    return [load_workload(name, images, data_root=data_root) for name in datasets]
