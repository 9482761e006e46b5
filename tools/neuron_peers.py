"""The LIF neuron of SpikingJelly and of snnTorch under the rules of ours, to be measured and compared with it.

The rules are those that all three can express: u~ = u/2 + x, a spike where u~ reaches 1, a hard reset to 0 without
gradient, the arctan surrogate of slope 2. snnTorch fires above the threshold only, not at it.
"""

import importlib
from collections.abc import Callable
from types import ModuleType

import torch

from s2nn.hw.spec.errors import ToolError

Neuron = Callable[[torch.Tensor], torch.Tensor]

TAU, THETA, SLOPE = 0.5, 1.0, 2.0
#: Package of each peer; versions are pinned by the extra `bench`.
PEERS = ("spikingjelly", "snntorch")


def _module(package: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ToolError(f"must be installed to be measured: pip install 's2nn[bench]' ({error})",
                        source=package) from error


def spikingjelly_lif() -> Neuron:
    """Multi-step LIFNode, [T, B, ...] -> [T, B, ...]; its tau is a time constant: 1 - 1/2 of the membrane stays."""
    neuron = _module("spikingjelly", "spikingjelly.activation_based.neuron")
    surrogate = _module("spikingjelly", "spikingjelly.activation_based.surrogate")
    functional = _module("spikingjelly", "spikingjelly.activation_based.functional")
    node = neuron.LIFNode(tau=1 / (1 - TAU), decay_input=False, v_threshold=THETA, v_reset=0.0, detach_reset=True,
                          surrogate_function=surrogate.ATan(alpha=SLOPE), step_mode="m")

    def run(x: torch.Tensor) -> torch.Tensor:
        functional.reset_net(node)
        return node(x)

    return run


def snntorch_lif() -> Neuron:
    """Leaky, called once per step as its documentation does, [T, B, ...] -> [T, B, ...]."""
    snntorch, surrogate = _module("snntorch", "snntorch"), _module("snntorch", "snntorch.surrogate")
    leaky = snntorch.Leaky(beta=TAU, threshold=THETA, spike_grad=surrogate.atan(alpha=SLOPE), reset_mechanism="zero")

    def run(x: torch.Tensor) -> torch.Tensor:
        leaky.to(x.device)
        membrane, spikes = torch.zeros_like(x[0]), []
        for current in x:
            s, membrane = leaky(current, membrane)
            spikes.append(s)
        return torch.stack(spikes)

    return run
