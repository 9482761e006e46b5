"""One integer LIF neuron: hw/spec/semantics.py in two cycles per time step."""

from amaranth import Module, Mux, Signal, signed
from amaranth.hdl import Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.descriptor import KEEP_SHIFTS
from s2nn.hw.spec.program import GAIN_LIMIT

#: Bits of the membrane in the lower product: an unsigned operand of a signed 18-bit multiplier.
_LOW_BITS = 17


def channel_params_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Of one channel: bias and bias less threshold, shifted; whether its sums are negated; whether there is one. Of
    membrane shortcuts: the gain, and the shift of a kept current less 1."""
    shortcut = {"gain": GAIN_LIMIT.bit_length(), "keep_shift": range(len(KEEP_SHIFTS))} if config.current_bits else {}
    return data.StructLayout({"bias": signed(config.membrane_bits), "excess_bias": signed(config.membrane_bits + 1),
                              "negate": 1, "no_channel": 1, **shortcut})


def params_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """Parameters of one tile."""
    return data.ArrayLayout(channel_params_layout(config), config.lanes)


class LifLane(wiring.Component):
    """Membrane, threshold and reset of one lane. Widths suffice for every program that placement accepts.

    The potential and its excess over the threshold are added up side by side, so the comparison is the excess's sign.
    Which of them the membrane is, is decided behind their registers, on the way to the multiplier.

    Members
    -------
    i_raised, i_total, i_negate : sums of a step (or bit plane), see `sums_layout`; on i_load their difference is taken.
    i_params, i_leak, i_image, i_classify, i_soft_reset : of channel and layer.
    i_clear : membrane and image current to zero.
    i_fold : image current = 2 * image current + difference.
    i_leak_step : leak the membrane and form the current from the difference taken before.
    i_fire : add, compare. o_spike : the neuron fired, from the next cycle to the next i_fire.
    i_shift : the membrane takes i_membrane: logits leave lane by lane, or, with i_clear, it goes on from before.
    o_membrane : the membrane, signed. o_current : the current of the step, from i_fire on.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_raised": In(config.accumulator_bits + 1),
            "i_total": In(config.accumulator_bits),
            "i_negate": In(1),
            "i_load": In(1),
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
            "o_current": Out(signed(config.membrane_bits)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = signed(self._config.membrane_bits)
        params, excess_width = self.i_params, signed(self._config.membrane_bits + 1)
        potential, excess = Signal(width, reset_less=True), Signal(excess_width, reset_less=True)
        current, excess_current = Signal(width, reset_less=True), Signal(excess_width, reset_less=True)
        spike = Signal(reset_less=True)
        image_current, membrane = Signal(width, reset_less=True), Signal(width)
        m.d.comb += [membrane.eq(Mux(spike, Mux(self.i_soft_reset, excess, 0), potential)),
                     self.o_spike.eq(spike), self.o_membrane.eq(membrane), self.o_current.eq(current)]

        # sum of weight * input = sum of (weight + 1) * input - sum of input; negated, the operands change places.
        weighted = Signal(signed(self._config.accumulator_bits + 1), reset_less=True)
        with m.If(self.i_load):
            m.d.sync += weighted.eq(Mux(self.i_negate, self.i_total - self.i_raised, self.i_raised - self.i_total))
        with m.If(self.i_fold):
            m.d.sync += image_current.eq((image_current << 1) + weighted)

        with m.If(self.i_leak_step):
            drive = Mux(self.i_image, image_current,
                        Mux(self.i_classify, weighted, weighted << self._config.fraction_bits))
            m.d.sync += [current.eq(drive + params.bias), excess_current.eq(drive + params.excess_bias)]
        leaked = self._leak(m, membrane)

        excess_sum = Signal(excess_width)
        m.d.comb += excess_sum.eq(leaked + excess_current)
        with m.If(self.i_fire):
            m.d.sync += [potential.eq(leaked + current), excess.eq(excess_sum),
                         spike.eq(~self.i_classify & ~params.no_channel & (excess_sum >= 0))]
        with m.If(self.i_clear):
            m.d.sync += [potential.eq(0), image_current.eq(0), spike.eq(0)]
        with m.If(self.i_shift):
            m.d.sync += [potential.eq(self.i_membrane), spike.eq(0)]
        return m

    def _leak(self, m: Module, membrane: Signal) -> Value:
        """floor(membrane * leak / 2**leak_bits) from i_leak_step on, of products of at most 18 signed bits.

        Each is one multiplier block with a register of its own; they are added up behind.

        The upper product is a multiple of 2**leak_bits, so only the lower one is rounded.
        """
        bits = self._config.leak_bits
        leak = self.i_leak[:bits + 1]  # 0..2**leak_bits
        products = [(membrane * leak) >> bits]
        if len(membrane) > _LOW_BITS + 1:
            products = [(membrane[:_LOW_BITS] * leak) >> bits,
                        (membrane[_LOW_BITS:].as_signed() * leak) << (_LOW_BITS - bits)]
        parts = [Signal.like(product, name=f"leaked{k}", reset_less=True) for k, product in enumerate(products)]
        with m.If(self.i_leak_step):
            m.d.sync += [part.eq(product) for part, product in zip(parts, products, strict=True)]
        return sum(parts[1:], parts[0])
