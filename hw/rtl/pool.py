"""2x2 pooling of spike words: the maximum of bits is their OR, their sum takes three bit planes."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.spec.config import AcceleratorConfig

#: Bit planes of a sum of four spikes.
SUM_PLANES = 3


class PoolUnit(wiring.Component):
    """Words arrive position by position, chunk by chunk; with pooling, the four positions of a pool window in turn.

    Members
    -------
    i_pool, i_sum : of the layer: pool, and by the sum. i_chunks : chunks of a position. i_start : pulse, a layer
        begins.
    i : words. o : words of the pooled map, offered while the last word that goes into them is on `i`; of a sum its
        planes in turn, the lowest first.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        words = stream.Signature(config.word_bits)
        super().__init__({"i_pool": In(1), "i_sum": In(1), "i_chunks": In(8), "i_start": In(1), "i": In(words),
                          "o": Out(words)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Maximum or sum so far, of each chunk. Its read is a cycle ahead: the chunk of the next word is always known.
        planes = data.ArrayLayout(self._config.word_bits, SUM_PLANES)
        m.submodules.partial = partial = memory.Memory(shape=planes, depth=self._config.max_chunks, init=[])
        write = partial.write_port()
        read = partial.read_port(transparent_for=(write,))
        chunk, next_chunk, member = Signal(8), Signal(8), Signal(2)  # member: position within the pool window
        last_chunk = Signal(8, reset_less=True)
        m.d.sync += last_chunk.eq(self.i_chunks - 1)
        plane, last_plane = Signal(range(SUM_PLANES)), Signal()
        before, after, moves = Signal(planes), Signal(planes), Signal()
        completes, joins = Signal(), Signal()  # registers: what the next word does to its pool window

        spikes = self.i.payload
        carry0, carry1 = before[0] & spikes, before[1] & before[0] & spikes
        with m.If(joins):
            m.d.comb += before.eq(read.data)
        m.d.comb += [
            after[0].eq(Mux(self.i_sum, before[0] ^ spikes, before[0] | spikes)),
            after[1].eq(before[1] ^ carry0), after[2].eq(before[2] ^ carry1),
            last_plane.eq(~self.i_pool | ~self.i_sum | (plane == SUM_PLANES - 1)),
            self.o.valid.eq(self.i.valid & completes), self.o.payload.eq(after[plane]),
            self.i.ready.eq((self.o.ready & last_plane) | ~completes), moves.eq(self.i.valid & self.i.ready),
            next_chunk.eq(chunk),
            write.addr.eq(chunk), write.data.eq(after), write.en.eq(moves & self.i_pool), read.addr.eq(next_chunk),
        ]
        m.d.sync += chunk.eq(next_chunk)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += plane.eq(Mux(last_plane, 0, plane + 1))
        with m.If(moves):
            m.d.comb += next_chunk.eq(chunk + 1)
            with m.If(chunk == last_chunk):
                m.d.comb += next_chunk.eq(0)
                m.d.sync += [member.eq(Mux(self.i_pool, member + 1, 0)), completes.eq(~self.i_pool | (member == 2)),
                             joins.eq(self.i_pool & (member != 3))]
        with m.If(self.i_start):
            m.d.comb += next_chunk.eq(0)
            m.d.sync += [member.eq(0), completes.eq(~self.i_pool), joins.eq(0)]
        return m
