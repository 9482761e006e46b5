"""`manifest.json`: what a memory image holds, in names, shapes, units and rules, for people and for other tools.

Everything in it follows from the program, the configuration and the bytes of the image (`describe_export`), so a reader
rebuilds it and compares: a manifest of another image cannot pass. Only `provenance` is free text about the origin.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from s2nn.hw.spec.build import descriptors, runs_by_layer
from s2nn.hw.spec.config import AcceleratorConfig
from s2nn.hw.spec.descriptor import Opcode
from s2nn.hw.spec.errors import ConfigError, ImageFormatError
from s2nn.hw.spec.image import MemoryImage
from s2nn.hw.spec.packing import index_padding_bytes, num_tiles, pack_codebook, params_bytes, tile_bytes
from s2nn.hw.spec.program import Layer, Program
from s2nn.hw.spec.registers import VERSION
from s2nn.hw.spec.schedule import Schedule, simplest

FORMAT = "s2nn-manifest"
FORMAT_VERSION = 4

#: The rules that one net gives different answers under; `s2nn.hw.spec.semantics` defines them.
SEMANTICS = {
    "compare": "spike if membrane >= threshold",
    "order": "leak, then add the current, then compare, then reset; the membrane is 0 before the first step",
    "leak": "floor(membrane * leak / 2**leak_bits), arithmetic shift, so negative values round towards minus infinity",
    "current": "sign * accumulator * 2**fraction_bits + bias; image input and classifier without 2**fraction_bits",
    "weights": "planes of +1 (bit 1) and -1 (bit 0), most significant first: w = sum 2**k * b_k, an odd integer; nine "
               "zeros where a group points to the zero codeword",
    "residual": "add: x + s, iand: x and not s, with the spikes s of the layer and the residual map x, per time step; "
                "current: floor(y * gain / 2**gain_shift) is added to the current, with what the map keeps as y",
    "kept current": "floor((current + 2**(keep_shift - 1)) / 2**keep_shift), clamped to current_bits bits in two's "
                    "complement; the current is that of the step, shortcut included, without the membrane",
    "overflow": "none but the clamp of a kept current: no value leaves its width, which is proven before packing",
    "pool": "2x2 maximum or sum of the spikes, stride 2; an odd last row or column is dropped",
    "input": "8-bit pixels as bit planes, most significant first; the same image at every time step; or spikes",
    "classifier": "logit = sum of its current over all time steps, without leak and threshold; of equal logits the "
                  "lowest class wins",
}


@dataclass(frozen=True, kw_only=True)
class ManifestLayer:
    """One layer. Shapes are (channels, height, width); sizes in bytes are those of its sections.

    `weights` counts the taps that meet the map (a kernel's taps that only ever lie outside it are stored but no
    weights); `bits_per_weight` is index bits per weight without padding, `stored_bits_per_weight` with the padding and
    the codebook. `resident`: the weights stay in the weight buffer from one image to the next. `descriptors`: that run
    the layer, each with its codebook and parameters, and unless it is resident its weights. theta = threshold
    mantissa << param_shift, likewise bias. `keep_shift_range`, `gain_range`: None where no current is kept or added.
    `logit_scale`: what one unit of a logit is worth.
    """

    name: str
    kind: str
    source: str
    residual: str | None
    residual_op: str | None
    in_shape: tuple[int, int, int]
    conv_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    grouping: str
    shared_taps: bool
    stride: int
    pad: int
    pool: bool
    pool_op: str
    image_input: bool
    weight_format: str
    planes: int
    symbol_bits: int
    group_taps: int
    reset: str
    leak: int
    param_shift: int
    threshold_range: tuple[int, int]
    bias_range: tuple[int, int]
    keep_shift_range: tuple[int, int] | None
    gain_range: tuple[int, int] | None
    gain_shift: int
    negated_channels: int
    logit_scale: float
    weights: int
    resident: bool
    descriptors: int
    index_bytes: int
    index_padding_bytes: int
    params_bytes: int
    codebook_bytes: int
    bits_per_weight: float
    stored_bits_per_weight: float


@dataclass(frozen=True, kw_only=True)
class ManifestSection:
    """One section of the image: where it is, and the SHA-256 of its bytes; padding_bytes follow it up to alignment."""

    kind: str
    layer: int
    offset: int
    bytes: int
    padding_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The whole manifest.

    Parameters
    ----------
    net, steps, spike_input, classes, leak_bits, fraction_bits, current_bits : of the program.
    config : fields of the accelerator configuration. config_digest : its digest as hex.
    image_version : of the memory image. image_bytes, image_sha256 : of image.bin.
    schedule : fields of the simplest `Schedule` with the steps that the image was packed for.
    transfer_bytes : what loads and stores of an image move: "input_read", "map_read", "map_write".
    sizes : bytes by kind of section, of header and table, of alignment; they add up to image_bytes.
    provenance : where the program came from; free, not checked.
    """

    net: str
    steps: int
    spike_input: bool
    classes: int
    leak_bits: int
    fraction_bits: int
    current_bits: int
    config: dict[str, object]
    config_digest: str
    image_version: int
    image_bytes: int
    image_sha256: str
    schedule: dict[str, object]
    transfer_bytes: dict[str, int]
    layers: tuple[ManifestLayer, ...]
    sections: tuple[ManifestSection, ...]
    sizes: dict[str, int]
    bits_per_weight: dict[str, float]
    semantics: dict[str, str] = field(default_factory=lambda: dict(SEMANTICS))
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The document, as JSON values; its last field is the SHA-256 of the others."""
        document = {"format": FORMAT, "version": FORMAT_VERSION} | _plain(asdict(self))
        return document | {"sha256": document_sha256(document)}

    @classmethod
    def from_json(cls, document: Any, *, source: object) -> "Manifest":
        """Inverse of `to_json`; another format, version or digest, or other fields raise `ImageFormatError`."""
        if not isinstance(document, dict):
            raise ImageFormatError("must be a JSON object", value=type(document).__name__, source=source)
        for name, expected in (("format", FORMAT), ("version", FORMAT_VERSION)):
            if document.get(name) != expected:
                raise ImageFormatError(f"must be {expected!r}", value=document.get(name), field=name, source=source)
        if document.get("sha256") != document_sha256(document):
            raise ImageFormatError(f"must be {document_sha256(document)}, that of the other fields",
                                   value=document.get("sha256"), field="sha256", source=source)
        fields = {key: value for key, value in document.items() if key not in ("format", "version", "sha256")}
        for name, entry in (("layers", ManifestLayer), ("sections", ManifestSection)):
            entries = fields.get(name)
            if not isinstance(entries, list):
                raise ImageFormatError("must be a list", value=entries, field=name, source=source)
            fields[name] = tuple(_entry(entry, item, f"{name}[{i}]", source) for i, item in enumerate(entries))
        return _entry(cls, fields, None, source)

    def run_schedule(self, *, source: object) -> Schedule:
        """The schedule that the manifest states; else `ImageFormatError`."""
        try:
            return Schedule(**self.schedule)  # type: ignore[arg-type]
        except (ConfigError, TypeError) as error:
            raise ImageFormatError(f"must be a schedule ({error})", value=self.schedule, field="schedule",
                                   source=source) from error

    def accelerator_config(self, *, source: object) -> AcceleratorConfig:
        """The configuration that the manifest states, if its digest is the stated one; else `ImageFormatError`."""
        try:
            config = AcceleratorConfig.from_json(self.config)
        except (ConfigError, TypeError) as error:
            raise ImageFormatError(f"must be an accelerator configuration ({error})", field="config",
                                   source=source) from error
        if config.digest.hex() != self.config_digest:
            raise ImageFormatError(f"must be {config.digest.hex()}, that of the stated configuration",
                                   value=self.config_digest, field="config_digest", source=source)
        return config


def document_sha256(document: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's JSON fields but `sha256`, as hex."""
    fields = {key: value for key, value in document.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def describe_export(config: AcceleratorConfig, program: Program, image: MemoryImage, *,
                    schedule: Schedule | None = None, provenance: Mapping[str, Any] | None = None) -> Manifest:
    """The manifest of a program packed for a configuration."""
    data, offsets = image.to_bytes(), image.offsets()
    ends = [*offsets[1:], len(data)]
    sections = tuple(ManifestSection(
        kind=section.kind.name.lower(), layer=section.layer, offset=offset, bytes=len(section.data),
        padding_bytes=end - offset - len(section.data), sha256=hashlib.sha256(section.data).hexdigest(),
    ) for section, offset, end in zip(image.sections, offsets, ends, strict=True))
    steps = descriptors(image)
    runs = runs_by_layer(steps)
    layers = tuple(_describe_layer(config, layer, runs[index]) for index, layer in enumerate(program.layers))
    kinds = {"input_read": Opcode.LOAD_INPUT, "map_read": Opcode.LOAD_MAP, "map_write": Opcode.STORE_MAP}
    transfers = {name: sum(step["tile_beats"] for step in steps if step["opcode"] == opcode) * config.axi_bytes
                 for name, opcode in kinds.items()}
    sizes = {"header": offsets[0], **dict.fromkeys(("descriptors", "codebook", "params", "index"), 0)}
    for section in sections:
        sizes[section.kind] += section.bytes
    sizes["alignment"] = sum(section.padding_bytes for section in sections)
    return Manifest(
        net=program.name, steps=program.steps, spike_input=program.spike_input, classes=program.num_classes,
        leak_bits=program.leak_bits, fraction_bits=program.fraction_bits, current_bits=program.current_bits,
        config=config.to_json(), config_digest=config.digest.hex(), image_version=VERSION, image_bytes=len(data),
        image_sha256=hashlib.sha256(data).hexdigest(),
        schedule=asdict(simplest(config, program, schedule or Schedule())), transfer_bytes=transfers, layers=layers,
        sections=sections, sizes=sizes, bits_per_weight=_bits_per_weight(layers, sizes["descriptors"]),
        provenance=dict(provenance or {}))


def difference(stated: Manifest, actual: Manifest) -> str | None:
    """Dotted name of the first field in which two manifests differ, provenance aside; None if they agree."""
    one, two = ({**manifest.to_json(), "provenance": None, "sha256": None} for manifest in (stated, actual))
    found = _first_difference(one, two, "")
    return None if found is None else found.removeprefix(".")


def _first_difference(one: Any, two: Any, name: str) -> str | None:
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        parts = [(one[key], two[key], f"{name}.{key}") for key in one]
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        parts = [(first, second, f"{name}[{i}]") for i, (first, second) in enumerate(zip(one, two, strict=True))]
    else:
        return None if type(one) is type(two) and one == two else name
    return next((found for part in parts if (found := _first_difference(*part))), None)


def _describe_layer(config: AcceleratorConfig, layer: Layer, runs: Sequence[Mapping[str, int]]) -> ManifestLayer:
    """runs : the descriptors that run the layer."""
    codebook, c_out, c_in = layer.weights.codebook, layer.out_shape[0], layer.in_shape[0]
    weights = c_out * c_in * (1 if layer.shared_taps else _taps_on_map(layer, axis=1) * _taps_on_map(layer, axis=2))
    codebook_bytes = 0 if codebook is None else len(pack_codebook(config, codebook))
    index_bytes = num_tiles(config, layer) * tile_bytes(config, layer)
    return ManifestLayer(
        name=layer.name, kind=layer.kind, source=layer.source, residual=layer.residual,
        residual_op=None if layer.residual_op is None else layer.residual_op.value, in_shape=layer.in_shape,
        conv_shape=layer.conv_shape, out_shape=layer.out_shape, kernel=layer.kernel, grouping=layer.grouping.value,
        shared_taps=layer.shared_taps, stride=layer.stride, pad=layer.pad, pool=layer.pool, pool_op=layer.pool_op.value,
        image_input=layer.image_input, weight_format="raw" if codebook is None else "codebook",
        planes=layer.weights.num_planes, symbol_bits=layer.weights.symbol_bits, group_taps=9,
        reset="none" if layer.kind == "classify" else "soft" if layer.soft_reset else "hard", leak=layer.leak,
        param_shift=layer.param_shift, threshold_range=_range(layer.threshold), bias_range=_range(layer.bias),
        keep_shift_range=None if layer.keep_shift is None else _range(layer.keep_shift),
        gain_range=None if layer.gain is None else _range(layer.gain), gain_shift=layer.gain_shift,
        negated_channels=int(layer.negate.sum()), logit_scale=float(layer.logit_scale), weights=weights,
        resident=bool(runs[0]["resident"]), descriptors=len(runs),
        index_bytes=index_bytes, index_padding_bytes=index_padding_bytes(config, layer),
        params_bytes=params_bytes(config, layer), codebook_bytes=codebook_bytes,
        bits_per_weight=layer.weight_bits / weights,
        stored_bits_per_weight=8 * (index_bytes + codebook_bytes) / weights)


def _taps_on_map(layer: Layer, *, axis: int) -> int:
    """Rows (axis 1) or columns (axis 2) of the kernel that meet the map at one output position at least."""
    starts = np.arange(layer.conv_shape[axis]) * layer.stride - layer.pad  # (positions,)
    places = starts[:, None] + np.arange(layer.kernel[axis - 1])  # (positions, taps)
    return int(((places >= 0) & (places < layer.in_shape[axis])).any(axis=0).sum())


def _bits_per_weight(layers: tuple[ManifestLayer, ...], descriptor_bytes: int) -> dict[str, float]:
    """Bits per weight of the hidden layers (those that a codebook replaces) and of the whole net.

    hidden, net: index bits alone. hidden_stored: with padding and codebooks. net_stored: all sections.
    """
    hidden = [layer for layer in layers if layer.kind == "conv" and not layer.image_input]
    names = {"hidden": hidden, "net": list(layers)}
    bits: dict[str, float] = {}
    for name, chosen in names.items():
        weights = sum(layer.weights for layer in chosen)
        stored_bytes = sum(layer.index_bytes + layer.codebook_bytes for layer in chosen)
        if name == "net":
            stored_bytes += sum(layer.params_bytes for layer in chosen) + descriptor_bytes
        bits[name] = sum(layer.bits_per_weight * layer.weights for layer in chosen) / weights if weights else 0.0
        bits[f"{name}_stored"] = 8 * stored_bytes / weights if weights else 0.0
    return bits


def _range(values: np.ndarray) -> tuple[int, int]:
    return int(values.min()), int(values.max())


def _plain(value: Any) -> Any:
    """Tuples to lists, as JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _entry(cls: type, values: Any, name: str | None, source: object) -> Any:
    known = set(cls.__dataclass_fields__)
    if not isinstance(values, dict) or set(values) != known:
        keys = sorted(set(values) ^ known) if isinstance(values, dict) else type(values).__name__
        raise ImageFormatError("must have exactly the fields of a manifest", value=keys, field=name, source=source)
    return cls(**values)
