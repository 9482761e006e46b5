"""An exported net on torch, the golden model and a simulator of the RTL, held against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.tools.export import load_export
from s2nn.tools.manifest import Manifest
from s2nn.tools.simulation import Golden, SimulatedImage, Simulator, Tell, run_golden
from s2nn.tools.verify import Check, compare_with_torch, verify_runs


@dataclass(frozen=True, kw_only=True)
class CheckedRun:
    """What came out: the export's manifest, the golden model's run, a result per image, and every check."""

    manifest: Manifest
    golden: Golden
    runs: Sequence[SimulatedImage]
    checks: Sequence[Check]

    @property
    def failures(self) -> tuple[str, ...]:
        """A line for each disagreement."""
        return tuple(f"{check.name}: {line}" for check in self.checks for line in check.failures)


def run_checked(folder: Path, config: AcceleratorConfig, images: NDArray[np.uint8], simulator: Simulator, *,
                tell: Tell) -> CheckedRun:
    """Run images (B, C, H, W) uint8 on an exported folder; the simulation's files go below it.

    Only what is in the folder counts: torch and the golden model run the bytes that the RTL reads.
    """
    program, image, manifest = load_export(folder, config)
    golden = run_golden(config, program, image, images, addresses=simulator.addresses(config, image))
    runs = simulator.run(config, program, image, images, run_dir=folder / "simulation", tell=tell)
    checks = [compare_with_torch(program, images, golden), *verify_runs(manifest, golden, runs)]
    return CheckedRun(manifest=manifest, golden=golden, runs=runs, checks=checks)
