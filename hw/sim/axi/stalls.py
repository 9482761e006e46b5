"""Which cycles an AXI channel waits in although it could move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from s2nn.hw.spec.errors import SimulationError

#: In the order of `Channel` of axi_rules.h.
CHANNELS = ("ar", "r", "aw", "w", "b")


@dataclass(frozen=True, kw_only=True)
class AxiStalls:
    """What a BusMemory does on each channel: it holds ready back on AR, AW and W, valid on R and B.

    Parameters
    ----------
    probability, seed : each channel stalls each cycle with `probability` in [0, 1), by a generator of its own; the same
        seed gives the same stalls.
    patterns : by channel, whether it stalls in the first cycles, then never; instead of the random stalls.
    """

    probability: float = 0.0
    seed: int = 0
    patterns: Mapping[str, Sequence[bool]] = field(default_factory=dict)

    def __post_init__(self):
        if not 0 <= self.probability < 1:
            raise SimulationError("the probability of a stall must lie in [0, 1)", value=self.probability)
        for channel in self.patterns:
            if channel not in CHANNELS:
                raise SimulationError(f"a channel must be one of {', '.join(CHANNELS)}", value=channel)
