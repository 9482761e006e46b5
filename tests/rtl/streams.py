"""A bench with the two verbs of a stream, put and get, both with random pauses."""

import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from amaranth.hdl import Elaboratable, Value
from amaranth.lib import data
from amaranth.sim import Simulator, SimulatorContext

Testbench = Callable[[SimulatorContext], Awaitable[None]]


class Bench:
    """A component under test. What is added runs side by side; `run` ends with the last of it.

    Parameters
    ----------
    seed, stall : of the pauses on either side of a stream, and their chance in each cycle.
    limit : cycles after which the component counts as hung.

    Members
    -------
    cycles : so far.
    """

    def __init__(self, dut: Elaboratable, *, seed: int = 0, stall: float = 0.0, limit: int = 20_000) -> None:
        self.dut, self.stall, self.draw, self.cycles = dut, stall, random.Random(seed), 0
        self._simulator = Simulator(dut)
        self._simulator.add_clock(1e-8)
        self._simulator.add_testbench(self._watch(limit), background=True)

    def pause(self) -> bool:
        """Whether to do nothing in this cycle."""
        return self.draw.random() < self.stall

    def add(self, testbench: Testbench) -> None:
        """Run this too."""
        self._simulator.add_testbench(testbench)

    def watch(self, testbench: Testbench) -> None:
        """Run this too, but do not wait for its end."""
        self._simulator.add_testbench(testbench, background=True)

    def run(self, *testbenches: Testbench) -> None:
        for testbench in testbenches:
            self.add(testbench)
        self._simulator.run()

    def put(self, stream: Any, payloads: Iterable[Any]) -> None:
        """Offer these payloads one after the other."""
        async def testbench(ctx: SimulatorContext) -> None:
            for payload in payloads:
                await self.offer(ctx, stream, payload)
        self.add(testbench)

    async def offer(self, ctx: SimulatorContext, stream: Any, payload: Any) -> None:
        """Put one payload, after pauses."""
        while self.pause():
            await ctx.tick()
        ctx.set(stream.valid, 1)
        ctx.set(stream.payload, payload)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)

    def get(self, stream: Any, count: int) -> list[Any]:
        """The list that will hold this many payloads, as `plain` values. A payload must not change while it waits."""
        got: list[Any] = []
        bits = Value.cast(stream.payload)

        async def testbench(ctx: SimulatorContext) -> None:
            held: int | None = None
            while len(got) < count:
                ready = not self.pause()
                ctx.set(stream.ready, ready)
                _, _, valid, payload = await ctx.tick().sample(stream.valid, bits)
                assert held is None or (valid and payload == held), f"payload {len(got)} changed while it waited"
                held = payload if valid and not ready else None
                if valid and ready:
                    got.append(plain(stream.payload.shape(), payload))
            ctx.set(stream.ready, 0)
        self.add(testbench)
        return got

    def _watch(self, limit: int) -> Testbench:
        async def testbench(ctx: SimulatorContext) -> None:
            for _ in range(limit):
                await ctx.tick()
                self.cycles += 1
            raise AssertionError(f"nothing more happens for {limit} cycles")
        return testbench


def plain(shape: Any, bits: int) -> Any:
    """A value of that shape as integers in lists and dictionaries.

    >>> plain(data.StructLayout({"a": 1, "b": data.ArrayLayout(2, 2)}), 0b11_01_1)
    {'a': 1, 'b': [1, 3]}
    """
    if not isinstance(shape, data.Layout):
        return bits
    parts = {key: plain(field.shape, bits >> field.offset & (1 << field.width) - 1) for key, field in shape}
    return list(parts.values()) if isinstance(shape, data.ArrayLayout) else parts
