"""What the tests of the window's way share: words of spikes, the windows that they make, and tags."""

import random
from collections.abc import Sequence
from typing import Any

from s2nn.hw.rtl.layouts import Tags
from s2nn.hw.spec.config import AcceleratorConfig


def random_tags(draw: random.Random, **fixed: int) -> dict[str, int]:
    """Any tags, but for these."""
    return {name: draw.randrange(1 << field.width) for name, field in Tags} | fixed


def random_side(draw: random.Random, config: AcceleratorConfig, **tags: int) -> dict[str, Any]:
    """What passes through beside a window: the place of its weights, and tags."""
    return {"weight_row": draw.randrange(config.weight_rows), "weight_phase": draw.randrange(9),
            "tags": random_tags(draw, **tags)}


def random_word(draw: random.Random, config: AcceleratorConfig, *, silent: float = 0.5) -> int:
    """A word of spikes, in which each channel is silent with that chance."""
    channels = [0 if draw.random() < silent else draw.randrange(1 << config.time_lanes) for _ in range(config.lanes)]
    return sum(spikes << lane * config.time_lanes for lane, spikes in enumerate(channels))


def spikes_of(config: AcceleratorConfig, word: int, channel: int) -> int:
    """The time lanes of a channel."""
    return word >> channel * config.time_lanes & (1 << config.time_lanes) - 1


def seen(words: Sequence[int], on_map: int) -> list[int]:
    """The words of banks that are on the map, and zeros."""
    return [word if on_map >> bank & 1 else 0 for bank, word in enumerate(words)]


def active_channels(config: AcceleratorConfig, words: Sequence[int]) -> int:
    """One bit per channel that has a spike in any word."""
    return sum(1 << channel for channel in range(config.lanes)
               if any(spikes_of(config, word, channel) for word in words))


def gathered(config: AcceleratorConfig, words: Sequence[int]) -> dict[str, Any]:
    """The windows that up to nine words of consecutive inputs make, and which of them have a spike."""
    inputs = [spikes_of(config, word, channel) for word in words for channel in range(config.lanes)]
    inputs += [0] * (9 * config.lanes - len(inputs))
    windows = [inputs[9 * number:9 * number + 9] for number in range(config.lanes)]
    return {"words": [sum(window[tap] << number * config.time_lanes for number, window in enumerate(windows))
                      for tap in range(9)], "on_map": 0x1FF,
            "active": sum(1 << number for number, window in enumerate(windows) if any(window)),
            "row_mod": 0, "col_mod": 0}
