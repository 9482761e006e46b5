"""From words of fired spikes to the spike buffer: pool, residual, then the address in the output map."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import DescriptorLayout, plane_bits, spike_address_bits
from s2nn.hw.rtl.loop_counter import count_loop
from s2nn.hw.rtl.pool import PoolUnit
from s2nn.hw.rtl.residual import ResidualUnit
from s2nn.hw.rtl.skid_buffer import SkidBuffer
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


def probe_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A word as it is written, with its place in the map: what a bench compares with the golden model. `pass` counts
    the planes of a position: chunk * planes + plane."""
    return data.StructLayout({"word": config.word_bits, "pass": plane_bits(config) + 6, "x": 10, "y": 10, "tile": 8})


class SpikeWriter(wiring.Component):
    """Words arrive in the order of the loop nest: tile, position (the four of a pool window in turn), chunk.

    Members
    -------
    i_descriptor : of the layer. i_start : pulse, a layer begins. i : words; its ready is a register.
    i_residual : words of the residual map.
    o_busy : a word is inside whose place is still to be found. o_moves : pulse, the place of a word is being found.
    o_write_enable (one bit per bank), o_write_address, o_write_word : the spike buffer's write port.
    o_probe_valid, o_probe : the same write with its place.

    Latency: three cycles. Throughput: one word of the output per cycle.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        words = stream.Signature(config.word_bits)
        super().__init__({
            "i_descriptor": In(DescriptorLayout),
            "i_start": In(1),
            "i": In(words),
            "i_residual": In(words),
            "o_busy": Out(1),
            "o_moves": Out(1),
            "o_write_enable": Out(GROUP_TAPS),
            "o_write_address": Out(spike_address_bits(config)),
            "o_write_word": Out(config.word_bits),
            "o_probe_valid": Out(1),
            "o_probe": Out(probe_layout(config)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        d = self.i_descriptor
        m.submodules.spikes = spikes = SkidBuffer(self._config.word_bits)
        m.submodules.pool = pool = PoolUnit(self._config)
        m.submodules.residual = residual = ResidualUnit(self._config)
        wiring.connect(m, wiring.flipped(self.i), spikes.i)
        wiring.connect(m, spikes.o, pool.i)
        wiring.connect(m, pool.o, residual.i)
        wiring.connect(m, wiring.flipped(self.i_residual), residual.i_residual_words)
        m.d.comb += [
            pool.i_pool.eq(d.pool), pool.i_sum.eq(d.pool_sum), pool.i_chunks.eq(d.out_chunks),
            pool.i_start.eq(self.i_start),
            residual.i_residual.eq(d.residual), residual.i_residual_planes.eq(d.residual_planes),
            residual.i_planes.eq(d.out_planes), residual.o.ready.eq(1),
            self.o_busy.eq(spikes.o.valid | self.o_moves),
        ]

        # A stage between the word and its address.
        write, word = self.o_moves, Signal(self._config.word_bits, reset_less=True)
        m.d.sync += [write.eq(residual.o.valid), word.eq(residual.o.payload)]
        settles = ~self.o_busy
        plane = count_loop(m, "plane", plane_bits(self._config), d.out_planes, advances=write, settles=settles)
        chunk = count_loop(m, "chunk", 8, d.out_chunks, advances=write & plane.at_last, settles=settles)
        last_chunk, number = Signal(), Signal.like(self.o_probe["pass"])
        m.d.comb += last_chunk.eq(plane.at_last & chunk.at_last)
        address = self._walk(m, d, position_done=write & last_chunk, settles=settles)
        rows, columns = ([address[axis] == k for k in range(3)] for axis in ("y_mod", "x_mod"))
        m.d.sync += self.o_write_enable.eq(0)
        with m.If(write):
            m.d.sync += [self.o_write_enable.eq(Cat(row & column for row in rows for column in columns)),
                         self.o_write_address.eq(address["row"] + address["column"] + address["tile_offset"]
                                                 + address["pass_offset"]),
                         self.o_write_word.eq(word),
                         address["pass_offset"].eq(Mux(last_chunk, 0, address["pass_offset"] + d.tiles)),
                         number.eq(Mux(last_chunk, 0, number + 1))]
        m.d.sync += [self.o_probe_valid.eq(write), self.o_probe.word.eq(word),
                     self.o_probe["pass"].eq(number), self.o_probe.x.eq(address["x"]), self.o_probe.y.eq(address["y"]),
                     self.o_probe.tile.eq(address["tile_offset"])]
        return m

    def _walk(self, m: Module, d: data.View, *, position_done: Value, settles: Value) -> dict[str, Signal]:
        """Raster position and its address, kept incrementally: a row of a bank ends every third row of the map."""
        address_bits = spike_address_bits(self._config)
        x = count_loop(m, "x", 10, d.out_width, advances=position_done, settles=settles)
        y = count_loop(m, "y", 10, d.out_height, advances=position_done & x.at_last, settles=settles)
        s = {"x": x.count, "y": y.count, "x_mod": Signal(2), "y_mod": Signal(2), "row": Signal(address_bits),
             "column": Signal(address_bits), "tile_offset": Signal(8), "pass_offset": Signal(12)}
        with m.If(position_done):
            m.d.sync += s["x_mod"].eq(Mux(s["x_mod"] == 2, 0, s["x_mod"] + 1))
            with m.If(s["x_mod"] == 2):
                m.d.sync += s["column"].eq(s["column"] + d.out_col_stride)
            with m.If(x.at_last):
                m.d.sync += [s["x_mod"].eq(0), s["column"].eq(0),
                             s["y_mod"].eq(Mux(s["y_mod"] == 2, 0, s["y_mod"] + 1))]
                with m.If(s["y_mod"] == 2):
                    m.d.sync += s["row"].eq(s["row"] + d.out_row_stride)
                with m.If(y.at_last):
                    m.d.sync += [s["y_mod"].eq(0), s["row"].eq(d.out_base),
                                 s["tile_offset"].eq(s["tile_offset"] + 1)]
        with m.If(self.i_start):
            m.d.sync += [s["row"].eq(d.out_base), s["tile_offset"].eq(0)]
        return s
