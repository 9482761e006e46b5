"""The weight buffer: nine banks of slices, so that symbols of any width lie gapless and read in one cycle."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.block_ram import NO_COLLISION
from s2nn.hw.rtl.layouts import row_bits
from s2nn.hw.rtl.popcount import popcount
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class WeightBuffer(wiring.Component):
    """Two halves, of which one is filled with the next tile while the other is read, and rows of layers that stay.

    A slice is one bit of the symbol of every lane. Slice number s of a tile lies in bank s mod 9 at row s div 9, so a
    symbol of up to nine slices, wherever it starts, lies in different banks; the banks whose number is below the first
    slice's (the phase) hold it one row further. Eta-bit symbols therefore take eta/9 of the space of raw groups.

    Members
    -------
    i_fill_row, i_fill_rows : where the tile on `i` goes, and its rows. i_fill_next : pulse, its last beat is on `i`.
    i : beats of `slices_per_beat` slices, always taken.
    i_symbol_bits : slices of a symbol in this layer.
    i_enable : read side moves. i_read : read a symbol. i_row, i_phase, i_channel_row, i_channel_phase : its first
        slice is number 9*(i_row + i_channel_row) + i_phase + i_channel_phase. Only the banks that hold the symbol are
        read.
    o : symbols of all lanes, four cycles later; bits at and above the symbol's width have no meaning.
    o_slice_writes, o_slice_reads : slices that came, padding included (that are read) this cycle.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_fill_row": In(row_bits(config)),
            "i_fill_rows": In(12),
            "i_fill_next": In(1),
            "i": In(stream.Signature(config.axi_data_bits, always_ready=True)),
            "i_symbol_bits": In(4),
            "i_enable": In(1),
            "i_read": In(1),
            "i_row": In(row_bits(config)),
            "i_phase": In(4),
            "i_channel_row": In(range(config.lanes)),
            "i_channel_phase": In(4),
            "o": Out(data.ArrayLayout(GROUP_TAPS, config.lanes)),
            "o_slice_writes": Out(range(config.slices_per_beat + 1)),
            "o_slice_reads": Out(range(GROUP_TAPS + 1)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, lanes = self._config.weight_bank_rows, self._config.lanes
        writes, reads = [], []
        for bank in range(GROUP_TAPS):
            store = memory.Memory(shape=lanes, depth=rows, init=[], attrs=NO_COLLISION)
            m.submodules[f"bank{bank}"] = store
            writes.append(store.write_port())
            reads.append(store.read_port())
        self._fill(m, writes)
        self._read(m, reads)
        return m

    def _fill(self, m: Module, writes: list[memory.WritePort]) -> None:
        """Beat by beat into consecutive banks. Padding behind a tile must not reach what lies behind its rows."""
        count = self._config.slices_per_beat
        row, phase = Signal(range((1 << 12) + 2)), Signal(4)  # row: of the tile
        slices = [self.i.payload.word_select(k, self._config.lanes) for k in range(count)]
        next_phase = phase + count
        with m.If(self.i.valid):
            m.d.sync += [phase.eq(Mux(next_phase >= GROUP_TAPS, next_phase - GROUP_TAPS, next_phase)),
                         row.eq(row + (next_phase >= GROUP_TAPS))]
            m.d.comb += self.o_slice_writes.eq(count)
        with m.If(self.i_fill_next):
            m.d.sync += [row.eq(0), phase.eq(0)]
        for bank, write in enumerate(writes):
            bank_row = Signal.like(row, name=f"fill_row{bank}")
            m.d.comb += write.addr.eq(self.i_fill_row + bank_row)
            with m.Switch(phase):
                for first in range(GROUP_TAPS):
                    index = (bank - first) % GROUP_TAPS
                    if index < count:
                        with m.Case(first):
                            m.d.comb += [bank_row.eq(row + (1 if bank < first else 0)), write.data.eq(slices[index]),
                                         write.en.eq(self.i.valid & (bank_row < self.i_fill_rows))]

    def _read(self, m: Module, reads: list[memory.ReadPort]) -> None:
        """Address, read, hold (a block RAM's output comes late in its cycle), rotate: one stage each."""
        lanes, config = self._config.lanes, self._config
        total_phase = self.i_phase + self.i_channel_phase
        wraps = total_phase >= GROUP_TAPS
        row, phase = Signal(row_bits(config)), Signal(4)
        reading, read_phase, held_phase = Signal(), Signal(4), Signal(4)
        held = [Signal(lanes, name=f"held{bank}", reset_less=True) for bank in range(GROUP_TAPS)]
        with m.If(self.i_enable):
            m.d.sync += [row.eq(self.i_row + self.i_channel_row + wraps),
                         phase.eq(Mux(wraps, total_phase - GROUP_TAPS, total_phase)),
                         reading.eq(self.i_read), read_phase.eq(phase), held_phase.eq(read_phase),
                         *(word.eq(read.data) for word, read in zip(held, reads, strict=True))]
        wanted = self._banks_of_symbol(m, phase)
        m.d.comb += self.o_slice_reads.eq(popcount(m, Cat(read.en for read in reads)))
        for bank, read in enumerate(reads):
            m.d.comb += [read.en.eq(self.i_enable & reading & wanted[bank]),
                         read.addr.eq(row + (bank < phase))]
        # A raw symbol takes all nine banks and so always starts at phase 0; only codebook symbols need the rotation.
        rotated = config.index_bits if config.is_codebook else 0
        for position in range(GROUP_TAPS):
            source = Signal(lanes, name=f"slice{position}")
            m.d.comb += source.eq(held[position])
            if position < rotated:
                with m.Switch(held_phase):
                    for first in range(1, GROUP_TAPS):
                        with m.Case(first):
                            m.d.comb += source.eq(held[(first + position) % GROUP_TAPS])
            with m.If(self.i_enable):
                m.d.sync += [self.o[lane][position].eq(source[lane]) for lane in range(lanes)]

    def _banks_of_symbol(self, m: Module, phase: Signal) -> Signal:
        """One bit per bank: it holds a slice of a symbol that starts in bank `phase`."""
        held = Signal(GROUP_TAPS)  # of a symbol that starts in bank 0
        m.d.sync += held.eq(Cat(position < self.i_symbol_bits for position in range(GROUP_TAPS)))
        banks = Signal(GROUP_TAPS)
        m.d.comb += banks.eq(held)
        with m.Switch(phase):
            for first in range(1, GROUP_TAPS):
                with m.Case(first):
                    m.d.comb += banks.eq(held.rotate_left(first))
        return banks
