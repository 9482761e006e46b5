"""Runs a program on inputs in the engine as the bench does on the RTL: one after the other, without a reset between."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim import functional, memory_map
from s2nn.hw.sim.activity import by_layer
from s2nn.hw.sim.axi import AxiStalls, BusMemory
from s2nn.hw.sim.dram import DEFAULT_PRESET, ControllerConfig, DramStandard
from s2nn.hw.sim.engine import host
from s2nn.hw.sim.engine.native import Core, Span, library
from s2nn.hw.sim.engine.plan import plan_image, totals
from s2nn.hw.spec.build import descriptors
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.spec.image import MemoryImage, SectionKind
from s2nn.hw.spec.program import Program
from s2nn.hw.spec.registers import COUNTERS

#: Cycles after which a run counts as hung, per image.
TIMEOUT_CYCLES = 2_000_000_000


@dataclass(frozen=True, kw_only=True)
class EngineRun:
    """One image in the engine.

    Parameters
    ----------
    steps : (name, counters) of each descriptor, in order. Cycles belong to the descriptor that runs, traffic to the one
        that it is for.
    spans : what ran when; empty without `record_trace`.
    axi : bytes and bursts that crossed the bus, as the memory counted them: {"read_bytes", ..., "regions": {...}}.
    dram : statistics of the DRAM model, raw counters before and after the run; empty without DRAM.
    seconds, plan_seconds : CPU time of the core, and of what it must know of the spikes before; of this thread alone.
    skipped : cycles that were not simulated one by one.
    """

    steps: tuple[tuple[str, Mapping[str, int]], ...]
    spans: tuple[Span, ...]
    axi: dict[str, Any]
    dram: dict[str, Any]
    seconds: float
    plan_seconds: float
    skipped: int

    @property
    def counters(self) -> dict[str, int]:
        """Counters of the whole run, as the registers hold them at its end."""
        return totals([counters for _, counters in self.steps])

    @property
    def layers(self) -> tuple[tuple[str, Mapping[str, int]], ...]:
        """Counters of the input load and of each layer, with all that is done for it."""
        return by_layer(self.steps)


class EngineSession:
    """An accelerator and its memory through a row of runs.

    What the DRAM is doing carries over from one to the next, and so do the resident weights, which the first run reads.

    Parameters
    ----------
    image : the packed program.
    dram, controller : of the memory; None: no DRAM, every beat after a fixed time. stalls : of the bus.
    timeout_cycles : after which a run counts as hung.
    record_trace : keep what ran when, for `EngineRun.spans`.
    skips : take cycles in which only counters run down at once; without it the same comes out, later.
    """

    def __init__(self, config: AcceleratorConfig, program: Program, image: MemoryImage, *,
                 dram: DramStandard | str | None = DEFAULT_PRESET, controller: ControllerConfig | None = None,
                 stalls: AxiStalls | None = None, timeout_cycles: int = TIMEOUT_CYCLES,
                 skips: bool = True, record_trace: bool = False):
        self._config, self._program, self._descriptors = config, program, descriptors(image)
        self._timeout_cycles, self._skips = timeout_cycles, skips
        addresses = memory_map.place(config, image)
        self._memory = BusMemory(
            library(), data_bits=config.axi_data_bits, clock_period_ps=config.clock_period_ps,
            size_bytes=memory_map.memory_bytes(config, image, addresses), dram=dram, controller=controller,
            stalls=stalls,
            regions=memory_map.regions(config, image, addresses))
        self._core = Core(config, self._descriptors, self._memory, addresses=addresses,
                          descriptor_offset=image.offset(SectionKind.DESCRIPTORS), record_trace=record_trace)
        self._num_spans, self._has_run = 0, False
        self._core.reset(host.RESET_EDGES)
        self._core.idle(host.RELEASE_EDGES + host.SETUP_EDGES)

    def run(self, inputs: NDArray[np.uint8], *, result: functional.FunctionalResult | None = None) -> list[EngineRun]:
        """Run each input in turn: images (B, C, H, W) or spikes (B, T, C, H, W) uint8.

        result : the golden model's run of the inputs; None runs it.

        Raises SimulationError if a run hangs or breaks the AXI rules, DataError for inputs that do not fit the program.
        """
        golden = functional.run(self._program, inputs) if result is None else result
        if len(golden.logits) != len(inputs):
            raise SimulationError(f"must be the result of {len(inputs)} images", value=len(golden.logits),
                                  field="result", source=self._program.name)
        return [self._run_image(inputs, golden, number) for number in range(len(inputs))]

    def _run_image(self, inputs: NDArray[np.uint8], golden: functional.FunctionalResult, number: int) -> EngineRun:
        core, started = self._core, time.thread_time()
        plans = plan_image(self._config, self._program, self._descriptors, inputs, golden, number)
        planned = time.thread_time()
        core.idle(host.INPUT_EDGES)
        skipped, (axi_before, dram_before) = core.skipped, self._books()
        core.idle(host.START_EDGES)
        clocked = time.thread_time()
        counted = core.run([plan.costs for plan in plans], keep_weights=self._has_run,
                           timeout_cycles=self._timeout_cycles, skips=self._skips)
        self._has_run, seconds = True, time.thread_time() - clocked
        self._memory.check()
        if counted is None:
            raise SimulationError(f"a run must end within {self._timeout_cycles} cycles", source=f"input {number}")
        core.idle(host.FINISH_EDGES)
        axi_after, dram_after = self._books()
        core.idle(host.COLLECT_EDGES)
        steps = []
        for plan, of_step, fields in zip(plans, counted, self._descriptors, strict=True):
            counters = of_step.as_dict(fields["opcode"]) | plan.counters
            steps.append((plan.name, {name: counters[name] for name in COUNTERS}))
        spans = tuple(core.spans(self._num_spans))
        self._num_spans += len(spans)
        return EngineRun(steps=tuple(steps), spans=spans, axi=_difference(axi_after, axi_before),
                         dram={"before": dram_before, "after": dram_after}, seconds=seconds,
                         plan_seconds=planned - started, skipped=core.skipped - skipped)

    def _books(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What bus and DRAM have counted so far."""
        stats = self._memory.finish_at((self._core.edges - 1) * self._config.clock_period_ps)
        return self._memory.counters(), {} if stats is None else stats.as_dict()


def _difference(after: Any, before: Any) -> Any:
    """Counters of one run from the totals after and before it."""
    if isinstance(after, dict):
        return {key: _difference(value, before[key]) for key, value in after.items()}
    return after - before
