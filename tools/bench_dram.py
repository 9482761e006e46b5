"""`s2nn bench dram`: how many requests per second the C++ core of the DRAM model serves in batches."""

import time
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from s2nn.hw.sim.dram import PRESET_NAMES, DramModel
from s2nn.tools.environment import package_versions
from s2nn.tools.simulation import Tell

#: Series: reads in address order, reads of random bursts, and random bursts of which every third is written.
PATTERNS: tuple[str, ...] = ("sequential reads", "random reads", "random mixed")
_WRITE_EVERY = 3


def bench_dram(requests: int, *, repetitions: int, seed: int, tell: Tell = lambda line: None) -> dict[str, Any]:
    """Measure every preset with every pattern, each once before any is repeated; returns one JSON document.

    Seconds are CPU time of this process from the first request submitted to the last served.
    """
    seconds: dict[str, dict[str, list[float]]] = {name: {pattern: [] for pattern in PATTERNS} for name in PRESET_NAMES}
    cycles = {name: dict.fromkeys(PATTERNS, 0) for name in PRESET_NAMES}
    for number in range(repetitions):
        tell(f"repetition {number + 1} of {repetitions}")
        for name in PRESET_NAMES:
            for pattern in PATTERNS:
                model = DramModel(name)
                addresses, is_write = _stream(model, pattern, requests, seed)
                started = time.process_time()
                model.submit_all(addresses, is_write)
                cycles[name][pattern] = model.drain()
                seconds[name][pattern].append(time.process_time() - started)
    return {
        "requests": requests, "seed": seed, "versions": package_versions(["numpy"]),
        "series": [{"preset": name, "pattern": pattern, "cycles": cycles[name][pattern], "seconds": spent,
                    "requests_per_s": requests / median(spent)}
                   for name, of_preset in seconds.items() for pattern, spent in of_preset.items()],
    }


def _stream(model: DramModel, pattern: str, requests: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Addresses and directions."""
    burst_bytes = model.address_map.burst_bytes
    num_bursts = model.address_map.capacity_bytes // burst_bytes
    numbers = np.arange(requests)
    is_write = numbers % _WRITE_EVERY == _WRITE_EVERY - 1 if pattern == "random mixed" else np.zeros(requests, bool)
    bursts = numbers % num_bursts
    if pattern != "sequential reads":
        bursts = np.random.default_rng(seed).integers(num_bursts, size=requests)
    return bursts * burst_bytes, is_write


def bench_table(result: dict[str, Any]) -> Table:
    """The document for a terminal."""
    table = Table(title=f"DRAM core, {result['requests']:,} requests", title_justify="left",
                  caption="medians, CPU time of one core", caption_justify="left")
    for name in ("preset", "pattern", "million requests/s", "spread", "DRAM cycles per request"):
        table.add_column(name, justify="left" if name in ("preset", "pattern") else "right")
    for series in result["series"]:
        low, high = (result["requests"] / pick(series["seconds"]) / 1e6 for pick in (max, min))
        table.add_row(series["preset"], series["pattern"], f"{series['requests_per_s'] / 1e6:.2f}",
                      f"{low:.2f} .. {high:.2f}", f"{series['cycles'] / result['requests']:.2f}")
    return table
