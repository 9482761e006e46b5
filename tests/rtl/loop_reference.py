"""The steps of a layer as nested Python loops over its shapes: what `LoopNest` must say, and no more.

Nothing here knows the descriptor's counts; weights are counted in groups and slices, words by their place in the map. A
field is left out where it means nothing.
"""

from typing import Any

import numpy as np

from s2nn.hw.spec.config import PIXEL_BITS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.program import Layer
from s2nn.hw.spec.weights import Grouping
from tests.rtl.layers import KEPT

Step = dict[str, Any]


def peak_of(name: str) -> int:
    """Largest value in a map of `tests.rtl.layers`, which is in its name; spikes of the input are not used there."""
    return int(name.lstrip("abcdefghijklmnopqrstuvwxyz") or 1)


def reference(config: AcceleratorConfig, layer: Layer, *, steps: int, half: int = 0,
              weight_base: int | None = None) -> list[list[Step]]:
    """Steps by tile. half : of the weight buffer, of tile 0. weight_base : first row of tiles that stay, one by one."""
    chunks = ceil_div(PIXEL_BITS if layer.image_input else steps, config.time_lanes)
    tiles = []
    for tile in range(ceil_div(layer.out_shape[0], config.lanes)):
        first_row = (half + tile) % 2 * config.weight_rows
        if weight_base is not None:
            first_row = weight_base + tile * ceil_div(layer.num_groups * layer.weights.symbol_bits, 9)
        positions = list(_positions(layer))
        walked: list[Step] = []
        for number, (y, x) in enumerate(positions):
            for chunk in range(chunks):
                ends = {
                    "first_chunk": int(chunk == 0), "last_chunk": int(chunk == chunks - 1),
                    "tile_first": int((number, chunk) == (0, 0)),
                }
                tile_ends = (number, chunk) == (len(positions) - 1, chunks - 1)
                walked += _walk(config, layer, y, x, chunk, first_row, ends, tile_ends)
                if layer.residual is not None:
                    walked += _join(config, layer, y, x, chunk, tile)
        tiles.append(walked)
    return tiles


def _positions(layer: Layer):
    """(row, column) of the convolution's output, in order."""
    _, height, width = layer.out_shape
    if not layer.pool:
        yield from np.ndindex(height, width)
        return
    for y, x, dy, dx in np.ndindex(height, width, 2, 2):
        yield 2 * y + dy, 2 * x + dx


def _walk(config: AcceleratorConfig, layer: Layer, y: int, x: int, chunk: int, first_row: int, ends: Step,
          tile_ends: bool) -> list[Step]:
    """All weights of one position and chunk. first_row : of the tile's weights. ends : the tags that they share."""
    row, col = y * layer.stride - layer.pad, x * layer.stride - layer.pad
    in_planes = 1 if layer.image_input else peak_of(layer.source).bit_length()
    stored = in_planes + (config.current_bits if layer.source.startswith(KEPT) else 0)
    bits, blocks = layer.weights.symbol_bits, ceil_div(layer.in_shape[0], config.lanes)
    visit = _gathered if layer.grouping is Grouping.INPUTS else _neighbourhoods
    found: list[Step] = []
    for plane in range(layer.weights.num_planes):
        shift = int(plane > 0)
        for in_plane in range(in_planes):
            first_word = (chunk * stored + in_plane) * blocks
            for ky, kx, block, group, part in visit(config, layer, blocks):
                step = {**_place(row + ky, col + kx), "offset": first_word + block, "residual": 0, **part}
                if step["set_last"]:  # the words before it only wait for it
                    slices = (plane * layer.groups_per_plane + group) * bits
                    step |= {"weight_row": first_row + slices // 9, "weight_phase": slices % 9,
                             "tags": {**ends, "first": 0, "shift": shift, "scale": in_plane, "emit": 0, "tile_last": 0}}
                    shift = 0
                found.append(step)
    sets = [step for step in found if step["set_last"]]
    sets[0]["tags"]["first"] = 1
    sets[-1]["tags"] |= {"emit": 1, "tile_last": int(tile_ends)}
    return found


def _neighbourhoods(config: AcceleratorConfig, layer: Layer, blocks: int):
    """Groups of 3x3 taps, of which a kernel may not fill the last: (row, column, block, its first group, the rest)."""
    height, width = layer.kernel
    group = 0
    for ky in range(0, height, 3):
        for kx in range(0, width, 3):
            for block in range(blocks):
                yield ky, kx, block, group, {"gather": 0, "set_last": 1, "row_taps": min(3, height - ky),
                                             "col_taps": min(3, width - kx)}
                group += min(config.lanes, layer.in_shape[0] - block * config.lanes)


def _gathered(config: AcceleratorConfig, layer: Layer, blocks: int):
    """Words of nine to a set. Sets run on over the taps of the kernel, unless each tap has the same weights."""
    taps = list(np.ndindex(layer.kernel))
    walks = [[tap] for tap in taps] if layer.shared_taps else [taps]
    for walk in walks:
        words = [(ky, kx, block) for ky, kx in walk for block in range(blocks)]
        for number, (ky, kx, block) in enumerate(words):
            set_number, slot = divmod(number, 9)
            yield ky, kx, block, set_number * config.lanes, {
                "gather": 1, "slot": slot, "set_last": int(slot == 8 or number == len(words) - 1), "row_taps": 1,
                "col_taps": 1}


def _join(config: AcceleratorConfig, layer: Layer, y: int, x: int, chunk: int, tile: int) -> list[Step]:
    """The planes of a residual map at an output position, or those of the currents behind its spikes."""
    planes, blocks = peak_of(layer.residual).bit_length(), ceil_div(layer.out_shape[0], config.lanes)
    stored = planes
    if layer.adds_current:
        planes, stored = config.current_bits, 1 + config.current_bits
    return [{**_place(y, x), "offset": (chunk * stored + plane) * blocks + tile, "residual": 1, "row_taps": 1,
             "col_taps": 1} for plane in range(planes)]


def _place(row: int, col: int) -> Step:
    return {"row_div": row // 3 & 0x3FF, "row_mod": row % 3, "col_div": col // 3 & 0x3FF, "col_mod": col % 3}
