"""The loops of a layer: tile, position, chunk, weight plane, kernel group, channel block; one step per cycle."""

from amaranth import Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import DescriptorLayout, row_bits, step_layout
from s2nn.hw.rtl.mod3 import advance
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class LoopNest(wiring.Component):
    """Walks a layer and says, step by step, which neighbourhood meets which weights.

    With pooling, the four positions of a pool window follow each other; otherwise positions are in raster order.

    Members
    -------
    i_descriptor : of the layer; must be there with i_start and not change while o_busy.
    i_start : pulse, begins a layer (only while not busy).
    i_tile_ready : the weights of the next tile are in the buffer. o_tile_take : pulse, that tile has begun.
    o : steps. Payload is stable while stalled.
    o_waiting : waiting for i_tile_ready. o_busy : steps of the layer are still to come.

    Throughput: one step per cycle, one idle cycle between tiles.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_descriptor": In(DescriptorLayout),
            "i_start": In(1),
            "i_tile_ready": In(1),
            "o_tile_take": Out(1),
            "o": Out(stream.Signature(step_layout(config))),
            "o_waiting": Out(1),
            "o_busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        d, step = self.i_descriptor, self.o.payload
        accepted = Signal()
        m.d.comb += accepted.eq(self.o.valid & self.o.ready)

        # Counters, innermost first; each advances when all inside it are at their last value. The last values are
        # registered, which is in time: a layer's first step comes two cycles after its start.
        counters: list[tuple[str, int, Value]] = [
            ("block", 8, d.in_blocks), ("group_x", 4, d.groups_x), ("group_y", 4, d.groups_y),
            ("plane", 4, d.planes), ("chunk", 4, d.in_chunks), ("pool_x", 2, d.pool + 1), ("pool_y", 2, d.pool + 1),
            ("out_x", 10, d.out_width), ("out_y", 10, d.out_height), ("tile", 8, d.tiles),
        ]
        count, at_last, wrap = {}, {}, {}
        carry: Value = accepted
        for name, width, limit in counters:
            count[name] = Signal(width, name=name)
            wrap[name] = Signal(name=f"{name}_wrap")  # this counter starts over, and the next one advances
            last_value = Signal(width, name=f"{name}_last_value", reset_less=True)
            m.d.sync += last_value.eq(limit - 1)
            at_last[name] = Signal(name=f"{name}_last")
            m.d.comb += [at_last[name].eq(count[name] == last_value), wrap[name].eq(carry & at_last[name])]
            with m.If(carry):
                m.d.sync += count[name].eq(Mux(at_last[name], 0, count[name] + 1))
            carry = wrap[name]
        chunk_done, tile_done, layer_done = wrap["plane"], wrap["out_y"], wrap["tile"]

        self._walk_positions(m, d, count, wrap)
        self._walk_weights(m, d, accepted, wrap)

        tile_first, half = Signal(), Signal()
        chunk_offset = Signal(12)  # chunk * in_blocks
        with m.If(chunk_done):
            m.d.sync += [tile_first.eq(0), chunk_offset.eq(Mux(wrap["chunk"], 0, chunk_offset + d.in_blocks))]
        tags = step.tags
        first, shift = Signal(init=1), Signal()
        with m.If(accepted):
            m.d.sync += [first.eq(chunk_done), shift.eq(wrap["group_y"] & ~chunk_done)]
        m.d.comb += [
            step.offset.eq(chunk_offset + count["block"]),
            tags.first.eq(first), tags.shift.eq(shift), tags.tile_first.eq(tile_first), tags.half.eq(half),
            tags.first_chunk.eq(count["chunk"] == 0), tags.last_chunk.eq(at_last["chunk"]),
            # `wrap` includes `ready`; the tags must not.
            tags.emit.eq(at_last["block"] & at_last["group_x"] & at_last["group_y"] & at_last["plane"]),
            tags.tile_last.eq(tags.emit & at_last["chunk"] & at_last["pool_x"] & at_last["pool_y"]
                              & at_last["out_x"] & at_last["out_y"]),
        ]

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i_start):
                    m.next = "WAIT_TILE"
            with m.State("WAIT_TILE"):
                m.d.comb += [self.o_busy.eq(1), self.o_waiting.eq(1)]
                with m.If(self.i_tile_ready):
                    m.d.comb += self.o_tile_take.eq(1)
                    m.d.sync += tile_first.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [self.o_busy.eq(1), self.o.valid.eq(1)]
                with m.If(tile_done):
                    m.d.sync += half.eq(~half)
                    m.next = "WAIT_TILE"
                with m.If(layer_done):
                    m.next = "IDLE"
        return m

    def _walk_positions(self, m: Module, d: Value, count: dict[str, Signal], wrap: dict[str, Value]) -> None:
        """Top-left tap of the current position, as quotient and remainder by three, for both axes."""
        step = self.o.payload
        position_step = Signal(3)
        m.d.comb += position_step.eq(Mux(d.pool, d.stride << 1, d.stride))
        # The first tap lies at -pad, and -1 = 3*(-1) + 2.
        start_div, start_mod = Mux(d.pad == 0, 0, -1), Signal(2)
        with m.Switch(d.pad):
            with m.Case(1):
                m.d.comb += start_mod.eq(2)
            with m.Case(2):
                m.d.comb += start_mod.eq(1)
        for axis, inner, outer, group in (("row", "pool_y", "out_y", "group_y"), ("col", "pool_x", "out_x", "group_x")):
            # origin: first position of the pool window; current: the position itself.
            origin_div = Signal.like(step.row_div, name=f"{axis}_origin_div")
            origin_mod = Signal(2, name=f"{axis}_origin_mod")
            div, mod = Signal.like(step.row_div, name=f"{axis}_div"), Signal(2, name=f"{axis}_mod")
            next_origin = advance(origin_div, origin_mod, position_step)
            advances = {"row": wrap["pool_x"], "col": wrap["chunk"]}[axis]
            with m.If(advances):
                inside = advance(div, mod, d.stride)
                m.d.sync += [div.eq(inside[0]), mod.eq(inside[1])]
            with m.If(wrap[inner]):
                m.d.sync += [div.eq(origin_div), mod.eq(origin_mod)]
            moves_on = {"row": wrap["out_x"], "col": wrap["pool_y"]}[axis]
            with m.If(moves_on):
                m.d.sync += [origin_div.eq(next_origin[0]), origin_mod.eq(next_origin[1]),
                             div.eq(next_origin[0]), mod.eq(next_origin[1])]
            with m.If(wrap[outer] | self.i_start):
                m.d.sync += [origin_div.eq(start_div), origin_mod.eq(start_mod), div.eq(start_div), mod.eq(start_mod)]
            # A group is three taps, so group k lies k further in the quotient.
            m.d.comb += [step[f"{axis}_div"].eq(div + count[group]), step[f"{axis}_mod"].eq(mod)]

    def _walk_weights(self, m: Module, d: Value, accepted: Value, wrap: dict[str, Value]) -> None:
        """First weight slice of the current block, as row and phase (slice mod 9) of the weight banks."""
        row, phase = Signal(row_bits(self._config)), Signal(4)
        rows = Mux(wrap["block"], d.last_block_rows, d.block_rows)
        phases = phase + Mux(wrap["block"], d.last_block_phase, d.block_phase)
        overflow = phases >= GROUP_TAPS
        with m.If(accepted):
            m.d.sync += [row.eq(row + rows + overflow), phase.eq(phases - Mux(overflow, GROUP_TAPS, 0))]
        with m.If(wrap["plane"]):
            m.d.sync += [row.eq(0), phase.eq(0)]
        m.d.comb += [self.o.payload.weight_row.eq(row), self.o.payload.weight_phase.eq(phase)]
