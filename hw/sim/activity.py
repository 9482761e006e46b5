"""What a run must count: the performance counters that follow from a program and its spikes, before any cycle is run.

The engine's work and traffic are decided by the schedule and the spikes alone, so every counter but the cycles is
known beforehand, exactly. RTL and cycle engine are compared with these numbers under the same names
(`s2nn.hw.spec.registers.COUNTERS`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim.functional import FunctionalResult, Map, pad_map
from s2nn.hw.spec.axi import BOUNDARY_BYTES, MAX_BURST_BEATS
from s2nn.hw.spec.build import LayerRun, descriptors, layer_runs
from s2nn.hw.spec.config import DESCRIPTOR_BYTES, GROUP_TAPS, PIXEL_BITS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import Opcode, Residual
from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.spec.image import MemoryImage, SectionKind
from s2nn.hw.spec.program import INPUT, Layer, Program
from s2nn.hw.spec.registers import COUNTERS, Stream
from s2nn.hw.spec.weights import Grouping

#: Name of the steps that load the input; the others are named after the layers that they are done for.
LOAD_INPUT = "load_input"
#: Read streams as their counters spell them.
READ_STREAMS = tuple(stream.name.lower() for stream in Stream)
#: Counters that `expected_activity` gives: all but the cycles.
EXPECTED_COUNTERS = tuple(name for name in COUNTERS if not name.startswith("cycles."))


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Byte addresses that the registers of a run hold; all aligned to 64."""

    image: int
    input: int
    output: int
    scratch: int


@dataclass(frozen=True, kw_only=True)
class Activity:
    """Expected counters of one image: `steps` holds (name, counters) of each descriptor, in order."""

    steps: tuple[tuple[str, Mapping[str, int]], ...]

    @property
    def layers(self) -> tuple[tuple[str, Mapping[str, int]], ...]:
        """The same for the input load and each layer, with all that is done for it."""
        return by_layer(self.steps)

    @property
    def total(self) -> dict[str, int]:
        """Counters of the whole run, as the registers show them at its end."""
        return {name: sum(counters[name] for _, counters in self.steps) for name in EXPECTED_COUNTERS}


def by_layer(steps: Sequence[tuple[str, Mapping[str, int]]]) -> tuple[tuple[str, Mapping[str, int]], ...]:
    """Counters of steps with the same name added up, in the order of their first steps."""
    sums: dict[str, dict[str, int]] = {}
    for name, counters in steps:
        total = sums.setdefault(name, dict.fromkeys(counters, 0))
        for counter, value in counters.items():
            total[counter] += value
    return tuple(sums.items())


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
    """Expected counters of each image's run; the first one reads the resident weights, the others keep them.

    Parameters
    ----------
    image : the packed program, for the offsets that its descriptors hold.
    images : what the program ran on (see `functional.run`), and `result`, what the golden model made of it.
    addresses : of the image, the input and the logits; they decide where bursts are split.
    """
    if len(result.logits) != len(images):
        raise SimulationError(f"must be the result of {len(images)} images", value=len(result.logits),
                              source=program.name)
    fields = descriptors(image)
    traffic = {kept: [_traffic(config, step, index, image, addresses, kept=kept) for index, step in enumerate(fields)]
               for kept in (False, True)}
    activities = []
    for b in range(len(images)):
        steps = []
        for index, work in enumerate(image_work(config, program, fields, images, result, b)):
            counters = _counters(traffic[b > 0][index], work.counters)
            if b > 0 and fields[index]["resident"]:
                counters["weight_buffer.slice_writes"] = 0
            steps.append((work.name, counters))
        activities.append(Activity(steps=tuple(steps)))
    return activities


@dataclass(frozen=True, kw_only=True)
class StepWork:
    """On-chip work of one descriptor for one image.

    Parameters
    ----------
    name : of the layer that it is for, or LOAD_INPUT. counters : on-chip ones, where they are not 0.
    lanes_with_spike : `window_lanes` of the positions and passes that it runs; None for a load or store.
    """

    name: str
    counters: dict[str, int]
    lanes_with_spike: NDArray[np.uint8] | None = None


def image_work(config: AcceleratorConfig, program: Program, fields: Sequence[Mapping[str, int]],
               inputs: NDArray[np.uint8], result: FunctionalResult, number: int) -> Iterator[StepWork]:
    """The work of each descriptor on input `number` of the batch that `result` belongs to."""
    maps: dict[str, Map] = {INPUT: inputs[number]} | {layer.name: layer.spikes[number] for layer in result.layers}
    current, lanes = None, np.zeros(0, dtype=np.uint8)
    for step, run in zip(fields, layer_runs(fields), strict=True):
        layer = program.layers[step["layer"]]
        positions = step["out_height"] * step["out_width"]
        if run is None and step["opcode"] == Opcode.STORE_MAP:
            words = positions * step["in_chunks"] * step["residual_planes"]
            yield StepWork(name=layer.name, counters={"spike_buffer.word_reads": words})
        elif run is None:
            name = LOAD_INPUT if step["opcode"] == Opcode.LOAD_INPUT else layer.name
            words = positions * step["out_chunks"] * step["out_planes"]
            yield StepWork(name=name, counters={"spike_buffer.word_writes": words})
        else:
            if current is not layer:
                current = layer
                lanes = window_lanes(config, layer, presented(config, program, layer, maps[layer.source]))
            part = _of_run(lanes, layer, run, planes=step["in_planes"])
            work = expected_work(config, layer, step, part, run.rows)
            if layer.kind == "conv":
                fired = result.layers[run.layer].fired[number]  # (T, rows)
                steps, rows = _steps(config, run), layer.conv_rows(run.rows)
                work["neuron.spikes"] = int(fired[steps, rows.start:rows.stop].sum())
            yield StepWork(name=layer.name, counters=work, lanes_with_spike=part)


def _of_run(lanes_with_spike: NDArray[np.uint8], layer: Layer, run: LayerRun, *, planes: int) -> NDArray[np.uint8]:
    """The part of a layer's window lanes, (passes, blocks, lanes, H', W'), that one descriptor runs."""
    rows = layer.conv_rows(run.rows)
    part = lanes_with_spike[..., rows.start:rows.stop, :]
    if run.chunk is None or layer.image_input:
        return part
    return part[run.chunk * planes:(run.chunk + 1) * planes]


def _steps(config: AcceleratorConfig, run: LayerRun) -> slice:
    """Time steps that a descriptor runs."""
    if run.chunk is None:
        return slice(None)
    return slice(run.chunk * config.time_lanes, (run.chunk + 1) * config.time_lanes)


def _counters(*parts: Mapping[str, int]) -> dict[str, int]:
    counters = dict.fromkeys(EXPECTED_COUNTERS, 0)
    for part in parts:
        counters.update(part)
    return counters


def presented(config: AcceleratorConfig, program: Program, layer: Layer, values: Map) -> NDArray[np.bool_]:
    """The input of a layer as the engine presents it: (passes, time_lanes, C, H, W) bits.

    values : its input map of one image, (T, C, H, W), or an image (C, H, W). A pass is a chunk of time steps, and in it
    a bit plane of the values, least significant first; the planes of an image, most significant first, lie in the time
    lanes.
    """
    if layer.image_input:
        steps, planes = _bit_planes(values, PIXEL_BITS)[::-1], 1
    else:
        steps, planes = values, program.peak(layer.source).bit_length()
    chunks = ceil_div(len(steps), config.time_lanes)
    padded = np.zeros((chunks * config.time_lanes, *steps.shape[1:]), dtype=steps.dtype)
    padded[:len(steps)] = steps
    bits = _bit_planes(padded.reshape(chunks, config.time_lanes, *steps.shape[1:]), planes)
    return bits.swapaxes(0, 1).reshape(chunks * planes, config.time_lanes, *steps.shape[1:])


def _bit_planes(values: Map, planes: int) -> NDArray[np.bool_]:
    """(...) unsigned integers to (planes, ...) bits, least significant first."""
    shifts = np.arange(planes, dtype=np.uint8).reshape((-1,) + (1,) * values.ndim)
    return (values.astype(np.uint8)[None] >> shifts & 1).astype(np.bool_)


def _traffic(config: AcceleratorConfig, fields: Mapping[str, int], index: int, image: MemoryImage,
             addresses: Addresses, *, kept: bool) -> dict[str, int]:
    """DRAM counters of one step; `fields` is its descriptor, `index` counts descriptors from 0. kept : the resident
    weights are in the buffer."""
    descriptor = addresses.image + image.offset(SectionKind.DESCRIPTORS) + DESCRIPTOR_BYTES * index
    tile_bytes = fields["tile_beats"] * config.axi_bytes
    params_bytes = config.params_beats * param_words(fields) * config.axi_bytes
    requests: dict[str, list[tuple[int, int]]] = {"descriptor_read": [(descriptor, DESCRIPTOR_BYTES)]}
    match fields["opcode"]:
        case Opcode.LOAD_INPUT:
            requests["input_read"] = [(addresses.input + fields["index_offset"], tile_bytes)]
        case Opcode.LOAD_MAP:
            requests["map_read"] = [(addresses.scratch + fields["index_offset"], tile_bytes)]
        case Opcode.STORE_MAP:
            requests["map_write"] = [(addresses.scratch + fields["index_offset"], tile_bytes)]
        case _:
            requests["codebook_read"] = [(addresses.image + fields["codebook_offset"],
                                          fields["codebook_beats"] * config.axi_bytes)]
            index_bytes = 0 if is_kept(fields, keep_weights=kept) else tile_bytes
            for stream, start, size in (("params_read", fields["params_offset"], params_bytes),
                                        ("index_read", fields["index_offset"], index_bytes)):
                requests[stream] = [(addresses.image + start + size * tile, size) for tile in range(fields["tiles"])]
            if fields["opcode"] == Opcode.CLASSIFY and not fields["store_membranes"]:
                requests["logits_write"] = [(addresses.output, config.logits_beats * config.axi_bytes)]
    counters = {}
    for stream, parts in requests.items():
        counters[f"dram.{stream}_bytes"] = sum(size for _, size in parts)
        counters[f"dram.{stream}_bursts"] = sum(len(list(bursts(*part, axi_bytes=config.axi_bytes))) for part in parts)
    return counters


def param_words(fields: Mapping[str, int]) -> int:
    """Parameter words of a channel of the layer that a descriptor runs."""
    return 2 if fields["keep_current"] or fields["residual"] == Residual.CURRENT else 1


def is_kept(fields: Mapping[str, int], *, keep_weights: bool) -> bool:
    """The weights that a descriptor names are in the weight buffer already."""
    return bool(fields["resident"] and (keep_weights or fields["reuse_weights"]))


def expected_work(config: AcceleratorConfig, layer: Layer, fields: Mapping[str, int],
                  lanes_with_spike: NDArray[np.uint8], rows: range) -> dict[str, int]:
    """On-chip counters of what one descriptor runs of a layer, without its spikes, from the `window_lanes` of its
    input and the rows of the output that it makes."""
    tiles, steps, is_conv = fields["tiles"], fields["steps"], layer.kind == "conv"
    computed, width = layer.conv_rows(rows), layer.conv_shape[2]
    active = lanes_with_spike > 0
    times = tiles * fields["planes"]  # every window is presented once per output tile and weight plane
    windows = times * int(active.sum())
    out_words = len(rows) * layer.out_shape[2] * tiles * fields["out_chunks"]
    words_read = times * len(lanes_with_spike) * fields["in_blocks"] * taps_on_map(
        size=layer.in_shape[1:], positions=(computed, range(width)), kernel=layer.kernel, stride=layer.stride,
        pad=layer.pad)
    slice_writes = 0 if is_kept(fields, keep_weights=False) else tiles * fields["tile_beats"] * config.slices_per_beat
    positions = tiles * len(computed) * width
    return {
        "array.active_windows": windows,
        "array.silent_blocks": times * int((~active.any(axis=2)).sum()),
        "array.adds": times * config.lanes * int(lanes_with_spike.sum()),
        "weight_buffer.slice_reads": windows * fields["symbol_bits"],
        "weight_buffer.slice_writes": slice_writes,
        "spike_buffer.word_reads": words_read + out_words * fields["residual_planes"],
        "spike_buffer.word_writes": out_words * fields["out_planes"] if is_conv else 0,
        "membrane_buffer.word_reads": positions * fields["load_membranes"],
        "membrane_buffer.word_writes": positions * fields["store_membranes"],
        "neuron.updates": config.lanes * steps * positions,
    }


def taps_on_map(*, size: Sequence[int], positions: Sequence[range], kernel: Sequence[int], stride: int,
                pad: int) -> int:
    """Pairs of an output position and a kernel tap that lies on the map; size, kernel: (height, width); positions: rows
    and columns."""
    pairs = 1
    for extent, computed, taps in zip(size, positions, kernel, strict=True):
        places = (np.asarray(computed) * stride - pad)[:, None] + np.arange(taps)  # (positions, taps)
        pairs *= int(((places >= 0) & (places < extent)).sum())
    return pairs


def window_lanes(config: AcceleratorConfig, layer: Layer, bits: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Time lanes in which each window has a set bit: bits as `presented` -> (passes, blocks, lanes, H', W').

    A block is what the scanner takes at a time: `lanes` windows, the last ones perhaps empty. With grouping TAPS a
    window is a group of taps of one channel, and blocks follow in the order (group row, group column, channels); with
    grouping INPUTS it is nine consecutive inputs, and blocks start over at each tap of a kernel with shared weights.
    """
    _, height, width = layer.conv_shape
    flat = bits.reshape(-1, *bits.shape[2:])
    padded = pad_map(layer, flat).astype(np.bool_, copy=False)  # (passes*time_lanes, C, rows, columns)

    def at(ky: int, kx: int) -> NDArray[np.bool_]:
        """The input under one tap at every output position, (passes*time_lanes, C, H', W')."""
        stop_y, stop_x = ky + (height - 1) * layer.stride + 1, kx + (width - 1) * layer.stride + 1
        return padded[:, :, ky:stop_y:layer.stride, kx:stop_x:layer.stride]

    taps_y, taps_x = layer.kernel
    walks: list[NDArray[np.bool_]] = []  # (passes*time_lanes, windows, H', W') each
    if layer.grouping is Grouping.TAPS:
        for top in range(0, taps_y, 3):
            for left in range(0, taps_x, 3):
                rows, columns = range(top, min(top + 3, taps_y)), range(left, min(left + 3, taps_x))
                walks.append(np.asarray(np.stack([at(ky, kx) for ky in rows for kx in columns]).any(axis=0)))
    else:
        inputs = [at(ky, kx) for ky in range(taps_y) for kx in range(taps_x)]
        for walk in inputs if layer.shared_taps else [np.concatenate(inputs, axis=1)]:
            windows = _pad_axis(walk, GROUP_TAPS).reshape(len(walk), -1, GROUP_TAPS, height, width)
            walks.append(np.asarray(windows.any(axis=2)))
    blocks = np.concatenate([_pad_axis(walk, config.lanes) for walk in walks], axis=1)
    split = blocks.reshape(*bits.shape[:2], -1, config.lanes, height, width)  # (passes, time_lanes, blocks, lanes, ...)
    return split.sum(axis=1, dtype=np.uint8)


def _pad_axis(values: NDArray[np.bool_], multiple: int) -> NDArray[np.bool_]:
    """Zeros behind axis 1, up to a multiple."""
    missing = -values.shape[1] % multiple
    return np.pad(values, ((0, 0), (0, missing), (0, 0), (0, 0))) if missing else values
