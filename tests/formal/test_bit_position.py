"""The place that the proofs give a symbol's bit is the packer's, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest

from s2nn.hw.formal.weights import bit_position
from s2nn.hw.spec import packing
from s2nn.hw.spec.config import TINY
from tests.rtl.layers import make_layer


@pytest.mark.parametrize("symbol_bits", [2, 3, 4, 5, 6, 9])
@pytest.mark.parametrize("lanes", [4, 16])
def test_position_is_that_of_the_packer(symbol_bits: int, lanes: int) -> None:
    config = replace(TINY, lanes=lanes, index_bits=6)
    eta = None if symbol_bits == 9 else symbol_bits
    layer = make_layer(np.random.default_rng([7, symbol_bits, lanes]), in_shape=(11, 1, 1), eta=eta, channels=2 * lanes)
    size = packing.tile_bytes(config, layer)
    data = packing.pack_index(config, layer)
    for tile in range(2):
        bits = np.unpackbits(np.frombuffer(data[tile * size:(tile + 1) * size], dtype=np.uint8), bitorder="little")
        symbols = layer.weights.symbols[0, tile * lanes:(tile + 1) * lanes]
        for lane, group, bit in np.ndindex(lanes, layer.num_groups, symbol_bits):
            position = bit_position(config, symbol_bits, group, bit, lane)
            assert bits[position] == symbols[lane, group] >> bit & 1
