"""One program on RTL, golden model and cycle engine: the RTL runs once, and the others are held against it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.rtl.verilog import write_verilog
from s2nn.hw.sim.axi import AxiStalls
from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.hw.sim.engine import EngineSession
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.program import Program
from s2nn.hw.spec.schedule import Schedule
from s2nn.hw.tb.runner import RtlRun, simulate_rtl
from s2nn.tools.manifest import describe_export
from s2nn.tools.rtl import RtlSimulator, simulated_image
from s2nn.tools.simulation import run_golden
from s2nn.tools.verify import verify_runs


def hold_levels(config: AcceleratorConfig, program: Program, inputs: NDArray[np.uint8], *, build_dir: Path,
                run_dir: Path, seed: int, dram: str | None = DEFAULT_PRESET,
                stall_probability: float = 0.0, schedule: Schedule | None = None) -> Sequence[RtlRun]:
    """Runs of the RTL, after all that the levels must have in common was asserted.

    Golden model: spikes, logits, all counters but the cycles. Cycle engine: every counter, each cause of cycles, the
    cycles of the middle layers, the bus and the DRAM's statistics, with no tolerance.
    """
    image = build_image(config, program, schedule)
    design = build_dir / f"{config.name}-{config.weight_format}-{config.digest.hex()}"
    write_verilog(config, design)
    runs = simulate_rtl(config, design, image, list(inputs), build_dir=design / "verilator", run_dir=run_dir, dram=dram,
                        stall_probability=stall_probability, seed=seed)

    addresses = RtlSimulator(build_dir=build_dir).addresses(config, image)
    golden = run_golden(config, program, image, inputs, addresses=addresses)
    assert any(layer.spikes.any() for layer in golden.result.layers) or not program.layers[:-1]
    if dram is not None:
        simulated = [simulated_image(program, run, number) for number, run in enumerate(runs)]
        checks = verify_runs(describe_export(config, program, image, schedule=schedule), golden, simulated)
        assert not [failure for check in checks for failure in check.failures], f"seed {seed}"

    stalls = AxiStalls(probability=stall_probability, seed=seed)
    session = EngineSession(config, program, image, dram=dram, stalls=stalls)
    for ours, theirs in zip(session.run(inputs, result=golden.result), runs, strict=True):
        assert ours.counters == theirs.counters, f"seed {seed}"
        assert [counters["cycles.total"] for _, counters in ours.steps[1:-1]] == theirs.middle_cycles
        assert ours.axi == theirs.axi
        assert ours.dram == theirs.dram
    return runs
