"""Packed inference checkpoints: a folded net in tens of kilobytes, as safetensors plus JSON (never pickle).

    <stem>.safetensors   per layer <n>:
        n.gain, n.bias      float32 [O]
        n.indices           uint8, eta bits per group, output channel outermost      sub-bit layers
        n.codebook          int16 [2^eta], nine-bit patterns, tap k is bit k         sub-bit layers
        n.signs             uint8, one bit per weight, 1 = +1                        1-bit layers
        n.codes             uint8, plane_bits bits per weight (see `quantise`)       first layer and classifier
        n.weight            float32 of the weight's shape                            all layers of a full-precision net
        n.mean, n.spread    float32 [O], of the current                              where a membrane shortcut takes it
    <stem>.json          format, version, net config, recipe with digest, accuracy, SHA-256 of the tensors

Layers are numbered as the net's stages are; the classifier comes last. A group is a 3x3 kernel, or nine consecutive
inputs of a 1x1 convolution or linear layer in the order (row, column, channel), of which the last group may be partly
idle. Loading gives the same FoldedNet bit for bit.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from s2nn.hw.spec.atomic import write_json_atomic
from s2nn.hw.spec.errors import CheckpointError, ConfigError
from s2nn.model.codebook import pattern_of, signs_of
from s2nn.model.files import read_json, read_tensors, write_tensors
from s2nn.model.fold import FoldedLayer, FoldedNet
from s2nn.model.grouping import TAPS, ungroup_inputs, ungroup_taps
from s2nn.model.nets import NetConfig, Stage
from s2nn.model.nets.stages import WeightKind
from s2nn.model.packing import pack_bits, unpack_bits
from s2nn.model.quantise import from_code, to_code
from s2nn.model.recipe import Recipe, recipe_from_dict

CHECKPOINT_FORMAT = "s2nn-checkpoint"
CHECKPOINT_VERSION = 1
_FIELDS = {WeightKind.PLANES: ("codes",), WeightKind.BINARY: ("signs",), WeightKind.CODEBOOK: ("codebook", "indices"),
           WeightKind.FULL_PRECISION: ("weight",)}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A loaded net with what is known about it: recipe, test accuracy (0..1) on `test_images` images of `split`."""

    name: str
    net: FoldedNet
    recipe: Recipe
    test_accuracy: float
    test_images: int
    split: str
    sha256: str


def _stem(path: str | Path) -> Path:
    path = Path(path)
    return path.with_suffix("") if path.suffix in (".json", ".safetensors") else path


def _with_suffix(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def shipped_checkpoints() -> list[str]:
    """Names of the checkpoints that come with the package."""
    folder = resources.files("s2nn.model") / "checkpoints"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def save_checkpoint(path: str | Path, net: FoldedNet, *, recipe: Recipe, test_accuracy: float, test_images: int,
                    split: str) -> Path:
    """Write <path>.safetensors and <path>.json; returns the path of the JSON file."""
    stem, config = _stem(path), net.config
    tensors: dict[str, torch.Tensor] = {}
    for n, (layer, kind) in enumerate(zip(net.layers, _weight_kinds(config), strict=True)):
        tensors[f"{n}.gain"], tensors[f"{n}.bias"] = layer.gain, layer.bias
        if layer.current_mean is not None and layer.current_spread is not None:
            tensors[f"{n}.mean"], tensors[f"{n}.spread"] = layer.current_mean, layer.current_spread
        if kind is WeightKind.PLANES:
            tensors[f"{n}.codes"] = pack_bits(to_code(layer.weight, config.plane_bits), width=config.plane_bits)
        elif kind is WeightKind.FULL_PRECISION:
            tensors[f"{n}.weight"] = layer.weight.contiguous()
        elif kind is WeightKind.BINARY:
            tensors[f"{n}.signs"] = pack_bits(layer.weight > 0, width=1)
        else:
            assert layer.codewords is not None and layer.indices is not None
            tensors[f"{n}.codebook"] = pattern_of(layer.codewords).to(torch.int16)
            tensors[f"{n}.indices"] = pack_bits(layer.indices, width=(len(layer.codewords) - 1).bit_length())
    digest = write_tensors(_with_suffix(stem, ".safetensors"), tensors)
    meta = {"format": CHECKPOINT_FORMAT, "version": CHECKPOINT_VERSION, "net": config.as_dict(),
            "neurons": [{"tau": layer.tau, "theta": layer.theta} for layer in net.layers[:-1]],
            "test_accuracy": test_accuracy, "test_images": test_images, "split": split, "sha256": digest,
            "recipe_digest": recipe.digest, "recipe": recipe.as_dict()}
    write_json_atomic(_with_suffix(stem, ".json"), meta)
    return _with_suffix(stem, ".json")


def _resolve(name_or_path: str | Path) -> Path:
    stem = _stem(name_or_path)
    if _with_suffix(stem, ".json").is_file():
        return stem
    if str(name_or_path) in shipped_checkpoints():
        return Path(str(resources.files("s2nn.model") / "checkpoints" / str(name_or_path)))
    raise CheckpointError(f"checkpoint must be a file or one of: {', '.join(shipped_checkpoints()) or 'none shipped'}",
                          value=str(name_or_path))


def _weight_kinds(config: NetConfig) -> list[WeightKind]:
    """Of every stage and of the classifier."""
    head = WeightKind.FULL_PRECISION if config.full_precision else WeightKind.PLANES
    return [*(stage.weights for stage in config.stages()), head]


def _load_layer(n: int, shape: tuple[int, ...], tensors: dict[str, torch.Tensor], *, config: NetConfig,
                stage: Stage | None = None, **neuron: Any) -> FoldedLayer:
    """Layer n of weights `shape`; `stage` is None for the classifier."""
    kind = _weight_kinds(config)[n]
    count = torch.Size(shape).numel()
    gain, bias = tensors[f"{n}.gain"], tensors[f"{n}.bias"]
    floats = {"gain": (gain, shape[:1]), "bias": (bias, shape[:1])}
    mean, spread = tensors.get(f"{n}.mean"), tensors.get(f"{n}.spread")
    if mean is not None and spread is not None:
        floats |= {"mean": (mean, shape[:1]), "spread": (spread, shape[:1])}
    if kind is WeightKind.FULL_PRECISION:
        floats["weight"] = tensors[f"{n}.weight"], shape
    for name, (value, expected) in floats.items():
        if value.shape != expected or value.dtype != torch.float32 or not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"must be finite float32 {list(expected)}",
                                  value=f"{value.dtype} {tuple(value.shape)}", field=f"{n}.{name}")
    codewords = indices = None
    if kind is WeightKind.FULL_PRECISION:
        weight = tensors[f"{n}.weight"]
    elif stage is None or kind is WeightKind.PLANES:
        codes = unpack_bits(tensors[f"{n}.codes"], width=config.plane_bits, count=count)
        weight = from_code(codes, config.plane_bits).float().reshape(shape)
    elif stage.eta is None:
        weight = (unpack_bits(tensors[f"{n}.signs"], width=1, count=count) * 2 - 1).float().reshape(shape)
    else:
        patterns = tensors[f"{n}.codebook"].long()
        if patterns.shape != (2**stage.eta,) or int(patterns.min()) < 0 or int(patterns.max()) >= 2**TAPS:
            raise CheckpointError(f"must be {2**stage.eta} nine-bit patterns", value=tuple(patterns.shape),
                                  field=f"{n}.codebook")
        codewords = signs_of(patterns)
        indices = unpack_bits(tensors[f"{n}.indices"], width=stage.eta, count=shape[0] * stage.groups_per_channel)
        weight = (ungroup_inputs if stage.gathered else ungroup_taps)(codewords[indices], torch.Size(shape))
    return FoldedLayer(weight=weight, gain=gain, bias=bias, codewords=codewords, indices=indices, current_mean=mean,
                       current_spread=spread, **neuron)


def _expected_names(config: NetConfig) -> set[str]:
    stages = config.stages()
    kept = {stage.membrane for stage in stages}
    return {f"{n}.{field}" for n, kind in enumerate(_weight_kinds(config)) for field in (
        "gain", "bias", *_FIELDS[kind], *(("mean", "spread") if n < len(stages) and stages[n].name in kept else ()))}


def load_checkpoint(name_or_path: str | Path) -> Checkpoint:
    """A shipped checkpoint by its name, or one of yours by its path (with or without suffix)."""
    stem = _resolve(name_or_path)
    path = _with_suffix(stem, ".json")
    meta = read_json(path)
    for field, expected in (("format", CHECKPOINT_FORMAT), ("version", CHECKPOINT_VERSION)):
        if meta.get(field) != expected:
            raise CheckpointError(f"must be {expected!r}", value=meta.get(field), field=field, source=path)
    try:
        config = recipe_from_dict({"net": meta["net"]}, source=path).net
        recipe = recipe_from_dict(meta["recipe"], source=path)
        neurons = [(float(entry["tau"]), float(entry["theta"])) for entry in meta["neurons"]]
        known = {"test_accuracy": float(meta["test_accuracy"]), "test_images": int(meta["test_images"]),
                 "split": str(meta["split"]), "sha256": str(meta["sha256"])}
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"must hold net, neurons, recipe, accuracy and digest ({error!r})",
                              source=path) from error
    except ConfigError as error:
        raise CheckpointError(error.rule, value=error.value, field=error.field, source=path) from error
    tensor_path = _with_suffix(stem, ".safetensors")
    tensors = read_tensors(tensor_path, sha256=known["sha256"])
    stages = config.stages()
    if set(tensors) != _expected_names(config) or len(neurons) != len(stages):
        raise CheckpointError("must hold exactly the tensors of its net",
                              value=sorted(set(tensors) ^ _expected_names(config)), source=tensor_path)
    try:
        layers = []
        for n, (stage, (tau, theta)) in enumerate(zip(stages, neurons, strict=True)):
            layers.append(_load_layer(n, stage.weight_shape, tensors, config=config, stage=stage, tau=tau, theta=theta))
        layers.append(_load_layer(len(stages), (config.classes, config.classifier_inputs), tensors, config=config))
    except CheckpointError as error:
        raise CheckpointError(error.rule, value=error.value, field=error.field, source=tensor_path) from error
    return Checkpoint(name=stem.name, net=FoldedNet(config, layers), recipe=recipe, **known)
