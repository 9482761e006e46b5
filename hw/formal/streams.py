"""The stream contract: a payload that is not taken stays as it is, and its valid with it."""

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Const, Module, Signal, Value
from amaranth.lib import wiring

from s2nn.hw.formal.harness import Property, past
from s2nn.hw.formal.inside import Inside
from s2nn.hw.formal.rules import held, held_channel
from s2nn.hw.rtl.fetcher import Fetcher
from s2nn.hw.rtl.loop_nest import LoopNest
from s2nn.hw.rtl.neuron import NeuronArray
from s2nn.hw.rtl.pe_array import PEArray
from s2nn.hw.rtl.pool import PoolUnit
from s2nn.hw.rtl.registers import RegisterFile
from s2nn.hw.rtl.residual import ResidualUnit
from s2nn.hw.rtl.scanner import ActivityScanner
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.descriptor import Residual
from s2nn.hw.spec.registers import Stream

#: What a proof adds of its own, told the component and its inside.
Addition = Callable[[Module, Any, Inside], None]


class StreamContract(Property):
    """A component keeps the contract on its output streams if its surroundings keep it on its input streams.

    Parameters
    ----------
    component : builds it.
    outputs, inputs : names of its streams. A stream that is left out of `inputs` may change while it waits.
    settled : names of inputs that never change, such as the descriptor of a layer.
    withdrawn : name of the input that takes back what is offered.
    addition : further assumptions and invariants.
    """

    def __init__(self, component: Callable[[], wiring.Component], *, outputs: Sequence[str], inputs: Sequence[str] = (),
                 settled: Sequence[str] = (), withdrawn: str | None = None, addition: Addition | None = None) -> None:
        super().__init__()
        self._component, self._outputs, self._inputs, self._settled = component, outputs, inputs, settled
        self._withdrawn, self._addition = withdrawn, addition

    def laws(self, m: Module) -> None:
        dut: Any = self._component()
        inside = self.prove_about(m, dut)
        for name in self._settled:
            settle(self, m, getattr(dut, name), name=name)
        for name in self._inputs:
            m.d.comb += Assume(held(m, getattr(dut, name), name=name))
        withdrawn = getattr(dut, self._withdrawn) if self._withdrawn else 0
        for name in self._outputs:
            m.d.comb += Assert(held(m, getattr(dut, name), name=name, withdrawn=withdrawn), f"{name} waits unchanged")
        if self._addition is not None:
            self._addition(m, dut, inside)


def settle(owner: Property, m: Module, value: Any, *, name: str) -> None:
    """Assumes that an input has one value, any, in all cycles."""
    bits = Value.cast(value)
    m.d.comb += Assume(bits == owner.any_constant(m, bits.shape(), f"settled_{name}"))


def begins_once(m: Module, dut: LoopNest | NeuronArray, inside: Inside) -> None:
    """The sequencer starts a layer only when none runs."""
    m.d.comb += Assume(~(dut.i_start & dut.o_busy))


def pool_begins_empty(m: Module, dut: PoolUnit, inside: Inside) -> None:
    """The sequencer starts a layer only when no word is inside."""
    m.d.comb += Assume(~(dut.i_start & dut.i.valid))


def residual_layer_comes_first(m: Module, dut: ResidualUnit, inside: Inside) -> None:
    """The layer is there a cycle before its first word; then the registers say what the plane is."""
    started, plane = past(m, Const(1), name="started"), inside.signal("plane")
    has_residual = (dut.i_residual == Residual.ADD) | (dut.i_residual == Residual.IAND)
    m.d.comb += [
        Assume(started | ~dut.i.valid),
        Assert(~started | (inside.signal("is_first") == (plane == 0)), "the first plane is known"),
        Assert(~started | (inside.signal("adds_plane") == (has_residual & (plane != dut.i_residual_planes))),
               "a plane that the map still has is known"),
    ]


class RequestsWait(Property):
    """The fetcher's request waits unchanged, if data comes only for what was requested, and places are freed only once.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__()
        self._config = config

    def laws(self, m: Module) -> None:
        dut: Any = Fetcher(self._config)
        self.prove_about(m, dut)
        for name in ("i_image_address", "i_descriptor_offset", "i_input_address", "i_keep_weights"):
            settle(self, m, getattr(dut, name), name=name)
        request, beat = dut.o_request, dut.i_data
        asked, came = request.valid & request.ready, beat.valid & beat.ready & beat.payload.last
        # Requests without their last beat, and places taken and not yet freed, by stream.
        coming = {name: Signal(range(8), name=f"coming_{name.name.lower()}") for name in Stream}
        taken = {name: Signal(range(8), name=f"taken_{name.name.lower()}") for name in (Stream.PARAMS, Stream.INDEX)}
        frees = {Stream.PARAMS: dut.i_params_take, Stream.INDEX: dut.i_release}
        for name, count in coming.items():
            m.d.sync += count.eq(count + (asked & (request.payload.stream == name))
                                 - (came & (beat.payload.stream == name)))
            m.d.comb += Assume(~(beat.valid & (beat.payload.stream == name)) | (count != 0))
        for name, count in taken.items():
            m.d.sync += count.eq(count + (asked & (request.payload.stream == name)) - frees[name])
            m.d.comb += Assume(~frees[name] | (count > coming[name]))
        m.d.comb += [
            Assume(beat.payload.stream <= max(Stream)), Assume(held(m, beat, name="i_data")),
            Assume(~dut.i_descriptor_take | dut.o_descriptor_valid),
            Assert(held(m, request, name="o_request"), "a request waits unchanged"),
            Assert(taken[Stream.PARAMS] <= 2, "parameters of two tiles are under way at most"),
            Assert(dut.i_keep_weights | (taken[Stream.INDEX] <= 2), "tiles asked for have a half to go to"),
        ]


class RegisterResponses(Property):
    """The responses of the register file on AXI4-Lite wait unchanged. Ref: IHI 0022 A3.2.1"""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__()
        self._config = config

    def laws(self, m: Module) -> None:
        dut = RegisterFile(self._config)
        self.prove_about(m, dut)
        bus: Any = dut.axi
        m.d.comb += [
            Assert(held_channel(m, bus.bvalid, bus.bready, bus.bresp, name="b"), "B waits unchanged"),
            Assert(held_channel(m, bus.rvalid, bus.rready, Cat(bus.rdata, bus.rresp), name="r"),
                   "R waits unchanged"),
        ]


class ScannerHolds(Property):
    """While the array stands, the scanner's operation stays, and with it the block behind it."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__()
        self._config = config

    def laws(self, m: Module) -> None:
        dut: Any = ActivityScanner(self._config)
        self.prove_about(m, dut)
        stood, busy = past(m, ~dut.i_enable, name="stood"), past(m, dut.o_busy, name="busy")
        m.d.comb += [
            Assert(held_channel(m, dut.o_valid, dut.i_enable, dut.o, name="o"), "an operation waits unchanged"),
            Assert(~stood | (busy == dut.o_busy), "nothing comes or goes while the array stands"),
            Assert(dut.i_enable | ~(dut.i.ready | dut.o_issue), "nothing is taken or issued while the array stands"),
        ]


class SumsHold(Property):
    """Finished sums stay until they are taken, if the array stands while they wait."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__()
        self._config = config

    def laws(self, m: Module) -> None:
        dut: Any = PEArray(self._config)
        self.prove_about(m, dut)
        m.d.comb += [
            Assume(~(dut.o_stall & dut.i_enable)),
            Assert(held_channel(m, dut.o_valid, ~dut.o_stall, dut.o, name="o"), "sums wait unchanged"),
            Assert(~dut.o_stall | dut.o_valid, "only sums that wait stop the array"),
        ]
