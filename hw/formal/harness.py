"""What every property is built from: a component whose inputs are free, and things that a solver may choose."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Elaboratable, Fragment, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import wiring

from s2nn.hw.formal.inside import PLATFORM, Inside

TOP = "property"
DUT = "dut"


class Property(Elaboratable, ABC):
    """A component under proof, its surroundings and its laws, as the top of one formal run.

    A subclass writes `laws`: it brings in its component with `prove_about`, narrows the surroundings with `Assume` and
    states what must hold with `Assert`. Registers start at their initial values; there is no further reset.
    """

    def __init__(self) -> None:
        self._domain = ClockDomain("sync", reset_less=True)
        self._free: list[Value] = [self._domain.clk]

    @abstractmethod
    def laws(self, m: Module) -> None:
        """Adds component, assumptions and assertions."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains += self._domain
        self.laws(m)
        return m

    def prove_about(self, m: Module, component: wiring.Component, *, driven: Iterable[object] = (),
                    name: str = DUT) -> Inside:
        """Makes the component a part of the top. Its inputs take any value in any cycle, but for those in `driven`,
        which `laws` must drive. Returns the way to its registers and memories."""
        kept = {id(Value.cast(value)) for value in driven}  # type: ignore[arg-type]
        for _, member, value in component.signature.flatten(component):
            if member.flow is wiring.In and id(Value.cast(value)) not in kept:
                self._free.append(Value.cast(value))
        inside = Inside(component)
        m.submodules[name] = inside.fragment
        return inside

    def any_sequence(self, shape: ShapeLike, name: str) -> Signal:
        """A signal that takes any value in any cycle."""
        chosen = Signal(shape, name=name)
        self._free.append(Value.cast(chosen))
        return chosen

    def any_constant(self, m: Module, shape: ShapeLike, name: str) -> Signal:
        """A signal that takes any value, the same in all cycles."""
        free, held, first = self.any_sequence(shape, f"{name}_free"), Signal(shape, name=f"{name}_held"), Signal(init=1)
        chosen = Signal(shape, name=name)
        m.d.sync += [first.eq(0), held.eq(chosen)]
        m.d.comb += chosen.eq(Mux(first, free, held))
        return chosen

    def to_rtlil(self) -> str:
        """The whole as RTLIL; the library's queues add their own invariants on this platform."""
        fragment = Fragment.get(self, PLATFORM)
        return rtlil.convert(fragment, name=TOP, ports=self._free, platform=PLATFORM)


def past(m: Module, value: Value, *, name: str, init: int = 0) -> Signal:
    """The value in the cycle before."""
    before = Signal.like(Value.cast(value), name=name, init=init)
    m.d.sync += before.eq(value)
    return before
