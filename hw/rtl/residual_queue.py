"""A queue of residual words ahead of their spikes, whose room is known a cycle early."""

from amaranth import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.skid_buffer import SkidBuffer
from s2nn.hw.spec.config import AcceleratorConfig

#: Words that wait behind the two at the output.
_DEPTH = 16
#: Residual words that may be ahead of their spikes; a full queue holds the windows up, no more.
RESIDUAL_WORDS = _DEPTH + 2


class ResidualQueue(wiring.Component):
    """Amaranth's queue between registers: a full one holds a whole pipeline up, so `i.ready` is one, and no path leads
    from `o.ready` to it.

    Members
    -------
    i, o : words. o_ready_next : what `i.ready` will be in the next cycle.

    Latency: two cycles. Throughput: one word per cycle.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        words = stream.Signature(config.word_bits)
        super().__init__({"i": In(words), "o": Out(words), "o_ready_next": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = fifo.SyncFIFO(width=self._config.word_bits, depth=_DEPTH)
        m.submodules.output = output = SkidBuffer(self._config.word_bits)
        wiring.connect(m, output.o, wiring.flipped(self.o))
        full, moves_up = Signal(), Signal()
        m.d.comb += [
            words.w_en.eq(self.i.valid & ~full), words.w_data.eq(self.i.payload), self.i.ready.eq(~full),
            output.i.valid.eq(words.r_rdy), output.i.payload.eq(words.r_data), words.r_en.eq(output.i.ready),
            moves_up.eq(words.r_rdy & output.i.ready),
            self.o_ready_next.eq(moves_up | ~((words.level == _DEPTH) | ((words.level == _DEPTH - 1) & words.w_en))),
        ]
        m.d.sync += full.eq(~self.o_ready_next)
        return m
