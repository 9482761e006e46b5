"""Loss and accuracy of a run for TensorBoard, if that is installed."""

from pathlib import Path
from typing import Any

from s2nn.hw.spec.errors import ToolError
from s2nn.model.progress import TrainingProgress


class TensorBoardLog:
    """A progress callback that writes event files into a folder, a tag for each phase of the run. Raises `ToolError`
    where TensorBoard is not installed."""

    def __init__(self, folder: Path):
        try:
            from torch.utils.tensorboard import SummaryWriter  # here: optional
        except ImportError as error:
            raise ToolError("the log needs TensorBoard: pip install 's2nn[tensorboard]'") from error
        self._writer: Any = SummaryWriter(str(folder))

    def __call__(self, progress: TrainingProgress) -> None:
        for name, value in (("loss", progress.loss), ("accuracy", progress.accuracy)):
            if value is not None:
                self._writer.add_scalar(f"{progress.phase}/{name}", value, progress.step)
        if progress.step == progress.steps:
            self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
