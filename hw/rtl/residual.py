"""Spikes and a residual map: their sum, or the map where there is no spike, one bit plane per cycle."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.descriptor import Residual


class ResidualUnit(wiring.Component):
    """Adds bit by bit: the spikes are the first carry, plane p of the sum is x_p ^ carry, and x_p & carry goes on.

    Members
    -------
    i_residual, i_residual_planes, i_planes : of the layer: `Residual`, planes of the residual map and of the output;
        there a cycle before its first word.
    i : words of spikes; without a residual of spikes they pass. i_residual_words : for each of them i_residual_planes
        words, the lowest bits first.
    o : words of the output map, plane by plane, the lowest first.

    Throughput: a plane of the output per cycle.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        words = stream.Signature(config.word_bits)
        super().__init__({
            "i_residual": In(Residual), "i_residual_planes": In(3), "i_planes": In(3),
            "i": In(words), "i_residual_words": In(words),
            "o": Out(words),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plane, passed = Signal.like(self.i_planes, name="plane"), Signal(self._config.word_bits)
        carry, x = Signal(self._config.word_bits), Signal(self._config.word_bits)
        # Registers that say what the plane is: they go with the plane that comes next.
        next_plane = Signal.like(plane)
        is_first, adds_plane, last = (Signal(name=name) for name in ("is_first", "adds_plane", "last"))
        has_residual = (self.i_residual == Residual.ADD) | (self.i_residual == Residual.IAND)
        m.d.comb += next_plane.eq(plane)
        m.d.sync += [plane.eq(next_plane), is_first.eq(next_plane == 0),
                     adds_plane.eq(has_residual & (next_plane != self.i_residual_planes)),
                     last.eq(~has_residual | (next_plane + 1 == self.i_planes))]
        m.d.comb += [
            carry.eq(Mux(is_first, self.i.payload, passed)),
            x.eq(Mux(adds_plane, self.i_residual_words.payload, 0)),
            self.o.valid.eq(self.i.valid & (~adds_plane | self.i_residual_words.valid)),
            self.o.payload.eq(Mux(self.i_residual == Residual.IAND, x & ~carry, x ^ carry)),
            self.i_residual_words.ready.eq(self.i.valid & adds_plane & self.o.ready),
            self.i.ready.eq(self.o.valid & self.o.ready & last),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += passed.eq(x & carry)
            m.d.comb += next_plane.eq(Mux(last, 0, plane + 1))
        return m
