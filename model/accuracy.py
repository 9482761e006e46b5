"""Accuracy of a recipe for several weight formats and seeds: the numbers behind the README's table, as one JSON file.

    python -m s2nn.model.accuracy --recipe mnist5k --formats binary eta6 eta5 eta4 --seeds 0 1 2 \\
        --runs build/accuracy --out docs/results/accuracy_mnist5k.json

Each run leaves a folder `<runs>/<format>-seed<seed>`; a run that is there already is not repeated, one that was
interrupted goes on. Reported are the folded net in floating point and, but for "fp", its integer program (one
accelerator configuration per format: codebook or raw groups), both on the held-out test part; mean and sample standard
deviation over the seeds.
"""

import argparse
import multiprocessing
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from s2nn.hw.spec.atomic import write_json_atomic
from s2nn.hw.spec.config import preset
from s2nn.model.checkpoint import load_checkpoint
from s2nn.model.data import load_dataset
from s2nn.model.integer import integer_evaluate
from s2nn.model.lower import lower_with_report
from s2nn.model.recipe import load_recipe
from s2nn.model.train import CHECKPOINT_NAME, train


def measure_one(job: tuple[str, str, int, str, str, str | None, bool]) -> dict[str, Any]:
    """Train (unless done) and evaluate one format and seed, on one thread."""
    recipe_name, weights, seed, runs, config_name, data_root, compiled = job
    torch.set_num_threads(1)
    folder = Path(runs) / f"{weights}-seed{seed}"
    recipe = replace(load_recipe(recipe_name).with_format(weights), seed=seed)
    data = load_dataset(recipe.dataset, root=data_root)
    stem = folder / CHECKPOINT_NAME
    if not stem.with_suffix(".json").is_file() or load_checkpoint(stem).recipe != recipe:
        train(recipe, data=data, out=folder, resume=True, compiled=compiled)
    checkpoint = load_checkpoint(stem)
    result = {
        "weights": weights, "seed": seed, "recipe_digest": recipe.digest,
        "float_accuracy": checkpoint.test_accuracy, "integer_accuracy": None,
        "test_images": checkpoint.test_images, "split": checkpoint.split, "checkpoint_sha256": checkpoint.sha256,
        "checkpoint_bytes": stem.with_suffix(".safetensors").stat().st_size,
    }
    if weights == "fp":
        return result
    config = preset(config_name)
    lowered = lower_with_report(checkpoint.net, config.as_binary() if weights == "binary" else config)
    return result | {
        "integer_accuracy": integer_evaluate(lowered.program, data.test_images, data.test_labels),
        "capped_channels": sum(layer.capped_channels for layer in lowered.report),
    }


def summarise(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per format: mean and sample standard deviation (0 for a single seed) of both accuracies, in percent."""
    rows = []
    for weights in dict.fromkeys(result["weights"] for result in results):
        same = [result for result in results if result["weights"] == weights]
        row: dict[str, Any] = {"weights": weights, "seeds": len(same)}
        for kind in ("float", "integer"):
            values = [100 * result[f"{kind}_accuracy"] for result in same if result[f"{kind}_accuracy"] is not None]
            if not values:
                continue
            row[f"{kind}_mean_percent"] = round(statistics.mean(values), 3)
            row[f"{kind}_std_percent"] = round(statistics.stdev(values), 3) if len(values) > 1 else 0.0
        rows.append(row)
    return rows


def measure(*, recipe: str, formats: Sequence[str], seeds: Sequence[int], runs: str | Path, out: str | Path,
            config: str = "ulx3s", data_root: str | None = None, workers: int = 1, compiled: bool = False) -> None:
    """Measure all formats and seeds; `out` is rewritten after every run."""
    jobs = [(recipe, weights, seed, str(runs), config, data_root, compiled) for seed in seeds for weights in formats]
    command = f"python -m s2nn.model.accuracy --recipe {recipe} --formats {' '.join(formats)} --seeds " \
              f"{' '.join(map(str, seeds))} --config {config}{' --compiled' if compiled else ''}"
    results: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=1) as pool:
        for result in pool.imap_unordered(measure_one, jobs):
            results.append(result)
            results.sort(key=lambda r: (formats.index(r["weights"]), r["seed"]))
            write_json_atomic(Path(out), {
                "command": command, "recipe": load_recipe(recipe).as_dict(),
                "accelerator_config": preset(config).to_json(), "torch": torch.__version__,
                "machine": platform.machine(), "summary": summarise(results), "runs": results,
            })


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m s2nn.model.accuracy", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recipe", default="mnist5k")
    parser.add_argument("--formats", nargs="+", default=["binary", "eta6", "eta5", "eta4"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", default="build/accuracy", help="folder of the training runs")
    parser.add_argument("--out", required=True, help="JSON file to write")
    parser.add_argument("--config", default="ulx3s", help="accelerator preset to lower for")
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--workers", type=int, default=1, help="runs side by side, one thread each")
    parser.add_argument("--compiled", action="store_true", help="neurons through torch.compile")
    options = parser.parse_args(arguments)
    measure(recipe=options.recipe, formats=options.formats, seeds=options.seeds, runs=options.runs, out=options.out,
            config=options.config, data_root=options.data_root, workers=options.workers, compiled=options.compiled)
    sys.stdout.write(Path(options.out).read_text())


if __name__ == "__main__":
    main()
