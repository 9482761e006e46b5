"""Between a `Program` and its `MemoryImage`, in both directions."""

from s2nn.hw.spec import packing
from s2nn.hw.spec.config import DESCRIPTOR_BYTES, AcceleratorConfig
from s2nn.hw.spec.descriptor import DESCRIPTOR, Opcode
from s2nn.hw.spec.errors import ImageFormatError
from s2nn.hw.spec.image import MemoryImage, Section, SectionKind
from s2nn.hw.spec.placement import SectionOffsets, describe
from s2nn.hw.spec.program import Layer, Program, Shape, Weights


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


def recover_program(config: AcceleratorConfig, image: MemoryImage, *, name: str, layer_names: list[str],
                    num_classes: int, c_outs: list[int], logit_scale: float) -> Program:
    """A program from the bytes that the accelerator reads, so that the golden model runs what is packed.

    What the image does not hold (names, unpadded channel counts, the scale of a logit) comes from the manifest.
    """
    head, *steps = descriptors(image)
    if head["opcode"] != Opcode.LOAD_INPUT or len(steps) != len(layer_names) or len(c_outs) != len(steps):
        raise ImageFormatError("must start with LOAD_INPUT and describe each layer of the manifest",
                               value=(head["opcode"], len(steps)), field="descriptors")
    if c_outs[-1] != num_classes:
        raise ImageFormatError("must be the classifier's channels", value=num_classes, field="num_classes")
    shape: Shape = (head["in_channels"], head["in_height"], head["in_width"])
    layers = []
    for index, (fields, layer_name, c_out) in enumerate(zip(steps, layer_names, c_outs, strict=True)):
        out_shape: Shape = (c_out, fields["out_height"], fields["out_width"])
        layers.append(_recover_layer(config, image, fields, index, layer_name, shape, out_shape, logit_scale))
        shape = out_shape
    return Program(name=name, steps=steps[0]["steps"], leak_bits=config.leak_bits,
                   fraction_bits=config.fraction_bits, layers=tuple(layers))


def _recover_layer(config: AcceleratorConfig, image: MemoryImage, fields: dict[str, int], index: int, name: str,
                   in_shape: Shape, out_shape: Shape, logit_scale: float) -> Layer:
    def data(kind: SectionKind) -> bytes:
        section = image.section(kind, index)
        if section is None:
            raise ImageFormatError("must contain the section", value=(kind.name, index), source="memory image")
        return section.data

    codebook = None
    if fields["codebook"]:
        codebook = packing.unpack_codebook(data(SectionKind.CODEBOOK), entries=1 << fields["symbol_bits"])
    symbols = packing.unpack_index(
        config, data(SectionKind.INDEX), c_out=out_shape[0], symbol_bits=fields["symbol_bits"],
        group_shape=(fields["planes"], fields["groups_y"], fields["groups_x"], in_shape[0]))
    threshold, bias, negate = packing.unpack_params(data(SectionKind.PARAMS), c_out=out_shape[0])
    classify = fields["opcode"] == Opcode.CLASSIFY
    return Layer(name=name, kind="classify" if classify else "conv", in_shape=in_shape, out_shape=out_shape,
                 weights=Weights(symbols=symbols, codebook=codebook), stride=fields["stride"], pad=fields["pad"],
                 pool=bool(fields["pool"]), image_input=bool(fields["image_input"]), threshold=threshold, bias=bias,
                 negate=negate, param_shift=fields["param_shift"], leak=fields["leak"],
                 soft_reset=bool(fields["soft_reset"]), logit_scale=logit_scale if classify else 1.0)
