"""The ports of one AXI interface of a design: reads, and writes that reach the simulator only when a value changes."""

from collections.abc import Callable
from typing import Any

from s2nn.hw.spec.errors import SimulationError


def bit_reader(handle: Any) -> Callable[[], str]:
    """What `handle.value` asks the simulator for, without a Logic object around the answer ("0", "1", "x", ...).

    Several bits are read in every busy cycle; this is five times as fast. The attribute is private to cocotb 2.1.
    """
    return handle._handle.get_signal_val_binstr


class AxiSignals:
    """Handles by AXI name (`araddr`); `driven` holds the last value written to each."""

    _OPTIONAL = ("arid", "rid", "awid", "bid")
    _REQUIRED = (
        "araddr arlen arsize arburst arvalid arready rdata rresp rlast rvalid rready "
        "awaddr awlen awsize awburst awvalid awready wdata wstrb wlast wvalid wready bresp bvalid bready"
    ).split()
    _ONE_BIT = ("arvalid", "rready", "awvalid", "wvalid", "bready")

    def __init__(self, dut: Any, prefix: str):
        self.driven: dict[str, int] = {}
        self._handles: dict[str, Any] = {}
        for name in (*self._REQUIRED, *self._OPTIONAL):
            handle = getattr(dut, f"{prefix}_{name}", None)
            if handle is not None:
                self._handles[name] = handle
            elif name in self._REQUIRED:
                raise SimulationError("an AXI master must have every port of AXI4", value=f"{prefix}_{name} absent")
        self._read_bit = {name: bit_reader(self._handles[name]) for name in self._ONE_BIT}

    def __getitem__(self, name: str) -> Any:
        return self._handles[name]

    def high(self, name: str) -> bool:
        """Whether a one-bit signal is 1."""
        return self._read_bit[name]() == "1"

    def number(self, name: str) -> int:
        """Value of a signal; 0 for an optional one that the design does not have."""
        return int(self._handles[name].value) if name in self._handles else 0

    def drive(self, name: str, value: int):
        """Write a signal, if that changes it and the design has it."""
        if self.driven.get(name) != value and name in self._handles:
            self.driven[name] = value
            self._handles[name].value = value
