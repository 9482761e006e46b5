"""Between a `Program` and its `MemoryImage`, in both directions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s2nn.hw.spec import packing
from s2nn.hw.spec.config import DESCRIPTOR_BYTES, GROUP_TAPS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import DESCRIPTOR, GAIN_SHIFT_UNIT, LAYER_OPCODES, Opcode, Residual
from s2nn.hw.spec.errors import ImageFormatError
from s2nn.hw.spec.image import MemoryImage, Section, SectionKind
from s2nn.hw.spec.placement import SectionOffsets, describe
from s2nn.hw.spec.program import INPUT, Layer, PoolOp, Program, ResidualOp, Shape
from s2nn.hw.spec.schedule import Schedule, plan_run
from s2nn.hw.spec.weights import Grouping, Weights


def build_image(config: AcceleratorConfig, program: Program, schedule: Schedule | None = None) -> MemoryImage:
    """Pack a program for a configuration; a program that the configuration cannot hold is refused."""
    plan = plan_run(config, program, schedule)
    blank = bytes(DESCRIPTOR_BYTES * len(plan.steps))
    sections = [Section(SectionKind.DESCRIPTORS, 0, blank)]
    for index, layer in enumerate(program.layers):
        if layer.weights.codebook is not None:
            codebook = packing.pack_codebook(config, layer.weights.codebook)
            sections.append(Section(SectionKind.CODEBOOK, index, codebook))
        sections.append(Section(SectionKind.PARAMS, index, packing.pack_params(config, layer)))
        sections.append(Section(SectionKind.INDEX, index, packing.pack_index(config, layer)))
    draft = MemoryImage(config.digest, tuple(sections))
    offsets = [SectionOffsets(
        codebook=draft.offset(SectionKind.CODEBOOK, index) if layer.weights.codebook is not None else 0,
        params=draft.offset(SectionKind.PARAMS, index),
        index=draft.offset(SectionKind.INDEX, index),
    ) for index, layer in enumerate(program.layers)]
    words = [DESCRIPTOR.pack(fields) for fields in describe(config, program, offsets, plan)]
    data = b"".join(word.to_bytes(DESCRIPTOR_BYTES, "little") for word in words)
    return MemoryImage(config.digest, (Section(SectionKind.DESCRIPTORS, 0, data), *sections[1:]))


def descriptors(image: MemoryImage) -> list[dict[str, int]]:
    """The descriptor fields in an image."""
    section = image.section(SectionKind.DESCRIPTORS)
    if section is None:
        raise ImageFormatError("must contain descriptors", source="memory image")
    words = [section.data[i:i + DESCRIPTOR_BYTES] for i in range(0, len(section.data), DESCRIPTOR_BYTES)]
    return [DESCRIPTOR.unpack(int.from_bytes(word, "little")) for word in words]


@dataclass(frozen=True, kw_only=True)
class LayerRun:
    """What a descriptor does of a layer.

    layer : its number. rows : of its output, after pooling. chunk : of time steps, the only one; None: all.
    """

    layer: int
    rows: range
    chunk: int | None


def layer_runs(fields: Sequence[Mapping[str, int]]) -> list[LayerRun | None]:
    """By descriptor what it runs; None where it loads or stores a map."""
    found: list[LayerRun | None] = []
    top, chunk, layer = 0, 0, -1
    for descriptor in fields:
        if descriptor["opcode"] not in LAYER_OPCODES:
            found.append(None)
            continue
        if descriptor["layer"] != layer:
            top, layer = 0, descriptor["layer"]
        chunk = chunk + 1 if descriptor["load_membranes"] else 0
        rows, is_partial = range(top, top + descriptor["out_height"]), bool(chunk or descriptor["store_membranes"])
        found.append(LayerRun(layer=layer, rows=rows, chunk=chunk if is_partial else None))
        if not descriptor["store_membranes"]:
            top = rows.stop
    return found


def runs_by_layer(fields: Sequence[dict[str, int]]) -> dict[int, list[dict[str, int]]]:
    """By layer the descriptors that run it: band by band, and in each band chunk by chunk."""
    found: dict[int, list[dict[str, int]]] = {}
    for descriptor in fields:
        if descriptor["opcode"] in LAYER_OPCODES:
            found.setdefault(descriptor["layer"], []).append(descriptor)
    return found


@dataclass(frozen=True, kw_only=True)
class LayerNames:
    """What an image does not say of a layer: its name, its maps' names, and its channels without padding."""

    name: str
    source: str
    residual: str | None
    c_out: int


def recover_program(config: AcceleratorConfig, image: MemoryImage, *, name: str, in_shape: Shape,
                    layers: Sequence[LayerNames], spike_input: bool, logit_scale: float) -> Program:
    """A program from the bytes that the accelerator reads, so that the golden model runs what is packed.

    What the image does not hold comes from the manifest; that both belong together shows when the program is packed
    again.
    """
    by_layer = runs_by_layer(descriptors(image))
    if sorted(by_layer) != list(range(len(layers))) or not layers:
        raise ImageFormatError(f"must run each of the manifest's {len(layers)} layers", value=sorted(by_layer),
                               field="descriptors")
    channels, height, width = in_shape
    shapes: dict[str, Shape] = {INPUT: (channels, height, width)}
    recovered = []
    for index, names in enumerate(layers):
        if names.source not in shapes:
            raise ImageFormatError(f"must be one of {', '.join(shapes)}", value=names.source, field="source")
        bands = [fields for fields in by_layer[index] if not fields["load_membranes"]]
        whole = bands[0] | {"out_height": sum(fields["out_height"] for fields in bands)}
        layer = _recover_layer(config, image, whole, index, names, shapes[names.source], logit_scale)
        recovered.append(layer)
        shapes[names.name] = layer.out_shape
    num_bands = sum(1 for fields in by_layer[0] if not fields["load_membranes"])
    steps = sum(fields["steps"] for fields in by_layer[0]) // num_bands
    keeps = any(layer.keep_shift is not None for layer in recovered)
    return Program(name=name, steps=steps, spike_input=spike_input, leak_bits=config.leak_bits,
                   fraction_bits=config.fraction_bits, current_bits=config.current_bits if keeps else 0,
                   layers=tuple(recovered))


def _recover_layer(config: AcceleratorConfig, image: MemoryImage, fields: dict[str, int], index: int,
                   names: LayerNames, in_shape: Shape, logit_scale: float) -> Layer:
    def data(kind: SectionKind) -> bytes:
        section = image.section(kind, index)
        if section is None:
            raise ImageFormatError("must contain the section", value=(kind.name, index), source="memory image")
        return section.data

    codebook = None
    if fields["codebook"]:
        codebook = packing.unpack_codebook(data(SectionKind.CODEBOOK), entries=1 << fields["symbol_bits"])
    gather, shared = bool(fields["gather"]), bool(fields["shared_taps"])
    kernel, groups = (fields["groups_y"], fields["groups_x"]), fields["groups_y"] * fields["groups_x"] * in_shape[0]
    if gather:
        groups = ceil_div(in_shape[0] if shared else groups, GROUP_TAPS)
    else:
        kernel = (3 * (fields["groups_y"] - 1) + fields["last_taps_y"],
                  3 * (fields["groups_x"] - 1) + fields["last_taps_x"])
    symbols = packing.unpack_index(config, data(SectionKind.INDEX), c_out=names.c_out,
                                   symbol_bits=fields["symbol_bits"], planes=fields["planes"], groups=groups)
    classify, residual = fields["opcode"] == Opcode.CLASSIFY, Residual(fields["residual"])
    keeps, adds, params = bool(fields["keep_current"]), residual == Residual.CURRENT, data(SectionKind.PARAMS)
    threshold, bias, negate = packing.unpack_params(params, c_out=names.c_out, words=2 if keeps or adds else 1)
    gain, keep_shift = packing.unpack_current_params(params, c_out=names.c_out) if keeps or adds else (None, None)
    operations = {Residual.NONE: None, Residual.ADD: ResidualOp.ADD, Residual.IAND: ResidualOp.IAND,
                  Residual.CURRENT: ResidualOp.CURRENT}
    return Layer(name=names.name, kind="classify" if classify else "conv", source=names.source, in_shape=in_shape,
                 out_shape=(names.c_out, fields["out_height"], fields["out_width"]), kernel=kernel,
                 weights=Weights(symbols=symbols, codebook=codebook),
                 grouping=Grouping.INPUTS if gather else Grouping.TAPS, shared_taps=shared, stride=fields["stride"],
                 pad=fields["pad"], pool=bool(fields["pool"]), pool_op=PoolOp.SUM if fields["pool_sum"] else PoolOp.MAX,
                 residual=names.residual,
                 residual_op=operations[residual], image_input=bool(fields["image_input"]),
                 gain=gain if adds else None, gain_shift=GAIN_SHIFT_UNIT * fields["gain_shift"],
                 keep_shift=keep_shift if keeps else None,
                 threshold=threshold, bias=bias, negate=negate, param_shift=fields["param_shift"],
                 leak=fields["leak"], soft_reset=bool(fields["soft_reset"]),
                 logit_scale=logit_scale if classify else 1.0)
