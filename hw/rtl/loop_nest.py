"""The loops of a layer: tile, position, chunk, weight plane, input plane, kernel group, block; one step per cycle."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import DescriptorLayout, plane_bits, row_bits, step_layout
from s2nn.hw.rtl.loop_counter import count_loop
from s2nn.hw.rtl.mod3 import advance
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig
from s2nn.hw.spec.descriptor import Opcode, Residual


class LoopNest(wiring.Component):
    """Walks a layer and says, step by step, which words of the spike buffer meet which weights.

    A step reads a 3x3 neighbourhood of a channel block, or, where groups are consecutive inputs, one word of a set of
    nine; the set meets its weights with its last word. With pooling, the four positions of a pool window follow each
    other; otherwise positions are in raster order. With a residual, the planes of that map at the output position
    follow the other steps of each position and chunk, or those of the currents that it keeps; a map is stored by
    walking it as a residual map alone.

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
        self._stores = Signal()  # the descriptor is STORE_MAP; ready a cycle after i_start
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
        m.d.sync += self._stores.eq(d.opcode == Opcode.STORE_MAP)
        moves, walks = Signal(), Signal()  # a step (over the input) is accepted
        m.d.comb += [moves.eq(self.o.valid & self.o.ready), walks.eq(moves & ~step.residual)]

        # Counters, innermost first; each advances when all inside it are at their last value, which registers say. So
        # `ends` is known beside `moves`: with this step the counter starts over and the next one advances.
        count: dict[str, Signal] = {}
        at_last: dict[str, Signal] = {}
        ends: dict[str, Signal] = {}

        def counters(inner: Value, *loops: tuple[str, int, Value]) -> Signal:
            """Returns a register: all of these are at their last value."""
            carry, flags_next, all_at_last = inner, [], []
            for name, width, limit in loops:
                loop = count_loop(m, name, width, limit, advances=carry, moves=moves, settles=self.o_waiting)
                count[name], at_last[name], ends[name] = loop.count, loop.at_last, Signal(name=f"{name}_ends")
                flags_next.append(loop.at_last_next)
                all_at_last.append(Signal(name=f"{name}_and_inner_at_last", reset_less=True))
                with m.If(moves | self.o_waiting):
                    m.d.sync += all_at_last[-1].eq(Cat(*flags_next).all())
                m.d.comb += ends[name].eq(inner & all_at_last[-1])
                carry = ends[name]
            return all_at_last[-1]

        walk_at_end = counters(~step.residual, ("block", 8, d.in_blocks), ("group_x", 6, d.groups_x),
                               ("group_y", 6, d.groups_y), ("in_plane", 3, d.in_planes), ("plane", 4, d.planes))
        counters(step.residual, ("residual_plane", plane_bits(self._config), d.residual_planes))
        walk_ends, join_ends = ends["plane"], ends["residual_plane"]
        has_residual, chunk_ends = Signal(reset_less=True), Signal()
        m.d.sync += has_residual.eq(d.residual != Residual.NONE)
        m.d.comb += chunk_ends.eq(Mux(step.residual, at_last["residual_plane"], walk_at_end & ~has_residual))
        tile_at_end = counters(chunk_ends, ("chunk", 8, d.in_chunks), ("pool_x", 2, d.pool + 1),
                               ("pool_y", 2, d.pool + 1), ("out_x", 10, d.out_width), ("out_y", 10, d.out_height))
        counters(ends["out_y"], ("tile", 8, d.tiles))

        # A set of gathered words ends with its ninth word, or with the walk over the inputs that its weights belong to.
        slot, set_last, walk_last = Signal(range(GROUP_TAPS)), Signal(), Signal()
        last_slot, tap_by_tap = Signal(), Signal(reset_less=True)  # tap_by_tap: a walk over the inputs ends with a tap
        m.d.sync += tap_by_tap.eq(~d.gather | d.shared_taps)
        m.d.comb += [
            walk_last.eq(at_last["block"] & (tap_by_tap | (at_last["group_x"] & at_last["group_y"]))),
            set_last.eq(~d.gather | walk_last | last_slot),
            step.slot.eq(slot), step.set_last.eq(set_last), step.gather.eq(d.gather),
        ]
        with m.If(walks):
            m.d.sync += [slot.eq(Mux(set_last, 0, slot + 1)), last_slot.eq(~set_last & (slot == GROUP_TAPS - 2))]

        self._walk_taps(m, d, count, at_last, ends, moves)
        self._walk_weights(m, d, walks & set_last, walk_last, ends, moves)
        self._walk_words(m, d, count, at_last, ends, moves)

        tags, tile_first = step.tags, Signal()
        first, shift = Signal(init=1), Signal()
        with m.If(walks & set_last):
            m.d.sync += [first.eq(walk_ends), shift.eq(ends["in_plane"] & ~walk_ends)]
        with m.If(moves & walk_ends):
            m.d.sync += tile_first.eq(0)
        m.d.comb += [
            tags.first.eq(first), tags.shift.eq(shift), tags.tile_first.eq(tile_first),
            tags.scale.eq(count["in_plane"]),
            tags.first_chunk.eq(count["chunk"] == 0), tags.last_chunk.eq(at_last["chunk"]),
            tags.emit.eq(walk_at_end), tags.tile_last.eq(walk_at_end & tile_at_end),
        ]

        def end_of_tile() -> None:
            with m.If(moves & ends["out_y"]):
                m.next = "WAIT_TILE"
            with m.If(moves & ends["tile"]):
                m.next = "IDLE"

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i_start):
                    m.next = "WAIT_TILE"
            with m.State("WAIT_TILE"):
                m.d.comb += [self.o_busy.eq(1), self.o_waiting.eq(1)]
                with m.If(self._stores):
                    m.next = "JOIN"
                with m.Elif(self.i_tile_ready):
                    m.d.comb += self.o_tile_take.eq(1)
                    m.d.sync += tile_first.eq(1)
                    m.next = "WALK"
            with m.State("WALK"):
                m.d.comb += [self.o_busy.eq(1), self.o.valid.eq(1)]
                with m.If(moves & walk_ends & has_residual):
                    m.next = "JOIN"
                end_of_tile()
            with m.State("JOIN"):
                m.d.comb += [self.o_busy.eq(1), self.o.valid.eq(1), step.residual.eq(1)]
                with m.If(moves & join_ends & ~self._stores):
                    m.next = "WALK"
                end_of_tile()
        return m

    def _walk_taps(self, m: Module, d: Value, count: dict[str, Signal], at_last: dict[str, Signal],
                   ends: dict[str, Signal], moves: Signal) -> None:
        """Top-left tap of the current group, or the output position, by quotient and remainder, for both axes."""
        step = self.o.payload
        position_step = Signal(3, reset_less=True)
        m.d.sync += position_step.eq(Mux(d.pool, d.stride << 1, d.stride))
        # The first column lies at -pad, and -1 = 3*(-1) + 2; the first row anywhere.
        left_div, left_mod = Mux(d.pad == 0, 0, -1), Signal(2)
        with m.Switch(d.pad):
            with m.Case(1):
                m.d.comb += left_mod.eq(2)
            with m.Case(2):
                m.d.comb += left_mod.eq(1)
        starts: dict[str, tuple[Value, Value]] = {
            "row": (d.top_div.as_signed(), d.top_mod), "col": (left_div, left_mod)}
        for axis, inner, outer, group in (("row", "pool_y", "out_y", "group_y"), ("col", "pool_x", "out_x", "group_x")):
            start_div, start_mod = starts[axis]
            # origin: first position of the pool window; current: the position itself.
            origin_div = Signal.like(step.row_div, name=f"{axis}_origin_div")
            origin_mod = Signal(2, name=f"{axis}_origin_mod")
            div, mod = Signal.like(step.row_div, name=f"{axis}_div"), Signal(2, name=f"{axis}_mod")
            next_origin = advance(origin_div, origin_mod, position_step)
            inside = advance(div, mod, d.stride)
            # The residual map has the shape of the output, which pooling never changes there.
            out_div, out_mod = Signal(9, name=f"{axis}_out_div"), Signal(2, name=f"{axis}_out_mod")
            next_out = advance(out_div, out_mod, 1)
            advances, moves_on = {"row": ("pool_x", "out_x"), "col": ("chunk", "pool_y")}[axis]
            to_start = [origin_div.eq(start_div), origin_mod.eq(start_mod), div.eq(start_div), mod.eq(start_mod),
                        out_div.eq(0), out_mod.eq(0)]
            with m.If(moves):  # the outermost loop that ends decides
                with m.If(ends[outer]):
                    m.d.sync += to_start
                with m.Elif(ends[moves_on]):
                    m.d.sync += [origin_div.eq(next_origin[0]), origin_mod.eq(next_origin[1]),
                                 div.eq(next_origin[0]), mod.eq(next_origin[1]),
                                 out_div.eq(next_out[0]), out_mod.eq(next_out[1])]
                with m.Elif(ends[inner]):
                    m.d.sync += [div.eq(origin_div), mod.eq(origin_mod)]
                with m.Elif(ends[advances]):
                    m.d.sync += [div.eq(inside[0]), mod.eq(inside[1])]
            with m.If(self.i_start):
                m.d.sync += to_start

            # Offset of the group: three taps each, or one where inputs are gathered tap by tap.
            group_div, group_mod = Signal(6, name=f"{axis}_group_div"), Signal(2, name=f"{axis}_group_mod")
            carry = moves & {"row": ends["group_x"], "col": ends["block"]}[axis]
            next_group = advance(group_div, group_mod, Mux(d.gather, 1, 3))
            with m.If(carry):
                m.d.sync += [group_div.eq(Mux(at_last[group], 0, next_group[0])),
                             group_mod.eq(Mux(at_last[group], 0, next_group[1]))]

            tap = advance(div + group_div, mod, group_mod)
            last_taps = {"row": d.last_taps_y, "col": d.last_taps_x}[axis]
            m.d.comb += [
                step[f"{axis}_div"].eq(Mux(step.residual, out_div, tap[0])),
                step[f"{axis}_mod"].eq(Mux(step.residual, out_mod, tap[1])),
                step[f"{axis}_taps"].eq(Mux(d.gather | step.residual, 1, Mux(at_last[group], last_taps, 3))),
            ]

    def _walk_weights(self, m: Module, d: Value, block_done: Value, walk_last: Value, ends: dict[str, Signal],
                      moves: Signal) -> None:
        """First weight slice of the current block, as row and phase (slice mod 9) of the weight banks."""
        # Tiles lie in the two halves in turn, those of a resident layer one behind the other.
        half, resident_row, tile_row = Signal(), Signal(row_bits(self._config)), Signal(row_bits(self._config))
        m.d.comb += tile_row.eq(Mux(d.resident, resident_row, Mux(half, self._config.weight_rows, 0)))
        with m.If(self.i_start):
            m.d.sync += resident_row.eq(d.weight_base)
        with m.If(moves & ends["out_y"]):
            with m.If(d.resident):
                m.d.sync += resident_row.eq(resident_row + d.tile_rows)
            with m.Elif(~self._stores):
                m.d.sync += half.eq(~half)
        row, phase = Signal(row_bits(self._config)), Signal(4)
        plane_row, plane_phase = Signal.like(row), Signal(4)  # of the weight plane's first block
        next_row, next_phase = Signal.like(row), Signal(4)
        m.d.comb += [self.o.payload.weight_row.eq(row), self.o.payload.weight_phase.eq(phase)]
        # Either size of a block, with and without a carry from the phase: all sums side by side, one choice behind.
        for last, rows, phases in ((0, d.block_rows, d.block_phase), (1, d.last_block_rows, d.last_block_phase)):
            carries_from = Signal.like(phase, name=f"carries_from{last}", reset_less=True)
            m.d.sync += carries_from.eq(GROUP_TAPS - phases)
            with m.If(walk_last == last):
                m.d.comb += [next_row.eq(row + rows), next_phase.eq(phase + phases)]
                with m.If(phase >= carries_from):
                    m.d.comb += [next_row.eq(row + rows + 1), next_phase.eq(phase + phases - GROUP_TAPS)]
        # Each tap with shared weights, and each plane of the input, meets the weight plane from its start again.
        again = (ends["block"] & d.shared_taps) | ends["group_y"]
        to_start = [row.eq(tile_row), phase.eq(0), plane_row.eq(tile_row), plane_phase.eq(0)]
        with m.If(block_done):
            m.d.sync += [row.eq(Mux(again & ~ends["in_plane"], plane_row, next_row)),
                         phase.eq(Mux(again & ~ends["in_plane"], plane_phase, next_phase))]
            with m.If(ends["in_plane"]):
                m.d.sync += [plane_row.eq(next_row), plane_phase.eq(next_phase)]
            with m.If(ends["plane"]):
                m.d.sync += to_start
        with m.If(self.o_tile_take):
            m.d.sync += to_start

    def _walk_words(self, m: Module, d: Value, count: dict[str, Signal], at_last: dict[str, Signal],
                    ends: dict[str, Signal], moves: Signal) -> None:
        """Word of a position: (chunk * planes + plane) * blocks + block, of the input or of the residual map."""
        offset, chunk_offset, residual_offset = Signal(12), Signal(12), Signal(12)
        following = next_chunk = offset + d.in_blocks
        next_residual = residual_offset + d.tiles
        if self._config.current_bits:  # kept currents lie behind the spikes of a chunk, which their readers pass over
            passes_spikes = Signal()
            m.d.sync += passes_spikes.eq(d.residual == Residual.CURRENT)
            next_chunk = chunk_offset + d.in_chunk_stride
            next_residual = residual_offset + Mux(ends["residual_plane"] & passes_spikes, d.tiles << 1, d.tiles)
        with m.If(moves):
            with m.If(ends["plane"]):
                m.d.sync += [offset.eq(Mux(at_last["chunk"], 0, next_chunk)),
                             chunk_offset.eq(Mux(at_last["chunk"], 0, next_chunk))]
            with m.Elif(ends["in_plane"]):  # a further weight plane meets the same words
                m.d.sync += offset.eq(chunk_offset)
            with m.Elif(ends["group_y"]):
                m.d.sync += offset.eq(following)
            with m.If(self.o.payload.residual):
                m.d.sync += residual_offset.eq(Mux(ends["residual_plane"] & at_last["chunk"], 0, next_residual))
        m.d.comb += self.o.payload.offset.eq(Mux(self.o.payload.residual, residual_offset + count["tile"],
                                                 offset + count["block"]))
