"""The PE array: per lane and time lane an AND, a popcount and an accumulator."""

from amaranth import Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.rtl.layouts import Tags, sums_layout
from s2nn.hw.rtl.popcount import popcount
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class PEArray(wiring.Component):
    """Accumulates popcount(weights & window) per lane, and popcount(window) once for all lanes.

    With weight bits w (1 for +1, 0 for -1) and spikes s, sum w*s = 2*popcount(w & s) - popcount(s); the neurons form
    the difference. On `shift` an accumulator doubles first, so that weight planes add up by Horner's rule.

    Members
    -------
    i_enable : moves. i_valid, i_tags, i_window (tap order), i_weights : an operation; an inactive one has a zero
        window.
    o_valid, o : finished sums, held until o_valid & i_ready. While sums wait, o_stall asks that i_enable be low.
    o_busy : an operation or finished sums are inside.

    Latency: two cycles from the last operation to o_valid.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_enable": In(1),
            "i_valid": In(1),
            "i_tags": In(Tags),
            "i_window": In(data.ArrayLayout(config.time_lanes, GROUP_TAPS)),
            "i_weights": In(data.ArrayLayout(GROUP_TAPS, config.lanes)),
            "o_valid": Out(1),
            "i_ready": In(1),
            "o": Out(sums_layout(config)),
            "o_stall": Out(1),
            "o_busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, time_lanes = self._config.lanes, self._config.time_lanes
        valid, tags = Signal(), Signal(Tags)
        m.d.comb += [self.o_stall.eq(self.o_valid & ~self.i_ready),
                     self.o_busy.eq(valid | self.o_valid)]
        with m.If(self.i_enable):
            m.d.sync += [valid.eq(self.i_valid), tags.eq(self.i_tags)]
        with m.If(self.i_ready):
            m.d.sync += self.o_valid.eq(0)
        with m.If(self.i_enable & valid & tags.emit):
            m.d.sync += [self.o_valid.eq(1), self.o.tags.eq(tags)]

        def accumulate(total: Value, spikes: Value, name: str) -> None:
            count = Signal(range(GROUP_TAPS + 1), name=name)
            with m.If(self.i_enable):
                m.d.sync += count.eq(popcount(spikes))
            with m.If(self.i_enable & valid):
                m.d.sync += total.eq(Mux(tags.first, 0, Mux(tags.shift, total << 1, total)) + count)

        for t in range(time_lanes):
            spikes = Signal(GROUP_TAPS, name=f"spikes{t}")
            m.d.comb += [spikes[tap].eq(self.i_window[tap][t]) for tap in range(GROUP_TAPS)]
            accumulate(self.o.total[t], spikes, f"total_count{t}")
            for lane in range(lanes):
                accumulate(self.o.positive[lane][t], spikes & self.i_weights[lane], f"count{lane}_{t}")
        return m
