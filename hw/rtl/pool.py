"""2x2 max-pooling of spike words: the maximum of bits is their OR."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.spec.config import AcceleratorConfig


class PoolUnit(wiring.Component):
    """Words arrive position by position, chunk by chunk; with pooling, the four positions of a pool window in turn.

    Members
    -------
    i_pool : of the layer; otherwise words pass. i_chunks : chunks of a position. i_start : pulse, a layer begins.
    i : words. o : words of the pooled map, in the same cycle as the last word that goes into them.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        words = stream.Signature(config.word_bits)
        super().__init__({"i_pool": In(1), "i_chunks": In(6), "i_start": In(1), "i": In(words), "o": Out(words)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The maximum so far of each chunk. Its read is a cycle ahead: the chunk of the next word is always known.
        m.submodules.partial = partial = memory.Memory(shape=self._config.word_bits, depth=self._config.max_chunks,
                                                       init=[])
        write = partial.write_port()
        read = partial.read_port(transparent_for=(write,))
        chunk, next_chunk, member = Signal(6), Signal(6), Signal(2)  # member: position within the pool window
        word, moves = Signal(self._config.word_bits), Signal()
        completes = ~self.i_pool | (member == 3)
        m.d.comb += [
            word.eq(self.i.payload | Mux(self.i_pool & (member != 0), read.data, 0)),
            self.o.valid.eq(self.i.valid & completes), self.o.payload.eq(word),
            self.i.ready.eq(self.o.ready | ~completes), moves.eq(self.i.valid & self.i.ready),
            next_chunk.eq(chunk),
            write.addr.eq(chunk), write.data.eq(word), write.en.eq(moves & self.i_pool), read.addr.eq(next_chunk),
        ]
        m.d.sync += chunk.eq(next_chunk)
        with m.If(moves):
            m.d.comb += next_chunk.eq(chunk + 1)
            with m.If(chunk + 1 == self.i_chunks):
                m.d.comb += next_chunk.eq(0)
                m.d.sync += member.eq(Mux(self.i_pool, member + 1, 0))
        with m.If(self.i_start):
            m.d.comb += next_chunk.eq(0)
            m.d.sync += member.eq(0)
        return m
