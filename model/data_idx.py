"""IDX files, the format of MNIST and Fashion-MNIST, plain or gzipped.

    offset 0   0x00 0x00, type (0x08 = uint8), number of dimensions d
    offset 4   d sizes, 32-bit big endian
    then       the bytes, last dimension fastest
    # Ref: Y. LeCun, THE MNIST DATABASE, "the IDX file format"
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from s2nn.hw.spec.errors import DataError

TYPE_UINT8 = 0x08


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise DataError(f"must hold {name} or {name}.gz", source=folder)


def read_idx(path: Path, *, dimensions: int) -> np.ndarray:
    """The uint8 array of an IDX file with that many dimensions."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"must be a complete gzip file ({error})", source=path) from error
    expected = bytes((0, 0, TYPE_UINT8, dimensions))
    if raw[:4] != expected:
        raise DataError(f"IDX header must begin with {expected.hex()}", value=raw[:4].hex(), source=path)
    header = 4 + 4 * dimensions
    if len(raw) < header:
        raise DataError(f"IDX header must have {header} bytes", value=len(raw), source=path)
    shape = struct.unpack(f">{dimensions}I", raw[4:header])
    if len(raw) - header != math.prod(shape):
        raise DataError(f"must hold {math.prod(shape)} bytes of data for shape {shape}", value=len(raw) - header,
                        source=path)
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


def read_idx_split(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, 1, H, W] and labels [N] of `<prefix>-images-idx3-ubyte` and `<prefix>-labels-idx1-ubyte`."""
    images = read_idx(_find(folder, f"{prefix}-images-idx3-ubyte"), dimensions=3)
    label_path = _find(folder, f"{prefix}-labels-idx1-ubyte")
    labels = read_idx(label_path, dimensions=1)
    if len(labels) != len(images):
        raise DataError(f"must hold a label for each of the {len(images)} images", value=len(labels), source=label_path)
    if labels.size and labels.max() > 9:
        raise DataError("labels must be 0..9", value=int(labels.max()), source=label_path)
    return images[:, None], labels
