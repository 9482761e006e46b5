"""Training on several devices: one process each, as torchrun starts them, with the same net and a share of every batch.

    torchrun --nproc-per-node 4 --no-python s2nn train RECIPE --device cuda

All processes draw the same random numbers and see the same batches; each takes every n-th image of one, and gradients
are averaged, so a step is that of one device with the whole batch, but for two things: BN normalises with the
statistics of a process's own share (running ones are averaged after each epoch), and MPFD compares the images of a
share with each other.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import distributed, nn

from s2nn.hw.spec.errors import ConfigError


@dataclass(frozen=True)
class Replicas:
    """This process among those that train one net.

    rank : 0..count-1. count : of processes; with 1 nothing here does anything.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """This process writes files and reports."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """Refuse a batch that cannot be shared evenly, or leaves BN a single image."""
        if batch_size % self.count or batch_size < 2 * self.count:
            raise ConfigError(f"must be a multiple of the {self.count} processes, at least two images for each",
                              value=batch_size, field="batch_size")

    def share(self, batch: torch.Tensor) -> torch.Tensor:
        """This process's part of a batch [B, ...]: [B / count, ...]."""
        return batch[self.rank :: self.count]

    @torch.no_grad()
    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace float tensors in place by their means over the processes, in one exchange."""
        parts = list(tensors)
        if self.count == 1 or not parts:
            return
        flat = torch.cat([part.reshape(-1).float() for part in parts])
        distributed.all_reduce(flat)
        flat /= self.count
        for part, mean in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
            part.copy_(mean.view(part.shape))

    def average_buffers(self, net: nn.Module) -> None:
        """Average the running statistics of a net's BN layers."""
        self.average(buffer for module in net.modules() if isinstance(module, nn.BatchNorm2d)
                     for buffer in module.buffers() if buffer.is_floating_point())

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()


def is_first_process() -> bool:
    """This is the only process, or the first of those that torchrun started: the one that reports."""
    return not _under_torchrun() or os.environ["RANK"] == "0"


def _under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def join_replicas(device: str | torch.device) -> tuple[Replicas, torch.device]:
    """What torchrun's environment says: this process among the others, and its device ("cuda" becomes "cuda:<local>").

    Joins the process group once per process; without torchrun there is one process and the device stays.
    """
    chosen = torch.device(device)
    if not _under_torchrun():
        return Replicas(), chosen
    if chosen.type == "cuda" and chosen.index is None:
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return Replicas(distributed.get_rank(), distributed.get_world_size()), chosen
