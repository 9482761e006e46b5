"""NeuronArray equals `semantics.lif_step`, tile by tile and chunk by chunk. A seed is in its test's name."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from s2nn.hw.rtl.layouts import Tags
from s2nn.hw.rtl.neuron import NeuronArray
from s2nn.hw.spec.config import PIXEL_BITS, TINY, AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import GAIN_SHIFT_UNIT, KEEP_SHIFTS, Opcode, Residual
from s2nn.hw.spec.semantics import kept_current, lif_step, shortcut_current
from tests.rtl.layers import blank_descriptor
from tests.rtl.streams import Bench

CONFIG = replace(TINY, membrane_words=16)
SHORTCUTS = replace(CONFIG, current_bits=5)
ONE_LANE, EIGHT = replace(CONFIG, time_lanes=1, max_chunks=8), replace(CONFIG, time_lanes=8)
TILES, POSITIONS = 2, 3


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a layer does. cut : it is run chunk by chunk, its membranes in the buffer in between. adds, keeps : what it
    does with currents."""

    steps: int = 4
    image: bool = False
    classify: bool = False
    soft: bool = False
    cut: bool = False
    adds: bool = False
    keeps: bool = False


KINDS = {
    "one step": Kind(steps=1), "whole chunks": Kind(), "a chunk cut short": Kind(steps=5),
    "soft reset": Kind(soft=True),
    "image": Kind(image=True), "image, a chunk cut short": Kind(image=True, steps=3), "classifier": Kind(classify=True),
    "chunk by chunk": Kind(steps=5, cut=True), "image, chunk by chunk": Kind(image=True, steps=5, cut=True),
    "classifier, chunk by chunk": Kind(classify=True, steps=5, cut=True),
}


SHORTCUT_KINDS = {
    "adds": Kind(adds=True), "adds, one step": Kind(steps=1, adds=True), "keeps": Kind(keeps=True),
    "adds, keeps, a chunk cut short": Kind(steps=5, adds=True, keeps=True),
    "image, keeps": Kind(image=True, keeps=True),
    "image, keeps, a chunk cut short": Kind(image=True, steps=3, keeps=True),
    "adds, soft reset": Kind(adds=True, soft=True, steps=3),
    "adds, keeps, chunk by chunk": Kind(steps=5, adds=True, keeps=True, cut=True),
}


class Layer:
    """Random sums and parameters, and what must come of them."""

    def __init__(self, config: AcceleratorConfig, kind: Kind, seed: int):
        self.config, self.kind, rng = config, kind, np.random.default_rng(seed)
        self.tiles = 1 if kind.classify else TILES
        self.positions = 1 if kind.classify else POSITIONS
        self.chunks = ceil_div(kind.steps, config.time_lanes)
        # Accumulators by time step, or by bit plane of an image; totals are counted once for all lanes.
        planes = PIXEL_BITS if kind.image else self.chunks * config.time_lanes
        self.sums = rng.integers(-40, 60, (self.tiles, self.positions, planes, config.lanes))
        self.totals = rng.integers(40, 80, (self.tiles, self.positions, planes))
        scale = 1 << PIXEL_BITS if kind.image else 1 << config.fraction_bits
        self.theta = rng.integers(1, 60, (self.tiles, config.lanes)) * scale
        self.bias = rng.integers(-10, 20, (self.tiles, config.lanes)) * scale
        self.negate = rng.random((self.tiles, config.lanes)) < 0.3
        self.missing = rng.random((self.tiles, config.lanes)) < 0.2
        self.leak = 1 << config.leak_bits if kind.classify else int(rng.integers(100, 1 << config.leak_bits))
        # Added currents of all steps, gains that bring them near the sums, shifts at which some are clamped.
        bits = max(config.current_bits, 1)
        shape = (self.tiles, self.positions, self.chunks * config.time_lanes, config.lanes)
        self.added = rng.integers(-(1 << bits - 1), 1 << bits - 1, shape)
        self.added[:, :, kind.steps:] = 0
        self.gain = rng.integers(0, scale // 2 << 2 * GAIN_SHIFT_UNIT, (self.tiles, config.lanes)).clip(0, 65535)
        self.gain[:, 0] = 65535
        self.gain_shift = 2 * GAIN_SHIFT_UNIT
        self.keep_shift = rng.integers(1, 14 if kind.image else 9, (self.tiles, config.lanes))

    def runs(self) -> list[range]:
        """Output chunks of each run of the layer."""
        return [range(c, c + 1) for c in range(self.chunks)] if self.kind.cut else [range(self.chunks)]

    def descriptor(self, chunks: range) -> dict[str, int]:
        t = self.config.time_lanes
        return dict(blank_descriptor(
            opcode=Opcode.CLASSIFY if self.kind.classify else Opcode.CONV, image_input=self.kind.image,
            residual=Residual.CURRENT if self.kind.adds else Residual.NONE, keep_current=int(self.kind.keeps),
            gain_shift=self.gain_shift // GAIN_SHIFT_UNIT, soft_reset=self.kind.soft, leak=self.leak,
            steps=min(self.kind.steps - chunks.start * t, len(chunks) * t),
            load_membranes=int(chunks.start > 0), store_membranes=int(chunks.stop < self.chunks)))

    def params(self, tile: int) -> list[dict[str, int]]:
        columns = {"bias": self.bias[tile], "excess_bias": self.bias[tile] - self.theta[tile],
                   "negate": self.negate[tile], "no_channel": self.missing[tile]}
        if self.config.current_bits:
            columns |= {"gain": self.gain[tile], "keep_shift": self.keep_shift[tile] - KEEP_SHIFTS[0]}
        return [{name: int(values[lane]) for name, values in columns.items()} for lane in range(self.config.lanes)]

    def currents(self, chunks: range) -> list[int]:
        """Planes of the currents that are added, in the order of the loop nest."""
        return [word for tile, position, chunk in np.ndindex(self.tiles, self.positions, len(chunks))
                for word in self._planes(self._of_chunk(self.added[tile, position], chunks[chunk]))]

    def _of_chunk(self, values: np.ndarray, chunk: int) -> np.ndarray:
        return values[chunk * self.config.time_lanes:(chunk + 1) * self.config.time_lanes]

    def _planes(self, values: np.ndarray) -> list[int]:
        """Words of the bits of (time lanes, lanes) integers, the lowest first."""
        return [_word(values >> plane & 1) for plane in range(self.config.current_bits)]

    def plan(self, chunks: range) -> list[dict[str, object]]:
        """Sums in the order of the loop nest."""
        t, found = self.config.time_lanes, []
        parts = range(self.config.pixel_chunks) if self.kind.image else chunks
        for tile, position, part in np.ndindex(self.tiles, self.positions, len(parts)):
            steps = slice(parts[part] * t, (parts[part] + 1) * t)
            total, sums = self.totals[tile, position, steps], self.sums[tile, position, steps]  # (t,), (t, lanes)
            found.append({"raised": (sums + total[:, None]).T.tolist(), "total": total.tolist(), "tags": _tags(
                emit=1, first_chunk=int(part == 0), last_chunk=int(part == len(parts) - 1),
                tile_first=int(position == 0 and part == 0))})
        return found

    def expected(self) -> tuple[list[list[int]], list[int]]:
        """Reference: words of spikes by run of the layer, and the logits."""
        config, kind = self.config, self.kind
        words: dict[int, list[int]] = {}
        logits: list[int] = []
        for tile, position in np.ndindex(self.tiles, self.positions):
            sign = np.where(self.negate[tile], -1, 1)
            v = np.zeros(config.lanes, dtype=np.int64)
            sums = self.sums[tile, position]
            if kind.image:
                current = sum(int(1 << PIXEL_BITS - 1 - plane) * sums[plane] for plane in range(PIXEL_BITS))
                currents = [sign * current + self.bias[tile]] * kind.steps
            else:
                shift = 0 if kind.classify else config.fraction_bits
                currents = [sign * (one << shift) + self.bias[tile] for one in sums[:kind.steps]]
            spikes = np.zeros((self.chunks * config.time_lanes, config.lanes), dtype=bool)
            kept = np.zeros(spikes.shape, dtype=np.int64)
            for step, current in enumerate(currents):
                if kind.adds:
                    added = self.added[tile, position, step]
                    current = current + shortcut_current(added, self.gain[tile], self.gain_shift)
                if kind.keeps:
                    own = kept_current(current, self.keep_shift[tile], config.current_bits)
                    kept[step] = np.where(self.missing[tile], 0, own)
                theta = np.full(config.lanes, 1 << 40) if kind.classify else \
                    np.where(self.missing[tile], 1 << 40, self.theta[tile])
                v, spikes[step] = lif_step(v, current, theta=theta, leak_factor=self.leak, leak_bits=config.leak_bits,
                                           soft_reset=kind.soft)
            logits = v.tolist()
            for chunk in range(self.chunks):
                run = words.setdefault(chunk if kind.cut else 0, [])
                run.append(_word(self._of_chunk(spikes, chunk)))
                if kind.keeps:
                    run += self._planes(self._of_chunk(kept, chunk))
        return ([] if kind.classify else [words[run] for run in sorted(words)]), logits if kind.classify else []


def _word(bits: np.ndarray) -> int:
    """Bits (time lanes, lanes) as the array sends them."""
    return sum(int(bits[t, lane]) << lane * len(bits) + t for t, lane in np.ndindex(*bits.shape))


def _tags(**fixed: int) -> dict[str, int]:
    return {name: 0 for name, _ in Tags} | fixed


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("config", [CONFIG, ONE_LANE, EIGHT], ids=["2 time lanes", "1 time lane", "8 time lanes"])
def test_neurons_equal_the_semantics(config, kind, stall, seed=9):
    hold(Layer(config, kind, seed), stall, seed)


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("kind", [*SHORTCUT_KINDS.values(), KINDS["whole chunks"], KINDS["image"], KINDS["classifier"]],
                         ids=[*SHORTCUT_KINDS, "plain", "plain image", "plain classifier"])
@pytest.mark.parametrize("config", [SHORTCUTS, replace(SHORTCUTS, time_lanes=1, max_chunks=8, current_bits=8)],
                         ids=["2 time lanes", "1 time lane"])
def test_shortcuts_equal_the_semantics(config, kind, stall, seed=10):
    hold(Layer(config, kind, seed), stall, seed)


def hold(layer, stall, seed):
    config, kind = layer.config, layer.kind
    words, logits = layer.expected()
    dut = NeuronArray(config)
    bench = Bench(dut, seed=seed, stall=stall)
    got = bench.get(dut.o, sum(map(len, words)))
    beats = bench.get(dut.o_logits, config.logits_beats if kind.classify else 0)
    begun: list[range] = []
    counts = {"read": 0, "write": 0, "update": 0}

    async def feed(ctx):
        for chunks in layer.runs():
            free = True  # the array's own register of o_ready_next
            ctx.set(dut.i_descriptor, layer.descriptor(chunks))
            ctx.set(dut.i_start, 1)
            await ctx.tick()
            begun.append(chunks)
            ctx.set(dut.i_start, 0)
            await ctx.tick().repeat(3)
            for sums in layer.plan(chunks):
                while bench.pause():
                    _, _, free = await ctx.tick().sample(dut.o_ready_next)
                ctx.set(dut.i_valid, 1)
                ctx.set(dut.i, sums)
                taken = False
                while not taken:
                    taken = free
                    _, _, free = await ctx.tick().sample(dut.o_ready_next)
                ctx.set(dut.i_valid, 0)
            await ctx.tick().until(~dut.o_busy)

    async def give_currents(ctx):
        for number, chunks in enumerate(layer.runs() if kind.adds else []):
            while len(begun) <= number:
                await ctx.tick()
            for word in layer.currents(chunks):
                await bench.offer(ctx, dut.i_currents, word)

    async def give_params(ctx):
        for _ in layer.runs():
            for tile in range(layer.tiles):
                while bench.pause():
                    await ctx.tick()
                ctx.set(dut.i_params, layer.params(tile))
                ctx.set(dut.i_params_valid, 1)
                await ctx.tick().until(dut.o_params_take)
                ctx.set(dut.i_params_valid, 0)

    async def count(ctx):
        async for _, _, read, write, update in ctx.tick().sample(dut.o_membrane_read, dut.o_membrane_write,
                                                                  dut.o_update):
            for name, happened in (("read", read), ("write", write), ("update", update)):
                counts[name] += happened

    bench.watch(count)
    bench.run(feed, give_params, give_currents)
    assert got == [word for run in words for word in run]
    flat = sum(beat << config.axi_data_bits * k for k, beat in enumerate(beats))
    assert [flat >> 32 * lane & 0xFFFF_FFFF for lane in range(len(logits))] == [value & 0xFFFF_FFFF for value in logits]
    visits = layer.tiles * layer.positions
    between = layer.chunks - 1 if kind.cut else 0
    assert counts == {"read": visits * between, "write": visits * between, "update": visits * kind.steps}
    assert kind.classify or any(any(run) for run in words)
