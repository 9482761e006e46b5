"""Nine spike banks by (row mod 3, column mod 3), so that any 3x3 neighbourhood is one conflict-free read."""

from amaranth import Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.block_ram import NO_COLLISION
from s2nn.hw.rtl.layouts import spike_address_bits
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class SpikeBuffer(wiring.Component):
    """Nine banks, one read and one write port each. Bank 3*(row mod 3) + (column mod 3).

    Maps of consecutive layers lie at the bases that the descriptors give; they never overlap, so a read and a write
    never meet.

    Members
    -------
    i_read_enable (one bit per bank), i_read_address : read banks, each at its own address.
    o_words : the words, one cycle later; a bank's is held while it is not read.
    i_write_enable : one bit per bank. i_write_address, i_write_word : common to all banks. The word can be read in the
        cycle after next: each bank takes address and word into registers of its own first, since its many block RAMs
        are far from those of the other banks.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        address_bits = spike_address_bits(config)
        super().__init__({
            "i_read_enable": In(GROUP_TAPS),
            "i_read_address": In(data.ArrayLayout(address_bits, GROUP_TAPS)),
            "o_words": Out(data.ArrayLayout(config.word_bits, GROUP_TAPS)),
            "i_write_enable": In(GROUP_TAPS),
            "i_write_address": In(address_bits),
            "i_write_word": In(config.word_bits),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for bank in range(GROUP_TAPS):
            store = memory.Memory(shape=self._config.word_bits, depth=self._config.spike_words, init=[],
                                  attrs=NO_COLLISION)
            m.submodules[f"bank{bank}"] = store
            read, write = store.read_port(), store.write_port()
            writes = Signal(name=f"write{bank}")
            address = Signal.like(self.i_write_address, name=f"write_address{bank}", reset_less=True)
            word = Signal.like(self.i_write_word, name=f"write_word{bank}", reset_less=True)
            m.d.sync += writes.eq(self.i_write_enable[bank])
            with m.If(self.i_write_enable[bank]):
                m.d.sync += [address.eq(self.i_write_address), word.eq(self.i_write_word)]
            m.d.comb += [
                read.en.eq(self.i_read_enable[bank]), read.addr.eq(self.i_read_address[bank]),
                self.o_words[bank].eq(read.data),
                write.en.eq(writes), write.addr.eq(address), write.data.eq(word),
            ]
        return m
