"""Spilled maps: beats of the scratch region become words of the spike buffer, and words become beats."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl import dma_write
from s2nn.hw.rtl.layouts import DescriptorLayout
from s2nn.hw.spec.config import AcceleratorConfig, ceil_div


class MapLoader(wiring.Component):
    """Collects the beats of a word, lowest bits first, and passes the word on.

    Members
    -------
    i_descriptor : the LOAD_MAP descriptor. i_start : pulse, a map follows.
    i : beats. o : words, to the spike writer. o_busy : a register, the map is not complete.

    Throughput: a word every ceil(word_bits / axi_data_bits) cycles.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_descriptor": In(DescriptorLayout),
            "i_start": In(1),
            "i": In(stream.Signature(config.axi_data_bits)),
            "o": Out(stream.Signature(config.word_bits, always_ready=True)),
            "o_busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word_beats = ceil_div(self._config.word_bits, self._config.axi_data_bits)
        part, left = Signal(range(max(word_beats, 2))), Signal.like(self.i_descriptor.tile_beats)
        word = Signal(word_beats * self._config.axi_data_bits, reset_less=True)
        m.d.comb += [self.i.ready.eq(1), self.o.payload.eq(word[:self._config.word_bits])]
        m.d.sync += [self.o.valid.eq(0), self.o_busy.eq(left != 0)]  # busy while the last word leaves
        with m.If(self.i.valid):
            m.d.sync += [word.word_select(part, self._config.axi_data_bits).eq(self.i.payload), part.eq(part + 1),
                         left.eq(left - 1)]
            with m.If(part == word_beats - 1):
                m.d.sync += [part.eq(0), self.o.valid.eq(1)]
        with m.If(self.i_start):
            m.d.sync += [left.eq(self.i_descriptor.tile_beats), self.o_busy.eq(1)]
        return m


class MapStorer(wiring.Component):
    """Cuts words into beats, lowest bits first; the last beat of a word is filled up with zeros.

    Members
    -------
    i : words. o : beats for the write DMA.

    Throughput: a beat per cycle.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({"i": In(stream.Signature(config.word_bits)),
                          "o": Out(stream.Signature(dma_write.write_beat_layout(config)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word_beats = ceil_div(self._config.word_bits, self._config.axi_data_bits)
        part = Signal(range(max(word_beats, 2)))
        last_part = part == word_beats - 1
        m.d.comb += [
            self.o.valid.eq(self.i.valid), self.o.payload.strb.eq(-1),
            self.o.payload.data.eq(self.i.payload.word_select(part, self._config.axi_data_bits)),
            self.i.ready.eq(self.o.ready & last_part),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += part.eq(part + 1)
            with m.If(last_part):
                m.d.sync += part.eq(0)
        return m
