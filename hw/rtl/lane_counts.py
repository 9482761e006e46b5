"""What both PE variants have in common: from symbols and a window to popcounts, for every lane and time lane."""

from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Member, Out

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

    i_load_start, i : codebook beats, see `CodebookLoader`.
    i_enable : moves. i_codebook : symbols are indices of i_index_bits bits into i_codebook_half, otherwise raw groups.
    i_symbols : of all lanes; bits above the index width are ignored. i_window : in tap order.
    o : counts, `LATENCY` cycles later.
    """
    return {
        "i_load_start": In(1),
        "i": In(stream.Signature(config.axi_data_bits)),
        "i_enable": In(1),
        "i_codebook": In(1),
        "i_codebook_half": In(1),
        "i_index_bits": In(4),
        "i_symbols": In(data.ArrayLayout(GROUP_TAPS, config.lanes)),
        "i_window": In(data.ArrayLayout(config.time_lanes, GROUP_TAPS)),
        "o": Out(counts_layout(config)),
    }
