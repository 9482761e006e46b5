"""Recipes: strict keys, types, ranges, and that the shipped ones load."""

import json
from importlib import resources
from pathlib import Path

import pytest
import yaml

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.checkpoint import load_checkpoint, shipped_checkpoints
from s2nn.model.recipe import Recipe, load_recipe, recipe_from_dict, shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_load_and_survive_a_round_trip(name):
    recipe = load_recipe(name)
    assert recipe_from_dict(recipe.as_dict()) == recipe
    assert len(recipe.net.stages()) >= 3


def test_default_recipes_are_shipped():
    assert {"mnist5k", "digits"} <= set(shipped_recipes())


@pytest.mark.parametrize(("text", "message"), [
    ("epoch: 3", 'unknown key; the nearest valid one is "epochs", not \'epoch\''),
    ("net: {time_step: 3}", 'unknown key; the nearest valid one is "net.time_steps", not \'net.time_step\''),
    ("codebook: {learn: true}", 'nearest valid one is "codebook.learned"'),
    ("epochs: many", "epochs: must be int, not 'many'"),
    ("epochs: 2.5", "epochs: must be int"),
    ("epochs: true", "epochs: must be int"),
    ("bf16: 1", "bf16: must be bool"),
    ("epochs: 0", "epochs: must be at least 1, not 0"),
    ("learning_rate: -1", "learning_rate: must be positive"),
    ("label_smoothing: 1", r"label_smoothing: must lie in \[0, 1\)"),
    ("short_epochs: 40", "short_epochs: must lie in 0..epochs-1"),
    ("codebook: {start_epoch: 999}", "codebook.start_epoch: must lie in 0..epochs-1"),
    ("net: {eta: 9}", "net.eta: must be None"),
    ("assignment: {rule: osquant}", "assignment.rule: must be one of nearest, os_quant"),
    ("assignment: {gama: 1}", 'nearest valid one is "assignment.gamma"'),
    ("distillation: {loss: mfpd}", "distillation.loss: must be one of none, mpfd"),
    ("distillation: {pairs: [conv1]}", "distillation.pairs: must be dict"),
    ("distillation: {pairs: {conv1: 2}}", "distillation.pairs.conv1: must be str"),
    ("{net: {eta: null, full_precision: true}, distillation: {loss: mpfd}}", "distillation.loss: must be none"),
    ("codebook: {source: kmeans}", "codebook.source: must be null, random or one of fitted, medoid"),
    ("codebook: {source: medoid}", "codebook.source: codewords can be chosen only from trained kernels"),
    ("codebook: {source: random, twin: x}", "codebook.twin: random codewords need no twin"),
    ("latent_decay: -1", "latent_decay: must be at least 0"),
    ("gradient_clip: -0.5", "gradient_clip: must be at least 0"),
    ("gradient_clip: .nan", "gradient_clip: must be at least 0"),
    ("warmup_epochs: 40", "warmup_epochs: must lie in 0..epochs-1"),
    ("warmup_epochs: -1", "warmup_epochs: must lie in 0..epochs-1"),
    ("augmentation: {cutout_px: -1}", "augmentation.cutout_px: must be at least 0"),
    ("train_images: 0", "train_images: must be null or at least 1"),
    ("net: {etas: {conv1: 4.5}}", "net.etas.conv1: must be int or null"),
    ("net: {etas: {'conv[': 4}}", "net.etas: must be a regular expression"),
    ("net: {etas: {conv7: 4}}", "net.etas: must match one of conv1, conv2, conv3, not 'conv7'"),
    ("net: {etas: {conv1: 4, 'conv.': 5}}", "net.etas: at most one expression may match layer conv1"),
    ("net: 3", "net: must be a mapping"),
    ("- 1", "must be a mapping of keys to values"),
    ("a: [", "must be YAML"),
])
def test_wrong_recipes_name_file_key_and_rule(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_recipe(path)
    assert "mine.yaml" in str(caught.value)


def test_an_integer_is_a_float_and_null_is_binary(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("learning_rate: 1\nslope: null\nnet: {eta: null, input_shape: [3, 8, 8]}")
    recipe = load_recipe(path)
    assert recipe.learning_rate == 1.0 and recipe.net.weight_format == "binary" and recipe.net.input_shape == (3, 8, 8)


def test_every_arm_can_be_said_in_yaml_and_keys_left_out_change_no_digest(tmp_path):
    path = tmp_path / "arm.yaml"
    path.write_text("""
net: {eta: 4, etas: {conv1: 6, 'conv[23]': null}, pointwise_codebook: true}
latent_decay: 0.001
assignment: {rule: os_quant, gamma: 2, scaling: as_printed, detach_omega: true}
codebook: {source: medoid, twin: nets/binary, learned: false}
distillation: {loss: mpfd, weight: 0.5, pairs: {conv2: conv2}, teacher: nets/fp}
""")
    recipe = load_recipe(path)
    assert recipe_from_dict(recipe.as_dict()) == recipe and recipe.digest != Recipe().digest
    assert [stage.eta for stage in recipe.net.stages()] == [None, 6, None, None]
    assert recipe.assignment.gamma == 2.0 and recipe.distillation.pairs == {"conv2": "conv2"}
    fp = recipe.with_format("fp")
    assert fp.net.full_precision and fp.distillation.is_off and fp.net.etas == {}
    plain = Recipe().as_dict()
    assert not {"assignment", "distillation", "latent_decay"} & set(plain) and "source" not in plain["codebook"]
    assert "etas" not in plain["net"] and "full_precision" not in plain["net"]


def test_the_documented_recipe_is_one():
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    recipe = recipe_from_dict(yaml.safe_load(text.split("```yaml")[1].split("```")[0]))
    assert recipe.assignment.rule == "os_quant" and not recipe.distillation.is_off


def test_shipped_checkpoints_keep_their_recipe_digests():
    for name in shipped_checkpoints():
        meta = json.loads((resources.files("s2nn.model") / "checkpoints" / f"{name}.json").read_text())
        assert load_checkpoint(name).recipe.digest == meta["recipe_digest"]


def test_unknown_recipe_names_the_shipped_ones():
    with pytest.raises(ConfigError, match=r"must be a file or one of .*mnist5k.*, not 'mnits'"):
        load_recipe("mnits")


def test_weight_format_is_the_only_difference_between_twins():
    recipe = Recipe()
    twin = recipe.with_format("binary")
    assert twin.net.eta is None and twin.with_format("eta4") == recipe and twin.digest != recipe.digest
    for bad in ("eta7", "ternary", "eta", "4"):
        with pytest.raises(ConfigError, match="eta"):
            recipe.with_format(bad)


@pytest.mark.parametrize(("values", "expected"), [
    ({"epochs": 30, "short_epochs": 24, "warmup_epochs": 5, "codebook": {"start_epoch": 8}}, (3, 2, 1, 1, 1000)),
    ({"epochs": 30, "short_epochs": 29, "codebook": {"start_epoch": 29}}, (3, 2, 0, 2, 1000)),
    ({"epochs": 2, "short_epochs": 1, "codebook": {"start_epoch": 0}, "train_images": 200}, (2, 1, 0, 0, 200)),
    ({"epochs": 1}, (1, 0, 0, 0, 1000)),
])
def test_fast_recipes_are_short_and_valid(values, expected):
    fast = recipe_from_dict(values).fast()
    found = fast.epochs, fast.short_epochs, fast.warmup_epochs, fast.codebook.start_epoch, fast.train_images
    assert found == expected


def test_what_came_later_leaves_older_digests_alone():
    values = Recipe().as_dict()
    assert not {"gradient_clip", "warmup_epochs", "train_images"} & set(values)
    assert not {"mirror", "cutout_px"} & set(values["augmentation"])
    assert recipe_from_dict({"gradient_clip": 1}).as_dict()["gradient_clip"] == 1.0
