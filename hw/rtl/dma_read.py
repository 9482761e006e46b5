"""Reads from memory over AXI4: requests in, a stream of beats out, in order and with many bursts under way."""

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl import axi
from s2nn.hw.rtl.burst_splitter import BurstSplitter
from s2nn.hw.rtl.skid_buffer import SkidBuffer
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.registers import Stream

#: Width of the length of a read request.
LENGTH_BITS = 16
#: A read request: a byte address (its bits below a beat are ignored), a number of beats less one, what the data is for.
REQUEST = data.StructLayout({"address": axi.ADDRESS_BITS, "length": LENGTH_BITS, "stream": Stream})


def read_beat_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One beat of read data: the data, what it is for, and whether it is the last of its request."""
    return data.StructLayout({"data": config.axi_data_bits, "stream": Stream, "last": 1})


class ReadDma(wiring.Component):
    """Cuts read requests into bursts, keeps several of them outstanding, and returns the data in request order.

    Parameters
    ----------
    config : gives the width of the bus.
    max_outstanding : most bursts requested and not yet fully received, at least 2.

    Members
    -------
    i_request : In(stream REQUEST {address: 32, length: 16, stream: Stream})
    o_data : Out(stream read_beat_layout(config) {data: axi_data_bits, stream: Stream, last: 1})
    axi : Out(Axi4ReadSignature)
    i_discard : In(1); drop everything, see the contract.
    o_idle : Out(1); no request inside, no burst outstanding, no beat waiting on `o_data`.
    o_error : Out(1); high for one cycle, the one after a beat with RRESP other than OKAY was accepted.
    o_burst : Out(1); high in the cycle in which the memory takes a burst (ARVALID and ARREADY), with
        o_burst_stream : Out(Stream) and o_burst_beats : Out(9).

    Latency/throughput
    ------------------
    ARVALID two cycles after a request is taken; `o_data` one cycle after a beat is accepted on the bus. One beat per
    cycle, one burst per cycle; a request takes one cycle more than it has bursts. The bursts of the next request are
    issued while the data of earlier ones still comes.

    Contract
    --------
    AR outputs are registered and hold until ARREADY. Back-pressure on `o_data` reaches the memory through RREADY a
    beat late: RREADY comes from a register (and `i_discard`), and two beats have room. A beat with an
    error response is passed on like any other.
    While `i_discard` is high, requests are taken and dropped, incoming beats are accepted and dropped, a beat waiting
    on `o_data` is withdrawn, and no burst is started; one already on AR stays until the memory takes it. Hold it until
    `o_idle`, which is then certain to come: the DMA is then as after reset. `o_error` reports dropped beats too.
    """

    i_request: stream.Interface
    o_data: stream.Interface
    axi: wiring.PureInterface
    i_discard: Signal
    o_idle: Signal
    o_error: Signal
    o_burst: Signal
    o_burst_stream: Signal
    o_burst_beats: Signal

    def __init__(self, config: AcceleratorConfig, *, max_outstanding: int = 8) -> None:
        if max_outstanding < 2:
            raise ValueError(f"max_outstanding must be at least 2, not {max_outstanding}")
        self._config = config
        self._max_outstanding = max_outstanding
        super().__init__({
            "i_request": In(stream.Signature(REQUEST)),
            "o_data": Out(stream.Signature(read_beat_layout(config))),
            "axi": Out(axi.Axi4ReadSignature(data_bits=config.axi_data_bits)),
            "i_discard": In(1),
            "o_idle": Out(1),
            "o_error": Out(1),
            "o_burst": Out(1),
            "o_burst_stream": Out(Stream),
            "o_burst_beats": Out(axi.LENGTH_BITS + 1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        splitter = BurstSplitter(self._config, length_bits=LENGTH_BITS)
        # What the data on R belongs to, one entry per burst. Written when a burst moves to AR, so before its data.
        owner = data.StructLayout({"stream": Stream, "last": 1})
        owners = fifo.SyncFIFO(width=owner.size, depth=self._max_outstanding)
        m.submodules.splitter = ResetInserter(self.i_discard)(splitter)
        m.submodules.owners = owners

        # The splitter holds one request at a time, so one register next to it tells whose bursts come out.
        request_stream = Signal(Stream)
        taken = self.i_request.valid & splitter.i.ready
        m.d.comb += [
            splitter.i.payload.address.eq(self.i_request.payload.address),
            splitter.i.payload.length.eq(self.i_request.payload.length),
            splitter.i.valid.eq(self.i_request.valid),
            self.i_request.ready.eq(splitter.i.ready),
        ]
        with m.If(taken):
            m.d.sync += request_stream.eq(self.i_request.payload.stream)

        # Address channel: load the register when it is free.
        ar_free = ~self.axi.arvalid | self.axi.arready
        load = splitter.o.valid & splitter.o.ready
        w_owner = data.View(owner, owners.w_data)
        m.d.comb += [
            splitter.o.ready.eq(ar_free & owners.w_rdy & ~self.i_discard),
            w_owner.stream.eq(request_stream),
            w_owner.last.eq(splitter.o.payload.last),
            owners.w_en.eq(load),
            self.axi.arsize.eq(axi.beat_size(self._config.axi_data_bits)),
            self.axi.arburst.eq(axi.Burst.INCR),
            self.o_burst.eq(self.axi.arvalid & self.axi.arready),
            self.o_burst_beats.eq(self.axi.arlen + 1),
        ]
        with m.If(load):
            m.d.sync += [
                self.axi.araddr.eq(splitter.o.payload.address),
                self.axi.arlen.eq(splitter.o.payload.length),
                self.o_burst_stream.eq(request_stream),
            ]
        with m.If(ar_free):
            m.d.sync += self.axi.arvalid.eq(load)

        # Data channel: a skid buffer between the bus and the engine, so RREADY does not depend on the engine's logic.
        beats = SkidBuffer(read_beat_layout(self._config))
        m.submodules.beats = ResetInserter(self.i_discard)(beats)
        wiring.connect(m, beats.o, wiring.flipped(self.o_data))
        r_owner = data.View(owner, owners.r_data)
        beat = self.axi.rvalid & self.axi.rready
        m.d.comb += [
            self.axi.rready.eq(beats.i.ready | self.i_discard),
            beats.i.valid.eq(self.axi.rvalid),
            beats.i.payload.data.eq(self.axi.rdata),
            beats.i.payload.stream.eq(r_owner.stream),
            beats.i.payload.last.eq(r_owner.last & self.axi.rlast),
            owners.r_en.eq(beat & self.axi.rlast),
            self.o_idle.eq(splitter.o_idle & ~owners.r_rdy & ~self.o_data.valid),
        ]
        m.d.sync += self.o_error.eq(beat & (self.axi.rresp != axi.Response.OKAY))
        return m
