"""`s2nn sim`: one exported folder on test images, on the golden model, in the cycle engine or on the RTL."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from s2nn.hw.sim.activity import Addresses
from s2nn.hw.spec.atomic import write_text_atomic
from s2nn.hw.spec.errors import DataError
from s2nn.hw.spec.registers import COUNTERS
from s2nn.tools.export import load_export
from s2nn.tools.lowering import load_workload
from s2nn.tools.simulation import Tell, run_golden
from s2nn.tools.verify import verify_runs

#: (name, counters) of each layer of one image.
EngineLayers = Sequence[tuple[str, Mapping[str, int]]]
# Where the golden model's expected bursts assume things to lie, when no bench says.
_NOWHERE = Addresses(image=0, input=1 << 28, output=1 << 29, scratch=1 << 30)
# Columns of the table of layers, and the causes in each.
_CAUSES = {"total": ["total"], "compute": ["compute"], "silent": ["silent"], "neuron": ["neuron"],
           "waiting": ["wait_index", "wait_spike", "wait_input", "wait_write"], "other": ["drain", "sequence"]}
# What is measured and what is modelled, by level.
_ORIGIN = {"functional": "expected (golden model)", "engine": "modelled (cycle engine)", "rtl": "measured (RTL)"}


def simulate_export(folder: Path, *, level: str, images: int, dataset: str | None = None,
                    data_root: Path | None = None, build_dir: Path = Path("build/rtl"), stall_probability: float = 0.0,
                    seed: int = 0, trace: Path | None = None, layers_csv: Path | None = None,
                    tell: Tell = lambda line: None) -> dict[str, Any]:
    """Predictions, labels, accuracy and counters (sums over the images) of an exported net.

    level : "functional" counts what the hardware must count but no cycles; "engine" counts cycles, too, by layer under
        "layers"; "rtl" simulates the hardware, checks it against the golden model and lists what disagrees under
        "failures".
    trace, layers_csv : files for the engine to write: what ran when (`chrome_trace`), and counters by image and layer.

    Raises `ImageFormatError`, `DataError` or `SimulationError`.
    """
    program, image, manifest = load_export(folder)
    config = manifest.accelerator_config(source=folder)
    name = dataset or manifest.provenance.get("dataset")
    if not isinstance(name, str):
        raise DataError("a data set must be given: the manifest does not name one", source=folder)
    split = "" if dataset else str(manifest.provenance.get("split", ""))
    workload = load_workload(name, images, split=split, data_root=data_root)
    layers: list[dict[str, Any]] = []
    if level == "engine":
        from s2nn.hw.sim.engine import chrome_trace
        from s2nn.tools.engine import EngineSimulator

        simulator = EngineSimulator(stall_probability=stall_probability, seed=seed, record_trace=trace is not None)
        failures, runs, predictions = [], [], []
        for golden, number, run in simulator.runs(config, program, image, workload.images, tell=tell):
            runs.append(run)
            predictions.append(int(golden.predictions[number]))
            layers = _add_layers(layers, run.layers)
        per_image = [run.counters for run in runs]
        if trace is not None:
            document = chrome_trace(runs, clock_period_ps=config.clock_period_ps)
            write_text_atomic(trace, json.dumps(document))
        if layers_csv is not None:
            write_text_atomic(layers_csv, _layers_text([run.layers for run in runs], workload.indices))
    elif level == "rtl":
        from s2nn.tools.rtl import RtlSimulator

        simulator = RtlSimulator(build_dir=build_dir, stall_probability=stall_probability, seed=seed)
        golden = run_golden(config, program, image, workload.images, addresses=simulator.addresses(config, image))
        runs = simulator.run(config, program, image, workload.images, run_dir=folder / "simulation", tell=tell)
        failures = [line for check in verify_runs(manifest, golden, runs) for line in check.failures]
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
        "layers": layers, "failures": failures,
    }


def _layers_text(images: Sequence[EngineLayers], indices: Sequence[int]) -> str:
    """CSV: a row per image and layer."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "layer", *COUNTERS])
    for index, layers in zip(indices, images, strict=True):
        writer.writerows([index, name, *(counters[key] for key in COUNTERS)] for name, counters in layers)
    return text.getvalue()


def _add_layers(sums: list[dict[str, Any]], layers: EngineLayers) -> list[dict[str, Any]]:
    """Counters by layer with those of another image added."""
    if not sums:
        return [{"name": name, "counters": dict(counters)} for name, counters in layers]
    return [{"name": name, "counters": {key: of_sum["counters"][key] + value for key, value in counters.items()}}
            for of_sum, (name, counters) in zip(sums, layers, strict=True)]


def simulation_table(result: dict[str, Any]) -> Table:
    """Predictions and counters for a terminal."""
    table = Table(title=f"{result['net']} on {result['config']}, {result['images']} images of {result['dataset']}: "
                        f"{100 * result['accuracy']:.2f} % right", title_justify="left")
    table.add_column(f"counter, {_ORIGIN[result['level']]}")
    table.add_column("per image", justify="right")
    for name, value in result["counters"].items():
        table.add_row(name, f"{value / result['images']:,.1f}")
    return table


def layers_table(result: dict[str, Any]) -> Table:
    """Cycles by layer and cause, of levels that know them."""
    table = Table(title=f"cycles per image, {_ORIGIN[result['level']]}", title_justify="left",
                  caption="waiting: for weights, windows, input or the write of logits; other: drain and sequence",
                  caption_justify="left")
    table.add_column("layer")
    for name in _CAUSES:
        table.add_column(name, justify="right")
    for layer in result["layers"]:
        sums = [sum(layer["counters"][f"cycles.{cause}"] for cause in causes) for causes in _CAUSES.values()]
        table.add_row(layer["name"], *(f"{cycles / result['images']:,.0f}" for cycles in sums))
    return table
