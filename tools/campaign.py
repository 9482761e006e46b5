"""`s2nn verify`: nets at several numbers of time steps, with and without a stalling bus, on all three levels.

Every case runs real images through torch's integer forward, the golden model and the RTL. What must hold is said in
`s2nn.tools.verify`; a case passes when nothing differs.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from s2nn.hw.spec.atomic import write_json_atomic
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.tools.checked_run import run_checked
from s2nn.tools.export import export_program
from s2nn.tools.lowering import common_workload, lower_checkpoint, provenance
from s2nn.tools.simulation import Simulator, Tell

RESULT_FILE = "verify.json"


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One net at one T under one bus.

    net, weights, dataset : checkpoint, weight format and data set. steps : T. stall_probability : on every AXI channel.
    images : run. spikes : compared, over all layers and steps. fired : of them. cycles : of the RTL, all images.
    failures : a line for each disagreement; empty if the case passed.
    """

    net: str
    weights: str
    dataset: str
    steps: int
    stall_probability: float
    images: int
    spikes: int
    fired: int
    cycles: int
    failures: tuple[str, ...]


def run_campaign(checkpoints: Sequence[str], config: AcceleratorConfig, *, steps: Sequence[int],
                 stalls: Sequence[float], images: int, simulator: Callable[[float], Simulator], out: Path,
                 data_root: Path | None = None, tell: Tell = lambda line: None) -> list[CaseResult]:
    """Run every net with every T under every stall probability; `out`/verify.json is rewritten after each case.

    `simulator` gives the RTL with a stall probability. Raises as `lower_checkpoint` and `common_workload` do.
    """
    results: list[CaseResult] = []
    for checkpoint in checkpoints:
        for num_steps in steps:
            for stall_probability in stalls:
                case = f"{Path(checkpoint).name}-T{num_steps}-stall{stall_probability:g}"
                tell(case)
                results.append(_run_case(checkpoint, config, num_steps, stall_probability, images,
                                         simulator(stall_probability), out / f"{len(results)}-{case}", data_root, tell))
                write_json_atomic(out / RESULT_FILE, [asdict(result) for result in results])
    return results


def _run_case(checkpoint: str, config: AcceleratorConfig, steps: int, stall_probability: float, images: int,
              simulator: Simulator, folder: Path, data_root: Path | None, tell: Tell) -> CaseResult:
    net = lower_checkpoint(checkpoint, config, time_steps=steps)
    workload = common_workload([net], images, data_root=data_root)
    export_program(folder, net.program, net.config, provenance=provenance(net))
    run = run_checked(folder, net.config, workload.images, simulator, tell=tell)
    layers = run.golden.result.layers
    return CaseResult(
        net=net.checkpoint, weights=net.label, dataset=net.dataset, steps=steps, stall_probability=stall_probability,
        images=images, spikes=sum(layer.spikes.size for layer in layers),
        fired=sum(int(layer.spikes.sum()) for layer in layers),
        cycles=sum(one.counters["cycles.total"] for one in run.runs), failures=run.failures)


def campaign_table(results: Sequence[CaseResult]) -> Table:
    """A row for each case."""
    table = Table(title="torch = golden model = RTL", title_justify="left")
    for heading in ("net", "weights", "T", "stalls", "images", "spikes compared", "fired", "cycles", "differences"):
        table.add_column(heading, justify="left" if heading in ("net", "weights") else "right")
    for r in results:
        table.add_row(r.net, r.weights, str(r.steps), f"{r.stall_probability:g}", str(r.images), f"{r.spikes:,}",
                      f"{r.fired:,}", f"{r.cycles:,}", str(len(r.failures)))
    return table
