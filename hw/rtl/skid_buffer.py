"""Two registers between a stream's halves, so that no ready path crosses them."""

from amaranth import Module, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class SkidBuffer(wiring.Component):
    """A queue of two: `i.ready` is a register, and so is all of `o`.

    Parameters
    ----------
    shape : of the payload.

    Members
    -------
    i, o : streams of that payload. o_ready_next : what `i.ready` will be in the next cycle.

    Latency: one cycle. Throughput: one payload per cycle.
    """

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "o_ready_next": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        full, full_next = Signal(name="full"), Signal()  # `spare` holds what `o` could not take
        spare = Signal.like(self.i.payload, reset_less=True)
        moves = self.o.ready | ~self.o.valid
        m.d.comb += [self.i.ready.eq(~full), full_next.eq(~moves & (full | self.i.valid)),
                     self.o_ready_next.eq(~full_next)]
        m.d.sync += full.eq(full_next)
        with m.If(~full):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(moves):
            m.d.sync += self.o.valid.eq(full | self.i.valid)
            with m.If(full):
                m.d.sync += self.o.payload.eq(spare)
            with m.Else():
                m.d.sync += self.o.payload.eq(self.i.payload)
        return m
