"""Reads descriptors, parameters, weights, codebooks and the input image ahead of the computation."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl import dma_read
from s2nn.hw.rtl.descriptor_check import check_descriptor
from s2nn.hw.rtl.layouts import DescriptorLayout, has_param_pairs, row_bits
from s2nn.hw.spec.config import DESCRIPTOR_BYTES, PARAM_BYTES, AcceleratorConfig
from s2nn.hw.spec.descriptor import DESCRIPTOR, Opcode
from s2nn.hw.spec.registers import ErrorCode, Stream


class Fetcher(wiring.Component):
    """Walks the program one layer ahead of the sequencer and one tile ahead of the array.

    It asks for nothing that has no place to go: parameters for two tiles ahead of the neurons, weights once a half of
    the weight buffer is free, a codebook once the layer before the one that runs is done, an input once it runs. So
    read data is always taken in the end, and one stream never blocks another for good.

    Members
    -------
    i_start : pulse. i_keep_weights : weights of resident layers are in the buffer.
    i_image_address, i_descriptor_offset, i_input_address, i_scratch_address : where to read.
    o_request, i_data : to and from the read DMA.
    o_descriptor, o_descriptor_valid : the next layer; i_descriptor_take : pulse, it has begun.
    i_params_take : pulse, the neurons have taken the parameters. i_release : pulse, a weight half is free again.
    o_tile_ready : weights (and codebook) of the next tile are loaded; i_tile_take : pulse, it has begun.
    o_params, o_weights, o_codebook, o_input, o_map : read data by destination.
    o_weights_row, o_weights_rows : where the weights on o_weights go. o_weights_next, o_codebook_next : pulse with the
        last beat of a tile (codebook): what follows is the next one.
    o_codebook_half : half of the codebook memory that holds the codebook of the layer that runs.
    o_error : ErrorCode, held.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        beats = stream.Signature(config.axi_data_bits)
        super().__init__({
            "i_start": In(1), "i_keep_weights": In(1),
            "i_image_address": In(32), "i_descriptor_offset": In(32), "i_input_address": In(32),
            "i_scratch_address": In(32),
            "o_request": Out(stream.Signature(dma_read.REQUEST)),
            "i_data": In(stream.Signature(dma_read.read_beat_layout(config))),
            "o_descriptor": Out(DescriptorLayout),
            "o_descriptor_valid": Out(1),
            "i_descriptor_take": In(1),
            "i_params_take": In(1),
            "i_release": In(1),
            "o_tile_ready": Out(1),
            "i_tile_take": In(1),
            "o_params": Out(beats), "o_weights": Out(beats), "o_codebook": Out(beats), "o_input": Out(beats),
            "o_map": Out(beats),
            "o_weights_row": Out(row_bits(config)), "o_weights_rows": Out(12), "o_weights_next": Out(1),
            "o_codebook_next": Out(1),
            "o_codebook_half": Out(1),
            "o_error": Out(ErrorCode),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        arrived = self._route(m)
        codebooks_ready, tiles_ready, free_halves, free_params = (
            Signal(2), Signal(2), Signal(2, init=2), Signal(2, init=2))
        layer_begins, index_asked, params_asked = Signal(), Signal(), Signal()
        d = self.o_descriptor
        keeps = Signal()           # the layer that runs has its weights from an earlier image
        needs_codebook = Signal()  # the layer that runs has not begun its first tile, and waits for its codebook
        uses_codebook = Signal()
        m.d.comb += [self.o_tile_ready.eq(((tiles_ready != 0) | keeps) & ((codebooks_ready != 0) | ~needs_codebook)),
                     uses_codebook.eq(self.i_tile_take & needs_codebook)]
        m.d.sync += [
            tiles_ready.eq(tiles_ready + arrived[Stream.INDEX] - (self.i_tile_take & ~keeps)),
            free_halves.eq(free_halves + (self.i_release & ~keeps) - index_asked),
            free_params.eq(free_params + self.i_params_take - params_asked),
            codebooks_ready.eq(codebooks_ready + arrived[Stream.CODEBOOK] - uses_codebook),
        ]
        with m.If(uses_codebook):
            m.d.sync += needs_codebook.eq(0)
        codebook_half = Signal(init=1)  # the first codebook goes to half 0
        m.d.comb += self.o_codebook_half.eq(codebook_half)
        with m.If(self.i_descriptor_take):
            m.d.sync += [keeps.eq(self._is_kept(d)), needs_codebook.eq(d.codebook),
                         codebook_half.eq(codebook_half ^ d.codebook)]
        self._place_weights(m, layer_begins, index_asked, arrived[Stream.INDEX])
        self._walk(m, arrived, layer_begins, free_params, free_halves, index_asked, params_asked)
        return m

    def _route(self, m: Module) -> dict[Stream, Value]:
        """Each beat to the place that asked for it; returns, by stream, 'the last beat of a request has arrived'."""
        beat = self.i_data.payload
        targets = {Stream.PARAMS: self.o_params, Stream.INDEX: self.o_weights, Stream.CODEBOOK: self.o_codebook,
                   Stream.INPUT: self.o_input, Stream.MAP: self.o_map}
        word = Signal(8 * DESCRIPTOR_BYTES)
        m.d.comb += self.o_descriptor.eq(word[:DESCRIPTOR.used_bits])
        with m.Switch(beat.stream):
            for name, target in targets.items():
                m.d.comb += target.payload.eq(beat.data)
                with m.Case(name):
                    m.d.comb += [target.valid.eq(self.i_data.valid), self.i_data.ready.eq(target.ready)]
            with m.Case(Stream.DESCRIPTOR):
                m.d.comb += self.i_data.ready.eq(1)
                with m.If(self.i_data.valid):
                    m.d.sync += word.eq(Cat(word, beat.data)[self._config.axi_data_bits:])
        # A stream's own ready, not that of the stream which is here: the places of weights always have room.
        ready = {name: target.ready for name, target in targets.items()} | {Stream.DESCRIPTOR: Const(1)}
        arrived = {name: self.i_data.valid & beat.last & (beat.stream == name) & ready[name] for name in Stream}
        m.d.comb += [self.o_weights_next.eq(arrived[Stream.INDEX]), self.o_codebook_next.eq(arrived[Stream.CODEBOOK])]
        return arrived

    def _place_weights(self, m: Module, layer_begins: Signal, index_asked: Signal, index_arrived: Value) -> None:
        """Where tiles go: the halves in turn, or row after row of a resident layer; remembered until they have come."""
        d, half, resident_row = self.o_descriptor, Signal(), Signal(row_bits(self._config))
        place = data.StructLayout({"row": row_bits(self._config), "rows": 12})
        m.submodules.places = places = fifo.SyncFIFO(width=place.size, depth=2)
        asked, coming = data.View(place, places.w_data), data.View(place, places.r_data)
        m.d.comb += [
            asked.row.eq(Mux(d.resident, resident_row, Mux(half, self._config.weight_rows, 0))),
            asked.rows.eq(d.tile_rows), places.w_en.eq(index_asked), places.r_en.eq(index_arrived),
            self.o_weights_row.eq(coming.row), self.o_weights_rows.eq(coming.rows),
        ]
        with m.If(layer_begins):
            m.d.sync += resident_row.eq(d.weight_base)
        with m.If(index_asked & d.resident):
            m.d.sync += resident_row.eq(resident_row + d.tile_rows)
        with m.If(index_asked & ~d.resident):
            m.d.sync += half.eq(~half)

    def _is_kept(self, d: data.View) -> Value:
        """The layer's weights are in the buffer already."""
        return d.resident & (self.i_keep_weights | d.reuse_weights)

    def _walk(self, m: Module, arrived: dict[Stream, Value], layer_begins: Signal, free_params: Signal,
              free_halves: Signal, index_asked: Signal, params_asked: Signal) -> None:
        d, request = self.o_descriptor, self.o_request
        descriptor_address, params_address, index_address = Signal(32), Signal(32), Signal(32)
        tile, is_kept = Signal(8), Signal(reset_less=True)
        m.d.sync += is_kept.eq(self._is_kept(d))  # the descriptor has long been there when it counts
        error = check_descriptor(m, self._config, d)
        params_beats: Value | int = self._config.params_beats
        params_bytes: Value | int = self._config.lanes * PARAM_BYTES
        if self._config.current_bits:
            has_pairs = Signal(reset_less=True)
            m.d.sync += has_pairs.eq(has_param_pairs(d))
            params_beats, params_bytes = params_beats << has_pairs, params_bytes << has_pairs
        tile_length, codebook_length = (Signal(dma_read.LENGTH_BITS, name=f"{what}_length", reset_less=True)
                                        for what in ("tile", "codebook"))
        m.d.sync += [tile_length.eq(d.tile_beats - 1), codebook_length.eq(d.codebook_beats - 1)]
        more_tiles = tile != d.tiles
        runs_layer, loads_map, region = Signal(), Signal(), Signal(32, reset_less=True)
        m.d.sync += region.eq(Mux(loads_map, self.i_scratch_address, self.i_input_address))  # counts after BEGIN
        m.d.comb += [runs_layer.eq((d.opcode == Opcode.CONV) | (d.opcode == Opcode.CLASSIFY)),
                     loads_map.eq(d.opcode == Opcode.LOAD_MAP)]

        def ask(name: Value | Stream, address: Value, length: Value | int, when: Value | int = 1) -> Value:
            m.d.comb += [request.valid.eq(when), request.payload.stream.eq(name), request.payload.address.eq(address),
                         request.payload.length.eq(length)]
            return when & request.ready  # not request.valid, which depends on all states

        with m.If(self.i_descriptor_take):
            m.d.sync += self.o_descriptor_valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += descriptor_address.eq(self.i_image_address + self.i_descriptor_offset)
                with m.If(self.i_start):
                    m.next = "DESCRIPTOR"
            with m.State("DESCRIPTOR"):
                with m.If(ask(Stream.DESCRIPTOR, descriptor_address, self._config.descriptor_beats - 1)):
                    m.d.sync += descriptor_address.eq(descriptor_address + DESCRIPTOR_BYTES)
                    m.next = "ARRIVE"
            with m.State("ARRIVE"):
                with m.If(arrived[Stream.DESCRIPTOR]):
                    m.next = "CHECK"
            with m.State("CHECK"):  # which takes a cycle
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += layer_begins.eq(1)
                m.d.sync += [params_address.eq(self.i_image_address + d.params_offset),
                             index_address.eq(self.i_image_address + d.index_offset), tile.eq(0)]
                with m.If(error != ErrorCode.NONE):
                    m.d.sync += self.o_error.eq(error)
                    m.next = "HALT"
                with m.Else():
                    m.d.sync += self.o_descriptor_valid.eq(1)
                    m.next = "PARAMS"
                    with m.If(~runs_layer):
                        m.next = "TAKEN"
                    with m.Elif(d.codebook):
                        m.next = "CODEBOOK"
            with m.State("CODEBOOK"):  # the half of the layer before the one that runs
                with m.If(ask(Stream.CODEBOOK, self.i_image_address + d.codebook_offset, codebook_length)):
                    m.next = "PARAMS"
            with m.State("PARAMS"):
                with m.If(ask(Stream.PARAMS, params_address, params_beats - 1, free_params != 0)):
                    m.d.comb += params_asked.eq(1)
                    m.d.sync += params_address.eq(params_address + params_bytes)
                    m.next = "INDEX"
            with m.State("INDEX"):
                with m.If(is_kept | ask(Stream.INDEX, index_address, tile_length, (free_halves != 0) & ~is_kept)):
                    m.d.comb += index_asked.eq(~is_kept)
                    m.d.sync += [index_address.eq(index_address + d.tile_beats * self._config.axi_bytes),
                                 tile.eq(tile + 1)]
                    m.next = "NEXT"
                    with m.If(tile == 0):
                        m.next = "TAKEN"
            with m.State("TAKEN"):  # the sequencer has begun this layer, so the one before is done
                with m.If(~runs_layer):
                    m.d.sync += [tile.eq(d.tiles), index_address.eq(d.index_offset + region)]
                with m.If(~self.o_descriptor_valid):
                    m.next = "NEXT"
                    with m.If(loads_map | (d.opcode == Opcode.LOAD_INPUT)):
                        m.next = "INPUT"
            with m.State("INPUT"):
                with m.If(ask(Mux(loads_map, Stream.MAP, Stream.INPUT), index_address, tile_length)):
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.next = "DESCRIPTOR"
                with m.If(more_tiles):
                    m.next = "PARAMS"
                with m.Elif(d.last):
                    m.next = "IDLE"
            with m.State("HALT"):  # until the sequencer resets the engine
                pass
