"""Net strings, shapes, direct coding, and that folding changes nothing."""

import pytest
import torch

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.evaluate import first_argmax, predict
from s2nn.model.fold import fold
from s2nn.model.nets import DEFAULT_LAYERS, NetConfig, SpikingNet


def test_default_net_has_the_shapes_of_its_string():
    stages = NetConfig(layers=DEFAULT_LAYERS).stages()
    assert [(s.in_channels, s.out_channels, s.height, s.pool, s.out_height) for s in stages] == [
        (1, 32, 28, False, 28), (32, 64, 28, True, 14), (64, 128, 14, True, 7), (128, 128, 7, True, 3)]
    assert NetConfig().classifier_inputs == 128 * 9


@pytest.mark.parametrize(("change", "text"), [
    ({"layers": "8C3-8C3"}, "must end in one FC"),
    ({"layers": "FC"}, "at least one convolution"),
    ({"layers": "MP2-8C3-FC"}, "MP2 must follow"),
    ({"layers": "8C3-MP2-MP2-FC"}, "MP2 must follow"),
    ({"layers": "8C5-FC"}, "must read nC3, .* or FC, not '8C5'"),
    ({"layers": "0C3-FC"}, "must read nC3"),
    ({"input_shape": (1, 1, 5), "layers": "8C3-MP2-FC"}, "at least one pixel"),
    ({"tau": 0.3}, "multiple of 1/256"),
    ({"eta": 1}, "eta: must be None"),
    ({"time_steps": 0}, "time_steps must be at least 1"),
])
def test_bad_nets_are_refused(change, text):
    with pytest.raises(ConfigError, match=text):
        NetConfig(**change)


@pytest.mark.parametrize("eta", [None, 2])
@pytest.mark.parametrize("hard_reset", [True, False])
def test_folded_net_gives_the_logits_of_the_trained_net(eta, hard_reset):
    config = NetConfig(input_shape=(2, 9, 7), layers="5C3-6C3-MP2-7C3-MP2-FC", classes=4, time_steps=3, eta=eta,
                       hard_reset=hard_reset, tau=0.75)
    generator = torch.Generator().manual_seed(0)
    net = SpikingNet(config, generator=generator).double()
    images = torch.randint(0, 256, (20, 2, 9, 7), generator=generator, dtype=torch.uint8)
    for _ in range(30):
        net(images)
    net.eval()
    folded = fold(net)
    # float32 folding may move a membrane across its threshold, rarely: compare classes of all and logits of most images
    same = (net(images) - folded(images)).abs().amax(dim=1) < 1e-4
    assert same.float().mean() >= 0.8
    assert folded.spikes(images)[-1].shape == (3, 20, 7, 2, 1)
    assert 0.02 < folded.spikes(images)[0].mean() < 0.9


def test_image_layer_current_is_the_same_at_every_step(tiny_net_config, folded_net, change):
    # without leak and below threshold the membrane never carries over, so all steps fire alike
    net = folded_net(change(tiny_net_config, tau=0.0), 1)
    spikes = net.spikes(torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8))
    assert all(torch.equal(s[0], s[t]) for s in spikes for t in range(3))


def test_folded_net_does_not_depend_on_batch_or_thread_count(tiny_net_config, folded_net):
    net = folded_net(tiny_net_config, 2)
    images = torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8)
    whole = net(images)
    torch.set_num_threads(2)
    assert torch.equal(whole, torch.cat([net(images[i : i + 1]) for i in range(12)]))
    assert torch.equal(predict(net, images, batch_size=5), first_argmax(whole))


def test_first_of_equal_logits_wins():
    assert first_argmax(torch.tensor([[1, 3, 3], [2, 2, 2], [0, 1, 5]])).tolist() == [1, 0, 2]
