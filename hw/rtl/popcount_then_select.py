"""PE variant: the taps of every codeword are counted once for all lanes, and each lane selects a count by its index."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring

from s2nn.hw.rtl.codebook_loader import CodebookLoader
from s2nn.hw.rtl.decoder import index_mask
from s2nn.hw.rtl.lane_counts import counts_layout, lane_counts_members
from s2nn.hw.rtl.popcount import popcount
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class PopcountThenSelect(wiring.Component):
    """A popcount per codeword and time lane (one cycle), a selection per lane and time lane (two cycles).

    The codebook lies in registers, twice, since all its codewords are read in every cycle. Raw groups are no codewords:
    each lane has popcounts of its own for them.

    Members: see `lane_counts_members`. The configuration must have a codebook.
    """

    def __init__(self, config: AcceleratorConfig):
        if not config.is_codebook:
            raise ValueError(f"popcounts can be selected only from a codebook, not with {config.weight_format!r}")
        self._config = config
        super().__init__(lane_counts_members(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.loader = loader = CodebookLoader(config)
        wiring.connect(m, wiring.flipped(self.i), loader.i)
        halves = [Array(Signal(GROUP_TAPS + 1, name=f"codeword{half}_{k}", reset_less=True)
                        for k in range(config.codebook_entries)) for half in (0, 1)]
        codewords = [Signal(GROUP_TAPS + 1, name=f"codeword{k}", reset_less=True)
                     for k in range(config.codebook_entries)]  # of the layer that runs
        m.d.comb += loader.i_load_start.eq(self.i_load_start)
        for half, words in enumerate(halves):
            with m.If(loader.o_write & (loader.o_half == half)):
                m.d.sync += words[loader.o_entry].eq(loader.o_codeword)
        m.d.sync += [word.eq(Mux(self.i_codebook_half, high, low))
                     for word, low, high in zip(codewords, *halves, strict=True)]

        mask = index_mask(m, self.i_index_bits, config)
        low_bits = config.index_bits // 2  # of the index, for the first of two stages; the others for the second
        low = [Signal(low_bits, name=f"low{lane}", reset_less=True) for lane in range(config.lanes)]
        high = [[Signal(config.index_bits - low_bits, name=f"high{lane}_{k}", reset_less=True) for k in range(2)]
                for lane in range(config.lanes)]
        with m.If(self.i_enable):
            for lane in range(config.lanes):
                index = self.i_symbols[lane] & mask
                m.d.sync += [low[lane].eq(index[:low_bits]), high[lane][0].eq(index[low_bits:]),
                             high[lane][1].eq(high[lane][0])]
        raw, held_raw, found = (Signal(counts_layout(config), name=name, reset_less=True)
                                 for name in ("raw", "held_raw", "found"))
        m.d.comb += self.o.eq(found)
        with m.If(self.i_enable):
            m.d.sync += [held_raw.eq(raw), found.total.eq(held_raw.total)]
        zeros = Array(word[GROUP_TAPS] for word in codewords)
        for lane in range(config.lanes):
            index = Signal(config.index_bits, name=f"zero_index{lane}", reset_less=True)
            zero = Signal(name=f"zero{lane}", reset_less=True)
            with m.If(self.i_enable):
                m.d.sync += [index.eq(self.i_symbols[lane] & mask), zero.eq(zeros[index] & self.i_codebook),
                             found.zero[lane].eq(zero)]
        for t in range(config.time_lanes):
            spikes = Cat(self.i_window[tap][t] for tap in range(GROUP_TAPS))
            table = [_count(f"entry{k}_{t}") for k in range(config.codebook_entries)]
            with m.If(self.i_enable):
                m.d.sync += raw.total[t].eq(popcount(m, spikes))
                for entry, word in zip(table, codewords, strict=True):
                    m.d.sync += entry.eq(popcount(m, spikes & word[:GROUP_TAPS]))
            for lane in range(config.lanes):
                chosen = [_count(f"chosen{lane}_{t}_{k}") for k in range(config.codebook_entries >> low_bits)]
                with m.If(self.i_enable):
                    m.d.sync += [
                        raw.positive[lane][t].eq(popcount(m, spikes & self.i_symbols[lane])),
                        *(one.eq(Array(table[k << low_bits:k + 1 << low_bits])[low[lane]])
                          for k, one in enumerate(chosen)),
                        found.positive[lane][t].eq(Mux(self.i_codebook, Array(chosen)[high[lane][1]],
                                                        held_raw.positive[lane][t])),
                    ]
        return m


def _count(name: str) -> Signal:
    return Signal(range(GROUP_TAPS + 1), name=name, reset_less=True)
