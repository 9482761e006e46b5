"""Studies: one recipe in several weight formats, variants ("arms") and seeds, trained, lowered and measured.

Every accuracy table of the documentation is one.

A study is a YAML file with strict keys:

    recipe: spoken_digits                 # shipped name, or a path
    references: [fp, binary]              # formats that are trained once, without arms
    formats: [eta6, eta4]                 # formats that are trained in every arm
    seeds: [0, 1, 2]                      # or folds: 5, for cross-validation: part k is tested on, with seed k
    arms:                                 # parts of a recipe that replace the base's; without arms, the base alone;
      nearest: {}                         # the first is what the others are compared with, seed by seed
      os_quant: {assignment: {rule: os_quant}}
    config: ulx3s                         # accelerator preset that is lowered for,
    config_changes: {accumulator_bits: 25}  # with these fields changed

Each run leaves a folder; one that is there already with the same recipe is not repeated, an interrupted one goes on,
and one of another recipe is refused. A run whose figures stand in the table's file is not repeated either, so that a
table can be completed where its folders are gone. Arms that distil share the full-precision teacher of the base recipe
for each seed, unless they change more than how weights are compressed. Measured are the folded net in floating point
and, but for "fp", its integer program, both on the held-out part.
"""

import json
import multiprocessing
import os
import platform
import shutil
import statistics
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from s2nn.hw.spec.atomic import write_json_atomic
from s2nn.hw.spec.config import AcceleratorConfig, preset
from s2nn.hw.spec.errors import ConfigError
from s2nn.model.checkpoint import Checkpoint, load_checkpoint
from s2nn.model.data import Dataset, load_dataset
from s2nn.model.files import read_json
from s2nn.model.integer import integer_evaluate
from s2nn.model.lower import lower_with_report
from s2nn.model.recipe import Recipe, load_recipe, recipe_from_dict
from s2nn.model.shipped import read_yaml, shipped_names
from s2nn.model.strict import build
from s2nn.model.teacher import FULL_PRECISION
from s2nn.model.train import CHECKPOINT_NAME, TEACHER_FOLDER, train

STUDIES = "studies"
#: The arm of a study without arms, and of references.
BASE = ""


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a study's file says, see the module's text.

    arms : name -> part of a recipe. folds : of cross-validation, then `seeds` must not be given.
    """

    recipe: str
    formats: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    folds: int | None = None
    arms: dict[str, dict] = field(default_factory=lambda: {BASE: {}})
    config: str = "ulx3s"
    config_changes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        if (self.folds is None) == (not self.seeds):
            raise ConfigError("must be given, or else folds", value=self.seeds, field="seeds")
        if self.folds is not None and self.folds < 2:
            raise ConfigError("must be at least 2", value=self.folds, field="folds")
        if not self.formats and not self.references:
            raise ConfigError("must name at least one weight format, or else references", value=self.formats,
                              field="formats")
        if self.formats and not self.arms:
            raise ConfigError("must name at least one arm, or be left out", value=self.arms, field="arms")
        runs = self.runs()
        if twice := next((run for run in runs if runs.count(run) > 1), None):
            raise ConfigError("format, arm and seed must name a run once", value=twice, field="seeds")
        self.accelerator()
        for weights, arm, seed in runs:
            self.run_recipe(weights, arm, seed)

    def runs(self) -> list[tuple[str, str, int]]:
        """(weight format, arm, seed) of every run; seed by seed, so that all rows of a table grow together."""
        columns = [*((weights, BASE) for weights in self.references),
                   *((weights, arm) for arm in self.arms for weights in self.formats)]
        return [(*column, seed) for seed in self.seeds or range(self.folds or 0) for column in columns]

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with: the first."""
        return next(iter(self.arms), BASE)

    def accelerator(self) -> AcceleratorConfig:
        """The configuration that the nets are lowered for, in the codebook format."""
        return preset(self.config, self.config_changes, field="config_changes")

    def run_recipe(self, weights: str, arm: str, seed: int) -> Recipe:
        """The recipe of a run."""
        base = load_recipe(self.recipe)
        values = _merged(base.as_dict(), self.arms.get(arm, {}))
        recipe = recipe_from_dict(values, source=f"arm {arm}" if arm else self.recipe)
        return replace(recipe.with_format(weights), seed=seed)

    def data(self, seed: int, root: str | Path | None) -> Dataset:
        """The data set that a run of this seed trains and is tested on."""
        data = load_dataset(load_recipe(self.recipe).dataset, root=root)
        return data if self.folds is None else data.cross_validated(seed, self.folds)


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, change in changes.items():
        both = isinstance(change, dict) and isinstance(values.get(key), dict)
        merged[key] = _merged(values[key], change) if both else change
    return merged


def shipped_studies() -> list[str]:
    """Names of the studies that come with the package: those behind the tables of the documentation."""
    return shipped_names(STUDIES)


def load_study(name_or_path: str | Path) -> Study:
    """A shipped study by its name, or one of yours by its path."""
    study: Study = build(Study, read_yaml(STUDIES, name_or_path, kind="study"), prefix="", source=name_or_path)
    return study


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a study, as a process gets it. `seed` is the fold's number where the study cross-validates."""

    study: Study
    weights: str
    arm: str
    seed: int
    runs: Path
    data_root: Path | None
    device: str
    compiled: bool
    fast: bool

    @property
    def recipe(self) -> Recipe:
        recipe = self.study.run_recipe(self.weights, self.arm, self.seed)
        return recipe.fast() if self.fast else recipe

    @property
    def folder(self) -> Path:
        folds = self.study.folds
        part = f"seed{self.seed}" if folds is None else f"fold{self.seed}of{folds}"
        return self.runs / "-".join([*([self.arm] if self.arm else []), self.weights, part])

    def checkpoint(self) -> Checkpoint | None:
        """What the run has left, if it has been done. `ConfigError` if that is of another recipe."""
        stem = self.folder / CHECKPOINT_NAME
        if not stem.with_suffix(".json").is_file():
            return None
        found = load_checkpoint(stem)
        if found.recipe != self.recipe:
            raise ConfigError(f"must have the study's recipe {self.recipe.digest}: remove the folder to train anew",
                              value=found.recipe.digest, field="recipe_digest", source=self.folder)
        return found

    def teacher(self) -> "Job | None":
        """The run that this one learns from and that another may have done, None if it needs none."""
        recipe, base = self.recipe, replace(self, weights=FULL_PRECISION, arm=BASE)
        distils = not recipe.distillation.is_off and recipe.distillation.teacher is None
        return base if distils and base.recipe == recipe.with_format(FULL_PRECISION) else None


def run_job(job: Job) -> Checkpoint:
    """Train one run, unless it has been done."""
    torch.set_num_threads(1)
    found = job.checkpoint()
    if found is None:
        teacher = job.teacher()
        if teacher is not None:
            run_job(teacher)
            (job.folder / TEACHER_FOLDER).mkdir(parents=True, exist_ok=True)
            for suffix in (".safetensors", ".json"):
                shutil.copy((teacher.folder / CHECKPOINT_NAME).with_suffix(suffix), job.folder / TEACHER_FOLDER)
        train(job.recipe, data=job.study.data(job.seed, job.data_root), out=job.folder, resume=True, device=job.device,
              compiled=job.compiled)
        found = load_checkpoint(job.folder / CHECKPOINT_NAME)
    return found


def _teach(job: Job) -> None:
    """`run_job` for another process, which need not send the net: it lies in the job's folder."""
    run_job(job)


def measure(job: Job) -> dict[str, Any]:
    """Train one run, unless it has been done, and measure it."""
    checkpoint = run_job(job)
    result = {
        "arm": job.arm, "weights": job.weights, "seed": job.seed, "recipe_digest": checkpoint.recipe.digest,
        "float_accuracy": checkpoint.test_accuracy, "integer_accuracy": None, "test_images": checkpoint.test_images,
        "split": checkpoint.split, "checkpoint_sha256": checkpoint.sha256,
        "checkpoint_bytes": (job.folder / CHECKPOINT_NAME).with_suffix(".safetensors").stat().st_size,
    }
    if job.weights == FULL_PRECISION:
        return result
    config = job.study.accelerator()
    lowered = lower_with_report(checkpoint.net, config.as_binary() if job.weights == "binary" else config)
    data = job.study.data(job.seed, job.data_root)
    return result | {
        "integer_accuracy": integer_evaluate(lowered.program, data.test_images, data.test_labels),
        "capped_channels": sum(layer.capped_channels for layer in lowered.report),
    }


def summarise(results: Sequence[dict[str, Any]], baseline: str = BASE) -> list[dict[str, Any]]:
    """One row per arm and format: mean and, of more than one run, sample standard deviation of both accuracies, in
    percent; runs of full precision have no integers. Arms but the `baseline` also have those of the difference from its
    run with the same format and seed, in points: what a seed does to both arms is not in it."""

    def by_seed(arm: str, weights: str, kind: str) -> dict[int, float]:
        return {result["seed"]: 100 * result[f"{kind}_accuracy"] for result in results
                if (result["arm"], result["weights"]) == (arm, weights) and result[f"{kind}_accuracy"] is not None}

    rows = []
    for arm, weights in dict.fromkeys((result["arm"], result["weights"]) for result in results):
        row: dict[str, Any] = {"arm": arm, "weights": weights, "runs": len(by_seed(arm, weights, "float"))}
        for kind in ("float", "integer"):
            values = by_seed(arm, weights, kind)
            row |= _mean_and_deviation(f"{kind}_{{}}_percent", list(values.values()))
            if arm != baseline:
                beside = by_seed(baseline, weights, kind)
                row |= _mean_and_deviation(f"{kind}_over_baseline_{{}}_points",
                                           [values[seed] - beside[seed] for seed in values if seed in beside])
        rows.append(row)
    return rows


def _mean_and_deviation(name: str, values: Sequence[float]) -> dict[str, float]:
    found = {}
    if values:
        found["mean"] = statistics.mean(values)
    if len(values) > 1:
        found["std"] = statistics.stdev(values)
    return {name.format(key): round(value, 3) for key, value in found.items()}


def run_study(name_or_path: str | Path, *, runs: Path, out: Path, data_root: Path | None = None, workers: int = 1,
              device: str = "cpu", compiled: bool = False, fast: bool = False,
              tell: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Do all runs of a study that neither `runs` nor `out` (JSON) holds yet; `out` is rewritten after every one.

    Parameters
    ----------
    workers : runs side by side, one thread each. fast : `Recipe.fast` of every recipe; the document says so.

    Returns the document: summary, runs, recipe, configuration, versions. Raises `ConfigError` if `out` is of another
    study or of other options, versions or machine: its runs could not stand in one table with these.
    """
    study = load_study(name_or_path)
    jobs = {run: Job(study=study, weights=run[0], arm=run[1], seed=run[2], runs=runs, data_root=data_root,
                     device=device, compiled=compiled, fast=fast) for run in study.runs()}
    document = {
        "study": Path(name_or_path).stem, "fast": fast, "folds": study.folds, "compiled": compiled,
        "recipe": load_recipe(study.recipe).as_dict(), "arms": study.arms,
        "accelerator_config": study.accelerator().to_json(), "torch": torch.__version__, "device": device,
        "machine": platform.machine(),
    }
    results = {run: row for row in _rows_of(out, document)
               if (run := _run_of(row)) in jobs and row["recipe_digest"] == jobs[run].recipe.digest}
    if results:
        tell(f"{len(results)} of {len(jobs)} are in {out}")
    left = [job for run, job in jobs.items() if run not in results]
    teachers = list({teacher.folder: teacher for job in left if (teacher := job.teacher()) is not None}.values())

    def save() -> dict[str, Any]:
        rows = [results[run] for run in jobs if run in results]
        table = document | {"summary": summarise(rows, study.baseline), "runs": rows}
        write_json_atomic(out, table)
        return table

    for _ in _side_by_side(_teach, teachers, workers):
        tell("a teacher is ready")
    for result in _side_by_side(measure, left, workers):
        results[_run_of(result)] = result
        save()
        tell(f"{len(results)} of {len(jobs)}: {result['arm']} {result['weights']} seed {result['seed']}: "
             f"{100 * result['float_accuracy']:.2f} %")
    return save()


def _run_of(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["weights"], row["arm"], row["seed"]


def _rows_of(path: Path, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs in the file of an earlier call, none if there is no file; what `document` says must hold for them."""
    if not path.exists():
        return []
    earlier, now = read_json(path), json.loads(json.dumps(document))
    if wrong := next((key for key in now if earlier.get(key) != now[key]), None):
        raise ConfigError(f"must be that of this study, {now[wrong]!r}: remove the file to begin anew",
                          value=earlier.get(wrong), field=wrong, source=path)
    return earlier["runs"]


def _side_by_side(work: Callable[[Job], Any], jobs: Sequence[Job], workers: int) -> Iterable[Any]:
    """Results as they come; with one worker in this process."""
    if workers == 1 or not jobs:
        yield from map(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_end_with_parent, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(work, jobs)


def _end_with_parent() -> None:
    """Let this process end with the one that started it, however that ends: a study that is begun again must not meet
    the runs of the one before."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
