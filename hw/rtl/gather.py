"""The last stage of the windows: neighbourhoods pass, gathered words become a set of nine, residual words leave."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import block_layout
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class GatherSet(wiring.Component):
    """Holds one block for the scanner, and finds its windows that have a spike.

    Nine words of N channels are N windows of nine consecutive inputs: input i of the set is channel i mod N of word
    i div N, and tap i mod 9 of window i div 9. A word takes a stage of its own first, in which the one bank that was
    read is found; so a set is complete two cycles after its last word came.

    Members
    -------
    o_enable : the pipeline in front moves.
    i_valid, i_gather, i_slot, i_set_last, i_residual, i_block : a step's words by bank and what travels with them; with
        i_gather or i_residual only one bank is not zero. `i_block.active` is not used.
    o : blocks. o_residual : residual words. o_busy : something is inside.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "o_enable": Out(1),
            "i_valid": In(1), "i_gather": In(1), "i_slot": In(range(GROUP_TAPS)), "i_set_last": In(1),
            "i_residual": In(1),
            "i_block": In(block_layout(config)),
            "o": Out(stream.Signature(block_layout(config))),
            "o_residual": Out(stream.Signature(config.word_bits)),
            "o_busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, time_lanes = self._config.lanes, self._config.time_lanes
        inputs, move = self.i_block.words, self.o_enable
        channel_active = Signal(lanes)
        for channel in range(lanes):
            taps = Cat(inputs[bank].word_select(channel, time_lanes) for bank in range(GROUP_TAPS))
            m.d.comb += channel_active[channel].eq(taps.any())

        # A single word, found among the banks.
        single, residual, set_last = Signal(), Signal(), Signal(reset_less=True)
        word = Signal(self._config.word_bits, reset_less=True)
        word_active = Signal(lanes, reset_less=True)
        slot = Signal.like(self.i_slot, reset_less=True)
        word_block = Signal(block_layout(self._config), reset_less=True)  # its words are not used
        with m.If(move):
            m.d.sync += [single.eq(self.i_valid & self.i_gather & ~self.i_residual),
                         residual.eq(self.i_valid & self.i_residual),
                         set_last.eq(self.i_set_last), slot.eq(self.i_slot), word_active.eq(channel_active),
                         word.eq(reduce(or_, (inputs[bank] for bank in range(GROUP_TAPS)))),
                         *(word_block[name].eq(self.i_block[name]) for name in ("weight_row", "weight_phase", "tags"))]

        # The block for the scanner.
        valid, block = Signal(), Signal(block_layout(self._config), reset_less=True)
        passes = self.i_valid & ~self.i_gather & ~self.i_residual
        m.d.comb += [
            move.eq((~valid | self.o.ready) & (~residual | self.o_residual.ready)),
            self.o.valid.eq(valid), self.o.payload.eq(block),
            # A residual word leaves only if the rest can move, so that it leaves once.
            self.o_residual.valid.eq(residual & (~valid | self.o.ready)), self.o_residual.payload.eq(word),
            self.o_busy.eq(valid | single | residual),
        ]
        with m.If(move):
            m.d.sync += valid.eq(passes | (single & set_last))
            with m.If(passes):
                m.d.sync += [block.eq(self.i_block), block.active.eq(channel_active)]
            with m.If(single):
                m.d.sync += [block[name].eq(word_block[name]) for name, _ in block.shape() if name != "words"]
                m.d.sync += [block.row_mod.eq(0), block.col_mod.eq(0)]
                for window in range(lanes):
                    taps = [divmod(GROUP_TAPS * window + tap, lanes) for tap in range(GROUP_TAPS)]
                    arrives = reduce(or_, ((slot == k) & word_active[c] for k, c in taps))
                    m.d.sync += block.active[window].eq(arrives | Mux(slot == 0, 0, block.active[window]))
                    for tap, (k, c) in enumerate(taps):
                        target = block.words[tap].word_select(window, time_lanes)
                        with m.If(slot == k):
                            m.d.sync += target.eq(word.word_select(c, time_lanes))
                        with m.Elif(slot == 0):
                            m.d.sync += target.eq(0)
        return m
