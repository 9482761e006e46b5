"""`s2nn synth`: area and Fmax of the accelerator in both weight formats, at the same lanes, buffers and bus."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s2nn.hw.rtl.verilog import TOP, write_verilog
from s2nn.hw.spec.config import preset
from s2nn.tools.environment import find_tool
from s2nn.tools.simulation import Tell
from s2nn.tools.synth import YOSYS, SynthResult, synthesise
from s2nn.tools.synth_targets import get_target

#: Configuration and target of each design that is synthesised by default.
DEFAULT_DESIGNS = (("ulx3s", "ecp5-85k"), ("small", "ice40-hx8k"))


def baseline_label(config_name: str) -> str:
    """Label of the 1-bit design of a configuration."""
    return f"{config_name}-binary"


def synthesise_formats(designs: Sequence[tuple[str, str]], *, out: Path, current_bits: int = 0,
                       place_and_route: bool = True, seed: int = 1,
                       tell: Tell = lambda line: None) -> list[SynthResult]:
    """Synthesise (configuration, target) pairs, each first in the binary, then in the codebook format.

    current_bits : of the configurations, instead of their presets'.

    Everything goes below `out`. Raises `ConfigError` for an unknown configuration and `ToolError` for an unknown target
    or a missing tool, both before anything is written, and `ToolError` for a tool that fails.
    """
    chosen = [(replace(preset(name), current_bits=current_bits), get_target(target).name) for name, target in designs]
    for program in (YOSYS, *(get_target(target).place_and_route[0] for _, target in chosen)):
        find_tool(program)
    results = []
    for config, target in chosen:
        for label, variant in ((baseline_label(config.name), config.as_binary()),
                               (f"{config.name}-codebook", config)):
            tell(f"{label}: Verilog")
            verilog, _ = write_verilog(variant, out / "verilog" / label, clear_memories=False)
            results.append(synthesise(verilog, TOP, target=target, build_dir=out, freq_mhz=float(variant.clock_mhz),
                                      seed=seed, place_and_route=place_and_route, label=label, on_progress=tell))
    return results
