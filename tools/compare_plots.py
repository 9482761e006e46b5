"""Plots of the grid, pure functions of compare.json: DRAM traffic by stream, energy by source, roofline; one set per
net. Hatched bars and hollow points are modelled, solid ones measured; energy is modelled always."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from s2nn.hw.sim.traffic import SCHEDULES, STREAMS
from s2nn.tools.compare import MEASURED, energy_by_source
from s2nn.tools.plotting import COLOURS, MODELLED_HATCH, legend_beside, plot_style, write_figure

Cell = Mapping[str, Any]
_DYNAMIC = ("dram_dynamic", "weight_buffer", "spike_buffer", "logic")
_BACKGROUND = ("dram_refresh", "dram_background")
_MARKERS = {"per_step": "v", "per_step_state": "<", "once_dram": "s", "once_chip": "o"}


def draw_compare(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw all plots as PNG files in a folder, which is created; returns their paths."""
    with plot_style():
        return [write_figure(draw(document, net), folder / f"{net}-{name}.png") for net in document["nets"]
                for name, draw in (("dram", dram_traffic), ("energy", energy), ("roofline", roofline))]


def dram_traffic(document: Mapping[str, Any], net: str) -> Figure:
    """Bytes by stream; a panel per schedule, each on its own scale."""
    plans = _schedules(document, net)
    widths = [len(_cells(document, net, plan)) for plan in plans]
    figure = Figure(figsize=(3 + 0.9 * sum(widths), 4.6))
    panels = figure.subplots(1, len(plans), squeeze=False, width_ratios=widths)[0]
    parts = {stream.replace("_", " "): (lambda cell, stream=stream: cell["stream_bytes"][stream] / 1000)
             for stream in STREAMS}
    for axes, plan in zip(panels, plans, strict=True):
        stack_cells(axes, _cells(document, net, plan), parts, COLOURS)
        axes.set_title(f"{plan}:\n{SCHEDULES[plan].title.replace(', ', ',' + chr(10), 1)}", fontsize=9)
    panels[0].set_ylabel("DRAM traffic / kB per inference")
    legend_beside(panels[-1])
    return _titled(figure, document, net, "DRAM traffic by stream (own scale in each panel)")


def energy(document: Mapping[str, Any], net: str) -> Figure:
    """Energy by source: what traffic and work cost above, and what the memory draws anyway below."""
    plans = _schedules(document, net)
    widths = [len(_cells(document, net, plan)) for plan in plans]
    figure = Figure(figsize=(3 + 0.9 * sum(widths), 7.4))
    rows = figure.subplots(2, len(plans), squeeze=False, width_ratios=widths)
    for panels, names, colours, title in ((rows[0], _DYNAMIC, COLOURS[:4], "dynamic"),
                                          (rows[1], _BACKGROUND, COLOURS[6:8], "refresh and background")):
        parts = {name.replace("_", " "): (lambda cell, name=name:
                                          energy_by_source(cell["energy_pj"]["datasheet"])[name] / 1e6)
                 for name in names}
        for axes, plan in zip(panels, plans, strict=True):
            stack_cells(axes, _cells(document, net, plan), parts, colours, is_modelled=lambda cell: True)
            axes.set_title(f"{plan}: {title}", fontsize=9)
        panels[0].set_ylabel("energy / µJ per inference")
        legend_beside(panels[-1])
    return _titled(figure, document, net, "Energy by source, modelled: datasheet table on counters (own scale in each "
                                          "panel)", marks="RTL: on measured counters")


def roofline(document: Mapping[str, Any], net: str) -> Figure:
    """Adds per second over adds per DRAM byte: which roof each cell is under."""
    figure = Figure(figsize=(11, 4.6))
    axes = figure.subplots()
    peak, bandwidth = document["machine"]["peak_adds_per_s"], document["dram"]["peak_bytes_per_s"]
    balance = document["machine"]["balance_adds_per_byte"]
    cells = [cell for cell in document["cells"] if cell["net"] == net]
    places = [cell["adds"] / cell["all_stream_bytes"] for cell in cells]
    low, high = min(balance, *places) / 3, max(balance, *places) * 3
    axes.plot([low, balance, high], [low * bandwidth / 1e9, peak / 1e9, peak / 1e9], color=COLOURS[8], linewidth=1)
    axes.axvline(balance, color=COLOURS[6], linewidth=0.8, linestyle=":")
    axes.annotate(f"machine balance\n{balance:.3g} adds/B", (balance, peak / 1e9), xytext=(4, -4), fontsize=8,
                  textcoords="offset points", va="top")
    colours = dict(zip(dict.fromkeys(cell["storage"] for cell in cells), COLOURS, strict=False))
    for cell, place in zip(cells, places, strict=True):
        solid = cell["origin"] == MEASURED
        axes.plot(place, cell["adds"] / cell["time_us"] / 1000, marker=_MARKERS[cell["schedule"]],
                  color=colours[cell["storage"]], markerfacecolor=colours[cell["storage"]] if solid else "none",
                  linestyle="none", markersize=8)
    keys = [Line2D([], [], color=colour, marker="o", markerfacecolor="none", linestyle="none", label=name)
            for name, colour in colours.items()]
    keys += [Line2D([], [], color=COLOURS[8], marker=_MARKERS[plan], markerfacecolor="none", linestyle="none",
                    label=plan) for plan in _schedules(document, net)]
    if any(cell["origin"] == MEASURED for cell in cells):
        keys.append(Line2D([], [], color=COLOURS[8], marker="o", linestyle="none", label=MEASURED))
    axes.legend(handles=keys, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operational intensity / adds per DRAM byte, all streams")
    axes.set_ylabel("attained / 10⁹ adds per s")
    return _titled(figure, document, net, f"Roofline: {peak / 1e9:.3g}·10⁹ adds/s, {bandwidth / 1e9:.3g} GB/s peak",
                   marks="hollow: modelled, solid: measured (RTL)")


def _cells(document: Mapping[str, Any], net: str, plan: str) -> list[Cell]:
    return [cell for cell in document["cells"] if (cell["net"], cell["schedule"]) == (net, plan)]


def _schedules(document: Mapping[str, Any], net: str) -> list[str]:
    return list(dict.fromkeys(cell["schedule"] for cell in document["cells"] if cell["net"] == net))


def stack_cells(axes: Axes, cells: Sequence[Cell], parts: Mapping[str, Callable[[Cell], float]],
                colours: Sequence[str], *,
                is_modelled: Callable[[Cell], bool] = lambda cell: cell["origin"] != MEASURED) -> None:
    """A stacked bar per cell, hatched if modelled; above it the sum, and the ratio of its baseline's to it."""
    bottom = [0.0] * len(cells)
    for (label, value), colour in zip(parts.items(), colours, strict=False):
        values = [value(cell) for cell in cells]
        for place, cell in enumerate(cells):
            if values[place]:
                axes.bar(place, values[place], bottom=bottom[place], width=0.6, color=colour, edgecolor="white",
                         hatch=MODELLED_HATCH if is_modelled(cell) else None, linewidth=0.4)
        bottom = [below + more for below, more in zip(bottom, values, strict=True)]
        axes.bar(0, 0, color=colour, label=label)  # a legend entry in every panel, whatever it shows
    for place, (cell, total) in enumerate(zip(cells, bottom, strict=True)):
        text = f"{total:,.0f}" if total >= 1000 else f"{total:.4g}"
        if cell["storage"] != cell["baseline"]:
            baseline = next(height for other, height in zip(cells, bottom, strict=True)
                            if (other["storage"], other["origin"]) == (cell["baseline"], cell["origin"]))
            text += f"\n{cell['baseline']} / {cell['storage']}\n= {baseline / total:.2f}"
        axes.annotate(text, (place, total), ha="center", va="bottom", fontsize=7, xytext=(0, 2),
                      textcoords="offset points")
    names = [cell["storage"] + ("\n(bound)" if cell["is_bound"] else "")
             + ("\nRTL" if cell["origin"] == MEASURED else "") for cell in cells]
    axes.set_xticks(range(len(cells)), names, fontsize=8)
    axes.margins(x=0.1)
    axes.set_ylim(0, 1.25 * max(bottom))


def _titled(figure: Figure, document: Mapping[str, Any], net: str, title: str, *,
            marks: str = "hatched: modelled, solid: measured (RTL)") -> Figure:
    known, config = document["nets"][net], document["config"]
    measured = any(cell["origin"] == MEASURED for cell in document["cells"] if cell["net"] == net)
    machine = f"{config['name']}: {config['lanes']} lanes x {config['time_lanes']}; {document['dram']['preset']}"
    figure.suptitle(f"{title}; {marks if measured else 'all modelled'}\n{net}: {known['title']}, T = {known['steps']}; "
                    f"{machine}; baseline: packed 1-bit, same schedule", x=0.01, ha="left", fontsize=10)
    return figure
