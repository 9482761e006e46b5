"""`s2nn price`: an old run priced anew. Energy = counters x table, a pure function of the run's document.

Both documents that hold counters can be priced: stats.json of `s2nn run` and compare.json of `s2nn compare`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.sim.dram_sums import from_document
from s2nn.hw.sim.energy import energy
from s2nn.hw.sim.energy_table import EnergyTable
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.errors import SimulationError
from s2nn.tools.on_chip import on_chip_activities

#: Formats that can be priced: {format: (version, key of its entries)}.
PRICED_FORMATS = {"s2nn-stats": (1, "nets"), "s2nn-compare": (1, "cells")}


def counters_energy(config: AcceleratorConfig, layers: Sequence[Mapping[str, int]], dram: DramStats,
                    table: EnergyTable, *, spike_bank_bytes: int | None = None) -> dict[str, Any]:
    """Energy of the steps with these counters on this memory, as `s2nn.hw.sim.energy.energy` gives it."""
    memories, logic = on_chip_activities(config, layers, spike_bank_bytes=spike_bank_bytes)
    return energy(dram=dram, sram=memories, logic=logic, table=table)


def read_priced(path: Path) -> dict[str, Any]:
    """A stats.json or compare.json, or the one in a folder; raises `SimulationError` for anything else."""
    found = path
    if path.is_dir():
        found = next((path / name for name in ("stats.json", "compare.json") if (path / name).is_file()), path)
    try:
        document = json.loads(found.read_text())
    except (OSError, ValueError) as error:
        raise SimulationError(f"must be the readable result of a run ({error})", source=found) from error
    kind = (document.get("format"), document.get("version")) if isinstance(document, dict) else None
    if kind not in [(name, version) for name, (version, _) in PRICED_FORMATS.items()]:
        rule = " or ".join(f"{name} version {version}" for name, (version, _) in PRICED_FORMATS.items())
        raise SimulationError(f"must be of format {rule}", value=kind, source=found)
    return document


def price_document(document: Mapping[str, Any], table: EnergyTable, *, source: object) -> dict[str, Any]:
    """Every entry of a document priced with a table: {table, node, document, entries: [{label, energy_pj}]}, in pJ.

    Raises `SimulationError` that names the entry and the field that is absent or is no count.
    """
    entries = PRICED_FORMATS[document["format"]][1]
    config = config_of(document, source=source)
    priced = []
    for number, entry in enumerate(required(document, entries, list, source)):
        where = f"{source}: {entries}[{number}]"
        layers = [counters_of(layer, f"{where}: layers[{index}]")
                  for index, layer in enumerate(required(entry, "layers", list, where))]
        dram = from_document(required(entry, "dram", dict, where), source=where)
        bank = None if entry.get("spike_bank_bytes") is None else required(entry, "spike_bank_bytes", int, where)
        priced.append({"label": required(entry, "label", str, where),
                       "energy_pj": counters_energy(config, layers, dram, table, spike_bank_bytes=bank)})
    return {"table": table.name, "node": table.node, "document": document["format"], "entries": priced}


def config_of(document: Mapping[str, Any], *, source: object) -> AcceleratorConfig:
    """The accelerator of a document; `SimulationError` or `ConfigError` if it is absent or none."""
    try:
        return AcceleratorConfig.from_json(required(document, "config", dict, source))
    except TypeError as error:
        raise SimulationError(f"must be numbers where AcceleratorConfig has some ({error})", field="config",
                              source=source) from error


def counters_of(layer: Any, where: str) -> dict[str, int]:
    """Counters of one step of a document; `SimulationError` names one that is no count."""
    counters = required(layer, "counters", dict, where)
    for name, value in counters.items():
        if not isinstance(value, int) or value < 0:
            raise SimulationError("must be a count", value=value, field=name, source=where)
    return counters


def required(holder: Any, name: str, kind: type, where: object) -> Any:
    """A field of a document; `SimulationError` if it is absent or of another kind."""
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise SimulationError(f"must be there, as {kind.__name__}", value=value, field=name, source=where)
    return value


def price_table(result: Mapping[str, Any]) -> Table:
    """A priced document for a terminal, in µJ over all images of the run."""
    table = Table(title=f"Energy in µJ, {result['table']} table at {result['node']}, modelled", title_justify="left")
    table.add_column("")
    for heading in ("DRAM dynamic", "DRAM refresh", "DRAM background", "on chip", "total"):
        table.add_column(heading, justify="right")
    for entry in result["entries"]:
        one = entry["energy_pj"]
        parts = (one["dram"]["dynamic_pj"], one["dram"]["refresh_pj"], one["dram"]["background_pj"],
                 one["on_chip_total_pj"], one["total_pj"])
        table.add_row(entry["label"], *(f"{value / 1e6:,.2f}" for value in parts))
    return table
