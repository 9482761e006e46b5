"""The neuron unit: N integer LIF neurons side by side, one time step after the other (hw/spec/semantics.py)."""

from amaranth import Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.currents import CurrentLane, KeptCurrents
from s2nn.hw.rtl.layouts import DescriptorLayout, sums_layout
from s2nn.hw.rtl.lif import LifLane, params_layout
from s2nn.hw.rtl.membrane_buffer import MembraneBuffer
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.descriptor import Opcode, Residual


class NeuronArray(wiring.Component):
    """Takes the sums of a position and chunk, updates the membranes, fires; or accumulates logits.

    Spiking layer: each of the chunk's steps leaks, adds its current, compares, resets. Image layer: the chunks' planes
    first add up to one current by Horner's rule, which then drives all T steps. Classifier: the membranes collect the
    currents without threshold, and leave as logits after the last chunk. A layer that is run chunk by chunk takes its
    membranes from the membrane buffer and leaves them there.

    Members
    -------
    i_descriptor : of the layer. i_start : pulse, a layer begins.
    i_valid, i : finished sums; taken into a holding register as soon as it is free, so the array goes on.
    o_ready_next : the holding register is free in the next cycle.
    i_params_valid, i_params : parameters of the next tile, taken (o_params_take) with the first sums of a tile.
    i_currents : of a layer that adds currents of a residual map, their planes, chunk by chunk, the lowest first.
    o : one word of spikes per chunk, and behind it the planes of the currents that are kept (o_is_kept).
    o_logits : beats of 32-bit logits, lane 0 first.
    o_busy : sums are inside. o_update : pulse, all lanes updated their membrane.
    o_membrane_read, o_membrane_write : pulses, a word of the membrane buffer was read or written.

    Throughput: 2*time_lanes + 2 cycles per chunk. An image layer takes time_lanes + 2 cycles per chunk of its eight
    planes but the last, which takes time_lanes, and then 2 per time step and one per chunk of spikes. Added currents
    take two more per chunk, kept ones current_bits + 1; planes of added ones come while the array works on the chunk,
    but not before the last chunk is done with its own.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_descriptor": In(DescriptorLayout),
            "i_start": In(1),
            "i_valid": In(1),
            "o_ready_next": Out(1),
            "i": In(sums_layout(config)),
            "i_params_valid": In(1),
            "i_params": In(params_layout(config)),
            "o_params_take": Out(1),
            "i_currents": In(stream.Signature(config.word_bits)),
            "o": Out(stream.Signature(config.word_bits)), "o_is_kept": Out(1),
            "o_logits": Out(stream.Signature(config.axi_data_bits)),
            "o_busy": Out(1),
            "o_update": Out(1), "o_membrane_read": Out(1), "o_membrane_write": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        d, time_lanes = self.i_descriptor, self._config.time_lanes
        held, hold = Signal(), Signal(sums_layout(self._config), reset_less=True)
        params = Signal(params_layout(self._config), reset_less=True)
        last_chunk, t, step = Signal(), Signal(range(max(time_lanes, 2))), Signal(8)
        is_last_step = Signal(reset_less=True)
        # What the control asks of the layer lies in registers apart from those that go to all lanes.
        classify, spiking, image = (Signal(name=name, reset_less=True) for name in ("classify", "spiking", "image"))
        leak_factor = Signal.like(d.leak, reset_less=True)  # in front of all multipliers
        m.d.sync += [classify.eq(d.opcode == Opcode.CLASSIFY), spiking.eq(d.opcode != Opcode.CLASSIFY),
                     image.eq(d.image_input), leak_factor.eq(d.leak)]
        start, fold, leak, fire, load = Signal(), Signal(), Signal(), Signal(), Signal()
        adds, keeps = Signal(reset_less=True), Signal(reset_less=True)  # currents
        kept = KeptCurrents(self._config) if self._config.current_bits else None
        if kept is not None:
            m.d.sync += [adds.eq(d.residual == Residual.CURRENT), keeps.eq(d.keep_current)]
            m.submodules.kept = kept
            wiring.connect(m, wiring.flipped(self.i_currents), kept.i)
        # may_start, a register: sums at hand are started on in this cycle, with their tile's parameters, unless the
        # spikes before them still wait to leave. The lanes load the first of them all the same.
        may_start, emits = Signal(init=1), Signal()
        loaded, loads_first = Signal(), Signal()
        has_currents = 1 if kept is None else kept.o_ready | ~adds
        sums_and_params = may_start & held & (~hold.tags.tile_first | self.i_params_valid)
        m.d.comb += [loads_first.eq(sums_and_params & ~loaded),
                     start.eq(sums_and_params & (~emits | self.o.ready) & has_currents)]
        m.d.sync += loaded.eq((loaded | loads_first) & ~start)
        # A lane's spike joins the word a cycle after its step: fired, one-hot, is that step.
        word, earlier, fired = Signal(self._config.word_bits), Signal(self._config.word_bits), Signal(time_lanes)
        lanes = [LifLane(self._config) for _ in range(self._config.lanes)]
        for index, lane in enumerate(lanes):
            m.submodules[f"lane{index}"] = lane
            m.d.comb += [
                lane.i_raised.eq(hold.raised[index][0]), lane.i_total.eq(hold.total[0]),
                lane.i_load.eq(load),
                # A tile's first sums are loaded while its parameters are still outside.
                lane.i_negate.eq(Mux(may_start & hold.tags.tile_first,
                                     self.i_params[index].negate, params[index].negate)),
                lane.i_leak.eq(leak_factor), lane.i_image.eq(d.image_input),
                lane.i_classify.eq(classify), lane.i_soft_reset.eq(d.soft_reset),
                lane.i_clear.eq(start & hold.tags.first_chunk), lane.i_fold.eq(fold), lane.i_leak_step.eq(leak),
                lane.i_fire.eq(fire),
            ]
            if kept is None:
                m.d.comb += lane.i_params.eq(params[index])
            m.d.comb += word.word_select(index, time_lanes).eq(
                earlier.word_select(index, time_lanes) | (fired & lane.o_spike.replicate(time_lanes)))
        m.d.comb += self.o.payload.eq(word)
        m.d.sync += [fired.eq(Mux(fire, 1 << t, 0)), earlier.eq(word)]
        with m.If(leak & (t == 0)):  # a word's first step; the word before has left, whatever its wires say meanwhile
            m.d.sync += earlier.eq(0)
        # Logits leave lane 0 first; the others move up.
        per_beat, beat = self._config.axi_data_bits // 32, Signal(range(self._config.logits_beats + 1))
        for index, lane in enumerate(lanes):
            following = lanes[index + per_beat].o_membrane if index + per_beat < len(lanes) else 0
            m.d.comb += [lane.i_shift.eq(self.o_logits.valid & self.o_logits.ready), lane.i_membrane.eq(following)]
        m.d.comb += [self.o_logits.payload.word_select(k, 32).eq(lanes[k].o_membrane) for k in range(per_beat)]
        chunk_done = Signal()  # the last step of a chunk fires
        if self._config.membrane_words:
            self._keep_membranes(m, lanes, begins=start & hold.tags.first_chunk, ends=chunk_done)
        emits_kept, first_added, kept_plane = Signal(), Signal(), Signal(range(max(self._config.current_bits, 2)))
        last_kept = kept_plane == self._config.current_bits - 1
        if kept is not None:
            self._meet_currents(m, kept, lanes, params, adds=adds, start=start, added=first_added, fire=fire, t=t)
            m.d.comb += [self.o_is_kept.eq(emits_kept), kept.i_hold.eq(emits_kept),
                         kept.i_next.eq(emits_kept & self.o.ready),
                         kept.i_release.eq(Mux(keeps, kept.i_next & last_kept, chunk_done))]
            with m.If(emits_kept):
                m.d.comb += self.o.payload.eq(kept.o_plane)

        held_next, release = Signal(), Signal()
        m.d.comb += [held_next.eq(Mux(held, ~release, self.i_valid)), self.o_ready_next.eq(~held_next),
                     self.o_update.eq(fire)]
        m.d.sync += held.eq(held_next)
        with m.If(~held):  # whatever is there: few wires lead to the enables of so many registers
            m.d.sync += hold.eq(self.i)
        with m.If(load):  # index 0 is being loaded: the next time lane moves there
            for k in range(time_lanes - 1):
                m.d.sync += [hold.total[k].eq(hold.total[k + 1]),
                             *(p[k].eq(p[k + 1]) for p in (hold.raised[i] for i in range(self._config.lanes)))]
        with m.If(start):
            m.d.sync += [t.eq(0), last_chunk.eq(hold.tags.last_chunk)]
            with m.If(hold.tags.first_chunk):
                m.d.sync += step.eq(0)
        m.d.comb += [self.o_params_take.eq(start & hold.tags.tile_first), load.eq(loads_first | fold | (fire & ~image))]
        with m.If(may_start & held & hold.tags.tile_first):  # time and again, until they are complete and taken
            m.d.sync += params.eq(self.i_params)

        def begin() -> None:
            """With sums at hand start on them, otherwise wait."""
            m.d.sync += may_start.eq(~start)
            m.next = "IDLE"
            with m.If(start):
                m.next = "FOLD"
                with m.If(~image):
                    m.next = "LEAK"
                if kept is not None:
                    with m.If(adds):
                        m.next = "ADD"

        with m.FSM() as fsm:
            with m.State("IDLE"):
                begin()
            with m.State("FOLD"):  # one bit plane of the image per cycle
                m.d.comb += fold.eq(1)
                m.d.sync += t.eq(t + 1)
                with m.If(t == time_lanes - 1):
                    m.d.comb += release.eq(1)
                    m.d.sync += [t.eq(0), may_start.eq(~last_chunk)]
                    m.next = "IDLE"
                    with m.If(last_chunk):
                        m.next = "LEAK"
            with m.State("LEAK"):
                m.d.comb += leak.eq(1)
                m.d.sync += is_last_step.eq(step + 1 == d.steps)
                m.next = "FIRE"
            with m.State("FIRE"):
                m.d.comb += fire.eq(1)
                m.d.sync += [step.eq(step + 1), t.eq(t + 1)]
                m.next = "LEAK"
                with m.If((t == time_lanes - 1) | is_last_step):
                    m.d.comb += chunk_done.eq(1)
                    m.d.sync += [t.eq(0), may_start.eq(spiking & (~image | is_last_step) & ~keeps)]
                    m.d.comb += release.eq(~image)
                    m.next = "EMIT"
            with m.State("EMIT"):
                m.d.comb += [emits.eq(1), self.o.valid.eq(spiking)]  # a classifier has no may_start here
                with m.If(image & ~is_last_step & ~keeps):
                    with m.If(~spiking | self.o.ready):
                        m.next = "LEAK"
                with m.Elif(~spiking):
                    m.d.sync += may_start.eq(~last_chunk)
                    m.next = "IDLE"
                    with m.If(last_chunk & ~d.store_membranes):
                        m.next = "LOGITS"
                with m.Elif(self.o.ready):
                    begin()
                    if kept is not None:
                        with m.If(keeps):
                            m.d.sync += may_start.eq(0)
                            m.next = "KEPT"
            with m.State("LOGITS"):
                m.d.comb += self.o_logits.valid.eq(1)
                with m.If(self.o_logits.ready):
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(beat == self._config.logits_beats - 1):
                        m.d.sync += [beat.eq(0), may_start.eq(1)]
                        m.next = "IDLE"
            if kept is not None:
                with m.State("ADD"):  # the first step's currents on their way to the biases
                    m.next = "ADDED"
                with m.State("ADDED"):
                    m.d.comb += first_added.eq(1)
                    m.next = "LEAK"
                with m.State("KEPT"):
                    m.d.comb += [emits_kept.eq(1), self.o.valid.eq(1)]
                    with m.If(self.o.ready):
                        m.d.sync += kept_plane.eq(Mux(last_kept, 0, kept_plane + 1))
                        with m.If(last_kept):
                            m.d.sync += may_start.eq(~image | is_last_step)
                            m.next = "IDLE"
                            with m.If(image & ~is_last_step):
                                m.next = "LEAK"
        m.d.comb += self.o_busy.eq(held | ~fsm.ongoing("IDLE"))
        return m

    def _meet_currents(self, m: Module, kept: KeptCurrents, lanes: list[LifLane], params: data.View, *, adds: Value,
                       start: Value, added: Value, fire: Value, t: Signal) -> None:
        """Biases take up the added currents of a step two cycles before it; what is kept of it takes their place."""
        ahead, fired = Signal.like(t, name="ahead"), Signal(name="fired")
        with m.If(added | fire):
            m.d.sync += ahead.eq(ahead + 1)
        with m.If(start):
            m.d.sync += ahead.eq(0)
        m.d.comb += [kept.i_start.eq(self.i_start), kept.i_adds.eq(adds), kept.i_lane.eq(ahead), kept.i_write.eq(fired)]
        m.d.sync += [fired.eq(fire & self.i_descriptor.keep_current), kept.i_write_lane.eq(t)]
        for index, lane in enumerate(lanes):
            m.submodules[f"current{index}"] = current = CurrentLane(self._config)
            m.d.comb += [
                current.i_params.eq(params[index]), current.i_gain_shift.eq(self.i_descriptor.gain_shift),
                current.i_kept.eq(kept.o[index]), current.i_current.eq(lane.o_current),
                kept.i_kept[index].eq(current.o_kept), lane.i_params.eq(params[index]),
            ]
            with m.If(adds):
                m.d.comb += [lane.i_params.bias.eq(current.o_bias), lane.i_params.excess_bias.eq(current.o_excess_bias)]

    def _keep_membranes(self, m: Module, lanes: list[LifLane], *, begins: Value, ends: Value) -> None:
        """Membranes come from the buffer as a position begins, and go there as its chunk ends."""
        m.submodules.membranes = membranes = MembraneBuffer(self._config)
        loads, stores = self.i_descriptor.load_membranes, self.i_descriptor.store_membranes
        m.d.sync += self.o_membrane_write.eq(ends & stores)
        m.d.comb += [membranes.i_rewind.eq(self.i_start), membranes.i_advance.eq(begins),
                     self.o_membrane_read.eq(begins & loads), membranes.i_write.eq(self.o_membrane_write)]
        for index, lane in enumerate(lanes):
            m.d.comb += membranes.i_membranes[index].eq(lane.o_membrane)
            with m.If(self.o_membrane_read):
                m.d.comb += [lane.i_shift.eq(1), lane.i_membrane.eq(membranes.o[index])]
