"""The compute pipeline: an operation's weights and window meet in the PE array."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import Tags, op_layout, sums_layout
from s2nn.hw.rtl.pe_array import PEArray
from s2nn.hw.rtl.weight_buffer import WeightBuffer
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class ComputePipeline(wiring.Component):
    """Weight buffer -> PE array, and beside the buffer the window: rotated to tap order, then delayed.

    Members
    -------
    i_codebook, i_symbol_bits : of the layer.
    i_valid, i : operations from the scanner; taken while o_enable is high.
    o_enable : the pipeline moves; the scanner moves with it.
    o_valid, i_ready_next, o : finished sums for the neurons (see `PEArray`).
    o_release : pulse, the last operation of a tile has read its weights.
    o_busy : operations or sums are inside.
    weights, array : the loading sides, of weights and codebook (see `WeightBuffer` and `PEArray`).

    Latency: nine cycles from `i` to o_valid.
    """

    def __init__(self, config: AcceleratorConfig):
        self._weights, self._array = WeightBuffer(config), PEArray(config)
        self._config = config
        super().__init__({
            "i_codebook": In(1),
            "i_symbol_bits": In(4),
            "i_valid": In(1),
            "i": In(op_layout(config)),
            "o_enable": Out(1),
            "o_valid": Out(1),
            "i_ready_next": In(1),
            "o": Out(sums_layout(config)),
            "o_release": Out(1),
            "o_busy": Out(1),
        })

    @property
    def weights(self) -> WeightBuffer:
        """The weight buffer, for its filling side."""
        return self._weights

    @property
    def array(self) -> PEArray:
        """The PE array, for the codebook's loading side."""
        return self._array

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.weights, m.submodules.array = weights, array = self._weights, self._array
        enable = array.o_moves
        m.d.comb += [
            self.o_enable.eq(~array.o_stall), weights.i_enable.eq(enable), array.i_enable.eq(enable),
            weights.i_symbol_bits.eq(self.i_symbol_bits), weights.i_read.eq(self.i_valid & self.i.active),
            weights.i_row.eq(self.i.weight_row), weights.i_channel_row.eq(self.i.channel_row),
            weights.i_phase.eq(self.i.phase),
            array.i_codebook.eq(self.i_codebook), array.i_index_bits.eq(self.i_symbol_bits),
            array.i_symbols.eq(weights.o),
            self.o_valid.eq(array.o_valid), array.i_ready_next.eq(self.i_ready_next), self.o.eq(array.o),
        ]

        # The window's way: four stages beside address, read, hold and rotate in the weight buffer.
        stage = data.StructLayout({"valid": 1, "tags": Tags, "window": data.ArrayLayout(self._config.time_lanes,
                                                                                       GROUP_TAPS)})
        stages = [Signal(stage, name=f"stage{k}") for k in range(4)]
        with m.If(enable):
            m.d.sync += [stages[0].valid.eq(self.i_valid), stages[0].tags.eq(self.i.tags),
                         *(b.eq(a) for a, b in pairwise(stages))]
            for row in range(3):
                for column in range(3):
                    tap = _bank_of_tap(m, self.i, row, column)
                    m.d.sync += stages[0].window[3 * row + column].eq(Mux(self.i.active, tap, 0))
        m.d.comb += [
            array.i_valid.eq(stages[-1].valid), array.i_tags.eq(stages[-1].tags),
            array.i_window.eq(stages[-1].window),
            self.o_release.eq(enable & stages[-1].valid & stages[-1].tags.tile_last),
            self.o_busy.eq(Cat(stage.valid for stage in stages).any() | array.o_busy),
        ]
        return m


def _bank_of_tap(m: Module, op: data.View, row: int, column: int) -> Value:
    """The window's tap (row, column) from bank order: bank ((row_mod + row) mod 3, (col_mod + column) mod 3)."""
    tap = Signal.like(op.window[0], name=f"tap{row}{column}")
    with m.Switch(Cat(op.col_mod, op.row_mod)):
        for first_row in range(3):
            for first_column in range(3):
                with m.Case(first_row << 2 | first_column):
                    bank = (first_row + row) % 3 * 3 + (first_column + column) % 3
                    m.d.comb += tap.eq(op.window[bank])
    return tap
