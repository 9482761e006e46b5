"""CIFAR-10 from a folder, in either of two forms; the pickled "python version" is not read, because pickles run code.

    binary version    data_batch_1.bin .. data_batch_5.bin, test_batch.bin; one record = 1 label byte, 3,072 pixel
                      bytes (1,024 red, then green, then blue, each row by row).  # Ref: cs.toronto.edu/~kriz/cifar.html
    sprites           train_0.webp .., test_0.webp .., lossless, tiles of 32x32 in rows of 100, row-major, in the
                      official order; labels.npz with uint8 arrays `train` and `test`
"""

from pathlib import Path

import numpy as np

from s2nn.hw.spec.errors import DataError

SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
Part = tuple[np.ndarray, np.ndarray]


def _check_labels(labels: np.ndarray, source: Path) -> None:
    if labels.size and labels.max() > 9:
        raise DataError("labels must be 0..9", value=int(labels.max()), source=source)


def _read_batch(path: Path) -> Part:
    if not path.is_file():
        raise DataError("must exist: a file of CIFAR-10's binary version", source=path)
    raw = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if raw.size == 0 or raw.size % RECORD_BYTES:
        raise DataError(f"size must be a positive multiple of {RECORD_BYTES} bytes", value=raw.size, source=path)
    records = raw.reshape(-1, RECORD_BYTES)
    _check_labels(records[:, 0], path)
    return records[:, 1:].reshape(-1, 3, SIDE, SIDE), records[:, 0]


def _read_binary(folder: Path) -> tuple[Part, Part]:
    batches = [_read_batch(folder / f"data_batch_{number}.bin") for number in range(1, 6)]
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    return (images, labels), _read_batch(folder / "test_batch.bin")


def _read_sprite(path: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError  # here: only this form needs pillow

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))  # (rows*32, columns*32, 3)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"must be a readable image ({error})", source=path) from error
    height, width, _ = pixels.shape
    if height % SIDE or width % SIDE:
        raise DataError(f"sprite must be a grid of {SIDE}x{SIDE} tiles", value=f"{width}x{height}", source=path)
    tiles = pixels.reshape(height // SIDE, SIDE, width // SIDE, SIDE, 3).transpose(0, 2, 4, 1, 3)
    return tiles.reshape(-1, 3, SIDE, SIDE)


def _read_sprites(folder: Path) -> tuple[Part, Part]:
    label_path = folder / "labels.npz"
    if not label_path.is_file():
        raise DataError("must exist: the labels of the sprites", source=label_path)
    try:
        with np.load(label_path, allow_pickle=False) as arrays:
            labels = {part: arrays[part] for part in ("train", "test")}
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"must hold the arrays train and test ({error})", source=label_path) from error
    parts = []
    for part in ("train", "test"):
        paths = sorted(folder.glob(f"{part}_*.webp"), key=lambda path: int(path.stem.split("_")[1]))
        if not paths:
            raise DataError(f"must hold {part}_0.webp", source=folder)
        images = np.concatenate([_read_sprite(path) for path in paths])
        if len(images) != len(labels[part]):
            raise DataError(f"must hold a label for each of the {len(images)} {part} images", value=len(labels[part]),
                            source=label_path)
        _check_labels(labels[part], label_path)
        parts.append((images, labels[part]))
    return parts[0], parts[1]


def read_cifar10(folder: Path) -> tuple[Part, Part]:
    """(train images [N, 3, 32, 32], labels [N]), (test images, labels), from whichever form the folder holds."""
    if (folder / "data_batch_1.bin").is_file():
        return _read_binary(folder)
    if (folder / "cifar-10-batches-bin").is_dir():
        return _read_binary(folder / "cifar-10-batches-bin")
    if (folder / "train_0.webp").is_file():
        return _read_sprites(folder)
    raise DataError("must hold data_batch_1.bin (binary version) or train_0.webp (sprites)", source=folder)
