"""From a step of the loop nest to the spikes of its 3x3 neighbourhood: addresses, bank read, zeros off the map."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import DescriptorLayout, Tags, block_layout, row_bits, spike_address_bits, step_layout
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class WindowReader(wiring.Component):
    """Reads the nine banks for each step. A rigid pipeline: all stages move together, or none.

    Members
    -------
    i_descriptor : of the layer. i : steps. o : neighbourhoods, payload stable while stalled.
    o_read_enable, o_read_address, i_words : the spike buffer's read port.
    o_read : pulse per neighbourhood read. o_busy : a step is inside.

    Latency: four cycles from `i` to `o`. Throughput: one neighbourhood per cycle.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        address_bits = spike_address_bits(config)
        super().__init__({
            "i_descriptor": In(DescriptorLayout),
            "i": In(stream.Signature(step_layout(config))),
            "o": Out(stream.Signature(block_layout(config))),
            "o_read_enable": Out(1),
            "o_read_address": Out(data.ArrayLayout(address_bits, GROUP_TAPS)),
            "i_words": In(data.ArrayLayout(config.word_bits, GROUP_TAPS)),
            "o_read": Out(1),
            "o_busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        d = self.i_descriptor
        address_bits = spike_address_bits(self._config)
        # What passes through unchanged, stage by stage.
        side = data.StructLayout({"row_mod": 2, "col_mod": 2, "weight_row": row_bits(self._config), "weight_phase": 4,
                                  "tags": Tags})
        valids = [Signal(name=f"valid{k}") for k in range(1, 5)]
        sides = [Signal(side, name=f"side{k}") for k in range(1, 5)]
        move = Signal()
        m.d.comb += [move.eq(~valids[-1] | self.o.ready), self.i.ready.eq(move), self.o.valid.eq(valids[-1]),
                     self.o_busy.eq(Cat(*valids).any())]
        with m.If(move):
            m.d.sync += [valids[0].eq(self.i.valid), *(b.eq(a) for a, b in pairwise(valids)),
                         *(b.eq(a) for a, b in pairwise(sides)),
                         *(sides[0][name].eq(self.i.payload[name]) for name, _ in side)]

        # Stage 1: word offsets of the top-left tap, and which of the three rows and columns lie on the map.
        step = self.i.payload
        row_words, col_words = Signal(signed(address_bits + 2)), Signal(signed(address_bits + 2))
        valid_taps = {axis: Signal(3, name=f"{axis}_valid1") for axis in ("row", "col")}
        with m.If(move):
            m.d.sync += [row_words.eq(step.row_div * d.in_row_stride + d.in_base),
                         col_words.eq(step.col_div * d.in_col_stride + step.offset)]
            for axis, size in (("row", d.in_height), ("col", d.in_width)):
                first = Signal(signed(12), name=f"{axis}_first")
                m.d.comb += first.eq(step[f"{axis}_div"] * 3 + step[f"{axis}_mod"])
                m.d.sync += [valid_taps[axis][k].eq((first + k >= 0) & (first + k < size)) for k in range(3)]

        # Stage 2: the four addresses that the nine banks choose from, and the banks that hold a tap of the map.
        choices = {(r, c): Signal(address_bits, name=f"address_{r}{c}") for r in (0, 1) for c in (0, 1)}
        bank_valid = Signal(GROUP_TAPS)
        with m.If(move):
            for (r, c), address in choices.items():
                m.d.sync += address.eq(row_words + col_words + (d.in_row_stride if r else 0)
                                       + (d.in_col_stride if c else 0))
            for bank in range(GROUP_TAPS):
                row_tap = _tap_of_bank(m, bank // 3, sides[0].row_mod, f"row_tap{bank}")
                col_tap = _tap_of_bank(m, bank % 3, sides[0].col_mod, f"col_tap{bank}")
                m.d.sync += bank_valid[bank].eq(valid_taps["row"].bit_select(row_tap, 1)
                                                & valid_taps["col"].bit_select(col_tap, 1))

        # Stage 3: read. A bank before the window's first one holds a tap of the next row (column) of the bank.
        for bank in range(GROUP_TAPS):
            row_wraps, col_wraps = bank // 3 < sides[1].row_mod, bank % 3 < sides[1].col_mod
            m.d.comb += self.o_read_address[bank].eq(
                Mux(row_wraps, Mux(col_wraps, choices[1, 1], choices[1, 0]),
                    Mux(col_wraps, choices[0, 1], choices[0, 0])))
        read_valid = Signal(GROUP_TAPS)
        m.d.comb += [self.o_read_enable.eq(move), self.o_read.eq(move & valids[1])]
        with m.If(move):
            m.d.sync += read_valid.eq(bank_valid)

        # Stage 4: zeros where the window leaves the map.
        words = Signal(data.ArrayLayout(self._config.word_bits, GROUP_TAPS))
        with m.If(move):
            m.d.sync += [words[bank].eq(Mux(read_valid[bank], self.i_words[bank], 0)) for bank in range(GROUP_TAPS)]
        m.d.comb += [self.o.payload.words.eq(words),
                     *(self.o.payload[name].eq(sides[-1][name]) for name, _ in side)]
        return m


def _tap_of_bank(m: Module, bank: int, first_bank: Signal, name: str) -> Signal:
    """Tap 0..2 of a window that begins in `first_bank` which lies in `bank`: (bank - first_bank) mod 3."""
    tap = Signal(2, name=name)
    with m.Switch(first_bank):
        for value in range(3):
            with m.Case(value):
                m.d.comb += tap.eq((bank - value) % 3)
    return tap
