"""Bit layouts as data: a named list of fields, packed into one integer, least significant field first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from s2nn.hw.spec.errors import ImageFormatError


@dataclass(frozen=True)
class Field:
    """One unsigned field of a layout: its width in bits and what it means."""

    name: str
    width: int
    doc: str

    @property
    def limit(self) -> int:
        """Largest value that fits."""
        return (1 << self.width) - 1


class Layout:
    """An ordered set of fields with a total width; bits above the last field are reserved and must be zero."""

    def __init__(self, name: str, *, total_bits: int, fields: list[Field]):
        used_bits = sum(field.width for field in fields)
        if used_bits > total_bits or len({field.name for field in fields}) != len(fields):
            raise ValueError(f"{name}: {used_bits} bits of fields in {total_bits} bits, names must be unique")
        self.name, self.total_bits, self.fields, self.used_bits = name, total_bits, tuple(fields), used_bits

    def __iter__(self) -> Iterator[tuple[int, Field]]:
        """Yields (lowest bit, field)."""
        position = 0
        for field in self.fields:
            yield position, field
            position += field.width

    def pack(self, values: Mapping[str, int]) -> int:
        """Values by field name to one integer; every field must be given and must fit."""
        names = {field.name for field in self.fields}
        if set(values) != names:
            raise ImageFormatError("must have exactly the fields of the layout",
                                   value=sorted(set(values) ^ names), source=self.name)
        word = 0
        for position, field in self:
            value = int(values[field.name])
            if not 0 <= value <= field.limit:
                raise ImageFormatError(f"must lie in 0..{field.limit}", value=value, field=field.name,
                                       source=self.name)
            word |= value << position
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """One integer to values by field name; a set reserved bit is refused."""
        if word >> self.used_bits:
            raise ImageFormatError("reserved bits must be zero", value=hex(word >> self.used_bits), source=self.name)
        return {field.name: (word >> position) & field.limit for position, field in self}
