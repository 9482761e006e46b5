"""`s2nn bench engine`: how many clock cycles per second the cycle engine runs, on random programs of whole nets."""

import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from rich.table import Table

from s2nn.hw.sim import functional
from s2nn.hw.sim.dram import DEFAULT_PRESET
from s2nn.hw.sim.engine import EngineSession
from s2nn.hw.sim.net_shapes import NetShape, net_shape
from s2nn.hw.sim.random_program import net_layers, random_images, random_program, random_spikes
from s2nn.hw.spec.build import build_image
from s2nn.hw.spec.config import ULX3S, AcceleratorConfig
from s2nn.hw.spec.program import Grouping, Program
from s2nn.tools.environment import package_versions
from s2nn.tools.simulation import Tell

#: Sixteen lanes with room for the maps and sums of nets of CIFAR size.
ROOMY = replace(ULX3S, name="ulx3s-roomy", weight_rows=4096, spike_words=8192, accumulator_bits=26, membrane_bits=32)
_ETA, _CLASSIFIER_PLANES = 4, 4


def bench_engine(nets: Sequence[str], *, images: int, repetitions: int, seed: int,
                 tell: Tell = lambda line: None) -> dict[str, Any]:
    """Measure each net; returns one JSON document.

    nets : names of `net_shapes`; weights, thresholds and images are random, at a firing rate of about a fifth.

    Seconds are CPU time of this process per image: of the golden model that finds the spikes, of the plan that the
    engine makes of them, and of the engine's core, whose cycles per second are given.
    """
    series = []
    for name in nets:
        net = net_shape(name)
        tell(f"{net.title}: random program")
        program = net_program(seed, ROOMY, net)
        image = build_image(ROOMY, program)
        inputs = (random_spikes(seed, net.input_shape, images, steps=net.steps) if net.input_spikes
                  else random_images(seed, net.input_shape, images))
        EngineSession(ROOMY, program, image).run(inputs[:1])  # compiles what is not compiled yet
        golden_seconds, plan_seconds, seconds, cycles, skipped = [], [], [], 0, 0
        for number in range(repetitions):
            tell(f"{net.title}: repetition {number + 1} of {repetitions}")
            started = time.process_time()
            golden = functional.run(program, inputs)
            golden_seconds.append((time.process_time() - started) / images)
            runs = EngineSession(ROOMY, program, image).run(inputs, result=golden)
            seconds.append(sum(run.seconds for run in runs) / images)
            plan_seconds.append(sum(run.plan_seconds for run in runs) / images)
            cycles = sum(run.counters["cycles.total"] for run in runs) // images
            skipped = sum(run.skipped for run in runs) // images
        series.append({"net": name, "cycles": cycles, "skipped": skipped, "seconds": seconds,
                       "plan_seconds": plan_seconds, "golden_seconds": golden_seconds,
                       "cycles_per_s": cycles / median(seconds)})
    return {"config": ROOMY.name, "config_digest": ROOMY.digest.hex(), "images": images, "seed": seed,
            "dram": DEFAULT_PRESET, "versions": package_versions(["numpy"]), "series": series}


def net_program(seed: int, config: AcceleratorConfig, net: NetShape) -> Program:
    """A random program of a net's shape."""
    pooled = net.layers[-1].global_pool
    return random_program(seed, config, in_shape=net.input_shape, layers=net_layers(net, eta=_ETA), name=net.name,
                          classes=net.layers[-1].c_out, classifier_planes=_CLASSIFIER_PLANES, steps=net.steps,
                          classifier_grouping=Grouping.INPUTS if pooled else Grouping.TAPS,
                          classifier_shared_taps=pooled, spike_input=net.input_spikes)


def bench_table(result: dict[str, Any]) -> Table:
    """The document for a terminal."""
    table = Table(title=f"cycle engine, {result['config']}, {result['images']} images", title_justify="left",
                  caption="per image; medians, CPU time; cycles/s of the core", caption_justify="left")
    for name in ("net", "cycles", "skipped", "core s", "plan s", "golden s", "M cycles/s"):
        table.add_column(name, justify="left" if name == "net" else "right")
    for part in result["series"]:
        table.add_row(part["net"], f"{part['cycles']:,}", f"{100 * part['skipped'] / part['cycles']:.0f} %",
                      *(f"{median(part[name]):.3f}" for name in ("seconds", "plan_seconds", "golden_seconds")),
                      f"{part['cycles_per_s'] / 1e6:.1f}")
    return table
