"""The RTL as a simulator: writes its Verilog, builds it once per configuration, and reads a run's books by stream."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.rtl.verilog import write_verilog
from s2nn.hw.sim import memory_map
from s2nn.hw.sim.activity import Addresses
from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.sim.dram_sums import difference
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.spec.image import MemoryImage
from s2nn.hw.spec.program import Program
from s2nn.hw.spec.registers import ErrorCode
from s2nn.hw.tb.runner import RtlRun, simulate_rtl
from s2nn.tools.bus_books import by_stream
from s2nn.tools.simulation import SimulatedImage, Tell


@dataclass(frozen=True, kw_only=True)
class RtlSimulator:
    """Verilator on the RTL, with the DRAM model behind AXI.

    Parameters
    ----------
    build_dir : Verilog and simulators by configuration; an unchanged design is not built again.
    stall_probability : of random stalls on every AXI channel, 0..1. seed : of the stalls.
    dram : preset of the memory.
    """

    build_dir: Path
    stall_probability: float = 0.0
    seed: int = 0
    dram: str = field(default=DEFAULT_PRESET)

    origin: ClassVar[str] = "measured (RTL)"

    def addresses(self, config: AcceleratorConfig, image: MemoryImage) -> Addresses:
        """Where the bench puts things."""
        return memory_map.place(config, image)

    def run(self, config: AcceleratorConfig, program: Program, image: MemoryImage, images: NDArray[np.uint8], *,
            run_dir: Path, tell: Tell) -> list[SimulatedImage]:
        """Run images (B, C, H, W) uint8. Raises `SimulationError` if a run ends with an error code or hangs."""
        tell(f"RTL of {config.name} ({config.weight_format}): Verilog and simulator; the first build takes minutes")
        folder = design_folder(config, self.build_dir)
        tell(f"RTL of {config.name} ({config.weight_format}): {len(images)} images")
        runs = simulate_rtl(config, folder, image, list(images), build_dir=folder / "verilator", run_dir=run_dir,
                            stall_probability=self.stall_probability, seed=self.seed, dram=self.dram)
        return [simulated_image(program, run, number) for number, run in enumerate(runs)]


def design_folder(config: AcceleratorConfig, build_dir: Path) -> Path:
    """Write the Verilog of a configuration into its folder below `build_dir`, which is returned."""
    folder = build_dir / f"{config.name}-{config.weight_format}-{config.digest.hex()}"
    write_verilog(config, folder)
    return folder


def simulated_image(program: Program, run: RtlRun, number: int) -> SimulatedImage:
    """A run of the bench in the tools' terms. Raises `SimulationError` if it ended with an error code."""
    if run.error != ErrorCode.NONE:
        raise SimulationError("a run must end without an error code", value=run.error.name,
                              field=f"descriptor {run.layer}", source=f"image {number}")
    spikes, stray = [], 0
    for layer, maps in zip(program.layers, run.spikes, strict=False):
        spikes.append(maps[:, :layer.out_shape[0]])
        stray += int(maps[:, layer.out_shape[0]:].sum())
    num_bytes, num_bursts = by_stream(run.axi)
    dram = difference(DramStats.from_dict(run.dram["after"]), DramStats.from_dict(run.dram["before"]))
    return SimulatedImage(logits=run.logits[:program.num_classes], spikes=tuple(spikes), stray_spikes=stray,
                          counters=run.counters, bus_bytes=num_bytes, bus_bursts=num_bursts, dram=dram)
