"""`s2nn bench rtl`: how many clock cycles per second the simulated RTL runs, and what the memory costs of that."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.tb.runner import run_clock, simulate_rtl
from s2nn.tools.environment import package_versions
from s2nn.tools.lowering import DEFAULT_PAIR, common_workload, lower_checkpoint
from s2nn.tools.rtl import design_folder
from s2nn.tools.simulation import Tell

DRAM, FIXED = "images, DRAM", "images, fixed latency"
IDLE, TIED_OFF = "idle, AXI memory", "idle, AXI inputs tied off"

#: What is divided by what.
RATIOS = ((DRAM, FIXED, "what the DRAM model leaves of the speed"), (IDLE, TIED_OFF, "what the AXI memory leaves"))


def bench_rtl(config: AcceleratorConfig, checkpoint: str | None, *, images: int, repetitions: int, idle_cycles: int,
              build_dir: Path, out: Path, data_root: Path | None = None,
              tell: Tell = lambda line: None) -> dict[str, Any]:
    """Measure the four series, each once before any is repeated; returns one JSON document.

    Parameters
    ----------
    checkpoint : the net; None takes the shipped sub-bit one. images : of its held-out split, per repetition.
    idle_cycles : how long the clock runs with the design idle.
    build_dir : Verilog and simulators, see `RtlSimulator`. out : logs and results of the runs.

    Seconds are CPU time of the simulator from each image's start to its interrupt, or of the idle cycles.
    """
    net = lower_checkpoint(checkpoint or DEFAULT_PAIR[1], config)
    workload = common_workload([net], images, data_root=data_root)
    image = build_image(net.config, net.program)
    tell(f"RTL of {config.name}: Verilog and two simulators; the first build takes minutes")
    design = design_folder(net.config, build_dir)

    def with_images(dram: str | None, folder: str) -> tuple[int, float]:
        runs = simulate_rtl(net.config, design, image, list(workload.images), build_dir=design / "verilator",
                            run_dir=out / folder, dram=dram)
        return sum(run.counters["cycles.total"] for run in runs), sum(run.seconds for run in runs)

    def idle(has_memory: bool, folder: str) -> tuple[int, float]:
        build = design / ("verilator" if has_memory else "verilator-tied-off")
        return idle_cycles, run_clock(design, build_dir=build, run_dir=out / folder, cycles=idle_cycles,
                                      clock_period_ps=net.config.clock_period_ps, has_memory=has_memory)

    series: dict[str, Callable[[], tuple[int, float]]] = {
        DRAM: lambda: with_images(DEFAULT_PRESET, "dram"), FIXED: lambda: with_images(None, "fixed"),
        IDLE: lambda: idle(True, "idle"), TIED_OFF: lambda: idle(False, "tied-off")}
    measured = {name: [] for name in series}
    for number in range(repetitions):
        tell(f"repetition {number + 1} of {repetitions}")
        for name, measure in series.items():
            measured[name].append(measure())
    rates = {name: [cycles / seconds for cycles, seconds in runs] for name, runs in measured.items()}
    return {
        "net": net.checkpoint, "config": config.name, "config_digest": net.config.digest.hex(), "images": images,
        "dram": DEFAULT_PRESET, "versions": package_versions(["verilator", "cocotb", "amaranth"]),
        "series": [{"name": name, "cycles": [cycles for cycles, _ in runs], "seconds": [seconds for _, seconds in runs],
                    "cycles_per_s": median(rates[name])} for name, runs in measured.items()],
        "ratios": [{"of": name, "to": base, "meaning": meaning, "ratio": median(rates[name]) / median(rates[base])}
                   for name, base, meaning in RATIOS],
    }


def bench_table(result: dict[str, Any]) -> Table:
    """The document for a terminal."""
    ratios = "\n".join(f"{part['of']} / {part['to']}: {100 * part['ratio']:.1f} %, {part['meaning']}"
                       for part in result["ratios"])
    table = Table(title=f"RTL of {result['config']}, {result['net']}, {result['images']} images", title_justify="left",
                  caption=f"medians, CPU time of one core\n{ratios}", caption_justify="left")
    for name in ("series", "cycles", "thousand cycles/s", "spread"):
        table.add_column(name, justify="left" if name == "series" else "right")
    for part in result["series"]:
        rates = [cycles / seconds / 1e3 for cycles, seconds in zip(part["cycles"], part["seconds"], strict=True)]
        table.add_row(part["name"], f"{part['cycles'][0]:,}", f"{part['cycles_per_s'] / 1e3:.1f}",
                      f"{min(rates):.1f} .. {max(rates):.1f}")
    return table
