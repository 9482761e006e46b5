"""`s2nn kernels`: how often a trained net uses each of the 512 patterns of nine weight signs, layer by layer.

The form is that of S2NN (arXiv 2509.24266) Tab. 5: the share of all kernels that the k most frequent patterns make up.
Beside it stand the entropy of the frequencies, which is what a loss-free code of the 1-bit kernels could reach, and the
upper bound on it that follows from the shares alone, as for a published table: patterns between two columns are taken
as equally frequent.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from s2nn.hw.spec.atomic import write_bytes_atomic, write_json_atomic
from s2nn.hw.spec.config import GROUP_TAPS
from s2nn.hw.spec.errors import CheckpointError
from s2nn.model.checkpoint import load_checkpoint
from s2nn.model.codebook import pattern_of
from s2nn.tools.net_statistics import kernel_entropy_bits
from s2nn.tools.plotting import COLOURS, plot_style, write_figure

#: Columns of the table. # Ref: S2NN, arXiv 2509.24266, Tab. 5
TOP_K = (2, 4, 8, 16, 32, 64, 128)
PATTERNS = 1 << GROUP_TAPS


def top_shares(patterns: NDArray[np.int64], counts: Sequence[int] = TOP_K) -> dict[int, float]:
    """Share (0..1) of the k most frequent patterns, for each k.

    >>> top_shares(np.array([5, 5, 5, 7]), (1, 2))
    {1: 0.75, 2: 1.0}
    """
    frequencies = np.sort(np.bincount(patterns, minlength=PATTERNS))[::-1] / len(patterns)
    return {k: float(frequencies[:k].sum()) for k in counts}


def entropy_bound_bits(shares: Mapping[int, float], *, patterns: int = PATTERNS) -> float:
    """Largest entropy, bits per kernel, of frequencies with these shares of the top k.

    >>> round(entropy_bound_bits({256: 1.0}), 3), round(entropy_bound_bits({2: 0.0}), 2)
    (8.0, 8.99)
    """
    bound, before, share_before = 0.0, 0, 0.0
    for k, share in [*sorted(shares.items()), (patterns, 1.0)]:
        mass, size = share - share_before, k - before
        if mass > 0:
            bound += mass * float(np.log2(size / mass))
        before, share_before = k, share
    return bound


def kernel_statistics(name_or_path: str | Path) -> dict[str, Any]:
    """The document: one entry for each hidden 3x3 layer. Raises `CheckpointError`, also for a net without one."""
    checkpoint = load_checkpoint(name_or_path)
    net, layers = checkpoint.net, []
    for stage, layer in list(zip(net.config.stages(), net.layers[:-1], strict=True))[1:]:
        if stage.kernel != 3:
            continue
        patterns = pattern_of(layer.weight.reshape(-1, GROUP_TAPS)).numpy()
        shares = top_shares(patterns)
        layers.append({
            "layer": stage.name, "weights": str(stage.weights), "kernels": len(patterns),
            "patterns": len(np.unique(patterns)), "top_shares": {str(k): share for k, share in shares.items()},
            "entropy_bits": kernel_entropy_bits(patterns.astype(np.uint16)),
            "entropy_bound_bits": entropy_bound_bits(shares)})
    if not layers:
        raise CheckpointError("must have a hidden 3x3 convolution", value=net.config.layers, source=checkpoint.name)
    for layer in layers:
        layer["entropy_bits_per_weight"] = layer["entropy_bits"] / GROUP_TAPS
    return {"checkpoint": checkpoint.name, "sha256": checkpoint.sha256, "dataset": checkpoint.recipe.dataset,
            "weight_format": net.config.weight_format, "top_k": list(TOP_K), "layers": layers}


def write_kernels(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """kernels.json, kernels.csv and kernels.png in a folder, which is created; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "kernels.json", folder / "kernels.csv"]
    write_json_atomic(paths[0], dict(document))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["layer", "weights", "kernels", "patterns", *(f"top_{k}_percent" for k in document["top_k"]),
                     "entropy_bits", "entropy_bound_bits", "entropy_bits_per_weight"])
    for layer in document["layers"]:
        writer.writerow([layer["layer"], layer["weights"], layer["kernels"], layer["patterns"],
                         *(f"{100 * share:.2f}" for share in layer["top_shares"].values()),
                         *(f"{layer[key]:.4f}" for key in ("entropy_bits", "entropy_bound_bits",
                                                           "entropy_bits_per_weight"))])
    write_bytes_atomic(paths[1], text.getvalue().encode())
    with plot_style():
        return [*paths, write_figure(coverage_figure(document), folder / "kernels.png")]


def coverage_figure(document: Mapping[str, Any]) -> Figure:
    """Share of the k most frequent kernels over k, a line for each layer, beside equally frequent ones."""
    figure = Figure()
    axes = figure.subplots()
    for number, layer in enumerate(document["layers"]):
        shares = {int(k): 100 * share for k, share in layer["top_shares"].items()}
        axes.plot(list(shares), list(shares.values()), marker="o", color=COLOURS[number % len(COLOURS)],
                  label=f"{layer['layer']}: {layer['entropy_bits']:.2f} bits per kernel")
    axes.plot(document["top_k"], [100 * k / PATTERNS for k in document["top_k"]], linestyle=":", color="black",
              label=f"all {PATTERNS} equally often: {GROUP_TAPS} bits")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("k, number of kernels")
    axes.set_ylabel("share of the k most frequent kernels / %")
    axes.set_title(f"{document['checkpoint']} ({document['weight_format']}, {document['dataset']})")
    axes.legend()
    return figure


def kernel_tables(document: Mapping[str, Any]) -> list[Table]:
    """The document for a terminal."""
    shares = Table(title=f"{document['checkpoint']}: share of the k most frequent 3x3 kernels / %",
                   title_justify="left")
    entropy = Table(title="entropy of a kernel, and what the shares alone allow / bits", title_justify="left")
    for table, names in ((shares, [f"k = {k}" for k in document["top_k"]]),
                         (entropy, ["kernels", "patterns", "entropy", "bound", "entropy per weight"])):
        table.add_column("layer")
        for name in names:
            table.add_column(name, justify="right")
    for layer in document["layers"]:
        shares.add_row(layer["layer"], *(f"{100 * share:.1f}" for share in layer["top_shares"].values()))
        entropy.add_row(layer["layer"], f"{layer['kernels']:,}", str(layer["patterns"]),
                        *(f"{layer[key]:.3f}" for key in ("entropy_bits", "entropy_bound_bits",
                                                          "entropy_bits_per_weight")))
    return [shares, entropy]
