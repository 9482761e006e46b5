"""A queue of residual words ahead of their spikes, whose room is known a cycle early."""

from amaranth import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.spec.config import AcceleratorConfig

#: Residual words that may be ahead of their spikes; a full queue holds the windows up, no more.
RESIDUAL_WORDS = 16


class ResidualQueue(wiring.Component):
    """Amaranth's buffered queue; since a full one holds a whole pipeline up, `i.ready` is a register here.

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
        m.submodules.words = words = fifo.SyncFIFOBuffered(width=self._config.word_bits, depth=RESIDUAL_WORDS)
        # The word at the output has a register of its own: of RESIDUAL_WORDS places one is not for those behind it.
        behind, moves_up, full = Signal(range(RESIDUAL_WORDS)), Signal(), Signal()
        m.d.comb += [
            words.w_en.eq(self.i.valid & ~full), words.w_data.eq(self.i.payload), self.i.ready.eq(~full),
            self.o.valid.eq(words.r_rdy), self.o.payload.eq(words.r_data), words.r_en.eq(self.o.ready),
            behind.eq(words.level - words.r_rdy), moves_up.eq((behind != 0) & (~words.r_rdy | self.o.ready)),
            self.o_ready_next.eq(moves_up | ~((behind == RESIDUAL_WORDS - 1)
                                              | ((behind == RESIDUAL_WORDS - 2) & words.w_en))),
        ]
        m.d.sync += full.eq(~self.o_ready_next)
        return m
