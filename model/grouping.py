"""Weights as groups of nine and back, in the order of the hardware's image format (`s2nn.hw.spec.weights`).

    taps     3x3 neighbouring taps of one input channel; a 3x3 kernel is one group, a larger one several:
             order (output, group row, group column, input channel)
    inputs   nine consecutive inputs in the order (row, column, input channel) of the kernel: 1x1 and linear layers:
             order (output, group)

Taps that fill a group up are latent zeros and touch no input.
"""

import torch
from torch.nn import functional as F

TAPS = 9
SIDE = 3


def is_one_group(shape: torch.Size) -> bool:
    """Whether a kernel of this weight [O, C, kh, kw] is exactly one group of taps."""
    return tuple(shape[2:]) == (SIDE, SIDE)


def group_taps(w: torch.Tensor) -> torch.Tensor:
    """w [O, C, kh, kw] -> [O * gy * gx * C, 9], grouping `taps`."""
    if is_one_group(w.shape):
        return w.reshape(-1, TAPS)
    out_channels, in_channels, height, width = w.shape
    padded = F.pad(w, (0, -width % SIDE, 0, -height % SIDE))
    grid = padded.reshape(out_channels, in_channels, -1, SIDE, padded.shape[3] // SIDE, SIDE)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(-1, TAPS)


def ungroup_taps(groups: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Inverse of `group_taps`: groups [G, 9] -> a weight of this shape."""
    if is_one_group(shape):
        return groups.reshape(shape)
    out_channels, in_channels, height, width = shape
    rows, columns = -(-height // SIDE), -(-width // SIDE)
    grid = groups.reshape(out_channels, rows, columns, in_channels, SIDE, SIDE).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(out_channels, in_channels, SIDE * rows, SIDE * columns)[:, :, :height, :width]


def group_inputs(w: torch.Tensor) -> torch.Tensor:
    """w [O, C, kh, kw] or [O, inputs] -> [O * ceil(inputs / 9), 9], grouping `inputs`."""
    flat = (w.permute(0, 2, 3, 1) if w.dim() == 4 else w).flatten(1)  # (O, inputs)
    return F.pad(flat, (0, -flat.shape[1] % TAPS)).reshape(-1, TAPS)


def ungroup_inputs(groups: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Inverse of `group_inputs`: groups [G, 9] -> a weight of this shape."""
    flat = groups.reshape(shape[0], -1)[:, : shape[1:].numel()]
    if len(shape) == 2:
        return flat
    out_channels, in_channels, height, width = shape
    return flat.reshape(out_channels, height, width, in_channels).permute(0, 3, 1, 2)
