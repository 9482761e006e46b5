"""Writes to memory over AXI4: a request, its beats, and the memory's word that they arrived."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl import axi
from s2nn.hw.rtl.burst_splitter import BurstSplitter
from s2nn.hw.spec.config import AcceleratorConfig

#: Width of the length of a write request.
LENGTH_BITS = 16
#: A write request: a byte address (its bits below a beat are ignored) and a number of beats less one.
REQUEST = data.StructLayout({"address": axi.ADDRESS_BITS, "length": LENGTH_BITS})


def write_beat_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One beat of write data and the strobes of its bytes."""
    return data.StructLayout({"data": config.axi_data_bits, "strb": config.axi_bytes})


class WriteDma(wiring.Component):
    """Cuts write requests into bursts and writes one after the other, each confirmed before the next begins.

    Logits are a few beats, and of a map a wait of the response follows each burst of up to 256 beats.

    Parameters
    ----------
    config : gives the width of the bus.

    Members
    -------
    i_request : In(stream REQUEST {address: 32, length: 16})
    i_data : In(stream write_beat_layout(config) {data: axi_data_bits, strb: axi_bytes})
    axi : Out(Axi4WriteSignature)
    o_idle : Out(1); no request inside, no response outstanding.
    o_done : Out(1); high for one cycle, the one after the last response of a request was accepted.
    o_error : Out(1); high for one cycle, the one after a BRESP other than OKAY was accepted: never after `o_done`.
    o_burst : Out(1); high in the cycle in which the memory takes a burst (AWVALID and AWREADY), with
        o_burst_beats : Out(9).

    Latency/throughput
    ------------------
    AWVALID two cycles after a request is taken, W in the same cycle; one beat per cycle within a burst. Between two
    bursts: the memory's response time and two cycles.

    Contract
    --------
    AW outputs are registered and hold until AWREADY. WDATA and WSTRB are those of `i_data`, which must hold while it
    waits; WREADY reaches `i_data.ready` directly. Neither channel waits for the other, as AXI demands. A request that
    was taken needs all of its beats: there is no way to abort a burst on AXI. A beat offered before its burst has
    begun waits. After an error the request goes on to its end.
    """

    i_request: stream.Interface
    i_data: stream.Interface
    axi: wiring.PureInterface
    o_idle: Signal
    o_done: Signal
    o_error: Signal
    o_burst: Signal
    o_burst_beats: Signal

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__({
            "i_request": In(stream.Signature(REQUEST)),
            "i_data": In(stream.Signature(write_beat_layout(config))),
            "axi": Out(axi.Axi4WriteSignature(data_bits=config.axi_data_bits)),
            "o_idle": Out(1),
            "o_done": Out(1),
            "o_error": Out(1),
            "o_burst": Out(1),
            "o_burst_beats": Out(axi.LENGTH_BITS + 1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter(self._config, length_bits=LENGTH_BITS)
        wiring.connect(m, wiring.flipped(self.i_request), splitter.i)

        left = Signal(axi.LENGTH_BITS)  # beats of this burst still to come, less one
        sending = Signal()  # W has beats to send
        waiting = Signal()  # the response is outstanding
        final = Signal()  # this burst is the last of its request
        w_beat = self.axi.wvalid & self.axi.wready
        m.d.comb += [
            splitter.o.ready.eq(~waiting),
            self.axi.awsize.eq(axi.beat_size(self._config.axi_data_bits)),
            self.axi.awburst.eq(axi.Burst.INCR),
            self.axi.wdata.eq(self.i_data.payload.data),
            self.axi.wstrb.eq(self.i_data.payload.strb),
            self.axi.wlast.eq(left == 0),
            self.axi.wvalid.eq(sending & self.i_data.valid),
            self.i_data.ready.eq(sending & self.axi.wready),
            self.axi.bready.eq(waiting),
            self.o_burst.eq(self.axi.awvalid & self.axi.awready),
            self.o_burst_beats.eq(self.axi.awlen + 1),
            self.o_idle.eq(splitter.o_idle & ~waiting),
        ]

        with m.If(self.axi.awready):
            m.d.sync += self.axi.awvalid.eq(0)
        with m.If(w_beat):
            m.d.sync += [left.eq(left - 1), sending.eq(~self.axi.wlast)]
        m.d.sync += [self.o_done.eq(0), self.o_error.eq(0)]
        with m.If(~waiting):
            m.d.sync += [
                self.axi.awaddr.eq(splitter.o.payload.address),
                self.axi.awlen.eq(splitter.o.payload.length),
                self.axi.awvalid.eq(splitter.o.valid),
                left.eq(splitter.o.payload.length),
                final.eq(splitter.o.payload.last),
                sending.eq(splitter.o.valid),
                waiting.eq(splitter.o.valid),
            ]
        with m.Elif(self.axi.bvalid):
            m.d.sync += [
                waiting.eq(0),
                self.o_done.eq(final),
                self.o_error.eq(self.axi.bresp != axi.Response.OKAY),
            ]
        return m
