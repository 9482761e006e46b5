"""`s2nn bench engine`: how many clock cycles per second the cycle engine runs, on random programs of whole nets."""

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from rich.table import Table

from s2nn.hw.sim import functional
from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.hw.sim.engine import EngineSession
from s2nn.hw.sim.net_catalogue import net_shape
from s2nn.hw.sim.net_shapes import NetShape, enlarged
from s2nn.hw.sim.random_program import built_for, net_program, random_images, random_spikes
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import ULX3S, AcceleratorConfig
from s2nn.tools.environment import package_versions
from s2nn.tools.simulation import Tell

#: Sixteen lanes with room for the maps and sums of nets of CIFAR size.
ROOMY = replace(ULX3S, name="ulx3s-roomy", weight_rows=4096, spike_words=8192, accumulator_bits=26, membrane_bits=32)
_ETA, _CLASSIFIER_PLANES = 4, 4
#: Room for a map of eight steps, or of four times the positions.
_SCALING_SPIKE_WORDS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row: a net on a configuration, with a title."""

    title: str
    net: NetShape
    config: AcceleratorConfig


def named_cases(nets: Sequence[str]) -> list[Case]:
    """Nets of the catalogue. Raises `ConfigError` for an unknown name."""
    return [Case(title=name, net=net_shape(name), config=ROOMY) for name in nets]


def scaling_cases(name: str) -> list[Case]:
    """A net, then with other T, with twice the lanes, and with an input twice as high and wide."""
    net, config = net_shape(name), replace(ROOMY, spike_words=_SCALING_SPIKE_WORDS)
    steps = [Case(title=f"{name}, T = {count}", net=replace(net, steps=count), config=config) for count in (2, 8)]
    large, (_, height, width) = enlarged(net, 2), net.input_shape
    return [Case(title=f"{name}, T = {net.steps}, {config.lanes} lanes, {height}x{width}", net=net, config=config),
            *steps, Case(title=f"{name}, {2 * config.lanes} lanes", net=net,
                         config=replace(config, lanes=2 * config.lanes)),
            Case(title=f"{name}, {2 * height}x{2 * width}", net=large, config=config)]


def bench_engine(cases: Sequence[Case], *, images: int, repetitions: int, seed: int,
                 tell: Tell = lambda line: None) -> dict[str, Any]:
    """Measure each case; returns one JSON document.

    Weights, thresholds and images are random, at a firing rate of about a fifth. Seconds are CPU time of this process
    per image: of the golden model that finds the spikes, of the plan that the engine makes of them, and of the engine's
    core, whose cycles per second are given. The peak of memory is that of the process so far.
    """
    return {"config": ROOMY.name, "config_digest": ROOMY.digest.hex(), "images": images, "seed": seed,
            "dram": DEFAULT_PRESET, "versions": package_versions(["numpy"]),
            "series": [_measure(case, images=images, repetitions=repetitions, seed=seed, tell=tell) for case in cases]}


def _measure(case: Case, *, images: int, repetitions: int, seed: int, tell: Tell) -> dict[str, Any]:
    net, config = case.net, built_for(case.config, case.net)
    tell(f"{case.title}: random program")
    inputs = (random_spikes(seed, net.input_shape, images, steps=net.steps) if net.input_spikes
              else random_images(seed, net.input_shape, images))
    program = net_program(seed, config, net, eta=_ETA, classifier_planes=_CLASSIFIER_PLANES, calibration=inputs)
    image = build_image(config, program)
    EngineSession(config, program, image).run(inputs[:1])  # compiles what is not compiled yet
    golden_seconds, plan_seconds, seconds, cycles, skipped = [], [], [], 0, 0
    for number in range(repetitions):
        tell(f"{case.title}: repetition {number + 1} of {repetitions}")
        started = time.process_time()
        golden = functional.run(program, inputs)
        golden_seconds.append((time.process_time() - started) / images)
        runs = EngineSession(config, program, image).run(inputs, result=golden)
        seconds.append(sum(run.seconds for run in runs) / images)
        plan_seconds.append(sum(run.plan_seconds for run in runs) / images)
        cycles = sum(run.counters["cycles.total"] for run in runs) // images
        skipped = sum(run.skipped for run in runs) // images
    # Ref: getrusage(2): kilobytes on Linux.
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"net": case.title, "cycles": cycles, "skipped": skipped, "seconds": seconds, "plan_seconds": plan_seconds,
            "golden_seconds": golden_seconds, "cycles_per_s": cycles / median(seconds), "peak_memory_bytes": peak}


def bench_table(result: dict[str, Any]) -> Table:
    """The document for a terminal."""
    table = Table(title=f"cycle engine, {result['config']}, {result['images']} images", title_justify="left",
                  caption="per image; medians, CPU time; cycles/s of the core", caption_justify="left")
    for name in ("net", "cycles", "skipped", "core s", "plan s", "golden s", "M cycles/s", "peak MB"):
        table.add_column(name, justify="left" if name == "net" else "right")
    for part in result["series"]:
        table.add_row(part["net"], f"{part['cycles']:,}", f"{100 * part['skipped'] / part['cycles']:.0f} %",
                      *(f"{median(part[name]):.3f}" for name in ("seconds", "plan_seconds", "golden_seconds")),
                      f"{part['cycles_per_s'] / 1e6:.1f}", f"{part['peak_memory_bytes'] / 1e6:.0f}")
    return table
