"""The host's side of the accelerator in a bench: AXI4-Lite accesses, and one run from start to interrupt.

The clock is HDL's, so that Python sees the values after an edge. The host therefore looks at the falling edge, where
everything has settled to what the next rising edge will sample, and drives after the rising edge.
"""

from typing import Any

from cocotb.triggers import FallingEdge, First, RisingEdge, Timer

from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.spec.registers import COUNTERS, OFFSET, Control, Status


class Host:
    """Drives `s_axil_*` of `dut`; one access at a time. Methods begin and end after a rising edge."""

    def __init__(self, dut: Any, *, clock_period_ps: int):
        self._dut, self._period_ps = dut, clock_period_ps
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready", "awprot", "arprot"):
            getattr(dut, f"s_axil_{name}").value = 0

    async def reset(self, cycles: int = 4) -> None:
        """Hold the synchronous reset for some cycles."""
        self._dut.rst.value = 1
        for _ in range(cycles):
            await RisingEdge(self._dut.clk)
        self._dut.rst.value = 0
        await RisingEdge(self._dut.clk)

    async def write(self, name: str, value: int) -> None:
        """Write the register of that name."""
        dut = self._dut
        dut.s_axil_awaddr.value, dut.s_axil_wdata.value, dut.s_axil_wstrb.value = OFFSET[name], value, 15
        dut.s_axil_awvalid.value = dut.s_axil_wvalid.value = dut.s_axil_bready.value = 1
        pending, response = {"aw", "w", "b"}, 0
        while pending:
            moved = await self._handshakes(("awready", "wready", "bvalid"))
            if "bvalid" in moved:
                response = int(dut.s_axil_bresp.value)
            await RisingEdge(dut.clk)
            for signal in moved:
                pending.discard(signal.removesuffix("ready").removesuffix("valid"))
            for channel in ("aw", "w"):
                if channel not in pending:
                    getattr(dut, f"s_axil_{channel}valid").value = 0
        dut.s_axil_bready.value = 0
        if response:
            raise SimulationError(f"a write of register {name} must be answered OKAY", value=response)

    async def read(self, name: str) -> int:
        """Read the register of that name."""
        dut = self._dut
        dut.s_axil_araddr.value, dut.s_axil_arvalid.value, dut.s_axil_rready.value = OFFSET[name], 1, 1
        while True:
            moved = await self._handshakes(("arready", "rvalid"))
            data, response = dut.s_axil_rdata.value, dut.s_axil_rresp.value
            await RisingEdge(dut.clk)
            if "arready" in moved:
                dut.s_axil_arvalid.value = 0
            if "rvalid" in moved:
                break
        dut.s_axil_rready.value = 0
        if int(response):
            raise SimulationError(f"a read of register {name} must be answered OKAY", value=int(response))
        return int(data)

    async def _handshakes(self, signals: tuple[str, ...]) -> list[str]:
        """Which of the design's signals are 1 for the next rising edge."""
        await FallingEdge(self._dut.clk)
        return [name for name in signals if getattr(self._dut, f"s_axil_{name}").value == 1]

    async def run(self, *, timeout_cycles: int, keep_weights: bool = False) -> int:
        """Start, wait for the interrupt, acknowledge it; returns the error code.

        keep_weights : the resident weights of this image are in the weight buffer.

        A run that outlasts the timeout raises SimulationError: nothing waits for ever.
        """
        keep = Control.KEEP_WEIGHTS if keep_weights else Control(0)
        await self.write("control", Control.START | Control.INTERRUPT_ENABLE | keep)
        timeout = Timer(timeout_cycles * self._period_ps, "ps")
        if await First(RisingEdge(self._dut.irq), timeout) is timeout:
            await RisingEdge(self._dut.clk)
            raise SimulationError(f"a run must end within {timeout_cycles} cycles", value=await self.read("status"),
                                  field="status")
        await self.write("status", Status.DONE)
        return await self.read("error")

    async def counters(self) -> dict[str, int]:
        """All performance counters."""
        return {name: await self.read(name) for name in COUNTERS}
