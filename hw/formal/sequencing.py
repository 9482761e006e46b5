"""The sequencer reaches the end of every run, and every cycle of a run is counted under one cause."""

from typing import Any

from amaranth.hdl import Assert, Assume, Module, Mux, Signal, Value

from s2nn.hw.formal.harness import Property, past
from s2nn.hw.rtl.counters import PerformanceCounters
from s2nn.hw.rtl.sequencer import Sequencer
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.descriptor import Opcode
from s2nn.hw.spec.registers import COUNTERS, Cause, ErrorCode


class RunEnds(Property):
    """Whatever the sequencer waits for comes within `patience` cycles; so a run of `layers` layers ends in time, and
    after an error it ends within `patience` + 2 cycles.

    What it waits for: a descriptor, the input, the loop nest, the pipeline, what is to be written (logits or a map),
    the write's end, and after an error that both DMAs are idle. Errors may come in any cycle of a run.
    """

    def __init__(self, config: AcceleratorConfig, *, patience: int, layers: int) -> None:
        super().__init__()
        self._config, self._patience, self._layers = config, patience, layers

    def laws(self, m: Module) -> None:
        dut: Any = Sequencer(self._config)
        self.prove_about(m, dut)
        running, stores = Signal(name="running"), Signal(name="stores")  # stores: the step ends with a write
        asked = dut.i_descriptor
        taken, since_start, since_error = Signal(8), Signal(8), Signal(8)
        begins = dut.o_start_input | dut.o_start_layer
        with m.If(dut.o_take):
            m.d.sync += [stores.eq(Mux(asked.opcode == Opcode.CLASSIFY, ~asked.store_membranes,
                                       asked.opcode == Opcode.STORE_MAP)), taken.eq(taken + 1)]
        with m.If(dut.o_engine_start):
            m.d.sync += [running.eq(1), taken.eq(0), since_start.eq(0)]
        with m.Elif(dut.o_done):
            m.d.sync += running.eq(0)
        with m.Elif(running):
            m.d.sync += since_start.eq(since_start + 1)
        m.d.sync += since_error.eq(Mux(dut.o_discard & ~dut.o_done, since_error + 1, 0))

        def in_time(name: str, waits: Value, comes: Value) -> None:
            """Assumes that what is waited for comes before its time is over."""
            age = Signal(range(self._patience + 2), name=f"{name}_age")
            m.d.sync += age.eq(Mux(waits & ~comes, age + 1, 0))
            m.d.comb += Assume((age < self._patience) | ~waits | comes)

        in_layer = Signal(name="in_layer")  # the current layer has begun, and the next is not yet taken
        m.d.sync += in_layer.eq(Mux(dut.o_take | dut.o_done, 0, in_layer | begins))
        writes = dut.o_cause == Cause.WAIT_WRITE
        in_time("descriptor", running & (dut.o_cause == Cause.SEQUENCE) & ~dut.o_discard, dut.i_descriptor_valid)
        in_time("input", in_layer, ~dut.i_input_busy)
        in_time("layer", in_layer, ~dut.i_loop_busy & ~dut.i_pipeline_busy)
        in_time("writes", in_layer & stores & ~writes, dut.i_writes_valid)
        in_time("write", in_layer & writes, dut.i_write_done)
        in_time("idle", dut.o_discard, dut.i_read_idle & dut.i_write_idle)
        m.d.comb += [
            Assume((asked.opcode >= min(Opcode)) & (asked.opcode <= max(Opcode))),
            Assume(asked.last == (taken == self._layers - 1)),
            Assume(~dut.i_writes_valid | stores),  # nothing else has anything to write
            Assert(since_start <= self._layers * (4 * self._patience + 6) + self._patience + 4, "a run ends"),
            Assert(since_error <= self._patience + 1, "an error ends the run"),
            Assert(~dut.o_done | ~dut.o_busy, "done is not busy"),
            Assert(~running | dut.o_busy | dut.o_done, "busy until done"),
        ]


class ErrorEndsRun(Property):
    """From any state, an error in a run is kept and the run ends as soon as both DMAs are idle."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__()
        self._config = config

    def laws(self, m: Module) -> None:
        dut: Any = Sequencer(self._config)
        state, states = self.prove_about(m, dut).state_machine()
        error = (dut.i_engine_error != ErrorCode.NONE) | dut.i_read_error | dut.i_write_error
        m.d.comb += Assume(dut.i_engine_error <= max(ErrorCode))
        # Errors of the first and last cycles of a run belong to no request of it.
        struck = past(m, error & dut.o_busy & ~dut.o_engine_start & ~dut.o_discard, name="struck")
        aborts = dut.o_discard & ~dut.o_done
        idle = past(m, aborts & dut.i_read_idle & dut.i_write_idle, name="was_idle")
        aborted = past(m, aborts, name="aborted")
        finishing = past(m, past(m, dut.o_busy, name="busy1") & ~aborts, name="finishing")
        m.d.comb += [
            Assert(state < len(states), "the sequencer is in one of its states"),
            Assert(dut.o_discard == ((state == states["ABORT"]) | (state == states["DONE"])), "it discards at the end"),
            Assert(~struck | aborts | (dut.o_done & finishing), "an error aborts"),
            Assert(~(struck & aborts) | (dut.o_error_code != ErrorCode.NONE), "the error is kept"),
            Assert(~idle | dut.o_done, "the run ends when both are idle"),
            Assert(~aborted | idle | aborts, "until then it aborts"),
            Assert(dut.o_engine_reset == dut.o_done, "the engine is reset at the end, and only then"),
        ]


class CyclesAddUp(Property):
    """In every cycle of a run one cause is given, and the causes add up to the total, which is the number of cycles."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__()
        self._config = config

    def laws(self, m: Module) -> None:
        sequencer: Any = Sequencer(self._config)
        counters: Any = PerformanceCounters(self._config)
        wired = (counters.i_clear, counters.i_cause_valid, counters.i_cause, counters.i_events)
        self.prove_about(m, sequencer, name="sequencer")
        inside = self.prove_about(m, counters, driven=wired)
        m.d.comb += [
            counters.i_clear.eq(sequencer.o_engine_start), counters.i_cause_valid.eq(sequencer.o_cause_valid),
            counters.i_cause.eq(sequencer.o_cause), counters.i_events.eq(sequencer.i_events),
        ]
        cycles = Signal(32, name="cycles")  # of the run, up to the cycle before the last
        counted = past(m, sequencer.o_busy & ~sequencer.o_engine_start, name="counted")
        m.d.sync += cycles.eq(Mux(sequencer.o_engine_start, 0, cycles + counted))
        m.d.comb += Assert(counters.o[COUNTERS.index("cycles.total")] == cycles, "the total is the number of cycles")
        # Each counter takes what is pending for it, and what is pending for the causes is what is for the total.
        clear = past(m, counters.i_clear, name="clear")
        pending = {name: inside.signal(f"pending_{COUNTERS.index(name)}") for name in
                   ("cycles.total", *(f"cycles.{cause.name.lower()}" for cause in Cause))}
        for name, event in pending.items():
            count = counters.o[COUNTERS.index(name)]
            before = past(m, (count + event)[:32], name=f"next_{event.name}")
            m.d.comb += Assert(count == Mux(clear, 0, before), "a counter takes what is pending")
        total, *causes = pending.values()
        m.d.comb += [Assert(sum(causes) == total, "a cycle has one cause"),
                     Assert(total == counted, "a cycle is counted")]
