"""Cuts a memory request into legal AXI bursts; both DMAs begin with it."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl import axi
from s2nn.hw.spec.axi import BOUNDARY_BYTES, MAX_BURST_BEATS
from s2nn.hw.spec.config import AcceleratorConfig


class BurstSplitter(wiring.Component):
    """Cuts requests into INCR bursts: at most 256 beats, never across a multiple of 4 KiB, each as long as that allows.

    Parameters
    ----------
    config : gives the bytes of a beat.
    length_bits : width of the length of a request.

    Members
    -------
    i : In(stream {address: 32, length: length_bits}); address in bytes, its bits below a beat are ignored; length is
        the number of beats less one, as AxLEN wants it.
    o : Out(stream {address: 32, length: 8, last: 1}); length as in `i`, last marks the final burst of the request.
        Combinational from registers: register it before it leaves the chip.
    o_idle : Out(1); no request is inside.

    Latency/throughput
    ------------------
    First burst one cycle after its request, then one burst per cycle; one cycle without a burst between two requests.

    Contract
    --------
    Holds one request at a time. `o` stays as it is while it is not taken. Only a reset drops a request.
    """

    i: stream.Interface
    o: stream.Interface
    o_idle: Signal

    def __init__(self, config: AcceleratorConfig, *, length_bits: int) -> None:
        if length_bits < axi.LENGTH_BITS:
            raise ValueError(f"length_bits must be at least {axi.LENGTH_BITS}, AxLEN's, not {length_bits}")
        self._beat_shift = axi.beat_size(config.axi_data_bits)
        self._length_bits = length_bits
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"address": axi.ADDRESS_BITS, "length": length_bits}))),
            "o": Out(stream.Signature(data.StructLayout({
                "address": axi.ADDRESS_BITS, "length": axi.LENGTH_BITS, "last": 1}))),
            "o_idle": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift = self._beat_shift
        page_bits = BOUNDARY_BYTES.bit_length() - 1 - shift  # of a beat address within 4 KiB
        low_bits = min(axi.LENGTH_BITS, page_bits)
        busy = Signal()
        low = Signal(low_bits)  # beat address = {high, low}
        high = Signal(axi.ADDRESS_BITS - shift - low_bits)
        left = Signal(self._length_bits)  # beats left, less one

        # Beats less one up to the boundary are the complement of the beat address within the page: no subtractor.
        # A boundary further away than the longest burst leaves the low bits as they are and steps the high ones.
        page_high_bits = page_bits - low_bits
        near_boundary = high[:page_high_bits].all() if page_high_bits else Const(1)
        limit = Signal(axi.LENGTH_BITS)
        last = Signal()
        m.d.comb += [
            limit.eq(Mux(near_boundary, ~low, MAX_BURST_BEATS - 1)),
            # Beside the decision between the two limits, not behind it.
            last.eq(~left[axi.LENGTH_BITS:].any() & (~near_boundary | (left[:axi.LENGTH_BITS] <= ~low))),
            self.o.payload.address.eq(Cat(Const(0, shift), low, high)),
            self.o.payload.length.eq(Mux(last, left, limit)),
            self.o.payload.last.eq(last),
            self.o.valid.eq(busy),
            self.i.ready.eq(~busy),
            self.o_idle.eq(~busy),
        ]
        with m.If(~busy):
            m.d.sync += [
                Cat(low, high).eq(self.i.payload.address[shift:]),
                left.eq(self.i.payload.length),
                busy.eq(self.i.valid),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += [
                high.eq(high + 1),
                low.eq(Mux(near_boundary, 0, low)),
                left.eq(left + ~Cat(limit, Const(0, self._length_bits - axi.LENGTH_BITS))),  # left - limit - 1
                busy.eq(~last),
            ]
        return m
