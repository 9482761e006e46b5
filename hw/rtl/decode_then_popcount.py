"""PE variant: each lane looks its codeword up, then counts its taps in the window."""

from itertools import pairwise

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring

from s2nn.hw.rtl.decoder import CodewordDecoder
from s2nn.hw.rtl.lane_counts import lane_counts_members
from s2nn.hw.rtl.popcount import add_columns, compress, popcount
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class DecodeThenPopcount(wiring.Component):
    """A codebook lookup per lane (two cycles), an AND and a popcount per lane and time lane (one cycle).

    The register lies behind the second of the popcount's four layers of adders.

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
        total = Signal.like(self.o.total, reset_less=True)
        zero = Signal.like(self.o.zero, reset_less=True)
        m.d.comb += [decoder.i_load_start.eq(self.i_load_start), decoder.i_enable.eq(self.i_enable),
                     decoder.i_codebook.eq(self.i_codebook),
                     decoder.i_codebook_half.eq(self.i_codebook_half), decoder.i_index_bits.eq(self.i_index_bits),
                     decoder.i_symbols.eq(self.i_symbols), self.o.total.eq(total), self.o.zero.eq(zero)]
        with m.If(self.i_enable):
            m.d.sync += [windows[0].eq(self.i_window), *(b.eq(a) for a, b in pairwise(windows)),
                         zero.eq(Cat(codeword[GROUP_TAPS] for codeword in decoder.o))]
        for t in range(self._config.time_lanes):
            spikes = Cat(windows[-1][tap][t] for tap in range(GROUP_TAPS))
            with m.If(self.i_enable):
                m.d.sync += total[t].eq(popcount(m, spikes))
            for lane in range(self._config.lanes):
                columns = compress(m, compress(m, [list(spikes & decoder.o[lane][:GROUP_TAPS])]))
                added = [Signal(len(column), name=f"added{lane}_{t}_{weight}", reset_less=True)
                         for weight, column in enumerate(columns)]
                with m.If(self.i_enable):
                    m.d.sync += [bits.eq(Cat(column)) for bits, column in zip(added, columns, strict=True)]
                m.d.comb += self.o.positive[lane][t].eq(add_columns(m, [list(bits) for bits in added]))
        return m
