"""The PE array adds up what plain arithmetic does, in either variant, for all windows, codewords and raw groups."""

from typing import Any

from amaranth.hdl import Array, Assert, Assume, Cat, Const, Module, Mux, Value
from amaranth.lib import data

from s2nn.hw.formal.harness import Property, past
from s2nn.hw.formal.inside import Inside
from s2nn.hw.formal.weights import settle_layer
from s2nn.hw.rtl.decode_then_popcount import DecodeThenPopcount
from s2nn.hw.rtl.lane_counts import LATENCY, counts_layout
from s2nn.hw.rtl.layouts import Tags
from s2nn.hw.rtl.pe_array import PEArray, Variant, terms_layout
from s2nn.hw.rtl.popcount import popcount
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig


class LaneCounts(Property):
    """Either PE variant counts, for one lane, the taps of its codeword or raw group in the window, and the window's.

    The codebook is any, and stays. One lane is looked at, since all are alike; codeword and time lane are the solver's
    choice. Operations come in every cycle: `CountsStand` says that a pause changes nothing.
    """

    def __init__(self, config: AcceleratorConfig, *, variant: Variant, lane: int) -> None:
        super().__init__()
        self._config, self._variant, self._lane = config, variant, lane

    def laws(self, m: Module) -> None:
        config = self._config
        dut: Any = self._variant(config)
        inside = self.prove_about(m, dut)
        settle_layer(self, m, config, dut)
        m.d.comb += [Assume(dut.i_enable), Assume(~dut.i.valid), Assume(~dut.i_load_start)]
        time_lane = self.any_constant(m, range(config.time_lanes), "time_lane")
        entry = self.any_constant(m, range(config.codebook_entries), "entry")
        codeword = self._codeword(m, dut, inside, entry)
        # The operation whose counts are there now, of a layer that was there two cycles before it: the mask of the
        # index and the codewords are registers.
        window = Cat(Array(dut.i_window[tap])[time_lane] for tap in range(GROUP_TAPS))
        operation = Cat(dut.i_symbols[self._lane], window)
        for stage in range(LATENCY):
            operation = past(m, operation, name=f"operation{stage}")
        settled: Value = Const(1)
        for stage in range(LATENCY + 2):
            settled = past(m, settled, name=f"settled{stage}")
        symbol, spikes = operation[:GROUP_TAPS], operation[GROUP_TAPS:]
        meant = (symbol & ((1 << dut.i_index_bits) - 1)) == entry
        taps = Mux(dut.i_codebook, codeword[:GROUP_TAPS], symbol)
        counts = dut.o
        positive, total = Array(counts.positive[self._lane])[time_lane], Array(counts.total)[time_lane]
        known = settled & (meant | ~dut.i_codebook)
        m.d.comb += [
            Assert(~known | (positive == _number_of(spikes & taps)), "positive taps are counted"),
            Assert(~known | (counts.zero[self._lane] == (dut.i_codebook & codeword[GROUP_TAPS])), "zero is marked"),
            Assert(~settled | (total == _number_of(spikes)), "spikes are counted"),
        ]

    def _codeword(self, m: Module, dut: Any, inside: Inside, entry: Value) -> Value:
        """The codeword of that number in the codebook of the layer."""
        if self._variant is DecodeThenPopcount:
            return inside.word(m, "decoder", f"codebook{self._lane}", address=Cat(entry, dut.i_codebook_half))
        halves = [Array(inside.signal(f"codeword{half}_{k}") for k in range(self._config.codebook_entries))
                  for half in (0, 1)]
        return Mux(dut.i_codebook_half, halves[1][entry], halves[0][entry])


def _number_of(bits: Value) -> Value:
    return sum(bits, start=Const(0))


class CountsStand(Property):
    """While the array stands, the counts stand."""

    def __init__(self, config: AcceleratorConfig, *, variant: Variant) -> None:
        super().__init__()
        self._config, self._variant = config, variant

    def laws(self, m: Module) -> None:
        dut: Any = self._variant(self._config)
        self.prove_about(m, dut)
        stood, before = past(m, ~dut.i_enable, name="stood"), past(m, Value.cast(dut.o), name="before")
        m.d.comb += Assert(~stood | (before == Value.cast(dut.o)), "counts stand")


class DotProduct(Property):
    """With these counts, what the array adds less the spikes is the dot product of weights +1, -1, 0 and spikes.

    The two sides are written as in the array (`PEArray`) and as in plain arithmetic; nothing is clocked.
    """

    def laws(self, m: Module) -> None:
        taps, spikes = self.any_sequence(GROUP_TAPS, "taps"), self.any_sequence(GROUP_TAPS, "spikes")
        zero = self.any_sequence(1, "zero")
        positive = popcount(m, spikes & (taps | zero.replicate(GROUP_TAPS)))  # as `CodebookLoader` stores it
        raised = Mux(zero, positive, positive << 1)
        weights = [Mux(zero, 0, Mux(tap, 1, -1)) for tap in taps]
        dot = sum((Mux(spike, weight, 0) for spike, weight in zip(spikes, weights, strict=True)), start=Const(0))
        m.d.comb += Assert(raised - popcount(m, spikes) == dot, "it is the dot product")


class Accumulation(Property):
    """Counts are doubled, in a lane with the zero codeword not, and scaled; then an operation adds them to nothing if
    it is the first one, to twice the sum if it begins a weight plane, else to the sum. Without one, sums stay."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__()
        self._config = config

    def laws(self, m: Module) -> None:
        dut: Any = PEArray(self._config)
        inside = self.prove_about(m, dut)
        stage = data.StructLayout({"valid": 1, "tags": Tags})
        counted, added = (data.View(stage, inside.signal(f"stage{k}")) for k in (LATENCY - 1, LATENCY))
        counts = data.View(counts_layout(self._config), inside.signal("counts", "o"))
        terms = data.View(terms_layout(self._config), inside.signal("terms"))
        adds, scale = dut.i_enable & added.valid, counted.tags.scale

        def law(name: str, count: Value, term: Value, total: Value) -> None:
            new_term = past(m, Mux(dut.i_enable, count << scale, term)[:len(term)], name=f"term_{name}")
            doubled = Mux(added.tags.shift, total << 1, total)
            new_total = past(m, Mux(adds, Mux(added.tags.first, 0, doubled) + term, total)[:len(total)],
                             name=f"total_{name}")
            m.d.comb += [Assert(term == new_term, "counts are scaled"),
                         Assert(total == new_total, "sums follow Horner's rule")]

        for t in range(self._config.time_lanes):
            law(f"{t}", counts.total[t], terms.total[t], dut.o.total[t])
            for lane in range(self._config.lanes):
                positive = counts.positive[lane][t]
                law(f"{lane}_{t}", Mux(counts.zero[lane], positive, positive << 1), terms.raised[lane][t],
                    dut.o.raised[lane][t])
