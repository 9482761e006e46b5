"""The engine's C++ core (`core/`) seen from Python: its structures, and its functions in a library of its own.

The library holds the bench's AXI memory and the DRAM core, too.
"""

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import POINTER, Structure, c_int64, c_uint8, c_void_p
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim import cpp
from s2nn.hw.sim.activity import Addresses
from s2nn.hw.sim.axi import BusMemory
from s2nn.hw.sim.axi.native import sources as axi_sources
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.descriptor import Opcode
from s2nn.hw.spec.registers import Cause, Stream

#: Block costs of a descriptor: (positions, passes of a chunk and input plane, blocks) active windows, in loop order.
Costs = NDArray[np.uint8]
_Pointer = POINTER(c_uint8)


class ConfigFields(Structure):
    """Field for field `Config` of layer.h."""

    _fields_ = [(name, c_int64) for name in (
        "lanes", "time_lanes", "pixel_chunks", "word_beats", "current_bits", "axi_bytes", "descriptor_beats",
        "params_beats", "logits_beats", "clock_period_ps", "image_address", "descriptor_offset", "input_address",
        "output_address", "scratch_address")]


class LayerFields(Structure):
    """Field for field `Layer` of layer.h."""

    _fields_ = [(name, c_int64) for name in (
        "opcode", "last", "codebook", "image_input", "pool", "pool_sum", "gather", "shared_taps", "residual",
        "symbol_bits", "planes", "steps", "in_height", "in_width", "in_channels", "in_blocks", "in_chunks", "in_planes",
        "groups_y", "groups_x", "out_height", "out_width", "out_chunks", "out_planes", "residual_planes", "tiles",
        "load_membranes", "store_membranes", "resident", "reuse_weights",
        "tile_beats", "codebook_beats", "codebook_offset", "params_offset", "index_offset",
        "keep_current")]

    @classmethod
    def of(cls, descriptor: Mapping[str, int]) -> "LayerFields":
        """The fields of a descriptor."""
        return cls(**{field[0]: descriptor[field[0]] for field in cls._fields_})


class LayerCounters(Structure):
    """Field for field `Counters` of accelerator.h."""

    _fields_ = [
        ("cycles", c_int64 * len(Cause)),
        ("read_bytes", c_int64 * len(Stream)),
        ("read_bursts", c_int64 * len(Stream)),
        *((name, c_int64) for name in ("write_bytes", "write_bursts", "active_windows", "silent_blocks",
                                       "slice_writes", "word_writes", "updates")),
    ]

    def as_dict(self, opcode: int) -> dict[str, int]:
        """By the names of `registers.COUNTERS`, of a descriptor; those that no cycle decides are not among them."""
        counters = {"cycles.total": sum(self.cycles)}
        written = "map" if opcode == Opcode.STORE_MAP else "logits"
        counters |= {f"cycles.{cause.name.lower()}": self.cycles[cause] for cause in Cause}
        for stream in Stream:
            counters[f"dram.{stream.name.lower()}_read_bytes"] = self.read_bytes[stream]
            counters[f"dram.{stream.name.lower()}_read_bursts"] = self.read_bursts[stream]
        return counters | {
            "dram.logits_write_bytes": 0, "dram.logits_write_bursts": 0, "dram.map_write_bytes": 0,
            "dram.map_write_bursts": 0, f"dram.{written}_write_bytes": self.write_bytes,
            f"dram.{written}_write_bursts": self.write_bursts,
            "array.active_windows": self.active_windows, "array.silent_blocks": self.silent_blocks,
            "weight_buffer.slice_writes": self.slice_writes, "spike_buffer.word_writes": self.word_writes,
            "neuron.updates": self.updates}


class Track(IntEnum):
    """Values of `Track` of timeline.h."""

    LAYER = 0
    ARRAY = 1
    NEURONS = 2
    READ = 3
    WRITE = 4
    MEMORY = 5


class Span(NamedTuple):
    """Field for field `Span` of timeline.h; times in clock edges."""

    track: Track
    layer: int
    detail: int
    start: int
    end: int


class Core:
    """The C++ `Accelerator` in front of a memory. Time is clock edges from the first one of a reset.

    descriptor_offset : of the first descriptor in the image. record_trace : keep `spans`.
    """

    def __init__(self, config: AcceleratorConfig, descriptors: Sequence[Mapping[str, int]], memory: BusMemory, *,
                 addresses: Addresses, descriptor_offset: int, record_trace: bool):
        fields = ConfigFields(
            lanes=config.lanes, time_lanes=config.time_lanes, pixel_chunks=config.pixel_chunks,
            word_beats=config.spilled_word_bytes // config.axi_bytes, current_bits=config.current_bits,
            axi_bytes=config.axi_bytes, descriptor_beats=config.descriptor_beats, params_beats=config.params_beats,
            logits_beats=config.logits_beats, clock_period_ps=config.clock_period_ps, image_address=addresses.image,
            descriptor_offset=descriptor_offset, input_address=addresses.input, output_address=addresses.output,
            scratch_address=addresses.scratch)
        layers = (LayerFields * len(descriptors))(*map(LayerFields.of, descriptors))
        self._memory, self._num_layers, self._library = memory, len(layers), library()
        self._handle = c_void_p(self._library.s2nn_engine_create(ctypes.byref(fields), len(layers), layers,
                                                                 memory.handle))
        if record_trace:
            self._library.s2nn_engine_record(self._handle)

    def __del__(self):
        if hasattr(self, "_handle"):
            self._library.s2nn_engine_destroy(self._handle)

    @property
    def edges(self) -> int:
        """Clock edges so far."""
        return self._library.s2nn_engine_edges(self._handle)

    @property
    def skipped(self) -> int:
        """Cycles so far that were not simulated one by one."""
        return self._library.s2nn_engine_skipped(self._handle)

    def spans(self, first: int = 0) -> list[Span]:
        """What ran when, from span number `first` on."""
        count = self._library.s2nn_engine_num_spans(self._handle) - first
        values = np.empty((count, len(Span._fields)), dtype=np.int64)
        self._library.s2nn_engine_spans(self._handle, first, values.ctypes.data_as(POINTER(c_int64)))
        return [Span(Track(track), *rest) for track, *rest in values.tolist()]

    def reset(self, edges: int) -> None:
        """Hold the reset."""
        self._library.s2nn_engine_reset(self._handle, edges)

    def idle(self, edges: int) -> None:
        """Let time pass without a run."""
        self._library.s2nn_engine_idle(self._handle, edges)

    def run(self, costs: Sequence[Costs], *, keep_weights: bool, timeout_cycles: int,
            skips: bool) -> list[LayerCounters] | None:
        """From the cycle of the sequencer's START to that of DONE: counters by descriptor; None past the timeout.

        keep_weights : the weights of resident layers are in the buffer.
        """
        pointers = (_Pointer * self._num_layers)(*(array.ctypes.data_as(_Pointer) for array in costs))
        counters = (LayerCounters * self._num_layers)()
        if not self._library.s2nn_engine_run(self._handle, pointers, keep_weights, timeout_cycles, skips, counters):
            return None
        return list(counters)


@cache
def library() -> ctypes.CDLL:
    """The compiled library, with the types of the engine's functions. ToolError without a C++ compiler."""
    sources = [*cpp.core_files("s2nn.hw.sim.engine"), *axi_sources()]
    loaded = ctypes.CDLL(str(cpp.build_library("engine", sources, title="the cycle engine")))
    handle, number = c_void_p, c_int64
    signatures = {
        "create": (handle, [POINTER(ConfigFields), number, POINTER(LayerFields), c_void_p]),
        "destroy": (None, [handle]),
        "reset": (None, [handle, number]),
        "idle": (None, [handle, number]),
        "run": (number, [handle, POINTER(_Pointer), number, number, number, POINTER(LayerCounters)]),
        "record": (None, [handle]),
        "num_spans": (number, [handle]),
        "spans": (None, [handle, number, POINTER(c_int64)]),
        "edges": (number, [handle]),
        "skipped": (number, [handle]),
    }
    return cpp.declare(loaded, "s2nn_engine_", signatures)
