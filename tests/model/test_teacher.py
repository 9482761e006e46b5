"""Full-precision nets, teachers, twins, and every arm of the recipes on a tiny net."""

import pytest
import torch

from s2nn.hw.spec.config import ULX3S
from s2nn.hw.spec.errors import CheckpointError, ConfigError, LoweringError
from s2nn.model.checkpoint import load_checkpoint, save_checkpoint
from s2nn.model.codebook import pattern_of
from s2nn.model.codewords import fit_codewords, medoid_codewords
from s2nn.model.distill import LOSSES, Distillation
from s2nn.model.fold import fold
from s2nn.model.grouping import group_taps
from s2nn.model.lower import lower
from s2nn.model.nets import NetConfig
from s2nn.model.os_quant import AS_PRINTED, RULES, Assignment
from s2nn.model.recipe import CodebookRecipe, Recipe
from s2nn.model.teacher import load_teacher, unfold
from s2nn.model.train import train
from s2nn.model.trainer import Trainer
from tests.model.conftest import random_inputs, random_net

LAYERS = {"plain": "6C3-9C3-MP2-10C3-FC", "pooled": "6C3-AP2-7C1-8B-GAP-FC", "linear": "6C3-MP2-11FC-FC"}


def saved(net, path, config):
    return save_checkpoint(path, net, recipe=Recipe(net=config), test_accuracy=0.5, test_images=10, split="by hand")


@pytest.mark.parametrize("layers", LAYERS.values(), ids=list(LAYERS))
def test_a_full_precision_net_folds_packs_and_unfolds(tmp_path, tiny_net_config, change, layers):
    config = change(tiny_net_config, layers=layers, eta=None, full_precision=True)
    net = random_net(config, 3).eval()
    images = random_inputs(config, 6, generator=torch.Generator().manual_seed(1))
    folded = fold(net)
    loaded = load_checkpoint(saved(folded, tmp_path / "fp", config)).net
    assert torch.equal(folded(images), loaded(images)) and config.weight_format == "fp"
    expected = net(images)
    for other in (loaded, unfold(loaded)):
        torch.testing.assert_close(other(images), expected, rtol=1e-3, atol=1e-3)
    weight = load_teacher(tmp_path / "fp", config).spiking_blocks()[1].conv.weight
    assert torch.equal(weight, net.spiking_blocks()[1].conv.weight)


def test_a_full_precision_net_is_not_lowered(tiny_net_config, change):
    net = fold(random_net(change(tiny_net_config, eta=None, full_precision=True), 3))
    with pytest.raises(LoweringError, match="a full-precision net has no integers, not 'fp'"):
        lower(net, ULX3S)


@pytest.mark.parametrize(("changes", "text"), [({"eta": 4, "full_precision": True}, "eta: must be None in a full-prec"),
                                               ({"etas": {"conv9": 4}}, r"etas: must match one of conv1, conv2, not"),
                                               ({"etas": {"conv0": 4}}, "etas: must match one of conv1, conv2"),
                                               ({"etas": {"conv1": 9}}, "etas.conv1: must be None")])
def test_bad_weight_formats_are_refused(tiny_net_config, change, changes, text):
    with pytest.raises(ConfigError, match=text):
        change(tiny_net_config, **changes)


def test_a_teacher_of_another_shape_or_format_is_refused(tmp_path, tiny_net_config, folded_net, change):
    saved(folded_net(tiny_net_config, 1), tmp_path / "eta3", tiny_net_config)
    with pytest.raises(CheckpointError, match="must hold a net of the weight format fp, not 'eta3'"):
        load_teacher(tmp_path / "eta3", tiny_net_config)
    config = change(tiny_net_config, eta=None, full_precision=True)
    saved(folded_net(config, 1), tmp_path / "fp", config)
    with pytest.raises(CheckpointError, match="fp: layers: must be that of the net that learns from it, '6C3-FC'"):
        load_teacher(tmp_path / "fp", change(config, layers="6C3-FC"))
    with pytest.raises(ConfigError, match="only a full-precision net can be unfolded"):
        unfold(folded_net(tiny_net_config, 1))


ARMS = [Assignment(rule=rule) for rule in RULES] + [Assignment(rule="os_quant", scaling=AS_PRINTED, detach_omega=True)]


@pytest.mark.parametrize("assignment", ARMS, ids=lambda a: f"{a.rule}-{a.scaling}")
def test_every_assignment_trains(tiny_recipe, tiny_data, change, assignment):
    recipe = change(tiny_recipe, assignment=assignment, latent_decay=1e-3, codebook=CodebookRecipe())
    result = train(recipe, data=tiny_data)
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    assert lower(result.net, ULX3S).layers[1].weights.codebook is not None


@pytest.mark.parametrize("loss", LOSSES[1:])
@pytest.mark.parametrize("weights", ["binary", "eta3"])
def test_every_distillation_trains_after_its_teacher(tmp_path, tiny_recipe, tiny_data, change, loss, weights):
    recipe = change(tiny_recipe, distillation=Distillation(loss=loss), short_epochs=0, codebook=CodebookRecipe())
    recipe = recipe.with_format(weights)
    seen = []
    result = train(recipe, data=tiny_data, out=tmp_path, progress=lambda state: seen.append(state.phase))
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    assert seen == ["teacher"] * 12 + ["training"] * 12
    assert load_checkpoint(tmp_path / "teacher" / "model").net.config.weight_format == "fp"
    seen.clear()
    again = train(change(recipe, epochs=4), data=tiny_data, out=tmp_path, resume=True,
                  progress=lambda state: seen.append(state.phase))
    assert again.finished and seen == []  # neither is trained twice
    given = change(recipe, distillation=Distillation(loss=loss, teacher=str(tmp_path / "teacher" / "model")))
    named = train(given, data=tiny_data)
    assert named.history == result.history


def test_a_distilled_run_resumes_bit_for_bit(tmp_path, tiny_recipe, tiny_data, change):
    recipe = change(tiny_recipe, distillation=Distillation(loss="mpfd"), assignment=Assignment(rule="os_quant"))
    whole = train(recipe, data=tiny_data, out=tmp_path / "whole")
    assert not train(recipe, data=tiny_data, out=tmp_path / "part", stop_after_epoch=3).finished
    assert train(recipe, data=tiny_data, out=tmp_path / "part", resume=True).history == whole.history
    first, second = ((tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "part"))
    assert first == second


def test_distillation_changes_what_is_learned_and_follows_short_epochs(tiny_recipe, tiny_data, change):
    start = change(tiny_recipe, epochs=2, codebook=CodebookRecipe())
    plain = Trainer(start, tiny_data)
    recipe = change(start, distillation=Distillation(loss="mpfd", pairs={"conv1": "conv1"}))
    with pytest.raises(ConfigError, match=r"distillation\.loss: a recipe with distillation needs a teacher"):
        Trainer(recipe, tiny_data)
    teacher = random_net(recipe.with_format("fp").net, 4)
    distilled = Trainer(recipe, tiny_data, teacher=teacher)
    for epoch in range(2):
        plain.run_epoch(epoch, None)
        distilled.run_epoch(epoch, None)
        assert teacher.time_steps == (1 if epoch == 0 else 3)
    assert not torch.equal(plain.net.spiking_blocks()[1].conv.weight, distilled.net.spiking_blocks()[1].conv.weight)
    with pytest.raises(ConfigError, match=r"distillation\.pairs: must name stages that fire: conv0, conv1, conv2, not"):
        Trainer(change(recipe, distillation=Distillation(loss="mpfd", pairs={"x": "conv1"})), tiny_data,
                teacher=teacher)


@pytest.mark.parametrize(("source", "choose"), [("fitted", fit_codewords), ("medoid", medoid_codewords)])
def test_codewords_come_from_a_trained_twin(tmp_path, tiny_recipe, tiny_data, change, source, choose):
    train(tiny_recipe.with_format("binary"), data=tiny_data, out=tmp_path)
    twin = load_checkpoint(tmp_path / "model").net
    recipe = change(tiny_recipe, codebook=CodebookRecipe(source=source, twin=str(tmp_path / "model")))
    trainer = Trainer(recipe, tiny_data)
    assert not any(book.is_running for book in trainer.net.codebooks())
    trainer.start_codebooks()
    for number in (1, 2):
        book = trainer.net.spiking_blocks()[number].conv.codebook
        expected = choose(group_taps(twin.layers[number].weight), 8)
        assert book.is_running and torch.equal(book.codewords, expected)


def test_codewords_are_chosen_at_the_start_epoch(tiny_recipe, tiny_data, change):
    for source in ("random", "medoid"):
        recipe = change(tiny_recipe, codebook=CodebookRecipe(start_epoch=1, source=source))
        trainer = Trainer(recipe, tiny_data)
        layer = trainer.net.spiking_blocks()[1].conv
        drawn = layer.codebook.codewords.clone()
        trainer.run_epoch(0, None)
        kernels = layer.groups().detach().clone()
        trainer.start_codebooks()
        expected = drawn if source == "random" else medoid_codewords(kernels, 8)
        assert torch.equal(layer.codebook.codewords, expected)


def test_mixed_etas_hold_through_training_checkpoint_and_lowering(tmp_path, tiny_recipe, tiny_data, change):
    net = change(tiny_recipe.net, layers="6C3-9C3-MP2-10C3-7C3-FC", etas={"conv2": 5, "conv3": None})
    result = train(change(tiny_recipe, net=net), data=tiny_data, out=tmp_path)
    loaded = load_checkpoint(result.checkpoint)
    assert loaded.net.config.weight_format == "eta3-mixed" and loaded.recipe.net == net
    program = lower(loaded.net, ULX3S)
    assert [layer.weights.symbol_bits for layer in program.layers] == [9, 3, 5, 9, 9]
    assert loaded.recipe.with_format("binary").net.etas == {} and loaded.recipe.with_format("eta4").net.etas == net.etas
    images = tiny_data.test_images
    assert torch.equal(result.net(images), loaded.net(images))


@pytest.mark.parametrize("seed", [0, 1])
def test_grouped_linear_layers_agree_at_all_levels(seed):
    """Torch layer, folded net, loaded checkpoint, integer forward and golden model on hidden linear layers."""
    from s2nn.hw.sim import functional
    from s2nn.model.integer import integer_forward

    config = NetConfig(input_shape=(1, 8, 8), layers="16C3-MP2-16C3-MP2-16C1-20FC-11FC-FC",
                       classes=3, time_steps=3, eta=3, pointwise_codebook=True)
    net = random_net(config, seed, least_gain=0.5).eval()
    folded = fold(net)
    images = random_inputs(config, 5, generator=torch.Generator().manual_seed(seed))
    spikes = folded.spikes(images)
    assert [tuple(s.shape[2:]) for s in spikes[-3:]] == [(16, 2, 2), (20, 1, 1), (11, 1, 1)]
    torch.testing.assert_close(folded(images), net(images), rtol=1e-3, atol=2e-2)
    for layer, stage in zip(folded.layers[2:5], config.stages()[2:], strict=True):
        assert layer.indices.numel() == stage.out_channels * stage.groups_per_channel
        assert set(pattern_of(layer.codewords).tolist()) <= set(range(512))
    for target in (ULX3S, ULX3S.as_binary()):
        program = lower(folded, target)
        result, golden = integer_forward(program, images), functional.run(program, images.numpy())
        for layer, lowered in zip(folded.layers, program.layers, strict=True):
            assert torch.equal(torch.from_numpy(lowered.integer_weights()).reshape(layer.weight.shape).float(),
                               layer.weight)
        assert result.logits.tolist() == golden.logits.tolist()
        assert all((a.transpose(0, 1).numpy() == b.spikes).all() for a, b in
                   zip(result.spikes, golden.layers, strict=True))
