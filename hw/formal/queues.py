"""The queues in use: what goes in comes out, once, in order and unchanged."""

from typing import Any

from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import fifo

from s2nn.hw.formal.harness import Property, past
from s2nn.hw.formal.inside import Inside
from s2nn.hw.formal.rules import Scoreboard
from s2nn.hw.formal.streams import settle
from s2nn.hw.rtl.skid_buffer import SkidBuffer
from s2nn.hw.rtl.spike_writer import SpikeWriter
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.descriptor import Residual


class SkidBufferQueue(Property):
    """A queue of two that offers its first element in every cycle in which it has one."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self._width = width

    def laws(self, m: Module) -> None:
        dut: Any = SkidBuffer(self._width)
        inside = self.prove_about(m, dut)
        board = Scoreboard(self, m, put=dut.i.valid & dut.i.ready, put_payload=dut.i.payload, capacity=2,
                           get=dut.o.valid & dut.o.ready, get_payload=dut.o.payload)
        m.d.comb += [
            Assert(dut.o.valid == (board.level != 0), "the first element is offered"),
            Assert(dut.i.ready == (board.level != 2), "an element is taken while there is room"),
            Assert(~board.inside | (board.wanted == Mux(board.ahead == 0, dut.o.payload, inside.signal("spare"))),
                   "each place holds its element"),
        ]


class LibraryQueue(Property):
    """Amaranth's `SyncFIFO` (bursts under way, places of tiles, residual words) or `SyncFIFOBuffered` (parameters)."""

    def __init__(self, queue: type[fifo.SyncFIFO] | type[fifo.SyncFIFOBuffered], *, width: int, depth: int) -> None:
        super().__init__()
        self._queue, self._width, self._depth = queue, width, depth

    def laws(self, m: Module) -> None:
        dut = self._queue(width=self._width, depth=self._depth)
        inside = Inside(dut)
        m.submodules.dut = inside.fragment
        for name, width in (("w_en", 1), ("r_en", 1), ("w_data", self._width)):
            m.d.comb += getattr(dut, name).eq(self.any_sequence(width, name))
        put = dut.w_en & dut.w_rdy
        board = Scoreboard(self, m, put=put, put_payload=dut.w_data, capacity=self._depth,
                           get=dut.r_en & dut.r_rdy, get_payload=dut.r_data)
        buffered = self._queue is fifo.SyncFIFOBuffered
        stored = self._depth - buffered  # places in the memory; a buffered queue has one behind it
        before = board.ahead - (dut.r_rdy if buffered else 0)  # elements of the memory that leave first
        place = inside.signal("consume") + before
        word = inside.word(m, "storage", address=Mux(place >= stored, place - stored, place))
        first = dut.r_rdy & (board.ahead == 0) if buffered else 0
        late = past(m, put, name="late")  # a buffered queue offers an element a cycle later
        m.d.comb += [
            Assert(dut.level == board.level, "the level counts what is inside"),
            Assert(dut.r_rdy == (board.level != 0) if not buffered else dut.r_rdy | (board.level == 0) | late,
                   "the first element is offered"),
            Assert(~board.inside | (board.wanted == Mux(first, dut.r_data, word)), "each place holds its element"),
        ]


class WordsThroughWriter(Property):
    """Without pool and residual, each word that the spike writer takes is written once, in order.

    A layer begins before its first word, and only while no word is inside.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__()
        self._config = config

    def laws(self, m: Module) -> None:
        dut: Any = SpikeWriter(self._config)
        self.prove_about(m, dut)
        settle(self, m, dut.i_descriptor, name="descriptor")
        m.d.comb += [Assume(~dut.i_descriptor.pool), Assume(dut.i_descriptor.residual == Residual.NONE)]
        writes = dut.o_write_enable.any()
        board = Scoreboard(self, m, put=dut.i.valid & dut.i.ready, put_payload=dut.i.payload, capacity=4,
                           get=writes, get_payload=dut.o_write_word)
        started = Signal(name="started")
        m.d.sync += started.eq(started | dut.i_start)
        m.d.comb += [
            Assume(~dut.i.valid | started), Assume(~dut.i_start | (~dut.i.valid & (board.level == 0))),
            Assert(dut.o_busy == (board.level != writes), "busy while a word inside is not being written"),
        ]
