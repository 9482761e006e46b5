"""The performance counters: each event of a cycle adds to its counter, and every cycle of a run has one cause."""

from amaranth import Cat, Const, Module, Signal
from amaranth.hdl import Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.engine import events_layout
from s2nn.hw.spec.axi import MAX_BURST_BEATS
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.registers import COUNTERS, Cause, Stream


class PerformanceCounters(wiring.Component):
    """32-bit counters in the order of `registers.COUNTERS`. Events are registered, so counts lag by a cycle.

    Members
    -------
    i_clear : pulse, all counters to zero.
    i_cause_valid, i_cause : what this cycle is spent on. i_events : of the engine.
    i_read_burst, i_read_stream, i_read_beats, i_write_burst, i_write_beats, i_write_map : bursts as the memory takes
        them.
    o : the counters.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        beats = range(MAX_BURST_BEATS + 1)
        super().__init__({
            "i_clear": In(1),
            "i_cause_valid": In(1), "i_cause": In(Cause),
            "i_events": In(events_layout(config)),
            "i_read_burst": In(1), "i_read_stream": In(Stream), "i_read_beats": In(beats),
            "i_write_burst": In(1), "i_write_beats": In(beats), "i_write_map": In(1),
            "o": Out(data.ArrayLayout(32, len(COUNTERS))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # An event of `scale` units is counted as one and read with zeros below: lanes and bytes are powers of two.
        for index, name in enumerate(COUNTERS):
            increment, scale = self._events()[name]
            shift = scale.bit_length() - 1
            pending = Signal.like(Value.cast(increment), name=f"pending_{index}")
            count = Signal(32 - shift, name=f"count_{index}")
            m.d.sync += [pending.eq(increment), count.eq(count + pending)]
            with m.If(self.i_clear):
                m.d.sync += [pending.eq(0), count.eq(0)]
            m.d.comb += self.o[index].eq(Cat(Const(0, shift), count))
        return m

    def _events(self) -> dict[str, tuple[Value, int]]:
        """By counter: what a cycle adds, and in units of how much."""
        e, lanes, beat_bytes = self.i_events, self._config.lanes, self._config.axi_bytes
        events: dict[str, tuple[Value, int]] = {"cycles.total": (self.i_cause_valid, 1)}
        for cause in Cause:
            events[f"cycles.{cause.name.lower()}"] = (self.i_cause_valid & (self.i_cause == cause), 1)
        for name in Stream:
            burst = self.i_read_burst & (self.i_read_stream == name)
            events[f"dram.{name.name.lower()}_read_bursts"] = (burst, 1)
            events[f"dram.{name.name.lower()}_read_bytes"] = (burst.replicate(9) & self.i_read_beats, beat_bytes)
        for what, chosen in (("logits", ~self.i_write_map), ("map", self.i_write_map)):
            burst = self.i_write_burst & chosen
            events[f"dram.{what}_write_bursts"] = (burst, 1)
            events[f"dram.{what}_write_bytes"] = (burst.replicate(9) & self.i_write_beats, beat_bytes)
        events |= {
            "array.active_windows": (e.issue_active, 1),
            "array.silent_blocks": (e.issue_silent, 1),
            "array.adds": (e.active_time_lanes, lanes),
            "weight_buffer.slice_reads": (e.slice_reads, 1),
            "weight_buffer.slice_writes": (e.slice_writes, 1),
            "spike_buffer.word_reads": (e.words_read, 1),
            "spike_buffer.word_writes": (e.word_write, 1),
            "membrane_buffer.word_reads": (e.membrane_read, 1),
            "membrane_buffer.word_writes": (e.membrane_write, 1),
            "neuron.updates": (e.update, lanes),
            "neuron.spikes": (e.spikes, 1),
        }
        return events
