"""Codebook beats from DRAM, cut into codewords with their numbers: one write a cycle, for whatever holds them."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.spec.config import CODEWORD_BYTES, GROUP_TAPS, AcceleratorConfig


class CodebookLoader(wiring.Component):
    """Counts codewords through a codebook.

    Members
    -------
    i_load_start : pulse, the next beats are a codebook for the other half; the first one goes to half 0 without it.
    i : codebook beats, codeword 0 first, one per 16-bit word; a beat is taken after its last codeword is written.
    o_write, o_half, o_entry, o_codeword : a codeword to hold: its taps, and above them the mark of the zero codeword,
        whose taps are all set.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_load_start": In(1),
            "i": In(stream.Signature(config.axi_data_bits)),
            "o_write": Out(1),
            "o_half": Out(1),
            "o_entry": Out(config.index_bits),
            "o_codeword": Out(GROUP_TAPS + 1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        per_beat, entries = self._config.axi_bytes // CODEWORD_BYTES, self._config.codebook_entries
        # A codebook smaller than a beat is padded to one: the padding must not wrap round onto codeword 0.
        entry, part = Signal(range(max(entries, per_beat))), Signal(range(max(per_beat, 2)))
        m.d.comb += self.i.ready.eq(part == per_beat - 1)
        half = Signal()
        codeword = self.i.payload.word_select(part, 8 * CODEWORD_BYTES)
        zero = codeword[GROUP_TAPS]
        m.d.sync += [self.o_write.eq(self.i.valid & (entry < entries)), self.o_entry.eq(entry), self.o_half.eq(half),
                     self.o_codeword.eq(Cat(codeword[:GROUP_TAPS] | zero.replicate(GROUP_TAPS), zero))]
        with m.If(self.i.valid):
            m.d.sync += [entry.eq(entry + 1), part.eq(Mux(self.i.ready, 0, part + 1))]
        with m.If(self.i_load_start):
            m.d.sync += [entry.eq(0), part.eq(0), half.eq(~half)]
        return m
