"""The log for TensorBoard, with a stand-in for its writer: the real one is not among the tests' dependencies."""

import sys
from types import ModuleType

import pytest

from s2nn.hw.spec.errors import ToolError
from s2nn.model.progress import TrainingProgress
from s2nn.model.tensorboard import TensorBoardLog


class Writer:
    def __init__(self, folder):
        self.folder, self.scalars, self.flushed, self.closed = folder, [], 0, False

    def add_scalar(self, tag, value, step):
        self.scalars.append((tag, value, step))

    def flush(self):
        self.flushed += 1

    def close(self):
        self.closed = True


@pytest.fixture
def module(monkeypatch):
    module = ModuleType("torch.utils.tensorboard")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return module


def progress(step, loss, phase="training"):
    return TrainingProgress(epoch=1, epochs=1, step=step, steps=3, loss=loss, accuracy=loss, phase=phase)


def test_what_is_known_is_logged_by_phase(module, tmp_path):
    module.SummaryWriter = Writer
    log = TensorBoardLog(tmp_path)
    for step, loss, phase in ((1, 0.5, "teacher"), (2, None, "training"), (3, 0.25, "training")):
        log(progress(step, loss, phase))
    writer = log._writer
    assert writer.folder == str(tmp_path) and writer.flushed == 1
    assert writer.scalars == [("teacher/loss", 0.5, 1), ("teacher/accuracy", 0.5, 1),
                              ("training/loss", 0.25, 3), ("training/accuracy", 0.25, 3)]
    log.close()
    assert writer.closed


def test_without_tensorboard_the_log_says_what_to_install(module, tmp_path):
    with pytest.raises(ToolError, match=r"pip install 's2nn\[tensorboard\]'"):
        TensorBoardLog(tmp_path)
