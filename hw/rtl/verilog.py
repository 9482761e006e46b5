"""Writes an accelerator as Verilog, with a JSON side file that names its ports, counters and configuration."""

import re
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth import Shape
from amaranth.back import verilog
from amaranth.lib.wiring import Flow

from s2nn.hw.rtl.accelerator import Accelerator
from s2nn.hw.rtl.pe_array import PEArray, Variant
from s2nn.hw.rtl.spike_writer import probe_layout
from s2nn.hw.spec.atomic import write_json_atomic, write_text_atomic
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.registers import COUNTERS, OFFSET

TOP = "accelerator"
PE_TOP = "pe_array"

# A memory that starts as zeros, written out word by word.
_ZERO_MEMORY = re.compile(r"^  initial begin\n((?:    (\w+)\[\d+\] = \d+'h0+;\n)+)  end\n", re.MULTILINE)

# The loop that `_shorten` makes of it.
_CLEARING = re.compile(r"^  integer (\w+)_word;\n  initial for \(\1_word = 0; .*\n", re.MULTILINE)


def side_file(config: AcceleratorConfig, accelerator: Accelerator) -> dict[str, Any]:
    """What a bench or a synthesis flow needs to know about the Verilog without reading it.

    Keys: top, clock, reset, ports [{name, direction, width}], config, config_digest, registers {name: byte offset},
    counters [name], probe {field: [lowest bit, width]}, generator.
    """
    ports = [{"name": "clk", "direction": "input", "width": 1}, {"name": "rst", "direction": "input", "width": 1}]
    for name, member in accelerator.signature.members.items():
        direction = "output" if member.flow is Flow.Out else "input"
        ports.append({"name": name, "direction": direction, "width": _width(member.shape)})
    probe = {name: [field.offset, field.width] for name, field in probe_layout(config)}
    return {"top": TOP, "clock": "clk", "reset": "rst", "ports": ports, "config": config.to_json(),
            "config_digest": config.digest.hex(), "registers": OFFSET, "counters": list(COUNTERS), "probe": probe,
            "generator": f"amaranth {version('amaranth')}"}


def _width(shape: Any) -> int:
    return Shape.cast(shape).width


def _shorten(text: str) -> str:
    """Zeroed memories as loops: the same contents in a line each, which halves the text and the simulator's build."""
    def loop(match: re.Match[str]) -> str:
        name, words = match[2], match[1].count("\n")
        return (f"  integer {name}_word;\n  initial for ({name}_word = 0; {name}_word < {words}; "
                f"{name}_word = {name}_word + 1) {name}[{name}_word] = 0;\n")
    return _ZERO_MEMORY.sub(loop, text)


@cache
def convert(config: AcceleratorConfig) -> tuple[str, dict[str, Any]]:
    """Verilog and side file of an accelerator; elaborated once per process and configuration."""
    accelerator = Accelerator(config)
    text = _shorten(verilog.convert(accelerator, name=TOP, strip_internal_attrs=True))
    return text, side_file(config, accelerator)


def write_verilog(config: AcceleratorConfig, folder: Path, *, clear_memories: bool = True) -> tuple[Path, Path]:
    """Write accelerator.v and accelerator.json into the folder; returns their paths. Old ones are replaced whole.

    clear_memories : False leaves out that memories start as zeros, which no part relies on: for yosys, which
        unrolls the loops word by word and so takes almost twice as long.
    """
    text, side = convert(config)
    if not clear_memories:
        text = _CLEARING.sub("", text)
    paths = folder / f"{TOP}.v", folder / f"{TOP}.json"
    write_text_atomic(paths[0], text)
    write_json_atomic(paths[1], side)
    return paths


def write_pe_array(config: AcceleratorConfig, variant: Variant, folder: Path) -> Path:
    """Write pe_array.v, the PE array alone, into the folder; returns its path."""
    path = folder / f"{PE_TOP}.v"
    text = verilog.convert(PEArray(config, variant=variant), name=PE_TOP, strip_internal_attrs=True)
    write_text_atomic(path, _shorten(text))
    return path
