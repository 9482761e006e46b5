"""Packed checkpoints: bit-exact round trip, real packed sizes, and what is refused."""

import json

import pytest
import torch

from s2nn.hw.spec.errors import CheckpointError
from s2nn.model.checkpoint import load_checkpoint, save_checkpoint, shipped_checkpoints
from s2nn.model.packing import pack_bits, unpack_bits
from s2nn.model.recipe import Recipe


def save(path, net, **options):
    known = {"recipe": Recipe(net=net.config), "test_accuracy": 0.5, "test_images": 8, "split": "none"}
    return save_checkpoint(path, net, **known | options)


@pytest.mark.parametrize("eta", [None, 2, 3, 6])
def test_round_trip_is_bit_exact(tmp_path, tiny_net_config, folded_net, change, eta):
    net = folded_net(change(tiny_net_config, eta=eta), 3)
    path = save(tmp_path / "net", net)
    images = torch.randint(0, 256, (10, 1, 8, 8), dtype=torch.uint8)
    for name in (path, tmp_path / "net", tmp_path / "net.safetensors"):
        loaded = load_checkpoint(name)
        assert loaded.net.config == net.config and loaded.name == "net" and loaded.test_accuracy == 0.5
        for expected, actual in zip(net.layers, loaded.net.layers, strict=True):
            for field, value in vars(expected).items():
                other = getattr(actual, field)
                assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other, field
        assert torch.equal(net(images), loaded.net(images))


@pytest.mark.parametrize(("eta", "kernel_bits"), [(None, 9), (4, 4), (5, 5)])
def test_hidden_weights_take_their_bits_and_no_more(tmp_path, tiny_net_config, folded_net, change, eta, kernel_bits):
    from safetensors.torch import load_file

    save(tmp_path / "net", folded_net(change(tiny_net_config, eta=eta), 3))
    tensors = load_file(tmp_path / "net.safetensors")
    kernels = {"1": 6 * 9, "2": 9 * 10}
    for layer, count in kernels.items():
        packed = tensors[f"{layer}.signs" if eta is None else f"{layer}.indices"]
        assert packed.numel() == -(-count * kernel_bits // 8)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 6, 8])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9])
def test_bits_are_packed_least_significant_first(width, count):
    values = torch.arange(count) * 37 % 2**width
    packed = pack_bits(values, width=width)
    number = sum(int(v) << (i * width) for i, v in enumerate(values))
    assert bytes(packed.tolist()) == number.to_bytes(-(-count * width // 8), "little")
    assert torch.equal(unpack_bits(packed, width=width, count=count), values)


def test_values_and_sizes_that_do_not_fit_are_refused():
    with pytest.raises(CheckpointError, match="must fit 3 bits"):
        pack_bits(torch.tensor([8]), width=3)
    with pytest.raises(CheckpointError, match=r"3 values of 3 bits must be uint8 \[2\]"):
        unpack_bits(torch.zeros(3, dtype=torch.uint8), width=3, count=3)


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(("damage", "text"), [
    (lambda json_path, _: edit_json(json_path, format="other"), "format: must be 's2nn-checkpoint', not 'other'"),
    (lambda json_path, _: edit_json(json_path, version=2), "version: must be 1, not 2"),
    (lambda json_path, _: edit_json(json_path, net=None), "net.json: net.*must be a mapping"),
    (lambda json_path, _: edit_json(json_path, neurons=[]), "must hold exactly the tensors"),
    (lambda json_path, _: edit_json(json_path, test_accuracy=None), "must hold net, neurons, recipe, accuracy"),
    (lambda json_path, _: json_path.write_text("{"), "net.json: must be JSON"),
    (lambda _, tensors: tensors.write_bytes(tensors.read_bytes()[:-1]), "net.safetensors: must have SHA-256"),
    (lambda _, tensors: tensors.unlink(), "net.safetensors: must exist"),
])
def test_damage_is_refused_with_file_and_rule(tmp_path, tiny_net_config, folded_net, damage, text):
    path = save(tmp_path / "net", folded_net(tiny_net_config, 3))
    damage(path, tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=text):
        load_checkpoint(path)


def test_tensors_of_another_net_are_refused(tmp_path, tiny_net_config, folded_net, change):
    path = save(tmp_path / "net", folded_net(tiny_net_config, 3))
    meta = json.loads(path.read_text())
    for layers in ("6C3-9C3-MP2-11C3-FC", "6C3-9C3-MP2-FC"):
        edit_json(path, net=meta["net"] | {"layers": layers})
        with pytest.raises(CheckpointError, match=r"net.safetensors"):
            load_checkpoint(path)


def test_unknown_name_is_refused():
    with pytest.raises(CheckpointError, match="checkpoint must be a file or one of"):
        load_checkpoint("no_such_net")


#: What every shipped net of a data set exceeds; tests/test_docs.py has the exact figures.
LEAST_ACCURACY = {"mnist5k": 0.97, "spoken_digits": 0.95, "fashion_mnist": 0.86, "nmnist": 0.92}


@pytest.mark.parametrize("name", shipped_checkpoints())
def test_shipped_checkpoints_load_and_are_small(name):
    from importlib import resources

    loaded = load_checkpoint(name)
    assert loaded.name == name and loaded.test_accuracy > LEAST_ACCURACY[loaded.recipe.dataset]
    size = (resources.files("s2nn.model") / "checkpoints" / f"{name}.safetensors").stat().st_size
    assert size < 100_000
