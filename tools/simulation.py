"""What the tools ask of a simulator of the accelerator, and what it gives back for each image."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim import functional
from s2nn.hw.sim.activity import Activity, Addresses, expected_activity
from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.image import MemoryImage
from s2nn.hw.spec.program import Program

#: Called with one line of text when something longer begins.
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SimulatedImage:
    """What the accelerator did with one image.

    Parameters
    ----------
    logits : (classes,). spikes : (T, C, H, W) of each spiking layer, with what lies beside them (`LayerResult.stored`).
    stray_spikes : spikes in lanes beyond a layer's channels; there must be none.
    counters : every performance counter by name.
    bus_bytes, bus_bursts : what crossed AXI, by stream: those of `activity.READ_STREAMS`, "logits" and "map_write"
        (written), and "other" (no stream's addresses), which must be zero.
    dram : statistics of the DRAM model over this run; its extremes (`dram_sums`) count from the first run.
    """

    logits: NDArray[np.int64]
    spikes: tuple[NDArray[np.bool_ | np.uint8 | np.uint16], ...]
    stray_spikes: int
    counters: dict[str, int]
    bus_bytes: dict[str, int]
    bus_bursts: dict[str, int]
    dram: DramStats


class Simulator(Protocol):
    """Runs images on an accelerator."""

    #: Where its counters come from, for the labels of tables and plots.
    origin: ClassVar[str]

    def addresses(self, config: AcceleratorConfig, image: MemoryImage) -> Addresses:
        """Where image, input and logits lie in the simulated memory; they decide where bursts are split."""
        ...

    def run(self, config: AcceleratorConfig, program: Program, image: MemoryImage, images: NDArray[np.uint8], *,
            run_dir: Path, tell: Tell) -> list[SimulatedImage]:
        """Run images (B, C, H, W) uint8 one after the other; logs and results of the simulation go to `run_dir`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Golden:
    """The golden model's run of a batch, and what the hardware must count for each image."""

    result: functional.FunctionalResult
    activities: list[Activity]


def run_golden(config: AcceleratorConfig, program: Program, image: MemoryImage, images: NDArray[np.uint8], *,
               addresses: Addresses) -> Golden:
    """Golden model and expected counters of images (B, C, H, W) uint8."""
    result = functional.run(program, images)
    activities = expected_activity(config, program, image, images, result, addresses=addresses)
    return Golden(result=result, activities=activities)
