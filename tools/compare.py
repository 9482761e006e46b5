"""`s2nn compare`: formats x schedules on the same lanes, buffers and memory, every stream counted, each cell with its
baseline's name.

All cells are modelled: request traces through the DRAM model, on-chip work estimated from activity. The RTL's run of a
cell can stand beside it, labelled measured.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.hw.sim.dram import preset as dram_preset
from s2nn.hw.sim.dram_sums import from_document, scaled, to_document
from s2nn.hw.sim.energy_table import TABLE_NAMES, load_table
from s2nn.hw.sim.net_catalogue import net_shape
from s2nn.hw.sim.net_shapes import NetShape
from s2nn.hw.sim.trace_run import run_trace
from s2nn.hw.sim.traffic import (
    STREAMS,
    WEIGHT_STREAMS,
    Schedule,
    StorageFormat,
    Traffic,
    entropy_bound,
    packed,
    schedule,
    sub_bit,
)
from s2nn.hw.sim.work import compute_cycles, expected_counters
from s2nn.hw.spec.atomic import write_json_atomic, write_text_atomic
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.errors import ConfigError, LoweringError, SimulationError
from s2nn.tools.environment import package_versions
from s2nn.tools.net_statistics import (
    DEFAULT_IMAGES,
    DEFAULT_SPIKE_RATE,
    TRAINED_NET,
    NetStatistics,
    net_statistics,
)
from s2nn.tools.pricing import config_of, counters_energy, counters_of, read_priced, required
from s2nn.tools.simulation import Tell

FORMAT = "s2nn-compare"
FORMAT_VERSION = 1
COMPARE_FILE = "compare.json"
CSV_FILE = "compare.csv"
BASELINE = "packed"
MODELLED, MEASURED = "modelled", "measured (RTL)"
DEFAULT_NETS = ("default", "vgg16", "resnet19")
DEFAULT_SCHEDULES = ("per_step", "once_dram", "once_chip")
DEFAULT_ETAS = (4,)
_PACKAGES = ("s2nn", "numpy")
# What a cell says in one number, with its unit: rows of the CSV, beside bytes by stream.
_QUANTITIES = (("weight_bytes", "B"), ("all_stream_bytes", "B"), ("memory_us", "µs"), ("compute_us", "µs"),
               ("time_us", "µs"), ("spike_buffer_need_bytes", "B"), ("adds", "1"))


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is compared.

    Parameters
    ----------
    nets, schedules, etas : names of `net_shapes` and `traffic`, and the sub-bit formats.
    config : accelerator. dram : preset of the memory.
    steps : time steps T; None takes each net's own.
    spike_rate : assumed for nets without a checkpoint. images : on which the trained net is measured.
    spike_buffer_bytes : for `once_chip`; None: as large as the net needs.
    """

    nets: Sequence[str] = DEFAULT_NETS
    schedules: Sequence[str] = DEFAULT_SCHEDULES
    etas: Sequence[int] = DEFAULT_ETAS
    config: AcceleratorConfig
    dram: str = DEFAULT_PRESET
    steps: int | None = None
    spike_rate: float = DEFAULT_SPIKE_RATE
    images: int = DEFAULT_IMAGES
    spike_buffer_bytes: int | None = None

    def __post_init__(self) -> None:
        for field in ("nets", "schedules", "etas"):
            names = getattr(self, field)
            if not names or len(set(names)) != len(names):
                raise ConfigError("must hold at least one name, and none twice", value=list(names), field=field)


def run_compare(grid: Grid, *, measured: Mapping[str, Any] | None = None, data_root: Path | None = None,
                tell: Tell = lambda line: None) -> dict[str, Any]:
    """The document of a grid, see the module. measured : stats.json of a run of the trained net, or None.

    Raises `ConfigError` for an unknown net, schedule, eta or memory, and if `measured` is of another accelerator.
    """
    nets = [net_shape(name) for name in grid.nets]
    schedules = [schedule(name) for name in grid.schedules]
    sub_bits = [sub_bit(eta) for eta in grid.etas]
    standard = dram_preset(grid.dram)
    beside = [] if measured is None else _measured_cells(grid, measured)
    described, cells = {}, []
    for net in nets:
        steps = grid.steps or net.steps
        tell(f"{net.name}: spikes and kernel frequencies")
        statistics = net_statistics(net, grid.config, steps=steps, spike_rate=grid.spike_rate, images=grid.images,
                                    data_root=data_root)
        described[net.name] = {"title": net.title, "source": net.source, "steps": steps,
                               "layers": [asdict(layer) for layer in net.layers],
                               "compared_weights": net.num_compared_weights} | statistics.to_json()
        bound = entropy_bound(statistics.kernel_bits, group_bits=statistics.other_kernel_bits)
        for plan in schedules:
            tell(f"{net.name}: {plan.title}")
            row = [_cell(grid, net, plan, storage, steps, statistics) for storage in (packed(), bound, *sub_bits)]
            cells += [_with_ratios(cell, row[0]) for cell in row]
    cells += beside
    bandwidth = standard.organisation.burst_bytes / (standard.timing.n_bl * standard.timing.t_ck_ps * 1e-12)
    peak = grid.config.lanes * grid.config.time_lanes * grid.config.clock_mhz * 1e6
    return {
        "format": FORMAT, "version": FORMAT_VERSION, "config": grid.config.to_json(),
        "dram": {"preset": grid.dram, "peak_bytes_per_s": bandwidth},
        "machine": {"peak_adds_per_s": peak, "balance_adds_per_byte": peak / bandwidth},
        "baseline": f"{BASELINE}: one bit per weight, same schedule, lanes, buffers and memory",
        "origin": {MODELLED: "request trace through the DRAM model; on-chip work estimated from activity",
                   MEASURED: "counters of the RTL with the DRAM model behind it"},
        "time": "memory_us: the controller takes requests as fast as it can; compute_us: tiles x planes x (active "
                "windows + silent blocks) / clock; time_us: the longer of the two, layer by layer; "
                "energy spans it",
        "units": {"*_bytes": "bytes per inference", "*_us": "µs per inference", "*_ns": "ns", "energy_pj": "pJ per "
                  "inference", "adds": "nine-tap dot products of a window and time step",
                  "ratios": "baseline / cell, 1"},
        "tools": package_versions(_PACKAGES), "nets": described, "cells": cells,
    }


def write_compare(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write compare.json and compare.csv (net, schedule, format, baseline, origin, quantity, unit, value)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("net", "schedule", "format", "baseline", "origin", "quantity", "unit", "value"))
    for cell in document["cells"]:
        place = tuple(cell[key] for key in ("net", "schedule", "storage", "baseline", "origin"))
        rows = [(f"dram.{stream}_bytes", "B", value) for stream, value in cell["stream_bytes"].items()]
        rows += [(name, unit, cell[name]) for name, unit in _QUANTITIES]
        rows += [(f"energy.{table}.{name}", "pJ", value) for table, priced in cell["energy_pj"].items()
                 for name, value in energy_by_source(priced).items()]
        rows += [(f"ratio.{name}", "1", value) for name, value in cell["ratios"].items()]
        writer.writerows((*place, *row) for row in rows)
    write_text_atomic(folder / CSV_FILE, text.getvalue())
    write_json_atomic(folder / COMPARE_FILE, document)
    return folder / COMPARE_FILE


def read_compare(folder: Path) -> dict[str, Any]:
    """The compare.json in a folder. Raises `SimulationError` if it is missing, damaged or of another format."""
    document = read_priced(folder / COMPARE_FILE)
    if document["format"] != FORMAT:
        raise SimulationError(f"must be of format {FORMAT}", value=document["format"], source=folder / COMPARE_FILE)
    return document


def energy_by_source(priced: Mapping[str, Any]) -> dict[str, float]:
    """Energy of a cell by source, pJ: they add up to its total."""
    names = {name: (name,) for name in priced["on_chip_pj"] if name.endswith("_buffer")}
    names["logic"] = tuple(name for name in priced["on_chip_pj"] if name not in names)
    return {"dram_dynamic": priced["dram"]["dynamic_pj"]} \
        | {name: sum(priced["on_chip_pj"][part] for part in parts) for name, parts in names.items()} \
        | {"dram_refresh": priced["dram"]["refresh_pj"], "dram_background": priced["dram"]["background_pj"]}


def _cell(grid: Grid, net: NetShape, plan: Schedule, storage: StorageFormat, steps: int,
          statistics: NetStatistics) -> dict[str, Any]:
    traffic = Traffic(net=net, config=grid.config, schedule=plan, storage=storage, steps=steps,
                      spike_buffer_bytes=grid.spike_buffer_bytes)
    _check_weight_buffer(traffic)
    counters = expected_counters(traffic, statistics.sub_bit if storage.codebook_bits else statistics.one_bit)
    run = run_trace(traffic, counters, preset=grid.dram)
    need = traffic.spike_buffer_need_bytes
    bank = max(grid.config.spike_buffer_bytes // GROUP_TAPS, ceil_div(need, GROUP_TAPS)
               if grid.spike_buffer_bytes is None else 0)
    layers = [{"name": step.name, "counters": counters[step.name], "memory_ns": step.memory_ns,
               "compute_ns": step.compute_ns} for step in run.steps]
    return _summary(grid, net.name, plan.name, storage.name, MODELLED, layers, run.dram, bank) | {
        "is_bound": storage.is_bound, "steps": steps,
        "requests": sum(step.requests for step in run.steps),
        "memory_us": run.memory_us, "compute_us": run.compute_us, "time_us": run.time_us,
        "spike_buffer_need_bytes": need,
        "maps_in_dram": sorted(traffic.maps_in_dram),
    }


def _check_weight_buffer(traffic: Traffic) -> None:
    """A tile is fetched once because the weight buffer holds it whole: refuse a layer of which that is not so."""
    room = GROUP_TAPS * traffic.config.weight_rows
    for layer in traffic.net.layers:
        slices = math.ceil(layer.num_groups * traffic.storage.bits(layer))
        if slices > room:
            raise LoweringError(f"a tile must fit the weight buffer of {traffic.config.name}: groups*bits <= {room}",
                                value=slices, field=traffic.storage.name,
                                source=f"{traffic.net.name}: layer {layer.name}")


def _summary(grid: Grid, net: str, plan: str, storage: str, origin: str, layers: list[dict[str, Any]], dram: Any,
             bank: int) -> dict[str, Any]:
    """What modelled and measured cells share: traffic, work and energy from counters by layer."""
    counters = [layer["counters"] for layer in layers]
    streams = {stream: sum(one.get(f"dram.{stream}_bytes", 0) for one in counters) for stream in STREAMS}
    return {
        "label": f"{net}, {plan}, {storage}, {origin}", "net": net, "schedule": plan, "storage": storage,
        "baseline": BASELINE, "origin": origin, "stream_bytes": streams,
        "weight_bytes": sum(streams[name] for name in WEIGHT_STREAMS), "all_stream_bytes": sum(streams.values()),
        "adds": sum(one.get("array.adds", 0) for one in counters), "layers": layers, "dram": to_document(dram),
        "spike_buffer_bytes": grid.config.spike_buffer_bytes,
        "spike_bank_bytes": bank,
        "energy_pj": {name: counters_energy(grid.config, counters, dram, load_table(name), spike_bank_bytes=bank)
                      for name in TABLE_NAMES},
    }


def _with_ratios(cell: dict[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any]:
    """The cell with baseline / cell of what it costs."""
    def quantities(one: Mapping[str, Any]) -> dict[str, float]:
        priced = one["energy_pj"]["datasheet"]
        return {"weight_bytes": one["weight_bytes"], "all_stream_bytes": one["all_stream_bytes"],
                "time": one["time_us"], "dram_dynamic_energy": priced["dram"]["dynamic_pj"],
                "energy": priced["total_pj"]}

    mine, theirs = quantities(cell), quantities(baseline)
    return cell | {"ratios": {name: theirs[name] / value if value else None for name, value in mine.items()}}


def _measured_cells(grid: Grid, stats: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The RTL's run of the trained net as cells of `once_chip`, per image; its first net must be the 1-bit one."""
    config = config_of(stats, source="measured")
    if config.digest != grid.config.digest:
        raise ConfigError("a measured run must be of the accelerator that is compared", value=config.name,
                          field="config", source="measured")
    if TRAINED_NET not in grid.nets or "once_chip" not in grid.schedules:
        raise ConfigError(f"a measured run can stand beside net {TRAINED_NET} with schedule once_chip only",
                          value=[*grid.nets, *grid.schedules], source="measured")
    storages = {"binary": packed()} | {f"eta{eta}": sub_bit(eta) for eta in range(2, 7)}
    workload, cells = required(stats, "workload", dict, "measured"), []
    steps, images = (required(workload, name, int, "measured: workload") for name in ("steps", "images"))
    if images < 1:
        raise SimulationError("must be at least 1", value=images, field="images", source="measured: workload")
    for number, found in enumerate(required(stats, "nets", list, "measured")):
        where = f"measured: nets[{number}]"
        label = required(found, "label", str, where)
        if label not in storages or (number == 0) != (label == "binary"):
            raise ConfigError("a measured run must begin with the 1-bit net, and sub-bit nets must follow",
                              value=label, source=where)
        traffic = Traffic(net=net_shape(TRAINED_NET), config=grid.config, schedule=schedule("once_chip"),
                          storage=storages[label], steps=steps)
        cells.append(_measured_cell(grid, found, traffic, images, where))
    return [_with_ratios(cell, cells[0]) for cell in cells]


def _measured_cell(grid: Grid, found: Mapping[str, Any], traffic: Traffic, images: int, where: str) -> dict[str, Any]:
    clock_mhz = grid.config.clock_mhz
    steps = [(required(layer, "name", str, where), counters_of(layer, where))
             for layer in required(found, "layers", list, where)]
    layers = [{"name": name, "counters": {counter: round(value / images) for counter, value in counters.items()}}
              for name, counters in steps]
    names = [name for name, _ in steps[1:]]
    if names != [layer.name for layer in traffic.net.layers]:
        raise ConfigError(f"a measured run must be of net {TRAINED_NET}", value=names, source=where)
    dram = scaled(from_document(required(found, "dram", dict, where), source=where), 1 / images)
    cycles = required(required(found, "counters", dict, where), "cycles.total", int, where)
    return _summary(grid, TRAINED_NET, "once_chip", traffic.storage.name, MEASURED, layers, dram,
                    grid.config.spike_buffer_bytes // GROUP_TAPS) | {
        "is_bound": False, "steps": traffic.steps, "memory_us": None,
        "compute_us": sum(compute_cycles(layer["counters"]) for layer in layers) / clock_mhz,
        "time_us": cycles / images / clock_mhz, "spike_buffer_need_bytes": traffic.spike_buffer_need_bytes,
        "maps_in_dram": []}
