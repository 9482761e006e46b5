"""The AXI memory's C++ seen from Python: its sources, its structures, and its functions in a library that holds it."""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_int64, c_uint8, c_uint64, c_void_p
from pathlib import Path

from s2nn.hw.sim import cpp
from s2nn.hw.sim.dram.native import AddressFields
from s2nn.hw.sim.dram.native import sources as dram_sources
from s2nn.hw.spec.errors import SimulationError


def sources() -> list[Path]:
    """The memory and the DRAM core, with their headers."""
    return [*cpp.core_files("s2nn.hw.sim.axi"), *dram_sources()]


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


def typed(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library, with the types of the functions of axi_api.cpp; SimulationError if it lacks them."""
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
    try:
        return cpp.declare(library, "s2nn_axi_", signatures)
    except AttributeError as error:
        raise SimulationError("an AXI memory must live in a process that has its C++ linked in",
                              value=f"{error.name} absent") from None


def c_numbers(values: Sequence[int]) -> "ctypes.Array[c_int64]":
    """An array for a function that takes `const int64_t*`."""
    return (c_int64 * len(values))(*values)
