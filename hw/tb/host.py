"""The host's side of the accelerator in a bench: AXI4-Lite accesses, and one run from start to interrupt."""

from typing import Any

from cocotb.triggers import First, RisingEdge, Timer

from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.spec.registers import COUNTERS, OFFSET, Control, Status


class Host:
    """Drives `s_axil_*` of `dut`; one access at a time."""

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
        pending = {"aw", "w", "b"}
        while pending:
            await RisingEdge(dut.clk)
            for channel in ("aw", "w"):
                if channel in pending and getattr(dut, f"s_axil_{channel}ready").value == 1:
                    pending.discard(channel)
                    getattr(dut, f"s_axil_{channel}valid").value = 0
            if dut.s_axil_bvalid.value == 1:
                pending.discard("b")
        dut.s_axil_bready.value = 0
        if int(dut.s_axil_bresp.value):
            raise SimulationError(f"a write of register {name} must be answered OKAY",
                                  value=int(dut.s_axil_bresp.value))

    async def read(self, name: str) -> int:
        """Read the register of that name."""
        dut = self._dut
        dut.s_axil_araddr.value, dut.s_axil_arvalid.value, dut.s_axil_rready.value = OFFSET[name], 1, 1
        while True:
            await RisingEdge(dut.clk)
            if dut.s_axil_arready.value == 1:
                dut.s_axil_arvalid.value = 0
            if dut.s_axil_rvalid.value == 1:
                break
        dut.s_axil_rready.value = 0
        if int(dut.s_axil_rresp.value):
            raise SimulationError(f"a read of register {name} must be answered OKAY", value=int(dut.s_axil_rresp.value))
        return int(dut.s_axil_rdata.value)

    async def run(self, *, timeout_cycles: int) -> int:
        """Start, wait for the interrupt, acknowledge it; returns the error code.

        A run that outlasts the timeout raises SimulationError: nothing waits for ever.
        """
        await self.write("control", Control.START | Control.INTERRUPT_ENABLE)
        timeout = Timer(timeout_cycles * self._period_ps, "ps")
        if await First(RisingEdge(self._dut.irq), timeout) is timeout:
            raise SimulationError(f"a run must end within {timeout_cycles} cycles", value=await self.read("status"),
                                  field="status")
        await self.write("status", Status.DONE)
        return await self.read("error")

    async def counters(self) -> dict[str, int]:
        """All performance counters."""
        return {name: await self.read(name) for name in COUNTERS}
