"""`s2nn grid`: formats x schedules in the cycle engine, every cycle and byte counted, each beside its 1-bit cell.

All cells of a row run on the same lanes, buffers (in bits), bus and memory, and on the same spikes: a net's weights
are drawn once, from the smallest codebook, and stored in each format. A cell is kept in a file as soon as it is done,
under a digest of all that it depends on, and taken from there next time.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s2nn.hw.sim import memory_map
from s2nn.hw.sim.activity import by_layer
from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.sim.dram_sums import difference, from_document, scaled, to_document, total
from s2nn.hw.sim.energy_table import load_table
from s2nn.hw.sim.engine import EngineSession
from s2nn.hw.sim.engine.native import library
from s2nn.hw.sim.net_catalogue import net_shape
from s2nn.hw.spec.atomic import write_json_atomic
from s2nn.hw.spec.build import build_image, descriptors, runs_by_layer
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.errors import ConfigError, SimulationError
from s2nn.tools.environment import package_versions
from s2nn.tools.grid_layers import layer_rows
from s2nn.tools.grid_machine import (
    BINARY,
    SCHEDULES,
    NetUnderTest,
    achievable_bytes,
    grid_config,
    load_workloads,
    net_under_test,
    presented_windows,
)
from s2nn.tools.pricing import counters_energy
from s2nn.tools.simulation import SimulatedImage, Simulator, Tell

FORMAT, FORMAT_VERSION = "s2nn-grid", 1
ENGINE = "cycle engine"
_TABLE = "datasheet"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is run.

    Parameters
    ----------
    nets, schedules, etas : names of the catalogue and of `SCHEDULES`, and the sub-bit formats beside 1 bit.
    config : preset of the accelerator. dram : preset of the memory.
    images : inputs of each net, one after the other. seed : of weights, and of inputs where there are no real ones.
    datasets : their test images go to the nets with their shape. data_root : folder of the data.
    on_rtl : nets whose cells are run on the RTL as well.
    """

    nets: Sequence[str]
    schedules: Sequence[str] = tuple(SCHEDULES)
    etas: Sequence[int] = (6, 5, 4)
    config: AcceleratorConfig
    dram: str = DEFAULT_PRESET
    images: int = 1
    seed: int = 0
    datasets: Sequence[str] = field(default=())
    data_root: Path | None = None
    on_rtl: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        for name in ("nets", "schedules", "etas"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise ConfigError("must hold at least one, and none twice", value=list(values), field=name)
        for name in self.schedules:
            if name not in SCHEDULES:
                raise ConfigError(f"schedule must be one of {', '.join(SCHEDULES)}", value=name)
        for eta in self.etas:
            if not 2 <= eta <= self.config.index_bits:
                raise ConfigError(f"eta must lie in 2..{self.config.index_bits}", value=eta)
        if unknown := set(self.on_rtl) - set(self.nets):
            raise ConfigError("only a net of the grid can be run on the RTL", value=sorted(unknown))


def run_grid(grid: Grid, out: Path, *, rtl: Simulator | None = None, tell: Tell = lambda line: None) -> dict[str, Any]:
    """Run all cells; returns the document, see the module. `rtl` runs the cells of `grid.on_rtl`.

    Raises `ConfigError` for unknown names, `LoweringError` for a net that cannot be run, `SimulationError` if a run
    hangs or RTL and engine disagree.
    """
    workloads = load_workloads(grid.datasets, grid.images, grid.data_root)
    machine = achievable_bytes(grid.config, grid.dram)
    nets, cells = {}, []
    for name in grid.nets:
        tell(f"{name}: random weights, thresholds set for a firing rate of about a fifth")
        net = net_under_test(net_shape(name), grid.config, eta=min(grid.etas), seed=grid.seed, images=grid.images,
                             workloads=workloads)
        formats = [BINARY, *(f"eta{eta}" for eta in grid.etas)]
        configs = {plan: grid_config(grid.config, net.in_format(BINARY), plan) for plan in grid.schedules}
        nets[name] = {"title": net.shape.title, "source": net.shape.source, "steps": net.shape.steps,
                      "weights": f"random, seed {grid.seed}, the same in every format", "inputs": net.inputs_from,
                      "configs": {plan: config.to_json() for plan, config in configs.items()}}
        for plan, config in configs.items():
            row: list[dict[str, Any]] = []
            for storage in formats:
                tell(f"{name}, {plan}, {storage}")
                counted = _counted(grid, net, plan, storage, config, out, rtl=rtl if name in grid.on_rtl else None)
                row.append(_cell(name, plan, storage, config, counted, achievable=machine["achievable"]))
            cells += [cell | {"ratios": _ratios(cell, row[0])} for cell in row]
    return {
        "format": FORMAT, "version": FORMAT_VERSION, "preset": grid.config.name, "images": grid.images,
        "dram": {"preset": grid.dram} | machine, "energy_table": _TABLE,
        "baseline": f"{BINARY}: one bit per weight, same schedule, lanes, buffers and memory",
        "units": {"counters, bytes, bursts": "per image, mean", "energy_pj": "pJ per image",
                  "ratios": "baseline / cell"},
        "tools": package_versions(["s2nn", "numpy"]), "nets": nets, "cells": cells,
    }


def _counted(grid: Grid, net: NetUnderTest, plan: str, storage: str, config: AcceleratorConfig, out: Path, *,
             rtl: Simulator | None) -> dict[str, Any]:
    """Counters of a cell over all images, from its file or from a run."""
    built = config.as_binary() if storage == BINARY else config
    program = net.in_format(storage)
    image = build_image(built, program, SCHEDULES[plan])
    inputs = [json.dumps(built.to_json(), sort_keys=True).encode(), grid.dram.encode(), image.to_bytes(),
              net.inputs.tobytes(), str(library()._name).encode(), str(rtl is not None).encode()]
    digest = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in inputs)).hexdigest()[:16]
    path = out / "cells" / f"{net.shape.name}-{plan}-{storage}-{digest}.json"
    if path.is_file():
        return json.loads(path.read_text())
    runs = EngineSession(built, program, image, dram=grid.dram).run(net.inputs, result=net.golden)
    layers = dict(by_layer([step for run in runs for step in run.steps]))
    windows = dict.fromkeys(layers, 0)
    for number, of_layer in runs_by_layer(descriptors(image)).items():
        presented = sum(presented_windows(fields, program) for fields in of_layer)
        windows[program.layers[number].name] = len(runs) * presented
    spikes = {made.name: float(made_spikes.spikes.mean())
              for made, made_spikes in zip(program.layers, net.golden.layers, strict=False)}
    drams = [difference(DramStats.from_dict(run.dram["after"]), DramStats.from_dict(run.dram["before"]))
             for run in runs]
    counted = {"images": len(runs), "digest": digest, "layers": layers, "windows": windows, "spikes": spikes,
               "dram": to_document(total(drams)), "steps": len(runs[0].steps),
               "spilled_map_bytes": memory_map.scratch_bytes(config, image),
               "seconds": sum(run.seconds for run in runs), "plan_seconds": sum(run.plan_seconds for run in runs)}
    if rtl is not None:
        measured = rtl.run(built, program, image, net.inputs, run_dir=out / "rtl" / path.stem, tell=lambda line: None)
        counted["rtl"] = _rtl(measured, [run.counters for run in runs], path.stem)
    write_json_atomic(path, counted)
    return counted


def _rtl(measured: Sequence[SimulatedImage], engine: Sequence[Mapping[str, int]], where: str) -> dict[str, Any]:
    """The RTL's counters, which must be the engine's, image by image."""
    for number, (run, counters) in enumerate(zip(measured, engine, strict=True)):
        for name, value in counters.items():
            if run.counters[name] != value:
                raise SimulationError(f"RTL and engine must agree: the engine counts {value}", value=run.counters[name],
                                      field=name, source=f"{where}: image {number}")
    return {"images": len(measured), "counters_compared": len(engine[0]),
            "cycles": sum(run.counters["cycles.total"] for run in measured)}


def _cell(net: str, plan: str, storage: str, config: AcceleratorConfig, counted: Mapping[str, Any], *,
          achievable: float) -> dict[str, Any]:
    """One entry of the document; numbers per image."""
    images, layers = counted["images"], counted["layers"]
    totals = {name: sum(one[name] for one in layers.values()) / images for name in next(iter(layers.values()))}
    dram = from_document(counted["dram"], source=net)
    priced = counters_energy(config, list(layers.values()), dram, load_table(_TABLE))
    return {
        "label": f"{net}, {plan}, {storage}", "net": net, "schedule": plan, "storage": storage, "baseline": BINARY,
        "origin": ENGINE, "is_bound": False, "images": images, "digest": counted["digest"], "counters": totals,
        "stream_bytes": _streams(totals, "bytes"), "stream_bursts": _streams(totals, "bursts"),
        "all_stream_bytes": sum(_streams(totals, "bytes").values()),
        "weight_bytes": totals["dram.index_read_bytes"] + totals["dram.codebook_read_bytes"],
        "descriptors": counted["steps"], "spilled_map_bytes": counted["spilled_map_bytes"],
        "dram": to_document(scaled(dram, 1 / images)), "energy_pj": _scaled_energy(priced, 1 / images),
        "layers": layer_rows(layers, counted["windows"], counted["spikes"], images=images, achievable=achievable),
        "engine_seconds": (counted["seconds"] + counted["plan_seconds"]) / images, "rtl": counted.get("rtl"),
    }


def _streams(counters: Mapping[str, float], unit: str) -> dict[str, float]:
    return {name.removeprefix("dram.").removesuffix(f"_{unit}"): value for name, value in counters.items()
            if name.startswith("dram.") and name.endswith(f"_{unit}")}


def _scaled_energy(priced: Any, factor: float) -> Any:
    if isinstance(priced, Mapping):
        return {name: _scaled_energy(value, factor) for name, value in priced.items()}
    return priced if isinstance(priced, str) else priced * factor


def _ratios(cell: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, float | None]:
    def quantities(one: Mapping[str, Any]) -> dict[str, float]:
        return {"index_bytes": one["counters"]["dram.index_read_bytes"], "all_stream_bytes": one["all_stream_bytes"],
                "cycles": one["counters"]["cycles.total"],
                "dram_dynamic_energy": one["energy_pj"]["dram"]["dynamic_pj"],
                "energy": one["energy_pj"]["total_pj"]}

    mine, theirs = quantities(cell), quantities(baseline)
    return {name: theirs[name] / value if value else None for name, value in mine.items()}
