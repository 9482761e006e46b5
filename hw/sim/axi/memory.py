"""An AXI4 memory's content, timing and counters; the memory itself is C++ (axi_memory.h says how it behaves).

Nothing here runs per cycle: a simulation's clock calls the C++.
"""

import ctypes
from collections.abc import Iterable
from ctypes import c_uint8, c_void_p
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from s2nn.hw.sim.axi import native
from s2nn.hw.sim.axi.stalls import CHANNELS, AxiStalls
from s2nn.hw.sim.dram import DEFAULT_PRESET, ControllerConfig, DramModel, DramStandard, DramStats
from s2nn.hw.sim.dram.native import AddressFields, Core
from s2nn.hw.spec.axi import BOUNDARY_BYTES
from s2nn.hw.spec.errors import SimulationError

# Guess: cycles of the accelerator's clock that a controller and its PHY add to the DRAM's own latency.
DEFAULT_LATENCY_CYCLES = 8
#: Of a memory without DRAM: tRCD + CL + BL/2 of the default preset, a row miss in an idle bank.
DEFAULT_COLUMN_PS = 32_500
_SEEDS = 1 << 64


class Response(IntEnum):
    """RRESP and BRESP. Ref: ARM IHI 0022, table "RRESP and BRESP encoding"."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Addresses [start, end) that answer `response`, hold no data (reads give 0) and cause no DRAM command."""

    start: int
    end: int
    response: Response


class BusMemory:
    """A memory in a process that holds its C++; made before the first edge of a reset.

    Parameters
    ----------
    library : the C++, see `native.typed`.
    data_bits : width of its data bus.
    clock_period_ps : of its clock; DRAM cycles are exact integer quotients of simulation time.
    size_bytes : bytes of memory from `base_address`; everything else answers DECERR.
    dram, controller : preset name or DramStandard and its controller's policy; None: no DRAM.
    column_ps : without DRAM, the time in which every beat's data are there, in picoseconds.
    latency_cycles : controller and PHY latency in cycles of the clock, on reads and on write responses.
    stalls : none by default.
    queue_depth : bursts of each direction that are accepted before the oldest is answered.
    regions : (name, start, end) byte ranges whose traffic is counted apart.
    faults : address ranges that answer with an error.

    Members
    -------
    data : bytearray behind the bus; load it before the run, read it after.
    faults : tuple of Fault; assign another one at any time.
    dram : the DramModel, with its trace if `record_trace`; None without DRAM.
    handle : the C++ `Memory`, for C++ in the same process; this object destroys it.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        *,
        data_bits: int,
        clock_period_ps: int,
        size_bytes: int,
        base_address: int = 0,
        dram: DramStandard | str | None = DEFAULT_PRESET,
        controller: ControllerConfig | None = None,
        column_ps: int = DEFAULT_COLUMN_PS,
        latency_cycles: int = DEFAULT_LATENCY_CYCLES,
        stalls: AxiStalls | None = None,
        queue_depth: int = 8,
        regions: Iterable[tuple[str, int, int]] = (),
        faults: Iterable[Fault] = (),
        record_trace: bool = False,
    ):
        for name, value, least in (
            ("clock_period_ps", clock_period_ps, 1),
            ("column_ps", column_ps, 0),
            ("latency_cycles", latency_cycles, 0),
            ("queue_depth", queue_depth, 1),
            ("size_bytes", size_bytes, 1),
        ):
            if value < least:
                raise SimulationError(f"must be at least {least}", value=value, field=name)
        self._library = native.typed(library)
        self.dram: DramModel | None = None
        unit_bytes = data_bits // 8  # a word of the bus and a column of the DRAM lie in the memory whole
        if dram is not None:
            self.dram = DramModel(dram, config=controller, record_trace=record_trace, library=self._library)
            unit_bytes = max(unit_bytes, self.dram.address_map.burst_bytes)
            if size_bytes > self.dram.address_map.capacity_bytes:
                rule = f"the memory must fit the DRAM of {self.dram.address_map.capacity_bytes} bytes"
                raise SimulationError(rule, value=size_bytes, field="size_bytes")
        if size_bytes % unit_bytes or base_address % BOUNDARY_BYTES:
            rule = f"size_bytes must be a multiple of {unit_bytes} and base_address of {BOUNDARY_BYTES}"
            raise SimulationError(rule, value=(size_bytes, base_address))
        self.data = bytearray(size_bytes)
        self._base = base_address
        parameters = native.Parameters(
            data_bits=data_bits, size_bytes=size_bytes, base_address=base_address, clock_period_ps=clock_period_ps,
            latency_ps=latency_cycles * clock_period_ps, queue_depth=queue_depth)
        self.handle = c_void_p(self._create(parameters, column_ps))
        self._set_regions(list(regions))
        self._set_stalls(stalls or AxiStalls())
        self.faults = faults

    def _create(self, parameters: native.Parameters, column_ps: int) -> int:
        self._content = (c_uint8 * len(self.data)).from_buffer(self.data)  # from now on, `data` refuses to be resized
        if self.dram is None:
            return self._library.s2nn_axi_create_fixed(ctypes.byref(parameters), self._content, column_ps)
        assert isinstance(self.dram.engine, Core)
        fields, t_ck_ps = AddressFields.of(self.dram.address_map), self.dram.standard.timing.t_ck_ps
        return self._library.s2nn_axi_create_dram(ctypes.byref(parameters), self._content, self.dram.engine.handle,
                                                  ctypes.byref(fields), t_ck_ps)

    def __del__(self):
        if hasattr(self, "handle"):
            self._library.s2nn_axi_destroy(self.handle)

    def _set_regions(self, regions: list[tuple[str, int, int]]):
        self._region_names = [name for name, _, _ in regions]
        starts = native.c_numbers([start for _, start, _ in regions])
        ends = native.c_numbers([end for _, _, end in regions])
        self._library.s2nn_axi_set_regions(self.handle, len(regions), starts, ends)

    def _set_stalls(self, stalls: AxiStalls):
        for number, name in enumerate(CHANNELS):
            if name in stalls.patterns:
                listed = bytes(map(bool, stalls.patterns[name]))
                self._library.s2nn_axi_stall_as_listed(self.handle, number, len(listed),
                                                       (c_uint8 * len(listed)).from_buffer_copy(listed))
            else:
                self._library.s2nn_axi_stall_at_random(self.handle, number, stalls.seed % _SEEDS,
                                                       int(stalls.probability * _SEEDS))

    # -- content and counters ------------------------------------------------------------------------------------------

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Address ranges that answer with an error."""
        return self._faults

    @faults.setter
    def faults(self, faults: Iterable[Fault]):
        self._faults = tuple(faults)
        fields = [native.FaultFields(start=f.start, end=f.end, response=f.response) for f in self._faults]
        self._library.s2nn_axi_set_faults(self.handle, len(fields), (native.FaultFields * len(fields))(*fields))

    @property
    def origin_ps(self) -> int:
        """Simulation time of the DRAM's cycle 0: the first clock edge in a reset; -1 before it."""
        return self._library.s2nn_axi_origin_ps(self.handle)

    def load(self, address: int, content: bytes | bytearray | memoryview):
        """Put `content` at AXI byte `address` without simulated time."""
        offset = self._offset(address, len(content))
        self.data[offset : offset + len(content)] = content

    def dump(self, address: int, num_bytes: int) -> bytes:
        """The bytes at AXI byte `address`, without simulated time."""
        offset = self._offset(address, num_bytes)
        return bytes(self.data[offset : offset + num_bytes])

    def counters(self) -> dict[str, Any]:
        """Bursts and bytes that crossed the bus: totals, and by region under "regions"."""
        traffic = (native.Traffic * (1 + len(self._region_names)))()
        self._library.s2nn_axi_traffic(self.handle, traffic)
        total, *regions = (part.as_dict() for part in traffic)
        return total | {"regions": dict(zip(self._region_names, regions, strict=True))}

    def check(self) -> None:
        """Raise SimulationError if the master has broken a rule; the memory stopped at the first."""
        rule, value, field = (getattr(self._library, f"s2nn_axi_broken_{part}")(self.handle).decode()
                              for part in ("rule", "value", "field"))
        if rule:
            raise SimulationError(rule, value=value, source="axi", field=field)

    def finish_at(self, time_ps: int) -> DramStats | None:
        """Bring the DRAM to a time since its cycle 0, serve what is queued, and return its statistics if it exists."""
        if self.dram is None:
            return None
        self.dram.advance(-(-time_ps // self.dram.standard.timing.t_ck_ps))
        self.dram.drain()
        return self.dram.stats()

    def _offset(self, address: int, num_bytes: int) -> int:
        if not self._base <= address <= self._base + len(self.data) - num_bytes:
            rule = f"bytes must lie in [{self._base:#x}, {self._base + len(self.data):#x})"
            raise SimulationError(rule, value=f"{address:#x}..{address + num_bytes:#x}")
        return address - self._base
