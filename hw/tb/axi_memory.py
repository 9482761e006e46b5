"""An AXI4 memory for cocotb whose data are a bytearray and whose timing is the DRAM model.

A read burst is split into the DRAM's column bursts when its address is accepted; R beats return in order, each at the
first clock edge at which its column's data are there: completion in the DRAM plus a fixed controller and PHY latency. A
write burst is taken in whole, stored, then written to the DRAM; B follows the last of its columns. Reads see the writes
that were taken in before their address was, whatever order the DRAM's controller gives the columns.

Idle cycles cost nothing: the memory sleeps until AR or AW becomes valid and touches the clock only while a burst is in
progress. Signals are sampled before the rising edge and driven after it, which needs a clock driven by cocotb, not HDL.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.simtime import convert, get_sim_time
from cocotb.task import Task
from cocotb.triggers import First, RisingEdge

from s2nn.hw.sim.dram import DEFAULT_PRESET, ControllerConfig, DramModel, DramStandard, DramStats, EngineName
from s2nn.hw.spec.axi import BOUNDARY_BYTES
from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.tb.axi_rules import Burst, Fault, Region, Response, StablePayload
from s2nn.hw.tb.axi_signals import AxiSignals, bit_reader
from s2nn.hw.tb.stalls import AxiStalls

# Guess: cycles of the accelerator's clock that a controller and its PHY add to the DRAM's own latency.
DEFAULT_LATENCY_CYCLES = 8
_FOREVER = 1 << 62


@dataclass
class _Read:
    """A burst whose beats wait for their columns: per beat (data, response, DRAM request or None)."""

    burst: Burst
    beats: list[tuple[int, int, int | None]]
    position: int = 0


@dataclass
class _Write:
    """A burst that is being taken in, then one that waits for its DRAM requests (none: nothing written)."""

    burst: Burst
    beats: list[tuple[int, int]] = field(default_factory=list)
    response: int = Response.OKAY
    requests: list[int] = field(default_factory=list)


class AxiMemory:
    """AXI4 subordinate on the signals `{prefix}_*` of `dut`; ids are echoed if the ports exist.

    Parameters
    ----------
    dut, clock : the handle with the AXI signals, and the clock that the master samples on.
    clock_period_ps : its period; DRAM cycles are exact integer quotients of simulation time.
    size_bytes : bytes of memory from `base_address`; everything else answers DECERR.
    dram, controller, engine : preset name or DramStandard, its controller's policy, C++ core or Python twin.
    latency_cycles : controller and PHY latency in cycles of `clock`, on reads and on write responses.
    stalls : AxiStalls, none by default.
    queue_depth : bursts of each direction that are accepted before the oldest is answered.
    regions : (name, start, end) byte ranges whose traffic is counted apart.
    reset : active-high reset of the master; while it is 1, everything in progress is dropped.

    Members
    -------
    data : bytearray behind the bus; load it before the run, read it after.
    faults : list of Fault, may change during a run.
    dram : the DramModel, with its trace if `record_trace`.
    origin_ps : simulation time of the DRAM's cycle 0, the first clock edge after `start`.
    """

    def __init__(
        self,
        dut: Any,
        clock: Any,
        *,
        clock_period_ps: int,
        size_bytes: int,
        base_address: int = 0,
        prefix: str = "m_axi",
        dram: DramStandard | str = DEFAULT_PRESET,
        controller: ControllerConfig | None = None,
        engine: EngineName = EngineName.CORE,
        latency_cycles: int = DEFAULT_LATENCY_CYCLES,
        stalls: AxiStalls | None = None,
        queue_depth: int = 8,
        regions: Iterable[tuple[str, int, int]] = (),
        faults: Iterable[Fault] = (),
        reset: Any = None,
        record_trace: bool = False,
    ):
        self.dram = DramModel(dram, config=controller, engine=engine, record_trace=record_trace)
        if not 0 < size_bytes <= self.dram.address_map.capacity_bytes:
            rule = f"the memory must fit the DRAM of {self.dram.address_map.capacity_bytes} bytes"
            raise SimulationError(rule, value=size_bytes, field="size_bytes")
        if size_bytes % self.dram.address_map.burst_bytes or base_address % BOUNDARY_BYTES:
            rule = f"size_bytes must be whole DRAM bursts and base_address a multiple of {BOUNDARY_BYTES}"
            raise SimulationError(rule, value=(size_bytes, base_address))
        for name, value, least in (
            ("clock_period_ps", clock_period_ps, 1),
            ("latency_cycles", latency_cycles, 0),
            ("queue_depth", queue_depth, 1),
        ):
            if value < least:
                raise SimulationError(f"must be at least {least}", value=value, field=name)
        self.data = bytearray(size_bytes)
        self.faults = list(faults)
        self.regions = [Region(name=name, start=start, end=end) for name, start, end in regions]
        self._total = Region(name="axi", start=0, end=_FOREVER)
        self._base = base_address
        self._clock, self._period_ps = clock, clock_period_ps
        self._read_reset = None if reset is None else bit_reader(reset)
        self._t_ck_ps = self.dram.standard.timing.t_ck_ps
        self._latency_ps = latency_cycles * clock_period_ps
        self._queue_depth = queue_depth
        self._stalls = stalls or AxiStalls()
        self._signals = AxiSignals(dut, prefix)
        self._bus_bytes = len(self._signals["rdata"]) // 8
        self._reads: deque[_Read] = deque()
        self._writes: deque[_Write] = deque()  # addresses taken, data not complete
        self._responses: deque[_Write] = deque()
        self._monitors = {channel: StablePayload(channel) for channel in ("ar", "aw", "w")}
        self.origin_ps = 0
        self._now_ps = 0  # since origin_ps
        self._task: Task | None = None

    # -- what a bench uses ---------------------------------------------------------------------------------------------

    def start(self) -> "AxiMemory":
        """Begin to serve; call once, after the clock was started."""
        if self._task is not None:
            raise SimulationError("an AxiMemory must be started once", value="started again")
        self._task = cocotb.start_soon(self._serve())
        return self

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
        return self._total.as_dict() | {"regions": {region.name: region.as_dict() for region in self.regions}}

    def finish(self) -> DramStats:
        """Bring the DRAM to the present, serve what is still queued and return its statistics."""
        self.dram.advance(self._dram_cycle(get_sim_time("step") - self.origin_ps))
        self.dram.drain()
        return self.dram.stats()

    # -- the clocked part ----------------------------------------------------------------------------------------------

    async def _serve(self):
        if convert(1, "step", to="ps") != 1:
            raise SimulationError("the time precision must be 1 ps", value=convert(1, "step", to="ps"))
        edge, signals = RisingEdge(self._clock), self._signals
        for name in ("arready", "awready", "wready", "rvalid", "bvalid"):
            signals.drive(name, 0)
        await edge
        self.origin_ps = get_sim_time("step")
        await edge
        if (period_ps := get_sim_time("step") - self.origin_ps) != self._period_ps:
            raise SimulationError(f"the clock's period must be clock_period_ps = {self._period_ps}", value=period_ps)
        while True:
            self._drive_ready()
            if self._is_idle() and not (signals.high("arvalid") or signals.high("awvalid")):
                await First(RisingEdge(signals["arvalid"]), RisingEdge(signals["awvalid"]))
                self._drive_ready()
            await edge
            self._on_edge(get_sim_time("step") - self.origin_ps)

    def _is_idle(self) -> bool:
        return not (self._reads or self._writes or self._responses)

    def _on_edge(self, now_ps: int):
        """One rising edge: what the handshakes did with the values before it, then what to show after it."""
        if self._read_reset is not None and self._read_reset() == "1":
            self._drop_everything()
            return
        self._now_ps = now_ps
        self.dram.advance(self._dram_cycle(now_ps))
        if address := self._handshake("aw", ("awaddr", "awlen", "awsize", "awburst", "awid")):
            self._writes.append(_Write(self._burst("aw", *address)))
        if self._writes and (beat := self._handshake("w", ("wdata", "wstrb", "wlast"))):
            self._take_write_beat(*beat)
        if address := self._handshake("ar", ("araddr", "arlen", "arsize", "arburst", "arid")):
            self._accept_read(self._burst("ar", *address))
        self._drive_read()
        self._drive_response()

    def _drive_ready(self):
        """Choose ready for the next edge."""
        signals, stalls, depth = self._signals, self._stalls, self._queue_depth
        signals.drive("arready", int(len(self._reads) < depth and not stalls.draw("ar")))
        signals.drive("awready", int(len(self._writes) + len(self._responses) < depth and not stalls.draw("aw")))
        signals.drive("wready", int(bool(self._writes) and not stalls.draw("w")))

    def _handshake(self, channel: str, payload_names: tuple[str, ...]) -> tuple[int, ...] | None:
        """The payload that moved on `channel` at this edge, or None; watches that offers are stable."""
        signals, monitor = self._signals, self._monitors[channel]
        if not signals.high(f"{channel}valid"):
            monitor.withdrawn()
            return None
        is_ready = signals.driven[f"{channel}ready"]
        if not is_ready and monitor.is_waiting:
            return None
        payload = tuple(signals.number(name) for name in payload_names)
        if not is_ready:
            monitor.stalled(payload)
            return None
        monitor.accepted(payload)
        return payload

    def _burst(self, channel: str, address: int, length: int, size: int, burst_type: int, ident: int) -> Burst:
        burst = Burst(
            channel=channel,
            ident=ident,
            address=address,
            beats=length + 1,
            beat_bytes=1 << size,
            burst_type=burst_type,
            bus_bytes=self._bus_bytes,
        )
        for region in (self._total, *self.regions):
            region.count(burst, is_write=channel == "aw")
        return burst

    # -- reads ---------------------------------------------------------------------------------------------------------

    def _accept_read(self, burst: Burst):
        requests: dict[int, int] = {}
        beats: list[tuple[int, int, int | None]] = []
        for beat in range(burst.beats):
            address = burst.beat_address(beat)
            response = self._response(address)
            if response != Response.OKAY:
                beats.append((0, response, None))
                continue
            offset = address - self._base
            word = offset - offset % self._bus_bytes
            column = self._column(offset)
            if column not in requests:
                requests[column] = self.dram.submit(self.dram.now, column, False)
            data = int.from_bytes(self.data[word : word + self._bus_bytes], "little")
            beats.append((data, response, requests[column]))
        self._reads.append(_Read(burst, beats))

    def _drive_read(self):
        signals = self._signals
        if signals.driven["rvalid"]:
            if not signals.high("rready"):
                return
            read = self._reads[0]
            read.position += 1
            if read.position == len(read.beats):
                self._reads.popleft()
        if self._reads:
            read = self._reads[0]
            data, response, request = read.beats[read.position]
            if self._is_done(request) and not self._stalls.draw("r"):
                signals.drive("rdata", data)
                signals.drive("rresp", response)
                signals.drive("rlast", int(read.position + 1 == len(read.beats)))
                signals.drive("rid", read.burst.ident)
                signals.drive("rvalid", 1)
                return
        signals.drive("rvalid", 0)

    # -- writes --------------------------------------------------------------------------------------------------------

    def _take_write_beat(self, data: int, strobe: int, last: int):
        write = self._writes[0]
        write.beats.append((data, strobe))
        is_last = len(write.beats) == write.burst.beats
        if bool(last) != is_last:
            raise SimulationError(
                f"wlast must mark beat {write.burst.beats} of the burst",
                value=f"{last} at beat {len(write.beats)}",
                source="axi",
                field="w",
            )
        if is_last:
            self._store(self._writes.popleft())

    def _store(self, write: _Write):
        """Put a complete burst into the memory and its touched columns into the DRAM's queue."""
        columns: dict[int, None] = {}
        for beat, (data, strobe) in enumerate(write.beats):
            address = write.burst.beat_address(beat)
            self._total.strobed_bytes += strobe.bit_count()
            for region in self.regions:
                if region.start <= address < region.end:
                    region.strobed_bytes += strobe.bit_count()
            response = self._response(address)
            write.response = max(write.response, response)
            if response != Response.OKAY or not strobe:
                continue
            offset = address - self._base
            word = offset - offset % self._bus_bytes
            content = data.to_bytes(self._bus_bytes, "little")
            if strobe == (1 << self._bus_bytes) - 1:
                self.data[word : word + self._bus_bytes] = content
            else:
                for lane in range(self._bus_bytes):
                    if strobe >> lane & 1:
                        self.data[word + lane] = content[lane]
            columns[self._column(offset)] = None
        write.requests = [self.dram.submit(self.dram.now, column, True) for column in columns]
        self._responses.append(write)

    def _drive_response(self):
        signals = self._signals
        if signals.driven["bvalid"]:
            if not signals.high("bready"):
                return
            self._responses.popleft()
        if self._responses:
            write = self._responses[0]
            if all(map(self._is_done, write.requests)) and not self._stalls.draw("b"):
                signals.drive("bresp", write.response)
                signals.drive("bid", write.burst.ident)
                signals.drive("bvalid", 1)
                return
        signals.drive("bvalid", 0)

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _dram_cycle(self, time_ps: int) -> int:
        """First DRAM cycle that begins at or after `time_ps` (since origin_ps)."""
        return -(-time_ps // self._t_ck_ps)

    def _is_done(self, request: int | None) -> bool:
        """Whether the data of a DRAM request have come through the controller by now."""
        if request is None:
            return True
        completion = self.dram.completion_cycle(request)
        return completion is not None and completion * self._t_ck_ps + self._latency_ps <= self._now_ps

    def _column(self, offset: int) -> int:
        return offset - offset % self.dram.address_map.burst_bytes

    def _response(self, address: int) -> int:
        if not self._base <= address < self._base + len(self.data):
            return Response.DECERR
        for fault in self.faults:
            if fault.start <= address < fault.end:
                return fault.response
        return Response.OKAY

    def _offset(self, address: int, num_bytes: int) -> int:
        if not self._base <= address <= self._base + len(self.data) - num_bytes:
            rule = f"bytes must lie in [{self._base:#x}, {self._base + len(self.data):#x})"
            raise SimulationError(rule, value=f"{address:#x}..{address + num_bytes:#x}")
        return address - self._base

    def _drop_everything(self):
        for queue in (self._reads, self._writes, self._responses):
            queue.clear()
        for monitor in self._monitors.values():
            monitor.reset()
        for name in ("rvalid", "bvalid"):
            self._signals.drive(name, 0)
