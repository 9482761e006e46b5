"""Accuracy of a checkpoint on its held-out split, as a float net and as the integers that the accelerator computes.

A full-precision net has no integers: what concerns them is None.
"""

from pathlib import Path
from typing import Any

import torch

from s2nn.hw.sim import functional
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.model.checkpoint import load_checkpoint
from s2nn.model.evaluate import predict
from s2nn.tools.lowering import load_workload, lower_checkpoint


def evaluate_checkpoint(name_or_path: str | Path, config: AcceleratorConfig, *, images: int | None = None,
                        data_root: Path | None = None) -> dict[str, Any]:
    """Accuracies (0..1) on `images` images of the held-out split (None: all), and how many predictions differ.

    Raises `CheckpointError`, `LoweringError` or `DataError`.
    """
    checkpoint = load_checkpoint(name_or_path)
    work = load_workload(checkpoint.recipe.dataset, images, split=checkpoint.split, data_root=data_root)
    as_float = predict(checkpoint.net, torch.from_numpy(work.images)).numpy()
    result: dict[str, Any] = {
        "checkpoint": checkpoint.name, "weight_format": checkpoint.net.config.weight_format, "config": None,
        "dataset": work.dataset, "split": work.split, "images": len(work.labels),
        "float_accuracy": float((as_float == work.labels).mean()), "integer_accuracy": None,
        "different_predictions": None, "stated_test_accuracy": checkpoint.test_accuracy,
    }
    if checkpoint.net.config.full_precision:
        return result
    lowered = lower_checkpoint(name_or_path, config)
    as_integer = functional.predict(lowered.program, work.images)
    return result | {"config": lowered.config.name, "integer_accuracy": float((as_integer == work.labels).mean()),
                     "different_predictions": int((as_float != as_integer).sum())}
