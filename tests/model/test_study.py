"""Studies: which runs there are, that they are done once, and that arms share their teachers."""

import json
import subprocess
import sys
import time

import pytest
import torch

from s2nn.hw.spec.errors import ConfigError, S2NNError
from s2nn.model import study as study_module
from s2nn.model.checkpoint import load_checkpoint, shipped_checkpoints
from s2nn.model.lower import lower
from s2nn.model.study import BASE, Job, load_study, run_study, shipped_studies, summarise
from s2nn.tools.study import figure, study_table

RECIPE = """
dataset: digits
net: {input_shape: [1, 8, 8], layers: 6C3-8C3-MP2-FC, time_steps: 2, eta: 3}
epochs: 2
batch_size: 100
codebook: {start_epoch: 1}
"""
STUDY = """
recipe: RECIPE
references: [fp]
formats: [eta3]
seeds: [0]
config: ulx3s
arms:
  nearest: {}
  mpfd: {distillation: {loss: mpfd}, assignment: {rule: os_quant}}
"""


@pytest.fixture
def write(tmp_path):
    def write(text=STUDY):
        (tmp_path / "recipe.yaml").write_text(RECIPE)
        path = tmp_path / "mine.yaml"
        path.write_text(text.replace("RECIPE", str(tmp_path / "recipe.yaml")))
        return path

    return write


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_studies_load(name):
    study = load_study(name)
    assert study.runs() and {weights for weights, _, _ in study.runs()} == {*study.references, *study.formats}


def test_runs_are_references_and_then_arms_seed_by_seed(write):
    study = load_study(write(STUDY.replace("seeds: [0]", "seeds: [0, 1]").replace("[eta3]", "[eta3, eta2]")))
    assert study.runs() == [run for seed in (0, 1) for run in (("fp", BASE, seed), *(
        (weights, arm, seed) for arm in ("nearest", "mpfd") for weights in ("eta3", "eta2")))]
    again = load_study(write(STUDY.replace("[eta3]", "[eta3, fp]")))
    assert again.run_recipe("fp", "mpfd", 0) == again.run_recipe("fp", BASE, 0)
    recipe = study.run_recipe("eta3", "mpfd", 1)
    assert (recipe.seed, recipe.distillation.loss, recipe.assignment.rule, recipe.net.eta) == (1, "mpfd", "os_quant", 3)
    assert recipe.with_format("fp") == study.run_recipe("fp", BASE, 1)  # one teacher for all arms


def test_a_study_is_done_once_and_measures_floats_and_integers(write, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    path, out, lines = write(), tmp_path / "out.json", []
    document = run_study(path, runs=tmp_path / "runs", out=out, tell=lines.append)
    assert json.loads(out.read_text()) == json.loads(json.dumps(document))
    assert [(row["arm"], row["weights"], row["runs"]) for row in document["summary"]] == [
        ("", "fp", 1), ("nearest", "eta3", 1), ("mpfd", "eta3", 1)]
    fp, *others = document["runs"]
    assert fp["integer_accuracy"] is None
    assert all(0 <= run["integer_accuracy"] <= 1 and run["capped_channels"] >= 0 for run in others)
    assert (load_checkpoint(tmp_path / "runs" / "mpfd-eta3-seed0" / "teacher" / "model").sha256
            == load_checkpoint(tmp_path / "runs" / "fp-seed0" / "model").sha256 == fp["checkpoint_sha256"])
    assert lines[0] == "a teacher is ready" and lines[-1].startswith("3 of 3: mpfd eta3 seed 0: ")

    def never(*_arguments, **_options):
        raise AssertionError("trained again")

    monkeypatch.setattr(study_module, "train", never)
    again = json.loads(json.dumps(document))
    out.write_text(json.dumps(again | {"summary": "of an earlier version"}))
    for runs, kept_in in (("runs", tmp_path / "new.json"), ("gone", out)):  # by the folders, by the file
        assert json.loads(json.dumps(run_study(path, runs=tmp_path / runs, out=kept_in))) == again
        assert json.loads(kept_in.read_text()) == again
    with pytest.raises(ConfigError, match=r"fp-seed0: recipe_digest: must have the study's recipe .*remove the folder"):
        run_study(path, runs=tmp_path / "runs", out=tmp_path / "fast.json", fast=True)


@pytest.fixture
def measured(monkeypatch):
    """Runs are not trained; the list of those that would have been."""
    done = []

    def measure(job):
        done.append(job.weights)
        return {"arm": job.arm, "weights": job.weights, "seed": job.seed, "recipe_digest": job.recipe.digest,
                "float_accuracy": 0.25, "integer_accuracy": None}

    monkeypatch.setattr(study_module, "measure", measure)
    monkeypatch.setattr(study_module, "run_job", lambda job: None)
    return done


@pytest.mark.parametrize(("name", "value", "is_missing"), [
    ("recipe_digest", "0", True), ("seed", 1, True), ("float_accuracy", 0.5, False),
])
def test_a_study_goes_on_from_its_file(write, tmp_path, measured, name, value, is_missing):
    """A row of this recipe is taken as it stands; the run of one that is missing or of another recipe is done."""
    path, out = write(), tmp_path / "out.json"
    run_study(path, runs=tmp_path / "runs", out=out)
    assert measured == ["fp", "eta3", "eta3"]
    changed = json.loads(out.read_text())
    changed["runs"][0][name] = value
    out.write_text(json.dumps(changed))
    measured.clear()
    document = run_study(path, runs=tmp_path / "runs", out=out)
    assert measured == (["fp"] if is_missing else [])
    assert document["runs"][0]["float_accuracy"] == (0.25 if is_missing else 0.5)
    with pytest.raises(ConfigError, match=r"compiled: must be that of this study, True: .*, not False"):
        run_study(path, runs=tmp_path / "runs", out=out, compiled=True)


@pytest.mark.parametrize(("text", "message"), [
    ("{}", "study: must be that of this study, 'mine': remove the file to begin anew"),
    ("[]", "must hold a JSON object"), ("", "must be JSON"),
])
def test_a_file_of_something_else_is_refused_and_kept(write, tmp_path, measured, text, message):
    out = tmp_path / "out.json"
    out.write_text(text)
    with pytest.raises(S2NNError, match=message):
        run_study(write(), runs=tmp_path / "runs", out=out)
    assert out.read_text() == text and not measured


def test_folds_have_a_test_part_each(write):
    study = load_study(write(STUDY.replace("seeds: [0]", "folds: 3")))
    assert {seed for _, _, seed in study.runs()} == {0, 1, 2}
    parts = [study.data(seed, None) for seed in range(3)]
    assert [part.split for part in parts] == [f"fold {k} of 3, stratified, seed 0" for k in range(3)]
    assert sum(len(part.test_images) for part in parts) == 1797


@pytest.mark.parametrize(("old", "new", "message"), [
    ("seeds: [0]", "seeds: []", "seeds: must be given, or else folds"),
    ("seeds: [0]", "seeds: [0]\nfolds: 5", "seeds: must be given, or else folds"),
    ("seeds: [0]", "folds: 1", "folds: must be at least 2"),
    ("seeds: [0]", "seeds: [0, 0]", "seeds: format, arm and seed must name a run once, not .*'fp', '', 0"),
    ("  nearest: {}\n  mpfd: {distillation: {loss: mpfd}, assignment: {rule: os_quant}}", "  {}", "arms: must name"),
    ("seeds: [0]", "seeds: [one]", "seeds: must be int, not 'one'"),
    ("{loss: mpfd}, ", "3, ", "distillation: must be a mapping"),
    ("nearest: {}", "nearest: 3", "arms.nearest: must be dict, not 3"),
    ("seeds: [0]", "sed: [0]", 'nearest valid one is "seeds"'),
    ("[eta3]", "[eta7]", "must"),
    ("config: ulx3s", "config_changes: {accumulator: 25}", "config_changes: must be one of accumulator_bits, .*'accum"),
    ("config: ulx3s", "config_changes: {accumulator_bits: 99}", "accumulator_bits: must"),
    ("config: ulx3s", "config: huge", "preset must be one of"),
    ("{loss: mpfd}", "{los: mpfd}", 'arm mpfd: unknown key; the nearest valid one is "distillation.loss"'),
    ("recipe: RECIPE", "recipe: nowhere", "recipe must be a file or one of"),
    ("config: ulx3s", "config: [", "must be YAML"),
])
def test_wrong_studies_are_refused_before_anything_is_trained(write, old, new, message):
    with pytest.raises(ConfigError, match=message):
        load_study(write(STUDY.replace(old, new)))


def test_arms_may_have_values_of_any_type(write):
    arm = "{codebook: {source: null, learned: false, latent_scale: 0.5}, net: {input_shape: [1, 8, 8]}, epochs: 3}"
    recipe = load_study(write(STUDY.replace("nearest: {}", f"nearest: {arm}"))).run_recipe("eta3", "nearest", 0)
    assert (recipe.codebook.source, recipe.codebook.learned, recipe.codebook.latent_scale) == (None, False, 0.5)
    assert (recipe.net.input_shape, recipe.epochs) == ((1, 8, 8), 3)


def test_an_unknown_study_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"study must be a file or one of .*mnist5k.*, not 'nothing'"):
        load_study("nothing")


def test_workers_do_the_same_runs(write, tmp_path):
    path = write()
    documents = [run_study(path, runs=tmp_path / f"by{workers}", out=tmp_path / f"by{workers}.json", workers=workers)
                 for workers in (1, 2)]
    assert documents[0] == documents[1]


def test_an_arm_with_another_teacher_trains_its_own(write, tmp_path):
    job = {"weights": "eta3", "seed": 0, "runs": tmp_path, "data_root": None, "device": "cpu", "compiled": False,
           "fast": False}
    study = load_study(write(STUDY.replace("rule: os_quant}}", "rule: os_quant}}\n  longer: {epochs: 3, "
                                           "distillation: {loss: mpfd}}")))
    teachers = {arm: Job(study=study, arm=arm, **job).teacher() for arm in study.arms}
    assert teachers["nearest"] is None and teachers["longer"] is None
    assert teachers["mpfd"].folder == tmp_path / "fp-seed0"


def test_folds_have_folders_of_their_own(write, tmp_path):
    job = {"weights": "eta3", "arm": "mpfd", "seed": 1, "runs": tmp_path, "data_root": None, "device": "cpu",
           "compiled": False, "fast": False}
    for folds in (3, 4):
        study = load_study(write(STUDY.replace("seeds: [0]", f"folds: {folds}")))
        assert Job(study=study, **job).folder == tmp_path / f"mpfd-eta3-fold1of{folds}"


KILLED = """
import sys, time
from pathlib import Path
from s2nn.model.study import _side_by_side

def work(path):
    path.touch()
    time.sleep(600)

if __name__ == "__main__":
    list(_side_by_side(work, [Path(name) for name in sys.argv[1:]], 2))
"""


def test_runs_end_with_their_study_even_if_it_is_killed(tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    begun = [tmp_path / "one", tmp_path / "two"]
    study = subprocess.Popen([sys.executable, str(tmp_path / "killed.py"), *map(str, begun)], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not all(path.exists() for path in begun):
        assert study.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    study.kill()
    study.communicate(timeout=60)  # ends when nobody has standard output any more


def run_of(arm, weights, seed, floats, integers):
    return {"arm": arm, "weights": weights, "seed": seed, "float_accuracy": floats, "integer_accuracy": integers}


def test_summary_is_mean_and_sample_deviation():
    runs = [run_of("", "eta4", 0, 0.9, 0.5), run_of("", "eta4", 1, 0.8, 0.5)]
    assert summarise(runs) == [{"arm": "", "weights": "eta4", "runs": 2, "float_mean_percent": 85.0,
                                "float_std_percent": 7.071, "integer_mean_percent": 50.0, "integer_std_percent": 0.0}]
    assert summarise([run_of("", "fp", 0, 0.9, None)]) == [
        {"arm": "", "weights": "fp", "runs": 1, "float_mean_percent": 90.0}]


def test_arms_are_compared_with_the_baseline_by_format_and_seed():
    base = [run_of("a", "eta4", 0, 0.70, 0.60), run_of("a", "eta4", 1, 0.80, 0.70), run_of("a", "eta6", 0, 0.99, 0.99)]
    arm = [run_of("b", "eta4", 1, 0.82, 0.69), run_of("b", "eta4", 0, 0.71, 0.63), run_of("b", "eta4", 2, 0.10, 0.10)]
    alone = [run_of("c", "eta4", 1, 0.85, None)]
    others = [run_of("", "binary", 0, 0.9, 0.9), run_of("d", "eta5", 0, 1, 1)]
    rows = {(row["arm"], row["weights"]): {key: value for key, value in row.items() if "over_baseline" in key}
            for row in summarise([*others, *base, *arm, *alone], "a")}
    assert rows == {
        ("", "binary"): {}, ("d", "eta5"): {}, ("a", "eta4"): {}, ("a", "eta6"): {},
        ("b", "eta4"): {"float_over_baseline_mean_points": 1.5, "float_over_baseline_std_points": 0.707,
                        "integer_over_baseline_mean_points": 1.0, "integer_over_baseline_std_points": 2.828},
        ("c", "eta4"): {"float_over_baseline_mean_points": 5.0}}


def test_the_baseline_is_the_first_arm(write):
    assert load_study(write()).baseline == "nearest"
    assert load_study("mnist5k").baseline == BASE


def test_a_table_shows_what_arms_gain():
    runs = [run_of("", "fp", 0, 0.9, None), run_of("a", "eta4", 0, 0.7, 0.6), run_of("b", "eta4", 0, 0.65, 0.61)]
    document = {"study": "mine", "fast": False, "arms": {"a": {}, "b": {}}, "summary": summarise(runs, "a")}
    table = study_table(document)
    assert [column.header for column in table.columns] == [
        "arm", "weights", "runs", "floats", "over a", "accelerator's integers", "over a"]
    assert [list(column.cells) for column in table.columns[3:]] == [
        ["90.00", "70.00", "65.00"], ["", "", "-5.00"], ["", "60.00", "61.00"], ["", "", "+1.00"]]


@pytest.mark.parametrize(("row", "signed", "text"), [
    ({}, False, ""), ({"mean": 81.25}, False, "81.25"), ({"mean": 81.25, "std": 0.0}, False, "81.25 ± 0.00"),
    ({"mean": 1.5, "std": 0.707}, True, "+1.50 ± 0.71"), ({"mean": -0.3}, True, "-0.30"),
])
def test_a_figure_has_its_deviation_if_there_is_one(row, signed, text):
    assert figure(row, "{}", signed=signed) == text


@pytest.mark.parametrize("name", shipped_checkpoints())
def test_shipped_nets_are_of_their_study_and_fit_its_configuration(name):
    checkpoint = load_checkpoint(name)
    study, weights = load_study(checkpoint.recipe.dataset), checkpoint.net.config.weight_format
    assert checkpoint.recipe == study.run_recipe(weights, BASE, 0)
    config = study.accelerator()
    assert lower(checkpoint.net, config.as_binary() if weights == "binary" else config).layers
