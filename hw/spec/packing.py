"""Symbols and parameters to the bytes that the engine reads, and back.

Index stream of a layer: tile by tile (`lanes` output channels), within a tile plane by plane and group by group, in the
order (group row, group column, input channel) for grouping TAPS and (row, column, input channel), nine at a time, for
grouping INPUTS, a group as `symbol_bits` slices, least significant bit first; a slice
holds that bit of all lanes, lane 0 in its lowest bit. Slices follow each other without gaps; a tile is padded to whole
AXI beats, and output channels to whole tiles. With c_out a multiple of `lanes` a layer takes
c_out*groups*symbol_bits/8 bytes, and the stated padding is what `index_padding_bytes` returns.

Parameters: per channel one little-endian 32-bit word, bits 15..0 bias (signed), 30..16 threshold, 31 negate. In a layer
that keeps or adds currents a second word follows it: bits 15..0 gain (unsigned), 19..16 keep shift less 1.
Codebook: per codeword one little-endian 16-bit word, its taps in bits 8..0, bit 9 marks the zero codeword; padded to a
whole AXI beat.
Input: bytes in (row, column, byte, channel) order, padded to a whole AXI beat. An image has one byte per pixel and
channel; spikes have ceil(T/8), of which bit 7 is the first of eight steps.
"""

import numpy as np
from numpy.typing import NDArray

from s2nn.hw.spec.config import CODEWORD_BYTES, PARAM_BYTES, AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import KEEP_SHIFTS
from s2nn.hw.spec.program import GAIN_LIMIT, THRESHOLD_LIMIT, Layer

#: Threshold field of a lane without a channel.
NO_CHANNEL = THRESHOLD_LIMIT + 1

Bytes = NDArray[np.uint8]


def padded_bytes(config: AcceleratorConfig, bits: int) -> int:
    """Bytes of `bits` padded to whole AXI beats."""
    return ceil_div(bits, config.axi_data_bits) * config.axi_bytes


def num_tiles(config: AcceleratorConfig, layer: Layer) -> int:
    """Tiles of `lanes` output channels."""
    return ceil_div(layer.out_shape[0], config.lanes)


def tile_bytes(config: AcceleratorConfig, layer: Layer) -> int:
    """Bytes of one tile of the index stream, padded to whole AXI beats."""
    return padded_bytes(config, layer.num_groups * layer.weights.symbol_bits * config.lanes)


def index_padding_bytes(config: AcceleratorConfig, layer: Layer) -> int:
    """Bytes of the index stream beyond ceil(c_out*groups*symbol_bits/8)."""
    return num_tiles(config, layer) * tile_bytes(config, layer) - ceil_div(layer.weight_bits, 8)


def pack_index(config: AcceleratorConfig, layer: Layer) -> bytes:
    """The index stream of one layer."""
    c_out = layer.weights.symbols.shape[1]
    tiles, bits = num_tiles(config, layer), layer.weights.symbol_bits
    padded = np.zeros((tiles * config.lanes, layer.num_groups), dtype=np.uint16)
    padded[:c_out] = layer.weights.symbols.transpose(1, 0, 2).reshape(c_out, -1)
    lanes = padded.reshape(tiles, config.lanes, -1)
    slices = (lanes[..., None] >> np.arange(bits, dtype=np.uint16)) & 1  # (tiles, lanes, groups, bits)
    stream = slices.transpose(0, 2, 3, 1).reshape(tiles, -1).astype(np.uint8)  # (tiles, groups*bits*lanes)
    packed = np.zeros((tiles, tile_bytes(config, layer)), dtype=np.uint8)
    used = np.packbits(stream, axis=1, bitorder="little")
    packed[:, :used.shape[1]] = used
    return packed.tobytes()


def unpack_index(config: AcceleratorConfig, data: bytes, *, c_out: int, symbol_bits: int, planes: int,
                 groups: int) -> NDArray[np.uint16]:
    """Inverse of `pack_index`: symbols (planes, c_out, groups)."""
    tiles, count = ceil_div(c_out, config.lanes), planes * groups
    packed = np.frombuffer(data, dtype=np.uint8).reshape(tiles, -1)
    stream = np.unpackbits(packed, axis=1, bitorder="little")[:, :count * symbol_bits * config.lanes]
    slices = stream.reshape(tiles, count, symbol_bits, config.lanes).astype(np.uint16)
    lanes = (slices << np.arange(symbol_bits, dtype=np.uint16)[:, None]).sum(axis=2)  # (tiles, count, lanes)
    symbols = lanes.transpose(0, 2, 1).reshape(tiles * config.lanes, count)[:c_out]
    return symbols.reshape(c_out, planes, groups).transpose(1, 0, 2).astype(np.uint16)


def param_words(layer: Layer) -> int:
    """Parameter words of one channel."""
    return 2 if layer.has_current_params else 1


def params_bytes(config: AcceleratorConfig, layer: Layer) -> int:
    """Bytes of a layer's parameters, padded to whole tiles."""
    return num_tiles(config, layer) * config.lanes * param_words(layer) * PARAM_BYTES


def pack_params(config: AcceleratorConfig, layer: Layer) -> bytes:
    """Parameter words of all channels, padded to whole tiles with `NO_CHANNEL`, whose lanes never fire."""
    c_out = len(layer.bias)
    words = np.zeros((num_tiles(config, layer) * config.lanes, param_words(layer)), dtype=np.int64)
    words[:, 0] = NO_CHANNEL << 16
    words[:c_out, 0] = (layer.bias & 0xFFFF) | (layer.threshold << 16) | (layer.negate.astype(np.int64) << 31)
    if layer.gain is not None:
        words[:c_out, 1] |= layer.gain
    if layer.keep_shift is not None:
        words[:c_out, 1] |= (layer.keep_shift - KEEP_SHIFTS[0]) << 16
    return words.astype("<u4").tobytes()


def unpack_params(data: bytes, *, c_out: int,
                  words: int = 1) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Inverse of `pack_params`: (threshold, bias, negate), each (c_out,). words : of a channel."""
    first = np.frombuffer(data, dtype="<u4").reshape(-1, words)[:c_out, 0].astype(np.int64)
    bias = ((first & 0xFFFF) ^ 0x8000) - 0x8000
    return (first >> 16) & NO_CHANNEL, bias, (first >> 31).astype(bool)


def unpack_current_params(data: bytes, *, c_out: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inverse of `pack_params`, of the second words: (gain, keep shift), each (c_out,)."""
    second = np.frombuffer(data, dtype="<u4").reshape(-1, 2)[:c_out, 1].astype(np.int64)
    return second & GAIN_LIMIT, (second >> 16) + KEEP_SHIFTS[0]


def pack_codebook(config: AcceleratorConfig, codebook: NDArray[np.uint16]) -> bytes:
    """Codewords in index order."""
    data = codebook.astype("<u2").tobytes()
    return data + bytes(-len(data) % config.axi_bytes)


def unpack_codebook(data: bytes, *, entries: int) -> NDArray[np.uint16]:
    """Inverse of `pack_codebook`."""
    return np.frombuffer(data[:entries * CODEWORD_BYTES], dtype="<u2").astype(np.uint16)


def pack_input(config: AcceleratorConfig, inputs: NDArray[np.uint8]) -> bytes:
    """An image (channels, height, width) uint8, or spikes (T, channels, height, width) of 0 and 1, as the engine reads
    them."""
    if inputs.ndim == 4:
        bytes_of_steps = np.packbits(inputs.astype(np.bool_), axis=0)  # (ceil(T/8), channels, height, width)
        ordered = bytes_of_steps.transpose(2, 3, 0, 1)
    else:
        ordered = inputs.transpose(1, 2, 0)
    data = np.ascontiguousarray(ordered).astype(np.uint8).tobytes()
    return data + bytes(-len(data) % config.axi_bytes)


def unpack_logits(data: bytes, *, num_classes: int) -> NDArray[np.int64]:
    """The logits that the engine wrote: little-endian signed 32-bit words, one per lane."""
    return np.frombuffer(data, dtype="<i4")[:num_classes].astype(np.int64)
