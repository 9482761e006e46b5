"""`s2nn bench neurons`: our LIF, eager and compiled, beside those of SpikingJelly and snnTorch, interleaved.

Before anything is timed, all must give the same spikes and the same gradients on the same input.
"""

import time
from collections.abc import Sequence
from itertools import product
from statistics import median
from typing import Any

import torch
from rich.table import Table

from s2nn.hw.spec.errors import ConfigError, SimulationError
from s2nn.model.allocator import keep_freed_memory
from s2nn.model.neurons import LIF
from s2nn.tools.environment import package_versions
from s2nn.tools.neuron_peers import PEERS, SLOPE, TAU, THETA, Neuron, snntorch_lif, spikingjelly_lif
from s2nn.tools.simulation import Tell

OURS = ("s2nn, eager", "s2nn, compiled")
PASSES = ("forward", "forward and backward")
#: Largest difference of a gradient, relative to the largest gradient: single precision in another order.
GRADIENT_TOLERANCE = 1e-5


def parse_shape(text: str) -> list[int]:
    """Sizes of one step from "16,64,16,16"; raises `ConfigError`."""
    sizes = text.split(",")
    if not all(size.strip().isdigit() and int(size) for size in sizes):
        raise ConfigError("must be sizes, separated by commas", value=text, field="shape")
    return [int(size) for size in sizes]


def bench_neurons(*, steps: Sequence[int], shape: Sequence[int], repetitions: int, threads: int, device: str, seed: int,
                  compiled_peers: bool, tell: Tell = lambda line: None) -> dict[str, Any]:
    """Measure all neurons on [T, *shape] for each T; returns one JSON document.

    compiled_peers : measure the peers through torch.compile too. Seconds are CPU time of this process on a CPU with
    one thread, else wall time, of one pass over the input. Raises `SimulationError` if spikes or gradients differ, and
    `ToolError` for a peer that is not installed.
    """
    neurons = _neurons(compiled_peers)
    if device == "cpu":
        keep_freed_memory()
    before, series, agreement = torch.get_num_threads(), [], []
    torch.set_num_threads(threads)
    try:
        for t in steps:
            generator = torch.Generator().manual_seed(seed)
            x, grad = (torch.randn(t, *shape, generator=generator).to(device) for _ in range(2))
            tell(f"T = {t}: {', '.join(neurons)} must agree")
            agreement.append({"steps": t, **_agreement(neurons, x + 0.3, grad)})
            series += _measure(neurons, x + 0.3, grad, repetitions=repetitions, tell=tell)
    finally:
        torch.set_num_threads(before)
    return {"shape": list(shape), "repetitions": repetitions, "threads": threads, "device": device, "seed": seed,
            "neuron": {"tau": TAU, "theta": THETA, "surrogate": "atan", "slope": SLOPE, "reset": "hard, detached"},
            "versions": package_versions(["torch", *PEERS]), "agreement": agreement, "series": series,
            "ratios": _ratios(series)}


def _neurons(compiled_peers: bool) -> dict[str, Neuron]:
    ours = {name: LIF(tau=TAU, theta=THETA, slope=SLOPE, compiled=compiled)
            for name, compiled in zip(OURS, (False, True), strict=True)}
    peers = {"SpikingJelly": spikingjelly_lif(), "snnTorch": snntorch_lif()}
    through = {f"{name}, torch.compile": torch.compile(neuron, dynamic=False) for name, neuron in peers.items()}
    return {**ours, **peers, **(through if compiled_peers else {})}


def _spikes_and_gradient(neuron: Neuron, x: torch.Tensor, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = x.clone().requires_grad_()
    s = neuron(leaf)
    s.backward(grad)
    assert leaf.grad is not None
    return s.detach(), leaf.grad


def _agreement(neurons: dict[str, Neuron], x: torch.Tensor, grad: torch.Tensor) -> dict[str, Any]:
    """Spikes, neurons left out, and the largest relative difference of a gradient; raises where they disagree.

    Neurons whose membrane equals the threshold at some step are left out: snnTorch does not fire there, we do.
    """
    reference = LIF(tau=TAU, theta=THETA, slope=SLOPE)
    membranes: list[torch.Tensor] = []
    reference.observer = lambda s, u_pre: membranes.append(u_pre.detach())
    spikes, gradient = _spikes_and_gradient(reference, x, grad)
    clear = ~(membranes[0] == THETA).any(dim=0)
    differences = {}
    for name, neuron in neurons.items():
        s, g = _spikes_and_gradient(neuron, x, grad)
        wrong = int(((s != spikes) & clear).sum())
        differences[name] = float(((g - gradient) * clear).abs().max() / gradient.abs().max())
        if wrong or not differences[name] <= GRADIENT_TOLERANCE:
            raise SimulationError(f"spikes must be equal and gradients within {GRADIENT_TOLERANCE:g}",
                                  value=f"{wrong} spikes, {differences[name]:.1e}", source=name)
    return {"spikes": int(spikes.sum()), "positions": spikes.numel(), "neurons_at_threshold": int((~clear).sum()),
            "gradient_differences": differences}


def _measure(neurons: dict[str, Neuron], x: torch.Tensor, grad: torch.Tensor, *, repetitions: int,
             tell: Tell) -> list[dict[str, Any]]:
    """Each neuron once in each repetition, in turn; the first one of all is not counted."""
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in product(PASSES, neurons)}
    for number in range(repetitions + 1):
        tell(f"T = {len(x)}: repetition {number} of {repetitions}")
        for name, neuron in neurons.items():
            with torch.no_grad():
                started = _now(x)
                neuron(x)
                seconds[PASSES[0], name].append(_now(x) - started)
            leaf = x.clone().requires_grad_()
            started = _now(x)
            neuron(leaf).backward(grad)
            seconds[PASSES[1], name].append(_now(x) - started)
    return [{"steps": len(x), "pass": which, "neuron": name, "seconds": spent[1:], "median_s": median(spent[1:])}
            for (which, name), spent in seconds.items()]


def _now(x: torch.Tensor) -> float:
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    return time.process_time() if x.device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter()


def _ratios(series: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times as fast as the fastest peer each of ours is: peers as they come, and through torch.compile."""
    rows = []
    for steps, which in dict.fromkeys((one["steps"], one["pass"]) for one in series):
        spent = {one["neuron"]: one["median_s"] for one in series if (one["steps"], one["pass"]) == (steps, which)}
        row: dict[str, Any] = {"steps": steps, "pass": which}
        for suffix, label in (("", "peers"), (", torch.compile", "compiled_peers")):
            peers = [spent[name] for name in (f"SpikingJelly{suffix}", f"snnTorch{suffix}") if name in spent]
            for ours, key in zip(OURS, ("eager", "compiled"), strict=True):
                if peers:
                    row[f"{key}_to_{label}"] = min(peers) / spent[ours]
        rows.append(row)
    return rows


def bench_tables(result: dict[str, Any]) -> list[Table]:
    """The document for a terminal: times, and ratios to the faster peer."""
    clock = "CPU time" if (result["device"], result["threads"]) == ("cpu", 1) else "wall time"
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    times = Table(title=f"LIF on [T, {', '.join(map(str, result['shape']))}], {result['device']}, {result['threads']} "
                        f"thread(s)", title_justify="left", caption=f"medians, {clock}; {versions}",
                  caption_justify="left")
    ratios = Table(title="times as fast as the faster of SpikingJelly and snnTorch", title_justify="left")
    columns = list(dict.fromkeys(one["neuron"] for one in result["series"]))
    for table, names in ((times, columns), (ratios, [key for key in result["ratios"][0] if "_to_" in key])):
        table.add_column("T", justify="right")
        table.add_column("pass")
        for name in names:
            table.add_column(f"{name} / ms" if table is times else name.replace("_", " "), justify="right")
    for row in result["ratios"]:
        head = str(row["steps"]), row["pass"]
        spent = {one["neuron"]: one["median_s"] for one in result["series"]
                 if (one["steps"], one["pass"]) == (row["steps"], row["pass"])}
        times.add_row(*head, *(f"{1e3 * spent[name]:.2f}" for name in columns))
        ratios.add_row(*head, *(f"{value:.2f}" for key, value in row.items() if "_to_" in key))
    return [times, ratios]
