"""Data sets from small synthesised files, splits, and what is refused."""

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from s2nn.hw.spec.errors import DataError
from s2nn.model.data import DATA_VARIABLE, load_dataset, stratified_split
from s2nn.model.data_idx import read_idx

PARTS = {"train": 6, "t10k": 4}


def idx_bytes(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx_folder(folder, *, compress):
    rng, arrays = np.random.default_rng(0), {}
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in PARTS.items():
        for kind, shape in (("images-idx3", (count, 5, 4)), ("labels-idx1", (count,))):
            array = rng.integers(0, 256 if len(shape) == 3 else 10, shape, dtype=np.uint8)
            data = idx_bytes(array)
            path = folder / (f"{part}-{kind}-ubyte" + (".gz" if compress else ""))
            path.write_bytes(gzip.compress(data) if compress else data)
            arrays[f"{part}-{kind}"] = array
    return arrays


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("inside", [False, True])
def test_idx_folders_are_read_plain_or_gzipped(tmp_path, compress, name, inside):
    arrays = write_idx_folder(tmp_path / name if inside else tmp_path, compress=compress)
    data = load_dataset(name, root=tmp_path)
    assert data.input_shape == (1, 5, 4)
    assert data.train_images.dtype == torch.uint8 and data.test_labels.dtype == torch.int64
    assert np.array_equal(data.train_images[:, 0].numpy(), arrays["train-images-idx3"])
    assert np.array_equal(data.test_labels.numpy(), arrays["t10k-labels-idx1"])


def test_data_folder_comes_from_the_environment(tmp_path, monkeypatch):
    write_idx_folder(tmp_path / "mnist", compress=True)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert len(load_dataset("mnist").train_images) == 6
    monkeypatch.delenv(DATA_VARIABLE)
    with pytest.raises(DataError, match=DATA_VARIABLE):
        load_dataset("mnist")


GOOD = idx_bytes(np.zeros((2, 3, 3), np.uint8))


@pytest.mark.parametrize(("data", "text"), [
    (b"\x00\x00\x09\x03" + GOOD[4:], "header must begin with 00000803, not '00000903'"),
    (b"\x00\x00\x08\x01" + GOOD[4:], "header must begin with"),
    (GOOD[:10], "header must have 16 bytes, not 10"),
    (GOOD[:-1], "18 bytes of data for shape \\(2, 3, 3\\), not 17"),
    (GOOD + b"x", "18 bytes of data for shape \\(2, 3, 3\\), not 19"),
    (b"", "header must begin with"),
])
def test_damaged_idx_files_are_refused_with_file_rule_and_value(tmp_path, data, text):
    path = tmp_path / "file-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"file-idx3-ubyte: .*{text}"):
        read_idx(path, dimensions=3)


def test_a_cut_off_gzip_a_missing_file_and_a_label_too_few_are_refused(tmp_path):
    write_idx_folder(tmp_path, compress=True)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    labels.write_bytes(whole[:-6])
    with pytest.raises(DataError, match="must be a complete gzip file"):
        load_dataset("mnist", root=tmp_path)
    labels.write_bytes(gzip.compress(idx_bytes(np.zeros(5, np.uint8))))
    with pytest.raises(DataError, match="a label for each of the 6 images, not 5"):
        load_dataset("mnist", root=tmp_path)
    labels.write_bytes(gzip.compress(idx_bytes(np.full(6, 10, np.uint8))))
    with pytest.raises(DataError, match=r"labels must be 0\.\.9, not 10"):
        load_dataset("mnist", root=tmp_path)
    labels.unlink()
    with pytest.raises(DataError, match=r"must hold train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz"):
        load_dataset("mnist", root=tmp_path)


def write_binary_cifar(folder, images, labels):
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data_batch_{n}.bin" for n in range(1, 6)] + ["test_batch.bin"]
    for name, image, label in zip(names, images, labels, strict=True):
        (folder / name).write_bytes(bytes([label]) + image.tobytes())


def cifar_arrays():
    return np.random.default_rng(1).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8), [3, 1, 4, 1, 5, 9]


@pytest.mark.parametrize("folder", ["", "cifar10", "cifar10/cifar-10-batches-bin"])
def test_cifar_binary_version_is_read(tmp_path, folder):
    images, labels = cifar_arrays()
    write_binary_cifar(tmp_path / folder, images, labels)
    data = load_dataset("cifar10", root=tmp_path)
    assert np.array_equal(data.train_images.numpy(), images[:5]) and data.train_labels.tolist() == labels[:5]
    assert np.array_equal(data.test_images.numpy(), images[5:]) and data.test_labels.tolist() == [9]


def test_cifar_sprites_are_read_tile_by_tile(tmp_path):
    images, labels = cifar_arrays()
    sprites = {"train_0": images[:4], "train_10": images[4:5], "train_2": images[4:5], "test_0": images[5:]}
    for name, tiles in sprites.items():
        columns = 2 if len(tiles) == 4 else 1
        grid = tiles.reshape(-1, columns, 3, 32, 32).transpose(0, 3, 1, 4, 2).reshape(-1, 32 * columns, 3)
        Image.fromarray(grid).save(tmp_path / f"{name}.webp", lossless=True)
    np.savez(tmp_path / "labels.npz", train=np.array([*labels[:5], 8], np.uint8), test=np.array(labels[5:], np.uint8))
    data = load_dataset("cifar10", root=tmp_path)
    assert np.array_equal(data.train_images.numpy()[:5], images[:5])
    assert data.train_labels.tolist() == [3, 1, 4, 1, 5, 8]
    np.savez(tmp_path / "labels.npz", train=np.array(labels[:5], np.uint8), test=np.array(labels[5:], np.uint8))
    with pytest.raises(DataError, match=r"labels.npz: must hold a label for each of the 6 train images, not 5"):
        load_dataset("cifar10", root=tmp_path)
    (tmp_path / "train_0.webp").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"train_0.webp: must be a readable image"):
        load_dataset("cifar10", root=tmp_path)


def test_damaged_cifar_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"must hold data_batch_1.bin .* or train_0.webp"):
        load_dataset("cifar10", root=tmp_path)
    images, labels = cifar_arrays()
    write_binary_cifar(tmp_path, images, labels)
    (tmp_path / "data_batch_3.bin").write_bytes(b"1" * 3072)
    with pytest.raises(DataError, match=r"data_batch_3.bin: size must be a positive multiple of 3073 bytes, not 3072"):
        load_dataset("cifar10", root=tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_3.bin: must exist"):
        load_dataset("cifar10", root=tmp_path)


def test_digits_are_scaled_by_an_exact_integer_rule_and_split_by_class():
    from sklearn.datasets import load_digits

    data = load_dataset("digits")
    assert data.train_images.shape == (1438, 1, 8, 8) and data.test_images.shape == (359, 1, 8, 8)
    values = torch.cat([data.train_images, data.test_images]).flatten().unique().tolist()
    assert values == [round(v * 255 / 16 + 1e-9) for v in range(17)] and values[-1] == 255
    total = np.bincount(load_digits().target)
    assert data.test_labels.bincount().tolist() == [round(0.2 * n) for n in total]


def test_mnist5k_is_the_pinned_data_and_the_seed_decides_the_split():
    data = load_dataset("mnist5k")
    assert data.train_labels.bincount().tolist() == [400] * 10 and data.test_labels.bincount().tolist() == [100] * 10
    again, other = load_dataset("mnist5k"), load_dataset("mnist5k", split_seed=1)
    assert torch.equal(data.test_images, again.test_images) and not torch.equal(data.test_images, other.test_images)
    validation = data.with_validation(0.25, seed=3)
    assert validation.train_labels.bincount().tolist() == [300] * 10 and len(validation.test_labels) == 1000
    test_set = {image.numpy().tobytes() for image in data.test_images}
    assert not any(image.numpy().tobytes() in test_set for image in validation.test_images)


def test_fewer_images_keep_the_shares_of_the_classes():
    data = load_dataset("digits")
    fewer = data.with_fewer(144, seed=1)
    counts, all_counts = (torch.bincount(part.train_labels) for part in (fewer, data))
    assert (counts - all_counts * 144 / 1437).abs().max() <= 1 and torch.equal(fewer.test_images, data.test_images)
    assert fewer.split == f"{data.split}; {len(fewer.train_images)} of 1438 training images, seed 1"
    assert data.with_fewer(len(data.train_images), seed=1) is data and data.with_fewer(10**6, seed=1) is data
    assert not torch.equal(data.with_fewer(144, seed=2).train_images, fewer.train_images)


@pytest.mark.parametrize("folds", [2, 5])
def test_folds_cover_every_image_once(folds):
    data = load_dataset("digits")
    parts = [data.cross_validated(fold, folds, seed=3) for fold in range(folds)]
    total = len(data.train_images) + len(data.test_images)
    assert [len(part.train_images) + len(part.test_images) for part in parts] == folds * [total]
    tested = torch.cat([part.test_images for part in parts])
    whole = torch.cat([data.train_images, data.test_images])
    assert torch.equal(tested.flatten(1).unique(dim=0, return_counts=True)[1],
                       whole.flatten(1).unique(dim=0, return_counts=True)[1])
    counts = torch.stack([torch.bincount(part.test_labels, minlength=10) for part in parts])
    assert (counts.amax(dim=0) - counts.amin(dim=0)).max() <= 1
    assert parts[1].split == f"fold 1 of {folds}, stratified, seed 3"


@pytest.mark.parametrize(("fold", "folds"), [(0, 1), (-1, 5), (5, 5)])
def test_a_fold_must_exist(fold, folds):
    with pytest.raises(DataError, match="digits: fold: must lie in"):
        load_dataset("digits").cross_validated(fold, folds)


def test_changed_mnist5k_data_is_refused(tmp_path):
    (tmp_path / "mnist_5k.csv.gz").write_bytes(gzip.compress(b"0,1,2\n"))
    with pytest.raises(DataError, match="must hold 5000 rows of 784 pixels and a label, not '3 numbers'"):
        load_dataset("mnist5k", root=tmp_path)
    (tmp_path / "mnist_5k.csv.gz").write_bytes(gzip.compress(b"0\n" * (5000 * 785)))
    with pytest.raises(DataError, match="must have SHA-256"):
        load_dataset("mnist5k", root=tmp_path)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_split_needs_a_fraction_between_0_and_1(fraction):
    with pytest.raises(DataError, match="between 0 and 1"):
        stratified_split(np.arange(10) % 2, fraction=fraction, seed=0)


def test_unknown_data_set_is_refused():
    with pytest.raises(DataError, match=r"must be one of digits, .*, cifar10, nmnist, spoken_digits, not 'mnits'"):
        load_dataset("mnits")
