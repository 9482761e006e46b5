"""The records that pass between blocks, derived from `hw/spec`."""

from amaranth import signed
from amaranth.hdl import Value
from amaranth.lib import data

from s2nn.hw.spec.config import GROUP_TAPS, MAX_ACTIVATION_PLANES, AcceleratorConfig
from s2nn.hw.spec.descriptor import DESCRIPTOR, Residual

#: A layer descriptor, bit for bit as in DRAM.
DescriptorLayout = data.StructLayout({field.name: field.width for field in DESCRIPTOR.fields})

#: What travels with a window down the array: how to treat the accumulators, and where in the loops it stands.
Tags = data.StructLayout({
    "first": 1,        # first of its position and chunk: accumulators start from zero
    "shift": 1,        # first of a further weight plane: accumulators double before they add
    "scale": range(MAX_ACTIVATION_PLANES),  # plane of the input: what is added counts 2**scale times
    "emit": 1,         # last of its position and chunk: accumulators go to the neurons
    "first_chunk": 1,  # first chunk of its position: membranes start from zero
    "last_chunk": 1,   # last chunk of its position
    "tile_first": 1,   # first position and chunk of its tile: neurons take the tile's parameters
    "tile_last": 1,    # last of its tile: the weight half is free afterwards
})


def plane_bits(config: AcceleratorConfig) -> int:
    """Bits of a count of the planes of a value: those of a kept current lie beside the spikes."""
    return 4 if config.current_bits else 3


def has_param_pairs(d: data.View) -> Value:
    """A layer's channels have two parameter words, since it keeps or adds currents."""
    return d.keep_current | (d.residual == Residual.CURRENT)


def row_bits(config: AcceleratorConfig) -> int:
    """Bits of a row of a weight bank."""
    return (config.weight_bank_rows - 1).bit_length()


def spike_address_bits(config: AcceleratorConfig) -> int:
    """Bits of a word address in a spike bank."""
    return (config.spike_words - 1).bit_length()


def step_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One step of the loop nest: a 3x3 neighbourhood, or one word, of one channel block in one chunk and plane."""
    return data.StructLayout({
        "gather": 1, "slot": range(GROUP_TAPS), "set_last": 1,  # word `slot` of a set of nine, which it completes
        "residual": 1,                        # a word of the residual map
        "row_div": signed(10), "row_mod": 2,  # top row of the window: 3*row_div + row_mod, may be negative
        "col_div": signed(10), "col_mod": 2,
        "row_taps": 2, "col_taps": 2,         # of the window's rows (columns), how many are in the kernel: 1..3
        "offset": 12,                         # (chunk * planes + plane) * blocks + block
        "weight_row": row_bits(config), "weight_phase": 4,
        "tags": Tags,
    })


def block_layout(config: AcceleratorConfig) -> data.StructLayout:
    """`lanes` windows of nine taps: channels of a 3x3 neighbourhood in bank order, or groups of nine gathered inputs,
    which are in tap order with bank 0 first."""
    return data.StructLayout({
        "words": data.ArrayLayout(config.word_bits, GROUP_TAPS),
        "on_map": GROUP_TAPS,        # banks whose tap is on the map and in the kernel; other words mean nothing
        "active": config.lanes,      # windows with a spike
        "row_mod": 2, "col_mod": 2,  # bank of the window's first row and column
        "weight_row": row_bits(config), "weight_phase": 4,
        "tags": Tags,
    })


def op_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One cycle's work of the array: one channel's window (bank order) against one symbol per lane."""
    return data.StructLayout({
        "window": data.ArrayLayout(config.time_lanes, GROUP_TAPS),
        "row_mod": 2, "col_mod": 2,
        "active": 1,  # the window holds a spike; otherwise the operation only carries its tags
        # Its symbols begin with slice 9 * (weight_row + channel_row) + phase of the weight buffer.
        "weight_row": row_bits(config), "channel_row": range(config.lanes), "phase": range(2 * GROUP_TAPS - 1),
        "tags": Tags,
    })


def sums_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Finished accumulators of one position and chunk."""
    return data.StructLayout({
        # Sum of (weight + 1) * input, which is never negative, and sum of inputs.
        "raised": data.ArrayLayout(data.ArrayLayout(config.accumulator_bits + 1, config.time_lanes), config.lanes),
        "total": data.ArrayLayout(config.accumulator_bits, config.time_lanes),
        "tags": Tags,
    })
