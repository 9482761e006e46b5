"""Event-driven skip: of a channel block, only the channels with a spike in the window reach the array."""

from functools import reduce
from operator import or_

from amaranth import Cat, Const, Module, Signal
from amaranth.hdl import Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import block_layout, op_layout
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class ActivityScanner(wiring.Component):
    """Issues one operation per active channel of a block, lowest channel first.

    A block without any spike issues one inactive operation, which carries the tags. So a block takes
    max(1, active channels) cycles.

    Members
    -------
    i_enable : the array moves; nothing here changes while it is low.
    i_symbol_bits : of the layer, there two cycles before its first block. i : neighbourhoods.
    o_valid, o : the operation, registered. o_issue, o_issue_active : an operation is being issued this cycle.
    o_busy : a block or an operation is inside.

    Latency: two cycles from `i` to `o`.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_enable": In(1),
            "i_symbol_bits": In(4),
            "i": In(stream.Signature(block_layout(config))),
            "o_valid": Out(1),
            "o": Out(op_layout(config)),
            "o_issue": Out(1),
            "o_issue_active": Out(1),
            "o_busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, time_lanes = self._config.lanes, self._config.time_lanes

        have, block = Signal(), Signal(block_layout(self._config), reset_less=True)
        channel = Signal(lanes, reset_less=True)  # one-hot; 0 in a silent block
        remaining = Signal(lanes, reset_less=True)  # active channels after this one
        active, is_first, is_last = (Signal(name=name, reset_less=True) for name in ("active", "is_first", "is_last"))
        take = Signal()
        m.d.comb += [take.eq(self.i_enable & (~have | is_last)), self.i.ready.eq(take)]
        # The next channel of either source is found beside the decision between them, not behind it.
        for source, chosen in ((self.i.payload.active, take), (remaining, self.i_enable & ~take)):
            lowest = Signal(lanes)
            m.d.comb += lowest.eq(source & -source)
            with m.If(chosen):
                m.d.sync += [channel.eq(lowest), remaining.eq(source & ~lowest), active.eq(source.any()),
                             is_last.eq(~_several(source))]
        with m.If(self.i_enable):
            m.d.sync += is_first.eq(take)
        with m.If(take):
            m.d.sync += [have.eq(self.i.valid), block.eq(self.i.payload)]

        channel_row, channel_phase = self._place_of_channel(m, channel)
        m.d.comb += [self.o_issue.eq(have & self.i_enable), self.o_issue_active.eq(active),
                     self.o_busy.eq(have | self.o_valid)]
        with m.If(self.i_enable):
            m.d.sync += [
                self.o_valid.eq(have),
                self.o.active.eq(active),
                self.o.row_mod.eq(block.row_mod), self.o.col_mod.eq(block.col_mod),
                self.o.weight_row.eq(block.weight_row), self.o.channel_row.eq(channel_row),
                self.o.phase.eq(block.weight_phase + channel_phase),
                self.o.tags.eq(block.tags),
                self.o.tags.first.eq(block.tags.first & is_first),
                self.o.tags.shift.eq(block.tags.shift & is_first),
                self.o.tags.emit.eq(block.tags.emit & is_last),
                self.o.tags.tile_last.eq(block.tags.tile_last & is_last),
                *(self.o.window[bank].eq(_select(channel, word, time_lanes) & block.on_map[bank].replicate(time_lanes))
                  for bank, word in enumerate(_words(block))),
            ]
        return m

    def _place_of_channel(self, m: Module, channel: Signal) -> tuple[Signal, Signal]:
        """Quotient and remainder of channel number * i_symbol_bits by nine: no multiplier, no divider.

        Those of every channel are registers, since a layer keeps its symbols' width; the channel's line picks its own.
        """
        lanes, row, phase = self._config.lanes, Signal(range(self._config.lanes)), Signal(4)
        place = data.StructLayout({"row": range(lanes), "phase": 4})
        places = [Signal(place, name=f"place{number}", reset_less=True) for number in range(lanes)]
        widths = {GROUP_TAPS, *(range(2, self._config.index_bits + 1) if self._config.is_codebook else ())}
        with m.Switch(self.i_symbol_bits):
            for bits in sorted(widths):
                with m.Case(bits):
                    m.d.sync += [p.eq(Cat(Const(number * bits // GROUP_TAPS, len(row)),
                                          Const(number * bits % GROUP_TAPS, len(phase))))
                                 for number, p in enumerate(places)]
        m.d.comb += Cat(row, phase).eq(_select(channel, Cat(p.as_value() for p in places), place.size))
        return row, phase


def _words(block: data.View) -> list[Value]:
    return [block.words[bank] for bank in range(GROUP_TAPS)]


def _several(bits: Value) -> Value:
    """Whether more than one bit is set, as a balanced tree."""
    parts: list[tuple[Value, Value]] = [(bit, Const(0)) for bit in bits]  # (any, several)
    while len(parts) > 1:
        parts = [(left[0] | right[0], left[1] | right[1] | left[0] & right[0])
                 for left, right in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0][1]


def _select(one_hot: Value, word: Value, width: int) -> Value:
    """The field of `width` bits that the one-hot number points at (0 if none), as AND and OR."""
    fields = (word.word_select(k, width) & line.replicate(width) for k, line in enumerate(one_hot))
    return reduce(or_, fields)
