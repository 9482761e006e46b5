"""The bench's side of axi_memory.sv: the memory of `s2nn.hw.sim.axi`, put behind the bus of a running simulation."""

from typing import Any

import cocotb
from cocotb.simtime import convert, get_sim_time
from cocotb.task import Task
from cocotb.triggers import RisingEdge

from s2nn.hw.sim.axi import BusMemory
from s2nn.hw.sim.dram import DramStats
from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.tb import axi_native


class AxiMemory(BusMemory):
    """Content, timing and counters of the simulation's one `axi_memory`; make it before the first edge of a reset.

    Parameters
    ----------
    failed : handle of the module's output `failed`. The others : see `BusMemory`.
    """

    def __init__(self, failed: Any, **options: Any):
        super().__init__(axi_native.linked_library(), **options)
        self._failed = failed
        self._watching: Task[None] | None = None

    def start(self) -> "AxiMemory":
        """Put this memory behind the bus; call once. The first rule that the master breaks fails the test."""
        if self._watching is not None:
            raise SimulationError("an AxiMemory must be started once", value="started again")
        if convert(1, "step", to="ps") != 1:
            raise SimulationError("the time precision must be 1 ps", value=convert(1, "step", to="ps"))
        self._library.s2nn_axi_attach(self.handle)
        self._watching = cocotb.start_soon(self._watch())
        return self

    @property
    def watching(self) -> Task[None]:
        """Raises SimulationError in whoever awaits it, or else in the test, when the master breaks a rule."""
        if self._watching is None:
            raise SimulationError("an AxiMemory must be started before it is watched")
        return self._watching

    async def _watch(self):
        await RisingEdge(self._failed)
        self.check()

    def finish(self) -> DramStats | None:
        """`finish_at` the present."""
        return self.finish_at(get_sim_time("step") - self.origin_ps)
