"""Checkpoints to programs, with what a report must know about them, and the images that a run shows them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.errors import DataError
from s2nn.hw.spec.program import Program
from s2nn.hw.spec.schedule import Schedule
from s2nn.model.checkpoint import load_checkpoint
from s2nn.model.data import held_out_part, load_dataset
from s2nn.model.fold import FoldedNet
from s2nn.model.lower import lower_with_report
from s2nn.tools.export import export_program
from s2nn.tools.manifest import Manifest

#: The two nets that commands take where none is named: the baseline first.
DEFAULT_PAIR = ("mnist5k-binary", "mnist5k-eta4")


@dataclass(frozen=True, kw_only=True)
class LoweredNet:
    """A checkpoint as a program for one accelerator.

    Parameters
    ----------
    label : weight format of the hidden layers, "binary" or "eta2" .. "eta6"; names the net in tables and folders.
    checkpoint, checkpoint_sha256 : name, and digest of the tensors.
    test_accuracy, test_images, split : accuracy (0..1) of the folded net on the whole held-out split, as the checkpoint
        states it.
    dataset : name for `s2nn.model.data.load_dataset`.
    config : what the program was lowered for; of format "binary" for a 1-bit net.
    capped_channels : channels whose threshold had to be reduced to fit, over all layers.
    """

    label: str
    checkpoint: str
    checkpoint_sha256: str
    test_accuracy: float
    test_images: int
    split: str
    dataset: str
    config: AcceleratorConfig
    program: Program
    capped_channels: int


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Images (n, C, H, W) uint8 with labels (n,) int64, and their indices in the held-out split of a data set."""

    dataset: str
    split: str
    indices: tuple[int, ...]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def lower_checkpoint(name_or_path: str | Path, config: AcceleratorConfig, *,
                     time_steps: int | None = None) -> LoweredNet:
    """Load and lower a shipped checkpoint (by name) or one of yours (by path).

    A 1-bit net is lowered for the binary twin of the configuration. `time_steps` runs the same weights for another T
    than the net was trained with (its test accuracy is then not that of the program). Raises `CheckpointError` or
    `LoweringError`.
    """
    checkpoint = load_checkpoint(name_or_path)
    net = checkpoint.net
    if time_steps is not None:
        net = FoldedNet(replace(net.config, time_steps=time_steps), net.layers)
    label = net.config.weight_format
    target = config.as_binary() if label == "binary" else config
    lowered = lower_with_report(net, target, name=checkpoint.name)
    return LoweredNet(
        label=label, checkpoint=checkpoint.name, checkpoint_sha256=checkpoint.sha256,
        test_accuracy=checkpoint.test_accuracy, test_images=checkpoint.test_images, split=checkpoint.split,
        dataset=checkpoint.recipe.dataset, config=target, program=lowered.program,
        capped_channels=sum(layer.capped_channels for layer in lowered.report))


def export_checkpoint(name_or_path: str | Path, config: AcceleratorConfig, out: Path, *,
                      schedule: Schedule | None = None) -> tuple[Path, Manifest]:
    """Lower a checkpoint and pack it into a folder of its name below `out`; returns the folder and its manifest."""
    net = lower_checkpoint(name_or_path, config)
    _, manifest = export_program(out / net.checkpoint, net.program, net.config, schedule=schedule,
                                 provenance=provenance(net))
    return out / net.checkpoint, manifest


def provenance(net: LoweredNet) -> dict[str, str]:
    """What a manifest says about where its program came from."""
    return {"checkpoint": net.checkpoint, "checkpoint_sha256": net.checkpoint_sha256, "dataset": net.dataset,
            "split": net.split}


def load_workload(dataset: str, count: int | None, *, split: str = "", data_root: Path | None = None) -> Workload:
    """`count` images spread evenly over the held-out split, so that every class has its turn; None takes all.

    split : of the net that is run. One that was cross-validated was trained on images that others are tested on: then
        the held-out split is its fold.

    Raises `DataError` for a data set that is missing or too small.
    """
    data = load_dataset(dataset, root=data_root).held_out_of(split)
    available = len(data.test_labels)
    if count is not None and not 1 <= count <= available:
        raise DataError(f"images must be 1..{available}, what the held-out split has", value=count, source=dataset)
    indices = np.arange(count if count is not None else available) * available // (count or available)
    return Workload(dataset=dataset, split=data.split, indices=tuple(int(i) for i in indices),
                    images=data.test_images.numpy()[indices], labels=data.test_labels.numpy()[indices])


def common_workload(nets: Sequence[LoweredNet], count: int | None, *, data_root: Path | None = None) -> Workload:
    """`load_workload` of what all nets have held out; raises `DataError` if that differs."""
    names = sorted({(net.dataset, held_out_part(net.split)) for net in nets})
    if len(names) != 1:
        raise DataError("nets that are compared must share their data set and its split", value=names)
    dataset, split = names[0]
    return load_workload(dataset, count, split=split, data_root=data_root)
