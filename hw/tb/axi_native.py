"""The AXI memory in a Verilator simulation: what is compiled into one, and the functions in a process that has it."""

import ctypes
from importlib.resources import files
from pathlib import Path

from s2nn.hw.sim.axi import native


def verilog_source() -> Path:
    """The module `axi_memory`."""
    return Path(str(files("s2nn.hw.tb"))) / "axi_memory.sv"


def cpp_sources() -> list[Path]:
    """What a simulator with that module has to link in: DPI functions, memory and DRAM core, with their headers."""
    return [Path(str(files("s2nn.hw.tb"))) / "axi_dpi.cpp", *native.sources()]


def linked_library() -> ctypes.CDLL:
    """This process, with the types of the memory's functions; SimulationError if it is no such simulator."""
    return native.typed(ctypes.CDLL(None))
