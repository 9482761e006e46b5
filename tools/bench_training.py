"""`s2nn bench training`: what a training step costs in each weight format, with each arm of OS-Quant and distillation.

All series train the recipe's net on the same random images, a few steps each in turn, so that a machine's moods reach
all of them alike; what counts are the ratios to the 1-bit twin's step.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import torch
from rich.table import Table

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.allocator import keep_freed_memory
from s2nn.model.data import Dataset
from s2nn.model.distill import LOSSES, NONE, Distillation
from s2nn.model.nets import SpikingNet
from s2nn.model.os_quant import AS_PRINTED, NEAREST, RULES, Assignment
from s2nn.model.recipe import CodebookRecipe, Recipe
from s2nn.model.teacher import FULL_PRECISION
from s2nn.model.trainer import Trainer
from s2nn.tools.environment import package_versions
from s2nn.tools.simulation import Tell

TWIN = "binary"


@dataclass(frozen=True, kw_only=True)
class Series:
    """One arm: weight format, choice of codewords and distillation loss; its step is set against that of `base`."""

    name: str
    weights: str
    assignment: Assignment = field(default_factory=Assignment)
    loss: str = NONE
    base: str = TWIN

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe of this arm, with codewords in use from the first step."""
        recipe = replace(recipe.with_format(self.weights), assignment=self.assignment, codebook=CodebookRecipe())
        return replace(recipe, distillation=Distillation(loss=self.loss))


def all_series(eta: int) -> list[Series]:
    """1-bit twin, full precision, sub-bit as in the paper's baseline, each alternative of it, each distillation."""
    weights = f"eta{eta}"
    series = [Series(name=TWIN, weights=TWIN), Series(name=FULL_PRECISION, weights=FULL_PRECISION)]
    series += [Series(name=f"{weights} {rule}", weights=weights, assignment=Assignment(rule=rule)) for rule in RULES]
    series.append(Series(name=f"{weights} os_quant as printed", weights=weights,
                         assignment=Assignment(rule="os_quant", scaling=AS_PRINTED)))
    base = f"{weights} {NEAREST}"
    return series + [Series(name=f"{base} + {loss}", weights=weights, loss=loss, base=base) for loss in LOSSES[1:]]


def choose(series: Sequence[Series], only: Sequence[str]) -> list[Series]:
    """The series with one of these texts in their name (none: all), and what they are set against."""
    picked = [one for one in series if not only or any(text in one.name for text in only)]
    if not picked:
        raise ConfigError(f"must occur in one of {', '.join(one.name for one in series)}", value=list(only),
                          field="only")
    by_name = {one.name: one for one in series}
    needed = {one.name for one in picked} | {one.base for one in picked} | {by_name[one.base].base for one in picked}
    return [one for one in series if one.name in needed]


def random_data(recipe: Recipe, *, seed: int) -> Dataset:
    """One batch of random images of the recipe's shape."""
    generator = torch.Generator().manual_seed(seed)
    count, net = recipe.batch_size, recipe.net
    shape = (count, net.time_steps, *net.input_shape) if net.spike_input else (count, *net.input_shape)
    images = torch.randint(0, 2 if net.spike_input else 256, shape, generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, net.classes, (count,), generator=generator)
    return Dataset(name="random", train_images=images, train_labels=labels, test_images=images, test_labels=labels,
                   split="none", classes=net.classes)


def make_trainer(series: Series, recipe: Recipe, data: Dataset, *, device: str) -> Trainer:
    """A trainer of the arm; its teacher is not trained, which changes no time."""
    arm = series.recipe(recipe)
    teacher = None
    if series.loss != NONE:
        teacher = SpikingNet(recipe.with_format(FULL_PRECISION).net, generator=torch.Generator().manual_seed(1))
    trainer = Trainer(arm, data, device=device, teacher=teacher)
    trainer.net.train()
    return trainer


def bench_training(recipe: Recipe, *, eta: int, steps: int, repetitions: int, threads: int,
                   only: Sequence[str] = (), device: str = "cpu", seed: int = 0,
                   tell: Tell = lambda line: None) -> dict[str, Any]:
    """Measure the series (`only` those that `choose` picks), `steps` training steps each per repetition.

    Returns one JSON document.

    Seconds are those of a whole step, from the batch on the device to updated codewords: CPU time of the process on a
    CPU, wall time elsewhere. Steps are numbered through, so that codewords learn as seldom as in training.
    """
    torch.set_num_threads(threads)
    if device == "cpu":
        keep_freed_memory()
    data, chosen = random_data(recipe, seed=seed), choose(all_series(eta), only)
    trainers = {series.name: make_trainer(series, recipe, data, device=device) for series in chosen}
    order = torch.arange(recipe.batch_size)

    clock = time.process_time if device == "cpu" else time.perf_counter

    def run(trainer: Trainer, first: int, count: int) -> float:
        start = clock()
        for number in range(first, first + count):
            trainer.step(order, number)
        if device != "cpu":
            torch.accelerator.synchronize()
        return (clock() - start) / count

    seconds: dict[str, list[float]] = {series.name: [] for series in chosen}
    for trainer in trainers.values():
        run(trainer, 0, 1)
    for number in range(repetitions):
        tell(f"repetition {number + 1} of {repetitions}")
        for name, trainer in trainers.items():
            seconds[name].append(run(trainer, 1 + number * steps, steps))
    ratios = {series.name: median(own / base for own, base in zip(seconds[series.name], seconds[series.base],
                                                                  strict=True)) for series in chosen}
    return {
        "net": recipe.net.as_dict(), "batch_size": recipe.batch_size, "steps": steps, "threads": threads,
        "device": device, "versions": package_versions(["torch"]),
        "series": [{"name": series.name, "base": series.base, "seconds": seconds[series.name],
                    "seconds_per_step": median(seconds[series.name]), "ratio": ratios[series.name],
                    "extra_seconds_per_step": median(seconds[series.name]) - median(seconds[series.base])}
                   for series in chosen],
    }


def bench_table(result: dict[str, Any]) -> Table:
    """The document for a terminal."""
    net = result["net"]
    table = Table(title=f"training {net['layers']}, T = {net['time_steps']}, batch {result['batch_size']}, "
                        f"{result['device']}, {result['threads']} threads", title_justify="left",
                  caption=f"medians of {len(result['series'][0]['seconds'])} x {result['steps']} steps, all series in "
                          "turn; ratios of neighbouring runs", caption_justify="left")
    for name in ("series", "ms per step", "against", "ratio", "extra ms"):
        table.add_column(name, justify="left" if name in ("series", "against") else "right")
    for part in result["series"]:
        table.add_row(part["name"], f"{1e3 * part['seconds_per_step']:.1f}", part["base"], f"{part['ratio']:.2f}",
                      f"{1e3 * part['extra_seconds_per_step']:.1f}")
    return table
