"""A grid for people: tables for a terminal, and CSV."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from s2nn.hw.spec.atomic import write_json_atomic, write_text_atomic
from s2nn.tools.compare import energy_by_source
from s2nn.tools.grid_layers import BANDWIDTH_TARGET, UTILISATION_TARGET

GRID_FILE, CSV_FILE, LAYERS_FILE = "grid.json", "grid.csv", "layers.csv"
_PLACE = ("net", "schedule", "storage", "baseline")


def write_grid(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write grid.json, grid.csv (a row per quantity) and layers.csv (one per layer); returns the path of the first."""
    write_text_atomic(folder / CSV_FILE, _csv((*_PLACE, "quantity", "unit", "value"), (
        (*(cell[key] for key in _PLACE), *row) for cell in document["cells"] for row in _quantities(cell))))
    columns = tuple(document["cells"][0]["layers"][0])
    write_text_atomic(folder / LAYERS_FILE, _csv((*_PLACE[:3], *columns), (
        (*(cell[key] for key in _PLACE[:3]), *(layer[column] for column in columns))
        for cell in document["cells"] for layer in cell["layers"])))
    write_json_atomic(folder / GRID_FILE, document)
    return folder / GRID_FILE


def grid_tables(document: Mapping[str, Any]) -> list[Table]:
    """The cells of each net, and how many of their layers reach their target."""
    return [_table(document, net) for net in document["nets"]]


def _table(document: Mapping[str, Any], net: str) -> Table:
    known, memory = document["nets"][net], document["dram"]
    table = Table(title=f"{net} (T = {known['steps']}, {known['inputs']}, weights {known['weights']}) on "
                        f"{document['preset']}, {memory['preset']}; per image", title_justify="left",
                  caption=f"ratios: 1-bit of the same schedule / this format. Layers that meet their target: compute-"
                          f"bound ones {UTILISATION_TARGET:.0%} of cycles, memory-bound ones {BANDWIDTH_TARGET:.0%} of "
                          f"{memory['achievable']:.2f} bytes per cycle", caption_justify="left")
    headings = ("schedule", "format", "cycles", "index kB", "maps kB", "all kB", "index ×", "all ×", "energy ×",
                "comp.", "mem.")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < 2 else "right")
    for cell in document["cells"]:
        if cell["net"] != net:
            continue
        streams, ratios = cell["stream_bytes"], cell["ratios"]
        maps = streams["map_read"] + streams["map_write"]
        table.add_row(cell["schedule"], cell["storage"], f"{cell['counters']['cycles.total']:,.0f}",
                      *(f"{value / 1000:,.1f}" for value in (streams["index_read"], maps, cell["all_stream_bytes"])),
                      *(f"{ratios[name]:.2f}" for name in ("index_bytes", "all_stream_bytes", "energy")),
                      *(_met(cell["layers"], bound) for bound in ("compute", "memory")))
    return table


def _met(layers: Sequence[Mapping[str, Any]], bound: str) -> str:
    chosen = [layer for layer in layers if layer["bound"] == bound]
    return f"{sum(layer['met'] for layer in chosen)}/{len(chosen)}"


def _quantities(cell: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for name, value in cell["counters"].items():
        yield name, "B" if name.endswith("_bytes") else "1", value
    for name, value in cell["dram"].items():
        if not isinstance(value, str):
            yield f"memory.{name}", "1", value
    for name, value in energy_by_source(cell["energy_pj"]).items():
        yield f"energy.{name}", "pJ", value
    for name, value in cell["ratios"].items():
        yield f"ratio.{name}", "1", value


def _csv(header: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
