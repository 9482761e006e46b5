"""Small integers as dense bits: value i occupies bits i*width .. (i+1)*width - 1, least significant bit first."""

import numpy as np
import torch

from s2nn.hw.spec.errors import CheckpointError


def pack_bits(values: torch.Tensor, *, width: int) -> torch.Tensor:
    """Integers 0..2^width - 1 of any shape -> uint8 [ceil(N*width/8)]; the last byte is filled with zeros."""
    flat = values.flatten().numpy().astype(np.int64)
    if flat.size and (flat.min() < 0 or flat.max() >= 1 << width):
        raise CheckpointError(f"values must fit {width} bits", value=(int(flat.min()), int(flat.max())))
    bits = (flat[:, None] >> np.arange(width)) & 1
    return torch.from_numpy(np.packbits(bits.astype(np.uint8).ravel(), bitorder="little"))


def unpack_bits(packed: torch.Tensor, *, width: int, count: int) -> torch.Tensor:
    """Inverse of `pack_bits`: int64 [count]."""
    expected = -(-count * width // 8)
    if packed.dtype != torch.uint8 or packed.shape != (expected,):
        raise CheckpointError(f"{count} values of {width} bits must be uint8 [{expected}]",
                              value=f"{packed.dtype} {tuple(packed.shape)}")
    bits = np.unpackbits(packed.numpy(), count=count * width, bitorder="little").astype(np.int64)
    return torch.from_numpy((bits.reshape(count, width) << np.arange(width)).sum(axis=1))
