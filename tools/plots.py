"""Plots of a run, each a pure function of stats.json: DRAM access, energy by source, and where the cycles go.

A plot names its workload and baseline. Solid bars are measured on the RTL, hatched ones are modelled from its counters.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s2nn.hw.spec.registers import Cause
from s2nn.tools.plotting import COLOURS, MODELLED_HATCH, legend_beside, plot_style, write_figure
from s2nn.tools.stats import ALL_STREAMS

#: File names of the plots, in the order of a report.
PLOT_FILES = ("dram_access.png", "energy.png", "cycles.png")


def draw_plots(stats: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw all plots as PNG files in a folder, which is created; returns their paths."""
    paths = []
    with plot_style():
        for name, draw in zip(PLOT_FILES, (dram_access, energy_by_source, cycles_by_cause), strict=True):
            paths.append(write_figure(draw(stats), folder / name))
    return paths


def dram_access(stats: Mapping[str, Any]) -> Figure:
    """Bytes by stream and net, for weights alone and for all streams."""
    images = stats["workload"]["images"]
    figure = Figure()
    axes = figure.subplots(1, 2)
    streams = {name.split(".")[1].removesuffix("_bytes").replace("_", " "): name for name in ALL_STREAMS}
    weights = {label: name for label, name in streams.items() if label in ("index read", "codebook read")}
    for panel, title, chosen in ((axes[0], "weights only", weights), (axes[1], "all streams", streams)):
        parts = {label: [net["counters"][name] / images / 1024 for net in stats["nets"]]
                 for label, name in chosen.items()}
        _stack(panel, stats, parts, colours=[COLOURS[list(streams).index(label)] for label in parts], modelled=False)
        panel.set_title(title)
        panel.set_ylabel("DRAM traffic / KiB per image")
    legend_beside(axes[1])
    return _titled(figure, stats, f"DRAM access, {stats['origin']['counters']}")


def energy_by_source(stats: Mapping[str, Any]) -> Figure:
    """Energy by source and net: what the traffic and the work cost, and with it what the memory draws anyway."""
    images = stats["workload"]["images"]
    figure = Figure()
    axes = figure.subplots(1, 2)
    priced = [net["energy_pj"]["datasheet"] for net in stats["nets"]]

    def per_image(values: Sequence[float]) -> list[float]:
        return [value / images / 1e6 for value in values]

    names = list(dict.fromkeys(name for one in priced for name in one["on_chip_pj"]))
    groups = {"weight buffer": "weight_buffer", "spike buffer": "spike_buffer",
              **({"membrane buffer": "membrane_buffer"} if "membrane_buffer" in names else {}), "PE array": "array_",
              "codebook": "codebook_", "neurons": "neuron_"}
    dynamic = {"DRAM dynamic": per_image([one["dram"]["dynamic_pj"] for one in priced])}
    for label, prefix in groups.items():
        chosen = [name for name in names if name.startswith(prefix)]
        dynamic[label] = per_image([sum(one["on_chip_pj"].get(name, 0.0) for name in chosen) for one in priced])
    whole = {
        "DRAM dynamic": dynamic["DRAM dynamic"],
        "on chip": per_image([one["on_chip_total_pj"] for one in priced]),
        "DRAM refresh": per_image([one["dram"]["refresh_pj"] for one in priced]),
        "DRAM background": per_image([one["dram"]["background_pj"] for one in priced]),
    }
    for panel, title, parts in ((axes[0], "dynamic", dynamic), (axes[1], "with refresh and background", whole)):
        _stack(panel, stats, parts, colours=COLOURS, modelled=True)
        panel.set_title(title)
        panel.set_ylabel("energy / µJ per image")
        legend_beside(panel)
    return _titled(figure, stats, "Energy, modelled (datasheet table on measured counters)")


def cycles_by_cause(stats: Mapping[str, Any]) -> Figure:
    """Cycles by cause and net, and the share of PEs that add in a cycle."""
    images = stats["workload"]["images"]
    figure = Figure()
    axes = figure.subplots(1, 2, width_ratios=(3, 2))
    causes = [cause.name.lower() for cause in Cause]
    parts = {cause.replace("_", " "): [net["counters"][f"cycles.{cause}"] / images / 1000 for net in stats["nets"]]
             for cause in causes}
    _stack(axes[0], stats, parts, colours=COLOURS, modelled=False)
    axes[0].set_title("cycles by cause")
    axes[0].set_ylabel("clock cycles / 1000 per image")
    legend_beside(axes[0])
    places = stats["config"]["lanes"] * stats["config"]["time_lanes"]
    labels = [net["label"] for net in stats["nets"]]
    for offset, label, share in (
            (-0.2, "array busy", [net["counters"]["cycles.compute"] for net in stats["nets"]]),
            (0.2, "PEs that add", [net["counters"]["array.adds"] / places for net in stats["nets"]])):
        values = [100 * part / net["counters"]["cycles.total"] for part, net in zip(share, stats["nets"], strict=True)]
        bars = axes[1].bar([place + offset for place in range(len(labels))], values, width=0.4, label=label,
                           color=COLOURS[0 if offset < 0 else 1])
        axes[1].bar_label(bars, fmt="%.1f", fontsize=8)
    axes[1].set_xticks(range(len(labels)), labels)
    axes[1].set_ylim(0, 100)
    axes[1].set_ylabel("share of all cycles / %")
    axes[1].set_title("PE utilisation")
    axes[1].legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    return _titled(figure, stats, f"Cycles, {stats['origin']['counters']}")


def _stack(axes: Axes, stats: Mapping[str, Any], parts: Mapping[str, Sequence[float]], *, colours: Sequence[str],
           modelled: bool) -> None:
    """One stacked bar per net; above it the sum, and the ratio of the baseline's to it."""
    labels = [net["label"] for net in stats["nets"]]
    bottom = [0.0] * len(labels)
    for (label, values), colour in zip(parts.items(), colours, strict=False):
        if any(values):
            axes.bar(labels, values, bottom=bottom, label=label, color=colour, width=0.5, edgecolor="white",
                     hatch=MODELLED_HATCH if modelled else None, linewidth=0.4)
        bottom = [low + value for low, value in zip(bottom, values, strict=True)]
    for place, total in enumerate(bottom):
        text = f"{total:.3g}"
        if place and total:
            text += f"\n{labels[0]} / {labels[place]} = {bottom[0] / total:.2f}"
        axes.annotate(text, (place, total), ha="center", va="bottom", fontsize=8, xytext=(0, 2),
                      textcoords="offset points")
    axes.margins(x=0.12, y=0.2)


def _titled(figure: Figure, stats: Mapping[str, Any], title: str) -> Figure:
    workload, config = stats["workload"], stats["config"]
    figure.suptitle(f"{title}\n{workload['dataset']}, T = {workload['steps']}, mean of {workload['images']} images; "
                    f"{config['name']}: {config['lanes']} lanes x {config['time_lanes']}; baseline: "
                    f"{stats['baseline']}", x=0.01, ha="left", fontsize=10)
    return figure
