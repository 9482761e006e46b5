"""From steps of the loop nest to windows of spikes: addresses, bank read, sets of gathered words, active windows."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.hdl import Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.gather import GatherSet
from s2nn.hw.rtl.layouts import DescriptorLayout, Tags, block_layout, row_bits, spike_address_bits, step_layout
from s2nn.hw.rtl.skid_buffer import SkidBuffer
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig

#: Stages between the skid buffers: products, sums, addresses, bank read, hold, taps. Gathered words take two more.
_STAGES = 6


class WindowReader(wiring.Component):
    """Reads the banks for each step. A rigid pipeline between two skid buffers: all stages move, or none.

    Members
    -------
    i_descriptor : of the layer; must not change while o_busy, and be there two cycles before the first step.
    i : steps; its ready is a register, so the loop nest does not wait for the scanner's logic.
    o : windows, payload stable while stalled. o_residual : words of the residual map, in the order of their steps.
    o_read_enable (one bit per bank), o_read_address, i_words : the spike buffer's read port.
    o_busy : a step is inside.

    Latency: eight cycles from `i` to `o`, ten for a gathered set's last word. Throughput: one step per cycle.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        address_bits = spike_address_bits(config)
        super().__init__({
            "i_descriptor": In(DescriptorLayout),
            "i": In(stream.Signature(step_layout(config))),
            "o": Out(stream.Signature(block_layout(config))),
            "o_residual": Out(stream.Signature(config.word_bits)),
            "o_read_enable": Out(GROUP_TAPS),
            "o_read_address": Out(data.ArrayLayout(address_bits, GROUP_TAPS)),
            "i_words": In(data.ArrayLayout(config.word_bits, GROUP_TAPS)),
            "o_busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        d = self.i_descriptor
        address_bits = spike_address_bits(self._config)
        m.submodules.steps = steps = SkidBuffer(step_layout(self._config))
        m.submodules.gather = gather = GatherSet(self._config)
        wiring.connect(m, wiring.flipped(self.i), steps.i)
        wiring.connect(m, wiring.flipped(self.o), gather.o)
        wiring.connect(m, wiring.flipped(self.o_residual), gather.o_residual)
        step = steps.o.payload
        # What passes through unchanged, stage by stage.
        side = data.StructLayout({"gather": 1, "slot": range(GROUP_TAPS), "set_last": 1, "residual": 1,
                                  "row_mod": 2, "col_mod": 2, "weight_row": row_bits(self._config), "weight_phase": 4,
                                  "tags": Tags})
        valids = [Signal(name=f"valid{k}") for k in range(1, _STAGES + 1)]
        sides = [Signal(side, name=f"side{k}", reset_less=True) for k in range(1, _STAGES + 1)]
        move = gather.o_enable
        m.d.comb += [steps.o.ready.eq(move), self.o_busy.eq(steps.o.valid | Cat(*valids).any() | gather.o_busy)]
        with m.If(move):
            m.d.sync += [valids[0].eq(steps.o.valid), *(b.eq(a) for a, b in pairwise(valids)),
                         *(b.eq(a) for a, b in pairwise(sides)),
                         *(sides[0][name].eq(step[name]) for name, _ in side)]

        # Stages 1 and 2: of each bank its row's and its column's part of the address, and which of the three rows and
        # columns to read. What they start from has two values: a bank before the window's first one holds a tap of the
        # next row (column) of the bank.
        bases = [Signal.like(d.in_base, name=f"base{k}", reset_less=True) for k in range(2)]
        offsets = [Signal.like(step.offset, name=f"offset{k}", reset_less=True) for k in range(2)]
        with m.If(move):  # a single word is its top-left tap, so those of a residual never are on a next row
            m.d.sync += [bases[0].eq(Mux(step.residual, d.residual_base, d.in_base)),
                         bases[1].eq(d.in_base + d.in_row_stride),
                         offsets[0].eq(step.offset), offsets[1].eq(step.offset + d.in_col_stride)]
        row_words, row_valid = self._walk_axis(m, "row", size=d.in_height, starts=bases, stride=Mux(
            step.residual, d.residual_row_stride, d.in_row_stride), first_bank=sides[0].row_mod)
        col_words, col_valid = self._walk_axis(m, "col", size=d.in_width, starts=offsets, stride=Mux(
            step.residual, d.residual_col_stride, d.in_col_stride), first_bank=sides[0].col_mod)

        # Stage 3: the banks' addresses, and the banks that hold a tap of the window.
        on_map = [Signal(GROUP_TAPS, name=f"on_map{k}", reset_less=True) for k in range(4)]
        rows, cols = _by_bank(m, row_valid, sides[1].row_mod), _by_bank(m, col_valid, sides[1].col_mod)
        wanted, reads = Signal(GROUP_TAPS), Signal(GROUP_TAPS)
        m.d.comb += wanted.eq(Cat(row & col for row in rows for col in cols))
        with m.If(move):
            m.d.sync += [reads.eq(wanted & valids[1].replicate(GROUP_TAPS)), on_map[0].eq(wanted),
                         *(b.eq(a) for a, b in pairwise(on_map))]

        # Stage 4: read. Address registers lie with their bank: nothing but wires leads from them to its block RAMs.
        for bank in range(GROUP_TAPS):
            address = Signal(address_bits, name=f"address{bank}", reset_less=True)
            with m.If(move):
                m.d.sync += address.eq(row_words[bank // 3] + col_words[bank % 3])
            m.d.comb += self.o_read_address[bank].eq(address)
        m.d.comb += self.o_read_enable.eq(reads & move.replicate(GROUP_TAPS))

        # Stage 5: hold, since a block RAM's output comes late in its cycle.
        # Stage 6: which taps of a channel have a spike.
        words = [Signal(data.ArrayLayout(self._config.word_bits, GROUP_TAPS), name=f"words{k}", reset_less=True)
                 for k in range(2)]
        taps = Signal(data.ArrayLayout(GROUP_TAPS, self._config.lanes), reset_less=True)
        with m.If(move):
            m.d.sync += [words[0].eq(self.i_words), words[1].eq(words[0])]
            for channel in range(self._config.lanes):
                spikes = (words[0][bank].word_select(channel, self._config.time_lanes) for bank in range(GROUP_TAPS))
                m.d.sync += taps[channel].eq(Cat(spike.any() for spike in spikes) & on_map[2])
        last = sides[-1]
        m.d.comb += [
            gather.i_valid.eq(valids[-1]), gather.i_gather.eq(last.gather), gather.i_slot.eq(last.slot),
            gather.i_set_last.eq(last.set_last), gather.i_residual.eq(last.residual),
            gather.i_taps.eq(taps), gather.i_block.words.eq(words[1]), gather.i_block.on_map.eq(on_map[3]),
            *(gather.i_block[name].eq(last[name]) for name in ("row_mod", "col_mod", "weight_row", "weight_phase",
                                                               "tags")),
        ]
        return m

    def _walk_axis(self, m: Module, axis: str, *, size: Signal, stride: Value, starts: list[Signal],
                   first_bank: Value) -> tuple[list[Signal], Signal]:
        """Two stages along one axis: start + div * stride for each of the three banks, of which those before
        `first_bank` begin at starts[1]; and one bit per tap of three: it is in the kernel and on the map."""
        step, move = m.submodules.steps.o.payload, m.submodules.gather.o_enable
        div, mod, taps = step[f"{axis}_div"], step[f"{axis}_mod"], step[f"{axis}_taps"]
        address_bits = spike_address_bits(self._config)  # sums are modulo the bank's words; off the map none is used
        product = Signal(address_bits, name=f"{axis}_product", reset_less=True)
        words = [Signal(address_bits, name=f"{axis}_words{bank}", reset_less=True) for bank in range(3)]
        first = Signal(signed(13), name=f"{axis}_first", reset_less=True)
        wanted = Signal(3, name=f"{axis}_wanted", reset_less=True)
        always = Signal(name=f"{axis}_always", reset_less=True)  # a residual's size is the output's, all on the map
        valid = Signal(3, name=f"{axis}_valid", reset_less=True)
        # One compare per tap, with a limit of its own: no adder in front of it.
        limits = [Signal(signed(13), name=f"{axis}_limit{k}", reset_less=True) for k in range(3)]
        m.d.sync += [limit.eq(size - k) for k, limit in enumerate(limits)]
        with m.If(move):
            m.d.sync += [product.eq(div * stride), first.eq((div << 1) + div + mod),
                         *(word.eq(product + Mux(bank < first_bank, starts[1], starts[0]))
                           for bank, word in enumerate(words)),
                         wanted.eq(Cat(1, taps[1], taps == 3)), always.eq(step.residual),
                         *(valid[k].eq(wanted[k] & (always | ((first >= -k) & (first < limit))))
                           for k, limit in enumerate(limits))]
        return words, valid


def _by_bank(m: Module, taps: Signal, first_bank: Signal) -> Signal:
    """Bits of three taps in the order of their banks, when tap 0 lies in `first_bank`."""
    banks = Signal(3, name=f"{taps.name}_by_bank")
    with m.Switch(first_bank):
        for first in range(3):
            with m.Case(first):
                m.d.comb += banks.eq(taps.rotate_left(first))
    return banks
