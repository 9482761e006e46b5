"""The C++ core (`core/`): compiled on first use, called through ctypes.

A library that has the core linked in (a simulator's, the engine's) can be handed over instead.
"""

import ctypes
from ctypes import POINTER, Structure, c_int64, c_uint8, c_void_p
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim import cpp
from s2nn.hw.sim.dram.address import AddressMap, Locations
from s2nn.hw.sim.dram.config import ControllerConfig
from s2nn.hw.sim.dram.engine import BankCounters, Counters, State
from s2nn.hw.sim.dram.standard import Command, DramStandard, Level
from s2nn.hw.sim.dram.stats import CommandRecord

_NAMES = [command.name for command in Command]
_LEVELS = (Level.BANK, Level.BANK_GROUP, Level.RANK)
_RECORD_FIELDS = 5


class _Parameters(Structure):
    """Field for field `Parameters` of controller.h."""

    _fields_ = [(name, c_int64) for name in (
        "num_banks", "num_bank_groups", "read_latency", "write_latency", "n_bl", "n_rfc", "n_refi", "read_queue_depth",
        "write_queue_depth", "write_high_watermark", "write_low_watermark", "row_hit_cap", "page_limit", "postponable",
        "power_down_limit", "self_refresh_limit", "record_trace")]


class _Counters(Structure):
    """Field for field `Counters` of controller.h."""

    _fields_ = [
        ("commands", c_int64 * len(Command)),
        ("outcomes", c_int64 * 3),
        ("state_cycles", c_int64 * len(State)),
        ("read_latency_min", c_int64),
        ("read_latency_max", c_int64),
        ("read_latency_sum", c_int64),
        ("last_column_command_cycle", c_int64),
        ("finish_cycle", c_int64),
    ]


class _BankCounters(Structure):
    """Field for field `BankCounters` of controller.h."""

    _fields_ = [("commands", c_int64 * len(Command)), ("outcomes", c_int64 * 3)]


class AddressFields(Structure):
    """Field for field `AddressMap` of address.h."""

    _fields_ = [(name, c_int64) for name in (
        *(f"{field}_{part}" for field in ("group", "bank", "column", "row") for part in ("shift", "mask")), "bank_bits",
        "column_bits", "xor_mask", "burst_bytes")]

    @classmethod
    def of(cls, address_map: AddressMap) -> "AddressFields":
        """The fields of a map."""
        places = {f"{field}_{part}": value for field, place in address_map.places.items()
                  for part, value in zip(("shift", "mask"), place, strict=True)}
        return cls(**places, bank_bits=address_map.bank_bits, column_bits=address_map.column_bits,
                   xor_mask=address_map.xor_mask, burst_bytes=address_map.burst_bytes)


class Core:
    """Controller and device of one channel in C++; see `engine.Engine` for its interface.

    library : one that has the core linked in; None compiles the core alone.
    """

    def __init__(self, standard: DramStandard, config: ControllerConfig, *, record_trace: bool,
                 library: ctypes.CDLL | None = None):
        organisation, timing = standard.organisation, standard.timing
        parameters = _Parameters(
            num_banks=organisation.num_banks,
            num_bank_groups=organisation.num_bank_groups,
            read_latency=timing.read_latency,
            write_latency=timing.write_latency,
            n_bl=timing.n_bl,
            n_rfc=timing.n_rfc,
            n_refi=timing.n_refi,
            read_queue_depth=config.read_queue_depth,
            write_queue_depth=config.write_queue_depth,
            write_high_watermark=config.write_high_watermark,
            write_low_watermark=config.write_low_watermark,
            row_hit_cap=config.row_hit_cap,
            page_limit=config.page_limit_cycles,
            postponable=config.max_postponed_refreshes * timing.n_refi,
            power_down_limit=config.power_down_limit_cycles,
            self_refresh_limit=config.self_refresh_limit_cycles,
            record_trace=record_trace,
        )
        rows = np.array(
            [
                (_LEVELS.index(row.level), _bits(row.preceding), _bits(row.following), row.latency, row.window)
                for row in standard.constraints
            ],
            dtype=np.int64,
        ).reshape(-1, 5)
        self._num_banks = organisation.num_banks
        self._commands: list[CommandRecord] = []
        self._library = _library() if library is None else _typed(library)
        #: The `Controller` behind this object, for C++ in the same process; this object destroys it.
        self.handle = c_void_p(self._library.s2nn_dram_create(ctypes.byref(parameters), _pointer(rows), len(rows)))

    def __del__(self):
        if hasattr(self, "handle"):
            self._library.s2nn_dram_destroy(self.handle)

    @property
    def now(self) -> int:
        """Every command before this cycle is decided."""
        return self._library.s2nn_dram_now(self.handle)

    @property
    def num_requests(self) -> int:
        """Requests so far."""
        return self._library.s2nn_dram_num_requests(self.handle)

    @property
    def num_pending(self) -> int:
        """Requests without a column command."""
        return self._library.s2nn_dram_num_pending(self.handle)

    def submit(self, arrival: int, bank: int, row: int, column: int, is_write: bool):
        """Append one request."""
        self._library.s2nn_dram_submit(self.handle, arrival, bank, row, column, is_write)

    def submit_all(self, arrivals: NDArray[np.int64], places: Locations, is_write: NDArray[np.bool_]):
        """Append many requests."""
        columns = [np.ascontiguousarray(values, dtype=np.int64) for values in (arrivals, *places)]
        writes = np.ascontiguousarray(is_write, dtype=np.uint8)
        self._library.s2nn_dram_submit_all(
            self.handle, len(writes), *map(_pointer, columns), writes.ctypes.data_as(POINTER(c_uint8))
        )

    def completion(self, ident: int) -> int:
        """Cycle after the request's last data beat, or UNKNOWN."""
        return self._library.s2nn_dram_completion(self.handle, ident)

    def completions(self) -> NDArray[np.int64]:
        """Completion of every request."""
        cycles = np.empty(self.num_requests, dtype=np.int64)
        self._library.s2nn_dram_completions(self.handle, _pointer(cycles))
        return cycles

    def advance(self, cycle: int):
        """Decide every command before `cycle`."""
        self._library.s2nn_dram_advance(self.handle, cycle)

    def drain(self):
        """Serve everything and advance past the last data beat."""
        self._library.s2nn_dram_drain(self.handle)

    def commands(self) -> list[CommandRecord]:
        """Every command so far."""
        first = len(self._commands)
        records = np.empty((self._library.s2nn_dram_num_commands(self.handle) - first, _RECORD_FIELDS), dtype=np.int64)
        self._library.s2nn_dram_commands(self.handle, first, _pointer(records))
        self._commands += [CommandRecord(cycle, _NAMES[command], *rest) for cycle, command, *rest in records.tolist()]
        return self._commands

    def counters(self) -> Counters:
        """Counters of the cycles [0, now)."""
        raw = _Counters()
        self._library.s2nn_dram_counters(self.handle, ctypes.byref(raw))
        lists = {name: list(getattr(raw, name)) for name in ("commands", "outcomes", "state_cycles")}
        scalars = {field[0]: getattr(raw, field[0]) for field in _Counters._fields_ if field[0] not in lists}
        return Counters(**lists, **scalars)

    def bank_counters(self) -> list[BankCounters]:
        """Counters by bank."""
        raw = (_BankCounters * self._num_banks)()
        self._library.s2nn_dram_bank_counters(self.handle, raw)
        return [BankCounters(commands=list(bank.commands), outcomes=list(bank.outcomes)) for bank in raw]


def _bits(commands: tuple[Command, ...]) -> int:
    """A set of commands as a number, bit by value."""
    return sum(1 << command for command in set(commands))


def _pointer(array: NDArray[np.int64]):
    return array.ctypes.data_as(POINTER(c_int64))


# -- the library -------------------------------------------------------------------------------------------------------


@cache
def _library() -> ctypes.CDLL:
    """The compiled library."""
    return _typed(ctypes.CDLL(str(build_library())))


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library, with the types of its functions."""
    handle, number, numbers = c_void_p, c_int64, POINTER(c_int64)
    signatures = {
        "create": (handle, [POINTER(_Parameters), numbers, number]),
        "destroy": (None, [handle]),
        "submit": (None, [handle, *[number] * 5]),
        "submit_all": (None, [handle, number, *[numbers] * 4, POINTER(c_uint8)]),
        "advance": (None, [handle, number]),
        "drain": (None, [handle]),
        "now": (number, [handle]),
        "num_pending": (number, [handle]),
        "num_requests": (number, [handle]),
        "completion": (number, [handle, number]),
        "completions": (None, [handle, numbers]),
        "num_commands": (number, [handle]),
        "commands": (None, [handle, number, numbers]),
        "counters": (None, [handle, POINTER(_Counters)]),
        "bank_counters": (None, [handle, POINTER(_BankCounters)]),
    }
    return cpp.declare(library, "s2nn_dram_", signatures)


def sources() -> list[Path]:
    """The core's files, for whoever links it in."""
    return cpp.core_files("s2nn.hw.sim.dram")


def build_library() -> Path:
    """The compiled core's path; see `cpp.build_library`."""
    return cpp.build_library("dram", sources(), title="the DRAM core", without=", the Python twin (engine 'twin') none")
