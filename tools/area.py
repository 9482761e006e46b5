"""`s2nn synth`: area and Fmax of the accelerator in both weight formats, at the same lanes, buffers and bus."""

from collections.abc import Sequence
from pathlib import Path

from s2nn.hw.rtl.verilog import TOP, write_verilog
from s2nn.hw.spec.config import SMALL, ULX3S, AcceleratorConfig
from s2nn.tools.environment import find_tool
from s2nn.tools.simulation import Tell
from s2nn.tools.synth import YOSYS, SynthResult, synthesise
from s2nn.tools.synth_targets import get_target

#: Configuration and target of each design that is synthesised by default.
DEFAULT_DESIGNS = ((ULX3S, "ecp5-85k"), (SMALL, "ice40-hx8k"))


def baseline_label(config_name: str) -> str:
    """Label of the 1-bit design of a configuration."""
    return f"{config_name}-binary"


def codebook_label(config_name: str) -> str:
    """Label of the design that decodes codewords."""
    return f"{config_name}-codebook"


def synthesise_formats(designs: Sequence[tuple[AcceleratorConfig, str]], *, out: Path, place_and_route: bool = True,
                       seeds: Sequence[int] = (1,), tell: Tell = lambda line: None) -> list[SynthResult]:
    """Synthesise (configuration, target) pairs, each first in the binary, then in the codebook format.

    Everything goes below `out`. Raises `ToolError` for an unknown target or a missing tool, before anything is written,
    and for a tool that fails.
    """
    chosen = [(config, get_target(target).name) for config, target in designs]
    for program in (YOSYS, *(get_target(target).place_and_route[0] for _, target in chosen)):
        find_tool(program)
    results = []
    for config, target in chosen:
        for label, variant in ((baseline_label(config.name), config.as_binary()),
                               (codebook_label(config.name), config)):
            tell(f"{label}: Verilog")
            verilog, _ = write_verilog(variant, out / "verilog" / label, clear_memories=False)
            results.append(synthesise(verilog, TOP, target=target, build_dir=out, freq_mhz=float(variant.clock_mhz),
                                      seeds=seeds, place_and_route=place_and_route, label=label, on_progress=tell))
    return results
