"""What the engine's trace shows: every layer, tile and request once, in order; and recording changes no counter."""

from collections import defaultdict
from itertools import pairwise

import pytest

from s2nn.hw.sim.engine import EngineSession, chrome_trace
from s2nn.hw.sim.engine.native import Track
from s2nn.hw.spec.build import build_image, descriptors
from s2nn.hw.spec.registers import Stream
from tests.layer_types import LAYER_TYPES

SEED = 3
NAMES = ["residual chain", "1x1 with stride and pool", "average before a classifier", "spikes in"]


@pytest.fixture(params=NAMES)
def runs(request):
    """Recorded runs of two inputs, the same without recording, and the descriptors."""
    case = LAYER_TYPES[request.param]
    program = case.program(SEED)
    image = build_image(case.config, program)
    recorded, plain = (EngineSession(case.config, program, image, record_trace=on).run(case.inputs(SEED, 2))
                       for on in (True, False))
    return recorded, plain, descriptors(image)


def test_recording_changes_nothing(runs):
    recorded, plain, _ = runs
    assert [run.layers for run in recorded] == [run.layers for run in plain]
    assert all(run.spans for run in recorded) and not any(run.spans for run in plain)


def test_each_layer_tile_and_request_has_a_span(runs):
    recorded, _, fields = runs
    layers = range(1, len(fields))
    for run in recorded:
        spans = defaultdict(list)
        for span in run.spans:
            assert span.start < span.end
            spans[span.track].append(span)
        assert [span.layer for span in spans[Track.LAYER]] == list(range(len(fields)))
        tiles = [(layer, tile) for layer in layers for tile in range(fields[layer]["tiles"])]
        for track in (Track.ARRAY, Track.NEURONS):
            assert [(span.layer, span.detail) for span in spans[track]] == tiles
        for stream in (Stream.INDEX, Stream.PARAMS):
            assert [span.layer for span in spans[Track.READ] if span.detail == stream] == [layer for layer, _ in tiles]
        assert [span.layer for span in spans[Track.WRITE]] == [len(fields) - 1]


def test_layers_take_the_cycles_that_they_count(runs):
    for run in runs[0]:
        spans = [span for span in run.spans if span.track is Track.LAYER]
        for span, (_, counters) in list(zip(spans, run.layers, strict=True))[1:-1]:
            assert span.end - span.start == counters["cycles.total"]


def test_spans_of_a_track_do_not_overlap_in_the_viewer(runs):
    events = [event for event in chrome_trace(runs[0], clock_period_ps=10_000)["traceEvents"] if event["ph"] == "X"]
    by_track = defaultdict(list)
    for event in events:
        by_track[event["tid"]].append((event["ts"], event["dur"]))
    assert len(by_track) >= 8
    for spans in by_track.values():
        for (start, length), (following, _) in pairwise(spans):
            assert length > 0
            assert start + length <= following + 1e-9
    last = max(events, key=lambda event: event["ts"])
    assert last["dur"] == pytest.approx(last["args"]["cycles"] / 100)  # microseconds of a 100 MHz clock
