"""The DRAM requests of a schedule, in order and by stream: a model of what an engine with that schedule must ask for.

A schedule says how often weights are fetched and where spikes and membranes live between layers and steps:

    per_step             layer by layer, and within a layer step by step: weights and parameters are fetched again for
                         each time step, spikes go through DRAM, and so do the membranes between two steps
    per_step_state       the same, but the membranes of one layer stay on chip
    once_dram            weights once for all steps (the engine computes them side by side), spikes through DRAM
    once_chip            weights once, maps on chip (as far as the spike buffer holds them): what the RTL does

Within a layer: descriptor, codebook, then per pass (one, or one per step) the maps it reads and, tile by tile of
`lanes` output channels, parameters, index stream, membranes in and out, spikes out; the classifier ends with logits. A
map is read once per pass, so the maps that a layer reads lie on chip while it runs. Packing and padding are those of
`s2nn.hw.spec.packing`; a map in DRAM is stored by blocks of `lanes` channels, one bit per position, channel and step.

With `once_chip` and every map on chip the bytes of each stream equal the RTL's counters; the other schedules are a
model until an engine runs them. `Traffic.stream_bytes` says the same bytes as a closed formula.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from s2nn.hw.sim.activity import LOAD_INPUT
from s2nn.hw.sim.net_shapes import INPUT, LayerShape, NetShape, WeightKind
from s2nn.hw.spec.config import (
    CODEWORD_BYTES,
    DESCRIPTOR_BYTES,
    GROUP_TAPS,
    PARAM_BYTES,
    PIXEL_BITS,
    AcceleratorConfig,
    ceil_div,
)
from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.image import ALIGNMENT_BYTES
from s2nn.hw.spec.packing import padded_bytes

#: Streams in the order of a report; the counter of a stream is dram.<stream>_bytes.
STREAMS = ("descriptor_read", "codebook_read", "params_read", "index_read", "input_read", "spikes_read",
           "membranes_read", "membranes_write", "spikes_write", "logits_write")
#: Streams that carry weights.
WEIGHT_STREAMS = ("codebook_read", "index_read")
_LOGIT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How often weights are fetched, and what goes through DRAM."""

    name: str
    title: str
    weights_per_step: bool = False
    spikes_via_dram: bool = False
    membranes_via_dram: bool = False


SCHEDULES = {schedule.name: schedule for schedule in (
    Schedule(name="per_step", title="weights each step, spikes and membranes via DRAM", weights_per_step=True,
             spikes_via_dram=True, membranes_via_dram=True),
    Schedule(name="per_step_state", title="weights each step, spikes via DRAM, membranes on chip",
             weights_per_step=True, spikes_via_dram=True),
    Schedule(name="once_dram", title="weights once, spikes via DRAM", spikes_via_dram=True),
    Schedule(name="once_chip", title="weights once, maps on chip"),
)}


def schedule(name: str) -> Schedule:
    """The schedule of that name; an unknown one is refused with the list of known ones."""
    if name not in SCHEDULES:
        raise ConfigError(f"a schedule must be one of {', '.join(SCHEDULES)}", value=name)
    return SCHEDULES[name]


@dataclass(frozen=True, kw_only=True)
class StorageFormat:
    """How the compared weights are stored.

    Parameters
    ----------
    name, title : on the command line, and for people.
    group_bits : stored bits of one group of nine; `layer_bits` says otherwise for the layers it names.
    codebook_bits : of one layer's codebook, 0 without one.
    is_bound : no decoder is known to reach these bits exactly: side information is not counted.
    """

    name: str
    title: str
    group_bits: float
    layer_bits: Mapping[str, float] = field(default_factory=dict)
    codebook_bits: int = 0
    is_bound: bool = False

    def bits(self, layer: LayerShape) -> float:
        """Stored bits of one group of nine of a layer."""
        if layer.weights is not WeightKind.COMPARED:
            return GROUP_TAPS
        return self.layer_bits.get(layer.name, self.group_bits)


def packed() -> StorageFormat:
    """The fair baseline: one bit per weight."""
    return StorageFormat(name="packed", title="packed 1-bit", group_bits=GROUP_TAPS)


def entropy_bound(layer_bits: Mapping[str, float], *, group_bits: float = GROUP_TAPS) -> StorageFormat:
    """1-bit kernels at the entropy of their frequencies: what no lossless code of single kernels can beat."""
    return StorageFormat(name="entropy", title="1-bit, entropy-coded (bound)", group_bits=group_bits,
                         layer_bits=layer_bits, is_bound=True)


def sub_bit(eta: int) -> StorageFormat:
    """Indices of eta bits into a codebook of 2**eta codewords per layer, eta in 2..6."""
    if not 2 <= eta <= 6:
        raise ConfigError("eta must lie in 2..6", value=eta)
    return StorageFormat(name=f"eta{eta}", title=f"sub-bit, eta = {eta}", group_bits=eta,
                         codebook_bits=8 * CODEWORD_BYTES << eta)


class Transfer(NamedTuple):
    """One request of a stream: consecutive bytes. `layer` is the name of the layer that it belongs to."""

    stream: str
    layer: str
    address: int
    size_bytes: int

    @property
    def is_write(self) -> bool:
        """Whether it goes to the memory."""
        return self.stream.endswith("_write")


def column_bursts(transfer: Transfer, burst_bytes: int) -> range:
    """Addresses of the DRAM bursts that a transfer touches.

    >>> list(column_bursts(Transfer("index_read", "conv1", 24, 16), 16))
    [16, 32]
    """
    first = transfer.address // burst_bytes * burst_bytes
    return range(first, transfer.address + transfer.size_bytes, burst_bytes)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """All requests of one inference.

    Parameters
    ----------
    net, config, schedule, storage : what is run on what, and how.
    steps : time steps T.
    spike_buffer_bytes : on-chip room for maps of `once_chip`; a layer whose live maps exceed it has them in DRAM. None:
        as large as the net needs.
    """

    net: NetShape
    config: AcceleratorConfig
    schedule: Schedule
    storage: StorageFormat
    steps: int
    spike_buffer_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError("time steps must be at least 1", value=self.steps, field="steps", source=self.net.name)
        if self.spike_buffer_bytes is not None and self.spike_buffer_bytes < 0:
            raise ConfigError("must not be negative", value=self.spike_buffer_bytes, field="spike_buffer_bytes")

    # -- sizes ---------------------------------------------------------------------------------------------------------

    @property
    def passes(self) -> int:
        """How often a layer's weights are fetched."""
        return self.steps if self.schedule.weights_per_step else 1

    def num_tiles(self, layer: LayerShape) -> int:
        """Tiles of `lanes` output channels."""
        return ceil_div(layer.c_out, self.config.lanes)

    def tile_bytes(self, layer: LayerShape) -> int:
        """Bytes of one tile of the index stream."""
        bits = math.ceil(layer.num_groups * self.config.lanes * self.storage.bits(layer))
        return padded_bytes(self.config, bits)

    def codebook_bytes(self, layer: LayerShape) -> int:
        """Bytes of a layer's codebook."""
        compared = layer.weights is WeightKind.COMPARED
        return padded_bytes(self.config, self.storage.codebook_bits) if compared else 0

    def block_bytes(self, name: str) -> int:
        """Bytes of one block of `lanes` channels of a map in DRAM, for the steps of one pass."""
        _, height, width = self.net.map_shape(name)
        return padded_bytes(self.config, height * width * self.config.lanes * self.steps // self.passes)

    def num_blocks(self, name: str) -> int:
        """Blocks of `lanes` channels of a map."""
        return ceil_div(self.net.map_shape(name)[0], self.config.lanes)

    def membrane_bytes(self, layer: LayerShape) -> int:
        """Bytes of the membranes of one tile of a layer."""
        bits = layer.conv_height * layer.conv_width * self.config.lanes * self.config.membrane_bits
        return padded_bytes(self.config, bits)

    @property
    def input_bytes(self) -> int:
        """Bytes of the net's input: an image of 8-bit pixels, or spikes of all steps."""
        if self.net.input_spikes:
            return self.passes * self.num_blocks(INPUT) * self.block_bytes(INPUT)
        return padded_bytes(self.config, math.prod(self.net.input_shape) * PIXEL_BITS)

    def map_bytes(self, name: str) -> int:
        """On-chip bytes of a map: all steps of a pass, or the bit planes of an image."""
        _, height, width = self.net.map_shape(name)
        planes = PIXEL_BITS if name == INPUT and not self.net.input_spikes else self.steps // self.passes
        return self.num_blocks(name) * self.config.lanes * height * width * planes // 8

    # -- where maps live -----------------------------------------------------------------------------------------------

    def on_chip_bytes(self, index: int) -> int:
        """Spike buffer that layer `index` needs: all live maps, or only those that it reads if maps go through DRAM."""
        live = self.net.maps_read(self.net.layers[index]) if self.schedule.spikes_via_dram \
            else self.net.live_maps(index)
        return sum(self.map_bytes(name) for name in live)

    @cached_property
    def spike_buffer_need_bytes(self) -> int:
        """Spike buffer that holds every map that the schedule keeps on chip."""
        return max(self.on_chip_bytes(index) for index in range(len(self.net.layers)))

    @cached_property
    def maps_in_dram(self) -> frozenset[str]:
        """Maps that are written to DRAM and read back: all, none, or those alive where the buffer is too small."""
        makers = {layer.name for layer in self.net.layers if layer.kind == "conv"}
        if self.schedule.spikes_via_dram:
            return frozenset(makers)
        if self.spike_buffer_bytes is None:
            return frozenset()
        return frozenset(name for index in range(len(self.net.layers))
                         if self.on_chip_bytes(index) > self.spike_buffer_bytes
                         for name in self.net.live_maps(index) & makers)

    def _reads(self, layer: LayerShape) -> tuple[str, ...]:
        """Maps that a layer fetches from DRAM; spikes at the net's input come in through the input stream."""
        return tuple(name for name in self.net.maps_read(layer) if name in self.maps_in_dram)

    def _spills(self, layer: LayerShape) -> bool:
        return self.schedule.membranes_via_dram and layer.kind == "conv"

    # -- closed formula ------------------------------------------------------------------------------------------------

    def layer_stream_bytes(self, layer: LayerShape) -> dict[str, int]:
        """Bytes of each stream of one layer."""
        tiles, passes = self.num_tiles(layer), self.passes
        read = sum(self.num_blocks(name) * self.block_bytes(name) for name in self._reads(layer))
        membranes = (passes - 1) * tiles * self.membrane_bytes(layer) if self._spills(layer) else 0
        written = self.num_blocks(layer.name) * self.block_bytes(layer.name) if layer.name in self.maps_in_dram else 0
        logits = tiles * self.config.lanes * _LOGIT_BYTES if layer.kind == "classify" else 0
        return {
            "descriptor_read": DESCRIPTOR_BYTES,
            "codebook_read": self.codebook_bytes(layer),
            "params_read": passes * tiles * self.config.lanes * PARAM_BYTES,
            "index_read": passes * tiles * self.tile_bytes(layer),
            "input_read": 0,
            "spikes_read": passes * read,
            "membranes_read": membranes,
            "membranes_write": membranes,
            "spikes_write": passes * written,
            "logits_write": logits,
        }

    def input_stream_bytes(self) -> dict[str, int]:
        """Bytes of each stream of the input load."""
        return dict.fromkeys(STREAMS, 0) | {"descriptor_read": DESCRIPTOR_BYTES, "input_read": self.input_bytes}

    def stream_bytes(self) -> dict[str, int]:
        """Bytes of each stream of the whole inference."""
        parts = [self.input_stream_bytes(), *(self.layer_stream_bytes(layer) for layer in self.net.layers)]
        return {stream: sum(part[stream] for part in parts) for stream in STREAMS}

    # -- trace ---------------------------------------------------------------------------------------------------------

    @cached_property
    def _regions(self) -> dict[tuple[str, str], int]:
        """First address of each region, (stream or "map" or "membranes", layer or map), aligned and in order."""
        sizes: dict[tuple[str, str], int] = {("descriptor", ""): DESCRIPTOR_BYTES * (len(self.net.layers) + 1)}
        for layer in self.net.layers:
            sizes["codebook", layer.name] = self.codebook_bytes(layer)
            sizes["params", layer.name] = self.num_tiles(layer) * self.config.lanes * PARAM_BYTES
            sizes["index", layer.name] = self.num_tiles(layer) * self.tile_bytes(layer)
        sizes["input", ""] = self.input_bytes
        sizes["logits", ""] = self.num_tiles(self.net.layers[-1]) * self.config.lanes * _LOGIT_BYTES
        for name in sorted(self.maps_in_dram):
            sizes["map", name] = self.passes * self.num_blocks(name) * self.block_bytes(name)
        for layer in self.net.layers:
            if self._spills(layer):
                sizes["membranes", layer.name] = self.num_tiles(layer) * self.membrane_bytes(layer)
        regions, position = {}, 0
        for key, size in sizes.items():
            regions[key] = position
            position += ceil_div(size, ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return regions

    def transfers(self) -> Iterator[tuple[str, list[Transfer]]]:
        """(step, its transfers in order): the input load, then each layer."""
        yield LOAD_INPUT, [Transfer("descriptor_read", LOAD_INPUT, self._regions["descriptor", ""], DESCRIPTOR_BYTES),
                           Transfer("input_read", LOAD_INPUT, self._regions["input", ""], self.input_bytes)]
        for index, layer in enumerate(self.net.layers):
            yield layer.name, list(self._layer_transfers(index, layer))

    def _layer_transfers(self, index: int, layer: LayerShape) -> Iterator[Transfer]:
        regions, name = self._regions, layer.name
        descriptor = regions["descriptor", ""] + DESCRIPTOR_BYTES * (index + 1)
        yield Transfer("descriptor_read", name, descriptor, DESCRIPTOR_BYTES)
        if size := self.codebook_bytes(layer):
            yield Transfer("codebook_read", name, regions["codebook", name], size)
        for number in range(self.passes):
            for read in self._reads(layer):
                size = self.block_bytes(read)
                blocks = self.num_blocks(read)
                for block in range(blocks):
                    yield Transfer("spikes_read", name, regions["map", read] + (number * blocks + block) * size, size)
            for tile in range(self.num_tiles(layer)):
                yield from self._tile_transfers(layer, number, tile)
        if layer.kind == "classify":
            size = self.config.lanes * _LOGIT_BYTES
            for tile in range(self.num_tiles(layer)):
                yield Transfer("logits_write", name, regions["logits", ""] + tile * size, size)

    def _tile_transfers(self, layer: LayerShape, number: int, tile: int) -> Iterator[Transfer]:
        """Requests of one tile in pass `number`; the first pass finds no membranes, and nothing needs the last's."""
        regions, name = self._regions, layer.name
        params_bytes, tile_bytes = self.config.lanes * PARAM_BYTES, self.tile_bytes(layer)
        yield Transfer("params_read", name, regions["params", name] + tile * params_bytes, params_bytes)
        yield Transfer("index_read", name, regions["index", name] + tile * tile_bytes, tile_bytes)
        if self._spills(layer):
            size = self.membrane_bytes(layer)
            address = regions["membranes", name] + tile * size
            if number > 0:
                yield Transfer("membranes_read", name, address, size)
            if number < self.passes - 1:
                yield Transfer("membranes_write", name, address, size)
        if name in self.maps_in_dram:
            size = self.block_bytes(name)
            yield Transfer("spikes_write", name, regions["map", name] + (number * self.num_tiles(layer) + tile) * size,
                           size)
