"""Weights and codebooks read back as the packer stored them (hw/spec/packing.py)."""

from typing import Any

from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal, Value

from s2nn.hw.formal.harness import Property, past
from s2nn.hw.formal.rules import held
from s2nn.hw.formal.streams import settle
from s2nn.hw.rtl.decoder import CodewordDecoder
from s2nn.hw.rtl.weight_buffer import WeightBuffer
from s2nn.hw.spec.config import CODEWORD_BYTES, GROUP_TAPS, AcceleratorConfig


def bit_position(config: AcceleratorConfig, symbol_bits: int, group: Any, bit: Any, lane: Any) -> Any:
    """Where `packing.pack_index` puts a bit of a symbol: its number among the bits of the tile.

    Works on integers and on Amaranth values alike.
    """
    return (group * symbol_bits + bit) * config.lanes + lane


class SymbolsReadBack(Property):
    """A bit that the packer put into a tile comes out of the weight buffer where the array expects it.

    Group, bit, lane and place of the tile are the solver's choice, and so is how the read address is split up.
    """

    def __init__(self, config: AcceleratorConfig, *, symbol_bits: int) -> None:
        super().__init__()
        self._config, self._symbol_bits = config, symbol_bits

    def laws(self, m: Module) -> None:
        config, bits = self._config, self._symbol_bits
        dut: Any = WeightBuffer(config)
        inside = self.prove_about(m, dut)
        group = self.any_constant(m, range(GROUP_TAPS * config.weight_rows // bits), "group")
        bit, lane = self.any_constant(m, range(bits), "bit"), self.any_constant(m, range(config.lanes), "lane")
        base, rows = self.any_constant(m, range(config.weight_bank_rows + 1), "base"), config.weight_rows
        position = Signal(range(GROUP_TAPS * config.weight_rows * config.lanes))
        first_slice = Signal(range(GROUP_TAPS * config.weight_bank_rows + bits))
        m.d.comb += [
            Assume(dut.i_symbol_bits == bits), Assume(bit < bits), Assume(base + rows <= config.weight_bank_rows),
            first_slice.eq(group * bits), position.eq(bit_position(config, bits, group, bit, lane)),
            Assume(first_slice + bits <= GROUP_TAPS * rows),
        ]
        stored, expected = self._watch_fill(m, dut, base, rows, position)
        asks = (dut.i_read & dut.i_enable & stored & (dut.i_phase < 2 * GROUP_TAPS - 1)
                & ((dut.i_row + dut.i_channel_row) * GROUP_TAPS + dut.i_phase == base * GROUP_TAPS + first_slice))
        due = in_flight(m, asks, enable=dut.i_enable, known=stored, stages=4)
        # Where the bit lies meanwhile (docs of `WeightBuffer`): a step on the way, which also helps the solver.
        row = self.any_constant(m, range(config.weight_bank_rows), "row")
        bank = self.any_constant(m, range(GROUP_TAPS), "bank")
        words = Array(inside.word(m, f"bank{k}", address=base + row) for k in range(GROUP_TAPS))
        m.d.comb += [Assume(bank < GROUP_TAPS), Assume(row * GROUP_TAPS + bank == first_slice + bit),
                     Assert(~stored | (words[bank].bit_select(lane, 1) == expected), "a slice lies in its bank")]
        got = Array(Array(symbol[k] for k in range(bits)) for symbol in (dut.o[n] for n in range(config.lanes)))
        m.d.comb += Assert(~due | (got[lane][bit] == expected), "a bit comes back as it was packed")

    def _watch_fill(self, m: Module, dut: Any, base: Value, rows: int, position: Value) -> tuple[Value, Signal]:
        """Whether the tile at `base` holds its bit, and the bit. Any number of beats fill it, and any other tiles."""
        beat_bits = self._config.axi_data_bits.bit_length() - 1
        last_beat = GROUP_TAPS * self._config.weight_bank_rows // self._config.slices_per_beat + 1
        number, stored, expected = Signal(range(last_beat + 1)), Signal(name="stored"), Signal(name="expected")
        row, count = past(m, dut.i_fill_row, name="row_before"), past(m, dut.i_fill_rows, name="rows_before")
        ours = (dut.i_fill_row == base) & (dut.i_fill_rows == rows)
        apart = (dut.i_fill_row >= base + rows) | (dut.i_fill_row + dut.i_fill_rows <= base)
        arrives = dut.i.valid & ours & (number == position >> beat_bits)
        m.d.comb += [
            Assume((number == 0) | ((dut.i_fill_row == row) & (dut.i_fill_rows == count))),  # of one tile
            Assume(number < last_beat), Assume(~dut.i_fill_next | dut.i.valid),
            Assume(dut.i_fill_row + dut.i_fill_rows <= self._config.weight_bank_rows),
        ]
        coming = Signal(2, name="coming")  # on its way to the bank, which takes three cycles
        m.d.sync += coming.eq(coming << 1)
        with m.If(coming[-1]):
            m.d.sync += stored.eq(1)
        with m.If(dut.i.valid):
            m.d.sync += number.eq(Mux(dut.i_fill_next, 0, number + 1))
            with m.If(arrives):
                m.d.sync += [stored.eq(0), coming.eq(1),
                             expected.eq(dut.i.payload.bit_select(position[:beat_bits], 1))]
            with m.Elif(~ours & ~apart):
                m.d.sync += [stored.eq(0), coming.eq(0)]
        return stored & ~arrives, expected


def in_flight(m: Module, asks: Value, *, enable: Value, known: Value, stages: int) -> Value:
    """Whether the answer is due to what was asked `stages` enabled cycles ago and was known all the time since."""
    line = Signal(stages, name="in_flight")
    with m.If(enable):
        m.d.sync += line.eq(Cat(asks, line[:-1]))
    with m.If(~known):
        m.d.sync += line.eq(0)
    return line[-1]


class CodebookWatch:
    """Follows one entry of one half of the codebook memory, chosen by the solver, while codebooks are loaded.

    Members
    -------
    entry, half : which. stored : it has been loaded, and has had the time to arrive. codeword : as it must be held.
    """

    def __init__(self, owner: Property, m: Module, config: AcceleratorConfig, dut: Any, stream: Any) -> None:
        per_beat = config.axi_bytes // CODEWORD_BYTES
        beats = max(config.codebook_entries // per_beat, 1)
        self.entry = owner.any_constant(m, range(config.codebook_entries), "entry")
        self.half = owner.any_constant(m, 1, "half")
        self.codeword = Signal(GROUP_TAPS + 1, name="watched_codeword")
        number, filling, loaded = Signal(range(beats + 1)), Signal(name="filling"), Signal(name="loaded")
        self.stored = loaded & past(m, loaded, name="was_loaded")
        word = stream.payload.word_select(self.entry % per_beat, 8 * CODEWORD_BYTES)
        taken, ours = stream.valid & stream.ready, filling == self.half
        m.d.comb += [Assume(held(m, stream, name="codewords")), Assume(~stream.valid | (number < beats)),
                     Assume(~dut.i_load_start | taken)]
        with m.If(stream.valid & ours & (number == 0)):
            m.d.sync += loaded.eq(0)
        with m.If(taken & ours & (number == self.entry // per_beat)):
            zero = word[GROUP_TAPS]
            m.d.sync += [loaded.eq(1), self.codeword.eq(Cat(word[:GROUP_TAPS] | zero.replicate(GROUP_TAPS), zero))]
        with m.If(taken):
            m.d.sync += number.eq(number + 1)
        with m.If(dut.i_load_start):
            m.d.sync += [number.eq(0), filling.eq(~filling)]

    def is_meant(self, config: AcceleratorConfig, dut: Any, symbol: Value) -> Value:
        """Whether a symbol is the index of the followed entry, of as many bits as the layer's indices have."""
        return ((symbol & ((1 << dut.i_index_bits) - 1)) == self.entry) & (dut.i_codebook_half == self.half)


def settle_layer(owner: Property, m: Module, config: AcceleratorConfig, dut: Any) -> None:
    """Assumes one layer: width of its indices, half of its codebook, and whether its symbols are indices at all."""
    for name in ("i_codebook", "i_codebook_half", "i_index_bits"):
        settle(owner, m, getattr(dut, name), name=name)
    m.d.comb += [Assume(dut.i_index_bits >= 2), Assume(dut.i_index_bits <= config.index_bits)]


class CodewordsReadBack(Property):
    """A codeword that was loaded is found by its index while the other half is loaded; raw groups pass."""

    def __init__(self, config: AcceleratorConfig, *, lane: int) -> None:
        super().__init__()
        self._config, self._lane = config, lane

    def laws(self, m: Module) -> None:
        dut: Any = CodewordDecoder(self._config)
        inside = self.prove_about(m, dut)
        settle_layer(self, m, self._config, dut)
        watch = CodebookWatch(self, m, self._config, dut, dut.i)
        symbol, found = dut.i_symbols[self._lane], dut.o[self._lane]
        word = inside.word(m, f"codebook{self._lane}", address=Cat(watch.entry, watch.half))
        due = in_flight(m, dut.i_codebook & watch.is_meant(self._config, dut, symbol) & watch.stored,
                        enable=dut.i_enable, known=watch.stored, stages=2)
        raw = [Signal(GROUP_TAPS, name=f"raw{k}") for k in range(2)]
        with m.If(dut.i_enable):
            m.d.sync += [raw[0].eq(symbol), raw[1].eq(raw[0])]
        m.d.comb += [
            Assert(~watch.stored | (word == watch.codeword), "a codeword lies in its place"),
            Assert(~due | (found == watch.codeword), "a codeword is found by its index"),
            Assert(dut.i_codebook | (found == raw[1]), "a raw group passes"),
        ]
