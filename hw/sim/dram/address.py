"""Where a byte lives: row | bank | column | byte, from the top bit down.

Consecutive addresses fill a row of one bank, then the same row of the next bank: a stream meets one activation per
page, and the next page is in another bank, so its ACT hides behind the current page's reads.
"""

from typing import NamedTuple

from s2nn.hw.sim.dram.standard import Organisation
from s2nn.hw.spec.errors import SimulationError


class Location(NamedTuple):
    """A burst's place; `column` is that of its first beat."""

    bank: int
    row: int
    column: int


class AddressMap:
    """Byte address <-> location, for one organisation."""

    def __init__(self, organisation: Organisation):
        self._organisation = organisation
        self.burst_bytes = organisation.burst_bytes
        self.capacity_bytes = organisation.capacity_bytes
        self._column_byte_bits = organisation.column_bytes.bit_length() - 1
        self._bank_shift = organisation.row_bytes.bit_length() - 1
        self._row_shift = self._bank_shift + organisation.num_banks.bit_length() - 1

    def locate(self, address: int) -> Location:
        """The location of the burst at byte `address`; SimulationError if it is unaligned or outside the memory."""
        if not 0 <= address < self.capacity_bytes:
            raise SimulationError(f"a DRAM address must lie in [0, {self.capacity_bytes:#x})", value=address)
        if address % self.burst_bytes:
            raise SimulationError(f"a DRAM address must be a multiple of {self.burst_bytes} bytes", value=address)
        return Location(
            bank=(address >> self._bank_shift) & (self._organisation.num_banks - 1),
            row=address >> self._row_shift,
            column=(address >> self._column_byte_bits) & (self._organisation.num_columns - 1),
        )

    def address(self, location: Location) -> int:
        """The byte address of `location` (the inverse of `locate`)."""
        return (
            (location.row << self._row_shift)
            | (location.bank << self._bank_shift)
            | (location.column << self._column_byte_bits)
        )
