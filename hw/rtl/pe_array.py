"""The PE array: per lane and time lane a count of taps and an accumulator."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.decode_then_popcount import DecodeThenPopcount
from s2nn.hw.rtl.lane_counts import LATENCY
from s2nn.hw.rtl.layouts import Tags, sums_layout
from s2nn.hw.rtl.popcount_then_select import PopcountThenSelect
from s2nn.hw.spec.config import GROUP_TAPS, MAX_ACTIVATION_PLANES, AcceleratorConfig

#: A PE variant. Both give the same counts after the same time; docs/decisions.md says what they cost.
Variant = type[DecodeThenPopcount] | type[PopcountThenSelect]


def terms_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What an operation adds to the sums: at most nine taps, twice, times the largest scale."""
    term = range(2 * GROUP_TAPS * (1 << (MAX_ACTIVATION_PLANES - 1)) + 1)
    return data.StructLayout({
        "raised": data.ArrayLayout(data.ArrayLayout(term, config.time_lanes), config.lanes),
        "total": data.ArrayLayout(term, config.time_lanes),
    })


class PEArray(wiring.Component):
    """Accumulates (weight + 1) * input per lane, and the inputs once for all lanes.

    With weights +1, -1 (bits 1, 0) and spikes s, sum (w + 1)*s = 2*popcount(w & s), and with zeros it is popcount(s):
    never negative, and the neurons take the sum of s off. Planes of the input count 2**scale times; on `shift` an
    accumulator doubles first, so that weight planes add up by Horner's rule.

    Parameters
    ----------
    variant : how symbols become counts.

    Members
    -------
    i_load_start, i_codewords : codebook beats, see `CodebookLoader`.
    i_codebook, i_codebook_half, i_index_bits : of the layer.
    i_enable : moves. i_valid, i_tags, i_window (tap order), i_symbols : an operation; an inactive one has a zero
        window.
    o_valid, o : finished sums, held until they are taken, and in that cycle i_enable must be high.
    i_ready_next : sums that are valid in the next cycle will be taken in it.
    o_stall : a register: sums wait in this cycle, i_enable must be low. o_moves : its complement, a register of its
        own, since either drives thousands of others.
    o_busy : an operation or finished sums are inside.

    Latency: five cycles from the last operation to o_valid.
    """

    def __init__(self, config: AcceleratorConfig, *, variant: Variant = DecodeThenPopcount):
        self._config, self._variant = config, variant
        super().__init__({
            "i_load_start": In(1),
            "i_codewords": In(stream.Signature(config.axi_data_bits)),
            "i_codebook": In(1),
            "i_codebook_half": In(1),
            "i_index_bits": In(4),
            "i_enable": In(1),
            "i_valid": In(1),
            "i_tags": In(Tags),
            "i_window": In(data.ArrayLayout(config.time_lanes, GROUP_TAPS)),
            "i_symbols": In(data.ArrayLayout(GROUP_TAPS, config.lanes)),
            "o_valid": Out(1),
            "i_ready_next": In(1),
            "o": Out(sums_layout(config)),
            "o_stall": Out(1),
            "o_moves": Out(1, init=1),  # type: ignore[call-arg]  # the stubs lack it
            "o_busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.counts = counts = self._variant(self._config)
        wiring.connect(m, wiring.flipped(self.i_codewords), counts.i)
        # Beside counts and terms: whether they are of an operation, and its tags.
        stages = [Signal(data.StructLayout({"valid": 1, "tags": Tags}), name=f"stage{k}") for k in range(LATENCY + 1)]
        valid, tags = stages[-1].valid, stages[-1].tags
        terms = Signal(terms_layout(self._config), reset_less=True)
        sums = Signal(sums_layout(self._config), reset_less=True)
        m.d.comb += [
            counts.i_load_start.eq(self.i_load_start), counts.i_codebook.eq(self.i_codebook),
            counts.i_codebook_half.eq(self.i_codebook_half),
            counts.i_index_bits.eq(self.i_index_bits), counts.i_enable.eq(self.i_enable),
            counts.i_symbols.eq(self.i_symbols), counts.i_window.eq(self.i_window),
            self.o.eq(sums),
            self.o_busy.eq(Cat(stage.valid for stage in stages).any() | self.o_valid),
        ]
        with m.If(self.i_enable):
            m.d.sync += [stages[0].valid.eq(self.i_valid), stages[0].tags.eq(self.i_tags),
                         *(b.eq(a) for a, b in pairwise(stages))]
        finishing, finished, valid_next = Signal(), Signal(), Signal()
        with m.If(self.i_enable):
            m.d.sync += finishing.eq(stages[-2].valid & stages[-2].tags.emit)
        m.d.comb += [finished.eq(self.i_enable & finishing), valid_next.eq(finished | self.o_stall)]
        stall_next = valid_next & ~self.i_ready_next
        m.d.sync += [self.o_valid.eq(valid_next), self.o_stall.eq(stall_next), self.o_moves.eq(~stall_next)]
        with m.If(finished):
            m.d.sync += sums.tags.eq(tags)

        def accumulate(total: Value, term: Value) -> None:
            m.d.sync += total.eq(Mux(tags.first, 0, Mux(tags.shift, total << 1, total)) + term)

        scale = stages[-2].tags.scale
        for t in range(self._config.time_lanes):
            with m.If(self.i_enable):
                m.d.sync += terms.total[t].eq(counts.o.total[t] << scale)
            with m.If(self.i_enable & valid):
                accumulate(sums.total[t], terms.total[t])
            for lane in range(self._config.lanes):
                positive = counts.o.positive[lane][t]
                with m.If(self.i_enable):
                    m.d.sync += terms.raised[lane][t].eq(Mux(counts.o.zero[lane], positive, positive << 1) << scale)
                with m.If(self.i_enable & valid):
                    accumulate(sums.raised[lane][t], terms.raised[lane][t])
        return m
