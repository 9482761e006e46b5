"""Parameter words from DRAM to the biases of the next tile, with and without the threshold taken off."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.lif import params_layout
from s2nn.hw.spec.config import PARAM_BYTES, AcceleratorConfig
from s2nn.hw.spec.packing import NO_CHANNEL


class ParamsLoader(wiring.Component):
    """Shifts in one word per cycle; after those of `lanes` channels o holds the tile, lane 0 first, until it is taken.

    A queue in front holds another tile's words.

    Members
    -------
    i : beats of parameter words (hw/spec/packing.py). i_shift : param_shift of the layer that they are of. i_pairs :
        its channels have two words, of which the second says how currents are added and kept.
    o_valid, o : parameters of a tile. i_take : pulse, they have been taken.

    Throughput: a beat takes as many cycles as it has words.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(config.axi_data_bits)),
            "i_shift": In(4), "i_pairs": In(1),
            "o_valid": Out(1),
            "o": Out(params_layout(config)),
            "i_take": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        per_beat = self._config.axi_bytes // PARAM_BYTES
        has_pairs = self._config.current_bits > 0
        flags = {"pairs": 1} if has_pairs else {}
        queued = data.StructLayout({"words": self._config.axi_data_bits, "shift": 4, **flags})
        depth = self._config.params_beats << has_pairs
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=queued.size, depth=depth)
        arriving, beat = data.View(queued, queue.w_data), data.View(queued, queue.r_data)
        part, lane = Signal(range(max(per_beat, 2))), Signal(range(self._config.lanes + 1))  # lane: words taken
        moves = Signal()
        whole = lane[-1]  # lane == lanes, a power of two
        m.d.comb += [
            arriving.words.eq(self.i.payload), arriving.shift.eq(self.i_shift), queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            moves.eq(queue.r_rdy & ~whole), queue.r_en.eq(moves & (part == per_beat - 1)),
        ]
        arrived, word = Signal(), Signal(8 * PARAM_BYTES, reset_less=True)
        shift = Signal.like(beat.shift, reset_less=True)
        ends_channel, is_second = Signal(init=1), Signal(reset_less=True)  # the word that moves, the one that arrived
        m.d.sync += [arrived.eq(moves), word.eq(beat.words.word_select(part, 8 * PARAM_BYTES)), shift.eq(beat.shift)]
        with m.If(moves):
            m.d.sync += [part.eq(Mux(queue.r_en, 0, part + 1)), lane.eq(lane + ends_channel)]
        # The last word is in the tile a cycle after it was taken.
        m.d.sync += self.o_valid.eq(whole & ~self.i_take)
        with m.If(self.i_take):
            m.d.sync += lane.eq(0)

        tile = Signal(params_layout(self._config), reset_less=True)
        bias, threshold = word[:16].as_signed(), word[16:31]
        last = tile[self._config.lanes - 1]
        m.d.comb += self.o.eq(tile)
        with m.If(arrived & ~is_second):
            m.d.sync += [
                *(tile[k].eq(tile[k + 1]) for k in range(self._config.lanes - 1)),
                last.bias.eq(bias << shift), last.excess_bias.eq((bias - threshold) << shift),
                last.negate.eq(word[31]), last.no_channel.eq(threshold == NO_CHANNEL),
            ]
        if has_pairs:
            second = Signal()
            m.d.comb += [arriving.pairs.eq(self.i_pairs), ends_channel.eq(second | ~beat.pairs)]
            m.d.sync += is_second.eq(second)
            with m.If(moves):
                m.d.sync += second.eq(~ends_channel)
            with m.If(arrived & is_second):
                m.d.sync += [last.gain.eq(word[:16]), last.keep_shift.eq(word[16:])]
        return m
