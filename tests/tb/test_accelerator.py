"""The RTL equals golden model, expected counters and cycle engine for every feature, and survives faults."""

from dataclasses import replace

import numpy as np
import pytest

from s2nn.hw.rtl.verilog import write_verilog
from s2nn.hw.sim import functional
from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.spec.build import build_image, descriptors
from s2nn.hw.spec.config import DESCRIPTOR_BYTES, TINY
from s2nn.hw.spec.descriptor import DESCRIPTOR, Residual
from s2nn.hw.spec.image import MemoryImage, SectionKind
from s2nn.hw.spec.packing import NO_CHANNEL
from s2nn.hw.spec.registers import Cause, ErrorCode
from s2nn.hw.tb.runner import simulate_rtl
from s2nn.tools.rtl import RtlSimulator, design_folder
from s2nn.tools.simulation import run_golden
from tests.layer_types import LAYER_TYPES
from tests.tb.levels import hold_levels

pytestmark = pytest.mark.rtl
BINARY = TINY.as_binary()
ONE_TIME_LANE = replace(TINY, name="one_time_lane", time_lanes=1, max_chunks=8)

# name: configuration, image shape, spiking layers, program options
PROGRAMS = {
    "codebook": (TINY, (1, 8, 8), [RandomConv(channels=8, planes=8), RandomConv(channels=8, eta=4)], {}),
    "codebooks_of_every_width": (TINY, (1, 6, 6), [RandomConv(channels=4, planes=2), RandomConv(channels=8, eta=2),
                                                   RandomConv(channels=4, eta=3), RandomConv(channels=8, eta=4)], {}),
    "raw_layers_between_codebooks": (TINY, (1, 6, 6), [RandomConv(channels=4, planes=8), RandomConv(channels=4, eta=4),
                                                       RandomConv(channels=4, planes=3), RandomConv(channels=4, eta=3)],
                                     {}),
    "partial_channel_blocks": (TINY, (3, 6, 5), [RandomConv(channels=6, planes=4), RandomConv(channels=7, eta=3),
                                                 RandomConv(channels=5, eta=4)], {"classes": 3}),
    "pool_drops_an_odd_row": (TINY, (1, 9, 7), [RandomConv(channels=8, planes=4, pool=True),
                                                RandomConv(channels=8, eta=4, pool=True)], {}),
    "stride_2": (TINY, (2, 9, 8), [RandomConv(channels=8, planes=4, stride=2), RandomConv(channels=8, eta=4, stride=2)],
                 {}),
    "stride_2_then_pool": (TINY, (1, 13, 12), [RandomConv(channels=4, planes=2, stride=2, pool=True)], {}),
    "no_padding": (TINY, (1, 8, 8), [RandomConv(channels=4, planes=2, pad=0),
                                     RandomConv(channels=8, eta=4, pad=0)], {}),
    "kernels_of_several_groups": (TINY, (1, 9, 9), [RandomConv(channels=4, planes=2, kernel=(6, 6), pad=2),
                                                    RandomConv(channels=4, eta=4, kernel=(9, 3), pad=3)], {}),
    "soft_reset": (TINY, (1, 6, 6), [RandomConv(channels=8, planes=4, soft_reset=True),
                                     RandomConv(channels=8, eta=4, soft_reset=True)], {}),
    "no_leak_and_no_memory": (TINY, (1, 6, 6), [RandomConv(channels=4, planes=4, leak=256),
                                                RandomConv(channels=4, eta=4, leak=0)], {}),
    "one_step": (TINY, (1, 6, 6), [RandomConv(channels=8, planes=4), RandomConv(channels=8, eta=4)], {"steps": 1}),
    "steps_beyond_a_chunk": (TINY, (1, 6, 6), [RandomConv(channels=8, planes=4),
                                               RandomConv(channels=8, eta=4, pool=True)], {"steps": 3}),
    "all_chunks": (TINY, (1, 6, 6), [RandomConv(channels=8, planes=4, pool=True), RandomConv(channels=8, eta=4)],
                   {"steps": 8}),
    "classifier_of_a_large_map": (TINY, (1, 7, 7), [RandomConv(channels=4, planes=4)], {"classifier_planes": 4}),
    "classifier_alone": (TINY, (1, 5, 5), [], {"steps": 5}),
    "one_pixel": (TINY, (2, 1, 1), [RandomConv(channels=4, planes=4), RandomConv(channels=4, eta=4)], {}),
    "one_column": (TINY, (1, 9, 1), [RandomConv(channels=4, planes=4), RandomConv(channels=4, eta=4)], {}),
    "one_time_lane": (ONE_TIME_LANE, (1, 6, 6), [RandomConv(channels=8, planes=4, pool=True),
                                                 RandomConv(channels=4, eta=4)], {"steps": 3}),
    "binary": (BINARY, (1, 8, 8), [RandomConv(channels=8, planes=8), RandomConv(channels=8, pool=True),
                                   RandomConv(channels=8)], {}),
    "binary_partial_blocks": (BINARY, (3, 6, 5), [RandomConv(channels=6, planes=4), RandomConv(channels=7)],
                              {"steps": 5, "classes": 3}),
}
SEED = 7


def make(name: str):
    config, in_shape, layers, options = PROGRAMS[name]
    program = random_program(SEED, config, in_shape=in_shape, layers=layers, name=name,
                             **{"classes": 4, "classifier_planes": 2, **options})
    return config, program, build_image(config, program), random_images(SEED, in_shape, 2)


@pytest.mark.parametrize("stall_probability", [0.0, 0.4])
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_feature(rtl_build_dir, tmp_path, name, stall_probability):
    config, program, _, images = make(name)
    hold_levels(config, program, images, build_dir=rtl_build_dir, run_dir=tmp_path, seed=SEED,
                stall_probability=stall_probability)


@pytest.mark.parametrize("stall_probability", [0.0, 0.4])
@pytest.mark.parametrize("name", LAYER_TYPES)
def test_every_layer_type(rtl_build_dir, tmp_path, name, stall_probability):
    case = LAYER_TYPES[name]
    hold_levels(case.config, case.program(SEED), case.inputs(SEED, 2), build_dir=rtl_build_dir, run_dir=tmp_path,
                seed=SEED, stall_probability=stall_probability)


WITH_RESIDENT = replace(TINY, name="with_resident", resident_rows=32)
# Rows of a bank with 4 lanes: a tile of c inputs takes ceil(c * bits * planes / 9), and there are 32.
RESIDENT = {  # name: channels of conv0 (4 raw planes) and conv1 (eta 4), planes of the classifier, resident or not
    "all": (4, 4, 1, [1, 1, 1]),                       # 4 + 2 + 4*4 = 22 rows
    "all but the classifier": (8, 8, 4, [1, 1, 0]),    # 2*4 + 2*4, and 8*4*4
    "the first alone, of equals": (32, 4, 2, [1, 0, 0]),  # 8*4, 15, 4*2*4
    "one in the middle": (36, 4, 4, [0, 1, 0]),           # 9*4, 16, 64
}


@pytest.mark.parametrize("stall_probability", [0.0, 0.4])
@pytest.mark.parametrize("name", RESIDENT)
def test_resident_weights_are_read_once(rtl_build_dir, tmp_path, name, stall_probability):
    config, (first, second, planes, resident) = WITH_RESIDENT, RESIDENT[name]
    program = random_program(SEED, config, in_shape=(1, 6, 6), classes=4, classifier_planes=planes, name=name,
                             layers=[RandomConv(channels=first, planes=4), RandomConv(channels=second, eta=4)])
    image, inputs = build_image(config, program), random_images(SEED, (1, 6, 6), 4)
    assert [d["resident"] for d in descriptors(image)][1:] == resident
    runs = hold_levels(config, program, inputs, build_dir=rtl_build_dir, run_dir=tmp_path, seed=SEED,
                       stall_probability=stall_probability)
    first_image, *others = [run.counters["dram.index_read_bytes"] for run in runs]
    assert all(bytes_read < first_image for bytes_read in others)


def test_lanes_without_a_channel_never_fire(rtl_build_dir, tmp_path):
    # Index 0 pads the weights. Here its codeword is all +1, and the membrane of a lane would pass any threshold.
    program = random_program(SEED, TINY, in_shape=(1, 3, 3), steps=8, classes=4, classifier_planes=2,
                             layers=[RandomConv(channels=64, planes=2, firing=0.8),
                                     RandomConv(channels=5, eta=4, leak=256), RandomConv(channels=8, eta=4)])
    program.layers[1].weights.codebook[0] = 511
    inputs = functional.run(program, random_images(SEED, (1, 3, 3), 1)).layers[0].spikes[0]  # (T, C, 3, 3)
    assert inputs.sum() << TINY.fraction_bits > NO_CHANNEL, "the lane must have a reason to fire"
    hold_levels(TINY, program, random_images(SEED, (1, 3, 3), 1), build_dir=rtl_build_dir, run_dir=tmp_path, seed=SEED)


@pytest.fixture
def simulate(rtl_build_dir, tmp_path):
    """Runs the codebook program's images on the RTL with options of simulate_rtl; returns runs, image, golden."""
    def call(name="codebook", count=2, **options):
        config, program, image, _ = make(name)
        images = random_images(SEED, program.in_shape, count)
        folder = rtl_build_dir / f"{config.name}-{config.weight_format}-{config.digest.hex()}"
        write_verilog(config, folder)
        simulator = RtlSimulator(build_dir=rtl_build_dir)
        golden = run_golden(config, program, image, images, addresses=simulator.addresses(config, image))
        return simulate_rtl(config, folder, image, list(images), build_dir=folder / "verilator", run_dir=tmp_path,
                            timeout_cycles=200_000, **options), golden
    return call


def test_stalls_cost_cycles_and_repeat(simulate):
    def cycles(**options):
        runs, _ = simulate(**options)
        return [run.counters["cycles.total"] for run in runs]

    free = cycles()
    stalled = cycles(stall_probability=0.3, seed=1)
    assert all(some > none for some, none in zip(stalled, free, strict=True))
    assert cycles(stall_probability=0.3, seed=1) == stalled
    assert cycles(stall_probability=0.3, seed=2) != stalled


def test_a_memory_without_dram_gives_the_same_results(simulate):
    runs, golden = simulate(dram=None)
    for number, run in enumerate(runs):
        assert run.logits[:4].tolist() == golden.result.logits[number].tolist()
        assert run.axi["read_bytes"] > 0
        assert run.dram == {"before": {}, "after": {}}


def damaged(name: str, descriptor: int, byte: int, value: int) -> bytes:
    """The image of a program with one byte of a descriptor changed behind the exporter's back."""
    _, _, image, _ = make(name)
    content = bytearray(image.to_bytes())
    content[image.offset(SectionKind.DESCRIPTORS) + descriptor * DESCRIPTOR_BYTES + byte] = value
    return bytes(content)


@pytest.mark.parametrize(("descriptor", "opcode"), [(0, 0), (0, 6), (1, 0), (2, 255)])
def test_unknown_opcode_stops_with_an_error(simulate, descriptor, opcode):
    runs, _ = simulate(image_bytes=damaged("codebook", descriptor, 0, opcode))
    assert [run.error for run in runs] == [ErrorCode.OPCODE] * 2
    # A descriptor is fetched ahead: it is refused while the layer before still runs, or right behind it.
    assert all(max(descriptor - 1, 0) <= run.layer <= descriptor for run in runs)


# Descriptor and fields that TINY cannot do, each one beyond what it can.
BEYOND = [(2, {"symbol_bits": bits}) for bits in (0, 1, 5)] + [(1, {"symbol_bits": 8})] + [
    (0, {"out_chunks": 5}), (1, {"out_chunks": 5}), (1, {"tile_rows": 257}), (2, {"in_planes": 5}),
    (2, {"out_planes": 5}), (1, {"resident": 1, "weight_base": 512, "tile_rows": 1})] + [
    (1, {name: 0}) for name in ("planes", "steps", "in_blocks", "groups_x", "out_width", "tiles", "tile_beats")] + [
    (0, {name: 0}) for name in ("in_channels", "in_width", "out_height", "tile_beats")] + [
    (2, {"keep_current": 1}), (2, {"keep_current": 1, "out_planes": 1}), (2, {"residual": Residual.CURRENT})]


def with_fields(image: MemoryImage, number: int, fields: dict[str, int]) -> bytes:
    """The image with other values in a descriptor."""
    content, start = bytearray(image.to_bytes()), image.offset(SectionKind.DESCRIPTORS) + number * DESCRIPTOR_BYTES
    descriptor = DESCRIPTOR.unpack(int.from_bytes(content[start:start + DESCRIPTOR_BYTES], "little"))
    content[start:start + DESCRIPTOR_BYTES] = DESCRIPTOR.pack(descriptor | fields).to_bytes(DESCRIPTOR_BYTES, "little")
    return bytes(content)


@pytest.mark.parametrize(("number", "fields"), BEYOND, ids=str)
def test_descriptors_beyond_the_configuration_are_refused(simulate, number, fields):
    runs, _ = simulate(image_bytes=with_fields(make("codebook")[2], number, fields))
    assert [run.error for run in runs] == [ErrorCode.UNSUPPORTED] * 2


# conv0 keeps its currents, conv2 adds them; SHORTCUTS has six bits, so a kept map has seven planes.
@pytest.mark.parametrize(("number", "fields"), [
    (1, {"out_planes": 6}), (1, {"out_planes": 8}), (3, {"residual_planes": 5}), (3, {"residual_planes": 7}),
    (3, {"image_input": 1})], ids=str)
def test_shortcuts_of_other_bits_are_refused(rtl_build_dir, tmp_path, number, fields):
    case = LAYER_TYPES["membrane shortcut"]
    image, inputs = build_image(case.config, case.program(SEED)), case.inputs(SEED, 1)
    design = design_folder(case.config, rtl_build_dir)
    runs = simulate_rtl(case.config, design, image, list(inputs), build_dir=design / "verilator", run_dir=tmp_path,
                        image_bytes=with_fields(image, number, fields), timeout_cycles=200_000)
    assert [run.error for run in runs] == [ErrorCode.UNSUPPORTED]


def test_codebook_layer_on_binary_hardware_is_refused(simulate):
    flags = 1 << 1  # the codebook flag, bit 9 of the descriptor
    runs, _ = simulate("binary", image_bytes=damaged("binary", 2, 1, flags))
    assert [run.error for run in runs] == [ErrorCode.UNSUPPORTED] * 2


FAULTY = [("descriptors.0", ErrorCode.READ_RESPONSE), ("params.1", ErrorCode.READ_RESPONSE),
          ("codebook.1", ErrorCode.READ_RESPONSE), ("index.0", ErrorCode.READ_RESPONSE),
          ("index.2", ErrorCode.READ_RESPONSE), ("input", ErrorCode.READ_RESPONSE),
          ("logits", ErrorCode.WRITE_RESPONSE)]


@pytest.mark.parametrize("response", [2, 3], ids=["SLVERR", "DECERR"])
@pytest.mark.parametrize(("section", "error"), FAULTY, ids=[section for section, _ in FAULTY])
def test_bus_error_is_reported_and_the_next_run_is_right(simulate, section, error, response):
    config, _, image, _ = make("codebook")
    starts = {f"{s.kind.name.lower()}.{s.layer}": offset
              for s, offset in zip(image.sections, image.offsets(), strict=True)}
    addresses = RtlSimulator(build_dir=".").addresses(config, image)
    starts |= {"input": addresses.input, "logits": addresses.output}
    fault = {"start": starts[section], "end": starts[section] + 4, "response": response}
    runs, golden = simulate(count=3, faults=[fault], clear_faults=True, stall_probability=0.2)
    assert [run.error for run in runs] == [error, ErrorCode.NONE, ErrorCode.NONE]
    for number in (1, 2):
        assert runs[number].logits[:4].tolist() == golden.result.logits[number].tolist()
        for layer, spikes in zip(golden.result.layers, runs[number].spikes, strict=True):
            assert np.array_equal(spikes[:, :layer.spikes.shape[2]], layer.spikes[number])
    for run in runs:
        causes = [run.counters[f"cycles.{cause.name.lower()}"] for cause in Cause]
        assert sum(causes) == run.counters["cycles.total"]


@pytest.mark.parametrize("stall_probability", [0.0, 0.3])
def test_a_reset_in_the_middle_of_a_run_leaves_nothing_behind(simulate, stall_probability):
    """Resets while descriptors, weights and input arrive, in each layer, and while logits are written."""
    total = simulate(count=1, stall_probability=stall_probability)[0][0].counters["cycles.total"]
    resets = [1, 20, 60, *(total * part // 12 for part in range(1, 12)), total - 12, total - 4]
    runs, golden = simulate(count=2, stall_probability=stall_probability, resets=resets)
    for number, run in enumerate(runs):
        assert run.error == ErrorCode.NONE
        assert run.logits[:4].tolist() == golden.result.logits[number].tolist()
        for layer, spikes in zip(golden.result.layers, run.spikes, strict=True):
            assert np.array_equal(spikes[:, :layer.spikes.shape[2]], layer.spikes[number])
        expected = golden.activities[number].total
        assert {name: run.counters[name] for name in expected} == expected
