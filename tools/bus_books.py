"""A simulation's books of the bus, by stream instead of by address range."""

from collections.abc import Mapping
from typing import Any

# Section kinds of the image to the streams that read them; "input", "logits" and "map" are regions of their own.
_STREAM_OF_REGION = {"descriptors": "descriptor", "codebook": "codebook", "params": "params", "index": "index",
                     "input": "input", "logits": "logits", "map": "map"}
# Streams that are written; a map is read, too.
_WRITTEN = {"logits": "logits", "map": "map_write"}


def by_stream(axi: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes and bursts by stream, from a run's traffic by region (`memory_map.regions`).

    "logits" and "map_write" count what was written there, the others what was read; "other" is what no region or
    direction explains.
    """
    num_bytes = dict.fromkeys((*_STREAM_OF_REGION.values(), *_WRITTEN.values()), 0)
    num_bursts = dict(num_bytes)
    for region, traffic in axi["regions"].items():
        stream = _STREAM_OF_REGION[region.split(".")[0]]
        if stream in _WRITTEN:
            num_bytes[_WRITTEN[stream]] += traffic["write_bytes"]
            num_bursts[_WRITTEN[stream]] += traffic["write_bursts"]
        if stream != "logits":
            num_bytes[stream] += traffic["read_bytes"]
            num_bursts[stream] += traffic["read_bursts"]
    for moved, unit in ((num_bytes, "bytes"), (num_bursts, "bursts")):
        moved["other"] = axi[f"read_{unit}"] + axi[f"write_{unit}"] - sum(moved.values())
    return num_bytes, num_bursts
