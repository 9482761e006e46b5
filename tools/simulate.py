"""`s2nn sim`: one exported folder on test images, on the golden model or on the RTL."""

from pathlib import Path
from typing import Any

from rich.table import Table

from s2nn.hw.sim.activity import Addresses
from s2nn.hw.spec.errors import DataError
from s2nn.tools.export import load_export
from s2nn.tools.lowering import load_workload
from s2nn.tools.simulation import Tell, run_golden
from s2nn.tools.verify import verify_runs

# Where the golden model's expected bursts assume things to lie, when no bench says.
_NOWHERE = Addresses(image=0, input=1 << 28, output=1 << 29)


def simulate_export(folder: Path, *, level: str, images: int, dataset: str | None = None,
                    data_root: Path | None = None, build_dir: Path = Path("build/rtl"), stall_probability: float = 0.0,
                    seed: int = 0, tell: Tell = lambda line: None) -> dict[str, Any]:
    """Predictions, labels, accuracy and counters (sums over the images) of an exported net.

    level : "functional" counts what the hardware must count but no cycles; "rtl" simulates it, checks it against the
        golden model and lists what disagrees under "failures".

    Raises `ImageFormatError`, `DataError` or `SimulationError`.
    """
    program, image, manifest = load_export(folder)
    config = manifest.accelerator_config(source=folder)
    name = dataset or manifest.provenance.get("dataset")
    if not isinstance(name, str):
        raise DataError("a data set must be given: the manifest does not name one", source=folder)
    workload = load_workload(name, images, data_root=data_root)
    if level == "rtl":
        from s2nn.tools.rtl import RtlSimulator

        simulator = RtlSimulator(build_dir=build_dir, stall_probability=stall_probability, seed=seed)
        golden = run_golden(config, program, image, workload.images, addresses=simulator.addresses(image))
        runs = simulator.run(config, program, image, workload.images, run_dir=folder / "simulation", tell=tell)
        failures = [line for check in verify_runs(config, manifest, golden, runs) for line in check.failures]
        per_image = [run.counters for run in runs]
        predictions = [int(run.logits.argmax()) for run in runs]
    else:
        golden = run_golden(config, program, image, workload.images, addresses=_NOWHERE)
        failures, per_image = [], [activity.total for activity in golden.activities]
        predictions = golden.result.predictions.tolist()
    labels = workload.labels.tolist()
    return {
        "net": manifest.net, "level": level, "config": config.name, "config_digest": manifest.config_digest,
        "dataset": name, "images": images, "indices": list(workload.indices), "labels": labels,
        "predictions": predictions,
        "accuracy": sum(int(p == label) for p, label in zip(predictions, labels, strict=True)) / images,
        "counters": {key: sum(counters[key] for counters in per_image) for key in per_image[0]},
        "failures": failures,
    }


def simulation_table(result: dict[str, Any]) -> Table:
    """Predictions and counters for a terminal."""
    origin = "measured (RTL)" if result["level"] == "rtl" else "expected (golden model)"
    table = Table(title=f"{result['net']} on {result['config']}, {result['images']} images of {result['dataset']}: "
                        f"{100 * result['accuracy']:.2f} % right", title_justify="left")
    table.add_column(f"counter, {origin}")
    table.add_column("per image", justify="right")
    for name, value in result["counters"].items():
        table.add_row(name, f"{value / result['images']:,.1f}")
    return table
