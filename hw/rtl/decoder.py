"""The codebook: every lane's index becomes a nine-bit codeword; raw groups pass through."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Member, Out

from s2nn.hw.rtl.block_ram import NO_COLLISION
from s2nn.hw.rtl.codebook_loader import CodebookLoader
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


def symbol_members(config: AcceleratorConfig) -> dict[str, Member]:
    """Members of whatever takes the symbols of all lanes and the codebook that they index; see `CodewordDecoder`."""
    return {
        "i_load_start": In(1),
        "i": In(stream.Signature(config.axi_data_bits)),
        "i_enable": In(1),
        "i_codebook": In(1),
        "i_codebook_half": In(1),
        "i_index_bits": In(4),
        "i_symbols": In(data.ArrayLayout(GROUP_TAPS, config.lanes)),
    }


class CodewordDecoder(wiring.Component):
    """One lookup per lane and cycle, in a copy of the codebook per lane: one block RAM each, with room for the codebook
    of the layer that runs and the one that is loaded.

    A binary configuration has no codebook, only the registers.

    Members
    -------
    i_load_start, i : see `CodebookLoader`.
    i_enable : the array moves. i_codebook : symbols are indices of i_index_bits bits into i_codebook_half, otherwise
        raw groups.
    i_symbols : symbols of all lanes; bits above the index width are ignored. o : codewords (see `CodebookLoader`), two
        cycles later, behind a multiplexer.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        codewords = data.ArrayLayout(GROUP_TAPS + 1, config.lanes)
        super().__init__(symbol_members(config) | {"o": Out(codewords)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        symbols = data.ArrayLayout(GROUP_TAPS, self._config.lanes)
        raw = [Signal(symbols, name=f"raw{k}", reset_less=True) for k in range(2)]
        with m.If(self.i_enable):
            m.d.sync += [raw[0].eq(self.i_symbols), raw[1].eq(raw[0])]
        m.d.comb += [self.o[lane].eq(raw[1][lane]) for lane in range(self._config.lanes)]
        if not self._config.is_codebook:
            m.d.comb += self.i.ready.eq(1)
            return m

        m.submodules.loader = loader = CodebookLoader(self._config)
        wiring.connect(m, wiring.flipped(self.i), loader.i)
        mask = index_mask(m, self.i_index_bits, self._config)
        m.d.comb += loader.i_load_start.eq(self.i_load_start)
        for lane in range(self._config.lanes):
            # Asynchronous read ports on one memory would be flip-flops and multiplexers on an FPGA.
            codebook = memory.Memory(shape=GROUP_TAPS + 1, depth=2 * self._config.codebook_entries, init=[],
                                     attrs={"ram_style": "block"} | NO_COLLISION)
            m.submodules[f"codebook{lane}"] = codebook
            write, read = codebook.write_port(), codebook.read_port()
            index = self.i_symbols[lane][:len(mask)] & mask
            m.d.comb += [write.en.eq(loader.o_write), write.addr.eq(Cat(loader.o_entry, loader.o_half)),
                         write.data.eq(loader.o_codeword),
                         read.en.eq(self.i_enable), read.addr.eq(Cat(index, self.i_codebook_half))]
            found = Signal(GROUP_TAPS + 1, name=f"found{lane}", reset_less=True)  # the block's own output register
            with m.If(self.i_enable):
                m.d.sync += found.eq(read.data)
            with m.If(self.i_codebook):
                m.d.comb += self.o[lane].eq(found)
        return m


def index_mask(m: Module, index_bits: Signal, config: AcceleratorConfig) -> Signal:
    """Ones where an index of that many bits lies; registered, since a layer keeps its width."""
    mask = Signal(config.index_bits)
    with m.Switch(index_bits):
        for bits in range(2, config.index_bits + 1):
            with m.Case(bits):
                m.d.sync += mask.eq((1 << bits) - 1)
    return mask
