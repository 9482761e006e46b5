"""`s2nn size`: bits of a net's weights as the S2NN paper counts them, and the bytes that our packer really stores.

The paper's counting (arXiv 2509.24266, Tab. 1 to 3, solved from its cells): Mbit = (r * hidden + 32 * other) / 10^6,
with r the *rounded* bits per weight (0.67, 0.56, 0.44), hidden all convolution weights but the first layer's, 1x1
shortcuts included, and other the first convolution, the classifier with its bias and two BN parameters a channel. It
counts no codebook; neurons have no parameters.

Packed bytes are sections of the memory image of one accelerator configuration: first layer and classifier as 8-bit
planes, 1x1 shortcuts as 1-bit (or with codebook indices, if the net's `pointwise_codebook` is set), codebooks, one word
a channel for threshold, bias and sign, descriptors, header and padding.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from rich.table import Table

from s2nn.hw.spec import packing
from s2nn.hw.spec.config import DESCRIPTOR_BYTES, GROUP_TAPS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.image import MemoryImage, Section, SectionKind
from s2nn.hw.spec.program import Layer
from s2nn.hw.spec.weights import Grouping, Weights, fewest_groups
from s2nn.model.nets import NetConfig, Stage
from s2nn.model.nets.stages import WeightKind

#: Bits per hidden weight as the paper rounds them, by bits of an index. # Ref: S2NN, arXiv 2509.24266, Tab. 1
PAPER_RATES = {4: 0.44, 5: 0.56, 6: 0.67}
FULL_PRECISION_BITS = 32
BN_PARAMETERS = 2  # gamma and beta
FULL_PRECISION, ONE_BIT = "fp32", "1-bit"


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Numbers of parameters of a net, as the paper groups them."""

    hidden: int
    first_layer: int
    classifier: int
    batch_norm: int


def parameters(net: NetConfig) -> Parameters:
    """Counts from the net's stages."""
    first, *hidden = net.stages()
    return Parameters(hidden=sum(stage.num_weights for stage in hidden), first_layer=first.num_weights,
                      classifier=(net.classifier_inputs + 1) * net.classes,
                      batch_norm=BN_PARAMETERS * sum(stage.out_channels for stage in net.stages()))


def paper_mbit(net: NetConfig, rate: float) -> float:
    """Size in Mbit (10^6 bits) with `rate` bits per hidden weight, by the paper's counting."""
    count = parameters(net)
    other = count.first_layer + count.classifier + count.batch_norm
    return (rate * count.hidden + FULL_PRECISION_BITS * other) / 1e6


def packed_bytes(net: NetConfig, config: AcceleratorConfig) -> dict[str, int]:
    """Bytes of the memory image by kind; `total` is their sum. Weights, thresholds and biases do not change them.

    Counted layer by layer from the packer, so also for nets that the configuration cannot run.
    """
    layers = list(_layers(net, lanes=config.lanes))
    sizes = {"descriptors": DESCRIPTOR_BYTES * (len(layers) + 1), "codebook": 0, "params": 0, "index": 0}
    sections = [Section(SectionKind.DESCRIPTORS, 0, bytes(sizes["descriptors"]))]
    for number, layer in enumerate(layers):
        data = [(SectionKind.PARAMS, packing.pack_params(config, layer)),
                (SectionKind.INDEX, bytes(packing.num_tiles(config, layer) * packing.tile_bytes(config, layer)))]
        if layer.weights.codebook is not None:
            data.append((SectionKind.CODEBOOK, packing.pack_codebook(config, layer.weights.codebook)))
        for kind, section in data:
            sizes[kind.name.lower()] += len(section)
            sections.append(Section(kind, number, section))
    total = len(MemoryImage(config.digest, tuple(sections)).to_bytes())
    return {**sizes, "header_and_alignment": total - sum(sizes.values()), "total": total}


def _layers(net: NetConfig, *, lanes: int) -> Iterator[Layer]:
    """The layers that the net lowers to, with empty weights."""
    kept = {stage.membrane for stage in net.stages()}
    for stage in net.stages():
        planes = net.plane_bits if stage.weights is WeightKind.PLANES else 1
        yield _layer(stage, channels=stage.out_channels, planes=planes, eta=stage.eta,
                     grouping=Grouping.INPUTS if stage.gathered else Grouping.TAPS,
                     has_currents=stage.membrane is not None or stage.name in kept)
    last = net.stages()[-1]
    shape = channels, height, width = last.out_shape
    head = replace(last, name="classifier", source=last.name, in_channels=channels, height=height, width=width,
                   linear=True)
    grouping = Grouping.INPUTS if net.pooled_head else fewest_groups(shape, shape[1:], lanes=lanes)
    yield _layer(head, channels=net.classes, planes=net.plane_bits, eta=None, grouping=grouping,
                 shared_taps=net.pooled_head)


def _layer(stage: Stage, *, channels: int, planes: int, eta: int | None, grouping: Grouping,
           shared_taps: bool = False, has_currents: bool = False) -> Layer:
    """has_currents : it keeps or adds some, for the size of its parameters."""
    codebook = None if eta is None else np.zeros(1 << eta, dtype=np.uint16)
    zeros, (rows, columns) = np.zeros(channels, dtype=np.int64), stage.kernel_shape
    groups = stage.in_channels * ceil_div(rows, 3) * ceil_div(columns, 3)
    if grouping is Grouping.INPUTS:
        groups = ceil_div(stage.in_channels * (1 if shared_taps else rows * columns), GROUP_TAPS)
    return Layer(name=stage.name, kind="classify" if stage.name == "classifier" else "conv", source=stage.source,
                 in_shape=stage.in_shape, out_shape=(channels, 1, 1), kernel=stage.kernel_shape,
                 weights=Weights(symbols=np.zeros((planes, channels, groups), dtype=np.uint16), codebook=codebook),
                 grouping=grouping, shared_taps=shared_taps,
                 threshold=zeros + 1, bias=zeros, negate=np.zeros(channels, dtype=bool),
                 keep_shift=zeros + 1 if has_currents else None)


def net_size(net: NetConfig, config: AcceleratorConfig, *, name: str, eta: int) -> dict[str, Any]:
    """The document of `s2nn size`: the net at eta bits per group, and all formats of the paper's tables beside it.

    paper_mbit : 10^6 bits by the paper's counting, None for an eta that it does not have. packed : bytes by kind.
    """
    formats = [_format(net, None, config)] + [_format(net, other, config) for other in sorted({*PAPER_RATES, eta})]
    chosen = next(row for row in formats if row["eta"] == eta)
    full = {"format": FULL_PRECISION, "eta": None, "paper_mbit": paper_mbit(net, FULL_PRECISION_BITS), "packed": None}
    return {"net": name, "classes": net.classes, "config": config.name, "layers": net.layers,
            "parameters": asdict(parameters(net)), **chosen, "formats": [full, *formats]}


def _format(net: NetConfig, eta: int | None, config: AcceleratorConfig) -> dict[str, Any]:
    chosen = replace(net, eta=eta)
    rate = 1.0 if eta is None else PAPER_RATES.get(eta)
    packed = packed_bytes(chosen, config.as_binary() if eta is None else config)
    return {"format": ONE_BIT if eta is None else f"eta{eta}", "eta": eta,
            "paper_mbit": None if rate is None else paper_mbit(net, rate), "packed": packed}


def size_table(document: dict[str, Any]) -> Table:
    """The document for a terminal."""
    count = document["parameters"]
    caption = (f"hidden weights {count['hidden']:,}, first layer {count['first_layer']:,}, classifier "
               f"{count['classifier']:,}, BN {count['batch_norm']:,}; packed for {document['config']}, first layer and "
               "classifier in 8 bits")
    table = Table(title=f"{document['net']}, {document['classes']} classes: {document['layers']}", title_justify="left",
                  caption=caption, caption_justify="left")
    kinds = ("index", "codebook", "params")
    for name in ("format", "paper, Mbit", "packed, Mbit", "packed, bytes", *kinds, "rest"):
        table.add_column(name, justify="left" if name == "format" else "right")
    for row in document["formats"]:
        paper = "" if row["paper_mbit"] is None else f"{row['paper_mbit']:.2f}"
        packed = row["packed"]
        if packed is None:
            table.add_row(row["format"], paper)
            continue
        rest = packed["total"] - sum(packed[kind] for kind in kinds)
        table.add_row(row["format"], paper, f"{8 * packed['total'] / 1e6:.2f}", f"{packed['total']:,}",
                      *(f"{packed[kind]:,}" for kind in kinds), f"{rest:,}")
    return table
