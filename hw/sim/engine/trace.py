"""A run's spans as a trace for Perfetto (ui.perfetto.dev) or chrome://tracing.

Ref: "Trace Event Format", complete events ("ph": "X"); times in microseconds.
"""

from collections.abc import Iterable
from typing import Any

from s2nn.hw.sim.engine.native import Span, Track
from s2nn.hw.sim.engine.run import EngineRun
from s2nn.hw.spec.registers import Stream

_PS_PER_US = 1_000_000
# Tracks from top to bottom; reads have one per stream, weights first.
_STREAMS = (Stream.INDEX, Stream.PARAMS, Stream.CODEBOOK, Stream.DESCRIPTOR, Stream.INPUT, Stream.MAP)
_TRACKS = ("layer", "array", "spike", *(f"{stream.name.lower()} DMA" for stream in _STREAMS), "write-back", "DRAM")
_TRACK_OF = {Track.LAYER: "layer", Track.ARRAY: "array", Track.NEURONS: "spike", Track.WRITE: "write-back",
             Track.MEMORY: "DRAM"}


def chrome_trace(runs: Iterable[EngineRun], *, clock_period_ps: int) -> dict[str, Any]:
    """The JSON document of runs in turn: one process with a thread per track.

    Spans of "array" are tiles from their first step to the last read of their weights, of "spike" tiles in the neurons,
    of a DMA requests from the fetcher's question to the last beat, and of "DRAM" times in which bursts were under way.
    """
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 0, "args": {"name": "s2nn cycle engine"}}]
    for number, name in enumerate(_TRACKS):
        events.append({"name": "thread_name", "ph": "M", "pid": 0, "tid": number, "args": {"name": name}})
        events.append({"name": "thread_sort_index", "ph": "M", "pid": 0, "tid": number, "args": {"sort_index": number}})
    ends = dict.fromkeys(_TRACKS, 0)
    for image, run in enumerate(runs):
        names = [name for name, _ in run.steps]
        for span in run.spans:
            track = f"{Stream(span.detail).name.lower()} DMA" if span.track is Track.READ else _TRACK_OF[span.track]
            # What a pipeline or a queue overlaps is shown from where the span before ends: a viewer wants no overlaps.
            start, ends[track] = max(span.start, ends[track]), span.end
            events.append(_event(span._replace(start=start), track, names[span.layer], image, clock_period_ps))
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def _event(span: Span, track: str, layer: str, image: int, clock_period_ps: int) -> dict[str, Any]:
    cycles = span.end - span.start
    name = f"{layer} tile {span.detail}" if span.track in (Track.ARRAY, Track.NEURONS) else layer
    return {"name": name, "ph": "X", "pid": 0, "tid": _TRACKS.index(track),
            "ts": span.start * clock_period_ps / _PS_PER_US, "dur": cycles * clock_period_ps / _PS_PER_US,
            "args": {"image": image, "layer": layer, "cycles": cycles}}
