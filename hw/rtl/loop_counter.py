"""One loop of a nest: a counter, and a register that says that it is at its last value."""

from dataclasses import dataclass

from amaranth import Module, Mux, Signal
from amaranth.hdl import Value


@dataclass(frozen=True)
class LoopCounter:
    """count : 0 .. limit - 1. at_last : a register, count is limit - 1. at_last_next : what it becomes, if anything."""

    count: Signal
    at_last: Signal
    at_last_next: Signal


def count_loop(m: Module, name: str, width: int, limit: Value, *, advances: Value, settles: Value,
               moves: Value | int = 1) -> LoopCounter:
    """A counter that `advances`, round and round; no comparison lies between its state and what follows from it.

    Parameters
    ----------
    limit : how many values it takes, at least one; may change only while it does not advance. What the count is
        compared with is registered too: two cycles with `settles` must pass between a change and the first advance.
    moves : without it the counter does not advance, late though it may come: it leads to enables alone. Never with
        `settles`.
    """
    count, at_last, at_last_next = (Signal(width, name=name), Signal(name=f"{name}_at_last", reset_less=True),
                                    Signal(name=f"{name}_at_last_next"))
    last, before_last = (Signal(width, name=f"{name}_{what}", reset_less=True) for what in ("last", "before_last"))
    m.d.sync += [last.eq(limit - 1), before_last.eq(limit - 2)]
    with m.If(moves | settles):
        m.d.sync += at_last.eq(at_last_next)
    with m.If(moves & advances):
        m.d.sync += count.eq(Mux(at_last, 0, count + 1))
    m.d.comb += at_last_next.eq(at_last)
    with m.If(settles):
        m.d.comb += at_last_next.eq(count == last)
    with m.Elif(advances):
        m.d.comb += at_last_next.eq(Mux(at_last, last == 0, count == before_last))
    return LoopCounter(count, at_last, at_last_next)
