"""Augmentation: one random affine map per image, perhaps mirrored, and a square of zeros, where the images are.

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
    if options.mirror:
        mirrored = torch.rand(batch, generator=generator) < 1 / 2
        theta[:, :, 0] *= torch.where(mirrored, -1.0, 1.0).to(theta)[:, None]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, mode=mode, align_corners=False)
    return _cut_out(images, options.cutout_px, generator) if options.cutout_px else images


def _cut_out(images: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """A square of zeros whose centre lies anywhere in the image (arXiv 1708.04552)."""
    inside = []
    for axis in (2, 3):
        size = images.shape[axis]
        first = torch.randint(0, size, (len(images),), generator=generator) - side // 2
        offset = torch.arange(size) - first[:, None]
        inside.append(((offset >= 0) & (offset < side)).to(images.device))
    return images * ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])
