"""`s2nn compare --protocol s2nn-paper`: the published comparison reproduced cell by cell, and what it leaves out.

# Ref: S2NN, arXiv 2509.24266, App. I-J and Tab. 11: SCNN at T = 8, eta = 5, 32-bit AXI at 100 MHz (RTL simulation).

What the cells say (decoded from them, and exact for all twelve): weights only, in 32-bit words, fetched again for each
time step; the 1-bit net stored at two bits per weight; one codebook per layer, likewise at two bits, fetched once. So
the published 3.6x is a factor of 2 (two bits for one) times 9/5 (five bits for nine).

Bus model of the latencies: one word per cycle, and `FILL_CYCLES` more before each tile of 32 x 32 kernels in each step.
That a tile has 32 x 32 kernels and fills in 31 cycles is fitted to the cells and a guess as to its cause.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from s2nn.hw.sim.net_catalogue import net_shape
from s2nn.hw.sim.net_shapes import LayerShape
from s2nn.hw.sim.traffic import STREAMS, WEIGHT_STREAMS, StorageFormat, Traffic, packed, schedule, sub_bit
from s2nn.hw.spec.atomic import write_json_atomic
from s2nn.hw.spec.config import GROUP_TAPS, ULX3S, ceil_div
from s2nn.hw.spec.errors import ConfigError
from s2nn.tools.plotting import COLOURS, MODELLED_HATCH, legend_beside, plot_style, write_figure

PROTOCOLS = ("s2nn-paper",)
PLOT_FILE = "s2nn-protocol.png"
JSON_FILE = "s2nn-protocol.json"
ETA = 5
WORD_BYTES = 4
CLOCK_MHZ = 100
TILE_KERNELS = 32 * 32
FILL_CYCLES = 31

#: Tab. 11: words and microseconds of each layer, S2NN then BSNN.
PUBLISHED = (
    {"layer": 1, "s2nn_words": 5138, "bsnn_words": 18432, "s2nn_us": 61.32, "bsnn_us": 194.14},
    {"layer": 2, "s2nn_words": 10258, "bsnn_words": 36864, "s2nn_us": 122.44, "bsnn_us": 388.38},
    {"layer": 3, "s2nn_words": 20498, "bsnn_words": 73728, "s2nn_us": 244.68, "bsnn_us": 776.86},
    {"layer": 4, "s2nn_words": 40978, "bsnn_words": 147456, "s2nn_us": 489.17, "bsnn_us": 1553.82},
    {"layer": 5, "s2nn_words": 81938, "bsnn_words": 294912, "s2nn_us": 978.12, "bsnn_us": 3107.74},
    {"layer": 6, "s2nn_words": 81938, "bsnn_words": 294912, "s2nn_us": 978.12, "bsnn_us": 3107.74},
)

#: One weight in two bits, and codewords likewise.
_TWO_BIT = StorageFormat(name="two_bit", title="1-bit weights stored at 2 bits", group_bits=2 * GROUP_TAPS)
_INDEXED = StorageFormat(name="eta5_two_bit", title="eta = 5, codebook at 2 bits", group_bits=ETA,
                         codebook_bits=2 * GROUP_TAPS << ETA)
_CONFIG = replace(ULX3S, name="32-bit bus", axi_data_bits=8 * WORD_BYTES)

# (schedule, weights only, baseline, sub-bit format, what it shows)
_ROWS = (
    ("per_step", True, _TWO_BIT, _INDEXED, "as published: weights only, each step, baseline at 2 bits"),
    ("per_step", True, packed(), sub_bit(ETA), "baseline packed at 1 bit"),
    ("once_dram", True, packed(), sub_bit(ETA), "and weights fetched once for all steps"),
    ("per_step", False, packed(), sub_bit(ETA), "all streams: weights each step, membranes via DRAM"),
    ("per_step_state", False, packed(), sub_bit(ETA), "all streams: weights each step, membranes on chip"),
    ("once_dram", False, packed(), sub_bit(ETA), "all streams: weights once, spikes via DRAM"),
    ("once_chip", False, packed(), sub_bit(ETA), "all streams: weights once, maps on chip"),
)


def run_protocol(name: str) -> dict[str, Any]:
    """The cells of Tab. 11 from request traces, the published ones beside them, and the same net counted fairly.

    Raises `ConfigError` for a protocol that is not known.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"a protocol must be one of {', '.join(PROTOCOLS)}", value=name)
    cells = []
    for number, layer in enumerate(net_shape("s2nn-scnn").layers[:-1], start=1):
        words = {key: _traced_words(storage, layer) for key, storage in (("s2nn", _INDEXED), ("bsnn", _TWO_BIT))}
        cells.append({"layer": number} | {f"{key}_words": count for key, count in words.items()}
                     | {f"{key}_us": round(_latency_us(count, layer), 2) for key, count in words.items()})
    return {
        "format": "s2nn-protocol", "version": 1, "protocol": name, "origin": "modelled (request traces)",
        "source": "arXiv 2509.24266, Tab. 11", "net": net_shape("s2nn-scnn").title,
        "steps": net_shape("s2nn-scnn").steps, "eta": ETA, "assumptions": net_shape("s2nn-scnn").source,
        "units": {"words": "32-bit words", "us": "µs", "bytes": "bytes per inference", "ratio": "baseline / S2NN, 1"},
        "bus_model": {"clock_mhz": CLOCK_MHZ, "cycles_per_word": 1, "fill_cycles": FILL_CYCLES,
                      "tile_kernels": TILE_KERNELS, "fill_is": "fitted to the published cells"},
        "cells": cells, "published": [dict(cell) for cell in PUBLISHED], "rows": [_row(*row) for row in _ROWS],
    }


def protocol_tables(result: Mapping[str, Any]) -> list[Table]:
    """The cells beside the published ones, and the ratio row by row, for a terminal."""
    cells = Table(title=f"{result['source']}: {result['net']}, T = {result['steps']}, eta = {result['eta']} "
                        "(modelled / published)", title_justify="left")
    names = ("s2nn_words", "bsnn_words", "s2nn_us", "bsnn_us")
    for heading in ("layer", "S2NN words", "BSNN words", "S2NN µs", "BSNN µs", "BSNN / S2NN words"):
        cells.add_column(heading, justify="right")
    for cell, published in zip(result["cells"], result["published"], strict=True):
        cells.add_row(str(cell["layer"]), *(f"{cell[name]:,} / {published[name]:,}" for name in names),
                      f"{cell['bsnn_words'] / cell['s2nn_words']:.2f}x")
    rows = Table(title="Where the ratio comes from (modelled, kB per inference)", title_justify="left")
    rows.add_column("")
    for heading in ("baseline", "kB", "S2NN kB", "baseline / S2NN"):
        rows.add_column(heading, justify="right")
    for row in result["rows"]:
        rows.add_row(row["title"], row["baseline"], f"{row['baseline_bytes'] / 1000:,.0f}",
                     f"{row['s2nn_bytes'] / 1000:,.0f}", f"{row['ratio']:.2f}x")
    return [cells, rows]


def write_protocol(result: Mapping[str, Any], folder: Path) -> Path:
    """Write s2nn-protocol.json and its plot into a folder; returns the path of the plot."""
    write_json_atomic(folder / JSON_FILE, result)
    return draw_protocol(result, folder)


def draw_protocol(result: Mapping[str, Any], folder: Path) -> Path:
    """Draw the plot of a protocol's result into a folder; returns its path."""
    with plot_style():
        figure = Figure(figsize=(11, 4.6))
        weights, whole = figure.subplots(1, 2, width_ratios=(3, 4))
        by_weights = [row for row in result["rows"] if row["weights_only"]]
        by_streams = [row for row in result["rows"] if not row["weights_only"] and row["schedule"] != "per_step"]
        _pairs(weights, by_weights, ("as published:\neach step, 2-bit BSNN", "each step,\npacked 1-bit", "once,\n"
                                     "packed 1-bit"))
        _pairs(whole, by_streams, ("each step,\nmembranes on chip", "once,\nspikes via DRAM", "once,\nmaps on chip"))
        weights.set_title("weights only")
        whole.set_title("all streams, packed 1-bit baseline")
        legend_beside(whole)
        figure.suptitle("Where the published 3.6x comes from: DRAM traffic, modelled (request traces)\n"
                        f"{result['net']}, T = {result['steps']}; left bar of a pair: 1-bit baseline, right bar: "
                        f"S2NN, eta = {result['eta']}", x=0.01, ha="left", fontsize=10)
        return write_figure(figure, folder / PLOT_FILE)


def _traced_words(storage: StorageFormat, layer: LayerShape) -> int:
    """32-bit words of a layer's weight streams, counted in the request trace of the published schedule."""
    net = net_shape("s2nn-scnn")
    traffic = Traffic(net=net, config=_CONFIG, schedule=schedule("per_step"), storage=storage, steps=net.steps)
    moved = sum(transfer.size_bytes for name, transfers in traffic.transfers() if name == layer.name
                for transfer in transfers if transfer.stream in WEIGHT_STREAMS)
    return ceil_div(moved, WORD_BYTES)


def _latency_us(words: int, layer: LayerShape) -> float:
    tiles = net_shape("s2nn-scnn").steps * ceil_div(layer.c_in * layer.c_out, TILE_KERNELS)
    return (words + FILL_CYCLES * tiles) / CLOCK_MHZ


def _row(plan: str, weights_only: bool, baseline: StorageFormat, storage: StorageFormat, title: str) -> dict[str, Any]:
    net = net_shape("s2nn-scnn")
    streams = []
    for one in (baseline, storage):
        traffic = Traffic(net=net, config=_CONFIG, schedule=schedule(plan), storage=one, steps=net.steps)
        if weights_only:  # the published table has the six convolutions, not the classifier
            parts = [traffic.layer_stream_bytes(layer) for layer in net.layers[:-1]]
            streams.append({name: sum(part[name] for part in parts) for name in WEIGHT_STREAMS})
        else:
            streams.append(traffic.stream_bytes())
    totals = [sum(found.values()) for found in streams]
    return {"title": title, "schedule": plan, "weights_only": weights_only, "baseline": baseline.title,
            "baseline_bytes": totals[0], "s2nn_bytes": totals[1], "ratio": totals[0] / totals[1],
            "baseline_stream_bytes": streams[0], "s2nn_stream_bytes": streams[1]}


def _pairs(axes: Any, rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> None:
    """Two bars per row, stacked by stream, with the ratio above them."""
    places = [place + side for place in range(len(rows)) for side in (-0.2, 0.2)]
    bottom = [0.0] * len(places)
    for stream, colour in zip(STREAMS, COLOURS, strict=True):
        values = [row[f"{side}_stream_bytes"].get(stream, 0) / 1e6 for row in rows for side in ("baseline", "s2nn")]
        if any(values):
            axes.bar(places, values, bottom=bottom, width=0.36, label=stream.replace("_", " "), color=colour,
                     edgecolor="white", hatch=MODELLED_HATCH, linewidth=0.4)
        bottom = [low + value for low, value in zip(bottom, values, strict=True)]
    for place, row in enumerate(rows):
        axes.annotate(f"{row['baseline_bytes'] / 1e6:.2f} : {row['s2nn_bytes'] / 1e6:.2f}\n= {row['ratio']:.2f}x",
                      (place, max(bottom[2 * place:2 * place + 2])), ha="center", va="bottom", fontsize=8,
                      xytext=(0, 2), textcoords="offset points")
    axes.set_xticks(range(len(rows)), labels, fontsize=8)
    axes.set_ylabel("DRAM traffic / MB per inference")
    axes.margins(x=0.08)
    axes.set_ylim(0, 1.2 * max(bottom))
