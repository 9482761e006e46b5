"""Fetcher: asks for what descriptors name, in order, and never for what has no place. A seed is in its test's name."""

import random
from collections import deque
from dataclasses import replace

import pytest

from s2nn.hw.rtl.fetcher import Fetcher
from s2nn.hw.sim.random_program import RandomConv, random_program
from s2nn.hw.spec.build import build_image, descriptors
from s2nn.hw.spec.config import DESCRIPTOR_BYTES, TINY
from s2nn.hw.spec.descriptor import DESCRIPTOR, Opcode
from s2nn.hw.spec.registers import ErrorCode, Stream
from s2nn.hw.spec.schedule import Schedule
from tests.rtl.streams import Bench

CONFIG = replace(TINY, spike_words=128, resident_rows=32)
IMAGE, FIRST, INPUT, SCRATCH = 0x1000, 0x40, 0x8000, 0xA000
LAYERS = [RandomConv(channels=8, planes=2), RandomConv(channels=12, eta=4), RandomConv(channels=8, eta=3)]
SCHEDULES = {"maps on chip": (6, Schedule()), "bands": (20, Schedule()),
             "every map through DRAM": (6, Schedule(maps="spilled"))}


def steps_of(height: int, schedule: Schedule) -> list[dict[str, int]]:
    program = random_program(1, CONFIG, in_shape=(1, height, 6), layers=LAYERS, classes=4, classifier_planes=1)
    return descriptors(build_image(CONFIG, program, schedule))


def expected_requests(steps: list[dict[str, int]], *, keep: bool) -> list[tuple[int, int, int]]:
    """Reference: (stream, address, beats) in order; a descriptor is read as the one before has begun."""
    requests = []
    for number, step in enumerate(steps):
        requests.append((Stream.DESCRIPTOR, IMAGE + FIRST + DESCRIPTOR_BYTES * number, CONFIG.descriptor_beats))
        if step["opcode"] == Opcode.LOAD_INPUT:
            requests.append((Stream.INPUT, INPUT + step["index_offset"], step["tile_beats"]))
        elif step["opcode"] == Opcode.LOAD_MAP:
            requests.append((Stream.MAP, SCRATCH + step["index_offset"], step["tile_beats"]))
        elif step["opcode"] != Opcode.STORE_MAP:
            if step["codebook"]:
                requests.append((Stream.CODEBOOK, IMAGE + step["codebook_offset"], step["codebook_beats"]))
            for tile in range(step["tiles"]):
                params = IMAGE + step["params_offset"] + tile * CONFIG.params_beats * CONFIG.axi_bytes
                requests.append((Stream.PARAMS, params, CONFIG.params_beats))
                if not (step["resident"] and (keep or step["reuse_weights"])):
                    index = IMAGE + step["index_offset"] + tile * step["tile_beats"] * CONFIG.axi_bytes
                    requests.append((Stream.INDEX, index, step["tile_beats"]))
    return requests


class Run:
    """A fetcher between a memory that answers in order and an engine that runs its descriptors."""

    def __init__(self, steps: list[dict[str, int]], *, seed: int, stall: float, keep: bool):
        self.steps, self.dut, self.draw = steps, Fetcher(CONFIG), random.Random(seed)
        self.bench = Bench(self.dut, seed=seed, stall=stall)
        self.requests: list[tuple[int, int, int]] = []
        self.waiting: deque[tuple[int, int, int]] = deque()
        self.held = {Stream.PARAMS: 0, Stream.INDEX: 0}  # tiles asked for and not yet let go
        self.keep = keep

    async def memory(self, ctx):
        dut = self.dut
        while True:
            ctx.set(dut.o_request.ready, not self.bench.pause() and len(self.waiting) < 4)
            _, _, valid, ready, request = await ctx.tick().sample(dut.o_request.valid, dut.o_request.ready,
                                                                  dut.o_request.payload)
            if valid and ready:
                asked = (int(request.stream), int(request.address), int(request.length) + 1)
                self.requests.append(asked)
                self.waiting.append(asked)
                if asked[0] in self.held:
                    self.held[asked[0]] += 1
                    assert self.held[asked[0]] <= 2, "asked for a third tile"

    async def answer(self, ctx):
        dut, described = self.dut, 0
        for stream in (dut.o_params, dut.o_weights, dut.o_codebook, dut.o_input, dut.o_map):
            ctx.set(stream.ready, 1)
        while True:
            if not self.waiting:
                await ctx.tick()
                continue
            stream, _, beats = self.waiting.popleft()
            word = 0
            if stream == Stream.DESCRIPTOR:
                word, described = DESCRIPTOR.pack(self.steps[described]), described + 1
            for beat in range(beats):
                data = word >> CONFIG.axi_data_bits * beat & (1 << CONFIG.axi_data_bits) - 1
                await self.bench.offer(ctx, dut.i_data, {"data": data, "stream": stream, "last": beat == beats - 1})

    async def pulse(self, ctx, signal):
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def engine(self, ctx):
        dut = self.dut
        for name, value in (("image_address", IMAGE), ("descriptor_offset", FIRST), ("input_address", INPUT),
                            ("scratch_address", SCRATCH), ("keep_weights", self.keep)):
            ctx.set(getattr(dut, f"i_{name}"), value)
        await self.pulse(ctx, dut.i_start)
        for step in self.steps:
            while not ctx.get(dut.o_descriptor_valid):
                await ctx.tick()
            assert {name: int(dut_field) for name, dut_field in
                    ((field.name, ctx.get(dut.o_descriptor[field.name])) for field in DESCRIPTOR.fields)} == step
            await self.pulse(ctx, dut.i_descriptor_take)
            if step["opcode"] not in (Opcode.CONV, Opcode.CLASSIFY):
                await ctx.tick().repeat(self.draw.randrange(1, 9))
                continue
            kept = step["resident"] and (self.keep or step["reuse_weights"])
            for _ in range(step["tiles"]):
                while not ctx.get(dut.o_tile_ready):
                    await ctx.tick()
                await self.pulse(ctx, dut.i_tile_take)
                await ctx.tick().repeat(self.draw.randrange(1, 9))
                self.held[Stream.PARAMS] -= 1
                await self.pulse(ctx, dut.i_params_take)
                await ctx.tick().repeat(self.draw.randrange(1, 9))
                self.held[Stream.INDEX] -= not kept
                await self.pulse(ctx, dut.i_release)
        await ctx.tick().repeat(20)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("name", SCHEDULES)
def test_requests_are_those_of_the_descriptors(name, stall, keep, seed=8):
    height, schedule = SCHEDULES[name]
    steps = steps_of(height, schedule)
    run = Run(steps, seed=seed, stall=stall, keep=keep)
    run.bench.watch(run.memory)
    run.bench.watch(run.answer)
    run.bench.run(run.engine)
    by_stream = {stream: [request for request in run.requests if request[0] == stream] for stream in Stream}
    expected = expected_requests(steps, keep=keep)
    assert by_stream == {stream: [request for request in expected if request[0] == stream] for stream in Stream}
    assert sorted(run.requests) == sorted(expected)
    assert (name == "maps on chip") != bool(by_stream[Stream.MAP])


@pytest.mark.parametrize(("fields", "error"), [({"opcode": 0}, ErrorCode.OPCODE), ({"opcode": 6}, ErrorCode.OPCODE),
                                               ({"tiles": 0}, ErrorCode.UNSUPPORTED),
                                               ({"load_membranes": 1}, ErrorCode.UNSUPPORTED)])
def test_a_refused_descriptor_stops_the_walk(fields, error, seed=3):
    steps = steps_of(6, Schedule())
    steps[1] |= fields
    run = Run(steps, seed=seed, stall=0.2, keep=False)

    async def wait(ctx):
        ctx.set(run.dut.i_image_address, IMAGE)
        await run.pulse(ctx, run.dut.i_start)
        while not ctx.get(run.dut.o_descriptor_valid):
            await ctx.tick()
        await run.pulse(ctx, run.dut.i_descriptor_take)
        await ctx.tick().repeat(200)
        assert ctx.get(run.dut.o_error) == error
        assert not ctx.get(run.dut.o_descriptor_valid)

    run.bench.watch(run.memory)
    run.bench.watch(run.answer)
    run.bench.run(wait)
    assert [stream for stream, _, _ in run.requests] == [Stream.DESCRIPTOR, Stream.INPUT, Stream.DESCRIPTOR]
