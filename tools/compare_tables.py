"""The grid for a terminal: one table per net, a pure function of compare.json."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from s2nn.hw.sim.traffic import SCHEDULES

_NOTES = ("memory, compute: time if only the one were the limit. backgr.: standby and refresh of the DRAM over the "
          "longer of the two, layer by layer. * a bound: no code of single kernels is smaller, side information is not "
          "counted.")


def compare_tables(document: Mapping[str, Any]) -> list[Table]:
    """Traffic, time and energy of each cell with the ratio of its baseline's traffic to it."""
    tables = []
    baseline, _, meaning = document["baseline"].partition(":")
    for name, net in document["nets"].items():
        table = Table(title=f"{name}: {net['title']}, T = {net['steps']}\non {document['config']['name']} with "
                            f"{document['dram']['preset']}, datasheet energy table", title_justify="left",
                      caption=f"Baseline {baseline}:{meaning}.\nKernels {net['kernels_from']}.\n"
                              f"Activity {net['activity_from']}.\n{_NOTES}", caption_justify="left",
                      box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("")
        for heading in ("weights\nkB", "all\nkB", f"{baseline}\n/ this", "memory\nµs", "compute\nµs", "DRAM\nµJ",
                        "backgr.\nµJ", "chip\nµJ"):
            table.add_column(heading, justify="right")
        before = None
        for cell in (cell for cell in document["cells"] if cell["net"] == name):
            if before != (cell["schedule"], cell["origin"]):
                before = cell["schedule"], cell["origin"]
                table.add_row(f"[bold]{cell['schedule']}[/bold]\n[dim]{cell['origin']}[/dim]")
            table.add_row(f" {cell['storage']}{'*' if cell['is_bound'] else ''}", *_figures(cell))
        tables.append(table)
        tables.append(_buffers(document, name))
    return tables


def _buffers(document: Mapping[str, Any], net: str) -> Table:
    """What each schedule means, and the spike buffer that it needs."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    have = document["cells"][0]["spike_buffer_bytes"] / 1000
    for plan in dict.fromkeys(cell["schedule"] for cell in document["cells"] if cell["net"] == net):
        cell = next(cell for cell in document["cells"] if (cell["net"], cell["schedule"]) == (net, plan))
        spilled = f", {len(cell['maps_in_dram'])} maps in DRAM" if cell["maps_in_dram"] else ""
        table.add_row(plan, f"{SCHEDULES[plan].title}{spilled}; spike buffer needed "
                            f"{cell['spike_buffer_need_bytes'] / 1000:,.0f} kB, built {have:,.0f} kB")
    return table


def _figures(cell: Mapping[str, Any]) -> list[str]:
    priced = cell["energy_pj"]["datasheet"]
    dram = priced["dram"]
    return [_text(cell["weight_bytes"] / 1000), _text(cell["all_stream_bytes"] / 1000),
            f"{cell['ratios']['all_stream_bytes']:.2f}x",
            "" if cell["memory_us"] is None else _text(cell["memory_us"]), _text(cell["compute_us"]),
            _text(dram["dynamic_pj"] / 1e6), _text((dram["background_pj"] + dram["refresh_pj"]) / 1e6),
            _text(priced["on_chip_total_pj"] / 1e6)]


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"
