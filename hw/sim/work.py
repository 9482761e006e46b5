"""On-chip work of a schedule from a net's shape and how active its maps are: the counters of a run, estimated.

The counters have the names of `s2nn.hw.spec.registers.COUNTERS`. With the shares measured on a net they are those of
its run, up to rounding; with assumed shares they are an estimate.

The engine takes one (kernel group, channel) window of `time_lanes` planes per cycle and skips a channel without a
spike, so a layer's compute-bound time is

    cycles = tiles * planes * (active windows + channel blocks without a spike)

Not in it: filling and draining the pipeline, neuron updates that the next window does not hide, and control.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from s2nn.hw.sim import functional
from s2nn.hw.sim.activity import LOAD_INPUT, presented, taps_on_map, window_lanes
from s2nn.hw.sim.net_shapes import INPUT, LayerShape
from s2nn.hw.sim.traffic import STREAMS, Traffic
from s2nn.hw.spec.config import GROUP_TAPS, MAX_CHUNKS, PIXEL_BITS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.program import Layer, Program


@dataclass(frozen=True, kw_only=True)
class LayerActivity:
    """How active the input of a layer is; all shares in 0..1.

    Parameters
    ----------
    window_share : windows with a set bit in any of the time lanes of a chunk.
    step_share : windows with a set bit, one plane at a time.
    silent_block_share : (window, chunk, block of `lanes` channels) without any set bit.
    silent_step_share : the same, one plane at a time.
    """

    window_share: float
    step_share: float
    silent_block_share: float
    silent_step_share: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ConfigError("must lie in 0..1", value=value, field=name, source="LayerActivity")


def independent_activity(rate: float, *, planes: int, config: AcceleratorConfig) -> LayerActivity:
    """Shares if each bit of a map of `planes` planes were set with probability `rate`, independently of the others:
    real spikes cluster, and more is skipped."""
    chunks = [min(config.time_lanes, planes - start) for start in range(0, planes, config.time_lanes)]
    silent = [(1 - rate) ** (GROUP_TAPS * lanes) for lanes in chunks]
    silent_step = (1 - rate) ** GROUP_TAPS
    return LayerActivity(window_share=1 - sum(silent) / len(chunks), step_share=1 - silent_step,
                         silent_block_share=sum(share**config.lanes for share in silent) / len(chunks),
                         silent_step_share=silent_step**config.lanes)


def measured_activity(config: AcceleratorConfig, program: Program, layer: Layer,
                      maps: Sequence[functional.Map]) -> LayerActivity:
    """Shares of a layer over its input maps of some images; each map (T, C, H, W), an image (C, H, W)."""
    shares = []
    for chosen in (config, replace(config, time_lanes=1, max_chunks=MAX_CHUNKS)):
        lanes = np.stack([window_lanes(chosen, layer, presented(chosen, program, layer, values)) for values in maps])
        active = lanes > 0  # (B, passes, blocks, lanes, H', W')
        num_images, passes, _, _, *positions = active.shape
        windows = layer.groups_per_plane * (layer.kernel[0] * layer.kernel[1] if layer.shared_taps else 1)
        shares.append((active.sum() / (num_images * passes * windows * math.prod(positions)),
                       float(1 - active.any(axis=3).mean())))
    (window, silent_block), (step, silent_step) = shares
    return LayerActivity(window_share=window, step_share=step, silent_block_share=silent_block,
                         silent_step_share=silent_step)


def layer_work(traffic: Traffic, layer: LayerShape, activity: LayerActivity) -> dict[str, int]:
    """On-chip counters of one layer in one inference."""
    config, steps = traffic.config, traffic.steps
    image = layer.source == INPUT and not traffic.net.input_spikes
    serial = traffic.schedule.weights_per_step  # one plane at a time, and an image again for each step
    planes_in = PIXEL_BITS * (steps if serial else 1) if image else steps
    chunks = planes_in if serial else ceil_div(planes_in, config.time_lanes)
    tiles, positions = traffic.num_tiles(layer), layer.conv_height * layer.conv_width
    presented = tiles * layer.num_planes * layer.window_groups * positions
    windows = presented * layer.group_channels
    blocks = ceil_div(layer.group_channels, config.lanes)
    active = windows * chunks * (activity.step_share if serial else activity.window_share)
    silent = presented * chunks * blocks * (activity.silent_step_share if serial else activity.silent_block_share)
    classifies, (_, height, width) = layer.kind == "classify", layer.out_shape
    kernel = (layer.height, layer.width) if classifies else (layer.kernel, layer.kernel)
    words_read = tiles * layer.num_planes * ceil_div(layer.c_in, config.lanes) * taps_on_map(
        size=(layer.height, layer.width), positions=(range(layer.conv_height), range(layer.conv_width)), kernel=kernel,
        stride=layer.stride, pad=layer.pad)
    written = tiles * height * width * (steps if serial else ceil_div(steps, config.time_lanes))
    counters = {
        "array.active_windows": active,
        "array.silent_blocks": silent,
        "array.adds": windows * config.lanes * planes_in * activity.step_share,
        "weight_buffer.slice_reads": active * traffic.storage.bits(layer),
        "weight_buffer.slice_writes": traffic.passes * tiles * 8 * traffic.tile_bytes(layer) / config.lanes,
        "spike_buffer.word_reads": words_read * chunks,
        "spike_buffer.word_writes": written if layer.kind == "conv" else 0,
        "neuron.updates": config.lanes * steps * positions * tiles if layer.kind != "shortcut" else 0,
    }
    return {name: round(value) for name, value in counters.items()}


def compute_cycles(counters: Mapping[str, int]) -> int:
    """Compute-bound cycles of a layer with these counters."""
    return counters.get("array.active_windows", 0) + counters.get("array.silent_blocks", 0)


def expected_counters(traffic: Traffic, activities: Mapping[str, LayerActivity]) -> dict[str, dict[str, int]]:
    """Counters by step (the input load, then each layer): bytes of each stream and on-chip work.

    activities : by name of the layer that reads.
    """
    _, height, width = traffic.net.input_shape
    planes = traffic.steps if traffic.net.input_spikes else PIXEL_BITS
    loaded = {"spike_buffer.word_writes": traffic.num_blocks(INPUT) * height * width
              * ceil_div(planes, traffic.config.time_lanes)}
    found = {LOAD_INPUT: _dram(traffic.input_stream_bytes()) | loaded}
    for layer in traffic.net.layers:
        if layer.name not in activities:
            raise ConfigError("activities must name every layer", value=layer.name, source=traffic.net.name)
        found[layer.name] = _dram(traffic.layer_stream_bytes(layer)) | layer_work(traffic, layer,
                                                                                  activities[layer.name])
    return found


def _dram(stream_bytes: Mapping[str, int]) -> dict[str, int]:
    return {f"dram.{stream}_bytes": stream_bytes[stream] for stream in STREAMS}
