"""The training loop: Adam, cosine learning rate, label smoothing, augmentation, codebook schedule, checkpoints.

Everything random comes from one CPU generator seeded by the recipe, so a run on a CPU is reproducible bit for bit for a
given number of threads, also across an interruption. The accuracy that is reported is that of the folded net.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from s2nn.hw.spec.errors import DataError, S2NNError
from s2nn.model.allocator import keep_freed_memory
from s2nn.model.augment import augment
from s2nn.model.checkpoint import load_checkpoint, save_checkpoint
from s2nn.model.codewords import CHOICES, RANDOM
from s2nn.model.data import Dataset, load_dataset
from s2nn.model.evaluate import evaluate
from s2nn.model.fold import FoldedNet, fold
from s2nn.model.layers import SubBitConv2d
from s2nn.model.nets import SpikingNet
from s2nn.model.progress import ProgressCallback, TrainingProgress
from s2nn.model.recipe import Recipe
from s2nn.model.teacher import FULL_PRECISION, load_teacher, make_distiller, twin_kernels, unfold
from s2nn.model.train_state import has_state, load_state, save_state

REPORT_PERIOD = 20  # steps between questions to an accelerator: each one stalls it
STATE_FOLDER = "state"
TEACHER_FOLDER = "teacher"
CHECKPOINT_NAME = "model"


class DivergedError(S2NNError):
    """Training whose loss is no longer a number."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """net : folded; test_accuracy : of it, 0..1, on the data set's test part; history : one entry per epoch;
    finished : False if the run was stopped before its last epoch; checkpoint : path of the packed one, if written."""

    net: FoldedNet
    test_accuracy: float
    history: list[dict[str, Any]]
    finished: bool
    checkpoint: Path | None


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


def cosine(step: int, steps: int) -> float:
    """Learning rate factor of step 0..steps-1: 1 at the first, towards 0 at the last."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


class Trainer:
    """One run: owns net, optimiser, generator and data on the device.

    `teacher` must be given if the recipe distils: a full-precision net, which is moved to the device.
    """

    def __init__(self, recipe: Recipe, data: Dataset, *, device: str | torch.device = "cpu", compiled: bool = False,
                 teacher: SpikingNet | None = None):
        _check_data(recipe, data)
        self.recipe, self.device = recipe, torch.device(device)
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

    def step(self, indices: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimiser step on these images; (loss, number of right answers) as tensors on the device."""
        indices = indices.to(self.device)
        images = augment(self.images[indices].float(), self.recipe.augmentation, generator=self.generator)
        labels = self.labels[indices]
        for book in self.net.codebooks():
            book.begin_step(number)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak_lr"] * cosine(number, self.steps)
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
        self.optimiser.step()
        for layer in self.net.quantised_layers():
            layer.clip_latent()
        for book in self.net.codebooks():
            book.update(self.generator)
        return loss.detach(), (logits.detach().argmax(dim=1) == labels).sum()

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
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        loss = accuracy = None
        for i in range(self.steps_per_epoch):
            number = epoch * self.steps_per_epoch + i
            losses[i], hits = self.step(order[i * self.recipe.batch_size : (i + 1) * self.recipe.batch_size], number)
            right += hits
            asked = self.device.type == "cpu" or (i + 1) % REPORT_PERIOD == 0 or i + 1 == self.steps_per_epoch
            if asked:
                self._refuse_divergence(losses[: i + 1], epoch)
                loss, accuracy = losses[: i + 1].mean().item(), right.item() / ((i + 1) * self.recipe.batch_size)
            if progress:
                progress(TrainingProgress(epoch=epoch + 1, epochs=self.recipe.epochs, step=number + 1, steps=self.steps,
                                          loss=loss if asked else None, accuracy=accuracy if asked else None))
        return {"epoch": epoch + 1, "train_loss": loss, "train_accuracy": accuracy}

    def _refuse_divergence(self, losses: torch.Tensor, epoch: int) -> None:
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            i = int(bad[0])
            step = epoch * self.steps_per_epoch + i + 1
            raise DivergedError(f"loss must be finite at step {step} (epoch {epoch + 1})", value=losses[i].item(),
                                field="loss", source="training")


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
    """
    if weights is not None:
        recipe = recipe.with_format(weights)
    if seed is not None:
        recipe = replace(recipe, seed=seed)
    data = data if data is not None else load_dataset(recipe.dataset, root=data_root)
    folder = Path(out) if out is not None else None
    if torch.device(device).type == "cpu":
        keep_freed_memory()
    teacher = None
    if not recipe.distillation.is_off:
        teacher = find_teacher(recipe, folder=folder, data=data, device=device, resume=resume, compiled=compiled,
                               callback=progress)
    trainer = Trainer(recipe, data, device=device, compiled=compiled, teacher=teacher)
    epoch, history = 0, []
    if resume and folder is not None and has_state(folder / STATE_FOLDER):
        epoch, history = load_state(folder / STATE_FOLDER, net=trainer.net, optimiser=trainer.optimiser,
                                    generator=trainer.generator, recipe=recipe)
    last = recipe.epochs if stop_after_epoch is None else min(recipe.epochs, stop_after_epoch)
    while epoch < last:
        history.append(trainer.run_epoch(epoch, progress))
        epoch += 1
        if folder is not None:
            save_state(folder / STATE_FOLDER, net=trainer.net, optimiser=trainer.optimiser, generator=trainer.generator,
                       epoch=epoch, recipe=recipe, history=history)
    net = fold(trainer.net)
    accuracy = evaluate(net.to_device(device), data.test_images, data.test_labels, device=device)
    finished = epoch == recipe.epochs
    checkpoint = None
    if folder is not None and finished:
        checkpoint = save_checkpoint(folder / CHECKPOINT_NAME, net, recipe=recipe, test_accuracy=accuracy,
                                     test_images=len(data.test_images), split=data.split)
    return TrainingResult(net=net, test_accuracy=accuracy, history=history, finished=finished, checkpoint=checkpoint)


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
