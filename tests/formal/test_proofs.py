"""The proofs that take seconds hold, and every kind of law can fail: damaged components are refuted."""

from dataclasses import replace
from typing import Any

import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from s2nn.hw.formal.catalogue import PROOFS, SMALLEST, Proof
from s2nn.hw.formal.harness import Property, past
from s2nn.hw.formal.inside import Inside
from s2nn.hw.formal.rules import Scoreboard, held
from s2nn.hw.formal.streams import StreamContract
from s2nn.hw.rtl.neuron import NeuronArray
from s2nn.hw.rtl.skid_buffer import SkidBuffer
from s2nn.hw.spec.errors import ProofError
from s2nn.tools.formal import choose, prove, try_mutants

pytestmark = pytest.mark.formal
FAST = [pytest.param(proof, id=proof.name) for proof in PROOFS if proof.fast]


@pytest.mark.parametrize("proof", FAST)
def test_law_holds(proof: Proof, tmp_path) -> None:
    verdict = prove(proof, build_dir=tmp_path, timeout_s=300)
    assert verdict.holds, f"{verdict.outcome}: {', '.join(verdict.failures)}"
    assert verdict.outcome == {"prove": "proved", "bmc": "bounded"}[proof.mode]


class Careless(wiring.Component):
    """A register between two streams with one fault."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, fault: str) -> None:
        self._fault = fault
        super().__init__({"i": In(stream.Signature(4)), "o": Out(stream.Signature(4))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        takes = ~self.o.valid | (self.o.ready if self._fault != "drops" else 1)
        m.d.comb += self.i.ready.eq(takes)
        with m.If(takes):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        if self._fault == "withdraws":
            m.d.sync += self.o.valid.eq(self.i.valid & takes)
        if self._fault == "doubles":
            again = Signal()
            m.d.sync += again.eq(self.o.valid & self.o.ready & ~again)
            with m.If(self.o.valid & self.o.ready & ~again):
                m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(self.o.payload)]
        return m


class CarelessProperty(Property):
    def __init__(self, *, fault: str) -> None:
        super().__init__()
        self._fault = fault

    def laws(self, m: Module) -> None:
        dut: Any = Careless(fault=self._fault)
        self.prove_about(m, dut)
        m.d.comb += Assert(held(m, dut.o, name="o"))
        Scoreboard(self, m, put=dut.i.valid & dut.i.ready, put_payload=dut.i.payload, capacity=1,
                   get=dut.o.valid & dut.o.ready, get_payload=dut.o.payload)


def careless(fault: str) -> Proof:
    return Proof(name=f"careless.{fault}", law="", config="", mode="bmc", depth=6,
                 build=lambda: CarelessProperty(fault=fault))


@pytest.mark.parametrize("fault", ["none", "drops", "withdraws", "doubles"])
def test_stream_contract_and_order_find_each_fault(fault: str, tmp_path) -> None:
    verdict = prove(careless(fault), build_dir=tmp_path)
    assert verdict.outcome == ("bounded" if fault == "none" else "refuted"), verdict.failures
    assert bool(verdict.failures) == (fault != "none")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "damages", "refuted"), [
    ("skid_buffer.order", 4, 1), ("params.queue.order", 4, 1), ("spike_writer.order", 4, 1),
    ("write_dma.32-bit.axi", 12, 3), ("decode_then_popcount.counts", 4, 1), ("sequencer.run_ends", 4, 1),
    ("sequencer.error_ends", 12, 1)])
def test_damaged_components_are_refuted(name: str, damages: int, refuted: int, tmp_path) -> None:
    # Some damages have no effect, or one that this law does not speak of; none refuted would mean an empty proof.
    (proof,) = choose([name])
    score = try_mutants(proof, damages, seed=1, build_dir=tmp_path)
    assert score.tried == damages and score.refuted >= refuted, score.survivors


def test_logits_do_wait_within_the_bound(tmp_path) -> None:
    # The law about them is bounded, and few damages of the neurons touch it: see that it speaks of something.
    def never(m: Module, dut: Any, inside: Inside) -> None:
        m.d.comb += Assert(~(dut.o_logits.valid & ~dut.o_logits.ready))

    (bounded,) = choose(["neuron.logits.stream"])
    waits = replace(bounded, build=lambda: StreamContract(lambda: NeuronArray(SMALLEST), outputs=["o_logits"],
                                                          settled=["i_descriptor"], addition=never))
    assert prove(waits, build_dir=tmp_path).outcome == "refuted"


class Unsteady(Property):
    """A law that holds from reset, and that induction alone does not see."""

    def laws(self, m: Module) -> None:
        count, before = Signal(4), Signal(4)
        with m.If(count < 3):
            m.d.sync += count.eq(count + 1)
        m.d.comb += [before.eq(past(m, count, name="count_before")), Assert(count != 9)]
        with m.If(count > 5):
            m.d.sync += count.eq(count + 1)


def test_what_induction_leaves_open_is_no_proof(tmp_path) -> None:
    proof = Proof(name="unsteady", law="", config="", depth=2, build=Unsteady)
    verdict = prove(proof, build_dir=tmp_path)
    assert verdict.outcome == "open" and not verdict.holds
    assert prove(replace(proof, mode="bmc", depth=12), build_dir=tmp_path).outcome == "bounded"


def test_a_name_that_a_component_lacks_is_refused() -> None:
    inside = Inside(SkidBuffer(4))
    assert inside.signal("full").name == "full"
    with pytest.raises(LookupError, match="no signal 'ful' among"):
        inside.signal("ful")
    with pytest.raises(LookupError, match="no submodule 'queue'"):
        inside.part("queue")


def test_an_unknown_proof_is_refused() -> None:
    with pytest.raises(ProofError, match=r"must be one of .*skid_buffer\.order"):
        choose(["skid_bufer.order"])
    assert all(proof.fast for proof in choose([], fast=True)) and len(choose([])) == len(PROOFS)


def test_names_are_unique() -> None:
    assert len({proof.name for proof in PROOFS}) == len(PROOFS)
