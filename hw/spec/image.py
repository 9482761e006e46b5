"""The memory image: a header, a table of sections, and the sections; written whole, read with every field checked.

All integers are little-endian. Sections start on 64-byte boundaries, in the order of the table, without overlap.
The header's CRC covers header and table, the SHA-256 covers everything behind the table.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from s2nn.hw.spec.config import DESCRIPTOR_BYTES, AcceleratorConfig, ceil_div
from s2nn.hw.spec.errors import ImageFormatError
from s2nn.hw.spec.registers import VERSION

MAGIC = b"S2NN"
ALIGNMENT_BYTES = 64
# magic, version, sections, config digest, CRC-32 (zero while computed), descriptors, total bytes, payload SHA-256
_HEADER = struct.Struct("<4sHH8sIIQ32s")
# kind, layer, CRC-32 of the data, offset, bytes
_ENTRY = struct.Struct("<HHIQQ")


class SectionKind(IntEnum):
    """What a section holds."""

    DESCRIPTORS = 1
    CODEBOOK = 2
    PARAMS = 3
    INDEX = 4


@dataclass(frozen=True)
class Section:
    """A run of bytes; `layer` counts the program's layers from 0 (0 for DESCRIPTORS)."""

    kind: SectionKind
    layer: int
    data: bytes


@dataclass(frozen=True)
class MemoryImage:
    """The sections of a program with the digest of the configuration they were packed for."""

    config_digest: bytes
    sections: tuple[Section, ...]

    def section(self, kind: SectionKind, layer: int = 0) -> Section | None:
        """The section of that kind and layer, or None."""
        return next((s for s in self.sections if (s.kind, s.layer) == (kind, layer)), None)

    def offsets(self) -> list[int]:
        """Byte offset of each section."""
        position = aligned(_HEADER.size + _ENTRY.size * len(self.sections))
        offsets = []
        for section in self.sections:
            offsets.append(position)
            position += aligned(len(section.data))
        return offsets

    def offset(self, kind: SectionKind, layer: int = 0) -> int:
        """Byte offset of a section that exists."""
        for section, offset in zip(self.sections, self.offsets(), strict=True):
            if (section.kind, section.layer) == (kind, layer):
                return offset
        raise ImageFormatError("must contain the section", value=(kind.name, layer), source="memory image")

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole image."""
        return self.offsets()[-1] + aligned(len(self.sections[-1].data))

    def to_bytes(self) -> bytes:
        """The image as the accelerator reads it from DRAM."""
        offsets = self.offsets()
        table_bytes = aligned(_HEADER.size + _ENTRY.size * len(self.sections))
        table, payload = b"", b""
        for section, offset in zip(self.sections, offsets, strict=True):
            table += _ENTRY.pack(section.kind, section.layer, zlib.crc32(section.data), offset, len(section.data))
            payload += section.data + bytes(-len(section.data) % ALIGNMENT_BYTES)
        descriptors = self.section(SectionKind.DESCRIPTORS)
        count = 0 if descriptors is None else len(descriptors.data) // DESCRIPTOR_BYTES

        def head(crc: int) -> bytes:
            header = _HEADER.pack(MAGIC, VERSION, len(self.sections), self.config_digest, crc, count,
                                  table_bytes + len(payload), hashlib.sha256(payload).digest())
            return (header + table).ljust(table_bytes, b"\0")

        return head(zlib.crc32(head(0))) + payload


def aligned(size: int) -> int:
    """The size with its padding up to the alignment."""
    return ceil_div(size, ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def parse_image(data: bytes, *, config: AcceleratorConfig | None = None,
                source: object = "memory image") -> MemoryImage:
    """Inverse of `MemoryImage.to_bytes`.

    Refuses, with the field and value: a wrong magic or version, a damaged header, another configuration's digest
    (if `config` is given), a truncated file, sections that overlap, leave the file or fail their CRC.
    """
    def refuse(rule: str, value: object, field: str) -> ImageFormatError:
        return ImageFormatError(rule, value=value, field=field, source=source)

    if len(data) < _HEADER.size:
        raise refuse(f"must hold a header of {_HEADER.size} bytes", len(data), "size")
    magic, version, num_sections, digest, crc, count, total, sha = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise refuse(f"must be {MAGIC!r}", magic, "magic")
    if version != VERSION:
        raise refuse(f"must be {VERSION}", version, "version")
    table_bytes = aligned(_HEADER.size + _ENTRY.size * num_sections)
    if len(data) < table_bytes:
        raise refuse(f"must hold a table of {num_sections} sections", len(data), "size")
    cleared = _HEADER.pack(magic, version, num_sections, digest, 0, count, total, sha)
    if zlib.crc32(cleared + data[_HEADER.size:table_bytes]) != crc:
        raise refuse("must match header and section table", hex(crc), "header CRC")
    if len(data) != total:
        raise refuse(f"must be {total} bytes, as the header says", len(data), "size")
    if config is not None and digest != config.digest:
        raise refuse(f"must be {config.digest.hex()}, that of configuration {config.name}", digest.hex(),
                     "config digest")
    sections, position = [], table_bytes
    for index in range(num_sections):
        kind, layer, section_crc, offset, size = _ENTRY.unpack_from(data, _HEADER.size + _ENTRY.size * index)
        field = f"section {index}"
        if kind not in {int(k) for k in SectionKind}:
            raise refuse("must be of a known kind", kind, field)
        if offset % ALIGNMENT_BYTES or offset < position:
            raise refuse(f"must be aligned and start at or after byte {position}, behind the one before", offset, field)
        if offset + size > total:
            raise refuse(f"must end within {total} bytes", offset + size, field)
        payload = data[offset:offset + size]
        if zlib.crc32(payload) != section_crc:
            raise refuse("must match its CRC-32", hex(zlib.crc32(payload)), field)
        sections.append(Section(SectionKind(kind), layer, payload))
        position = offset + size
    if hashlib.sha256(data[table_bytes:]).digest() != sha:
        raise refuse("must match the payload", sha.hex(), "payload SHA-256")
    descriptors = sum(len(s.data) for s in sections if s.kind == SectionKind.DESCRIPTORS)
    if descriptors != count * DESCRIPTOR_BYTES:
        raise refuse(f"must be {count} descriptors of {DESCRIPTOR_BYTES} bytes", descriptors, "descriptors")
    return MemoryImage(digest, tuple(sections))
