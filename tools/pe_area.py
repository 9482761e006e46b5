"""`s2nn synth-pe`: area, Fmax and modelled energy of the PE array alone, both variants, by index width and lanes."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from rich.table import Table

from s2nn.hw.rtl.decode_then_popcount import DecodeThenPopcount
from s2nn.hw.rtl.popcount_then_select import PopcountThenSelect
from s2nn.hw.rtl.verilog import PE_TOP, write_pe_array
from s2nn.hw.sim.energy_table import DEFAULT_TABLE, load_table
from s2nn.hw.spec.atomic import write_json_atomic
from s2nn.hw.spec.config import ULX3S, AcceleratorConfig
from s2nn.hw.spec.errors import ConfigError
from s2nn.tools.pe_energy import energy_per_add_pj
from s2nn.tools.simulation import Tell
from s2nn.tools.synth import SynthResult
from s2nn.tools.synth_resume import synthesise_once
from s2nn.tools.synth_targets import RESOURCES

VARIANTS = {"decode": DecodeThenPopcount, "select": PopcountThenSelect}
DEFAULT_ETAS = (4, 5, 6)
DEFAULT_LANES = (8, 16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class PePoint:
    """One variant at one index width and number of lanes. energy_per_add_pj : modelled, see `pe_energy`."""

    variant: str
    eta: int
    lanes: int
    energy_per_add_pj: float
    result: SynthResult


def pe_config(eta: int, lanes: int) -> AcceleratorConfig:
    """The `ulx3s` preset with a codebook of 2**eta codewords and that many lanes."""
    return replace(ULX3S, name=f"eta{eta}-n{lanes}", index_bits=eta, lanes=lanes)


def synthesise_pe_arrays(etas: Sequence[int], lanes: Sequence[int], variants: Sequence[str] = tuple(VARIANTS), *,
                         out: Path, target: str, place_and_route: bool = True, seed: int = 1,
                         tell: Tell = lambda line: None) -> list[PePoint]:
    """Every point in each of the variants, side by side, narrow arrays first. A point is labelled
    `<variant>-eta<eta>-n<lanes>`; those that `out` holds from an interrupted run are not run again. After each point
    all so far are written to `synth-pe.json` in `out`.

    Raises `ConfigError` for a point that no accelerator can have or an unknown variant, `ToolError` for a tool that
    fails.
    """
    unknown = [name for name in variants if name not in VARIANTS]
    if unknown:
        raise ConfigError(f"must be one of {', '.join(VARIANTS)}", value=unknown[0], field="variant")
    points, table = [], load_table()
    for config in [pe_config(eta, count) for count, eta in product(lanes, etas)]:
        for name in variants:
            label = f"{name}-{config.name}"
            verilog = write_pe_array(config, VARIANTS[name], out / "verilog" / label)
            result = synthesise_once(verilog, PE_TOP, target=target, build_dir=out, label=label,
                                     freq_mhz=float(config.clock_mhz), seed=seed, place_and_route=place_and_route,
                                     on_progress=tell)
            points.append(PePoint(variant=name, eta=config.index_bits, lanes=config.lanes, result=result,
                                  energy_per_add_pj=round(energy_per_add_pj(name, config, table), 4)))
            write_json_atomic(out / "synth-pe.json", {
                "format": "s2nn-synth-pe", "version": 1, "energy_table": DEFAULT_TABLE,
                "units": {**dict.fromkeys(RESOURCES, "cells"), "fmax_mhz": "MHz", "energy_per_add_pj": "pJ, modelled"},
                "points": [dataclasses.asdict(point) for point in points]})
    return points


def pe_table(points: Sequence[PePoint]) -> Table:
    """One row per point."""
    table = Table(title="PE array alone: cells without the measuring shell, energy per add modelled")
    for heading in ("eta", "lanes", "variant", "LUT4", "FF", "BRAM", "Fmax/MHz", "pJ/add", "fits"):
        table.add_column(heading, justify="left" if heading in ("variant", "fits") else "right")
    for point in points:
        found = point.result
        fmax = "-" if found.fmax_mhz is None else f"{found.fmax_mhz:.1f}"
        table.add_row(str(point.eta), str(point.lanes), point.variant, str(found.lut4), str(found.ff), str(found.bram),
                      fmax, f"{point.energy_per_add_pj:.2f}", found.reason or "yes")
    return table
