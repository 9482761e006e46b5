"""Where a simulation puts things in the accelerator's memory: the image at 0, then input and logits, a region each."""

from s2nn.hw.sim.activity import Addresses
from s2nn.hw.spec.config import AcceleratorConfig, ceil_div
from s2nn.hw.spec.image import MemoryImage

#: Bytes of the regions of input and logits, and what they are aligned to: several DRAM rows.
REGION_BYTES = 1 << 16


def place(image_bytes: int) -> Addresses:
    """The addresses for an image of that size."""
    start = ceil_div(image_bytes, REGION_BYTES) * REGION_BYTES
    return Addresses(image=0, input=start, output=start + REGION_BYTES)


def memory_bytes(addresses: Addresses) -> int:
    """The smallest memory that holds all of it."""
    return addresses.output + REGION_BYTES


def regions(config: AcceleratorConfig, image: MemoryImage, addresses: Addresses, *,
            input_bytes: int) -> list[tuple[str, int, int]]:
    """(name, start, end) by section, so that the bus can be compared with the manifest section by section."""
    sections = [(f"{section.kind.name.lower()}.{section.layer}", offset, offset + len(section.data))
                for section, offset in zip(image.sections, image.offsets(), strict=True)]
    logits_end = addresses.output + config.logits_beats * config.axi_bytes
    return [*sections, ("input", addresses.input, addresses.input + input_bytes),
            ("logits", addresses.output, logits_end)]
