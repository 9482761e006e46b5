"""PE variant: each lane looks its codeword up, then counts its taps in the window."""

from itertools import pairwise

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring

from s2nn.hw.rtl.decoder import CodewordDecoder
from s2nn.hw.rtl.lane_counts import counts_layout, lane_counts_members
from s2nn.hw.rtl.popcount import popcount
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class DecodeThenPopcount(wiring.Component):
    """A codebook lookup per lane (two cycles), an AND and a popcount per lane and time lane (one cycle).

    Members: see `lane_counts_members`.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__(lane_counts_members(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.decoder = decoder = CodewordDecoder(self._config)
        wiring.connect(m, wiring.flipped(self.i), decoder.i)
        windows = [Signal(data.ArrayLayout(self._config.time_lanes, GROUP_TAPS), name=f"window{k}", reset_less=True)
                   for k in range(2)]
        found = Signal(counts_layout(self._config), reset_less=True)
        m.d.comb += [decoder.i_load_start.eq(self.i_load_start), decoder.i_enable.eq(self.i_enable),
                     decoder.i_codebook.eq(self.i_codebook),
                     decoder.i_codebook_half.eq(self.i_codebook_half), decoder.i_index_bits.eq(self.i_index_bits),
                     decoder.i_symbols.eq(self.i_symbols), self.o.eq(found)]
        with m.If(self.i_enable):
            m.d.sync += [windows[0].eq(self.i_window), *(b.eq(a) for a, b in pairwise(windows))]
            for t in range(self._config.time_lanes):
                spikes = Cat(windows[-1][tap][t] for tap in range(GROUP_TAPS))
                m.d.sync += [found.total[t].eq(popcount(m, spikes)),
                             *(found.positive[lane][t].eq(popcount(m, spikes & decoder.o[lane][:GROUP_TAPS]))
                               for lane in range(self._config.lanes))]
            m.d.sync += found.zero.eq(Cat(codeword[GROUP_TAPS] for codeword in decoder.o))
        return m
