"""`s2nn train`: one recipe in several weight formats, with a progress bar and resumable folders."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from s2nn.model.progress import ProgressCallback, TrainingProgress
from s2nn.model.recipe import load_recipe
from s2nn.model.replicas import is_first_process
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
        with ExitStack() as stack:
            bar = stack.enter_context(Progress(TextColumn(f"{weights}: {{task.description}}"), BarColumn(),
                                               MofNCompleteColumn(), TimeRemainingColumn(), console=console))
            watchers: list[ProgressCallback] = [_Bar(bar)]
            if tensorboard and is_first_process():
                watchers.append(stack.enter_context(closing(TensorBoardLog(folder / "tensorboard"))))
            result = train(named, out=folder, seed=seed, device=device, data_root=data_root, resume=resume,
                           progress=_all_of(watchers))
        results.append({"weight_format": weights, "folder": str(folder), "test_accuracy": result.test_accuracy,
                        "checkpoint": None if result.checkpoint is None else str(result.checkpoint)})
    return results


def _all_of(watchers: Sequence[ProgressCallback]) -> ProgressCallback:
    def tell(progress: TrainingProgress) -> None:
        for watch in watchers:
            watch(progress)

    return tell


class _Bar:
    """A progress callback that moves a bar of its own."""

    def __init__(self, bar: Progress):
        self._bar, self._task = bar, bar.add_task("starting", total=None)

    def __call__(self, progress: TrainingProgress) -> None:
        text = f"epoch {progress.epoch}/{progress.epochs}"
        if progress.phase != "training":
            text = f"{progress.phase}, {text}"
        if progress.loss is not None and progress.accuracy is not None:
            text += f", loss {progress.loss:.3f}, training accuracy {100 * progress.accuracy:.1f} %"
            self._bar.update(self._task, description=text)
        self._bar.update(self._task, total=progress.steps, completed=progress.step)
