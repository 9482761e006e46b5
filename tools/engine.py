"""The cycle engine as a simulator: cycles from the engine, spikes and logits from the golden model."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim import functional, memory_map
from s2nn.hw.sim.activity import Addresses
from s2nn.hw.sim.axi import AxiStalls
from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.sim.dram_sums import difference
from s2nn.hw.sim.engine import EngineRun, EngineSession
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.image import MemoryImage
from s2nn.hw.spec.program import Program
from s2nn.tools.bus_books import by_stream
from s2nn.tools.simulation import SimulatedImage, Tell

#: Images between two lines of progress; bounds the spikes that are held at once.
_BATCH_IMAGES = 32


@dataclass(frozen=True, kw_only=True)
class EngineSimulator:
    """The engine with the DRAM model behind AXI: the RTL's counters, cycle for cycle, without its data.

    Parameters
    ----------
    stall_probability : of random stalls on every AXI channel, 0..1. seed : of the stalls, which are those of the RTL's
        bench.
    dram : preset of the memory. record_trace : keep the spans of each `EngineRun`.
    """

    stall_probability: float = 0.0
    seed: int = 0
    dram: str = field(default=DEFAULT_PRESET)
    record_trace: bool = False

    origin: ClassVar[str] = "modelled (cycle engine)"

    def addresses(self, config: AcceleratorConfig, image: MemoryImage) -> Addresses:
        """Where the bench puts things."""
        return memory_map.place(config, image)

    def run(self, config: AcceleratorConfig, program: Program, image: MemoryImage, images: NDArray[np.uint8], *,
            run_dir: Path, tell: Tell) -> list[SimulatedImage]:
        """Run images (B, C, H, W) uint8; nothing is written to `run_dir`. Raises `SimulationError` if a run hangs."""
        return [simulated_image(result, number, run)
                for result, number, run in self.runs(config, program, image, images, tell=tell)]

    def runs(self, config: AcceleratorConfig, program: Program, image: MemoryImage, images: NDArray[np.uint8], *,
             tell: Tell) -> Iterator[tuple[functional.FunctionalResult, int, EngineRun]]:
        """Image by image: the golden model's run of its batch, its number there, and the engine's run."""
        stalls = AxiStalls(probability=self.stall_probability, seed=self.seed)
        session = EngineSession(config, program, image, dram=self.dram, stalls=stalls, record_trace=self.record_trace)
        for start in range(0, len(images), _BATCH_IMAGES):
            batch = images[start:start + _BATCH_IMAGES]
            tell(f"engine of {config.name} ({config.weight_format}): {start + len(batch)} of {len(images)} images")
            result = functional.run(program, batch)
            for number, run in enumerate(session.run(batch, result=result)):
                yield result, number, run


def simulated_image(result: functional.FunctionalResult, number: int, run: EngineRun) -> SimulatedImage:
    """A run of the engine in the tools' terms."""
    num_bytes, num_bursts = by_stream(run.axi)
    dram = difference(DramStats.from_dict(run.dram["after"]), DramStats.from_dict(run.dram["before"]))
    return SimulatedImage(logits=result.logits[number], spikes=tuple(layer.stored[number] for layer in result.layers),
                          stray_spikes=0, counters=run.counters, bus_bytes=num_bytes, bus_bursts=num_bursts, dram=dram)
