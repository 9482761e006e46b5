"""What limits each layer of a run, from its counters: the array, or the memory, or neither.

    utilisation      cycles in which the array took an active window (all lanes at once) / cycles of the layer
    bandwidth share  bytes moved on the bus / (cycles of the layer x bytes that memory and bus can move in one)

A layer is called compute-bound if its utilisation is the larger of the two, memory-bound otherwise. The cycles of a
layer are those of all that is done for it, loads and stores of spilled maps included. Traffic belongs to the layer that
it is for, cycles to the one that runs: weights that were fetched while the layer before ran can make a share exceed 1.
"""

from collections.abc import Mapping
from typing import Any

from s2nn.hw.spec.registers import Cause

#: What a layer should reach, of the array's cycles and of the memory's bytes.
UTILISATION_TARGET, BANDWIDTH_TARGET = 0.90, 0.95


def layer_rows(layers: Mapping[str, Mapping[str, int]], windows: Mapping[str, int], maps: Mapping[str, float], *,
               images: int, achievable: float) -> list[dict[str, Any]]:
    """One row per layer, cycles and bytes per image.

    Parameters
    ----------
    layers : counters over all images. windows : presented to the array, over all images; 0 where none are.
    maps : mean value of the map that each layer makes: its firing rate, or sums of spikes behind residuals.
    achievable : bytes per cycle.
    """
    return [{"name": name} | _row(counters, achievable, images)
            | {"active_share": counters["array.active_windows"] / windows[name] if windows[name] else None,
               "map_mean": maps.get(name)} for name, counters in layers.items()]


def _row(counters: Mapping[str, int], achievable: float, images: int) -> dict[str, Any]:
    cycles, compute = counters["cycles.total"], counters["cycles.compute"]
    moved = sum(value for name, value in counters.items() if name.startswith("dram.") and name.endswith("_bytes"))
    utilisation, share = compute / cycles, moved / (cycles * achievable)
    compute_bound = utilisation >= share
    met = utilisation >= UTILISATION_TARGET if compute_bound else share >= BANDWIDTH_TARGET
    others = {cause.name.lower(): counters[f"cycles.{cause.name.lower()}"] for cause in Cause
              if cause is not Cause.COMPUTE}
    worst = max(others, key=lambda name: others[name])
    return {"cycles": cycles / images, "compute": compute / images, "bytes": moved / images,
            "utilisation": utilisation, "bandwidth_share": share, "bound": "compute" if compute_bound else "memory",
            "met": met, "main_stall": None if met else worst,
            "main_stall_share": None if met else others[worst] / cycles}
