"""Synthesis results as a table for people and as JSON for plots."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from s2nn.hw.spec.atomic import write_json_atomic
from s2nn.tools.synth import SynthResult
from s2nn.tools.synth_targets import RESOURCES

FORMAT = "s2nn-synth"
FORMAT_VERSION = 2


def area_difference(result: SynthResult, baseline: SynthResult) -> dict[str, int]:
    """Cells that `result` has more than `baseline` on the same target, by resource."""
    return {name: getattr(result, name) - getattr(baseline, name) for name in RESOURCES}


def _baseline_of(result: SynthResult, results: Sequence[SynthResult], baseline: str | None) -> SynthResult | None:
    if baseline in (None, result.label):
        return None
    return next((other for other in results if other.label == baseline and other.target == result.target), None)


def results_table(results: Sequence[SynthResult], *, baseline: str | None = None) -> Table:
    """One row per result; each result other than the baseline's is followed by a row with its difference from that."""
    table = Table(title="Synthesis: cells of the design without the measuring shell")
    for heading in ("design", "device"):
        table.add_column(heading)
    for heading in ("LUT4", "FF", "BRAM", "DSP", "carry", "LUTRAM", "Fmax/MHz (seed)"):
        table.add_column(heading, justify="right")
    table.add_column("fits")
    for result in results:
        fmax = "-" if result.fmax_mhz is None else f"{result.fmax_mhz:.1f}"
        if len(result.fmax_mhz_by_seed) > 1:
            fmax = ", ".join(f"{mhz or 0.0:.1f} ({seed})" for seed, mhz in result.fmax_mhz_by_seed.items())
        verdict = f"no: {result.reason}" if not result.fits else "yes" if result.placed else "by cell counts"
        table.add_row(result.label, result.device, *(str(getattr(result, name)) for name in RESOURCES), fmax, verdict)
        other = _baseline_of(result, results, baseline)
        if other is not None:
            difference = area_difference(result, other)
            cells = (f"{difference[name]:+d}" for name in RESOURCES)
            table.add_row(f"  minus {other.label}", "", *cells, "", "", style="dim")
    return table


def write_report(results: Sequence[SynthResult], path: Path, *, baseline: str | None = None) -> None:
    """Write all results, and their differences from the baseline's, as JSON; the file appears whole or not at all."""
    rows = []
    for result in results:
        row = dataclasses.asdict(result)
        other = _baseline_of(result, results, baseline)
        row["minus_baseline"] = None if other is None else area_difference(result, other)
        rows.append(row)
    document = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "baseline": baseline,
        "units": {**dict.fromkeys(RESOURCES, "cells"), "fmax_mhz": "MHz", "critical_path": "ns", "seconds": "s"},
        "note": "Cells are those of the design alone. Those of the shell that puts its ports on four pins stand under "
                "`shell`; logic_used and Fmax are of both together.",
        "results": rows,
    }
    write_json_atomic(path, document)
