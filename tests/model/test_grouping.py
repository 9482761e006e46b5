"""Groups of nine: the order of the image format, and there and back."""

import numpy as np
import pytest
import torch

from s2nn.hw.spec import weights
from s2nn.model.grouping import group_inputs, group_taps, ungroup_inputs, ungroup_taps


def bits(groups):
    return (groups.reshape(-1, 9) > 0).long()


@pytest.mark.parametrize("shape", [(2, 3, 3, 3), (2, 1, 5, 5), (3, 4, 1, 1), (2, 2, 2, 4), (1, 2, 7, 3)])
def test_taps_have_the_order_of_the_image_format(shape):
    w = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    symbols = weights.group_taps((w[None] > 0).numpy().astype(np.uint8))
    expected = (torch.from_numpy(symbols.astype(np.int64)).flatten()[:, None] >> torch.arange(9)) & 1
    assert torch.equal(bits(group_taps(w)), expected)
    assert torch.equal(ungroup_taps(group_taps(w), w.shape), w)


@pytest.mark.parametrize("shape", [(2, 9, 1, 1), (3, 10, 1, 1), (2, 4, 3, 2), (2, 20), (2, 18)])
def test_inputs_have_the_order_of_the_image_format(shape):
    w = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    kernel = w.reshape(*shape, *(1,) * (4 - len(shape)))
    symbols = weights.group_inputs((kernel[None] > 0).numpy().astype(np.uint8))
    expected = (torch.from_numpy(symbols.astype(np.int64)).flatten()[:, None] >> torch.arange(9)) & 1
    assert torch.equal(bits(group_inputs(w)), expected)
    assert torch.equal(ungroup_inputs(group_inputs(w), w.shape), w)


def test_channels_last_weights_group_alike():
    w = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    other = w.to(memory_format=torch.channels_last)
    assert torch.equal(group_taps(w), group_taps(other)) and torch.equal(group_inputs(w), group_inputs(other))
