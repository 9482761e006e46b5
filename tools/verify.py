"""Checks of a simulated run: equal to the golden model bit for bit, and to its own books byte for byte."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim.activity import READ_STREAMS
from s2nn.hw.spec.errors import SimulationError
from s2nn.hw.spec.program import Program
from s2nn.hw.spec.registers import Cause
from s2nn.tools.manifest import Manifest, ManifestLayer
from s2nn.tools.simulation import Golden, SimulatedImage


@dataclass(frozen=True, kw_only=True)
class Check:
    """One law over the images of a run: how many it was held against, and what broke it, a line each."""

    name: str
    images: int
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything agreed."""
        return not self.failures


Law = Callable[[Golden, SimulatedImage, int], list[str]]


def verify_runs(manifest: Manifest, golden: Golden, runs: Sequence[SimulatedImage]) -> list[Check]:
    """All checks over the images of a run, in the order in which a mistake is best looked for.

    Raises `SimulationError` unless there is one run per image.
    """
    if len(runs) != len(golden.activities):
        raise SimulationError(f"a simulation of {len(golden.activities)} images must give a result for each",
                              value=len(runs), source=manifest.net)
    laws = {
        "spikes of every layer = golden model": _each(golden, runs, _spikes),
        "logits = golden model": _each(golden, runs, _logits),
        "predictions = golden model": _each(golden, runs, _predictions),
        "work and traffic counters = expected from spikes": _each(golden, runs, _counters),
        "cycles by cause add up to the total": _each(golden, runs, _causes),
        "bytes and bursts on AXI = counters": _each(golden, runs, _bus),
        "bytes read = section sizes in the manifest": [
            line for number, run in enumerate(runs) for line in _sections(manifest, run.counters, number)],
    }
    return [Check(name=name, images=len(runs), failures=tuple(failures)) for name, failures in laws.items()]


def compare_with_torch(program: Program, images: NDArray[np.uint8], golden: Golden) -> Check:
    """The golden model against torch's integer forward, which was written on its own: spikes, membranes, kept
    currents and logits."""
    import torch  # here: it takes a second that the checks of the RTL should not wait for

    from s2nn.model.integer import integer_forward

    name, layers = "golden model = torch integer forward", golden.result.layers
    result = integer_forward(program, torch.from_numpy(images))
    failures = [f"image {b}: {layer.name} differs in {wrong} spikes"
                for layer, spikes in zip(layers, result.spikes, strict=True) for b in range(len(images))
                if (wrong := int((spikes[:, b].numpy() != layer.spikes[b]).sum()))]
    failures += [f"image {b}: {layer.name} differs in {wrong} membranes after the last step"
                 for layer, membranes in zip(layers, result.membranes, strict=True) for b in range(len(images))
                 if (wrong := int((membranes[b].numpy() != layer.membrane[b]).sum()))]
    failures += [f"image {b}: {layer.name} differs in {wrong} kept currents"
                 for layer in layers if layer.kept is not None for b in range(len(images))
                 if (wrong := int((result.kept[layer.name][:, b].numpy() != layer.kept[b]).sum()))]
    failures += [f"image {b}: logits {golden.result.logits[b].tolist()}, torch has {logits}"
                 for b, logits in enumerate(result.logits.tolist()) if golden.result.logits[b].tolist() != logits]
    return Check(name=name, images=len(images), failures=tuple(failures))


def _each(golden: Golden, runs: Sequence[SimulatedImage], law: Law) -> list[str]:
    return [f"image {number}: {line}" for number, run in enumerate(runs) for line in law(golden, run, number)]


def _spikes(golden: Golden, run: SimulatedImage, number: int) -> list[str]:
    layers = golden.result.layers
    if len(run.spikes) != len(layers):
        return [f"{len(run.spikes)} spiking layers, must be {len(layers)}"]
    lines = [f"{run.stray_spikes} spikes beyond the layers' channels, must be none"] if run.stray_spikes else []
    for layer, spikes in zip(layers, run.spikes, strict=True):
        expected = layer.stored[number]
        if spikes.shape != expected.shape:
            lines.append(f"{layer.name} has shape {spikes.shape}, must be {expected.shape}")
        elif wrong := int((spikes != expected).sum()):
            t, c, y, x = (int(i[0]) for i in np.nonzero(spikes != expected))
            lines.append(f"{layer.name} differs in {wrong} of {expected.size} spikes, first at step {t}, channel {c}, "
                         f"row {y}, column {x}")
    return lines


def _logits(golden: Golden, run: SimulatedImage, number: int) -> list[str]:
    got, expected = np.asarray(run.logits).tolist(), golden.result.logits[number].tolist()
    return [] if got == expected else [f"logits {got}, must be {expected}"]


def _predictions(golden: Golden, run: SimulatedImage, number: int) -> list[str]:
    got, expected = int(np.argmax(run.logits)), int(golden.result.predictions[number])
    return [] if got == expected else [f"class {got}, must be {expected}"]


def _counters(golden: Golden, run: SimulatedImage, number: int) -> list[str]:
    expected = golden.activities[number].total
    return [f"{name} = {run.counters[name]}, must be {value}" for name, value in expected.items()
            if run.counters[name] != value]


def _causes(golden: Golden, run: SimulatedImage, number: int) -> list[str]:
    total = run.counters["cycles.total"]
    attributed = sum(run.counters[f"cycles.{cause.name.lower()}"] for cause in Cause)
    return [] if total == attributed else [f"causes add up to {attributed}, must be {total} cycles"]


def _bus(golden: Golden, run: SimulatedImage, number: int) -> list[str]:
    names = {stream: f"dram.{stream}_read" for stream in READ_STREAMS} | {"logits": "dram.logits_write",
                                                                             "map_write": "dram.map_write"}
    lines = []
    for unit, moved in (("bytes", run.bus_bytes), ("bursts", run.bus_bursts)):
        expected = {stream: run.counters[f"{name}_{unit}"] for stream, name in names.items()} | {"other": 0}
        lines += [f"{stream} moved {moved[stream]} {unit}, the counter says {value}"
                  for stream, value in expected.items() if moved[stream] != value]
    return lines


def _sections(manifest: Manifest, counters: Mapping[str, int], number: int) -> list[str]:
    def read(layer: ManifestLayer) -> int:
        """How often an image reads the weights: those that stay, the first one once for all."""
        return number == 0 if layer.resident else layer.descriptors

    expected = {
        "descriptor_read": manifest.sizes["descriptors"],
        "codebook_read": sum(layer.codebook_bytes * layer.descriptors for layer in manifest.layers),
        "params_read": sum(layer.params_bytes * layer.descriptors for layer in manifest.layers),
        "index_read": sum(layer.index_bytes * read(layer) for layer in manifest.layers),
        **manifest.transfer_bytes,
    }
    return [f"image {number}: {stream} moved {counters[f'dram.{stream}_bytes']} bytes, must be {size}"
            for stream, size in expected.items() if counters[f"dram.{stream}_bytes"] != size]
