"""RegisterFile against the register map of the spec, register by register, over a stalling AXI4-Lite master.

A seed is in its test's name.
"""

import random
from collections.abc import Awaitable, Callable

import pytest
from amaranth.sim import Simulator, SimulatorContext

from s2nn.hw.rtl.registers import VALUES, RegisterFile
from s2nn.hw.spec.config import TINY, ULX3S
from s2nn.hw.spec.registers import ADDRESS_BITS, COUNTERS, IDENTITY, OFFSET, REGISTERS, VERSION, ErrorCode

OKAY, SLVERR = 0, 2
START, INTERRUPT_ENABLE = 1, 2  # control
BUSY, DONE, ERROR = 1, 2, 4  # status
COUNTER_VALUES = [0x0101_0101 * (index + 1) + (index << 28) & 0xFFFF_FFFF for index in range(len(COUNTERS))]
HOLES = [offset for offset in range(0, 1 << ADDRESS_BITS, 4) if offset not in OFFSET.values()]


class Host:
    """An AXI4-Lite master; every channel pauses with the given chance before it offers or takes something."""

    def __init__(self, dut: RegisterFile, ctx: SimulatorContext, *, seed: int = 0, stall: float = 0.0) -> None:
        self.dut, self.bus, self.ctx = dut, dut.axi, ctx
        self.random, self.stall = random.Random(seed), stall
        self.starts = self.cycle = 0

    async def tick(self) -> None:
        self.starts += self.ctx.get(self.dut.o_start)
        self.cycle += 1
        await self.ctx.tick()

    def pauses(self) -> int:
        """Cycles to pause: geometric."""
        cycles = 0
        while self.random.random() < self.stall:
            cycles += 1
        return cycles

    async def read(self, offset: int) -> tuple[int, int]:
        """(data, response)."""
        data, response, _, _ = await self.access(read=offset)
        return data, response

    async def write(self, offset: int, data: int, strobes: int = 0xF, *, aw_delay: int = 0, w_delay: int = 0) -> int:
        """The response."""
        return (await self.access(write=(offset, data, strobes), aw_delay=aw_delay, w_delay=w_delay))[2]

    async def access(self, *, read: int | None = None, write: tuple[int, int, int] | None = None, aw_delay: int = 0,
                     w_delay: int = 0) -> tuple[int, int, int, int]:
        """A read and a write side by side: (read data, read response, write response, cycles)."""
        ctx, bus, began = self.ctx, self.bus, self.cycle
        waits = {"ar": self.pauses(), "aw": self.pauses() + aw_delay, "w": self.pauses() + w_delay,
                 "r": self.pauses(), "b": self.pauses()}
        open_channels = ({"ar", "r"} if read is not None else set()) | ({"aw", "w", "b"} if write else set())
        held: dict[str, tuple[int, ...]] = {}
        result = {"r": (0, 0), "b": (0,)}
        ctx.set(bus.araddr, read or 0)
        if write:
            ctx.set(bus.awaddr, write[0])
            ctx.set(bus.wdata, write[1])
            ctx.set(bus.wstrb, write[2])
        while open_channels:
            for channel, valid, ready in (("ar", bus.arvalid, bus.arready), ("aw", bus.awvalid, bus.awready),
                                          ("w", bus.wvalid, bus.wready)):
                offered = channel in open_channels and waits[channel] == 0
                ctx.set(valid, offered)
                waits[channel] = max(0, waits[channel] - 1)
                if offered and ctx.get(ready):
                    open_channels.remove(channel)
            for channel, valid, ready, payload in (("r", bus.rvalid, bus.rready, (bus.rdata, bus.rresp)),
                                                   ("b", bus.bvalid, bus.bready, (bus.bresp,))):
                there = ctx.get(valid)
                assert not there or channel in open_channels, f"{channel}: a response that nobody asked for"
                values = tuple(ctx.get(signal) for signal in payload)
                assert channel not in held or (there and held[channel] == values), f"{channel}: changed while it waited"
                ctx.set(ready, waits[channel] == 0)
                if there and waits[channel] == 0:
                    open_channels.remove(channel)
                    result[channel] = values
                    held.pop(channel, None)
                elif there:
                    held[channel] = values
                    waits[channel] -= 1
            await self.tick()
        for signal in (bus.arvalid, bus.awvalid, bus.wvalid, bus.rready, bus.bready):
            ctx.set(signal, 0)
        return *result["r"], *result["b"], self.cycle - began


def run(script: Callable[[Host], Awaitable[None]], *, seed: int = 0, stall: float = 0.0) -> None:
    dut = RegisterFile(TINY)

    async def testbench(ctx: SimulatorContext) -> None:
        ctx.set(dut.i_counters, COUNTER_VALUES)
        await script(Host(dut, ctx, seed=seed, stall=stall))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_every_register_reads_its_value(stall: float) -> None:
    async def script(host: Host) -> None:
        ctx, dut = host.ctx, host.dut
        ctx.set(dut.i_busy, 1)
        ctx.set(dut.i_error_code, ErrorCode.WRITE_RESPONSE)
        ctx.set(dut.i_layer, 0xA5)
        expected = {
            "identity": IDENTITY, "version": VERSION,
            "config_digest_low": int.from_bytes(TINY.digest[:4], "little"),
            "config_digest_high": int.from_bytes(TINY.digest[4:], "little"),
            "control": 0, "status": BUSY | ERROR, "error": ErrorCode.WRITE_RESPONSE, "layer": 0xA5,
            **dict.fromkeys(VALUES, 0), **dict(zip(COUNTERS, COUNTER_VALUES, strict=True)),
        }
        assert set(expected) == set(OFFSET)
        for name, value in expected.items():
            assert await host.read(OFFSET[name]) == (value, OKAY), name

    run(script, seed=1, stall=stall)


def test_digest_names_the_configuration() -> None:
    assert TINY.digest != ULX3S.digest


def test_unknown_addresses_answer_with_an_error() -> None:
    async def script(host: Host) -> None:
        for offset in HOLES:
            assert await host.read(offset) == (0, SLVERR), hex(offset)
            assert await host.write(offset, 0xFFFF_FFFF) == SLVERR, hex(offset)
        assert host.starts == 0
        assert await host.read(OFFSET["control"]) == (0, OKAY)

    run(script)


def test_write_changes_exactly_the_writable_register() -> None:
    async def script(host: Host) -> None:
        for register in REGISTERS:
            before = {other.name: (await host.read(other.offset))[0] for other in REGISTERS[:12]}
            response = await host.write(register.offset, 0x89AB_CDE8)  # neither start nor clear
            assert response == (OKAY if register.access == "rw" else SLVERR), register.name
            if register.name in VALUES:
                before[register.name] = 0x89AB_CDE8
                assert host.ctx.get(getattr(host.dut, f"o_{register.name}")) == 0x89AB_CDE8
            for other in REGISTERS[:12]:
                assert await host.read(other.offset) == (before[other.name], OKAY), (register.name, other.name)
        assert host.starts == 0

    run(script)


@pytest.mark.parametrize("name", VALUES)
def test_strobes_choose_the_bytes(name: str) -> None:
    async def script(host: Host) -> None:
        value = 0
        for strobes in range(16):
            data = 0x1020_3040 + 0x0101_0101 * strobes
            assert await host.write(OFFSET[name], data, strobes) == OKAY
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobes >> byte & 1)
            value = value & ~mask | data & mask
            assert await host.read(OFFSET[name]) == (value, OKAY), strobes

    run(script)


@pytest.mark.parametrize(("aw_delay", "w_delay"), [(0, 0), (0, 1), (1, 0), (0, 7), (7, 0)])
def test_address_and_data_come_in_any_order(aw_delay: int, w_delay: int) -> None:
    async def script(host: Host) -> None:
        for index, name in enumerate(VALUES):
            assert await host.write(OFFSET[name], 0xC0DE + index, aw_delay=aw_delay, w_delay=w_delay) == OKAY
        for index, name in enumerate(VALUES):
            assert await host.read(OFFSET[name]) == (0xC0DE + index, OKAY)

    run(script)


def test_latency_is_as_documented() -> None:
    async def script(host: Host) -> None:
        assert (await host.access(read=0))[3] == 3 + 1  # the cycle of the address and three more
        assert (await host.access(write=(OFFSET["control"], 0, 15)))[3] == 2 + 1

    run(script)


def test_writes_follow_each_other_every_other_cycle() -> None:
    async def script(host: Host) -> None:
        ctx, bus = host.ctx, host.bus
        for signal in (bus.awvalid, bus.wvalid, bus.bready):
            ctx.set(signal, 1)
        ctx.set(bus.awaddr, OFFSET["input_address"])
        ctx.set(bus.wstrb, 0xF)
        responses = 0
        for _ in range(21):
            responses += ctx.get(bus.bvalid)
            await host.tick()
        assert responses == 10

    run(script)


@pytest.mark.parametrize("stall", [0.0, 0.5, 0.9])
def test_next_write_waits_for_the_response_of_the_last(stall: float) -> None:
    draw = random.Random(5)
    # Even ones are refused, so that a lost or doubled response shows.
    writes = [(OFFSET[draw.choice(VALUES) if index % 2 else "identity"], index) for index in range(20)]

    async def script(host: Host) -> None:
        ctx, bus = host.ctx, host.bus
        taken = {"aw": 0, "w": 0}
        responses, values = [], dict.fromkeys(VALUES, 0)
        ctx.set(bus.wstrb, 0xF)
        while len(responses) < len(writes):
            for channel, valid, ready in (("aw", bus.awvalid, bus.awready), ("w", bus.wvalid, bus.wready)):
                offered = taken[channel] < len(writes)  # the next one at once, whatever the response channel does
                ctx.set(valid, offered)
                if offered:
                    ctx.set(*((bus.awaddr, writes[taken["aw"]][0]) if channel == "aw" else
                              (bus.wdata, writes[taken["w"]][1])))
                    taken[channel] += ctx.get(ready)
            ctx.set(bus.bready, draw.random() >= stall)
            if ctx.get(bus.bvalid) and ctx.get(bus.bready):
                responses.append(ctx.get(bus.bresp))
            await host.tick()
            assert host.cycle < 1000
        assert responses == [SLVERR, OKAY] * 10
        values.update((name, data) for offset, data in writes for name in VALUES if OFFSET[name] == offset)
        for name, value in values.items():
            assert ctx.get(getattr(host.dut, f"o_{name}")) == value

    run(script)


@pytest.mark.parametrize("seed", range(3))
def test_reads_and_writes_side_by_side(seed: int) -> None:
    draw = random.Random(4000 + seed)

    async def script(host: Host) -> None:
        values = dict.fromkeys(VALUES, 0)
        for _ in range(60):
            target, data, strobes = draw.choice(VALUES), draw.getrandbits(32), draw.randrange(16)
            other = draw.choice([name for name in VALUES if name != target])
            read, read_response, write_response, _ = await host.access(
                read=OFFSET[other], write=(OFFSET[target], data, strobes), aw_delay=draw.randrange(3))
            assert (read, read_response, write_response) == (values[other], OKAY, OKAY)
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobes >> byte & 1)
            values[target] = values[target] & ~mask | data & mask

    run(script, seed=seed, stall=0.5)


@pytest.mark.parametrize(("busy", "data", "strobes", "starts"), [
    (0, START, 0xF, 1), (0, START, 0x1, 1), (0, START, 0xE, 0), (1, START, 0xF, 0), (0, 0, 0xF, 0), (0, ~START, 0xF, 0),
])
def test_start(busy: int, data: int, strobes: int, starts: int) -> None:
    async def script(host: Host) -> None:
        host.ctx.set(host.dut.i_busy, busy)
        assert await host.write(OFFSET["control"], data & 0xFFFF_FFFF, strobes) == OKAY
        for _ in range(4):
            await host.tick()
        assert host.starts == starts  # cycles in which o_start was high
        assert (await host.read(OFFSET["control"]))[0] & START == 0

    run(script)


def test_no_second_start_before_busy_rises() -> None:
    async def script(host: Host) -> None:
        ctx, dut = host.ctx, host.dut
        for signal in (dut.axi.awvalid, dut.axi.wvalid, dut.axi.bready):
            ctx.set(signal, 1)
        ctx.set(dut.axi.awaddr, OFFSET["control"])
        ctx.set(dut.axi.wdata, START)
        ctx.set(dut.axi.wstrb, 0xF)
        for _ in range(12):  # start is written every other cycle
            started = ctx.get(dut.o_start)
            await host.tick()
            ctx.set(dut.i_busy, started | ctx.get(dut.i_busy))
        assert host.starts == 1

    run(script)


async def pulse_done(host: Host) -> None:
    host.ctx.set(host.dut.i_done, 1)
    await host.tick()
    host.ctx.set(host.dut.i_done, 0)


def test_done_interrupts_until_cleared() -> None:
    async def script(host: Host) -> None:
        ctx, dut = host.ctx, host.dut
        await pulse_done(host)
        assert await host.read(OFFSET["status"]) == (DONE, OKAY)
        assert not ctx.get(dut.o_irq), "not enabled"
        await host.write(OFFSET["control"], INTERRUPT_ENABLE)
        assert ctx.get(dut.o_irq), "enabling shows a done that is already there"
        for data, strobes in ((BUSY | ERROR, 0xF), (DONE, 0xE)):  # neither clears
            await host.write(OFFSET["status"], data, strobes)
            assert ctx.get(dut.o_irq)
        await host.write(OFFSET["status"], DONE, 0x1)
        assert not ctx.get(dut.o_irq)
        assert await host.read(OFFSET["status"]) == (0, OKAY)
        assert await host.read(OFFSET["control"]) == (INTERRUPT_ENABLE, OKAY)

    run(script)


def test_start_clears_done_and_an_ignored_start_does_not() -> None:
    async def script(host: Host) -> None:
        ctx, dut = host.ctx, host.dut
        await host.write(OFFSET["control"], INTERRUPT_ENABLE)
        await pulse_done(host)
        ctx.set(dut.i_busy, 1)
        await host.write(OFFSET["control"], INTERRUPT_ENABLE | START)
        assert ctx.get(dut.o_irq)
        ctx.set(dut.i_busy, 0)
        await host.write(OFFSET["control"], INTERRUPT_ENABLE | START)
        assert not ctx.get(dut.o_irq)
        assert host.starts == 1
        assert await host.read(OFFSET["control"]) == (INTERRUPT_ENABLE, OKAY), "a start leaves the enable alone"

    run(script)


def test_done_wins_over_clear() -> None:
    async def script(host: Host) -> None:
        ctx, dut = host.ctx, host.dut
        ctx.set(dut.i_done, 1)
        await host.write(OFFSET["status"], DONE)
        ctx.set(dut.i_done, 0)
        assert await host.read(OFFSET["status"]) == (DONE, OKAY)

    run(script)
