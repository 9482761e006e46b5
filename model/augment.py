"""Mild augmentation: one random affine map per image, on the device where the images are.

    [x']   s * [cos a  -sin a] [x]   [dx]
    [y'] =     [sin a   cos a] [y] + [dy]

in the normalised coordinates of torch.nn.functional.affine_grid (-1..1 over the image); outside is 0. The random
numbers are drawn from a CPU generator, so that a run is the same on every device up to rounding.
"""

import math

import torch
from torch.nn import functional as F

from s2nn.model.recipe import Augmentation


def augment(images: torch.Tensor, options: Augmentation, *, generator: torch.Generator) -> torch.Tensor:
    """images [B, C, H, W], float 0..255 -> the same shape and range; spikes [B, T, C, H, W] move alike at all steps.

    Images are interpolated, spikes take the nearest pixel and stay 0 or 1.
    """
    if options.is_off:
        return images
    if images.dim() == 5:
        return _augment(images.flatten(1, 2), options, generator, "nearest").unflatten(1, images.shape[1:3])
    return _augment(images, options, generator, "bilinear")


def _augment(images: torch.Tensor, options: Augmentation, generator: torch.Generator, mode: str) -> torch.Tensor:
    batch, _, height, width = images.shape
    draw = torch.rand(4, batch, generator=generator) * 2 - 1  # in [-1, 1)
    angle = draw[0] * math.radians(options.rotate_deg)
    factor = 1 + draw[1] * options.scale
    dx, dy = draw[2] * options.shift_px * 2 / width, draw[3] * options.shift_px * 2 / height
    aspect = height / width  # normalised units are not square on an oblong image
    rows = [torch.stack((factor * angle.cos(), -factor * angle.sin() * aspect, dx), dim=1),
            torch.stack((factor * angle.sin() / aspect, factor * angle.cos(), dy), dim=1)]
    theta = torch.stack(rows, dim=1).to(images)  # (B, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode=mode, align_corners=False)
