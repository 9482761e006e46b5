"""Sums, differences and multiples of `DramStats`: which of its fields add up over runs of one memory."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from s2nn.hw.sim.dram import preset
from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.spec.errors import SimulationError

# Fields that are not sums over time: what the memory is, and extremes since its start.
_NOT_ADDITIVE = ("preset", "t_ck_ps", "n_bl", "read_latency_min_cycles", "read_latency_max_cycles",
                 "last_column_command_cycle", "finish_cycle")
#: Fields that add up over runs.
ADDITIVE_FIELDS = tuple(field.name for field in fields(DramStats) if field.name not in _NOT_ADDITIVE)


def difference(after: DramStats, before: DramStats) -> DramStats:
    """Statistics of what happened between two snapshots of one memory; extremes are those of `after`."""
    return replace(after, **{name: getattr(after, name) - getattr(before, name) for name in ADDITIVE_FIELDS})


def total(runs: Sequence[DramStats]) -> DramStats:
    """Statistics of several runs of one memory together, at least one; extremes are those of the last."""
    return replace(runs[-1], **{name: sum(getattr(run, name) for run in runs) for name in ADDITIVE_FIELDS})


def scaled(run: DramStats, factor: float) -> DramStats:
    """Statistics of a run `factor` times as long, rounded to whole counts."""
    return replace(run, **{name: round(factor * getattr(run, name)) for name in ADDITIVE_FIELDS})


def to_document(run: DramStats) -> dict[str, Any]:
    """What adds up, with the memory's name and clock, as JSON values."""
    return {"preset": run.preset, "t_ck_ps": run.t_ck_ps} | {name: getattr(run, name) for name in ADDITIVE_FIELDS}


def from_document(document: Mapping[str, Any], *, source: object) -> DramStats:
    """Inverse of `to_document`; extremes, which it does not hold, are 0. Raises `SimulationError` for what is absent or
    not a count, `ConfigError` for a memory that is not known."""
    if not isinstance(document.get("preset"), str):
        raise SimulationError("must be a name", value=document.get("preset"), field="dram.preset", source=source)
    for name in ADDITIVE_FIELDS:
        value = document.get(name)
        if not isinstance(value, int) or value < 0:
            raise SimulationError("must be a count", value=value, field=f"dram.{name}", source=source)
    timing = preset(document["preset"]).timing
    extremes = dict.fromkeys(_NOT_ADDITIVE, 0) | {"preset": document["preset"], "t_ck_ps": timing.t_ck_ps,
                                                  "n_bl": timing.n_bl}
    return DramStats(**extremes, **{name: document[name] for name in ADDITIVE_FIELDS})
