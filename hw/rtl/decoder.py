"""The codebook: every lane's index becomes a nine-bit codeword; raw groups pass through."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.spec.config import CODEWORD_BYTES, GROUP_TAPS, AcceleratorConfig


class CodewordDecoder(wiring.Component):
    """One lookup per lane and cycle. A binary configuration has no codebook, only the register.

    Members
    -------
    i_load_start : pulse, the next beats are a codebook, codeword 0 first, one per 16-bit word.
    i : codebook beats; a beat is taken after its last codeword is stored.
    i_enable : the array moves. i_codebook : symbols are indices of i_index_bits bits, otherwise raw groups.
    i_symbols : symbols of all lanes; bits above the index width are ignored. o : codewords, one cycle later.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        symbols = data.ArrayLayout(GROUP_TAPS, config.lanes)
        super().__init__({
            "i_load_start": In(1),
            "i": In(stream.Signature(config.axi_data_bits)),
            "i_enable": In(1),
            "i_codebook": In(1),
            "i_index_bits": In(4),
            "i_symbols": In(symbols),
            "o": Out(symbols),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if not self._config.is_codebook:
            m.d.comb += self.i.ready.eq(1)
            with m.If(self.i_enable):
                m.d.sync += self.o.eq(self.i_symbols)
            return m

        m.submodules.codebook = codebook = memory.Memory(shape=GROUP_TAPS, depth=self._config.codebook_entries, init=[])
        self._load(m, codebook.write_port())
        mask = Signal(self._config.index_bits)
        with m.Switch(self.i_index_bits):
            for bits in range(2, self._config.index_bits + 1):
                with m.Case(bits):
                    m.d.comb += mask.eq((1 << bits) - 1)
        for lane in range(self._config.lanes):
            read = codebook.read_port(domain="comb")
            m.d.comb += read.addr.eq(self.i_symbols[lane] & mask)
            with m.If(self.i_enable):
                m.d.sync += self.o[lane].eq(Mux(self.i_codebook, read.data, self.i_symbols[lane]))
        return m

    def _load(self, m: Module, write: memory.WritePort) -> None:
        per_beat, entries = self._config.axi_bytes // CODEWORD_BYTES, self._config.codebook_entries
        # A codebook smaller than a beat is padded to one: the padding must not wrap round onto codeword 0.
        entry, part = Signal(range(max(entries, per_beat))), Signal(range(max(per_beat, 2)))
        m.d.comb += [self.i.ready.eq(part == per_beat - 1),
                     write.addr.eq(entry), write.en.eq(self.i.valid & (entry < entries)),
                     write.data.eq(self.i.payload.word_select(part, 8 * CODEWORD_BYTES)[:GROUP_TAPS])]
        with m.If(self.i.valid):
            m.d.sync += [entry.eq(entry + 1), part.eq(Mux(self.i.ready, 0, part + 1))]
        with m.If(self.i_load_start):
            m.d.sync += [entry.eq(0), part.eq(0)]
