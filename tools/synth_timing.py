"""Fmax, critical path and utilisation from the JSON report of nextpnr, and what its refusals mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# What nextpnr says when the design is sound but the device is too small. Anything else that stops it is a failure.
_DOES_NOT_FIT = re.compile(
    r"no BELs remaining|Unable to find legal placement|Unable to place cell|Unable to find a placement location"
    r"|[Ff]ailed to expand region|[Rr]outing design failed|Failed to route"
)


@dataclass(frozen=True, kw_only=True)
class CriticalPath:
    """The slowest path from register to register.

    Parameters
    ----------
    start, end : cell and port at which it begins and ends.
    total_ns, logic_ns, routing_ns : its delay, and the parts of it; clock-to-output and setup count as logic.
    levels : cells passed between the two registers.
    through_design : False if it lies in the measuring shell alone; then Fmax is a floor.
    """

    start: str
    end: str
    total_ns: float
    logic_ns: float
    routing_ns: float
    levels: int
    through_design: bool


def fmax_mhz(report: Mapping) -> float | None:
    """The lowest frequency reached by any clock; None if nothing is clocked."""
    return min((float(clock["achieved"]) for clock in report["fmax"].values()), default=None)


def critical_path(report: Mapping) -> CriticalPath | None:
    """The slowest path within one clock domain; None if there is none."""
    slowest = None
    for path in report["critical_paths"]:
        if path["from"] != path["to"] or path["from"] == "<async>":
            continue
        steps = path["path"]
        routing = sum(step["delay"] for step in steps if step["type"] == "routing")
        total = sum(step["delay"] for step in steps)
        ends = [steps[0]["from"], steps[-1]["to"]]
        cells = {step[side]["cell"] for step in steps for side in ("from", "to")}
        found = CriticalPath(
            start=f"{ends[0]['cell']}.{ends[0]['port']}", end=f"{ends[1]['cell']}.{ends[1]['port']}",
            total_ns=round(total, 3), logic_ns=round(total - routing, 3), routing_ns=round(routing, 3),
            levels=sum(step["type"] == "logic" for step in steps),
            through_design=any(cell.startswith("dut.") for cell in cells),
        )
        if slowest is None or found.total_ns > slowest.total_ns:
            slowest = found
    return slowest


def refusal(log: str) -> str | None:
    """Why the design does not fit, from the log of a run that failed; None if it failed for another reason.

    An overused resource is named with its counts; otherwise the placer's or router's own line is given.
    """
    errors = [line.removeprefix("ERROR: ").strip() for line in log.splitlines() if line.startswith("ERROR: ")]
    if not any(_DOES_NOT_FIT.search(error) for error in errors):
        return None
    usage = re.findall(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%\s*$", log, re.MULTILINE)
    over = [f"{bel}: {used} needed, {there} available" for bel, used, there in usage if int(used) > int(there)]
    return "; ".join(over) or errors[0]
