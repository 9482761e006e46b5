"""Stall generators: for each cycle in which a channel could move, whether it waits instead.

A generator yields True to stall. Each channel of a bus has its own, so that a test may stall any mix of them.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from s2nn.hw.spec.errors import SimulationError

CHANNELS = ("ar", "r", "aw", "w", "b")


def random_stalls(*, probability: float, seed: int | str) -> Iterator[bool]:
    """Stall each cycle with `probability` in [0, 1), independently; the same seed gives the same stalls."""
    if not 0 <= probability < 1:
        raise SimulationError("the probability of a stall must lie in [0, 1)", value=probability)
    generator = random.Random(seed)
    while True:
        yield generator.random() < probability


@dataclass(kw_only=True)
class AxiStalls:
    """One generator per AXI channel; None never stalls. Ready is held back on AR, AW, W, valid on R and B."""

    ar: Iterator[bool] | None = None
    r: Iterator[bool] | None = None
    aw: Iterator[bool] | None = None
    w: Iterator[bool] | None = None
    b: Iterator[bool] | None = None

    @classmethod
    def random(cls, *, probability: float, seed: int) -> "AxiStalls":
        """Independent random stalls on every channel."""
        return cls(**{name: random_stalls(probability=probability, seed=f"{seed}.{name}") for name in CHANNELS})

    def draw(self, channel: str) -> bool:
        """Whether `channel` stalls in this cycle."""
        generator = getattr(self, channel)
        return generator is not None and next(generator)
