"""The maps that the RTL wrote, from the log of its probe (see `s2nn.hw.tb.harness`)."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.spec import build
from s2nn.hw.spec.config import AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import Opcode
from s2nn.hw.spec.image import MemoryImage

Map = NDArray[np.bool_ | np.uint8]


def read_probe(config: AcceleratorConfig, side_file: Path, log: Path, image: MemoryImage,
               num_runs: int) -> list[list[Map]]:
    """Per run, per spiking layer, what its map holds: (T, blocks*lanes, H, W), bool, or uint8 of sums.

    side_file : the design's, see hw/rtl/verilog.py; it says where the probe's fields lie.
    """
    fields = json.loads(side_file.read_text())["probe"]
    layers = {index: d for index, d in enumerate(build.descriptors(image)) if d["opcode"] == Opcode.CONV}
    runs = [{index: np.zeros((d["tiles"], config.lanes, d["out_chunks"] * config.time_lanes, d["out_height"],
                              d["out_width"]), dtype=np.uint8) for index, d in layers.items()} for _ in range(num_runs)]
    shape = (config.lanes, config.time_lanes)
    for line in log.read_text().splitlines():
        run, layer, probe = (int(part, 16) for part in line.split())
        if layer not in layers:
            continue
        word, number, x, y, tile = ((probe >> fields[name][0]) & ((1 << fields[name][1]) - 1)
                                    for name in ("word", "pass", "x", "y", "tile"))
        if word:
            bits = np.unpackbits(np.frombuffer(word.to_bytes(ceil_div(config.word_bits, 8), "little"), dtype=np.uint8),
                                 count=config.word_bits, bitorder="little").reshape(shape)
            chunk, plane = divmod(number, layers[layer]["out_planes"])
            t = chunk * config.time_lanes
            runs[run][layer][tile, :, t:t + config.time_lanes, y, x] += bits << plane
    return [[_by_step(maps, layers[index]) for index, maps in run.items()] for run in runs]


def _by_step(tiles: NDArray[np.uint8], descriptor: dict[str, int]) -> Map:
    """(tiles, lanes, steps of whole chunks, H, W) to (T, channels, H, W)."""
    by_step = tiles.transpose(2, 0, 1, 3, 4).reshape(tiles.shape[2], -1, *tiles.shape[3:])[:descriptor["steps"]]
    return by_step if descriptor["out_planes"] > 1 or descriptor["residual"] else by_step.astype(np.bool_)
