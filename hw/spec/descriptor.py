"""The 64-byte layer descriptor that the sequencer reads from DRAM: opcodes and bit layout."""

from enum import IntEnum

from s2nn.hw.spec.config import DESCRIPTOR_BYTES
from s2nn.hw.spec.fields import Field, Layout

#: Bits of `top_div`, a two's complement number.
TOP_BITS = 10
#: Most words of a position and plane of a map that is loaded or stored: what `in_chunks` and `out_chunks` can name.
MAX_SPILLED_WORDS = 255
#: Most beats of a load or store: what `tile_beats` can name.
MAX_TRANSFER_BEATS = (1 << 16) - 1


class Residual(IntEnum):
    """How a layer is combined with a residual map."""

    NONE = 0
    ADD = 1
    IAND = 2
    #: The currents that the map keeps are added to the layer's, before it fires.
    CURRENT = 3


#: Gain shifts that a descriptor can name are multiples of it.
GAIN_SHIFT_UNIT = 4
#: Shifts of a kept current that a parameter word can name.
KEEP_SHIFTS = range(1, 17)


class Opcode(IntEnum):
    """What a descriptor asks for. Zero is no opcode, so that an empty memory is refused."""

    #: Read the input (hw/spec/packing.py), or rows of it, into the spike buffer as bit planes.
    LOAD_INPUT = 1
    #: Convolve, integrate and fire, pool, and write spikes to the spike buffer.
    CONV = 2
    #: Accumulate logits over all time steps of one position and write them to DRAM.
    CLASSIFY = 3
    #: Read rows of a map from the scratch region of DRAM into the spike buffer.
    LOAD_MAP = 4
    #: Write a map, or rows of it, from the spike buffer to the scratch region.
    STORE_MAP = 5


#: Opcodes of descriptors that run a layer; the others load or store a map.
LAYER_OPCODES = (Opcode.CONV, Opcode.CLASSIFY)


DESCRIPTOR = Layout("descriptor", total_bits=8 * DESCRIPTOR_BYTES, fields=[
    Field("opcode", 8, "one of Opcode"),
    Field("last", 1, "no descriptor follows"),
    Field("codebook", 1, "groups are codebook indices; otherwise raw nine-bit groups"),
    Field("image_input", 1, "input planes are the bits of one integer, most significant first"),
    Field("soft_reset", 1, "subtract the threshold on a spike; otherwise reset to 0"),
    Field("pool", 1, "2x2 pool of the output spikes, stride 2"),
    Field("pool_sum", 1, "the pool adds its spikes up; otherwise it takes their maximum"),
    Field("gather", 1, "groups are nine consecutive inputs; otherwise 3x3 taps of one channel"),
    Field("shared_taps", 1, "gather: the weights start over at each tap of the kernel"),
    Field("residual", 2, "one of Residual"),
    Field("pad", 2, "columns of zeros around the input"),
    Field("top_div", TOP_BITS, "first row of the first window in the input map, 3*div + mod; two's complement"),
    Field("top_mod", 2, "remainder of that row, 0..2"),
    Field("stride", 2, "1 or 2"),
    Field("symbol_bits", 4, "slices of a group: eta for codebook layers, 9 for raw groups"),
    Field("planes", 4, "weight planes, 1..8, most significant first"),
    Field("steps", 8, "time steps T"),
    Field("leak", 9, "leak factor, in units of 2**-leak_bits"),
    Field("param_shift", 4, "left shift of the threshold and bias mantissas"),
    Field("in_height", 10, "rows of the input map"),
    Field("in_width", 10, "columns of the input map"),
    Field("in_channels", 10, "channels of the input image (LOAD_INPUT)"),
    Field("in_blocks", 8, "channel blocks of `lanes` channels in the input map"),
    Field("in_chunks", 8, "chunks of time_lanes steps (of an image: bit planes) that are read; of a store the words "
                          "of a position and plane"),
    Field("in_planes", 3, "bit planes of an input value, least significant first; 1 for spikes and for an image"),
    Field("in_base", 16, "first word of the input map in each spike bank"),
    Field("in_row_stride", 16, "words from one row of a bank to the next"),
    Field("in_col_stride", 12, "words from one column of a bank to the next: in_chunk_stride * in_chunks"),
    Field("groups_y", 6, "kernel height in groups of three taps; gather: in taps"),
    Field("groups_x", 6, "kernel width in groups of three taps; gather: in taps"),
    Field("last_taps_y", 2, "rows of taps in the last group, 1..3; gather: 1"),
    Field("last_taps_x", 2, "columns of taps in the last group, 1..3; gather: 1"),
    Field("out_height", 10, "rows of the output map, after pooling"),
    Field("out_width", 10, "columns of the output map, after pooling"),
    Field("out_chunks", 8, "chunks of time_lanes steps that are written; of LOAD_MAP the words of a position "
                           "and plane"),
    Field("out_planes", 4, "bit planes of an output value, least significant first; with keep_current the spikes, then "
                           "the bits of the current"),
    Field("out_base", 16, "first word of the output map in each spike bank"),
    Field("out_row_stride", 16, "words from one row of a bank to the next"),
    Field("out_col_stride", 12, "words from one column of a bank to the next"),
    Field("residual_planes", 4, "bit planes that are read of a value of the residual map; the rest of its shape is the "
                                "output's"),
    Field("residual_base", 16, "first word of the residual map in each spike bank"),
    Field("residual_row_stride", 16, "words from one row of a bank to the next"),
    Field("residual_col_stride", 12, "words from one column of a bank to the next"),
    Field("tiles", 8, "output tiles of `lanes` channels; channel blocks of the output map"),
    Field("load_membranes", 1, "membranes go on from the membrane buffer; otherwise they start from 0"),
    Field("store_membranes", 1, "membranes go to the membrane buffer; a classifier's instead of its logits"),
    Field("resident", 1, "the weights stay in the buffer from one image to the next"),
    Field("reuse_weights", 1, "resident weights are in the buffer from an earlier descriptor of this image"),
    Field("weight_base", 17, "first row of tile 0 in each weight bank (resident)"),
    Field("tile_rows", 12, "rows of a tile in each weight bank"),
    Field("block_rows", 10, "weight rows that a full block of `lanes` groups takes, rounded down"),
    Field("block_phase", 4, "slices beyond block_rows (0..8)"),
    Field("last_block_rows", 10, "as block_rows, for the last block: of channels, or of a walk over gathered inputs"),
    Field("last_block_phase", 4, "as block_phase, for the last block"),
    Field("tile_beats", 16, "AXI beats of the index stream of one tile, or of what a load or store moves"),
    Field("codebook_beats", 8, "AXI beats of the codebook; 0 without one"),
    Field("codebook_offset", 32, "byte offset of the codebook in the image"),
    Field("params_offset", 32, "byte offset of the parameters of the first tile in the image"),
    Field("index_offset", 32, "byte offset of the index stream of the first tile in the image; of a load or store in "
                              "the input or the scratch region"),
    Field("layer", 8, "number of the program's layer that this is done for, from 0"),
    Field("keep_current", 1, "currents are kept beside the spikes"),
    Field("gain_shift", 2, "right shift of a shortcut's product, in units of GAIN_SHIFT_UNIT"),
    Field("in_chunk_stride", 12, "words from one chunk of the input map to the next"),
])
