"""Membranes between the chunks of a layer that is run chunk by chunk: a word per position, in the loops' order."""

from amaranth import Module, Signal
from amaranth.hdl import signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.spec.config import AcceleratorConfig


class MembraneBuffer(wiring.Component):
    """A memory of `membrane_words` words, walked from its start in every run of a layer.

    Members
    -------
    i_rewind : pulse, the next position is the first one.
    o : membranes of the next position, by lane; there three cycles after i_rewind or i_advance.
    i_advance : pulse, that position begins.
    i_write, i_membranes : the membranes of the position that began last.
    """

    def __init__(self, config: AcceleratorConfig):
        self._depth = config.membrane_words
        membranes = data.ArrayLayout(signed(config.membrane_bits), config.lanes)
        super().__init__({"i_rewind": In(1), "i_advance": In(1), "o": Out(membranes),
                          "i_write": In(1), "i_membranes": In(membranes)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A word as plain bits: a memory's row is unsigned.
        bits = self.o.as_value()
        m.submodules.words = words = memory.Memory(shape=len(bits), depth=self._depth, init=[])
        write, read = words.write_port(), words.read_port()
        following, current = Signal(range(self._depth)), Signal(range(self._depth))
        m.d.comb += [read.addr.eq(following), write.addr.eq(current), write.en.eq(self.i_write),
                     write.data.eq(self.i_membranes.as_value())]
        m.d.sync += bits.eq(read.data)
        with m.If(self.i_advance):
            m.d.sync += [current.eq(following), following.eq(following + 1)]
        with m.If(self.i_rewind):
            m.d.sync += following.eq(0)
        return m
