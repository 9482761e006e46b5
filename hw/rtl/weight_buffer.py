"""The weight buffer: nine banks of slices, so that symbols of any width lie gapless and read in one cycle."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.block_ram import NO_COLLISION
from s2nn.hw.rtl.layouts import row_bits
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class WeightBuffer(wiring.Component):
    """Two halves, of which one is filled with the next tile while the other is read, and rows of layers that stay.

    A slice is one bit of the symbol of every lane. Slice number s of a tile lies in bank s mod 9 at row s div 9, so a
    symbol of up to nine slices, wherever it starts, lies in different banks; the banks whose number is below the first
    slice's (the phase) hold it one row further. Eta-bit symbols therefore take eta/9 of the space of raw groups.

    Members
    -------
    i_fill_row, i_fill_rows : where the tile on `i` goes, and its rows. i_fill_next : pulse, its last beat is on `i`.
    i : beats of `slices_per_beat` slices, always taken. They are in the banks three cycles later.
    i_symbol_bits : slices of a symbol in this layer.
    i_enable : read side moves. i_read : read a symbol. i_row, i_channel_row, i_phase : its first slice is number
        9*(i_row + i_channel_row) + i_phase, where the phase may reach into the next row. Only the banks that hold the
        symbol are read.
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
            "i_channel_row": In(range(config.lanes)),
            "i_phase": In(range(2 * GROUP_TAPS - 1)),
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
        """Beat by beat into consecutive banks. Padding behind a tile must not reach what lies behind its rows.

        Two stages: rows, then each bank's own address, slice and enable, so that a block RAM is driven by registers.
        """
        count, bits = self._config.slices_per_beat, row_bits(self._config)
        row, phase = Signal(range((1 << 12) + 2)), Signal(4)  # row: of the tile
        next_phase = phase + count
        with m.If(self.i.valid):
            m.d.sync += [phase.eq(Mux(next_phase >= GROUP_TAPS, next_phase - GROUP_TAPS, next_phase)),
                         row.eq(row + (next_phase >= GROUP_TAPS))]
            m.d.comb += self.o_slice_writes.eq(count)
        with m.If(self.i_fill_next):
            m.d.sync += [row.eq(0), phase.eq(0)]

        filling, beat = Signal(), Signal.like(self.i.payload, reset_less=True)
        first = Signal(GROUP_TAPS, reset_less=True)  # bank of the beat's first slice, one-hot
        # Of this row and of the next: place in the banks, and whether the tile has it.
        places = [Signal(bits, name=f"place{k}", reset_less=True) for k in range(2)]
        inside = [Signal(name=f"inside{k}", reset_less=True) for k in range(2)]
        m.d.sync += [filling.eq(self.i.valid), beat.eq(self.i.payload), first.eq(1 << phase),
                     *(place.eq(self.i_fill_row + row + k) for k, place in enumerate(places)),
                     *(within.eq(row + k < self.i_fill_rows) for k, within in enumerate(inside))]
        slices = [beat.word_select(k, self._config.lanes) for k in range(count)]
        for bank, write in enumerate(writes):
            enable = Signal(name=f"fill{bank}")
            address = Signal(bits, name=f"fill_address{bank}", reset_less=True)
            word = Signal(self._config.lanes, name=f"fill_word{bank}", reset_less=True)
            m.d.comb += [write.en.eq(enable), write.addr.eq(address), write.data.eq(word)]
            on_row = [Cat(first[(bank - index) % GROUP_TAPS] for index in range(count)
                          if (bank < (bank - index) % GROUP_TAPS) == next_row).any() for next_row in (False, True)]
            m.d.sync += [
                enable.eq(filling & (on_row[0] & inside[0] | on_row[1] & inside[1])),
                address.eq(Mux(on_row[1], places[1], places[0])),
                word.eq(reduce(or_, (first[(bank - index) % GROUP_TAPS].replicate(len(word)) & slices[index]
                                     for index in range(count)))),
            ]

    def _read(self, m: Module, reads: list[memory.ReadPort]) -> None:
        """Address, read, hold (a block RAM's output comes late in its cycle), rotate: one stage each."""
        lanes, config = self._config.lanes, self._config
        phase = Signal.like(self.i_phase, reset_less=True)
        # A bank holds its slice of the symbol on the row where both begin or on one of the two behind it.
        rows = [Signal(row_bits(config), name=f"row{k}", reset_less=True) for k in range(3)]
        reading, read_phase = Signal(), Signal(4)
        # One bit per bank: it is read, since it holds a slice of the symbol; its row is the next, the one after that.
        wanted = Signal(GROUP_TAPS)
        rows_on = [Signal(GROUP_TAPS, name=f"rows_on{k}", reset_less=True) for k in (1, 2)]
        starts = [self.i_phase == first for first in range(2 * GROUP_TAPS - 1)]
        banks = self._banks_of_symbol(m, starts)
        held_phase = Signal(GROUP_TAPS, reset_less=True)  # one-hot: slices are rotated straight from registers
        held = [Signal(lanes, name=f"held{bank}", reset_less=True) for bank in range(GROUP_TAPS)]
        with m.If(self.i_enable):
            m.d.sync += [phase.eq(self.i_phase),
                         *(row.eq(self.i_row + (self.i_channel_row + k)) for k, row in enumerate(rows)),
                         reading.eq(self.i_read), held_phase.eq(1 << read_phase),
                         read_phase.eq(Mux(phase >= GROUP_TAPS, phase - GROUP_TAPS, phase)),
                         wanted.eq(banks & self.i_read.replicate(GROUP_TAPS)),
                         *(on.eq(Cat(Cat(starts[bank + 1 + k * GROUP_TAPS:]).any() for bank in range(GROUP_TAPS)))
                           for k, on in enumerate(rows_on)),
                         *(word.eq(read.data) for word, read in zip(held, reads, strict=True))]
        with m.If(self.i_enable & reading):
            m.d.comb += self.o_slice_reads.eq(self.i_symbol_bits)
        for bank, read in enumerate(reads):
            m.d.comb += [
                read.en.eq(self.i_enable & wanted[bank]),
                read.addr.eq(Mux(rows_on[1][bank], rows[2], Mux(rows_on[0][bank], rows[1], rows[0]))),
            ]
        # A raw symbol takes all nine banks and so always starts at phase 0; only codebook symbols need the rotation.
        rotated = config.index_bits if config.is_codebook else 0
        for position in range(GROUP_TAPS):
            source = Signal(lanes, name=f"slice{position}")
            if position >= rotated:
                m.d.comb += source.eq(held[position])
            else:
                m.d.comb += source.eq(reduce(or_, (held[(first + position) % GROUP_TAPS] & here.replicate(lanes)
                                                   for first, here in enumerate(held_phase))))
            with m.If(self.i_enable):
                m.d.sync += [self.o[lane][position].eq(source[lane]) for lane in range(lanes)]

    def _banks_of_symbol(self, m: Module, starts: list[Value]) -> Value:
        """One bit per bank: it holds a slice of a symbol that starts so many slices behind bank 0."""
        from_bank_0 = Signal(GROUP_TAPS, reset_less=True)
        m.d.sync += from_bank_0.eq(Cat(position < self.i_symbol_bits for position in range(GROUP_TAPS)))
        return reduce(or_, (from_bank_0.rotate_left(first % GROUP_TAPS) & here.replicate(GROUP_TAPS)
                            for first, here in enumerate(starts)))
