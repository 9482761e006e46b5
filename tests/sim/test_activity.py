"""Expected counters against a walk through the engine's loop nest, one window at a time."""

from dataclasses import dataclass

import pytest

from s2nn.hw.sim import functional
from s2nn.hw.sim.activity import EXPECTED_COUNTERS, Activity, Addresses, bursts, expected_activity
from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import TINY, ULX3S, AcceleratorConfig
from s2nn.hw.spec.image import SectionKind
from s2nn.hw.spec.registers import COUNTERS

ADDRESSES = Addresses(image=0x10_0000, input=0x20_0000, output=0x20_8000)


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
    Case(name="kernel groups", in_shape=(1, 7, 7), layers=[RandomConv(channels=3, groups=(2, 1), pad=2)]),
]


def reference_work(config, layer, planes, steps):
    """On-chip counters of a layer, counted in the engine's loops; planes (n, C, H, W)."""
    channels, height, width = layer.conv_shape
    weight_planes, _, groups_y, groups_x, c_in = layer.weights.symbols.shape
    tiles = -(-channels // config.lanes)
    counts = dict.fromkeys(EXPECTED_COUNTERS, 0)

    def bit(plane, c, row, col):
        inside = plane < len(planes) and 0 <= row < layer.in_shape[1] and 0 <= col < layer.in_shape[2]
        return inside and bool(planes[plane, c, row, col])

    for _ in range(tiles):
        for y in range(height):
            for x in range(width):
                counts["neuron.updates"] += config.lanes * steps
                for chunk in range(-(-len(planes) // config.time_lanes)):
                    for _ in range(weight_planes):
                        for gy in range(groups_y):
                            for gx in range(groups_x):
                                for block in range(-(-c_in // config.lanes)):
                                    counts["spike_buffer.window_reads"] += 1
                                    taken = 0
                                    for c in range(block * config.lanes, min(c_in, (block + 1) * config.lanes)):
                                        row, col = (y * layer.stride - layer.pad + 3 * gy,
                                                    x * layer.stride - layer.pad + 3 * gx)
                                        lanes = sum(any(bit(chunk * config.time_lanes + lane, c, row + ky, col + kx)
                                                        for ky in range(3) for kx in range(3))
                                                    for lane in range(config.time_lanes))
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
    for b, activity in enumerate(expected_activity(case.config, program, image, images, result, addresses=ADDRESSES)):
        pixel_planes = (images[b][None] >> [[[[7 - k]]] for k in range(8)]) & 1
        maps = [pixel_planes, *(layer.spikes[b] for layer in result.layers)]
        for index, layer in enumerate(program.layers):
            name, counters = activity.steps[index + 1]
            assert name == layer.name
            for counter, value in reference_work(case.config, layer, maps[index], case.steps).items():
                if counter.startswith(("array.", "neuron.updates", "spike_buffer.window", "weight_buffer.slice_r")):
                    assert counters[counter] == value, f"{layer.name} {counter}"
            fired = result.layers[index].fired[b] if layer.kind == "conv" else 0
            assert counters["neuron.spikes"] == fired


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
