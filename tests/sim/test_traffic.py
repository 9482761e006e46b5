"""Request traces of the schedules: their bytes are the closed formula's, the RTL's counters and the published cells."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from s2nn.hw.sim import functional
from s2nn.hw.sim.activity import Addresses, expected_activity
from s2nn.hw.sim.net_catalogue import NET_NAMES, net_shape
from s2nn.hw.sim.net_shapes import INPUT, LayerShape, NetShape, WeightKind, plain_layers
from s2nn.hw.sim.random_program import RandomConv, random_images, random_program
from s2nn.hw.sim.trace_run import run_trace
from s2nn.hw.sim.traffic import (
    SCHEDULES,
    STREAMS,
    Traffic,
    Transfer,
    column_bursts,
    entropy_bound,
    packed,
    schedule,
    sub_bit,
)
from s2nn.hw.sim.work import compute_cycles, expected_counters, independent_activity, measured_activity
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import TINY, ULX3S
from s2nn.hw.spec.errors import ConfigError

FORMATS = [packed(), entropy_bound({"conv1": 7.3}, group_bits=6.01), sub_bit(4), sub_bit(5)]
SMALL = NetShape(name="small", title="", input_shape=(1, 7, 7), steps=3, source="a test", layers=plain_layers(
    (1, 7, 7), [(5, False), (18, True), (16, False)], classes=10, global_pool=False))


def traffic(net=SMALL, config=TINY, plan="once_chip", storage=FORMATS[0], steps=3, **options):
    return Traffic(net=net, config=config, schedule=schedule(plan), storage=storage, steps=steps, **options)


def traced(one):
    counted = Counter(dict.fromkeys(STREAMS, 0))
    for _, transfers in one.transfers():
        for transfer in transfers:
            counted[transfer.stream] += transfer.size_bytes
    return dict(counted)


@pytest.mark.parametrize("storage", FORMATS, ids=lambda one: one.name)
@pytest.mark.parametrize("plan", SCHEDULES)
@pytest.mark.parametrize("name", NET_NAMES)
def test_the_closed_formula_is_the_trace(name, plan, storage):
    net = net_shape(name)
    for config, steps in ((ULX3S, net.steps), (TINY, 1)):
        one = traffic(net, config, plan, storage, steps)
        assert one.stream_bytes() == traced(one)


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
@pytest.mark.parametrize("plan", SCHEDULES)
def test_small_nets_by_hand(plan, steps):
    """A 3x3 convolution from 1 to 5 channels on 7x7 with lanes of 4 and beats of 4 bytes: two tiles, padded."""
    one = traffic(plan=plan, steps=steps)
    passes = steps if plan.startswith("per_step") else 1
    first = one.layer_stream_bytes(SMALL.layers[0])
    assert first["descriptor_read"] == 64
    assert first["params_read"] == passes * 8 * 4
    assert first["index_read"] == passes * 2 * 36  # 8 planes x 9 bits x 4 lanes = 288 bits = 36 bytes
    assert first["codebook_read"] == first["spikes_read"] == 0
    assert one.input_bytes == 52  # 49 pixels
    # 49 positions x 4 lanes, padded to beats of 32 bits: 7 beats for one step.
    written = {"per_step": steps * 2 * 28, "per_step_state": steps * 2 * 28,
               "once_dram": 2 * 4 * math.ceil(196 * steps / 32), "once_chip": 0}[plan]
    assert first["spikes_write"] == written
    assert one.layer_stream_bytes(SMALL.layers[1])["spikes_read"] == written
    spilled = (steps - 1) * 2 * 4 * math.ceil(49 * 4 * 24 / 32) if plan == "per_step" else 0
    assert first["membranes_read"] == first["membranes_write"] == spilled
    assert one.layer_stream_bytes(SMALL.layers[-1])["logits_write"] == 48


def test_streams_come_in_the_order_of_the_schedule():
    steps = [(name, [transfer.stream for transfer in transfers])
             for name, transfers in traffic(plan="per_step", storage=sub_bit(4), steps=3).transfers()]
    assert [name for name, _ in steps] == ["load_input", "conv0", "conv1", "conv2", "classifier"]
    tile = ["params_read", "index_read", "membranes_read", "membranes_write", "spikes_write"]
    first, last = [s for s in tile if s != "membranes_read"], [s for s in tile if s != "membranes_write"]
    # conv1: 5 input channels in two blocks, 18 output channels in five tiles; conv2: 18 and 16.
    assert steps[2][1] == ["descriptor_read", "codebook_read",
                           *(["spikes_read"] * 2 + first * 5), *(["spikes_read"] * 2 + tile * 5),
                           *(["spikes_read"] * 2 + last * 5)]
    assert steps[4][1] == ["descriptor_read", *(["spikes_read"] * 4 + ["params_read", "index_read"] * 3) * 3,
                           *["logits_write"] * 3]


@pytest.mark.parametrize("plan", SCHEDULES)
def test_regions_never_overlap(plan):
    """Different bytes have different addresses, and what is written is what is read."""
    one = traffic(plan=plan, storage=sub_bit(5))
    ranges = {}
    for name, transfers in one.transfers():
        for transfer in transfers:
            kind = transfer.stream.split("_")[0]
            owner = kind if kind in ("spikes", "descriptor") else f"{kind} {name}"
            for address in range(transfer.address, transfer.address + transfer.size_bytes):
                assert ranges.setdefault(address, owner) == owner
    spikes = {way: {(t.address, t.size_bytes) for _, ts in one.transfers() for t in ts if t.stream == f"spikes_{way}"}
              for way in ("read", "write")}
    assert spikes["read"] == spikes["write"]


@pytest.mark.parametrize(("address", "size", "expected"), [
    (0, 15, [0]), (0, 16, [0]), (0, 17, [0, 16]), (16, 16, [16]), (24, 8, [16]), (24, 9, [16, 32]),
    (8, 32, [0, 16, 32])])
def test_a_transfer_touches_whole_bursts(address, size, expected):
    assert list(column_bursts(Transfer("index_read", "a", address, size), 16)) == expected


# -- against what was measured and published ---------------------------------------------------------------------------

@pytest.fixture(scope="module")
def golden():
    layers = [RandomConv(channels=5, planes=8), RandomConv(channels=18, eta=4, pool=True),
              RandomConv(channels=16, eta=4)]
    program = random_program(3, TINY, in_shape=(1, 7, 7), layers=layers, classes=4, steps=3)
    image, images = build_image(TINY, program), random_images(4, (1, 7, 7), 3)
    result = functional.run(program, images)
    addresses = Addresses(image=0, input=0x10000, output=0x20000, scratch=0x30000)
    return program, images, result, expected_activity(TINY, program, image, images, result, addresses=addresses)


def test_once_on_chip_is_what_the_rtl_counts(golden):
    """Bytes of every stream, and with the measured shares every work counter, of each layer: `expected_activity` is
    what the RTL is checked against."""
    program, images, result, activities = golden
    net = replace(SMALL, layers=plain_layers((1, 7, 7), [(5, False), (18, True), (16, False)], classes=4,
                                             global_pool=False))
    one = traffic(net, storage=sub_bit(4))
    for number, activity in enumerate(activities):
        maps = [images[number]] + [layer.spikes[number] for layer in result.layers]
        shares = {layer.name: measured_activity(TINY, program, layer, [planes])
                  for layer, planes in zip(program.layers, maps, strict=True)}
        found = expected_counters(one, shares)
        for name, counters in activity.steps:
            for counter, value in found[name].items():
                assert value == pytest.approx(counters.get(counter, 0), abs=1), (name, counter)


def test_one_step_at_a_time_sees_the_windows_of_its_step(golden):
    program, _, result, _ = golden
    layer, planes = program.layers[2], result.layers[1].spikes[0]
    shares = measured_activity(TINY, program, layer, [planes])
    single = measured_activity(replace(TINY, time_lanes=1, max_chunks=8), program, layer, [planes])
    assert single.window_share == single.step_share == shares.step_share
    assert single.silent_block_share == shares.silent_step_share
    assert shares.window_share > shares.step_share


# Mbit per image at 1 bit and T = 4 with membranes of 16 bits, and 1-bit / sub-bit of eta 6, 5, 4: an independent count.
BOUNDS = [
    ("vgg16", "per_step", 87.1, (1.29, 1.43, 1.60)), ("vgg16", "per_step_state", 60.5, (1.48, 1.76, 2.17)),
    ("vgg16", "once_dram", 16.4, (1.43, 1.66, 1.99)), ("vgg16", "once_chip", 14.9, (1.49, 1.78, 2.21)),
]


@pytest.mark.parametrize(("name", "plan", "mbit", "ratios"), BOUNDS)
def test_analytic_bounds_are_met(name, plan, mbit, ratios):
    config = replace(ULX3S, membrane_bits=21)  # the narrowest that the configuration allows; counted here as 16
    totals = []
    for storage in (packed(), sub_bit(6), sub_bit(5), sub_bit(4)):
        found = traffic(net_shape(name), config, plan, storage, 4).stream_bytes()
        membranes = found.pop("membranes_read") + found.pop("membranes_write")
        totals.append(8e-6 * (sum(found.values()) + membranes * 16 / 21))
    assert totals[0] == pytest.approx(mbit, rel=0.015)
    assert [totals[0] / total for total in totals[1:]] == pytest.approx(ratios, abs=0.025)


def test_published_weight_counts():
    """S2NN Tab. 1 for ResNet-19: 3x3 weights, shortcuts, stem, classifier; VGG-16: 3x3 weights with the first layer."""
    resnet = net_shape("resnet19")
    assert resnet.num_compared_weights == 12_312_576
    assert sum(la.num_weights for la in resnet.layers if la.weights is WeightKind.ONE_BIT) == 172_032
    assert [la.num_weights for la in resnet.layers if la.weights is WeightKind.PLANES] == [1728, 512 * 10]
    vgg = net_shape("vgg16")
    assert vgg.num_compared_weights + vgg.layers[0].num_weights == 14_710_464


# -- maps on chip ------------------------------------------------------------------------------------------------------

def test_maps_leave_the_chip_one_byte_below_the_need():
    need = traffic(net_shape("resnet19"), ULX3S, steps=4).spike_buffer_need_bytes
    assert need == 3 * 64 * 1024  # a block's input, held for its residual, and the two maps of its second layer
    whole = traffic(net_shape("resnet19"), ULX3S, steps=4, spike_buffer_bytes=need)
    assert whole.stream_bytes() == traffic(net_shape("resnet19"), ULX3S, steps=4).stream_bytes()
    short = traffic(net_shape("resnet19"), ULX3S, steps=4, spike_buffer_bytes=need - 1)
    assert short.maps_in_dram
    assert short.stream_bytes()["spikes_read"] > 0
    assert short.stream_bytes() == traced(short)
    none = traffic(net_shape("resnet19"), ULX3S, steps=4, spike_buffer_bytes=0)
    assert none.stream_bytes() == traffic(net_shape("resnet19"), ULX3S, "once_dram", steps=4).stream_bytes()


def test_a_residual_is_read_beside_the_layers_input():
    net = net_shape("resnet19")
    layer = next(layer for layer in net.layers if layer.name == "layer1.2.conv2")
    assert net.maps_read(layer) == ("layer1.2.conv1", "layer1.1.conv2")
    one = traffic(net, ULX3S, "once_dram", steps=4)
    assert one.layer_stream_bytes(layer)["spikes_read"] == 2 * 128 * 1024 * 4 // 8
    shortcut = next(layer for layer in net.layers if layer.kind == "shortcut")
    assert one.layer_stream_bytes(shortcut)["spikes_write"] == 0


# -- time --------------------------------------------------------------------------------------------------------------

def timed(one):
    activity = independent_activity(0.15, planes=4, config=ULX3S)
    counters = expected_counters(one, {layer.name: activity for layer in one.net.layers})
    return counters, run_trace(one, counters, preset="ddr3l-1600-4gb-x16")


def test_a_run_serves_every_request_and_spans_the_time():
    one = traffic(net_shape("default"), ULX3S, "once_dram", sub_bit(4), 4)
    counters, run = timed(one)
    requests = sum(len(column_bursts(t, 16)) for _, transfers in one.transfers() for t in transfers)
    assert sum(step.requests for step in run.steps) == requests
    assert run.dram.num_rd + run.dram.num_wr == requests
    assert run.compute_us == pytest.approx(sum(map(compute_cycles, counters.values())) / 100)
    assert run.dram.cycles * 1.25e-3 == pytest.approx(run.time_us, rel=1e-4)
    assert run.time_us >= max(run.compute_us, run.memory_us)
    # 16 bytes in four cycles of 1.25 ns at best.
    assert run.memory_us >= requests * 5e-3


def test_independent_activity_is_a_probability():
    one = independent_activity(0.1, planes=2, config=TINY)  # lanes of 4, two planes side by side
    assert one.step_share == pytest.approx(1 - 0.9**9)
    assert one.window_share == pytest.approx(1 - 0.9**18)
    assert one.silent_block_share == pytest.approx(0.9**72)
    assert one.silent_step_share == pytest.approx(0.9**36)
    # Three planes are a chunk of two and a chunk of one.
    odd = independent_activity(0.1, planes=3, config=TINY)
    assert odd.window_share == pytest.approx(1 - (0.9**18 + 0.9**9) / 2)
    assert odd.silent_block_share == pytest.approx((0.9**72 + 0.9**36) / 2)
    assert independent_activity(0.1, planes=1, config=TINY).window_share == pytest.approx(one.step_share)
    silent = independent_activity(0, planes=4, config=ULX3S)
    assert (silent.window_share, silent.silent_block_share) == (0, 1)


# -- refusals ----------------------------------------------------------------------------------------------------------

def layer(**changes):
    fields = {"name": "a", "c_in": 3, "c_out": 4, "height": 8, "width": 8, "source": INPUT}
    return LayerShape(**fields | changes)


REFUSED = [
    (lambda: net_shape("lenet"), f"a net must be one of {', '.join(NET_NAMES)}, not 'lenet'"),
    (lambda: schedule("twice"), "a schedule must be one of per_step, per_step_state, once_dram, once_chip, not 'tw"),
    (lambda: sub_bit(1), "eta must lie in 2..6, not 1"),
    (lambda: sub_bit(7), "eta must lie in 2..6, not 7"),
    (lambda: layer(kernel=2), "layer a: kernel: must be 1, 3 or 7, or span the map, not 2"),
    (lambda: layer(stride=3), "stride: must be 1 or 2"),
    (lambda: layer(c_out=0), "c_out: must be at least 1"),
    (lambda: replace(SMALL, layers=SMALL.layers[:-1]), "the last layer, and no other, must classify"),
    (lambda: replace(SMALL, input_shape=(2, 7, 7)), r"source must be a map of shape \(1, 7, 7\), not 'input'"),
    (lambda: replace(SMALL, layers=(SMALL.layers[0], *SMALL.layers)), "names of layers must be unique"),
    (lambda: traffic(steps=0), "steps: time steps must be at least 1, not 0"),
    (lambda: traffic(spike_buffer_bytes=-1), "spike_buffer_bytes: must not be negative"),
    (lambda: independent_activity(1.5, planes=2, config=TINY), r"must lie in 0\.\.1"),
    (lambda: expected_counters(traffic(), {}), "activities must name every layer, not 'conv0'"),
]


@pytest.mark.parametrize(("bad", "text"), REFUSED, ids=[text[:40] for _, text in REFUSED])
def test_bad_input_is_refused(bad, text):
    with pytest.raises(ConfigError, match=text):
        bad()


def test_measured_shares_of_a_silent_map():
    program = random_program(3, TINY, in_shape=(1, 6, 6), layers=[RandomConv(channels=4, planes=8)], classes=4, steps=2)
    shares = measured_activity(TINY, program, program.layers[0], [np.zeros((1, 6, 6), dtype=np.uint8)])
    assert (shares.window_share, shares.silent_block_share, shares.silent_step_share) == (0, 1, 1)
