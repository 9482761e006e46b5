"""Membrane shortcuts beside the neurons: kept currents of a chunk, added to biases, and made of currents.

Semantics: `kept_current` and `shortcut_current` of hw/spec/semantics.py.
"""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.hdl import Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.lif import channel_params_layout
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.program import GAIN_SHIFTS


class CurrentLane(wiring.Component):
    """Between a neuron's parameters, its current, and the currents that are kept for all time lanes.

    Members
    -------
    i_params, i_gain_shift : of channel and layer.
    i_kept : an earlier layer's current. o_bias, o_excess_bias : the channel's with that current's share in them, two
        cycles after i_kept and i_params.
    i_current : of the neuron. o_kept : what is kept of it, a cycle later; 0 in a lane without a channel.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_params": In(channel_params_layout(config)), "i_gain_shift": In(2),
            "i_kept": In(signed(config.current_bits)),
            "o_bias": Out(signed(config.membrane_bits)), "o_excess_bias": Out(signed(config.membrane_bits + 1)),
            "i_current": In(signed(config.membrane_bits)), "o_kept": Out(signed(config.current_bits)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params, bits, width = self.i_params, self._config.current_bits, signed(self._config.membrane_bits)

        product, share = Signal(signed(bits + len(params.gain)), reset_less=True), Signal(width)
        with m.Switch(self.i_gain_shift):
            for step, shift in enumerate(GAIN_SHIFTS):
                with m.Case(step):
                    m.d.comb += share.eq(product >> shift)
        m.d.sync += [product.eq(self.i_kept * params.gain), self.o_bias.eq(params.bias + share),
                     self.o_excess_bias.eq(params.excess_bias + share)]

        # All but one of the shifts, in two stages; the last one rounds.
        coarse, fine, rounded = Signal(width, reset_less=True), Signal(width), Signal(width)
        m.d.sync += coarse.eq(_shifted(m, self.i_current, params.keep_shift[2:], 1 << 2))
        m.d.comb += [fine.eq(_shifted(m, coarse, params.keep_shift[:2], 1)), rounded.eq((fine + 1) >> 1)]
        sign, beyond = rounded[-1], rounded[bits - 1:-1]
        with m.If(~params.no_channel):
            m.d.comb += self.o_kept.eq(Cat(rounded[:bits - 1], sign))
            with m.If(beyond != sign.replicate(len(beyond))):
                m.d.comb += self.o_kept.eq(Cat((~sign).replicate(bits - 1), sign))
        return m


def _shifted(m: Module, value: Signal, steps: Value, unit: int) -> Signal:
    """value >> steps * unit, arithmetically."""
    result = Signal.like(value, name=f"{value.name}_shifted")
    with m.Switch(steps):
        for step in range(1 << len(steps)):
            with m.Case(step):
                m.d.comb += result.eq(value >> step * unit)
    return result


class KeptCurrents(wiring.Component):
    """Currents of all lanes and time lanes of one chunk: those that are added come in plane by plane and give way, step
    by step, to those that are kept, which leave plane by plane.

    Members
    -------
    i_start : pulse, a layer begins. i_adds : the layer adds currents; settled.
    i : planes of an earlier layer's currents, the lowest first; taken for a chunk once it has room for them.
        i_hold : takes none. o_ready : all of them are here. i_release : pulse, they are not needed any more.
    i_lane : of the time lanes. o : currents of that lane.
    i_write, i_write_lane, i_kept : the currents of a lane are overwritten.
    o_plane : the lowest plane. i_next : pulse, the next one takes its place; after all of them there are zeros.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        currents = data.ArrayLayout(signed(config.current_bits), config.lanes)
        lane = range(max(config.time_lanes, 2))
        super().__init__({
            "i_start": In(1), "i_adds": In(1),
            "i": In(stream.Signature(config.word_bits)), "i_hold": In(1), "o_ready": Out(1), "i_release": In(1),
            "i_lane": In(lane), "o": Out(currents),
            "i_write": In(1), "i_write_lane": In(lane), "i_kept": In(currents),
            "o_plane": Out(config.word_bits), "i_next": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits, lanes, time_lanes = self._config.current_bits, self._config.lanes, self._config.time_lanes
        planes = [Signal(self._config.word_bits, name=f"plane{k}") for k in range(bits)]
        count, takes = Signal(range(bits)), Signal()
        m.d.comb += [self.i.ready.eq(self.i_adds & ~self.o_ready & ~self.i_hold), self.o_plane.eq(planes[0]),
                     takes.eq(self.i.valid & self.i.ready)]
        with m.If(takes | self.i_next):
            m.d.sync += [*(plane.eq(above) for plane, above in pairwise(planes)),
                         planes[-1].eq(Mux(takes, self.i.payload, 0))]
        with m.If(takes):
            m.d.sync += count.eq(count + 1)
            with m.If(count == bits - 1):
                m.d.sync += [count.eq(0), self.o_ready.eq(1)]
        with m.If(self.i_release):
            m.d.sync += self.o_ready.eq(0)
        for lane in range(lanes):
            by_step = [plane.word_select(lane, time_lanes) for plane in planes]
            m.d.comb += self.o[lane].eq(Cat(steps.bit_select(self.i_lane, 1) for steps in by_step))
            with m.If(self.i_write):
                m.d.sync += [steps.bit_select(self.i_write_lane, 1).eq(self.i_kept[lane][k])
                             for k, steps in enumerate(by_step)]
        with m.If(self.i_start):
            m.d.sync += [count.eq(0), self.o_ready.eq(0), *(plane.eq(0) for plane in planes)]
        return m
