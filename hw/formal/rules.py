"""Laws that many components share: the stream contract, and that a queue neither loses, doubles nor reorders."""

from typing import Any

from amaranth.hdl import Assert, Module, Signal, Value, ValueLike

from s2nn.hw.formal.harness import Property, past


def held(m: Module, stream: Any, *, name: str, withdrawn: ValueLike = 0) -> Value:
    """Whether a stream keeps its contract in this cycle: what waited in the cycle before, waits unchanged.

    Parameters
    ----------
    withdrawn : allows the payload of this cycle to be gone in the next.
    """
    return held_channel(m, stream.valid, stream.ready, stream.payload, name=name, withdrawn=withdrawn)


def held_channel(m: Module, valid: Value, ready: Value, payload: ValueLike, *, name: str,
                 withdrawn: ValueLike = 0) -> Value:
    """`held` for a handshake that is not a stream: an AXI channel, or a register behind an enable."""
    waits = past(m, valid & ~ready & ~Value.cast(withdrawn), name=f"{name}_waits")
    before = past(m, Value.cast(payload), name=f"{name}_before")
    return ~waits | (valid & (Value.cast(payload) == before))


class Scoreboard:
    """Follows one element, chosen by the solver among all that enter a queue: it must leave in its turn, unchanged.

    Any element may be the one that is followed, so what holds for it holds for all: none is lost, doubled or
    overtaken.

    Members
    -------
    level : elements inside. inside : the followed one is; ahead : how many leave before it. wanted : its payload.
    """

    def __init__(self, owner: Property, m: Module, *, put: Value, put_payload: ValueLike, get: Value,
                 get_payload: ValueLike, capacity: int) -> None:
        payload, leaving = Value.cast(put_payload), Value.cast(get_payload)
        follow = owner.any_sequence(1, "follow")
        self.level, self.ahead = Signal(range(capacity + 2)), Signal(range(capacity + 2), name="ahead")
        self.inside, chosen = Signal(name="inside"), Signal(name="chosen")
        self.wanted = Signal(payload.shape(), name="wanted")
        m.d.sync += self.level.eq(self.level + put - get)
        with m.If(put & follow & ~chosen):
            m.d.sync += [chosen.eq(1), self.inside.eq(1), self.wanted.eq(payload), self.ahead.eq(self.level - get)]
        leaves = self.inside & get & (self.ahead == 0)
        with m.If(self.inside & get):
            m.d.sync += self.ahead.eq(self.ahead - 1)
        with m.If(leaves):
            m.d.sync += self.inside.eq(0)
        m.d.comb += [
            Assert(~leaves | (leaving == self.wanted), "an element leaves as it came"),
            Assert(~get | (self.level != 0), "nothing leaves that has not come"),
            Assert(self.level <= capacity, "no more is inside than there is room for"),
            Assert(~self.inside | (chosen & (self.ahead < self.level)), "what came before leaves before"),
        ]
