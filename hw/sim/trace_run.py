"""A request trace through the DRAM model: how long the memory takes, and what it does meanwhile.

Requests of one layer are all there from its start, so the controller takes them as fast as it can: the time is
memory-bound. Where the engine computes longer than that, the memory then idles (refreshing, drawing standby) until the
layer is computed: perfect overlap within a layer, none between layers.

A layer of more than `requests_per_layer` bursts is sampled: about the same share of each stream is simulated, in the
same order and in pieces of a DRAM row at least, and everything counted is multiplied by what was left out. A layer that
is not longer is simulated whole.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from s2nn.hw.sim.dram import DramModel
from s2nn.hw.sim.dram.standard import Organisation
from s2nn.hw.sim.dram.stats import DramStats
from s2nn.hw.sim.dram_sums import difference, scaled, total
from s2nn.hw.sim.traffic import Traffic, Transfer, column_bursts
from s2nn.hw.sim.work import compute_cycles
from s2nn.hw.spec.errors import ConfigError

DEFAULT_REQUESTS_PER_LAYER = 16384


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """One step (the input load or a layer): DRAM bursts in all and simulated, and its two times in ns."""

    name: str
    requests: int
    simulated_requests: int
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


def run_trace(traffic: Traffic, counters: Mapping[str, Mapping[str, int]], *, preset: str,
              requests_per_layer: int = DEFAULT_REQUESTS_PER_LAYER) -> TraceRun:
    """Run the requests of one inference through a memory.

    Parameters
    ----------
    counters : by step, for the compute-bound time, see `s2nn.hw.sim.work`.
    preset : of the memory.
    requests_per_layer : about as many bursts are simulated of a longer layer; at least 1.
    """
    if requests_per_layer < 1:
        raise ConfigError("requests per layer must be at least 1", value=requests_per_layer)
    model = DramModel(preset)
    burst_bytes = model.standard.organisation.burst_bytes
    t_ck_ns = model.standard.timing.t_ck_ps / 1000
    steps, parts = [], []
    for name, transfers in traffic.transfers():
        before, start = model.stats(), model.now
        requests = sum(len(column_bursts(transfer, burst_bytes)) for transfer in transfers)
        factor = min(1.0, requests_per_layer / requests)
        simulated = 0
        for transfer, count in _shortened(transfers, model.standard.organisation, factor):
            for address in column_bursts(transfer, burst_bytes)[:count]:
                model.submit(start, address, transfer.is_write)
            simulated += count
        memory_cycles = model.drain() - start
        multiple = requests / simulated
        step = StepTime(name=name, requests=requests, simulated_requests=simulated,
                        memory_ns=memory_cycles * multiple * t_ck_ns,
                        compute_ns=compute_cycles(counters[name]) * traffic.config.clock_period_ps / 1000)
        model.advance(start + round(step.time_ns / multiple / t_ck_ns))
        parts.append(scaled(difference(model.stats(), before), multiple))
        steps.append(step)
    return TraceRun(steps=tuple(steps), dram=total(parts))


def _shortened(transfers: list[Transfer], organisation: Organisation, factor: float) -> Iterator[tuple[Transfer, int]]:
    """(transfer, bursts to simulate): about `factor` of each stream, in pieces of a row at least, so that a piece meets
    as few row changes as the whole. What a transfer leaves undone is owed to the next of its stream."""
    row_bursts = organisation.row_bytes // organisation.burst_bytes
    owed: dict[str, float] = defaultdict(lambda: float(row_bursts))
    for transfer in transfers:
        bursts = len(column_bursts(transfer, organisation.burst_bytes))
        owed[transfer.stream] += factor * bursts
        due = min(bursts, round(owed[transfer.stream]))
        if due >= min(bursts, row_bursts):
            owed[transfer.stream] -= due
            yield transfer, due
