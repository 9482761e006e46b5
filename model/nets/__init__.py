"""Spiking nets: what a net is (`config`, `stages`, `layer_string`), how it trains (`network`), nets by name (`zoo`)."""

from s2nn.model.nets.config import DEFAULT_LAYERS, NetConfig
from s2nn.model.nets.network import SpikingBlock, SpikingNet, TrainingOptions
from s2nn.model.nets.stages import Stage
from s2nn.model.nets.zoo import NET_NAMES, named_net

__all__ = ["DEFAULT_LAYERS", "NET_NAMES", "NetConfig", "SpikingBlock", "SpikingNet", "Stage", "TrainingOptions",
           "named_net"]
