"""`s2nn cliff`: weight bytes streamed per image against the on-chip capacity that keeps weights from image to image.

Exact: layers stay as the placement chooses them (`choose_resident`) and the others are streamed whole. Steady state:
the second image and every later one. Counted are the index streams; codebooks and parameters are read for every image.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from s2nn.hw.sim.formats import stored_as
from s2nn.hw.sim.net_catalogue import net_shape
from s2nn.hw.sim.net_shapes import NetShape
from s2nn.hw.sim.random_program import built_for, net_program, random_images, random_spikes
from s2nn.hw.spec.atomic import write_json_atomic, write_text_atomic
from s2nn.hw.spec.config import MAX_RESIDENT_ROWS, AcceleratorConfig
from s2nn.hw.spec.errors import ConfigError
from s2nn.hw.spec.packing import num_tiles, tile_bytes
from s2nn.hw.spec.placement import choose_resident, layer_rows
from s2nn.hw.spec.program import Program
from s2nn.tools.environment import package_versions
from s2nn.tools.grid_machine import BINARY, resident_kib
from s2nn.tools.plotting import COLOURS, plot_style, write_figure

FORMAT, FORMAT_VERSION = "s2nn-cliff", 1
CLIFF_FILE, CSV_FILE = "cliff.json", "cliff.csv"
_POINTS = 400


def run_cliff(nets: Sequence[str], etas: Sequence[int], config: AcceleratorConfig) -> dict[str, Any]:
    """The document: per net and format a curve of (capacity in KiB, bytes streamed per image) and where it meets zero.

    Raises `ConfigError` for a net that is not known.
    """
    if not etas:
        raise ConfigError("must hold at least one", value=list(etas), field="etas")
    curves = [curve for name in nets for curve in _curves(config, net_shape(name), etas)]
    return {"format": FORMAT, "version": FORMAT_VERSION, "config": config.to_json(), "curves": curves,
            "limit_kib": resident_kib(config, MAX_RESIDENT_ROWS), "tools": package_versions(["s2nn", "numpy"]),
            "units": {"capacity_kib": "weight buffer beyond its double buffer, KiB",
                      "index_bytes": "streamed per image, the second and later ones"}}


def streamed_bytes(config: AcceleratorConfig, program: Program, rows: int) -> int:
    """Index bytes that an image streams when the resident layers are in so many rows already."""
    kept = choose_resident(layer_rows(config, program), rows)
    return sum(num_tiles(config, layer) * tile_bytes(config, layer) for layer in program.layers
               if layer.name not in kept)


def _curves(config: AcceleratorConfig, net: NetShape, etas: Sequence[int]) -> list[dict[str, Any]]:
    one = replace(net, steps=1)  # sizes do not depend on the steps, nor on the inputs that thresholds are set on
    inputs = (random_spikes(0, net.input_shape, 1, steps=1) if net.input_spikes
              else random_images(0, net.input_shape, 1))
    program = net_program(0, built_for(config, one), one, eta=min(etas), calibration=inputs)
    return [_curve(config, stored_as(program, eta), eta) for eta in (None, *etas)]


def _curve(config: AcceleratorConfig, program: Program, eta: int | None) -> dict[str, Any]:
    whole = sum(layer_rows(config, program).values())
    sampled = sorted({*(whole * point // _POINTS for point in range(_POINTS)), whole})
    return {"net": program.name, "storage": BINARY if eta is None else f"eta{eta}",
            "capacity_kib": [resident_kib(config, rows) for rows in sampled],
            "index_bytes": [streamed_bytes(config, program, rows) for rows in sampled],
            "zero_rows": whole, "zero_kib": resident_kib(config, whole),
            "can_be_built": whole <= MAX_RESIDENT_ROWS}


def write_cliff(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write cliff.json and cliff.csv (net, format, capacity, bytes); returns the path of the first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("net", "storage", "capacity_kib", "index_bytes_per_image"))
    for curve in document["curves"]:
        writer.writerows((curve["net"], curve["storage"], *point)
                         for point in zip(curve["capacity_kib"], curve["index_bytes"], strict=True))
    write_text_atomic(folder / CSV_FILE, text.getvalue())
    write_json_atomic(folder / CLIFF_FILE, document)
    return folder / CLIFF_FILE


def cliff_table(document: Mapping[str, Any]) -> Table:
    """Where each format stops streaming."""
    config = document["config"]
    table = Table(title=f"Weights that stay on chip, {config['name']}, {config['lanes']} lanes", title_justify="left",
                  caption=f"steady state; resident rows can be addressed up to {document['limit_kib']:,.0f} KiB",
                  caption_justify="left")
    for heading in ("net", "format", "streamed without capacity, kB", "streams nothing from, KiB", "can be built"):
        table.add_column(heading, justify="left" if heading in ("net", "format") else "right")
    for curve in document["curves"]:
        table.add_row(curve["net"], curve["storage"], f"{curve['index_bytes'][0] / 1000:,.1f}",
                      f"{curve['zero_kib']:,.1f}", "yes" if curve["can_be_built"] else "no")
    return table


def draw_cliff(document: Mapping[str, Any], path: Path) -> Path:
    """The curves, a panel per net."""
    nets = list(dict.fromkeys(curve["net"] for curve in document["curves"]))
    with plot_style():
        figure = Figure(figsize=(6 * len(nets), 4.4))
        for axes, net in zip(figure.subplots(1, len(nets), squeeze=False)[0], nets, strict=True):
            curves = [curve for curve in document["curves"] if curve["net"] == net]
            for curve, colour in zip(curves, COLOURS, strict=False):
                axes.step(curve["capacity_kib"], [value / 1000 for value in curve["index_bytes"]], where="post",
                          color=colour, label=f"{curve['storage']}: zero from {curve['zero_kib']:,.0f} KiB")
            axes.axvline(document["limit_kib"], color=COLOURS[6], linestyle=":", linewidth=1,
                         label=f"most that can be addressed: {document['limit_kib']:,.0f} KiB")
            axes.set_title(net)
            axes.set_xlabel("weight buffer beyond the double buffer / KiB")
            axes.set_ylabel("index bytes streamed / kB per image")
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0)
            axes.legend()
        config = document["config"]
        figure.suptitle(f"Weight stream against on-chip capacity, second and later images; {config['name']}, "
                        f"{config['lanes']} lanes; layers kept whole, largest first; from the placement, exact",
                        x=0.01, ha="left", fontsize=10)
        return write_figure(figure, path)
