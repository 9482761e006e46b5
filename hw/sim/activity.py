"""What a run must count: the performance counters that follow from a program and its spikes, before any cycle is run.

The engine's work and traffic are decided by the schedule and the spikes alone, so every counter but the cycles is
known beforehand, exactly. RTL and cycle engine are compared with these numbers under the same names
(`s2nn.hw.spec.registers.COUNTERS`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim.functional import FunctionalResult, pad_map
from s2nn.hw.spec.axi import BOUNDARY_BYTES, MAX_BURST_BEATS
from s2nn.hw.spec.build import descriptors
from s2nn.hw.spec.config import DESCRIPTOR_BYTES, PIXEL_BITS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.spec.image import MemoryImage, SectionKind
from s2nn.hw.spec.program import Layer, Program
from s2nn.hw.spec.registers import COUNTERS, Stream

#: Name of the step that loads the input image; the steps after it are named after their layers.
LOAD_INPUT = "load_input"
#: Read streams as their counters spell them: descriptor, codebook, params, index, input.
READ_STREAMS = tuple(stream.name.lower() for stream in Stream)
#: Counters that `expected_activity` gives: all but the cycles.
EXPECTED_COUNTERS = tuple(name for name in COUNTERS if not name.startswith("cycles."))


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Byte addresses that the registers of a run hold; all aligned to 64."""

    image: int
    input: int
    output: int


@dataclass(frozen=True, kw_only=True)
class Activity:
    """Expected counters of one image: `steps` holds (name, counters) of the input load and of each layer, in order."""

    steps: tuple[tuple[str, Mapping[str, int]], ...]

    @property
    def total(self) -> dict[str, int]:
        """Counters of the whole run, as the registers show them at its end."""
        return {name: sum(counters[name] for _, counters in self.steps) for name in EXPECTED_COUNTERS}


def bursts(address: int, size_bytes: int, *, axi_bytes: int) -> Iterator[tuple[int, int]]:
    """(address, beats) of the AXI bursts of one request that starts and ends on a beat.

    A burst ends with the request, after 256 beats, or at a 4 KiB boundary, whichever comes first.

    >>> list(bursts(4096 - 16, 64, axi_bytes=8))
    [(4080, 2), (4096, 6)]
    """
    end = address + size_bytes
    while address < end:
        boundary = (address // BOUNDARY_BYTES + 1) * BOUNDARY_BYTES
        stop = min(end, boundary, address + MAX_BURST_BEATS * axi_bytes)
        yield address, (stop - address) // axi_bytes
        address = stop


def expected_activity(config: AcceleratorConfig, program: Program, image: MemoryImage, images: NDArray[np.uint8],
                      result: FunctionalResult, *, addresses: Addresses) -> list[Activity]:
    """Expected counters of each image's run.

    Parameters
    ----------
    image : the packed program, for the offsets that its descriptors hold.
    images : (B, C, H, W) uint8, and `result`, what the golden model made of them.
    addresses : of the image, the input and the logits; they decide where bursts are split.
    """
    if len(result.logits) != len(images):
        raise SimulationError(f"must be the result of {len(images)} images", value=len(result.logits),
                              source=program.name)
    fields = descriptors(image)
    traffic = [_traffic(config, step, index, image, addresses) for index, step in enumerate(fields)]
    first = program.layers[0]
    activities = []
    for b, pixels in enumerate(images):
        maps = [pixel_planes(pixels)] + [layer.spikes[b] for layer in result.layers]  # (planes, C, H, W) each
        load = {"spike_buffer.word_writes": first.in_shape[1] * first.in_shape[2] * config.pixel_chunks}
        steps = [(LOAD_INPUT, _counters(traffic[0], load))]
        for index, layer in enumerate(program.layers):
            work = _work(config, layer, fields[index + 1], maps[index])
            if layer.kind == "conv":
                work["neuron.spikes"] = int(result.layers[index].fired[b])
            steps.append((layer.name, _counters(traffic[index + 1], work)))
        activities.append(Activity(steps=tuple(steps)))
    return activities


def _counters(*parts: Mapping[str, int]) -> dict[str, int]:
    counters = dict.fromkeys(EXPECTED_COUNTERS, 0)
    for part in parts:
        counters.update(part)
    return counters


def pixel_planes(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels (C, H, W) to bit planes (8, C, H, W), most significant first."""
    shifts = np.arange(PIXEL_BITS - 1, -1, -1, dtype=np.uint8)[:, None, None, None]
    return (pixels[None] >> shifts & 1).astype(np.bool_)


def _traffic(config: AcceleratorConfig, fields: Mapping[str, int], index: int, image: MemoryImage,
             addresses: Addresses) -> dict[str, int]:
    """DRAM counters of one step; `fields` is its descriptor, `index` counts descriptors from 0."""
    descriptor = addresses.image + image.offset(SectionKind.DESCRIPTORS) + DESCRIPTOR_BYTES * index
    tile_bytes, params_bytes = fields["tile_beats"] * config.axi_bytes, config.params_beats * config.axi_bytes
    requests: dict[str, list[tuple[int, int]]] = {"descriptor_read": [(descriptor, DESCRIPTOR_BYTES)]}
    if index == 0:
        requests["input_read"] = [(addresses.input, tile_bytes)]
    else:
        requests["codebook_read"] = [(addresses.image + fields["codebook_offset"],
                                      fields["codebook_beats"] * config.axi_bytes)]
        for stream, start, size in (("params_read", fields["params_offset"], params_bytes),
                                    ("index_read", fields["index_offset"], tile_bytes)):
            requests[stream] = [(addresses.image + start + size * tile, size) for tile in range(fields["tiles"])]
        if fields["last"]:
            requests["logits_write"] = [(addresses.output, config.logits_beats * config.axi_bytes)]
    counters = {}
    for stream, parts in requests.items():
        counters[f"dram.{stream}_bytes"] = sum(size for _, size in parts)
        counters[f"dram.{stream}_bursts"] = sum(len(list(bursts(*part, axi_bytes=config.axi_bytes))) for part in parts)
    return counters


def _work(config: AcceleratorConfig, layer: Layer, fields: Mapping[str, int],
          planes: NDArray[np.bool_]) -> dict[str, int]:
    """On-chip counters of one layer, without its spikes; planes (T or 8, C, H, W) is its input."""
    tiles, weight_planes, steps = fields["tiles"], fields["planes"], fields["steps"]
    _, height, width = layer.conv_shape
    lanes_with_spike = window_lanes(config, layer, planes)  # (chunks, groups, C, H', W')
    chunks, groups, channels = lanes_with_spike.shape[:3]
    active = lanes_with_spike > 0
    blocks = ceil_div(channels, config.lanes)
    padded = np.pad(active, ((0, 0), (0, 0), (0, blocks * config.lanes - channels), (0, 0), (0, 0)))
    silent = ~padded.reshape(chunks, groups, blocks, config.lanes, height, width).any(axis=3)
    passes = tiles * weight_planes  # every window is presented once per output tile and weight plane
    windows = passes * int(active.sum())
    out_words = layer.out_shape[1] * layer.out_shape[2] * tiles * fields["out_chunks"]
    return {
        "array.active_windows": windows,
        "array.silent_blocks": passes * int(silent.sum()),
        "array.adds": passes * config.lanes * int(lanes_with_spike.sum()),
        "weight_buffer.slice_reads": windows * fields["symbol_bits"],
        "weight_buffer.slice_writes": tiles * fields["tile_beats"] * config.slices_per_beat,
        "spike_buffer.window_reads": passes * silent.size,
        "spike_buffer.word_writes": out_words if layer.kind == "conv" else 0,
        "neuron.updates": config.lanes * steps * height * width * tiles,
    }


def window_lanes(config: AcceleratorConfig, layer: Layer, planes: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Time lanes in which each 3x3 window has a set bit: (chunks, kernel groups, C, H', W')."""
    _, height, width = layer.conv_shape
    _, _, groups_y, groups_x, _ = layer.weights.symbols.shape
    chunks = ceil_div(len(planes), config.time_lanes)
    padded = pad_map(layer, planes)
    stop_y, stop_x = (height - 1) * layer.stride + 1, (width - 1) * layer.stride + 1
    lanes = np.zeros((chunks, groups_y * groups_x, planes.shape[1], height, width), dtype=np.uint8)
    for group in range(groups_y * groups_x):
        top, left = 3 * (group // groups_x), 3 * (group % groups_x)
        taps = [padded[:, :, top + ky:top + ky + stop_y:layer.stride, left + kx:left + kx + stop_x:layer.stride]
                for ky in range(3) for kx in range(3)]
        window = np.logical_or.reduce(taps)  # (planes, C, H', W')
        for chunk in range(chunks):
            lanes[chunk, group] = window[chunk * config.time_lanes:(chunk + 1) * config.time_lanes].sum(axis=0)
    return lanes
