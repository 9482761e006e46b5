"""A request trace through the DRAM model: how long the memory takes, and what it does meanwhile.

Requests of one layer are all there from its start, so the controller takes them as fast as it can: the time is
memory-bound. Where the engine computes longer than that, the memory then idles (refreshing, drawing standby) until the
layer is computed: perfect overlap within a layer, none between layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from s2nn.hw.sim.dram import DramModel
from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.sim.dram_sums import difference, total
from s2nn.hw.sim.traffic import Traffic, column_bursts
from s2nn.hw.sim.work import compute_cycles


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """One step (the input load or a layer): its DRAM bursts, and its two times in ns."""

    name: str
    requests: int
    memory_ns: float
    compute_ns: float

    @property
    def time_ns(self) -> float:
        """The longer of the two."""
        return max(self.memory_ns, self.compute_ns)


@dataclass(frozen=True, kw_only=True)
class TraceRun:
    """One inference on the memory. `dram` covers the whole time, idle memory included."""

    steps: tuple[StepTime, ...]
    dram: DramStats

    @property
    def memory_us(self) -> float:
        """Memory-bound time: the memory never waits."""
        return sum(step.memory_ns for step in self.steps) / 1000

    @property
    def compute_us(self) -> float:
        """Compute-bound time: the engine never waits."""
        return sum(step.compute_ns for step in self.steps) / 1000

    @property
    def time_us(self) -> float:
        """Each layer takes the longer of its two times."""
        return sum(step.time_ns for step in self.steps) / 1000


def run_trace(traffic: Traffic, counters: Mapping[str, Mapping[str, int]], *, preset: str) -> TraceRun:
    """Run the requests of one inference through a memory.

    Parameters
    ----------
    counters : by step, for the compute-bound time, see `s2nn.hw.sim.work`.
    preset : of the memory.
    """
    model = DramModel(preset)
    burst_bytes = model.standard.organisation.burst_bytes
    t_ck_ns = model.standard.timing.t_ck_ps / 1000
    steps, parts = [], []
    for name, transfers in traffic.transfers():
        before, start = model.stats(), model.now
        bursts = [column_bursts(transfer, burst_bytes) for transfer in transfers]
        addresses = np.concatenate([np.arange(part.start, part.stop, part.step) for part in bursts])
        is_write = np.repeat([transfer.is_write for transfer in transfers], [len(part) for part in bursts])
        model.submit_all(addresses, is_write)
        step = StepTime(name=name, requests=len(addresses), memory_ns=(model.drain() - start) * t_ck_ns,
                        compute_ns=compute_cycles(counters[name]) * traffic.config.clock_period_ps / 1000)
        model.advance(start + round(step.time_ns / t_ck_ns))
        parts.append(difference(model.stats(), before))
        steps.append(step)
    return TraceRun(steps=tuple(steps), dram=total(parts))
