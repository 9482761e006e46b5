"""Small seeded things that the model tests share. One thread: results must not depend on how sums are split."""

from dataclasses import replace

import pytest
import torch

from s2nn.model.data import Dataset
from s2nn.model.fold import FoldedNet, fold
from s2nn.model.nets import NetConfig, SpikingNet
from s2nn.model.recipe import Augmentation, CodebookRecipe, Recipe

TINY_NET = NetConfig(input_shape=(1, 8, 8), layers="6C3-9C3-MP2-10C3-FC", classes=3, time_steps=3, eta=3)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def random_inputs(config: NetConfig, count: int, *, generator: torch.Generator) -> torch.Tensor:
    """Images uint8 [N, C, H, W] of any pixels, or spikes [N, T, C, H, W], of which a third are 1."""
    if config.spike_input:
        shape = count, config.time_steps, *config.input_shape
        return (torch.rand(shape, generator=generator) < 1 / 3).to(torch.uint8)
    return torch.randint(0, 256, (count, *config.input_shape), generator=generator, dtype=torch.uint8)


def random_net(config: NetConfig, seed: int, *, least_gain: float = 0.0) -> SpikingNet:
    """A random net with BN statistics of random inputs and BN weights of both signs, `least_gain` away from 0."""
    generator = torch.Generator().manual_seed(seed)
    net = SpikingNet(config, generator=generator)
    images = random_inputs(config, 16, generator=generator)
    net.train()
    for _ in range(20):
        net(images)
    with torch.no_grad():
        for block in net.blocks:
            channels = len(block.bn.weight)
            weight = torch.randn(channels, generator=generator)
            block.bn.weight.copy_(weight + least_gain * weight.sign())
            block.bn.bias.copy_(torch.rand(channels, generator=generator))
        net.classifier.bias.copy_(torch.randn(config.classes, generator=generator) * 0.1)
    return net


def make_folded(config: NetConfig, seed: int, *, least_gain: float = 0.0) -> FoldedNet:
    """`random_net`, folded."""
    return fold(random_net(config, seed, least_gain=least_gain))


@pytest.fixture
def folded_net():
    return make_folded


@pytest.fixture
def tiny_net_config() -> NetConfig:
    return TINY_NET


@pytest.fixture
def tiny_data() -> Dataset:
    """Three classes: a bright left, right or middle."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(60) % 3
    images = torch.randint(0, 60, (60, 1, 8, 8), generator=generator)
    for i, label in enumerate(labels.tolist()):
        column = (0, 5, 3)[label]
        images[i, 0, :, column : column + 3] += 180
    images = images.to(torch.uint8)
    return Dataset(name="stripes", train_images=images[:45], train_labels=labels[:45], test_images=images[45:],
                   test_labels=labels[45:], split="by hand", classes=3)


@pytest.fixture
def tiny_recipe() -> Recipe:
    return Recipe(dataset="digits", net=TINY_NET, epochs=4, batch_size=15, learning_rate=0.01,
                  augmentation=Augmentation(shift_px=0.5, rotate_deg=3, scale=0.02), seed=3, short_epochs=1,
                  codebook=CodebookRecipe(start_epoch=2, period=2, learning_rate=0.1, latent_scale=0.05))


@pytest.fixture
def change():
    return replace
