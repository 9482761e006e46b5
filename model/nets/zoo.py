"""The nets of the literature that this project measures, by name; each is a `NetConfig` of a width and an input.

Channels are multiplied by `width` and rounded; everything else about a net can be changed in its `NetConfig`.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.program import Shape
from s2nn.model.nets.config import DEFAULT_LAYERS, NetConfig

_VGG9 = "64C3-64C3-MP2-128C3-128C3-MP2-256C3-256C3-256C3-GAP-FC"
_VGG16 = "64C3-64C3-MP2-128C3-128C3-MP2-256C3-256C3-256C3-MP2-512C3-512C3-512C3-MP2-512C3-512C3-512C3-MP2-GAP-FC"
_VGGSNN = "64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-AP2-FC"
_RESNET19 = "64C3-128B-128B-128B-256BS2-256B-256B-512BS2-512B-GAP-FC"
_SMALL = "32C3-MP2-64C3-MP2-64C3-MP2-FC"
_SCNN = "64C3-64C3-128C3-128C3-256C3-256C3-256C3-GAP-FC"


@dataclass(frozen=True, kw_only=True)
class NamedNet:
    """A net of the list.

    Parameters
    ----------
    config : at full width, for the data set that it is known from. source : where it is from, and what was assumed.
    """

    config: NetConfig
    source: str


def _named(input_shape: Shape, layers: str, source: str, **options: Any) -> NamedNet:
    return NamedNet(config=NetConfig(input_shape=input_shape, layers=layers, **options), source=source)


NETS: dict[str, NamedNet] = {
    "default": _named((1, 28, 28), DEFAULT_LAYERS, "the net of the shipped checkpoints"),
    "vgg9": _named((3, 32, 32), _VGG9, "VGG-9 of the SNN literature; a pooled head instead of its linear layers"),
    "vgg16": _named((3, 32, 32), _VGG16, "arXiv 1409.1556, configuration D, with one pooled classifier as is usual for "
                                         "CIFAR"),
    "vggsnn": _named((2, 48, 48), _VGGSNN, "S2NN (arXiv 2509.24266), Tab. 3; pools and input as in TET (arXiv "
                                           "2202.11946)", time_steps=10, spike_input=True),
    "ms-resnet19": _named((3, 32, 32), _RESNET19, "S2NN, Tab. 1 and 2; block of MS-ResNet, arXiv 2112.08954",
                          time_steps=6, block="membrane"),
    "sew-resnet19": _named((3, 32, 32), _RESNET19, "the same net with blocks of SEW-ResNet, arXiv 2102.04159",
                           time_steps=6, block="sew-add"),
    "s2nn-scnn": _named((3, 32, 32), _SCNN, "S2NN, App. I-J. Its Tab. 11 implies 64 input channels of the first layer; "
                                            "assumed: an 8-bit layer in front of it encodes the image, nothing pools, "
                                            "the classifier averages", time_steps=8, eta=5),
    "spoken-digits": _named((1, 32, 64), _SMALL, "ours, for log-mel spectrograms of spoken digits"),
    "nmnist": _named((2, 34, 34), _SMALL, "ours, for the events of N-MNIST", time_steps=10, spike_input=True),
}
#: "resnet19" is the one of the paper's tables.
ALIASES = {"resnet19": "ms-resnet19"}
NET_NAMES = (*NETS, *ALIASES)


def widen(layers: str, width: float) -> str:
    """The layer string with all channels multiplied by `width` and rounded, each at least 1.

    >>> widen("64C3-128BS2-GAP-FC", 0.5)
    '32C3-64BS2-GAP-FC'
    """
    if not width > 0:
        raise ConfigError("width must be positive", value=width)
    return re.sub(r"\b(\d+)(?=[CBF])", lambda match: str(max(1, round(int(match[1]) * width))), layers)


def named_net(name: str, *, width: float = 1.0, **changes: Any) -> NetConfig:
    """The net of that name; `changes` are fields of `NetConfig` to set instead.

    Raises `ConfigError` for an unknown name, with the list, and for a net that cannot be.
    """
    if name not in NET_NAMES:
        raise ConfigError(f"a net must be one of {', '.join(NET_NAMES)}", value=name)
    config = NETS[ALIASES.get(name, name)].config
    return replace(config, **{"layers": widen(config.layers, width), **changes})
