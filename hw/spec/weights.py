"""Weights as groups of nine: which nine make a group, their symbols with or without a codebook, and how bits pack."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.spec.config import GROUP_TAPS, ceil_div
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.semantics import IntArray, bipolar_weight

#: The codeword of nine zeros: the bit above the taps. A pruned group points to it.
ZERO_CODEWORD = 1 << GROUP_TAPS


class Grouping(StrEnum):
    """Which nine weights of an output channel make a group."""

    #: 3x3 neighbouring taps of one input channel: a 3x3 kernel is one group, a larger one several.
    TAPS = "taps"
    #: Nine consecutive inputs in the order (row, column, channel) of the kernel: 1x1 and linear layers.
    INPUTS = "inputs"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weight planes of one layer, as groups of nine.

    Parameters
    ----------
    symbols : (planes, c_out, groups) uint16, planes most significant first; the order of the groups is that of
        `Layer.grouping`. With a codebook, indices below 2**index_bits; without one, raw groups: bit k is the weight bit
        of tap k, 1 for +1.
    codebook : (2**index_bits,) uint16 of raw groups and perhaps `ZERO_CODEWORD`; or None.
    """

    symbols: NDArray[np.uint16]
    codebook: NDArray[np.uint16] | None = None

    def __post_init__(self) -> None:
        limit = 1 << GROUP_TAPS if self.codebook is None else len(self.codebook)
        if self.symbols.ndim != 3 or (self.symbols.size and int(self.symbols.max()) >= limit):
            raise LoweringError(f"symbols must have 3 axes and lie below {limit}",
                                value=(self.symbols.shape, int(self.symbols.max(initial=0))), source="Weights")
        if self.codebook is not None and (len(self.codebook) not in (4, 8, 16, 32, 64)
                                          or int(self.codebook.max()) > ZERO_CODEWORD):
            raise LoweringError("a codebook must have 4, 8, 16, 32 or 64 nine-bit codewords, or the zero codeword",
                                value=self.codebook.tolist(), source="Weights")

    @property
    def num_planes(self) -> int:
        """Weight planes."""
        return self.symbols.shape[0]

    @property
    def symbol_bits(self) -> int:
        """Stored bits per group: eta with a codebook, 9 without."""
        return GROUP_TAPS if self.codebook is None else (len(self.codebook) - 1).bit_length()

    def groups(self) -> NDArray[np.uint16]:
        """Symbols decoded to raw nine-bit groups or `ZERO_CODEWORD`, same shape."""
        return self.symbols if self.codebook is None else self.codebook[self.symbols]

    def integers(self) -> IntArray:
        """Integer weights by group and tap, (c_out, groups, 9)."""
        groups = self.groups()
        taps = (groups[..., None] >> np.arange(GROUP_TAPS)) & 1  # (planes, c_out, groups, 9)
        return bipolar_weight(taps.astype(np.uint8), zero=(groups == ZERO_CODEWORD)[..., None])


def group_taps(bits: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Weight bits (planes, c_out, c_in, height, width), 1 for +1 -> raw symbols (planes, c_out, groups), grouping TAPS.

    Taps that fill a kernel up to whole groups are stored as 0 and mean nothing.
    """
    planes, c_out, c_in, height, width = bits.shape
    gy, gx = ceil_div(height, 3), ceil_div(width, 3)
    padded = np.zeros((planes, c_out, c_in, 3 * gy, 3 * gx), dtype=np.uint8)
    padded[..., :height, :width] = bits
    grid = padded.reshape(planes, c_out, c_in, gy, 3, gx, 3).transpose(0, 1, 3, 5, 2, 4, 6)
    return _pack_taps(grid.reshape(planes, c_out, gy * gx * c_in, GROUP_TAPS))


def group_inputs(bits: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """As `group_taps`, grouping INPUTS.

    >>> group_inputs(np.ones((1, 1, 10, 1, 1), dtype=np.uint8)).tolist()
    [[[511, 1]]]
    """
    planes, c_out = bits.shape[:2]
    flat = bits.transpose(0, 1, 3, 4, 2).reshape(planes, c_out, -1)
    groups = ceil_div(flat.shape[2], GROUP_TAPS)
    padded = np.zeros((planes, c_out, groups * GROUP_TAPS), dtype=np.uint8)
    padded[..., :flat.shape[2]] = flat
    return _pack_taps(padded.reshape(planes, c_out, groups, GROUP_TAPS))


def fewest_groups(in_shape: tuple[int, int, int], kernel: tuple[int, int], *, lanes: int) -> Grouping:
    """The grouping that needs fewer groups for a kernel (rows, columns) of these input channels, TAPS if both need as
    many. Several taps of one group of inputs need whole blocks of `lanes` channels.

    >>> fewest_groups((64, 4, 4), (4, 4), lanes=16), fewest_groups((64, 3, 3), (3, 3), lanes=16)
    (<Grouping.INPUTS: 'inputs'>, <Grouping.TAPS: 'taps'>)
    """
    channels, (rows, columns) = in_shape[0], kernel
    if channels % lanes and kernel != (1, 1):
        return Grouping.TAPS
    by_taps = channels * ceil_div(rows, 3) * ceil_div(columns, 3)
    return Grouping.INPUTS if ceil_div(channels * rows * columns, GROUP_TAPS) < by_taps else Grouping.TAPS


def _pack_taps(taps: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return (taps.astype(np.uint16) << np.arange(GROUP_TAPS, dtype=np.uint16)).sum(axis=-1).astype(np.uint16)
