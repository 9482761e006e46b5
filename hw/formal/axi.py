"""The rules of an AXI4 master: bursts, handshakes, beats and responses.

# Ref: Arm IHI 0022 (AMBA AXI Protocol Specification), issue H.c, A3.2 (handshakes), A3.3 (dependencies), A3.4 (bursts)
"""

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value

from s2nn.hw.formal.harness import Property
from s2nn.hw.formal.rules import held, held_channel
from s2nn.hw.rtl import axi
from s2nn.hw.rtl.burst_splitter import BurstSplitter
from s2nn.hw.rtl.dma_read import ReadDma
from s2nn.hw.rtl.dma_write import WriteDma
from s2nn.hw.spec.axi import BOUNDARY_BYTES, MAX_BURST_BEATS
from s2nn.hw.spec.config import AcceleratorConfig


def legal_burst(config: AcceleratorConfig, address: Value, length: Value) -> Value:
    """Whether a burst of length + 1 beats starts on a beat and ends before the next multiple of 4 KiB."""
    beats_before = address[axi.beat_size(config.axi_data_bits):BOUNDARY_BYTES.bit_length() - 1]
    return (address[:axi.beat_size(config.axi_data_bits)] == 0) & (
        beats_before + length < BOUNDARY_BYTES // config.axi_bytes)


class SplitCoversRequest(Property):
    """The bursts of a request follow each other without gap from its address to its last beat, each as long as the
    boundary, the limit of 256 beats and the request allow."""

    def __init__(self, config: AcceleratorConfig, *, length_bits: int) -> None:
        super().__init__()
        self._config, self._length_bits = config, length_bits

    def laws(self, m: Module) -> None:
        dut: Any = BurstSplitter(self._config, length_bits=self._length_bits)
        inside = self.prove_about(m, dut)
        request, burst, shift = dut.i.payload, dut.o.payload, axi.beat_size(self._config.axi_data_bits)
        address, left = Signal(axi.ADDRESS_BITS), Signal(self._length_bits + 1)  # still to come, in beats
        beats = Signal(axi.LENGTH_BITS + 1)
        m.d.comb += beats.eq(burst.length + 1)
        with m.If(dut.i.valid & dut.i.ready):
            m.d.sync += [address.eq(request.address >> shift << shift), left.eq(request.length + 1)]
        with m.If(dut.o.valid & dut.o.ready):
            m.d.sync += [address.eq(address + (beats << shift)), left.eq(left - beats)]
        to_boundary = (BOUNDARY_BYTES - address[:BOUNDARY_BYTES.bit_length() - 1]) >> shift
        longest = Mux(to_boundary < MAX_BURST_BEATS, to_boundary, MAX_BURST_BEATS)
        m.d.comb += [
            Assert(~dut.o.valid | (burst.address == address), "a burst begins where the last one ended"),
            Assert(~dut.o.valid | (beats == Mux(left < longest, left, longest)), "a burst is as long as it may be"),
            Assert(~dut.o.valid | (burst.last == (beats == left)), "the last burst is marked"),
            Assert(~dut.o.valid | legal_burst(self._config, burst.address, burst.length), "a burst is legal"),
            Assert(~dut.o.valid | (inside.signal("left") + 1 == left), "beats are left while there is a burst"),
            Assert(dut.i.ready == ~dut.o.valid, "one request at a time"),
        ]


class ReadMaster(Property):
    """`ReadDma` on its bus, whatever is requested, discarded and answered.

    The memory answers bursts that it has taken, and no others; its data may come in the cycle of the address.
    """

    def __init__(self, config: AcceleratorConfig, *, max_outstanding: int) -> None:
        super().__init__()
        self._config, self._max_outstanding = config, max_outstanding

    def laws(self, m: Module) -> None:
        dut: Any = ReadDma(self._config, max_outstanding=self._max_outstanding)
        inside = self.prove_about(m, dut)
        bus, bursts = dut.axi, Signal(range(self._max_outstanding + 2))  # taken, not fully answered
        taken, answered = bus.arvalid & bus.arready, bus.rvalid & bus.rready & bus.rlast
        m.d.sync += bursts.eq(bursts + taken - answered)
        m.d.comb += [
            Assume(~bus.rvalid | (bursts != 0) | taken),
            Assert(held_channel(m, bus.arvalid, bus.arready, Cat(bus.araddr, bus.arlen), name="ar"),
                   "AR waits unchanged"),
            Assert(~bus.arvalid | legal_burst(self._config, bus.araddr, bus.arlen), "a burst is legal"),
            Assert((bus.arsize == axi.beat_size(self._config.axi_data_bits)) & (bus.arburst == axi.Burst.INCR),
                   "bursts are of full beats, incrementing"),
            Assert(bursts <= self._max_outstanding, "no more bursts are outstanding than promised"),
            Assert(~(bus.rvalid & bus.rready) | inside.signal("owners", "r_rdy"), "each beat has an owner"),
            Assert(inside.signal("owners", "level") == bursts + bus.arvalid, "each burst has an owner"),
            Assert(~dut.o_idle | ((bursts == 0) & ~bus.arvalid), "idle is idle"),
            Assert(dut.o_burst == taken, "each burst is reported"),
        ]


class BeatsReturn(Property):
    """Each beat of a request comes out of `ReadDma` with the request's stream, and its last beat is marked.

    The memory answers each burst with as many beats as it asks for, in order. The solver chooses the request that is
    followed. Nothing is discarded.
    """

    def __init__(self, config: AcceleratorConfig, *, max_outstanding: int, longest: int) -> None:
        super().__init__()
        self._config, self._max_outstanding, self._longest = config, max_outstanding, longest

    def laws(self, m: Module) -> None:
        dut: Any = ReadDma(self._config, max_outstanding=self._max_outstanding)
        self.prove_about(m, dut)
        m.d.comb += Assume(~dut.i_discard)
        self._answer(m, dut.axi)
        request, follow = dut.i_request, self.any_sequence(1, "follow")
        asked, returned = Signal(8, name="asked"), Signal(8, name="returned")  # beats
        first, beats, stream, chosen = Signal(8), Signal(8), Signal(3), Signal()
        m.d.comb += [Assume(~request.valid | (request.payload.length < self._longest)),
                     Assume(asked <= 128)]
        with m.If(request.valid & request.ready):
            m.d.sync += asked.eq(asked + request.payload.length + 1)
            with m.If(follow & ~chosen):
                m.d.sync += [first.eq(asked), beats.eq(request.payload.length + 1), stream.eq(request.payload.stream),
                             chosen.eq(1)]
        with m.If(dut.o_data.valid & dut.o_data.ready):
            m.d.sync += returned.eq(returned + 1)
        ours = dut.o_data.valid & chosen & (returned >= first) & (returned < first + beats)
        m.d.comb += [
            Assert(~dut.o_data.valid | (returned < asked), "no beat comes that was not asked for"),
            Assert(~ours | (dut.o_data.payload.stream == stream), "a beat has the stream of its request"),
            Assert(~ours | (dut.o_data.payload.last == (returned == first + beats - 1)), "the last beat is marked"),
        ]

    def _answer(self, m: Module, bus: Any) -> None:
        """Assumes a memory that answers the bursts that it took, in order and in full."""
        places = self._max_outstanding + 1
        lengths = [Signal(axi.LENGTH_BITS, name=f"length{k}") for k in range(places)]  # of the oldest burst first
        level, beat = Signal(range(places + 1)), Signal(axi.LENGTH_BITS)
        taken, came = bus.arvalid & bus.arready, bus.rvalid & bus.rready
        done = came & bus.rlast
        m.d.comb += [Assume(~bus.rvalid | (level != 0)), Assume(bus.rlast == (beat == lengths[0])),
                     Assert(level <= self._max_outstanding, "bursts outstanding are bounded")]
        m.d.sync += level.eq(level + taken - done)
        with m.If(came):
            m.d.sync += beat.eq(Mux(bus.rlast, 0, beat + 1))
        for place, length in enumerate(lengths):
            following = lengths[place + 1] if place + 1 < places else 0
            m.d.sync += length.eq(Mux(taken & (level - done == place), bus.arlen, Mux(done, following, length)))


class WriteMaster(Property):
    """`WriteDma` on its bus. The memory takes addresses and data in any order."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__()
        self._config = config

    def laws(self, m: Module) -> None:
        dut: Any = WriteDma(self._config)
        inside = self.prove_about(m, dut)
        bus = dut.axi
        # The burst under way: begun in an earlier cycle, its address taken by the memory, its length, its beats so far.
        under_way, address_taken = Signal(name="under_way"), Signal(name="address_taken")
        length, sent = Signal(axi.LENGTH_BITS), Signal(axi.LENGTH_BITS + 1)
        begins, takes, beat = bus.awvalid & ~under_way, bus.awvalid & bus.awready, bus.wvalid & bus.wready
        outstanding = begins | under_way
        before, last = Mux(begins, 0, sent), Mux(begins, bus.awlen, length)
        complete = (address_taken | takes) & (before + beat > last)
        m.d.sync += [under_way.eq(outstanding), address_taken.eq(address_taken | takes), length.eq(last),
                     sent.eq(before + beat)]
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += [under_way.eq(0), address_taken.eq(0)]
        m.d.comb += [
            Assume(held(m, dut.i_data, name="i_data")),
            Assume(~bus.bvalid | (outstanding & complete)),
            Assert(held_channel(m, bus.awvalid, bus.awready, Cat(bus.awaddr, bus.awlen), name="aw"),
                   "AW waits unchanged"),
            Assert(held_channel(m, bus.wvalid, bus.wready, Cat(bus.wdata, bus.wstrb, bus.wlast),
                                name="w"), "W waits unchanged"),
            Assert(~bus.awvalid | legal_burst(self._config, bus.awaddr, bus.awlen), "a burst is legal"),
            Assert((bus.awsize == axi.beat_size(self._config.axi_data_bits)) & (bus.awburst == axi.Burst.INCR),
                   "bursts are of full beats, incrementing"),
            Assert(~(bus.awvalid & address_taken), "one burst is outstanding at a time"),
            Assert(~bus.wvalid | (outstanding & (before <= last)), "a beat belongs to a burst"),
            Assert(~bus.wvalid | (bus.wlast == (before == last)), "WLAST marks the last beat"),
            Assert(~bus.bready | outstanding, "a response is taken for a burst that is outstanding"),
            Assert(dut.o_burst == (bus.awvalid & bus.awready), "each burst is reported"),
            # What induction needs to know of the registers.
            Assert(inside.signal("waiting") == outstanding, "a burst waits for its response"),
            Assert(inside.signal("sending") == (outstanding & (before <= last)), "a burst sends all its beats"),
            Assert(~inside.signal("sending") | (inside.signal("left") + before == last), "beats are left"),
            Assert(under_way == (address_taken | (under_way & bus.awvalid)), "an address waits until it is taken"),
        ]
