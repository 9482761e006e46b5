"""The input image: bytes of pixels become words of bit planes, as if they were spikes."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import DescriptorLayout
from s2nn.hw.spec.config import PIXEL_BITS, AcceleratorConfig


class InputLoader(wiring.Component):
    """Collects the channels of a pixel, then emits its planes, most significant first, `time_lanes` planes a word.

    Members
    -------
    i_descriptor : the LOAD_INPUT descriptor. i_start : pulse, an image follows.
    i : beats of bytes in (row, column, channel) order. o : words, to the spike writer.
    o_busy : the image is not complete.

    Throughput: a pixel takes in_channels + 8/time_lanes cycles.
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
        d, lanes, time_lanes = self.i_descriptor, self._config.lanes, self._config.time_lanes
        pixel = Array(Signal(PIXEL_BITS, name=f"channel{k}") for k in range(lanes))
        byte, channel = Signal(range(self._config.axi_bytes)), Signal(range(lanes))
        chunk = Signal(range(self._config.pixel_chunks + 1))
        x, y = Signal(10), Signal(10)
        for lane in range(lanes):
            planes = [pixel[lane][PIXEL_BITS - 1 - plane] for plane in range(PIXEL_BITS)]
            word = self.o.payload.word_select(lane, time_lanes)
            with m.Switch(chunk):
                for k in range(self._config.pixel_chunks):
                    with m.Case(k):
                        m.d.comb += [word[t].eq(planes[k * time_lanes + t]) for t in range(time_lanes)]

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i_start):
                    m.d.sync += [byte.eq(0), channel.eq(0), x.eq(0), y.eq(0),
                                 *(pixel[k].eq(0) for k in range(lanes))]  # channels that this image lacks stay silent
                    m.next = "COLLECT"
            with m.State("COLLECT"):
                m.d.comb += [self.o_busy.eq(1), self.i.ready.eq(byte == self._config.axi_bytes - 1)]
                with m.If(self.i.valid):
                    m.d.sync += [pixel[channel].eq(self.i.payload.word_select(byte, 8)),
                                 byte.eq(Mux(self.i.ready, 0, byte + 1)), channel.eq(channel + 1)]
                    with m.If(channel + 1 == d.in_channels):
                        m.d.sync += [channel.eq(0), chunk.eq(0)]
                        m.next = "EMIT"
            with m.State("EMIT"):
                m.d.comb += [self.o_busy.eq(1), self.o.valid.eq(1)]
                m.d.sync += chunk.eq(chunk + 1)
                with m.If(chunk == self._config.pixel_chunks - 1):
                    m.d.sync += x.eq(x + 1)
                    m.next = "COLLECT"
                    with m.If(x + 1 == d.in_width):
                        m.d.sync += [x.eq(0), y.eq(y + 1)]
                        with m.If(y + 1 == d.in_height):
                            m.next = "DISCARD"
            with m.State("DISCARD"):  # the rest of the last beat is padding
                m.d.comb += self.o_busy.eq(1)
                with m.If((byte == 0) | self.i.valid):
                    m.d.comb += self.i.ready.eq(byte != 0)
                    m.next = "IDLE"
        return m
