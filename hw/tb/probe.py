"""The maps that the RTL wrote, from the log of its probe (see `s2nn.hw.tb.harness`)."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.spec import build
from s2nn.hw.spec.config import AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import Opcode, Residual
from s2nn.hw.spec.image import MemoryImage

Map = NDArray[np.bool_ | np.uint8 | np.uint16]


def read_probe(config: AcceleratorConfig, side_file: Path, log: Path, image: MemoryImage,
               num_runs: int) -> list[list[Map]]:
    """Per run, per spiking layer, what its map holds: (T, blocks*lanes, H, W), bool, or uint8 of sums; uint16 where the
    bits of a kept current lie above the spikes.

    side_file : the design's, see hw/rtl/verilog.py; it says where the probe's fields lie.
    """
    fields = json.loads(side_file.read_text())["probe"]
    descriptors = build.descriptors(image)
    places = {number: _Place.of(config, step, run)
              for number, (step, run) in enumerate(zip(descriptors, build.layer_runs(descriptors), strict=True))
              if run is not None and step["opcode"] == Opcode.CONV}
    sizes: dict[int, tuple[int, int]] = {}  # rows and time steps by layer
    for place in places.values():
        rows, steps = sizes.get(place.layer, (0, 0))
        sizes[place.layer] = max(rows, place.top + place.rows), max(steps, place.first_step + place.steps)
    kinds = {place.layer: descriptors[number] for number, place in places.items()}
    runs = [{layer: np.zeros((kinds[layer]["tiles"], config.lanes, steps + config.time_lanes, rows,
                              kinds[layer]["out_width"]), dtype=np.uint16 if kinds[layer]["keep_current"] else np.uint8)
             for layer, (rows, steps) in sizes.items()} for _ in range(num_runs)]
    shape = (config.lanes, config.time_lanes)
    for line in log.read_text().splitlines():
        run, number, probe = (int(part, 16) for part in line.split())
        if number not in places:
            continue
        place = places[number]
        word, of_position, x, y, tile = ((probe >> fields[name][0]) & ((1 << fields[name][1]) - 1)
                                         for name in ("word", "pass", "x", "y", "tile"))
        if word:
            bits = np.unpackbits(np.frombuffer(word.to_bytes(ceil_div(config.word_bits, 8), "little"), dtype=np.uint8),
                                 count=config.word_bits, bitorder="little").reshape(shape)
            chunk, plane = divmod(of_position, place.planes)
            t, row = place.first_step + chunk * config.time_lanes, place.top + y
            runs[run][place.layer][tile, :, t:t + config.time_lanes, row, x] += bits.astype(np.uint16) << plane
    return [[_by_step(maps, sizes[layer][1], kinds[layer]) for layer, maps in run.items()] for run in runs]


@dataclass(frozen=True)
class _Place:
    """Which part of a layer's map a descriptor writes: rows from `top`, time steps from `first_step` on."""

    layer: int
    top: int
    rows: int
    first_step: int
    steps: int
    planes: int

    @classmethod
    def of(cls, config: AcceleratorConfig, fields: dict[str, int], run: build.LayerRun) -> "_Place":
        return cls(layer=run.layer, top=run.rows.start, rows=len(run.rows),
                   first_step=(run.chunk or 0) * config.time_lanes, steps=fields["steps"], planes=fields["out_planes"])


def _by_step(tiles: NDArray[np.uint8 | np.uint16], steps: int, descriptor: dict[str, int]) -> Map:
    """(tiles, lanes, steps of whole chunks, H, W) to (T, channels, H, W)."""
    by_step = tiles.transpose(2, 0, 1, 3, 4).reshape(tiles.shape[2], -1, *tiles.shape[3:])[:steps]
    sums = descriptor["out_planes"] > 1 or descriptor["residual"] in (Residual.ADD, Residual.IAND)
    return by_step if sums else by_step.astype(np.bool_)
