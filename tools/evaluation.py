"""Accuracy of a checkpoint on its held-out split, as a float net and as the integers that the accelerator computes."""

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
    net = lower_checkpoint(name_or_path, config)
    work = load_workload(net.dataset, images, data_root=data_root)
    as_float = predict(load_checkpoint(name_or_path).net, torch.from_numpy(work.images)).numpy()
    as_integer = functional.predict(net.program, work.images)
    return {
        "checkpoint": net.checkpoint, "weight_format": net.label, "config": net.config.name, "dataset": work.dataset,
        "split": work.split, "images": len(work.labels),
        "float_accuracy": float((as_float == work.labels).mean()),
        "integer_accuracy": float((as_integer == work.labels).mean()),
        "different_predictions": int((as_float != as_integer).sum()),
        "stated_test_accuracy": net.test_accuracy,
    }
