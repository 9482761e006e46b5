"""The AXI4-Lite register file of `hw/spec/registers.py`: how a host starts the engine and reads what it did."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl import axi
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.registers import (
    ADDRESS_BITS,
    COUNTERS,
    IDENTITY,
    OFFSET,
    REGISTERS,
    VERSION,
    Control,
    Status,
)

#: Fields of the control register.
CONTROL = data.StructLayout({name.lower(): 1 for name in Control.__members__})
#: Fields of the status register.
STATUS = data.StructLayout({name.lower(): 1 for name in Status.__members__})
#: Registers that only hold a value for the engine, which sees it as `o_<name>`.
VALUES = ("image_address", "descriptor_offset", "input_address", "output_address", "scratch_address")


class RegisterFile(wiring.Component):
    """AXI4-Lite slave with the registers of the spec: control and status, addresses for the engine, its counters.

    Parameters
    ----------
    config : gives the digest.

    Members
    -------
    axi : In(Axi4LiteSignature); addresses of `ADDRESS_BITS`, whole words: the two lowest bits are ignored.
    o_keep_weights : Out(1); as last written.
    o_start : Out(1); high for one cycle when the start bit was written while `i_busy` was low.
    o_image_address, o_descriptor_offset, o_input_address, o_output_address, o_scratch_address : Out(32); not latched
        by a start: the host must leave them alone while the engine is busy.
    i_busy : In(1); must rise no later than the cycle after `o_start`: a second start cannot be written before.
    i_done : In(1); high for one cycle at the end of a run.
    i_error_code : In(8), i_layer : In(16); held by the engine.
    i_counters : In(ArrayLayout(32, len(COUNTERS))), in the order of `COUNTERS`.
    o_irq : Out(1); high while done and the interrupt is enabled.

    Latency/throughput
    ------------------
    A read answers three cycles after its address, with the value of the cycle before its answer; a write two cycles
    after the later of address and data. One access of each kind at a time; reads and writes do not wait for each other.

    Contract
    --------
    Write address and data may come in either order. Bytes without strobe keep their value. An address without a
    register, or a write to a read-only one, answers SLVERR; such a read returns 0, such a write does nothing.
    Done is set by `i_done` and cleared by an accepted start or by writing 1 to its status bit; `i_done` wins.
    Responses hold until taken. Reset clears everything. Protection bits are ignored.
    """

    axi: wiring.PureInterface
    o_start: Signal
    o_keep_weights: Signal
    o_image_address: Signal
    o_descriptor_offset: Signal
    o_input_address: Signal
    o_output_address: Signal
    o_scratch_address: Signal
    i_busy: Signal
    i_done: Signal
    i_error_code: Signal
    i_layer: Signal
    i_counters: "data.View[data.ArrayLayout]"
    o_irq: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self._digest = int.from_bytes(config.digest, "little")
        super().__init__({
            "axi": In(axi.Axi4LiteSignature(address_bits=ADDRESS_BITS)),
            "o_start": Out(1),
            "o_keep_weights": Out(1),
            **{f"o_{name}": Out(32) for name in VALUES},
            "i_busy": In(1),
            "i_done": In(1),
            "i_error_code": In(8),
            "i_layer": In(16),
            "i_counters": In(data.ArrayLayout(32, len(COUNTERS))),
            "o_irq": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        interrupt_enable, done = Signal(), Signal()
        control, status = Signal(CONTROL), Signal(STATUS)
        m.d.comb += [
            control.interrupt_enable.eq(interrupt_enable), control.keep_weights.eq(self.o_keep_weights),
            status.busy.eq(self.i_busy),
            status.done.eq(done),
            status.error.eq(self.i_error_code != 0),
            self.o_irq.eq(done & interrupt_enable),
        ]
        self._elaborate_write(m, interrupt_enable, done)
        self._elaborate_read(m, {
            "identity": Const(IDENTITY, 32),
            "version": Const(VERSION, 32),
            "config_digest_low": Const(self._digest & 0xFFFF_FFFF, 32),
            "config_digest_high": Const(self._digest >> 32, 32),
            "control": control.as_value(),
            "status": status.as_value(),
            "error": self.i_error_code,
            "layer": self.i_layer,
            **{name: getattr(self, f"o_{name}") for name in VALUES},
            **{name: self.i_counters[index] for index, name in enumerate(COUNTERS)},
        })
        return m

    def _elaborate_write(self, m: Module, interrupt_enable: Signal, done: Signal) -> None:
        """Hold address and data until both are there and the response channel is free, then write."""
        bus = self.axi
        address_held, data_held = Signal(), Signal()
        word, wdata, wstrb = Signal(ADDRESS_BITS - 2), Signal(32), Signal(4)
        write = address_held & data_held & ~bus.bvalid
        m.d.comb += [bus.awready.eq(~address_held), bus.wready.eq(~data_held)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [address_held.eq(1), word.eq(bus.awaddr[2:])]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [data_held.eq(1), wdata.eq(bus.wdata), wstrb.eq(bus.wstrb)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(write):
            m.d.sync += [address_held.eq(0), data_held.eq(0), bus.bvalid.eq(1), bus.bresp.eq(axi.Response.OKAY)]

        written = data.View(CONTROL, wdata[:CONTROL.size])
        m.d.sync += self.o_start.eq(0)
        with m.If(write), m.Switch(word):
            with m.Case(OFFSET["control"] // 4), m.If(wstrb[0]):
                m.d.sync += [interrupt_enable.eq(written.interrupt_enable),
                             self.o_keep_weights.eq(written.keep_weights)]
                with m.If(written.start & ~self.i_busy):
                    m.d.sync += [self.o_start.eq(1), done.eq(0)]
            with m.Case(OFFSET["status"] // 4):
                with m.If(wstrb[0] & data.View(STATUS, wdata[:STATUS.size]).done):
                    m.d.sync += done.eq(0)
            for name in VALUES:
                with m.Case(OFFSET[name] // 4):
                    for byte in range(4):
                        with m.If(wstrb[byte]):
                            m.d.sync += getattr(self, f"o_{name}").word_select(byte, 8).eq(wdata.word_select(byte, 8))
            with m.Default():
                m.d.sync += bus.bresp.eq(axi.Response.SLVERR)
        with m.If(self.i_done):
            m.d.sync += done.eq(1)

    def _elaborate_read(self, m: Module, sources: dict[str, Value]) -> None:
        """Decode the address to one line per register, then gate and merge: fewer LUTs than a binary multiplexer."""
        bus = self.axi
        word = Signal(ADDRESS_BITS - 2)
        select = Signal(len(REGISTERS))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += bus.arready.eq(1)
                m.d.sync += word.eq(bus.araddr[2:])
                with m.If(bus.arvalid):
                    m.next = "DECODE"
            with m.State("DECODE"):
                m.d.sync += select.eq(Cat(word == register.offset // 4 for register in REGISTERS))
                m.next = "MERGE"
            with m.State("MERGE"):
                gated = [Mux(line, sources[register.name], 0) for line, register in zip(select, REGISTERS, strict=True)]
                m.d.sync += [
                    bus.rdata.eq(reduce(or_, gated)),
                    bus.rresp.eq(Mux(select.any(), axi.Response.OKAY, axi.Response.SLVERR)),
                ]
                m.next = "RESPOND"
            with m.State("RESPOND"):
                m.d.comb += bus.rvalid.eq(1)
                with m.If(bus.rready):
                    m.next = "IDLE"
