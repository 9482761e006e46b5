"""The AXI memory refuses a master that breaks a rule, at once and with the rule, the value and the channel."""

import cocotb
from cocotb.task import Task
from cocotb.triggers import ClockCycles, RisingEdge

from s2nn.hw.sim.axi import AxiStalls
from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.tb.axi_driver import CLOCK_PERIOD_PS, bus_bytes, offer_read, reset_with, set_address, start_clock
from s2nn.hw.tb.axi_memory import AxiMemory

TIMEOUT_US = 10
STALLED = [True] * 20


async def _start(dut, **options) -> tuple[AxiMemory, Task]:
    """A memory without a master, and a task that returns what the memory refused."""
    start_clock(dut)
    memory = await reset_with(dut, **{"stalls": AxiStalls()} | options)
    return memory, cocotb.start_soon(_refusal(memory))


async def _refusal(memory: AxiMemory) -> SimulationError:
    try:
        await memory.watching
    except SimulationError as error:
        return error
    raise AssertionError("a memory watches until it refuses")


async def _expect(refusal: Task, *, field: str, rule: str, value: str):
    error = await refusal
    assert (error.source, error.field, error.value) == ("axi", field, value), error
    assert error.rule.startswith(rule), error


def refusal_test(function):
    """A test that a memory which refuses nothing ends by its timeout."""
    return cocotb.test(timeout_time=TIMEOUT_US, timeout_unit="us")(function)


@refusal_test
@cocotb.parametrize(channel=["ar", "aw"], burst_type=[0, 2])
async def only_incr_bursts(dut, channel, burst_type):
    """FIXED and WRAP are refused."""
    _, refusal = await _start(dut)
    set_address(dut, channel, address=0, beats=4, burst=burst_type)
    await _expect(refusal, field=channel, rule="a burst must be of type INCR", value=str(burst_type))


@refusal_test
@cocotb.parametrize(channel=["ar", "aw"])
async def a_beat_fits_the_bus(dut, channel):
    """AxSIZE beyond the bus is refused."""
    _, refusal = await _start(dut)
    set_address(dut, channel, address=0, beats=1, size=bus_bytes(dut).bit_length())
    await _expect(refusal, field=channel, rule=f"a beat must fit the bus of {bus_bytes(dut)} bytes",
                  value=str(2 * bus_bytes(dut)))


@refusal_test
async def no_burst_crosses_4_kib(dut):
    """A burst up to the last byte below 4 KiB is served, one beat more is not."""
    memory, refusal = await _start(dut)
    start = 4096 - 8 * bus_bytes(dut)
    await offer_read(dut, address=start, beats=8)
    await RisingEdge(dut.s_axi_rvalid)
    assert memory.counters()["read_bytes"] == 8 * bus_bytes(dut)
    set_address(dut, "ar", address=start, beats=9)
    await _expect(refusal, field="ar", rule="a burst must not cross 4 KiB",
                  value=f"{start:#x}..{4096 + bus_bytes(dut):#x}")


@refusal_test
@cocotb.parametrize(channel=["ar", "aw"], changed=[{"address": 0x40}, {"beats": 2}, {"id": 1}])
async def an_address_holds_until_ready(dut, channel, changed):
    """Address, length and identifier must stay while ready is low."""
    _, refusal = await _start(dut, stalls=AxiStalls(patterns={channel: STALLED}))
    offer = {"address": 0, "beats": 1}
    set_address(dut, channel, **offer)
    await ClockCycles(dut.clk, 2)
    assert not refusal.done()
    set_address(dut, channel, **offer | changed)
    error = await refusal
    assert error.field == channel
    assert error.rule.startswith("the payload must hold until ready: 0x0 ")
    assert error.rule.endswith(" was offered")


@refusal_test
@cocotb.parametrize(channel=["ar", "aw"])
async def an_address_stays_valid_until_ready(dut, channel):
    """Valid must not be withdrawn while ready is low."""
    _, refusal = await _start(dut, stalls=AxiStalls(patterns={channel: STALLED}))
    set_address(dut, channel, address=0, beats=1)
    await ClockCycles(dut.clk, 2)
    getattr(dut, f"s_axi_{channel}valid").value = 0
    await _expect(refusal, field=channel, rule="valid must hold until ready", value="withdrawn")


async def _start_write(dut, *, beats: int = 1, **options) -> Task:
    """A write whose address is taken."""
    _, refusal = await _start(dut, **options)
    set_address(dut, "aw", address=0, beats=beats)
    await RisingEdge(dut.clk)
    dut.s_axi_awvalid.value = 0
    return refusal


def _set_data(dut, *, data: int = 0, strobe: int = 1, last: int = 1):
    dut.s_axi_wdata.value, dut.s_axi_wstrb.value, dut.s_axi_wlast.value = data, strobe, last
    dut.s_axi_wvalid.value = 1


@refusal_test
@cocotb.parametrize(changed=[{"data": 1}, {"strobe": 3}, {"last": 0}])
async def write_data_hold_until_ready(dut, changed):
    """Data, strobes and last must stay while ready is low."""
    refusal = await _start_write(dut, stalls=AxiStalls(patterns={"w": STALLED}))
    _set_data(dut)
    await ClockCycles(dut.clk, 2)
    assert not refusal.done()
    _set_data(dut, **changed)
    error = await refusal
    offered = " ".join(["0x0"] * -(-bus_bytes(dut) // 8) + ["0x1", "0x1"])  # data in words of 64 bits, strobes, last
    assert (error.field, error.rule) == ("w", f"the payload must hold until ready: {offered} was offered")


@refusal_test
async def write_data_stay_valid_until_ready(dut):
    """Valid must not be withdrawn while ready is low."""
    refusal = await _start_write(dut, stalls=AxiStalls(patterns={"w": STALLED}))
    _set_data(dut)
    await ClockCycles(dut.clk, 2)
    dut.s_axi_wvalid.value = 0
    await _expect(refusal, field="w", rule="valid must hold until ready", value="withdrawn")


@refusal_test
@cocotb.parametrize((("beats", "last", "value"), [(2, 1, "1 at beat 1"), (1, 0, "0 at beat 1")]))
async def wlast_marks_the_last_beat(dut, beats, last, value):
    """Neither earlier nor later."""
    refusal = await _start_write(dut, beats=beats)
    _set_data(dut, last=last)
    await _expect(refusal, field="w", rule=f"wlast must mark beat {beats} of the burst", value=value)


@cocotb.test(expect_error=SimulationError)
async def a_wrong_clock_period_is_refused(dut):
    """clock_period_ps must be the clock's; a test that does not wait for the refusal fails by it."""
    start_clock(dut, CLOCK_PERIOD_PS // 2)
    await reset_with(dut)


@cocotb.test(expect_error=SimulationError)
async def a_wrong_bus_width_is_refused(dut):
    """data_bits must be the port's."""
    start_clock(dut)
    await reset_with(dut, data_bits=16 * bus_bytes(dut))


@refusal_test
async def a_reset_forgives(dut):
    """After a violation the memory is silent until the next one is attached and reset."""
    _, refusal = await _start(dut)
    set_address(dut, "ar", address=0, beats=1, burst=0)
    await refusal
    await ClockCycles(dut.clk, 3)
    assert dut.failed.value == 1
    assert dut.s_axi_arready.value == 0
    dut.s_axi_arvalid.value = 0
    memory = await reset_with(dut)
    await offer_read(dut, address=0, beats=1)
    await RisingEdge(dut.s_axi_rvalid)
    assert dut.failed.value == 0
    assert memory.counters()["read_bursts"] == 1
