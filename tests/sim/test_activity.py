"""Expected counters against a walk through the engine's loop nest, one window at a time."""

from dataclasses import dataclass
from itertools import chain, product

import numpy as np
import pytest

from s2nn.hw.sim import functional
from s2nn.hw.sim.activity import EXPECTED_COUNTERS, Activity, Addresses, bursts, expected_activity
from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import TINY, ULX3S, AcceleratorConfig
from s2nn.hw.spec.image import SectionKind
from s2nn.hw.spec.registers import COUNTERS
from tests.layer_types import LAYER_TYPES

ADDRESSES = Addresses(image=0x10_0000, input=0x20_0000, output=0x20_8000, scratch=0x30_0000)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One random program."""

    name: str
    layers: list[RandomConv]
    in_shape: tuple[int, int, int] = (1, 5, 6)
    config: AcceleratorConfig = TINY
    steps: int = 4
    classes: int = 3


CASES = [
    Case(name="channels beyond a block", layers=[RandomConv(channels=5, planes=3), RandomConv(channels=6, eta=4)]),
    Case(name="T = 5 in chunks of 2", layers=[RandomConv(channels=3), RandomConv(channels=9, eta=3)], steps=5),
    Case(name="T = 6 in chunks of 4", layers=[RandomConv(channels=5), RandomConv(channels=18, eta=6, firing=0.05)],
         steps=6, config=ULX3S),
    Case(name="pool and stride", in_shape=(2, 7, 7), layers=[
        RandomConv(channels=4, pool=True), RandomConv(channels=4, eta=4, stride=2)]),
    Case(name="kernel groups", in_shape=(1, 7, 7), layers=[RandomConv(channels=3, kernel=(5, 3), pad=2)]),
]


def windows_of(config, layer):
    """Per block that the scanner takes, its windows; a window is a list of (row, column, channel) in the kernel."""
    rows, columns = layer.kernel
    if layer.grouping == "inputs":
        taps = [[(ky, kx)] for ky in range(rows) for kx in range(columns)]
        walks = [[(ky, kx, c) for ky, kx in walk for c in range(layer.in_shape[0])]
                 for walk in (taps if layer.shared_taps else [list(chain(*taps))])]
        walks = [[walk[i:i + 9] for i in range(0, len(walk), 9)] for walk in walks]
    else:
        walks = [[[(ky, kx, c) for ky in range(top, min(top + 3, rows)) for kx in range(left, min(left + 3, columns))]
                  for c in range(layer.in_shape[0])] for top in range(0, rows, 3) for left in range(0, columns, 3)]
    return [walk[i:i + config.lanes] for walk in walks for i in range(0, len(walk), config.lanes)]


def reference_work(config, layer, steps_in, planes, steps):
    """On-chip counters of a layer, counted in the engine's loops.

    steps_in : (n, C, H, W) values by time step, or bit planes of an image. planes : bit planes of a value.
    """
    channels, height, width = layer.conv_shape
    tiles = -(-channels // config.lanes)
    counts = dict.fromkeys(EXPECTED_COUNTERS, 0)

    def inside(row, col):
        return 0 <= row < layer.in_shape[1] and 0 <= col < layer.in_shape[2]

    def bit(step, plane, c, row, col):
        return step < len(steps_in) and inside(row, col) and bool(steps_in[step, c, row, col] >> plane & 1)

    for _ in range(tiles):
        for y in range(height):
            for x in range(width):
                counts["neuron.updates"] += config.lanes * steps
                top, left = y * layer.stride - layer.pad, x * layer.stride - layer.pad
                blocks_of_words = -(-layer.in_shape[0] // config.lanes)
                on_map = sum(inside(top + ky, left + kx) for ky, kx in np.ndindex(*layer.kernel))
                for chunk, plane, _ in product(range(-(-len(steps_in) // config.time_lanes)), range(planes),
                                               range(layer.weights.num_planes)):
                    counts["spike_buffer.word_reads"] += on_map * blocks_of_words
                    for block in windows_of(config, layer):
                        taken = 0
                        for window in block:
                            lanes = sum(any(bit(chunk * config.time_lanes + lane, plane, c, top + ky, left + kx)
                                            for ky, kx, c in window) for lane in range(config.time_lanes))
                            taken += lanes > 0
                            counts["array.adds"] += config.lanes * lanes
                        counts["array.active_windows"] += taken
                        counts["weight_buffer.slice_reads"] += taken * layer.weights.symbol_bits
                        counts["array.silent_blocks"] += taken == 0
    return counts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_array_counters_equal_the_loop_nest(case):
    program = random_program(11, case.config, in_shape=case.in_shape, layers=case.layers, classes=case.classes,
                             steps=case.steps, classifier_planes=2)
    images = random_images(12, case.in_shape, 2, density=0.1)
    image, result = build_image(case.config, program), functional.run(program, images)
    compare_with_loops(case.config, program, image, images, result)


@pytest.mark.parametrize("name", LAYER_TYPES)
def test_array_counters_of_every_layer_type_equal_the_loop_nest(name):
    case = LAYER_TYPES[name]
    program, inputs = case.program(13), case.inputs(14, 1)
    compare_with_loops(case.config, program, build_image(case.config, program), inputs, functional.run(program, inputs))


def compare_with_loops(config, program, image, inputs, result):
    peaks = {"input": 1} | {layer.name: program.peak(layer.name) for layer in program.layers}
    for b, activity in enumerate(expected_activity(config, program, image, inputs, result, addresses=ADDRESSES)):
        maps = {layer.name: layer.spikes[b].astype(int) for layer in result.layers}
        maps["input"] = inputs[b] if program.spike_input else (inputs[b][None] >> [[[[7 - k]]] for k in range(8)]) & 1
        for index, layer in enumerate(program.layers):
            name, counters = activity.steps[index + 1]
            assert name == layer.name
            planes = peaks[layer.source].bit_length()
            expected = reference_work(config, layer, maps[layer.source], planes, program.steps)
            chunks, (_, height, width) = -(-program.steps // config.time_lanes), layer.out_shape
            words = -(-layer.out_shape[0] // config.lanes) * chunks * height * width
            if layer.kind == "conv":
                kept = 0 if layer.keep_shift is None else config.current_bits
                expected["spike_buffer.word_writes"] = words * (peaks[layer.name].bit_length() + kept)
            if layer.residual is not None:
                joined = config.current_bits if layer.adds_current else peaks[layer.residual].bit_length()
                expected["spike_buffer.word_reads"] += words * joined
            expected["neuron.spikes"] = result.layers[index].fired[b].sum() if layer.kind == "conv" else 0
            for counter, value in expected.items():
                if not counter.startswith(("dram.", "weight_buffer.slice_writes")):
                    assert counters[counter] == value, f"{layer.name} {counter}"


def run_one(config: AcceleratorConfig, **shape) -> tuple[Activity, object]:
    program = random_program(2, config, **shape)
    image, images = build_image(config, program), random_images(3, program.in_shape, 1)
    result = functional.run(program, images)
    return expected_activity(config, program, image, images, result, addresses=ADDRESSES)[0], image


@pytest.mark.parametrize("config", [TINY, ULX3S], ids=lambda config: config.name)
def test_bytes_read_are_the_sections_of_the_image(config):
    activity, image = run_one(config, in_shape=(1, 5, 5), classes=4, classifier_planes=2,
                              layers=[RandomConv(channels=9, planes=2), RandomConv(channels=17, eta=4)])
    for stream, kind in (("descriptor", SectionKind.DESCRIPTORS), ("codebook", SectionKind.CODEBOOK),
                         ("params", SectionKind.PARAMS), ("index", SectionKind.INDEX)):
        stored = sum(len(section.data) for section in image.sections if section.kind == kind)
        assert activity.total[f"dram.{stream}_read_bytes"] == stored, stream
    assert activity.total["dram.input_read_bytes"] == -(-25 // config.axi_bytes) * config.axi_bytes
    assert activity.total["dram.logits_write_bytes"] == 4 * config.lanes
    assert activity.total["dram.descriptor_read_bursts"] == 4


def test_words_and_slices_written():
    # 5x6 pixels in 2 chunks of 4 planes; 20 channels are 2 tiles, T = 6 are 2 chunks, pooled to 2x3 positions.
    activity, _ = run_one(ULX3S, in_shape=(1, 5, 6), layers=[RandomConv(channels=20, planes=8, pool=True)], steps=6)
    (_, load), (_, conv), (_, classify) = activity.steps
    assert load["spike_buffer.word_writes"] == 5 * 6 * 2
    assert conv["spike_buffer.word_writes"] == 2 * 3 * 2 * 2
    assert classify["spike_buffer.word_writes"] == 0
    # 8 planes of 9 slices of 16 bits: 18 beats of 64 bits for each of 2 tiles.
    assert conv["weight_buffer.slice_writes"] == 2 * 18 * 4
    assert conv["neuron.updates"] == 16 * 6 * (4 * 6) * 2


def test_every_counter_but_the_cycles_is_expected():
    activity, _ = run_one(TINY, in_shape=(1, 4, 4), layers=[RandomConv(channels=2)], classes=2)
    assert set(activity.total) == {name for name in COUNTERS if not name.startswith("cycles.")}
    assert all(set(counters) == set(activity.total) for _, counters in activity.steps)


@pytest.mark.parametrize(("address", "size_bytes", "axi_bytes", "expected"), [
    (0, 8, 8, [1]),
    (0, 2048, 8, [256]),
    (0, 2056, 8, [256, 1]),
    (64, 4096, 8, [256, 248, 8]),
    (4096 - 8, 8, 8, [1]),
    (4096 - 8, 16, 8, [1, 1]),
    (64, 1024, 4, [256]),
    (3072 + 64, 1024, 4, [240, 16]),
    (0, 8192, 16, [256, 256]),
    (0, 0, 8, []),
])
def test_bursts_split_at_256_beats_and_at_4_kib(address, size_bytes, axi_bytes, expected):
    parts = list(bursts(address, size_bytes, axi_bytes=axi_bytes))
    assert [beats for _, beats in parts] == expected
    for start, beats in parts:
        assert start == address
        assert start // 4096 == (start + beats * axi_bytes - 1) // 4096
        address += beats * axi_bytes
