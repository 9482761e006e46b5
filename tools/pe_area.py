"""`s2nn synth-pe`: area and Fmax of the PE array alone, in both variants, over index widths and lanes."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from s2nn.hw.rtl.decode_then_popcount import DecodeThenPopcount
from s2nn.hw.rtl.popcount_then_select import PopcountThenSelect
from s2nn.hw.rtl.verilog import PE_TOP, write_pe_array
from s2nn.hw.spec.config import ULX3S, AcceleratorConfig
from s2nn.tools.simulation import Tell
from s2nn.tools.synth import SynthResult
from s2nn.tools.synth_resume import synthesise_once

VARIANTS = {"decode": DecodeThenPopcount, "select": PopcountThenSelect}
DEFAULT_ETAS = (4, 5, 6)
DEFAULT_LANES = (8, 16, 32, 64)


def pe_config(eta: int, lanes: int) -> AcceleratorConfig:
    """The `ulx3s` preset with a codebook of 2**eta codewords and that many lanes."""
    return replace(ULX3S, name=f"eta{eta}-n{lanes}", index_bits=eta, lanes=lanes)


def synthesise_pe_arrays(etas: Sequence[int], lanes: Sequence[int], *, out: Path, target: str,
                         place_and_route: bool = True, seed: int = 1,
                         tell: Tell = lambda line: None) -> list[SynthResult]:
    """Every point in both variants, side by side, narrow arrays first. A point is labelled
    `<variant>-eta<eta>-n<lanes>`; those that `out` holds from an interrupted run are not run again.

    Raises `ConfigError` for a point that no accelerator can have and `ToolError` for a tool that fails.
    """
    results = []
    for config in [pe_config(eta, count) for count, eta in product(lanes, etas)]:
        for name, variant in VARIANTS.items():
            label = f"{name}-{config.name}"
            verilog = write_pe_array(config, variant, out / "verilog" / label)
            results.append(synthesise_once(verilog, PE_TOP, target=target, build_dir=out, label=label,
                                           freq_mhz=float(config.clock_mhz), seed=seed,
                                           place_and_route=place_and_route, on_progress=tell))
    return results
