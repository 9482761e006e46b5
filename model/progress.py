"""What a training run tells whoever watches it: a plain callback, so that `model` needs no terminal library."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """State after one step; `epoch` and `step` count from 1, `step` and `steps` over the whole run.

    loss, accuracy : means over the epoch's images so far; None in the steps at which the device was not asked.
    phase : "teacher" while a run trains its teacher, "training" afterwards; each counts its own epochs and steps.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    accuracy: float | None
    phase: str = "training"


class ProgressCallback(Protocol):
    """Called after every training step."""

    def __call__(self, progress: TrainingProgress) -> None: ...
