"""Training runs: from a recipe to a packed checkpoint, resumable after every epoch.

The accuracy that is reported is that of the folded net.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from s2nn.model.allocator import keep_freed_memory
from s2nn.model.checkpoint import load_checkpoint, save_checkpoint
from s2nn.model.data import Dataset, load_dataset
from s2nn.model.divergence import DivergedError
from s2nn.model.evaluate import evaluate
from s2nn.model.fold import FoldedNet, fold
from s2nn.model.nets import SpikingNet
from s2nn.model.progress import ProgressCallback, TrainingProgress
from s2nn.model.recipe import Recipe
from s2nn.model.replicas import join_replicas
from s2nn.model.teacher import FULL_PRECISION, load_teacher, unfold
from s2nn.model.train_state import has_state, load_state, save_state
from s2nn.model.trainer import Trainer

STATE_FOLDER = "state"
TEACHER_FOLDER = "teacher"
CHECKPOINT_NAME = "model"


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """net : folded; test_accuracy : of it, 0..1, on the data set's test part; history : one entry per epoch;
    finished : False if the run was stopped before its last epoch; checkpoint : path of the packed one, if written."""

    net: FoldedNet
    test_accuracy: float
    history: list[dict[str, Any]]
    finished: bool
    checkpoint: Path | None


def train(recipe: Recipe, *, out: str | Path | None = None, data: Dataset | None = None,
          data_root: str | Path | None = None, weights: str | None = None, seed: int | None = None,
          device: str | torch.device = "cpu", resume: bool = False, compiled: bool = False,
          progress: ProgressCallback | None = None, stop_after_epoch: int | None = None) -> TrainingResult:
    """Train the recipe's net.

    Parameters
    ----------
    out : folder for the resumable state (`state/`, after every epoch) and, at the end, the packed `model.safetensors`
        and `model.json`; None writes nothing.
    data, data_root : a loaded data set, or where `load_dataset` finds the recipe's.
    weights, seed : override the recipe's weight format ("binary", "eta4", ...) and seed.
    resume : go on from the state in `out` if there is one; it must be of the same recipe.
        A teacher that the recipe asks for without naming a checkpoint is trained first, into `teacher/` below `out`.
    compiled : run the neurons through torch.compile: faster where it works, and not bit-identical to the plain run.
    stop_after_epoch : stop (resumably) after so many epochs in total.

    Under torchrun all processes train one net, see `s2nn.model.replicas`; the first one writes and reports.
    Raises `ConfigError`, `DataError`, `CheckpointError`, or `DivergedError` when loss or gradient are no numbers.
    """
    if weights is not None:
        recipe = recipe.with_format(weights)
    if seed is not None:
        recipe = replace(recipe, seed=seed)
    data = data if data is not None else load_dataset(recipe.dataset, root=data_root)
    folder = Path(out) if out is not None else None
    replicas, device = join_replicas(device)
    if device.type == "cpu":
        keep_freed_memory()
    if not replicas.is_first:
        progress = None
    teacher = None
    if not recipe.distillation.is_off:
        teacher = find_teacher(recipe, folder=folder, data=data, device=device, resume=resume, compiled=compiled,
                               callback=progress)
    if recipe.train_images is not None:  # a teacher has taken its own part of all
        data = data.with_fewer(recipe.train_images, seed=recipe.seed)
    trainer = Trainer(recipe, data, device=device, compiled=compiled, teacher=teacher, replicas=replicas)
    epoch, history = 0, []
    if resume and folder is not None and has_state(folder / STATE_FOLDER):
        epoch, history = load_state(folder / STATE_FOLDER, net=trainer.net, optimiser=trainer.optimiser,
                                    generator=trainer.generator, recipe=recipe)
    last = recipe.epochs if stop_after_epoch is None else min(recipe.epochs, stop_after_epoch)
    while epoch < last:
        try:
            history.append(trainer.run_epoch(epoch, progress))
        except DivergedError as error:
            raise _with_last_good(error, epoch, folder) from error
        epoch += 1
        if folder is not None and replicas.is_first:
            save_state(folder / STATE_FOLDER, net=trainer.net, optimiser=trainer.optimiser, generator=trainer.generator,
                       epoch=epoch, recipe=recipe, history=history)
    net = fold(trainer.net)
    accuracy = evaluate(net.to_device(device), data.test_images, data.test_labels, device=device)
    finished = epoch == recipe.epochs
    checkpoint = None
    if folder is not None and finished and replicas.is_first:
        checkpoint = save_checkpoint(folder / CHECKPOINT_NAME, net, recipe=recipe, test_accuracy=accuracy,
                                     test_images=len(data.test_images), split=data.split)
    replicas.wait()  # until the first one has written what another may go on from
    return TrainingResult(net=net, test_accuracy=accuracy, history=history, finished=finished, checkpoint=checkpoint)


def _with_last_good(error: DivergedError, epoch: int, folder: Path | None) -> DivergedError:
    """The error, and what is left of the run that met it in epoch 0.. after so many whole ones."""
    if folder is None or epoch == 0:
        return error
    return DivergedError(f"{error.rule}; the state of epoch {epoch} is kept", value=error.value, field=error.field,
                         source=folder / STATE_FOLDER)


def find_teacher(recipe: Recipe, *, folder: Path | None, resume: bool = False,
                 callback: ProgressCallback | None = None, **options: Any) -> SpikingNet:
    """The full-precision teacher that a recipe asks for: its checkpoint, one that an earlier run left below `folder`
    (with `resume`), or one trained now with the same recipe and seed; `options` are those of `train`."""
    if recipe.distillation.teacher is not None:
        return load_teacher(recipe.distillation.teacher, recipe.net)
    wanted, out = recipe.with_format(FULL_PRECISION), None if folder is None else folder / TEACHER_FOLDER
    if resume and out is not None and (out / CHECKPOINT_NAME).with_suffix(".json").is_file():
        found = load_checkpoint(out / CHECKPOINT_NAME)
        if found.recipe == wanted:
            return unfold(found.net)

    def tell(progress: TrainingProgress) -> None:
        if callback is not None:
            callback(replace(progress, phase=TEACHER_FOLDER))

    return unfold(train(wanted, out=out, resume=resume, progress=tell, **options).net)
