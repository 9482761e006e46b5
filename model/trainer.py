"""One training run in memory: net, optimiser, generator and data on a device, step by step.

Everything random comes from one CPU generator seeded by the recipe, so a run on a CPU is reproducible bit for bit for a
given number of threads, also across an interruption.
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from s2nn.hw.spec.errors import DataError
from s2nn.model.augment import augment
from s2nn.model.codewords import CHOICES, RANDOM
from s2nn.model.data import Dataset
from s2nn.model.divergence import DivergedError, first_layer_not_finite
from s2nn.model.layers import SubBitConv2d
from s2nn.model.nets import SpikingNet
from s2nn.model.progress import ProgressCallback, TrainingProgress
from s2nn.model.recipe import Recipe
from s2nn.model.replicas import Replicas
from s2nn.model.teacher import make_distiller, twin_kernels

REPORT_PERIOD = 20  # steps between questions to an accelerator: each one stalls it


def _check_data(recipe: Recipe, data: Dataset) -> None:
    if data.input_shape != recipe.net.input_shape:
        raise DataError(f"images must have the net's input_shape {recipe.net.input_shape}", value=data.input_shape,
                        source=data.name)
    expected = recipe.net.time_steps if recipe.net.spike_input else None
    if data.spike_steps != expected:
        raise DataError(f"must be {'images' if expected is None else f'spikes of {expected} steps'}, as the net's "
                        "spike_input and time_steps say", value=data.spike_steps, field="steps", source=data.name)
    if data.classes != recipe.net.classes:
        raise DataError(f"must have the net's {recipe.net.classes} classes", value=data.classes, source=data.name)
    if len(data.train_images) < recipe.batch_size:
        raise DataError(f"must have at least one batch of {recipe.batch_size} training images",
                        value=len(data.train_images), source=data.name)


def make_optimiser(net: SpikingNet, recipe: Recipe) -> torch.optim.Adam:
    """Adam with groups for codewords, weights of the 8-bit layers, latents of the others, and the rest."""
    kinds = {id(book.latent): "codewords" for book in net.codebooks()}
    kinds |= {id(layer.weight): "latents" for layer in net.quantised_layers()}
    kinds |= {id(layer.weight): "planes" for layer in (net.spiking_blocks()[0].conv, net.classifier)}
    rates = {"codewords": (recipe.codebook.learning_rate, 0.0), "planes": (recipe.learning_rate, recipe.weight_decay),
             "latents": (recipe.learning_rate, recipe.latent_decay), "rest": (recipe.learning_rate, 0.0)}
    groups: dict[str, list[torch.nn.Parameter]] = {kind: [] for kind in rates}
    for parameter in net.parameters():
        groups[kinds.get(id(parameter), "rest")].append(parameter)
    return torch.optim.Adam([{"params": parameters, "lr": rates[kind][0], "peak_lr": rates[kind][0],
                              "weight_decay": rates[kind][1]} for kind, parameters in groups.items() if parameters])


def rate_factor(step: int, steps: int, *, warmup: int = 0) -> float:
    """Learning rate factor of step 0..steps-1: up in a straight line over the first `warmup` steps, then from 1 along a
    cosine towards 0 at the last."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


class Trainer:
    """One run: owns net, optimiser, generator and data on the device.

    `teacher` must be given if the recipe distils: a full-precision net, which is moved to the device. `replicas`: this
    process among several that train the net together.
    """

    def __init__(self, recipe: Recipe, data: Dataset, *, device: str | torch.device = "cpu", compiled: bool = False,
                 teacher: SpikingNet | None = None, replicas: Replicas | None = None):
        _check_data(recipe, data)
        self.recipe, self.device, self.replicas = recipe, torch.device(device), replicas or Replicas()
        self.replicas.check(recipe.batch_size)
        self._last_images = torch.empty(0)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.net = SpikingNet(recipe.net, generator=self.generator, options=recipe.training_options(compiled=compiled))
        self.net.to(device=self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.teacher = teacher
        if teacher is not None:
            teacher.to(device=self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.distiller = make_distiller(recipe.distillation, teacher=self.teacher, student=self.net)
        self.optimiser = make_optimiser(self.net, recipe)
        self.images, self.labels = data.train_images.to(self.device), data.train_labels.to(self.device)
        self.steps_per_epoch = len(self.images) // recipe.batch_size
        self.steps = self.steps_per_epoch * recipe.epochs

    def start_codebooks(self) -> None:
        """Let the layers that are 1-bit so far choose their codewords."""
        options = self.recipe.codebook
        twin = twin_kernels(options.twin, self.net) if options.twin is not None else {}
        for number, block in enumerate(self.net.spiking_blocks()):
            layer = block.conv
            if isinstance(layer, SubBitConv2d) and not layer.codebook.is_running:
                book = layer.codebook
                if options.choice == RANDOM:
                    book.start(book.codewords)
                else:
                    kernels = twin.get(number, layer.groups().detach())
                    book.start(CHOICES[options.choice](book.assignment.adjust(kernels, pairs=book.pairs), 2**book.eta))

    def step(self, indices: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One optimiser step on these images: (loss, number of right answers, all numbers are finite) as tensors on the
        device. A step whose loss or gradient is not finite takes no gradient."""
        indices = indices.to(self.device)
        images = self.replicas.share(augment(self.images[indices].float(), self.recipe.augmentation,
                                             generator=self.generator))
        labels = self.replicas.share(self.labels[indices])
        for book in self.net.codebooks():
            book.begin_step(number)
        factor = rate_factor(number, self.steps, warmup=self.recipe.warmup_epochs * self.steps_per_epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak_lr"] * factor
        if images.dim() == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.recipe.bf16):
            if self.distiller is not None:
                self.distiller.watch(images)
            logits = self.net(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        if self.distiller is not None:
            loss = loss + self.distiller.loss(logits)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        loss, right = loss.detach(), (logits.detach().argmax(dim=1) == labels).sum().float()
        finite = self._limit_gradient(loss, right)
        if self.device.type != "cpu" or finite:  # a CPU is asked at once, so that the run stops with the weights whole
            self.optimiser.step()
        for layer in self.net.quantised_layers():
            layer.clip_latent()
        for book in self.net.codebooks():
            book.update(self.generator)
        self._last_images = images
        return loss, right * self.replicas.count, finite

    def _limit_gradient(self, loss: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Average loss, right answers and gradients over the processes and clip the gradients.

        Returns whether all are finite. An accelerator goes on with zero gradients where they are not, until it is
        asked.
        """
        gradients = [p.grad for p in self.net.parameters() if p.grad is not None]
        self.replicas.average([loss, right, *gradients])
        norm = nn.utils.get_total_norm(gradients)
        finite = torch.isfinite(norm) & torch.isfinite(loss)
        if self.recipe.gradient_clip:  # a norm of 0 clips nothing, and leaves NaN in the layers where it is
            nn.utils.clip_grads_with_norm_(self.net.parameters(), self.recipe.gradient_clip,
                                           torch.where(finite, norm, 0))
        if self.device.type != "cpu":
            for gradient in gradients:
                gradient.copy_(torch.where(finite, gradient, 0))
        return finite

    def run_epoch(self, epoch: int, progress: ProgressCallback | None) -> dict[str, Any]:
        """Epoch 0..epochs-1; its history entry."""
        if epoch >= self.recipe.codebook.start_epoch:
            self.start_codebooks()
        short = epoch < self.recipe.short_epochs
        self.net.time_steps = self.recipe.short_time_steps if short else self.recipe.net.time_steps
        if self.teacher is not None:
            self.teacher.time_steps = self.net.time_steps
        self.net.train()
        order = torch.randperm(len(self.images), generator=self.generator)
        losses = torch.zeros(self.steps_per_epoch, device=self.device)
        finite = torch.ones(self.steps_per_epoch, dtype=torch.bool, device=self.device)
        right = torch.zeros((), device=self.device)
        loss = accuracy = None
        for i in range(self.steps_per_epoch):
            number = epoch * self.steps_per_epoch + i
            batch = order[i * self.recipe.batch_size : (i + 1) * self.recipe.batch_size]
            losses[i], hits, finite[i] = self.step(batch, number)
            right += hits
            asked = self.device.type == "cpu" or (i + 1) % REPORT_PERIOD == 0 or i + 1 == self.steps_per_epoch
            if asked:
                self._refuse_divergence(losses, finite, epoch)
                loss, accuracy = losses[: i + 1].mean().item(), right.item() / ((i + 1) * self.recipe.batch_size)
            if progress:
                progress(TrainingProgress(epoch=epoch + 1, epochs=self.recipe.epochs, step=number + 1, steps=self.steps,
                                          loss=loss if asked else None, accuracy=accuracy if asked else None))
        self.replicas.average_buffers(self.net)
        return {"epoch": epoch + 1, "train_loss": loss, "train_accuracy": accuracy}

    def _refuse_divergence(self, losses: torch.Tensor, finite: torch.Tensor, epoch: int) -> None:
        bad = (~finite).nonzero()
        if not len(bad):
            return
        i = int(bad[0])
        step, loss = epoch * self.steps_per_epoch + i + 1, losses[i].item()
        layer = first_layer_not_finite(self.net, self._last_images)
        what = "gradient" if math.isfinite(loss) else "loss"
        where = f"layer {layer} left the numbers first" if layer else "which layer left the numbers cannot be told"
        raise DivergedError(f"{what} must be finite at step {step} (epoch {epoch + 1}; {where})",
                            value=loss if what == "loss" else math.nan, field=what, source="training")
