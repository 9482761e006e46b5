"""Where a simulation puts things in the accelerator's memory: the image at 0, then input, logits and spilled maps."""

from s2nn.hw.sim.activity import Addresses
from s2nn.hw.spec.build import descriptors
from s2nn.hw.spec.config import AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import Opcode
from s2nn.hw.spec.image import MemoryImage

#: What the regions are aligned to, and the size of that of the logits, in bytes: several DRAM rows.
REGION_BYTES = 1 << 16


def place(config: AcceleratorConfig, image: MemoryImage) -> Addresses:
    """The addresses for an image."""
    start = _aligned(image.size_bytes)
    output = start + _aligned(_reach(config, image, Opcode.LOAD_INPUT))
    return Addresses(image=0, input=start, output=output, scratch=output + REGION_BYTES)


def memory_bytes(config: AcceleratorConfig, image: MemoryImage, addresses: Addresses) -> int:
    """The smallest memory that holds all of it."""
    return addresses.scratch + _aligned(scratch_bytes(config, image))


def scratch_bytes(config: AcceleratorConfig, image: MemoryImage) -> int:
    """Bytes of spilled maps."""
    return _reach(config, image, Opcode.STORE_MAP)


def regions(config: AcceleratorConfig, image: MemoryImage, addresses: Addresses) -> list[tuple[str, int, int]]:
    """(name, start, end) by section, so that the bus can be compared with the manifest section by section."""
    sections = [(f"{section.kind.name.lower()}.{section.layer}", offset, offset + len(section.data))
                for section, offset in zip(image.sections, image.offsets(), strict=True)]
    logits_end = addresses.output + config.logits_beats * config.axi_bytes
    return [*sections,
            ("input", addresses.input, addresses.input + _reach(config, image, Opcode.LOAD_INPUT)),
            ("logits", addresses.output, logits_end),
            ("map", addresses.scratch, addresses.scratch + scratch_bytes(config, image))]


def _reach(config: AcceleratorConfig, image: MemoryImage, opcode: Opcode) -> int:
    """Bytes from the start of a region to the end of the last transfer of that kind."""
    return max((fields["index_offset"] + fields["tile_beats"] * config.axi_bytes for fields in descriptors(image)
                if fields["opcode"] == opcode), default=0)


def _aligned(size_bytes: int) -> int:
    return ceil_div(size_bytes, REGION_BYTES) * REGION_BYTES
