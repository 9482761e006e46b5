"""`s2nn run`: nets side by side through golden model and RTL or engine, checked against each other; their books."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.tools.checked_run import run_checked
from s2nn.tools.export import export_program
from s2nn.tools.lowering import LoweredNet, Workload, provenance
from s2nn.tools.plots import draw_plots
from s2nn.tools.report import write_report
from s2nn.tools.simulation import Simulator, Tell
from s2nn.tools.stats import failed_checks, net_stats, run_stats, write_stats


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run left behind: its folder, the document of stats.json, and a line for each check that failed."""

    folder: Path
    stats: dict[str, Any]
    failures: tuple[str, ...]


def run_comparison(config: AcceleratorConfig, nets: Sequence[LoweredNet], workload: Workload, simulator: Simulator, *,
                   folder: Path, stall_probability: float = 0.0, seed: int = 0,
                   tell: Tell = lambda line: None) -> RunResult:
    """Run nets on the same images and write exports, stats.json, CSVs, plots and report.html into a folder.

    Parameters
    ----------
    config : the accelerator; each net brings its own twin of it. nets : the baseline first.
    simulator : the RTL, or the cycle engine. stall_probability, seed : how its bus was stalled, for the record.
    tell : called with one line when something longer begins.

    A disagreement between the levels does not raise: it is in the result, and the folder shows what there is to see.
    """
    nets_stats = [_run_net(net, workload, simulator, folder / net.label, tell) for net in nets]
    stats = run_stats(config, workload, nets_stats, steps=nets[0].program.steps, origin=simulator.origin,
                      stall_probability=stall_probability, seed=seed)
    path = write_stats(folder, stats)
    tell("plots and report")
    plots = draw_plots(stats, folder / "plots")
    write_report(stats, plots, path.with_name("report.html"))
    return RunResult(folder=folder, stats=stats, failures=tuple(failed_checks(stats)))


def _run_net(net: LoweredNet, workload: Workload, simulator: Simulator, folder: Path, tell: Tell) -> dict[str, Any]:
    started = time.monotonic()
    tell(f"{net.label}: export and golden model")
    export_program(folder, net.program, net.config, provenance=provenance(net))
    run = run_checked(folder, net.config, workload.images, simulator, tell=tell)
    return net_stats(net, run.manifest, workload, run.golden, run.runs, run.checks, seconds=time.monotonic() - started)
