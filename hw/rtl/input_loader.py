"""The input: bytes of pixels, or of eight steps of spikes, become words of the spike buffer."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import DescriptorLayout
from s2nn.hw.rtl.loop_counter import count_loop
from s2nn.hw.spec.config import PIXEL_BITS, AcceleratorConfig


class InputLoader(wiring.Component):
    """Collects a byte of each channel, then emits their bits, most significant first, `time_lanes` of them a word; and
    again at the same position until it has all its chunks: an image has one byte a channel, spikes have one for eight
    steps.

    Members
    -------
    i_descriptor : the LOAD_INPUT descriptor. i_start : pulse, an input follows.
    i : beats of bytes in (row, column, byte, channel) order. o : words, to the spike writer.
    o_busy : the input is not complete.

    Throughput: a byte of each channel takes in_channels + 8/time_lanes cycles, the last one of a position less if its
    bits beyond the last chunk are unused.
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
        values = [Signal(PIXEL_BITS, name=f"channel{k}") for k in range(lanes)]
        byte, emits = Signal(range(self._config.axi_bytes)), Signal()
        here, last_here = Signal(lanes, init=1), Signal(lanes, reset_less=True)  # channel of the byte, one-hot
        part = Signal(range(self._config.pixel_chunks + 1))  # chunk of the byte
        m.d.sync += last_here.eq(Cat(d.in_channels == k + 1 for k in range(lanes)))
        # Between two positions at least one byte is collected, so the counters have time to settle.
        chunk = count_loop(m, "chunk", len(d.out_chunks), d.out_chunks, advances=emits, settles=~emits)
        x = count_loop(m, "x", 10, d.in_width, advances=emits & chunk.at_last, settles=~emits)
        y = count_loop(m, "y", 10, d.in_height, advances=emits & chunk.at_last & x.at_last, settles=~emits)
        for lane in range(lanes):
            planes = [values[lane][PIXEL_BITS - 1 - plane] for plane in range(PIXEL_BITS)]
            word = self.o.payload.word_select(lane, time_lanes)
            with m.Switch(part):
                for k in range(self._config.pixel_chunks):
                    with m.Case(k):
                        m.d.comb += [word[t].eq(planes[k * time_lanes + t]) for t in range(time_lanes)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [byte.eq(0), *(value.eq(0) for value in values)]  # channels that an input lacks stay silent
                with m.If(self.i_start):
                    m.next = "COLLECT"
            with m.State("COLLECT"):
                m.d.comb += [self.o_busy.eq(1), self.i.ready.eq(byte == self._config.axi_bytes - 1)]
                for value, is_here in zip(values, here, strict=True):
                    with m.If(is_here):  # time and again, until it is there
                        m.d.sync += value.eq(self.i.payload.word_select(byte, 8))
                with m.If(self.i.valid):
                    m.d.sync += [byte.eq(Mux(self.i.ready, 0, byte + 1)), here.eq(here << 1)]
                    with m.If((here & last_here).any()):
                        m.d.sync += [here.eq(1), part.eq(0)]
                        m.next = "EMIT"
            with m.State("EMIT"):
                m.d.comb += [self.o_busy.eq(1), emits.eq(1), self.o.valid.eq(1)]
                m.d.sync += part.eq(part + 1)
                with m.If((part == self._config.pixel_chunks - 1) | chunk.at_last):
                    m.next = "COLLECT"
                with m.If(chunk.at_last & x.at_last & y.at_last):
                    m.next = "DISCARD"
            with m.State("DISCARD"):  # the rest of the last beat is padding
                m.d.comb += self.o_busy.eq(1)
                with m.If((byte == 0) | self.i.valid):
                    m.d.comb += self.i.ready.eq(byte != 0)
                    m.next = "IDLE"
        return m
