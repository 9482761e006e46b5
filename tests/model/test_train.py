"""Training: it learns, it resumes bit for bit, it stops when the loss is no number."""

import json

import pytest
import torch

from s2nn.hw.spec.errors import CheckpointError, DataError
from s2nn.model.augment import augment
from s2nn.model.checkpoint import load_checkpoint
from s2nn.model.data import load_dataset
from s2nn.model.divergence import DivergedError, first_layer_not_finite
from s2nn.model.recipe import Augmentation, load_recipe
from s2nn.model.train import train
from s2nn.model.trainer import Trainer, rate_factor


def same_nets(a, b):
    return all(torch.equal(x.weight, y.weight) and torch.equal(x.gain, y.gain) and torch.equal(x.bias, y.bias)
               for x, y in zip(a.layers, b.layers, strict=True))


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_run_ends_bit_for_bit_as_an_unbroken_one(tmp_path, tiny_recipe, tiny_data, stop):
    whole = train(tiny_recipe, data=tiny_data, out=tmp_path / "whole")
    part = train(tiny_recipe, data=tiny_data, out=tmp_path / "part", stop_after_epoch=stop)
    assert not part.finished and part.checkpoint is None and len(part.history) == stop
    torch.manual_seed(99)  # a new process would not share the global generator either
    resumed = train(tiny_recipe, data=tiny_data, out=tmp_path / "part", resume=True)
    assert resumed.finished and resumed.history == whole.history
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "part" / name).read_bytes()
    assert [path.name for path in (tmp_path / "part" / "state").glob("*.safetensors")] == ["state-4.safetensors"]


def test_only_the_seed_and_the_format_change_a_run(tiny_recipe, tiny_data):
    first = train(tiny_recipe, data=tiny_data)
    assert same_nets(first.net, train(tiny_recipe, data=tiny_data).net)
    assert not same_nets(first.net, train(tiny_recipe, data=tiny_data, seed=4).net)
    assert train(tiny_recipe, data=tiny_data, weights="binary").net.config.eta is None


def test_twins_are_the_same_run_until_the_codebooks_start(tiny_recipe, tiny_data, change):
    runs = [Trainer(change(tiny_recipe.with_format(f), epochs=3), tiny_data) for f in ("binary", "eta3")]
    for epoch in (0, 1):
        entries = [run.run_epoch(epoch, None) for run in runs]
        assert entries[0] == entries[1]
    assert torch.equal(runs[0].net.blocks[1].conv.weight, runs[1].net.blocks[1].conv.weight)
    runs[1].run_epoch(2, None)
    assert all(book.is_running for book in runs[1].net.codebooks())


def test_progress_counts_every_step(tiny_recipe, tiny_data):
    seen = []
    train(tiny_recipe, data=tiny_data, progress=seen.append)
    assert [p.step for p in seen] == list(range(1, 13)) and seen[-1].epoch == seen[-1].epochs == 4
    assert all(p.loss is not None and p.steps == 12 for p in seen)


def spoil(net, where):
    """Put NaN where the name says."""
    with torch.no_grad():
        {"classifier": net.classifier.bias, "conv1": net.blocks[1].bn.weight, "conv0": net.blocks[0].conv.weight,
         }[where].view(-1)[0] = float("nan")


@pytest.mark.parametrize(("where", "what"), [("classifier", "loss"), ("conv1", "gradient"), ("conv0", "gradient")])
def test_a_run_that_leaves_the_numbers_stops_and_names_step_and_layer(tiny_recipe, tiny_data, where, what):
    trainer = Trainer(tiny_recipe, tiny_data)
    trainer.run_epoch(0, None)
    spoil(trainer.net, where)
    before = {name: value.clone() for name, value in trainer.net.named_parameters()}
    text = rf"{what}: {what} must be finite at step 4 \(epoch 2; layer {where} left the numbers first\), not nan"
    with pytest.raises(DivergedError, match=text):
        trainer.run_epoch(1, None)
    changed = [name for name, value in trainer.net.named_parameters() if not torch.equal(value, before[name])]
    assert all(torch.isnan(before[name]).any() for name in changed)  # no weight took such a gradient


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_no_number_is_found_where_it_begins(tiny_recipe, tiny_data, change, clip):
    trainer = Trainer(change(tiny_recipe, gradient_clip=clip), tiny_data)
    trainer.net.blocks[1].bn.register_full_backward_hook(lambda _module, grads, _out: (grads[0] * float("nan"),))
    with pytest.raises(DivergedError, match=r"gradient: gradient must be finite at step 1 .*layer conv1 left"):
        trainer.run_epoch(0, None)


def test_a_layer_that_makes_no_number_is_found_where_its_weights_are_finite(tiny_recipe, tiny_data):
    net = Trainer(tiny_recipe, tiny_data).net
    images = tiny_data.train_images[:4].float()
    assert first_layer_not_finite(net, images) is None
    with torch.no_grad():
        net.blocks[1].bn.weight.fill_(3e38)
        net.blocks[1].bn.bias.fill_(3e38)
    kept = {name: value.clone() for name, value in net.named_buffers()}
    assert first_layer_not_finite(net, images) == "conv1"
    assert all(torch.equal(value, kept[name]) for name, value in net.named_buffers())


def test_a_diverged_run_keeps_its_last_whole_epoch(tmp_path, tiny_recipe, tiny_data, monkeypatch):
    run_epoch = Trainer.run_epoch

    def spoiled(trainer, epoch, progress):
        if epoch == 2:
            spoil(trainer.net, "classifier")
        return run_epoch(trainer, epoch, progress)

    monkeypatch.setattr(Trainer, "run_epoch", spoiled)
    with pytest.raises(DivergedError, match=r"state: loss: .* \(epoch 3; .*\); the state of epoch 2 is kept"):
        train(tiny_recipe, data=tiny_data, out=tmp_path)
    monkeypatch.undo()
    resumed = train(tiny_recipe, data=tiny_data, out=tmp_path, resume=True)
    assert same_nets(resumed.net, train(tiny_recipe, data=tiny_data).net)


@pytest.mark.parametrize(("clip", "moves"), [(0.0, True), (1e9, True), (1e-12, False)])
def test_the_gradients_norm_is_clipped(tiny_recipe, tiny_data, change, clip, moves):
    trainer = Trainer(change(tiny_recipe, gradient_clip=clip), tiny_data)
    trainer.net.train()
    trainer.step(torch.arange(15), 0)
    norm = torch.nn.utils.get_total_norm([p.grad for p in trainer.net.parameters() if p.grad is not None])
    assert (norm > 1e-6) == moves and (not clip or norm <= clip)


def test_resuming_refuses_another_recipe_and_damaged_state(tmp_path, tiny_recipe, tiny_data):
    train(tiny_recipe, data=tiny_data, out=tmp_path, stop_after_epoch=1)
    with pytest.raises(CheckpointError, match=r"state.json: recipe_digest: must be .* to be resumed by this run"):
        train(tiny_recipe, data=tiny_data, out=tmp_path, resume=True, seed=9)
    state = tmp_path / "state" / "state-1.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="must have SHA-256"):
        train(tiny_recipe, data=tiny_data, out=tmp_path, resume=True)
    (tmp_path / "state" / "state.json").write_text("[]")
    with pytest.raises(CheckpointError, match="must hold a JSON object, not 'list'"):
        train(tiny_recipe, data=tiny_data, out=tmp_path, resume=True)


def test_resume_without_a_state_starts_anew(tmp_path, tiny_recipe, tiny_data):
    assert train(tiny_recipe, data=tiny_data, out=tmp_path / "new", resume=True).finished


def test_data_of_another_shape_is_refused(tiny_recipe, tiny_data, change):
    with pytest.raises(DataError, match=r"images must have the net's input_shape \(1, 8, 8\)"):
        Trainer(tiny_recipe, change(tiny_data, train_images=tiny_data.train_images[..., :7]))
    with pytest.raises(DataError, match="must have the net's 3 classes, not 4"):
        Trainer(tiny_recipe, change(tiny_data, classes=4))
    with pytest.raises(DataError, match="at least one batch of 15 training images, not 10"):
        Trainer(tiny_recipe, change(tiny_data, train_images=tiny_data.train_images[:10]))


@pytest.mark.parametrize("weights", ["binary", "eta4"])
def test_digits_are_learned_in_a_few_epochs(tmp_path, weights, change):
    recipe = load_recipe("digits")
    recipe = change(recipe, epochs=3, learning_rate=0.01, codebook=change(recipe.codebook, start_epoch=1),
                    net=change(recipe.net, layers="12C3-24C3-MP2-FC"))
    data = load_dataset("digits")
    result = train(recipe, data=data, weights=weights, out=tmp_path)
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    assert result.test_accuracy > 0.8
    loaded = load_checkpoint(result.checkpoint)
    assert loaded.test_accuracy == result.test_accuracy and loaded.recipe.with_format(weights) == loaded.recipe
    assert json.loads(result.checkpoint.read_text())["recipe_digest"] == loaded.recipe.digest


@pytest.mark.parametrize(("step", "warmup", "factor"), [
    (0, 0, 1.0), (50, 0, 0.5), (100, 0, 0.0), (0, 20, 0.05), (19, 20, 1.0), (20, 20, 1.0), (60, 20, 0.5),
    (100, 20, 0.0)])
def test_rate_factor(step, warmup, factor):
    assert rate_factor(step, 100, warmup=warmup) == pytest.approx(factor)


def test_a_recipe_can_name_fewer_images(tiny_recipe, tiny_data, change):
    seen = []
    train(change(tiny_recipe, train_images=30), data=tiny_data, progress=seen.append)
    assert seen[-1].steps == 4 * (30 // 15)


def test_augmentation_moves_by_at_most_the_shift_and_is_seeded():
    images = torch.zeros(8, 1, 11, 11)
    images[:, 0, 5, 5] = 255.0
    shift = Augmentation(shift_px=2, rotate_deg=0, scale=0)
    moved = [augment(images, shift, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(moved[0], moved[1]) and not torch.equal(moved[0], moved[2])
    assert moved[0].sum(dim=(1, 2, 3)).tolist() == pytest.approx([255.0] * 8, rel=1e-4)  # nothing left the image
    assert moved[0][:, :, 2:9, 2:9].sum() == pytest.approx(moved[0].sum().item(), rel=1e-5)
    off = Augmentation(shift_px=0, rotate_deg=0, scale=0)
    assert augment(images, off, generator=torch.Generator()) is images


def test_half_of_the_images_are_mirrored():
    images = torch.arange(64 * 12, dtype=torch.float32).view(64, 1, 3, 4)
    mirror = Augmentation(shift_px=0, rotate_deg=0, scale=0, mirror=True)
    seen = augment(images, mirror, generator=torch.Generator().manual_seed(0))
    flipped = [bool(torch.allclose(image, original.flip(-1), atol=1e-3))
               for image, original in zip(seen, images, strict=True)]
    kept = [bool(torch.allclose(image, original, atol=1e-3)) for image, original in zip(seen, images, strict=True)]
    assert all(a != b for a, b in zip(flipped, kept, strict=True)) and 16 < sum(flipped) < 48


@pytest.mark.parametrize(("side", "most"), [(1, 1), (4, 16), (100, 99)])
def test_a_square_is_cut_out(side, most):
    images = torch.full((50, 2, 9, 11), 7.0)
    seen = augment(images, Augmentation(shift_px=0, rotate_deg=0, scale=0, cutout_px=side),
                   generator=torch.Generator().manual_seed(0))
    gone = (seen == 0).sum(dim=(2, 3))
    assert torch.equal(gone[:, 0], gone[:, 1]) and gone.max() == most and gone.min() >= 1
    assert ((seen == 0) | ((seen - 7).abs() < 1e-4)).all()


def test_a_net_with_spike_input_trains_and_wants_its_number_of_steps(tmp_path, tiny_data, tiny_recipe, change):
    spikes = [(images[:, None] > torch.arange(0, 240, 80)[:, None, None, None]).to(torch.uint8)  # brighter fires more
              for images in (tiny_data.train_images, tiny_data.test_images)]
    data = change(tiny_data, train_images=spikes[0], test_images=spikes[1])
    recipe = change(tiny_recipe, net=change(tiny_recipe.net, spike_input=True))
    result = train(recipe, data=data, out=tmp_path)
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    loaded = load_checkpoint(result.checkpoint).net
    assert torch.equal(loaded(spikes[1]), result.net(spikes[1]))
    with pytest.raises(DataError, match="steps: must be spikes of 3 steps, as the net's"):
        train(recipe, data=tiny_data)
    with pytest.raises(DataError, match=r"steps: must be images, .* not 3"):
        train(tiny_recipe, data=data)
