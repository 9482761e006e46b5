"""Recipes: strict keys, types, ranges, and that the shipped ones load."""

import pytest

from s2nn.hw.spec.errors import ConfigError
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
    ("net: 3", "net.: must be a mapping|net: must be a mapping"),
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
