"""The last stage of the windows: neighbourhoods pass, gathered words become a set of nine, residual words leave."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import block_layout
from s2nn.hw.rtl.residual_queue import ResidualQueue
from s2nn.hw.rtl.skid_buffer import SkidBuffer
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig

#: What travels with a word besides its place in the set.
_SIDE = ("weight_row", "weight_phase", "tags")


class GatherSet(wiring.Component):
    """Finds the windows that have a spike, and holds two blocks for the scanner.

    Nine words of N channels are N windows of nine consecutive inputs: input i of the set is channel i mod N of word
    i div N, and tap i mod 9 of window i div 9. A word takes a stage of its own first, in which the one bank that was
    read is found, then joins the set; so a set leaves three cycles after its last word came.
    Neighbourhoods and gathered words never mix: a layer has one of them, and the pipeline runs empty between layers.

    Members
    -------
    o_enable : the pipeline in front moves. A register: it goes to all banks of the spike buffer.
    i_valid, i_gather, i_slot, i_set_last, i_residual, i_block : a step's words by bank and what travels with them; with
        i_gather or i_residual they are of one bank. `i_block.active` is not used.
    i_taps : by channel, the banks on the map whose word has a spike of it.
    o : blocks. o_residual : residual words, out of a queue. o_busy : something is inside, but for that queue.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "o_enable": Out(1),
            "i_valid": In(1), "i_gather": In(1), "i_slot": In(range(GROUP_TAPS)), "i_set_last": In(1),
            "i_residual": In(1),
            "i_block": In(block_layout(config)),
            "i_taps": In(data.ArrayLayout(GROUP_TAPS, config.lanes)),
            "o": Out(stream.Signature(block_layout(config))),
            "o_residual": Out(stream.Signature(config.word_bits)),
            "o_busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, time_lanes = self._config.lanes, self._config.time_lanes
        m.submodules.blocks = blocks = SkidBuffer(block_layout(self._config))
        m.submodules.residuals = residuals = ResidualQueue(self._config)
        wiring.connect(m, blocks.o, wiring.flipped(self.o))
        wiring.connect(m, residuals.o, wiring.flipped(self.o_residual))
        inputs, on_map, move = self.i_block.words, self.i_block.on_map, Signal(name="move", init=1)
        m.d.comb += self.o_enable.eq(move)
        channel_active = Signal(lanes)
        m.d.comb += channel_active.eq(Cat(taps.any() for taps in self.i_taps))

        # A single word, found among the banks.
        single, residual, set_last = Signal(), Signal(), Signal(reset_less=True)
        residual_next = Signal()
        word = Signal(self._config.word_bits, reset_less=True)
        word_active = Signal(lanes, reset_less=True)
        at = Signal(GROUP_TAPS)  # its place in the set, one-hot; 0 if it is none of a set
        side = data.StructLayout({name: block_layout(self._config)[name].shape for name in _SIDE})
        sides = [Signal(side, name=f"side{k}", reset_less=True) for k in range(2)]
        found = [inputs[bank] & on_map[bank].replicate(self._config.word_bits) for bank in range(GROUP_TAPS)]
        m.d.comb += residual_next.eq(Mux(move, self.i_valid & self.i_residual, residual))
        m.d.sync += residual.eq(residual_next)
        with m.If(move):
            m.d.sync += [single.eq(self.i_valid & self.i_gather & ~self.i_residual),
                         at.eq(Mux(self.i_valid & self.i_gather & ~self.i_residual, 1 << self.i_slot, 0)),
                         set_last.eq(self.i_set_last), word_active.eq(channel_active),
                         word.eq(reduce(or_, found)), *(sides[0][name].eq(self.i_block[name]) for name in _SIDE),
                         sides[1].eq(sides[0])]

        # The set that it joins.
        whole, active = Signal(), Signal(lanes, reset_less=True)
        words = Signal(data.ArrayLayout(self._config.word_bits, GROUP_TAPS), reset_less=True)
        with m.If(move):
            m.d.sync += whole.eq(single & set_last)
        with m.If(move):
            for window in range(lanes):
                places = [divmod(GROUP_TAPS * window + tap, lanes) for tap in range(GROUP_TAPS)]
                arrives = reduce(or_, (at[k] & word_active[c] for k, c in places))
                m.d.sync += active[window].eq(arrives | Mux(at[0], 0, active[window]))
                for tap, (k, c) in enumerate(places):
                    target = words[tap].word_select(window, time_lanes)
                    with m.If(at[k]):
                        m.d.sync += target.eq(word.word_select(c, time_lanes))
                    with m.Elif(at[0]):
                        m.d.sync += target.eq(0)

        leaves = Signal()
        passes = self.i_valid & ~self.i_gather & ~self.i_residual
        m.d.comb += [
            leaves.eq(~residual | residuals.i.ready),
            residuals.i.valid.eq(residual & blocks.i.ready), residuals.i.payload.eq(word),
            blocks.i.valid.eq((passes | whole) & leaves), blocks.i.payload.eq(self.i_block),
            blocks.i.payload.active.eq(channel_active),
            self.o_busy.eq(self.o.valid | single | residual | whole),
        ]
        # Whether the skid buffer takes a block and the word of a residual can leave, told a cycle ahead.
        m.d.sync += move.eq(blocks.o_ready_next & (~residual_next | residuals.o_ready_next))
        with m.If(whole):  # a layer gathers all its words or none, so no other block can pass now
            m.d.comb += [blocks.i.payload.words.eq(words), blocks.i.payload.on_map.eq(-1),
                         blocks.i.payload.active.eq(active),
                         *(blocks.i.payload[name].eq(sides[1][name]) for name in _SIDE),
                         blocks.i.payload.row_mod.eq(0), blocks.i.payload.col_mod.eq(0)]
        return m
