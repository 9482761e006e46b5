"""Bytes in DRAM: by hand where it can be, and round trips for every preset and symbol width."""

from dataclasses import replace

import numpy as np
import pytest

from s2nn.hw.spec import packing
from s2nn.hw.spec.config import ASIC, PRESETS, SMALL, TINY, ULX3S
from s2nn.hw.spec.program import Layer, ResidualOp
from s2nn.hw.spec.weights import ZERO_CODEWORD, Grouping, Weights, group_inputs, group_taps

# Two beats of 32 bits hold 16 slices of 4 lanes.
LANES4 = TINY


def layer_of(weights: Weights, **changes) -> Layer:
    _, c_out, groups = weights.symbols.shape
    return Layer(**{"name": "layer", "kind": "conv", "source": "input", "in_shape": (groups, 3, 3),
                    "out_shape": (c_out, 3, 3), "kernel": (3, 3), "weights": weights, "pad": 1,
                    "threshold": np.ones(c_out, dtype=np.int64), "bias": np.zeros(c_out, dtype=np.int64),
                    "negate": np.zeros(c_out, dtype=bool)} | changes)


def random_weights(seed: int, shape: tuple[int, ...], bits: int) -> Weights:
    rng = np.random.default_rng(seed)
    codebook = None if bits == 9 else rng.integers(0, 512, 1 << bits, dtype=np.uint16)
    return Weights(symbols=rng.integers(0, 1 << bits, shape, dtype=np.uint16), codebook=codebook)


def test_a_slice_holds_one_bit_of_all_lanes():
    # Four output channels with the indices 1, 2, 3, 0 of two bits: slice 0 is 0b0101, slice 1 is 0b0110.
    symbols = np.array([1, 2, 3, 0], dtype=np.uint16).reshape(1, 4, 1)
    layer = layer_of(Weights(symbols=symbols, codebook=np.arange(4, dtype=np.uint16)))
    assert packing.pack_index(LANES4, layer).hex() == "65000000"


def test_groups_follow_each_other_plane_by_plane():
    symbols = np.arange(8, dtype=np.uint16).reshape(2, 1, 4)  # planes, c_out, groups: eight of one channel in lane 0
    data = packing.pack_index(LANES4, layer_of(Weights(symbols=symbols, codebook=np.arange(8, dtype=np.uint16))))
    lane0 = [nibble & 1 for byte in data for nibble in (byte & 15, byte >> 4)]
    assert [lane0[3 * g] + 2 * lane0[3 * g + 1] + 4 * lane0[3 * g + 2] for g in range(8)] == list(range(8))


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 9])
@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_index_round_trip(config, bits):
    for c_out in (1, config.lanes - 1, config.lanes, config.lanes + 1, 2 * config.lanes):
        for planes, groups in ((1, 1), (1, 7), (3, 10)):
            weights = random_weights(bits + c_out, (planes, c_out, groups), bits)
            layer = layer_of(weights)
            data = packing.pack_index(config, layer)
            assert len(data) == packing.num_tiles(config, layer) * packing.tile_bytes(config, layer)
            assert len(data) % config.axi_bytes == 0
            back = packing.unpack_index(config, data, c_out=c_out, symbol_bits=bits, planes=planes, groups=groups)
            np.testing.assert_array_equal(back, weights.symbols)
            used = -(-c_out * planes * groups * bits // 8)
            assert packing.index_padding_bytes(config, layer) == len(data) - used >= 0


@pytest.mark.parametrize(("config", "bits", "c_in"), [(TINY, 4, 8), (SMALL, 2, 16), (ULX3S, 4, 64), (ASIC, 6, 32),
                                                      (ULX3S, 9, 64)])
def test_a_regular_layer_has_no_padding(config, bits, c_in):
    layer = layer_of(random_weights(1, (1, 2 * config.lanes, c_in), bits))
    assert packing.index_padding_bytes(config, layer) == 0
    assert len(packing.pack_index(config, layer)) == 2 * config.lanes * c_in * bits // 8


@pytest.mark.parametrize(("threshold", "bias", "negate", "word"), [
    (1, 0, False, 0x0001_0000), (0x7FFF, 0x7FFF, False, 0x7FFF_7FFF), (1, -1, False, 0x0001_FFFF),
    (1, -0x8000, True, 0x8001_8000),
])
def test_a_parameter_word(threshold, bias, negate, word):
    layer = layer_of(random_weights(0, (1, 1, 1), 4), threshold=np.array([threshold]), bias=np.array([bias]),
                     negate=np.array([negate]))
    data = packing.pack_params(TINY, layer)
    assert len(data) == 4 * TINY.lanes
    assert int.from_bytes(data[:4], "little") == word
    values = packing.unpack_params(data, c_out=1)
    assert [v.tolist() for v in values] == [[threshold], [bias], [negate]]


@pytest.mark.parametrize(("gain", "keep_shift", "second"), [
    (0, None, 0), (0xFFFF, None, 0xFFFF), (None, 1, 0), (None, 16, 0xF_0000), (7, 3, 0x2_0007),
])
def test_a_second_parameter_word(gain, keep_shift, second):
    joins = {} if gain is None else {"residual": "made", "residual_op": ResidualOp.CURRENT, "gain": np.array([gain])}
    layer = layer_of(random_weights(0, (1, 1, 1), 4), **joins,
                     keep_shift=None if keep_shift is None else np.array([keep_shift]))
    data = packing.pack_params(TINY, layer)
    assert len(data) == 8 * TINY.lanes == packing.params_bytes(TINY, layer)
    assert int.from_bytes(data[4:8], "little") == second
    assert int.from_bytes(data[8:12], "little") == packing.NO_CHANNEL << 16
    first = packing.unpack_params(data, c_out=1, words=2)
    assert [values.tolist() for values in first] == [[int(v) for v in values] for values in (
        layer.threshold, layer.bias, layer.negate)]
    assert [v.tolist() for v in packing.unpack_current_params(data, c_out=1)] == [[gain or 0], [keep_shift or 1]]


@pytest.mark.parametrize("entries", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_codebook_round_trip(config, entries):
    codebook = np.random.default_rng(entries).integers(0, 512, entries, dtype=np.uint16)
    codebook[-1] = ZERO_CODEWORD
    data = packing.pack_codebook(config, codebook)
    assert len(data) % config.axi_bytes == 0
    assert packing.unpack_codebook(data, entries=entries).tolist() == codebook.tolist()


def test_pixels_go_row_by_row_with_their_channels_together():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)  # channel 0: 0..5, channel 1: 6..11
    data = packing.pack_input(TINY, image)
    assert list(data) == [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]
    assert len(packing.pack_input(ULX3S, image)) == 16


def test_logits_are_signed_words():
    data = b"".join(value.to_bytes(4, "little", signed=True) for value in (5, -7, 0, 2**31 - 1))
    assert packing.unpack_logits(data, num_classes=3).tolist() == [5, -7, 0]


@pytest.mark.parametrize("planes", [1, 3])
def test_raw_groups_hold_taps_by_row(planes):
    rng = np.random.default_rng(planes)
    bits = rng.integers(0, 2, (planes, 2, 3, 5, 3), dtype=np.uint8)
    symbols = group_taps(bits)
    assert symbols.shape == (planes, 2, 2 * 1 * 3)
    for p, o, c, y, x in np.ndindex(bits.shape):
        assert (symbols[p, o, y // 3 * 3 + c] >> (3 * (y % 3) + x)) & 1 == bits[p, o, c, y, x]
    check_integers(bits, symbols, "taps")


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("shape", [(8, 1, 1), (9, 1, 1), (10, 1, 1), (4, 3, 2)])
def test_raw_groups_hold_consecutive_inputs(planes, shape):
    bits = np.random.default_rng(planes).integers(0, 2, (planes, 2, *shape), dtype=np.uint8)
    symbols = group_inputs(bits)
    assert symbols.shape == (planes, 2, -(-bits[0, 0].size // 9))
    for p, o, c, y, x in np.ndindex(bits.shape):
        group, tap = divmod((y * shape[2] + x) * shape[0] + c, 9)
        assert (symbols[p, o, group] >> tap) & 1 == bits[p, o, c, y, x]
    check_integers(bits, symbols, "inputs")


def check_integers(bits, symbols, grouping):
    """The layer's weights are the numbers that the planes of bits mean."""
    planes, c_out, c_in, *kernel = bits.shape
    layer = layer_of(Weights(symbols=symbols), in_shape=(c_in, 9, 9), out_shape=(c_out, 9, 9), kernel=tuple(kernel),
                     grouping=Grouping(grouping))
    by_hand = sum(2 ** (planes - 1 - p) * (2 * bits[p].astype(int) - 1) for p in range(planes))
    np.testing.assert_array_equal(layer.integer_weights(), by_hand)


def test_the_zero_codeword_is_nine_zeros():
    codebook = np.array([0, 511, ZERO_CODEWORD, 1], dtype=np.uint16)
    weights = Weights(symbols=np.array([[[2, 1]]], dtype=np.uint16), codebook=codebook)
    assert weights.integers().tolist() == [[[0] * 9, [1] * 9]]


def test_spikes_go_eight_steps_to_a_byte_first_step_highest():
    spikes = np.zeros((9, 2, 1, 2), dtype=np.uint8)  # steps, channels, rows, columns
    spikes[0, 0, 0, 0] = spikes[7, 1, 0, 0] = spikes[8, 1, 0, 1] = 1
    assert list(packing.pack_input(TINY, spikes)) == [0x80, 0x01, 0, 0, 0, 0, 0, 0x80]


def test_a_codebook_layer_decodes_to_the_raw_one():
    weights = random_weights(3, (1, 4, 5), 4)
    raw = replace(weights, symbols=weights.groups(), codebook=None)
    np.testing.assert_array_equal(weights.integers(), raw.integers())
    assert (weights.symbol_bits, raw.symbol_bits) == (4, 9)
