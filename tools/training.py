"""`s2nn train`: one recipe in several weight formats, with a progress bar and resumable folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from s2nn.model.progress import TrainingProgress
from s2nn.model.recipe import load_recipe
from s2nn.model.tensorboard import TensorBoardLog
from s2nn.model.train import train


def train_formats(recipe: str | Path, formats: Sequence[str], *, out: Path, console: Console, seed: int | None = None,
                  device: str = "cpu", data_root: Path | None = None, resume: bool = False, fast: bool = False,
                  tensorboard: bool = False) -> list[dict[str, Any]]:
    """Train a recipe in each weight format ("binary", "eta4", ...); each into its own folder below `out`.

    fast : `Recipe.fast`, into folders of their own. tensorboard : a log in the folder `tensorboard` of each run.

    Returns one entry per format: folder, checkpoint, test accuracy (0..1). Raises `ConfigError`, `DataError` or
    `CheckpointError`.
    """
    base = load_recipe(recipe).fast() if fast else load_recipe(recipe)
    chosen = [base.with_format(weights) for weights in formats]  # refuses an unknown format before any training
    results = []
    for weights, named in zip(formats, chosen, strict=True):
        folder = out / (f"{named.dataset}-{weights}" + ("-fast" if fast else ""))
        log = TensorBoardLog(folder / "tensorboard") if tensorboard else None
        with Progress(TextColumn(f"{weights}: {{task.description}}"), BarColumn(), MofNCompleteColumn(),
                      TimeRemainingColumn(), console=console) as bar:
            task = bar.add_task("starting", total=None)

            def show(progress: TrainingProgress, bar: Progress = bar, task: Any = task,
                     log: TensorBoardLog | None = log) -> None:
                if log is not None:
                    log(progress)
                text = f"epoch {progress.epoch}/{progress.epochs}"
                if progress.phase != "training":
                    text = f"{progress.phase}, {text}"
                if progress.loss is not None and progress.accuracy is not None:
                    text += f", loss {progress.loss:.3f}, training accuracy {100 * progress.accuracy:.1f} %"
                    bar.update(task, description=text)
                bar.update(task, total=progress.steps, completed=progress.step)

            result = train(named, out=folder, seed=seed, device=device, data_root=data_root, resume=resume,
                           progress=show)
        if log is not None:
            log.close()
        results.append({"weight_format": weights, "folder": str(folder), "test_accuracy": result.test_accuracy,
                        "checkpoint": None if result.checkpoint is None else str(result.checkpoint)})
    return results
