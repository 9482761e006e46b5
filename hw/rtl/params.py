"""Parameter words from DRAM to the biases of the next tile, with and without the threshold taken off."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.lif import params_layout
from s2nn.hw.spec.config import PARAM_BYTES, AcceleratorConfig
from s2nn.hw.spec.packing import NO_CHANNEL


class ParamsLoader(wiring.Component):
    """Shifts in one word per cycle; after `lanes` words o holds the tile, lane 0 first.

    Members
    -------
    i : beats of parameter words (hw/spec/packing.py). i_shift : param_shift of the layer.
    o : parameters, complete after the tile's last beat, unchanged until the next tile's first.

    Throughput: a beat takes as many cycles as it has words.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(config.axi_data_bits)),
            "i_shift": In(4),
            "o": Out(params_layout(config)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        per_beat = self._config.axi_bytes // PARAM_BYTES
        part = Signal(range(max(per_beat, 2)))
        word = self.i.payload.word_select(part, 8 * PARAM_BYTES)
        bias, threshold = word[:16].as_signed(), word[16:31]
        m.d.comb += self.i.ready.eq(part == per_beat - 1)
        with m.If(self.i.valid):
            last = self.o[self._config.lanes - 1]
            m.d.sync += [
                part.eq(Mux(self.i.ready, 0, part + 1)),
                *(self.o[k].eq(self.o[k + 1]) for k in range(self._config.lanes - 1)),
                last.bias.eq(bias << self.i_shift), last.excess_bias.eq((bias - threshold) << self.i_shift),
                last.negate.eq(word[31]), last.no_channel.eq(threshold == NO_CHANNEL),
            ]
        return m
