"""What the benches of the AXI memory share: set-up, and read addresses driven by hand.

The clock is driven by cocotb, not by HDL: cocotbext-axi samples at the rising edge and drives behind it, which needs
Python to see the values before the edge.

Environment: S2NN_STALL_PERCENT, the probability of a stall on every channel of both sides (default 0).
"""

import logging
import os
import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiMaster

from s2nn.hw.sim.axi import AxiStalls
from s2nn.hw.tb.axi_memory import AxiMemory

CLOCK_PERIOD_PS = 10_000
SIZE_BYTES = 1 << 16
SETTLE_CYCLES = 4  # in reset, and behind it
_INPUTS = ("awvalid", "wvalid", "bready", "arvalid", "rready")


def bus_bytes(dut: Any) -> int:
    """Width of the data bus."""
    return len(dut.s_axi_rdata) // 8


def _stall_probability() -> float:
    return int(os.environ.get("S2NN_STALL_PERCENT", "0")) / 100


def _random_stalls(*, probability: float, seed: str) -> Iterator[bool]:
    """For the master: True to stall."""
    generator = random.Random(seed)
    while True:
        yield generator.random() < probability


def start_clock(dut: Any, period_ps: int = CLOCK_PERIOD_PS) -> None:
    """Once per test, before anything else."""
    for name in _INPUTS:
        getattr(dut, f"s_axi_{name}").value = 0
    Clock(dut.clk, period_ps, unit="ps").start()


async def reset_with(dut: Any, **options: Any) -> AxiMemory:
    """Put a new memory behind the bus and reset; stalls are those of the environment unless `options` has them."""
    options = {"size_bytes": SIZE_BYTES, "data_bits": 8 * bus_bytes(dut), "clock_period_ps": CLOCK_PERIOD_PS,
               "stalls": AxiStalls(probability=_stall_probability(), seed=cocotb.RANDOM_SEED)} | options
    dut.rst.value = 1
    memory = AxiMemory(dut.failed, **options).start()
    await ClockCycles(dut.clk, SETTLE_CYCLES)
    dut.rst.value = 0
    await ClockCycles(dut.clk, SETTLE_CYCLES)
    return memory


async def start_with_master(dut: Any, **options: Any) -> tuple[AxiMemory, AxiMaster]:
    """Clock, memory and the independent master, reset."""
    start_clock(dut)
    master = _master(dut, _stall_probability(), cocotb.RANDOM_SEED)
    return await reset_with(dut, **options), master


def _master(dut: Any, stall: float, seed: int) -> AxiMaster:
    logging.getLogger(f"cocotb.{dut._name}.s_axi").setLevel(logging.WARNING)
    master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    channels = {
        "ar": master.read_if.ar_channel,
        "r": master.read_if.r_channel,
        "aw": master.write_if.aw_channel,
        "w": master.write_if.w_channel,
        "b": master.write_if.b_channel,
    }
    for name, channel in channels.items():
        channel.set_pause_generator(_random_stalls(probability=stall, seed=f"master.{seed}.{name}"))
    return master


def set_address(dut: Any, channel: str, *, address: int, beats: int, **fields: int) -> None:
    """Offer a burst of full-width beats on "ar" or "aw"; `fields` replace what else the channel carries."""
    values = {"addr": address, "len": beats - 1, "size": bus_bytes(dut).bit_length() - 1, "burst": 1, "id": 0}
    for name, value in (values | fields | {"valid": 1}).items():
        getattr(dut, f"s_axi_{channel}{name}").value = value


async def offer_read(dut: Any, *, address: int, beats: int) -> None:
    """Drive one read address and return at the edge of its handshake."""
    set_address(dut, "ar", address=address, beats=beats)
    while True:
        await RisingEdge(dut.clk)
        if dut.s_axi_arready.value == 1:
            break
    dut.s_axi_arvalid.value = 0
