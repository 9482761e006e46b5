"""A net as a list of stages: one convolution each, with what it reads, how it fires and what its spikes meet.

Training, folding, checkpoints, lowering and the size tables all walk this list; a layer string is turned into it by
`s2nn.model.nets.layer_string`. Maps are named after the stage that makes them, `INPUT` is the net's input.

    current = BN(conv(source)) [+ current of `membrane`]         one value per channel, position and time step
    spikes  = LIF(current)                                       unless `fires` is False
    map     = pool(spikes)   or   spikes joined with `residual`  what later stages read
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from s2nn.hw.spec.config import GROUP_TAPS, PIXEL_BITS, ceil_div
from s2nn.hw.spec.program import INPUT, PoolOp, ResidualOp, Shape


class WeightKind(StrEnum):
    """How the weights of a stage are stored."""

    #: Odd integers of `plane_bits` bits: the first stage.
    PLANES = "planes"
    #: One bit.
    BINARY = "binary"
    #: eta bits per group of nine.
    CODEBOOK = "codebook"
    #: float32, in a net that is no program.
    FULL_PRECISION = "full_precision"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One convolution with BN and what follows it.

    Parameters
    ----------
    name, source : of the map that it makes, and of the one that it reads.
    in_channels, out_channels : of the convolution. height, width : of its input map.
    kernel, stride : 3 (padding 1) or 1 (no padding); 1 or 2.
    linear : the stage reads its whole map at once, without padding, and makes one position; `kernel` is not used.
    weights, eta : how they are stored; bits of a group's index, None without a codebook.
    pool, pool_op : 2x2 pool of the spikes (an odd last row or column is dropped). SUM is average pooling: a map holds
        the mean of the four spikes in training and their sum afterwards, the quarter lies in its readers' gain.
    residual, residual_op : map that the spikes are joined with (spike-element-wise, arXiv 2102.04159), or None.
    membrane : stage whose current is added to this one's before it fires (membrane shortcut of arXiv 2112.08954), or
        None.
    fires : False for a shortcut convolution whose current another stage's `membrane` takes.
    """

    name: str
    source: str
    in_channels: int
    out_channels: int
    height: int
    width: int
    kernel: int = 3
    stride: int = 1
    linear: bool = False
    weights: WeightKind
    eta: int | None = None
    pool: bool = False
    pool_op: PoolOp = PoolOp.MAX
    residual: str | None = None
    residual_op: ResidualOp | None = None
    membrane: str | None = None
    fires: bool = True

    @property
    def padding(self) -> int:
        return 0 if self.linear else self.kernel // 2

    @property
    def kernel_shape(self) -> tuple[int, int]:
        """(rows, columns) of taps."""
        return (self.height, self.width) if self.linear else (self.kernel, self.kernel)

    @property
    def gathered(self) -> bool:
        """A group of weights is nine consecutive inputs, not nine taps of one channel."""
        return self.linear or self.kernel == 1

    @property
    def out_height(self) -> int:
        """Rows of the map that it makes."""
        rows = 1 if self.linear else ceil_div(self.height, self.stride)
        return rows // 2 if self.pool else rows

    @property
    def out_width(self) -> int:
        """Columns of the map that it makes."""
        columns = 1 if self.linear else ceil_div(self.width, self.stride)
        return columns // 2 if self.pool else columns

    @property
    def in_shape(self) -> Shape:
        return self.in_channels, self.height, self.width

    @property
    def out_shape(self) -> Shape:
        return self.out_channels, self.out_height, self.out_width

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(out, in, rows, columns)."""
        return self.out_channels, self.in_channels, *self.kernel_shape

    @property
    def num_weights(self) -> int:
        return math.prod(self.weight_shape)

    @property
    def groups_per_channel(self) -> int:
        """Groups of nine of one output channel; the last one of a gathered stage may be partly idle."""
        return ceil_div(math.prod(self.weight_shape[1:]), GROUP_TAPS)

    @property
    def is_mean_pooled(self) -> bool:
        return self.pool and self.pool_op is PoolOp.SUM


def map_peaks(stages: Sequence[Stage], *, spike_input: bool) -> dict[str, int]:
    """Largest integer in each map at one time step: 255 in an image, 1 in spikes, more where spikes are added up.

    Both parts of a residual must be listed before it. Maps with a membrane shortcut hold spikes like any other.
    """
    peaks = {INPUT: 1 if spike_input else (1 << PIXEL_BITS) - 1}
    for stage in stages:
        if stage.is_mean_pooled:
            peaks[stage.name] = 4
        elif stage.residual is not None and stage.residual_op is ResidualOp.ADD:
            peaks[stage.name] = 1 + peaks[stage.residual]
        else:
            peaks[stage.name] = 1
    return peaks


def last_readers(stages: Sequence[Stage]) -> dict[str, list[str]]:
    """For each stage the maps that no later stage reads, so that their memory can be given back behind it."""
    last: dict[str, str] = {}
    for stage in stages:
        last |= {name: stage.name for name in (stage.source, stage.residual, stage.membrane) if name is not None}
    return {stage.name: [name for name, reader in last.items() if reader == stage.name] for stage in stages}
