"""From words of fired spikes to the spike buffer: 2x2 max-pool, then the address in the output map."""

from amaranth import Array, Module, Mux, Signal
from amaranth.hdl import ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import DescriptorLayout, spike_address_bits
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


def probe_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A word as it is written, with its place in the map: what a bench compares with the golden model."""
    return data.StructLayout({"word": config.word_bits, "chunk": 4, "x": 10, "y": 10, "tile": 8})


class SpikeWriter(wiring.Component):
    """Words arrive in the order of the loop nest: tile, position (the four of a pool window in turn), chunk.

    Members
    -------
    i_descriptor : of the layer. i_start : pulse, a layer begins. i : words, always taken.
    o_write_enable (one bit per bank), o_write_address, o_write_word : the spike buffer's write port.
    o_probe_valid, o_probe : the same write with its place.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_descriptor": In(DescriptorLayout),
            "i_start": In(1),
            "i": In(stream.Signature(config.word_bits, always_ready=True)),
            "o_write_enable": Out(GROUP_TAPS),
            "o_write_address": Out(spike_address_bits(config)),
            "o_write_word": Out(config.word_bits),
            "o_probe_valid": Out(1),
            "o_probe": Out(probe_layout(config)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        d = self.i_descriptor
        chunk, member = Signal(4), Signal(2)  # member: position within the pool window
        pooled = Array(Signal(self._config.word_bits, name=f"pooled{k}") for k in range(self._config.max_chunks))
        word, last_chunk, write = Signal(self._config.word_bits), Signal(), Signal()
        m.d.comb += [
            word.eq(self.i.payload | Mux(d.pool & (member != 0), pooled[chunk], 0)),  # max of bits is OR
            last_chunk.eq(chunk + 1 == d.out_chunks),
            write.eq(self.i.valid & (~d.pool | (member == 3))),
        ]
        with m.If(self.i.valid):
            m.d.sync += [pooled[chunk].eq(word), chunk.eq(Mux(last_chunk, 0, chunk + 1))]
            with m.If(last_chunk):
                m.d.sync += member.eq(Mux(d.pool, member + 1, 0))

        address = self._walk(m, d, position_done=write & last_chunk)
        m.d.sync += self.o_write_enable.eq(0)
        with m.If(write):
            m.d.sync += [self.o_write_enable.eq(1 << (3 * address["y_mod"] + address["x_mod"])),
                         self.o_write_address.eq(address["row"] + address["column"] + address["tile_offset"]
                                                 + address["chunk_offset"]),
                         self.o_write_word.eq(word)]
            m.d.sync += address["chunk_offset"].eq(Mux(last_chunk, 0, address["chunk_offset"] + d.tiles))
        m.d.sync += [self.o_probe_valid.eq(write), self.o_probe.word.eq(word), self.o_probe.chunk.eq(chunk),
                     self.o_probe.x.eq(address["x"]), self.o_probe.y.eq(address["y"]),
                     self.o_probe.tile.eq(address["tile_offset"])]
        return m

    def _walk(self, m: Module, d: data.View, *, position_done: ValueLike) -> dict[str, Signal]:
        """Raster position and its address, kept incrementally: a row of a bank ends every third row of the map."""
        address_bits = spike_address_bits(self._config)
        s = {"x": Signal(10), "y": Signal(10), "x_mod": Signal(2), "y_mod": Signal(2), "row": Signal(address_bits),
             "column": Signal(address_bits), "tile_offset": Signal(8), "chunk_offset": Signal(12)}
        with m.If(position_done):
            m.d.sync += [s["x"].eq(s["x"] + 1), s["x_mod"].eq(Mux(s["x_mod"] == 2, 0, s["x_mod"] + 1))]
            with m.If(s["x_mod"] == 2):
                m.d.sync += s["column"].eq(s["column"] + d.out_col_stride)
            with m.If(s["x"] + 1 == d.out_width):
                m.d.sync += [s["x"].eq(0), s["x_mod"].eq(0), s["column"].eq(0), s["y"].eq(s["y"] + 1),
                             s["y_mod"].eq(Mux(s["y_mod"] == 2, 0, s["y_mod"] + 1))]
                with m.If(s["y_mod"] == 2):
                    m.d.sync += s["row"].eq(s["row"] + d.out_row_stride)
                with m.If(s["y"] + 1 == d.out_height):
                    m.d.sync += [s["y"].eq(0), s["y_mod"].eq(0), s["row"].eq(d.out_base),
                                 s["tile_offset"].eq(s["tile_offset"] + 1)]
        with m.If(self.i_start):
            m.d.sync += [s["row"].eq(d.out_base), s["tile_offset"].eq(0)]
        return s
