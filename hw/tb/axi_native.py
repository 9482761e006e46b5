"""The AXI memory's C++ seen from Python: its sources, and its functions in the simulator that has it linked in."""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_int64, c_uint8, c_uint64, c_void_p
from importlib.resources import files
from pathlib import Path

from s2nn.hw.sim.dram.native import SOURCES as CORE_SOURCES
from s2nn.hw.sim.dram.native import AddressFields
from s2nn.hw.spec.errors import SimulationError

_SOURCES = ("axi_api.cpp", "axi_columns.h", "axi_dpi.cpp", "axi_memory.cpp", "axi_memory.h", "axi_rules.cpp",
            "axi_rules.h", "axi_stalls.h", "axi_traffic.h")


def verilog_source() -> Path:
    """The module `axi_memory`."""
    return Path(str(files("s2nn.hw.tb"))) / "axi_memory.sv"


def cpp_sources() -> list[Path]:
    """What a simulator with that module has to link in: the memory and the DRAM core, with their headers."""
    bench, core = Path(str(files("s2nn.hw.tb"))), Path(str(files("s2nn.hw.sim.dram"))) / "core"
    return [*(bench / name for name in _SOURCES), *(core / name for name in CORE_SOURCES)]


class Parameters(Structure):
    """Field for field `Parameters` of axi_memory.h."""

    _fields_ = [(name, c_int64) for name in (
        "data_bits", "size_bytes", "base_address", "clock_period_ps", "latency_ps", "queue_depth")]


class FaultFields(Structure):
    """Field for field `Fault` of axi_memory.h."""

    _fields_ = [(name, c_int64) for name in ("start", "end", "response")]


class Traffic(Structure):
    """Field for field `Traffic` of axi_traffic.h."""

    _fields_ = [(name, c_int64) for name in (
        "read_bursts", "read_bytes", "write_bursts", "write_bytes", "strobed_bytes")]

    def as_dict(self) -> dict[str, int]:
        """The counters for JSON."""
        return {field[0]: getattr(self, field[0]) for field in self._fields_}


def linked_library() -> ctypes.CDLL:
    """This process, with the types of the functions of axi_api.cpp; SimulationError if it is no such simulator."""
    library = ctypes.CDLL(None)
    memory, number, numbers = c_void_p, c_int64, POINTER(c_int64)
    create = [POINTER(Parameters), POINTER(c_uint8)]
    signatures = {
        "create_dram": (memory, [*create, c_void_p, POINTER(AddressFields), number]),
        "create_fixed": (memory, [*create, number]),
        "attach": (None, [memory]),
        "destroy": (None, [memory]),
        "set_regions": (None, [memory, number, numbers, numbers]),
        "set_faults": (None, [memory, number, POINTER(FaultFields)]),
        "stall_at_random": (None, [memory, number, c_uint64, c_uint64]),
        "stall_as_listed": (None, [memory, number, number, POINTER(c_uint8)]),
        "traffic": (None, [memory, POINTER(Traffic)]),
        "origin_ps": (number, [memory]),
        "broken_rule": (c_char_p, [memory]),
        "broken_value": (c_char_p, [memory]),
        "broken_field": (c_char_p, [memory]),
    }
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(library, f"s2nn_axi_{name}")
        except AttributeError:
            raise SimulationError("an AxiMemory must live in a simulator that was built with axi_native.cpp_sources()",
                                  value=f"s2nn_axi_{name} absent") from None
        function.restype, function.argtypes = result, arguments
    return library


def c_numbers(values: Sequence[int]) -> "ctypes.Array[c_int64]":
    """An array for a function that takes `const int64_t*`."""
    return (c_int64 * len(values))(*values)
