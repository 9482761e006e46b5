"""Runs a program layer by layer, and says in each cycle what the engine is waiting for."""

from amaranth import Module, Signal
from amaranth.hdl import Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.engine import events_layout
from s2nn.hw.rtl.layouts import DescriptorLayout
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.descriptor import Opcode
from s2nn.hw.spec.registers import Cause, ErrorCode


class Sequencer(wiring.Component):
    """From the host's start to done, without the host.

    A layer begins when the one before has left the pipeline, so that its whole input map is in the spike buffer. An
    error ends the run: outstanding reads are discarded, a write under way is completed, the engine is reset.

    Members
    -------
    i_start : pulse from the host. o_busy, o_done (pulse), o_error_code, o_layer : for the registers.
    o_engine_start : pulse. o_engine_reset : the engine is held in reset for this cycle. o_discard : to the read DMA.
    i_descriptor_valid, i_descriptor : the next layer. o_take, o_start_input, o_start_layer : pulses to the engine.
    i_input_busy, i_loop_busy, i_waiting, i_pipeline_busy, i_events : what the engine is doing.
    i_engine_error : ErrorCode of the engine. i_read_error, i_write_error : pulses from the DMAs.
    i_writes_valid : logits or words of a map wait to be written. o_write : pulse, ask the write DMA. i_write_done :
        pulse.
    i_read_idle, i_write_idle : of the DMAs.
    o_cause_valid, o_cause : what this cycle is spent on.
    """

    def __init__(self, config: AcceleratorConfig):
        super().__init__({
            "i_start": In(1), "o_busy": Out(1), "o_done": Out(1), "o_error_code": Out(ErrorCode), "o_layer": Out(16),
            "o_engine_start": Out(1), "o_engine_reset": Out(1), "o_discard": Out(1),
            "i_descriptor_valid": In(1), "i_descriptor": In(DescriptorLayout),
            "o_take": Out(1), "o_start_input": Out(1), "o_start_layer": Out(1),
            "i_input_busy": In(1), "i_loop_busy": In(1), "i_waiting": In(1), "i_pipeline_busy": In(1),
            "i_events": In(events_layout(config)),
            "i_engine_error": In(ErrorCode), "i_read_error": In(1), "i_write_error": In(1),
            "i_writes_valid": In(1), "o_write": Out(1), "i_write_done": In(1),
            "i_read_idle": In(1), "i_write_idle": In(1),
            "o_cause_valid": Out(1), "o_cause": Out(Cause),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        loads, writes, last = Signal(), Signal(), Signal()  # what the step does beside, or instead of, running a layer
        discard, reset = Signal(), Signal()  # registers: in ABORT and DONE, and in DONE
        m.d.comb += [self.o_cause_valid.eq(self.o_busy), self.o_cause.eq(Cause.SEQUENCE), self.o_discard.eq(discard),
                     self.o_engine_reset.eq(reset)]
        error = Signal(ErrorCode)
        with m.If(self.i_engine_error != ErrorCode.NONE):
            m.d.comb += error.eq(self.i_engine_error)
        with m.If(self.i_read_error):
            m.d.comb += error.eq(ErrorCode.READ_RESPONSE)
        with m.If(self.i_write_error):
            m.d.comb += error.eq(ErrorCode.WRITE_RESPONSE)

        def abort_on_error() -> None:
            """Last in every state of a run: an error overrides where the state wanted to go."""
            with m.If(error != ErrorCode.NONE):
                m.d.sync += [self.o_error_code.eq(error), discard.eq(1)]
                m.next = "ABORT"

        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.i_start):
                    m.d.sync += [self.o_error_code.eq(ErrorCode.NONE), self.o_layer.eq(0)]
                    m.next = "START"
            with m.State("START"):
                m.d.comb += self.o_engine_start.eq(1)
                m.next = "NEXT"
            with m.State("NEXT"):
                with m.If(self.i_descriptor_valid):
                    m.d.comb += self.o_take.eq(1)
                    m.d.sync += [loads.eq((self.i_descriptor.opcode == Opcode.LOAD_INPUT)
                                          | (self.i_descriptor.opcode == Opcode.LOAD_MAP)),
                                 writes.eq(self._writes(self.i_descriptor)), last.eq(self.i_descriptor.last)]
                    m.next = "BEGIN"
                abort_on_error()
            with m.State("BEGIN"):
                m.d.comb += [self.o_start_input.eq(loads), self.o_start_layer.eq(~loads)]
                m.next = "RUN"
                with m.If(loads):
                    m.next = "LOAD"
                abort_on_error()
            with m.State("LOAD"):
                m.d.comb += self.o_cause.eq(Cause.WAIT_INPUT)
                with m.If(~self.i_input_busy):
                    m.next = "RUN"
                abort_on_error()
            with m.State("RUN"):
                self._explain_run(m)
                with m.If(self.i_writes_valid):
                    m.d.comb += self.o_write.eq(1)
                    m.next = "WRITE"
                with m.Elif(~self.i_loop_busy & ~self.i_pipeline_busy & ~writes):
                    m.next = "END"
                abort_on_error()
            with m.State("WRITE"):
                m.d.comb += self.o_cause.eq(Cause.WAIT_WRITE)
                with m.If(self.i_write_done):
                    m.next = "END"
                abort_on_error()
            with m.State("END"):
                m.d.sync += self.o_layer.eq(self.o_layer + 1)
                m.next = "NEXT"
                with m.If(last):
                    m.d.sync += self.o_layer.eq(self.o_layer)
                    m.next = "FINISH"
                abort_on_error()
            with m.State("FINISH"):
                m.d.sync += [discard.eq(1), reset.eq(1)]
                m.next = "DONE"
            with m.State("DONE"):
                # Discard too: a request that the engine makes in this cycle must not outlive it.
                m.d.comb += self.o_done.eq(1)
                m.d.sync += [discard.eq(0), reset.eq(0)]
                m.next = "IDLE"
            with m.State("ABORT"):
                with m.If(self.i_read_idle & self.i_write_idle):
                    m.d.sync += reset.eq(1)
                    m.next = "DONE"
        m.d.comb += self.o_busy.eq(~(fsm.ongoing("IDLE") | fsm.ongoing("DONE")))
        return m

    @staticmethod
    def _writes(descriptor: data.View) -> Value:
        """The step ends with a write to DRAM."""
        logits = (descriptor.opcode == Opcode.CLASSIFY) & ~descriptor.store_membranes
        return logits | (descriptor.opcode == Opcode.STORE_MAP)

    def _explain_run(self, m: Module) -> None:
        """The cause of a cycle while a layer runs, the most direct one first."""
        events = self.i_events
        with m.If(events.issue_active):
            m.d.comb += self.o_cause.eq(Cause.COMPUTE)
        with m.Elif(events.issue_silent):
            m.d.comb += self.o_cause.eq(Cause.SILENT)
        with m.Elif(events.stall):
            m.d.comb += self.o_cause.eq(Cause.NEURON)
        with m.Elif(self.i_waiting):
            m.d.comb += self.o_cause.eq(Cause.WAIT_INDEX)
        with m.Elif(self.i_loop_busy):
            m.d.comb += self.o_cause.eq(Cause.WAIT_SPIKE)
        with m.Else():
            m.d.comb += self.o_cause.eq(Cause.DRAIN)
