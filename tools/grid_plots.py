"""Plots of a grid, pure functions of grid.json: traffic and energy of the cells, and what limits each layer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from s2nn.tools.compare import energy_by_source
from s2nn.tools.compare_plots import stack_cells
from s2nn.tools.grid_layers import BANDWIDTH_TARGET, UTILISATION_TARGET
from s2nn.tools.plotting import COLOURS, legend_beside, plot_style, write_figure

_SOURCES = ("dram_dynamic", "weight_buffer", "spike_buffer", "membrane_buffer", "logic", "dram_refresh",
            "dram_background")


def draw_grid(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw all plots as PNG files in a folder, which is created; returns their paths."""
    with plot_style():
        return [write_figure(draw(document, net), folder / f"{net}-{name}.png") for net in document["nets"]
                for name, draw in (("cells", cells), ("layers", layers))]


def cells(document: Mapping[str, Any], net: str) -> Figure:
    """Bytes by stream above, energy by source below; a column of panels per schedule, each on its own scale."""
    chosen = [cell for cell in document["cells"] if cell["net"] == net]
    plans = list(dict.fromkeys(cell["schedule"] for cell in chosen))
    figure = Figure(figsize=(3 + 3.4 * len(plans), 8.2))
    rows = figure.subplots(2, len(plans), squeeze=False)
    streams = {stream.replace("_", " "): (lambda cell, stream=stream: cell["stream_bytes"][stream] / 1000)
               for stream in chosen[0]["stream_bytes"]}
    sources = {name.replace("_", " "): (lambda cell, name=name:
                                        energy_by_source(cell["energy_pj"]).get(name, 0.0) / 1e6)
               for name in _SOURCES}
    for panels, parts, unit, is_modelled in ((rows[0], streams, "DRAM traffic / kB per image", False),
                                             (rows[1], sources, "energy / µJ per image", True)):
        for axes, plan in zip(panels, plans, strict=True):
            stack_cells(axes, [cell for cell in chosen if cell["schedule"] == plan], parts, COLOURS,
                        is_modelled=lambda cell, hatched=is_modelled: hatched)
            axes.set_title(plan, fontsize=9)
        panels[0].set_ylabel(unit)
        legend_beside(panels[-1])
    return _titled(figure, document, net, "Traffic from the cycle engine's counters; energy modelled (hatched): "
                                          f"{document['energy_table']} table on counters")


def layers(document: Mapping[str, Any], net: str) -> Figure:
    """Utilisation and bandwidth share of each layer: 1-bit beside the smallest format, on the last schedule."""
    chosen = [cell for cell in document["cells"] if cell["net"] == net]
    chosen = [cell for cell in chosen if cell["schedule"] == chosen[-1]["schedule"]]
    pair = [chosen[0], chosen[-1]]
    names = [layer["name"] for layer in pair[0]["layers"]]
    figure = Figure(figsize=(4 + 0.45 * len(names), 6))
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, key, target, label in ((upper, "utilisation", UTILISATION_TARGET, "compute cycles / cycles"),
                                     (lower, "bandwidth_share", BANDWIDTH_TARGET, "bytes / achievable bytes")):
        for number, (cell, colour) in enumerate(zip(pair, COLOURS, strict=False)):
            places = [place - 0.2 + 0.4 * number for place in range(len(names))]
            axes.bar(places, [layer[key] for layer in cell["layers"]], width=0.4, color=colour, label=cell["storage"])
        axes.axhline(target, color=COLOURS[8], linestyle=":", linewidth=1, label=f"target {target:g}")
        axes.set_ylabel(label)
        legend_beside(axes)
    lower.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    return _titled(figure, document, net, f"What limits each layer, schedule {chosen[0]['schedule']}; a share above 1: "
                                          "weights that came while the layer before ran")


def _titled(figure: Figure, document: Mapping[str, Any], net: str, title: str) -> Figure:
    known = document["nets"][net]
    figure.suptitle(f"{title}\n{net}: {known['title']}, T = {known['steps']}; {document['preset']}; "
                    f"{document['dram']['preset']}; random weights; {known['inputs']}; baseline: 1-bit, same schedule",
                    x=0.01, ha="left", fontsize=9)
    return figure
