"""`s2nn dram` prices a request trace, `s2nn dram-gaps` shows what the timing model enforces."""

import dataclasses
from pathlib import Path
from typing import Any

from rich.table import Table

from s2nn.hw.sim.dram import ControllerConfig, DramModel, DramStandard, EngineName, write_trace
from s2nn.hw.sim.dram.gaps import act_train, least_gaps
from s2nn.hw.sim.dram.requests import read_requests
from s2nn.hw.sim.energy import dram_energy
from s2nn.hw.sim.energy_table import load_table


def simulate_trace(path: Path, standard: DramStandard, *, config: ControllerConfig, cycles: int | None,
                   engine: EngineName, commands: Path | None, with_interface: bool) -> dict[str, Any]:
    """Run the requests in `path` and return counts, cycles, latencies and energies as one JSON document.

    Parameters
    ----------
    cycles : DRAM cycles to simulate, [0, cycles); None: until the last data beat of the last request.
    commands : CSV file for the commands.
    with_interface : price the data pins, too.
    """
    model = DramModel(standard, config=config, engine=engine, record_trace=commands is not None)
    requests = read_requests(path, capacity_bytes=model.address_map.capacity_bytes)
    burst_bytes = model.address_map.burst_bytes
    model.submit_all(requests.addresses // burst_bytes * burst_bytes, requests.is_write, requests.arrival_cycles)
    if cycles is None:
        model.drain()
    else:
        model.advance(cycles)
    if commands is not None:
        write_trace(commands, model.trace)
    stats = model.stats()
    energy = dram_energy(stats, load_table(), standard, with_interface=with_interface)
    states = ("active_standby", "precharge_standby", "active_power_down", "precharge_power_down", "self_refresh")
    return {
        "trace": str(path),
        "preset": standard.name,
        "t_ck_ps": standard.timing.t_ck_ps,
        "requests": {"total": len(requests.addresses), "served": stats.num_requests, "pending": model.num_pending},
        "commands": {name: getattr(stats, f"num_{name}")
                     for name in ("act", "pre", "prea", "rd", "wr", "ref", "pde", "pdx", "sre", "srx")},
        "cycles": {"last_column_command": stats.last_column_command_cycle, "finish": stats.finish_cycle,
                   "simulated": stats.cycles,
                   **{name: getattr(stats, f"{name}_cycles") for name in (*states, "refresh")}},
        "bytes": {"read": stats.read_bytes, "write": stats.write_bytes},
        "bus_utilisation": stats.bus_utilisation,
        "row_hits": stats.row_hits,
        "row_misses": stats.row_misses,
        "row_conflicts": stats.row_conflicts,
        "read_latency": {"min": stats.read_latency_min_cycles, "mean": stats.read_latency_mean_cycles,
                         "max": stats.read_latency_max_cycles},
        "energy_pj": {"act_pre": energy["act_pre_pj"], "rd": energy["rd_pj"], "wr": energy["wr_pj"],
                      "interface": energy["interface_pj"], "ref": energy["refresh_pj"],
                      "background": energy["background_pj"], "dynamic": energy["dynamic_pj"],
                      "total": energy["total_pj"],
                      "background_by_state": {name: energy[f"{name}_pj"] for name in states}},
        "banks": [dataclasses.asdict(bank) for bank in model.bank_stats()],
    }


def trace_tables(result: dict[str, Any]) -> list[Table]:
    """The document of `simulate_trace` for a terminal."""
    table = Table(title=f"{result['trace']} on {result['preset']}", title_justify="left")
    for name in ("", "", "unit"):
        table.add_column(name, justify="right" if name else "left")
    table.columns[1].justify = "right"
    latency, cycles = result["read_latency"], result["cycles"]
    for name, value, unit in (
        *((f"requests {name}", count, "") for name, count in result["requests"].items()),
        *((f"commands {name.upper()}", count, "") for name, count in result["commands"].items() if count),
        *((name.replace("_", " "), result[name], "") for name in ("row_hits", "row_misses", "row_conflicts")),
        ("read latency min / mean / max", f"{latency['min']} / {latency['mean']:.1f} / {latency['max']}", "cycles"),
        *((name.replace("_", " "), cycles[name], "cycles") for name in ("last_column_command", "finish", "simulated")),
        ("data bus busy", f"{100 * result['bus_utilisation']:.1f}", "%"),
        *((f"energy {name.replace('_', ' ')}", f"{value / 1000:.3f}", "nJ")
          for name, value in result["energy_pj"].items() if name != "background_by_state"),
    ):
        table.add_row(name, str(value), unit)
    banks = Table(title="by bank", title_justify="left")
    for name in result["banks"][0]:
        banks.add_column(name.removeprefix("num_").replace("_", " "), justify="right")
    for bank in result["banks"]:
        banks.add_row(*map(str, bank.values()))
    return [table, banks]


def describe_gaps(standard: DramStandard) -> dict[str, Any]:
    """Least gaps in cycles of every ordered pair of commands, and the cycles of five ACTs, as one JSON document."""
    gaps = [dataclasses.asdict(gap) for gap in least_gaps(standard)]
    return {
        "preset": standard.name,
        "t_ck_ps": standard.timing.t_ck_ps,
        "gaps": [gap | {name: gap[name].name for name in ("preceding", "following")} for gap in gaps],
        "act_train": act_train(standard),
    }


def gaps_table(result: dict[str, Any]) -> Table:
    """The document of `describe_gaps` for a terminal: pairs that must be more than a cycle apart somewhere."""
    table = Table(title=f"{result['preset']}: least gaps in cycles", title_justify="left",
                  caption=f"ACTs at {', '.join(map(str, result['act_train']))}", caption_justify="left")
    places = ("same_bank", "same_bank_group", "other_bank_group")
    for name in ("preceding", "following", *places):
        table.add_column(name.replace("_", " "), justify="right" if name in places else "left")
    for gap in result["gaps"]:
        if any(gap[place] not in (None, 1) for place in places):
            values = ("-" if gap[place] is None else str(gap[place]) for place in places)
            table.add_row(gap["preceding"], gap["following"], *values)
    return table
