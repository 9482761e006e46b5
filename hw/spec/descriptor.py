"""The 64-byte layer descriptor that the sequencer reads from DRAM: opcodes and bit layout."""

from enum import IntEnum

from s2nn.hw.spec.config import DESCRIPTOR_BYTES
from s2nn.hw.spec.fields import Field, Layout


class Opcode(IntEnum):
    """What a descriptor asks for. Zero is no opcode, so that an empty memory is refused."""

    #: Read an image of 8-bit pixels (height, width, channel order) into the spike buffer as bit planes.
    LOAD_INPUT = 1
    #: Convolve, integrate and fire, pool, and write spikes to the spike buffer.
    CONV = 2
    #: Accumulate logits over all time steps of one position and write them to DRAM.
    CLASSIFY = 3


DESCRIPTOR = Layout("descriptor", total_bits=8 * DESCRIPTOR_BYTES, fields=[
    Field("opcode", 8, "one of Opcode"),
    Field("last", 1, "no descriptor follows"),
    Field("codebook", 1, "groups are codebook indices; otherwise raw nine-bit groups"),
    Field("image_input", 1, "input planes are the bits of one integer, most significant first"),
    Field("soft_reset", 1, "subtract the threshold on a spike; otherwise reset to 0"),
    Field("pool", 1, "2x2 max-pool of the output spikes, stride 2"),
    Field("pad", 2, "rows and columns of zeros around the input"),
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
    Field("in_chunks", 4, "chunks of time_lanes planes in the input map"),
    Field("in_base", 16, "first word of the input map in each spike bank"),
    Field("in_row_stride", 16, "words from one row of a bank to the next"),
    Field("in_col_stride", 12, "words from one column of a bank to the next: in_blocks * in_chunks"),
    Field("groups_y", 4, "kernel height in groups of three taps"),
    Field("groups_x", 4, "kernel width in groups of three taps"),
    Field("out_height", 10, "rows of the output map, after pooling"),
    Field("out_width", 10, "columns of the output map, after pooling"),
    Field("out_chunks", 4, "chunks of time_lanes steps in the output map"),
    Field("out_base", 16, "first word of the output map in each spike bank"),
    Field("out_row_stride", 16, "words from one row of a bank to the next"),
    Field("out_col_stride", 12, "words from one column of a bank to the next"),
    Field("tiles", 8, "output tiles of `lanes` channels; channel blocks of the output map"),
    Field("block_rows", 10, "weight rows that a full channel block takes, rounded down"),
    Field("block_phase", 4, "slices beyond block_rows (0..8)"),
    Field("last_block_rows", 10, "as block_rows, for the last channel block"),
    Field("last_block_phase", 4, "as block_phase, for the last channel block"),
    Field("tile_beats", 16, "AXI beats of the index stream of one tile, or of the input image (LOAD_INPUT)"),
    Field("codebook_beats", 8, "AXI beats of the codebook; 0 without one"),
    Field("codebook_offset", 32, "byte offset of the codebook in the image"),
    Field("params_offset", 32, "byte offset of the parameters of the first tile in the image"),
    Field("index_offset", 32, "byte offset of the index stream of the first tile in the image"),
])
