"""One integer LIF neuron: hw/spec/semantics.py in two cycles per time step."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.spec.config import AcceleratorConfig


def channel_params_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Threshold and bias of one channel, already shifted, whether its sums are negated, whether there is a channel."""
    return data.StructLayout({"bias": signed(config.membrane_bits), "threshold": signed(config.membrane_bits),
                              "negate": 1, "no_channel": 1})


def params_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """Parameters of one tile."""
    return data.ArrayLayout(channel_params_layout(config), config.lanes)


class LifLane(wiring.Component):
    """Membrane, threshold and reset of one lane. Widths suffice for every program that placement accepts.

    Members
    -------
    i_positive, i_total : popcount sums of the step (or bit plane).
    i_params, i_leak, i_image, i_classify, i_soft_reset : of channel and layer.
    i_clear : membrane and image current to zero.
    i_fold : image current = 2 * image current + sum.
    i_leak_step : leak the membrane and form the current. i_fire : add, compare, reset; o_spike is valid with it.
    i_shift : the membrane takes i_membrane (logits leave lane by lane). o_membrane : the membrane, signed.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_positive": In(config.accumulator_bits),
            "i_total": In(config.accumulator_bits),
            "i_params": In(channel_params_layout(config)),
            "i_leak": In(9),
            "i_image": In(1),
            "i_classify": In(1),
            "i_soft_reset": In(1),
            "i_clear": In(1),
            "i_fold": In(1),
            "i_leak_step": In(1),
            "i_fire": In(1),
            "o_spike": Out(1),
            "i_shift": In(1),
            "i_membrane": In(signed(config.membrane_bits)),
            "o_membrane": Out(signed(config.membrane_bits)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = signed(self._config.membrane_bits)
        params, membrane = self.i_params, self.o_membrane
        image_current, leaked, current = Signal(width), Signal(width), Signal(width)

        # total weight*spike = 2*positive - total; a negated channel gets the operands the other way round.
        weighted = Signal(signed(self._config.accumulator_bits + 1))
        doubled = self.i_positive << 1
        m.d.comb += weighted.eq(Mux(params.negate, self.i_total - doubled, doubled - self.i_total))
        with m.If(self.i_fold):
            m.d.sync += image_current.eq((image_current << 1) + weighted)

        with m.If(self.i_leak_step):
            drive = Mux(self.i_image, image_current,
                        Mux(self.i_classify, weighted, weighted << self._config.fraction_bits))
            m.d.sync += [leaked.eq((membrane * self.i_leak) >> self._config.leak_bits),
                         current.eq(drive + params.bias)]

        potential = Signal(width)
        m.d.comb += [potential.eq(leaked + current),
                     self.o_spike.eq(~self.i_classify & ~params.no_channel & (potential >= params.threshold))]
        with m.If(self.i_fire):
            after_spike = Mux(self.i_soft_reset, potential - params.threshold, 0)
            m.d.sync += membrane.eq(Mux(self.o_spike, after_spike, potential))
        with m.If(self.i_shift):
            m.d.sync += membrane.eq(self.i_membrane)
        with m.If(self.i_clear):
            m.d.sync += [membrane.eq(0), image_current.eq(0)]
        return m
