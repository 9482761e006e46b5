"""Registers and memories inside a component under proof, by name: invariants that induction needs speak of them."""

from amaranth.hdl import Const, Elaboratable, Fragment, MemoryInstance, Module, Signal, Value
from amaranth.utils import ceil_log2

#: Platform for which `amaranth.lib.fifo` states its invariants.
PLATFORM = "formal"


class Inside:
    """An elaborated component. A name that it does not have is refused, so a renamed register cannot go unnoticed.

    Members
    -------
    fragment : the component, to be made a submodule once.
    """

    def __init__(self, component: Elaboratable) -> None:
        self.fragment = Fragment.get(component, PLATFORM)

    def part(self, *path: str) -> Fragment:
        """The submodule at that path of names."""
        found = self.fragment
        for name in path:
            parts = {part_name: part for part, part_name, _ in found.subfragments}
            if name not in parts:
                raise LookupError(f"no submodule {name!r} in {sorted(filter(None, parts))}")
            found = parts[name]
        return found

    def signal(self, *path: str) -> Signal:
        """The signal that the submodule at path[:-1] drives under the name path[-1]."""
        *parts, name = path
        driven = {signal.name: signal for statements in self.part(*parts).statements.values()
                  for statement in statements for signal in statement._lhs_signals()}
        if name not in driven:
            raise LookupError(f"no signal {name!r} among {sorted(driven)}")
        return driven[name]

    def state_machine(self, *path: str) -> tuple[Signal, dict[str, int]]:
        """State register of the submodule's only FSM, and its values by the name of the state."""
        fsm = self.part(*path).generated["fsm"]
        return fsm.state, fsm.encoding

    def read_data(self, *path: str) -> Value:
        """What the first read port of the memory at that path gives."""
        return self._memory(*path)._read_ports[0]._data

    def word(self, m: Module, *path: str, address: Value) -> Signal:
        """The word at that address of the memory at that path, now: through a read port of its own."""
        memory = self._memory(*path)
        found = Signal(memory._data.shape, name=f"word_of_{path[-1]}")
        at = Signal(ceil_log2(memory._data.depth), name=f"address_in_{path[-1]}")
        m.d.comb += at.eq(address)
        memory.read_port(domain="comb", addr=at, data=found, en=Const(1), transparent_for=())
        return found

    def _memory(self, *path: str) -> MemoryInstance:
        memory = self.part(*path)
        if not isinstance(memory, MemoryInstance):
            raise LookupError(f"{path[-1]!r} must be a memory, not {type(memory).__name__}")
        return memory
