"""Between a `Program` and its `MemoryImage`, in both directions."""

from collections.abc import Sequence
from dataclasses import dataclass

from s2nn.hw.spec import packing
from s2nn.hw.spec.config import DESCRIPTOR_BYTES, GROUP_TAPS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import DESCRIPTOR, Opcode, Residual
from s2nn.hw.spec.errors import ImageFormatError
from s2nn.hw.spec.image import MemoryImage, Section, SectionKind
from s2nn.hw.spec.placement import SectionOffsets, describe
from s2nn.hw.spec.program import INPUT, Grouping, Layer, PoolOp, Program, ResidualOp, Shape, Weights


def build_image(config: AcceleratorConfig, program: Program) -> MemoryImage:
    """Pack a program for a configuration; a program that the configuration cannot hold is refused."""
    blank = bytes(DESCRIPTOR_BYTES * (len(program.layers) + 1))
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
    words = [DESCRIPTOR.pack(fields) for fields in describe(config, program, offsets)]
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
class LayerNames:
    """What an image does not say of a layer: its name, its maps' names, and its channels without padding."""

    name: str
    source: str
    residual: str | None
    c_out: int


def recover_program(config: AcceleratorConfig, image: MemoryImage, *, name: str, layers: Sequence[LayerNames],
                    spike_input: bool, logit_scale: float) -> Program:
    """A program from the bytes that the accelerator reads, so that the golden model runs what is packed.

    What the image does not hold comes from the manifest; that both belong together shows when the program is packed
    again.
    """
    head, *steps = descriptors(image)
    if head["opcode"] != Opcode.LOAD_INPUT or len(steps) != len(layers) or not layers:
        raise ImageFormatError("must start with LOAD_INPUT and describe each layer of the manifest",
                               value=(head["opcode"], len(steps)), field="descriptors")
    shapes: dict[str, Shape] = {INPUT: (head["in_channels"], head["in_height"], head["in_width"])}
    recovered = []
    for index, (fields, names) in enumerate(zip(steps, layers, strict=True)):
        if names.source not in shapes:
            raise ImageFormatError(f"must be one of {', '.join(shapes)}", value=names.source, field="source")
        layer = _recover_layer(config, image, fields, index, names, shapes[names.source], logit_scale)
        recovered.append(layer)
        shapes[names.name] = layer.out_shape
    return Program(name=name, steps=steps[0]["steps"], spike_input=spike_input, leak_bits=config.leak_bits,
                   fraction_bits=config.fraction_bits, layers=tuple(recovered))


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
    threshold, bias, negate = packing.unpack_params(data(SectionKind.PARAMS), c_out=names.c_out)
    classify = fields["opcode"] == Opcode.CLASSIFY
    operations = {Residual.NONE: None, Residual.ADD: ResidualOp.ADD, Residual.IAND: ResidualOp.IAND}
    return Layer(name=names.name, kind="classify" if classify else "conv", source=names.source, in_shape=in_shape,
                 out_shape=(names.c_out, fields["out_height"], fields["out_width"]), kernel=kernel,
                 weights=Weights(symbols=symbols, codebook=codebook),
                 grouping=Grouping.INPUTS if gather else Grouping.TAPS, shared_taps=shared, stride=fields["stride"],
                 pad=fields["pad"], pool=bool(fields["pool"]), pool_op=PoolOp.SUM if fields["pool_sum"] else PoolOp.MAX,
                 residual=names.residual,
                 residual_op=operations[Residual(fields["residual"])], image_input=bool(fields["image_input"]),
                 threshold=threshold, bias=bias, negate=negate, param_shift=fields["param_shift"],
                 leak=fields["leak"], soft_reset=bool(fields["soft_reset"]),
                 logit_scale=logit_scale if classify else 1.0)
