"""The comparison of a run as rows, and as a table for the terminal: pure functions of stats.json."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from s2nn.hw.spec.registers import Cause
from s2nn.tools.manifest import Manifest
from s2nn.tools.stats import ALL_STREAMS, WEIGHT_STREAMS

Net = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One quantity of all nets. `ratio` is baseline / last net, None where that says nothing; `origin` as in stats."""

    section: str
    name: str
    unit: str
    values: tuple[float, ...]
    ratio: float | None
    origin: str

    def text(self, value: float) -> str:
        """A value in the row's unit."""
        if self.unit in ("%", "bit", "nJ"):
            return f"{value:,.2f}"
        return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:,.1f}"


def comparison_rows(stats: Mapping[str, Any]) -> list[Row]:
    """Accuracy, size, traffic, time and energy of each net, per image where a sum over images would say nothing."""
    nets, origin, rows = stats["nets"], stats["origin"], []
    images = stats["workload"]["images"]

    def add(section: str, name: str, unit: str, source: str, value: Callable[[Net], float], *,
            ratio: bool = True) -> None:
        values = tuple(float(value(net)) for net in nets)
        factor = values[0] / values[-1] if ratio and len(values) > 1 and values[-1] else None
        rows.append(Row(section=section, name=name, unit=unit, values=values, ratio=factor, origin=origin[source]))

    def counted(section: str, name: str, unit: str, *counters: str, ratio: bool = True) -> None:
        add(section, name, unit, "counters", lambda net: sum(net["counters"][c] for c in counters) / images,
            ratio=ratio)

    def priced(name: str, table: str, *path: str) -> None:
        def value(net: Net) -> float:
            found = net["energy_pj"][table]
            for key in path:
                found = found[key]
            return found / images / 1000
        add(f"energy per image ({table} table)", name, "nJ", "energy", value)

    tested = nets[0]["accuracy"]
    add("accuracy", f"held-out split, {tested['test_images']} images", "%", "accuracy",
        lambda net: 100 * net["accuracy"]["test_accuracy"], ratio=False)
    add("accuracy", f"the {images} images simulated here", "%", "counters",
        lambda net: 100 * net["accuracy"]["simulated_accuracy"], ratio=False)
    for name, key in (("hidden layers, indices alone", "hidden"), ("hidden layers, with codebook and padding",
                      "hidden_stored"), ("whole net, indices alone", "net"), ("whole net, all sections", "net_stored")):
        add("bits per weight", name, "bit", "size", lambda net, key=key: net["bits_per_weight"][key])

    section = "DRAM bytes per image"
    for counter in ALL_STREAMS:
        name = counter.removeprefix("dram.").removesuffix("_bytes").replace("_", " ")
        counted(section, name, "B", counter, ratio=False)
    add(section, "weights only: hidden layers", "B", "counters", lambda net: net["hidden_weight_read_bytes"] / images)
    counted(section, "weights only: whole net", "B", *WEIGHT_STREAMS)
    counted(section, "all streams", "B", *ALL_STREAMS)
    section = "DRAM requests per image"
    counted(section, "AXI bursts", "", *(name.replace("_bytes", "_bursts") for name in ALL_STREAMS))
    for field in ("row_hits", "row_misses", "row_conflicts"):
        add(section, field.replace("_", " "), "", "dram", lambda net, field=field: net["dram"][field] / images)

    section = "cycles per image"
    counted(section, "total", "", "cycles.total")
    for cause in Cause:
        counted(section, cause.name.lower().replace("_", " "), "", f"cycles.{cause.name.lower()}", ratio=False)
    lanes = stats["config"]["lanes"] * stats["config"]["time_lanes"]
    add(section, "PE array busy", "%", "counters",
        lambda net: 100 * net["counters"]["cycles.compute"] / net["counters"]["cycles.total"], ratio=False)
    add(section, "PEs that add", "%", "counters",
        lambda net: 100 * net["counters"]["array.adds"] / (lanes * net["counters"]["cycles.total"]), ratio=False)

    priced("DRAM dynamic", "datasheet", "dram", "dynamic_pj")
    priced("DRAM refresh", "datasheet", "dram", "refresh_pj")
    priced("DRAM background", "datasheet", "dram", "background_pj")
    for table in ("datasheet", "convention"):
        if table == "convention":
            priced("DRAM", table, "dram", "total_pj")
        priced("on chip", table, "on_chip_total_pj")
        priced("total", table, "total_pj")
    return rows


def comparison_table(stats: Mapping[str, Any]) -> Table:
    """The rows for a terminal."""
    workload, nets = stats["workload"], stats["nets"]
    table = Table(title=f"{workload['dataset']}, T = {workload['steps']}, {workload['images']} images on "
                        f"{stats['config']['name']} (baseline: {stats['baseline']})", title_justify="left")
    table.add_column("")
    table.add_column("unit")
    for net in nets:
        table.add_column(net["label"], justify="right")
    table.add_column(f"{nets[0]['label']} / {nets[-1]['label']}" if len(nets) > 1 else "", justify="right")
    section = None
    for row in comparison_rows(stats):
        if row.section != section:
            if section is not None:
                table.add_section()
            section = row.section
            table.add_row(f"[bold]{section}[/bold] [dim]{row.origin}[/dim]")
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
        table.add_row(f"  {row.name}", row.unit, *(row.text(value) for value in row.values), ratio)
    return table


def manifest_table(folder: str, manifest: Manifest) -> Table:
    """Layers and sizes of an exported net."""
    table = Table(title=folder, title_justify="left")
    for heading in ("layer", "weights", "planes", "bits/weight", "index B", "padding B", "codebook B", "params B"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for layer in manifest.layers:
        table.add_row(layer.name, f"{layer.weights:,}", str(layer.planes), f"{layer.bits_per_weight:.3f}",
                      f"{layer.index_bytes:,}", f"{layer.index_padding_bytes:,}", f"{layer.codebook_bytes:,}",
                      f"{layer.params_bytes:,}")
    table.add_section()
    padding_bytes = sum(layer.index_padding_bytes for layer in manifest.layers)
    table.add_row(f"image, {manifest.image_bytes:,} B", f"{sum(layer.weights for layer in manifest.layers):,}", "",
                  f"{manifest.bits_per_weight['net_stored']:.3f}", f"{manifest.sizes['index']:,}", f"{padding_bytes:,}",
                  f"{manifest.sizes['codebook']:,}", f"{manifest.sizes['params']:,}")
    return table


def checks_table(stats: Mapping[str, Any]) -> Table:
    """What was compared with what, and whether it agreed."""
    table = Table(title="Checks", title_justify="left")
    table.add_column("law")
    for net in stats["nets"]:
        table.add_column(net["label"])
    for laws in zip(*(net["checks"] for net in stats["nets"]), strict=True):
        table.add_row(laws[0]["name"], *(
            f"[green]{law['images']} images[/green]" if law["passed"] else f"[red]{len(law['failures'])} differ[/red]"
            for law in laws))
    return table
