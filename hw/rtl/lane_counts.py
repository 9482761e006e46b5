"""What both PE variants have in common: from symbols and a window to popcounts, for every lane and time lane."""

from amaranth.lib import data
from amaranth.lib.wiring import In, Member, Out

from s2nn.hw.rtl.decoder import symbol_members
from s2nn.hw.spec.config import GROUP_TAPS, AcceleratorConfig

#: Cycles from symbols and window to their counts, in either variant.
LATENCY = 3


def counts_layout(config: AcceleratorConfig) -> data.StructLayout:
    """What a window adds: `positive` per lane and time lane, and `total` = popcount(window) per time lane.

    positive is popcount(weights & window), which counts twice in the sum of (weight + 1) * input; in a lane with `zero`
    it is popcount(window), which counts once.
    """
    count = data.ArrayLayout(range(GROUP_TAPS + 1), config.time_lanes)
    return data.StructLayout({"positive": data.ArrayLayout(count, config.lanes), "zero": config.lanes, "total": count})


def lane_counts_members(config: AcceleratorConfig) -> dict[str, Member]:
    """Members of a variant.

    Codebook and symbols : see `CodewordDecoder`.
    i_window : in tap order.
    o : counts, `LATENCY` cycles later.
    """
    return symbol_members(config) | {
        "i_window": In(data.ArrayLayout(config.time_lanes, GROUP_TAPS)),
        "o": Out(counts_layout(config)),
    }
