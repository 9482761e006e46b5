"""Where a byte lives: which address bits are its row, bank, bank group and column.

The default fills a row of one bank of each group, then the same row of the next banks: a stream meets one activation
per page, and the next page is in another bank, so its ACT hides behind the current page's reads. Bank groups alternate
burst by burst, because column commands within one group are further apart (tCCD_L).
"""

from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.sim.dram.standard import Organisation
from s2nn.hw.spec.errors import SimulationError


class Mapping(StrEnum):
    """Fields of an address from the top bit down; the lowest bits are always a burst's columns and bytes.

    The `-xor` forms exchange the bank by the row's low bits, so that a power-of-two stride changes banks too.
    """

    ROW_BANK_COLUMN_GROUP = "row-bank-column-group"
    ROW_BANK_COLUMN = "row-bank-column"
    ROW_COLUMN_BANK = "row-column-bank"
    ROW_BANK_COLUMN_GROUP_XOR = "row-bank-column-group-xor"
    ROW_COLUMN_BANK_XOR = "row-column-bank-xor"


# Fields from the lowest bit up. `column` is the part above a burst; `bank` counts within its group.
_FIELDS = {
    "row-bank-column-group": ("group", "column", "bank", "row"),
    "row-bank-column": ("column", "bank", "group", "row"),
    "row-column-bank": ("group", "bank", "column", "row"),
}


class Location(NamedTuple):
    """A burst's place; `bank` counts over all groups (those of a group adjoin), `column` is that of its first beat."""

    bank: int
    row: int
    column: int


class Locations(NamedTuple):
    """Places of many bursts: int64 arrays of one length."""

    bank: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]


class AddressMap:
    """Byte address <-> location, for one organisation.

    Members
    -------
    places : (shift, mask) of the fields "group", "bank" (within its group), "column" (of a burst) and "row".
    bank_bits, column_bits : of a bank's number within its group, of a column within a burst.
    xor_mask : bits of the row that are added to the bank, 0 without "-xor".
    """

    def __init__(self, organisation: Organisation, mapping: Mapping = Mapping.ROW_BANK_COLUMN_GROUP):
        self.burst_bytes = organisation.burst_bytes
        self.capacity_bytes = organisation.capacity_bytes
        name = mapping.removesuffix("-xor")
        self.xor_mask = organisation.num_banks - 1 if name != mapping else 0
        self.bank_bits = _bits(organisation.banks_per_group)
        self.column_bits = _bits(organisation.burst_length)
        widths = {
            "group": _bits(organisation.num_bank_groups),
            "bank": self.bank_bits,
            "column": _bits(organisation.num_columns) - self.column_bits,
            "row": _bits(organisation.num_rows),
        }
        self.places: dict[str, tuple[int, int]] = {}
        shift = _bits(self.burst_bytes)
        for field in _FIELDS[name]:
            self.places[field] = (shift, (1 << widths[field]) - 1)
            shift += widths[field]
        self._splits = [self.places[field] for field in ("group", "bank", "column", "row")]

    def locate(self, address: int) -> Location:
        """The location of the burst at byte `address`; SimulationError if it is unaligned or outside the memory."""
        if not 0 <= address < self.capacity_bytes:
            raise SimulationError(f"a DRAM address must lie in [0, {self.capacity_bytes:#x})", value=address)
        if address % self.burst_bytes:
            raise SimulationError(f"a DRAM address must be a multiple of {self.burst_bytes} bytes", value=address)
        return Location(*self._split(address))

    def locate_all(self, addresses: NDArray[np.int64]) -> Locations:
        """The locations of many bursts; SimulationError names the first bad address."""
        bad = np.flatnonzero((addresses < 0) | (addresses >= self.capacity_bytes) | (addresses % self.burst_bytes != 0))
        if bad.size:
            self.locate(int(addresses[bad[0]]))
        return Locations(*self._split(addresses))

    def address(self, location: Location) -> int:
        """The byte address of `location` (the inverse of `locate`)."""
        bank = location.bank ^ location.row & self.xor_mask
        values = {
            "group": bank >> self.bank_bits,
            "bank": bank,
            "column": location.column >> self.column_bits,
            "row": location.row,
        }
        return sum((values[field] & mask) << shift for field, (shift, mask) in self.places.items())

    def _split(self, address):
        """(bank, row, column) of one address, or of an array of them."""
        group, bank, column, row = [(address >> shift) & mask for shift, mask in self._splits]
        bank = (group << self.bank_bits) | bank
        return bank ^ row & self.xor_mask, row, column << self.column_bits


def _bits(power_of_two: int) -> int:
    return power_of_two.bit_length() - 1
