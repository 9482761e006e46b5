"""The AXI4-Lite register map, error codes and performance counters; names are the same in RTL, simulators and plots."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Literal

#: Read from the identity register: "S2NN" as a little-endian word.
IDENTITY = int.from_bytes(b"S2NN", "little")
#: Version of registers, descriptors and memory image; raised by every change of one of them.
VERSION = 4


class Control(IntFlag):
    """Bits of the control register."""

    #: Write 1 to start; ignored while busy.
    START = 1
    INTERRUPT_ENABLE = 2
    #: The resident weights of this image are in the buffer, from an earlier run: do not read them again.
    KEEP_WEIGHTS = 4


class Status(IntFlag):
    """Bits of the status register."""

    BUSY = 1
    #: Write 1 to clear it, and the interrupt with it.
    DONE = 2
    ERROR = 4


class ErrorCode(IntEnum):
    """Why a run stopped. The first error of a run is kept."""

    NONE = 0
    #: A descriptor with an opcode that does not exist.
    OPCODE = 1
    #: A descriptor that asks for something this configuration cannot do.
    UNSUPPORTED = 2
    #: The memory answered a read with SLVERR or DECERR.
    READ_RESPONSE = 3
    #: The memory answered a write with SLVERR or DECERR.
    WRITE_RESPONSE = 4


class Stream(IntEnum):
    """What a DMA read is for. Traffic is counted by stream."""

    DESCRIPTOR = 0
    CODEBOOK = 1
    PARAMS = 2
    INDEX = 3
    INPUT = 4
    #: Maps that were spilled to the scratch region.
    MAP = 5


class Cause(IntEnum):
    """What a cycle of a run was spent on: exactly one of these, so that they add up to the total."""

    #: The PE array took an active window.
    COMPUTE = 0
    #: The PE array took a channel block without a spike (one cycle, no add).
    SILENT = 1
    #: Waiting for weights or their parameters.
    WAIT_INDEX = 2
    #: Waiting for windows: filling the pipeline from the spike buffer.
    WAIT_SPIKE = 3
    #: The neuron unit could not take the finished accumulators yet.
    NEURON = 4
    #: Loading the input, or a map.
    WAIT_INPUT = 5
    #: Writing logits, or a map.
    WAIT_WRITE = 6
    #: The end of a layer: pipeline and neuron unit run empty.
    DRAIN = 7
    #: Fetching and starting a layer.
    SEQUENCE = 8


def _counter_names() -> tuple[str, ...]:
    names = ["cycles.total"]
    names += [f"cycles.{cause.name.lower()}" for cause in Cause]
    names += [f"dram.{stream.name.lower()}_read_bytes" for stream in Stream]
    names += [f"dram.{stream.name.lower()}_read_bursts" for stream in Stream]
    names += [f"dram.{what}_write_{unit}" for what in ("logits", "map") for unit in ("bytes", "bursts")]
    names += ["array.active_windows", "array.silent_blocks", "array.adds"]
    names += ["weight_buffer.slice_reads", "weight_buffer.slice_writes"]
    names += ["spike_buffer.word_reads", "spike_buffer.word_writes"]
    names += ["membrane_buffer.word_reads", "membrane_buffer.word_writes"]
    names += ["neuron.updates", "neuron.spikes"]
    return tuple(names)


#: Performance counters in the order of their registers, 32 bits each, cleared by a start.
#: dram.*_bytes/bursts: as requested on AXI. array.active_windows: windows with a spike taken by the array (all lanes).
#: array.silent_blocks: channel blocks without a spike. array.adds: (active window, lane, time lane with
#: a spike) triples.
#: weight_buffer.slice_reads/writes: bank accesses of `lanes` bits; a symbol takes as many slices as it has bits.
#: spike_buffer.word_reads/writes: bank accesses of lanes*time_lanes bits: of windows the banks whose tap lies on the
#: map and in the kernel, gathered words and residuals one each; input planes are written, too.
#: membrane_buffer.word_reads/writes: of lanes*membrane_bits bits each.
#: neuron.updates: (lane, time step) membrane updates. neuron.spikes: spikes fired, before pooling.
COUNTERS = _counter_names()


@dataclass(frozen=True)
class Register:
    """One 32-bit register."""

    name: str
    offset: int
    access: Literal["r", "rw"]
    doc: str


def _register_map() -> tuple[Register, ...]:
    fixed: list[tuple[str, Literal["r", "rw"], str]] = [
        ("identity", "r", "IDENTITY"),
        ("version", "r", "VERSION"),
        ("config_digest_low", "r", "bytes 0..3 of AcceleratorConfig.digest, little-endian"),
        ("config_digest_high", "r", "bytes 4..7 of AcceleratorConfig.digest"),
        ("control", "rw", "bits of Control"),
        ("status", "rw", "bits of Status"),
        ("error", "r", "ErrorCode of the last run"),
        ("image_address", "rw", "byte address of the memory image, aligned to 64"),
        ("descriptor_offset", "rw", "byte offset of the first descriptor in the image"),
        ("input_address", "rw", "byte address of the input, aligned to 64"),
        ("output_address", "rw", "byte address that logits are written to, aligned to 64"),
        ("scratch_address", "rw", "byte address of the region that maps are spilled to, aligned to 64"),
        ("layer", "r", "number of the descriptor that runs, or ran last; 0 loads the input"),
    ]
    registers = [Register(name, 4 * index, access, doc) for index, (name, access, doc) in enumerate(fixed)]
    counters = [Register(name, COUNTER_BASE + 4 * index, "r", "performance counter")
                for index, name in enumerate(COUNTERS)]
    return tuple(registers + counters)


#: Byte offset of the first counter.
COUNTER_BASE = 0x100
REGISTERS = _register_map()
#: Byte offset by register name.
OFFSET = {register.name: register.offset for register in REGISTERS}
#: Bits of the AXI4-Lite address.
ADDRESS_BITS = 9
