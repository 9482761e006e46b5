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
    i, o : streams of that payload.

    Latency: one cycle. Throughput: one payload per cycle.
    """

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        full = Signal()  # `spare` holds what `o` could not take
        spare = Signal.like(self.i.payload, reset_less=True)
        m.d.comb += self.i.ready.eq(~full)
        with m.If(~full):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [self.o.valid.eq(full | self.i.valid), full.eq(0)]
            with m.If(full):
                m.d.sync += self.o.payload.eq(spare)
            with m.Else():
                m.d.sync += self.o.payload.eq(self.i.payload)
        with m.Elif(~full):
            m.d.sync += full.eq(self.i.valid)
        return m
