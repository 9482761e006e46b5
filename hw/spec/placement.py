"""From a `Program` and a configuration to layer descriptors: addresses, strides and limits, each checked here."""

from dataclasses import dataclass, replace

from s2nn.hw.spec.config import (
    CODEWORD_BYTES,
    GROUP_TAPS,
    MAX_ACTIVATION_PLANES,
    PIXEL_BITS,
    AcceleratorConfig,
    ceil_div,
)
from s2nn.hw.spec.descriptor import DESCRIPTOR, Opcode, Residual
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.packing import num_tiles, tile_bytes
from s2nn.hw.spec.program import INPUT, Grouping, Layer, PoolOp, Program, ResidualOp, Shape


@dataclass(frozen=True)
class MapPlacement:
    """Where a map lies in the nine banks: position (y, x) is in bank (y mod 3, x mod 3) at word
    base + (y div 3)*row_stride + (x div 3)*col_stride + (chunk*planes + plane)*blocks + block. Plane 0 holds the lowest
    bits of the values."""

    shape: Shape
    blocks: int
    chunks: int
    planes: int
    base: int

    @property
    def col_stride(self) -> int:
        """Words of one position."""
        return self.blocks * self.planes * self.chunks

    @property
    def row_stride(self) -> int:
        """Words of one row of a bank."""
        return ceil_div(self.shape[2], 3) * self.col_stride

    @property
    def words(self) -> int:
        """Words of the map in each bank."""
        return ceil_div(self.shape[1], 3) * self.row_stride

    @property
    def end(self) -> int:
        """Word after the map's last one in each bank."""
        return self.base + self.words


@dataclass(frozen=True)
class SectionOffsets:
    """Byte offsets of one layer's sections in the image."""

    codebook: int
    params: int
    index: int


def place_resident(config: AcceleratorConfig, program: Program) -> dict[str, int]:
    """First weight row of each layer that stays in the weight buffer from one image to the next.

    Every row saves the same traffic, so the largest layers that still fit are taken first. Layers of one size are taken
    in their order.
    """
    row, end = 2 * config.weight_rows, config.weight_bank_rows
    bases = {}
    for layer in sorted(program.layers, key=lambda layer: -num_tiles(config, layer) * tile_rows(layer)):
        rows = num_tiles(config, layer) * tile_rows(layer)
        if row + rows <= end:
            bases[layer.name], row = row, row + rows
    return bases


def tile_rows(layer: Layer) -> int:
    """Rows that a tile takes in each weight bank."""
    return ceil_div(layer.num_groups * layer.weights.symbol_bits, GROUP_TAPS)


def place_maps(config: AcceleratorConfig, program: Program) -> dict[str, MapPlacement]:
    """A placement per map: the input, then the output of each spiking layer.

    A map occupies its words from the layer that makes it to the last one that reads it. Maps are placed in order, each
    at the lowest or at the highest free place: at the two ends in turn, which for a chain is the best there is, or all
    low or all high, whichever holds the net. Raises `LoweringError` if none does.
    """
    tightest: LoweringError | None = None
    for prefers_high in ((False, True), (False,), (True,)):
        try:
            return _place(config, program, prefers_high)
        except LoweringError as error:
            tightest = tightest or error
    assert tightest is not None
    raise tightest


def _place(config: AcceleratorConfig, program: Program, prefers_high: tuple[bool, ...]) -> dict[str, MapPlacement]:
    made = [INPUT, *(layer.name for layer in program.layers[:-1])]
    last_reader = {name: index for index, layer in enumerate(program.layers)
                   for name in (layer.source, layer.residual) if name is not None}
    maps: dict[str, MapPlacement] = {}
    for index, name in enumerate(made):  # map `index` is made by layer index - 1
        live = [placed for other, placed in maps.items() if last_reader.get(other, -1) >= index - 1]
        draft = _unplaced(config, program, name)
        base = _free_base(draft.words, live, config.spike_words, high=prefers_high[index % len(prefers_high)])
        if base is None:
            sizes = " + ".join(str(placed.words) for placed in live)
            raise LoweringError(f"the maps that a layer reads and makes must fit spike_words = {config.spike_words}",
                                value=f"{sizes or 0} + {draft.words} words", field=f"map {name} {draft.shape}",
                                source=program.name)
        maps[name] = replace(draft, base=base)
    return maps


def _unplaced(config: AcceleratorConfig, program: Program, name: str) -> MapPlacement:
    shape = program.in_shape if name == INPUT else program.layer(name).out_shape
    is_image = name == INPUT and not program.spike_input
    chunks = config.pixel_chunks if is_image else ceil_div(program.steps, config.time_lanes)
    planes = 1 if is_image else program.peak(name).bit_length()
    return MapPlacement(shape, ceil_div(shape[0], config.lanes), chunks, planes, 0)


def _free_base(words: int, live: list[MapPlacement], limit: int, *, high: bool) -> int | None:
    """Lowest or highest place for so many words beside the live maps, or None."""
    candidates = [0, *(placed.end for placed in live)] if not high else [limit, *(placed.base for placed in live)]
    bases = [start - words if high else start for start in candidates]
    free = [base for base in bases if base >= 0 and base + words <= limit
            and all(base + words <= placed.base or base >= placed.end for placed in live)]
    if not free:
        return None
    return max(free) if high else min(free)


def _check(config: AcceleratorConfig, program: Program, layer: Layer) -> None:
    rules = [
        (config.is_codebook or layer.weights.codebook is None, "weights",
         "a binary configuration takes raw groups only", layer.weights.symbol_bits),
        (layer.weights.codebook is None or layer.weights.symbol_bits <= config.index_bits, "index_bits",
         f"must not exceed the configuration's {config.index_bits}", layer.weights.symbol_bits),
        (1 <= layer.weights.num_planes <= 8, "planes", "must lie in 1..8", layer.weights.num_planes),
        (layer.image_input or program.peak(layer.source) < 1 << MAX_ACTIVATION_PLANES, "source",
         f"must hold sums of at most {MAX_ACTIVATION_PLANES} bits", layer.source),
        (layer.grouping is Grouping.TAPS or layer.shared_taps or layer.kernel == (1, 1)
         or layer.in_shape[0] % config.lanes == 0, "in_shape",
         f"must have a multiple of {config.lanes} channels for groups of inputs over several taps", layer.in_shape),
        (layer.stride in (1, 2), "stride", "must be 1 or 2", layer.stride),
        (0 <= layer.pad <= 3, "pad", "must lie in 0..3", layer.pad),
        (layer.num_groups * layer.weights.symbol_bits <= GROUP_TAPS * config.weight_rows, "weights",
         f"a tile must fit the weight buffer: groups*symbol_bits <= {GROUP_TAPS}*{config.weight_rows}",
         layer.num_groups * layer.weights.symbol_bits),
        (program.accumulator_limit(layer) < 1 << config.accumulator_bits, "accumulator",
         f"must fit {config.accumulator_bits} bits", program.accumulator_limit(layer)),
        (program.membrane_limit(layer) < 1 << (config.membrane_bits - 1), "membrane",
         f"must fit {config.membrane_bits} signed bits", program.membrane_limit(layer)),
        (0 <= layer.leak <= 1 << config.leak_bits, "leak", f"must lie in 0..{1 << config.leak_bits}", layer.leak),
        (layer.kind == "conv" or num_tiles(config, layer) == 1, "classes",
         f"must fit one tile of {config.lanes} lanes", layer.out_shape[0]),
        (max(layer.threshold.max(), abs(layer.bias).max()) << layer.param_shift < 1 << (config.membrane_bits - 1),
         "param_shift", f"threshold and bias must fit {config.membrane_bits} signed bits", layer.param_shift),
    ]
    for holds, field, rule, value in rules:
        if not holds:
            raise LoweringError(rule, value=value, field=field, source=f"layer {layer.name}")


def describe(config: AcceleratorConfig, program: Program, offsets: list[SectionOffsets]) -> list[dict[str, int]]:
    """The descriptor fields of every step of the program: the input load, then each layer.

    Raises `LoweringError` where the configuration cannot hold or express the program, and `ImageFormatError`
    (from the layout) where a number does not fit its field.
    """
    expected = (config.leak_bits, config.fraction_bits)
    if (program.leak_bits, program.fraction_bits) != expected:
        raise LoweringError(f"leak_bits and fraction_bits must be {expected}, those of the configuration",
                            value=(program.leak_bits, program.fraction_bits), source=program.name)
    chunks = ceil_div(program.steps, config.time_lanes)
    if chunks > config.max_chunks:
        raise LoweringError(f"time steps must fit {config.max_chunks} chunks of {config.time_lanes}",
                            value=program.steps, field="steps", source=program.name)
    maps, resident = place_maps(config, program), place_resident(config, program)
    steps = [_describe_input(config, program, maps[INPUT])]
    for layer, places in zip(program.layers, offsets, strict=True):
        _check(config, program, layer)
        steps.append(_describe_layer(config, program, layer, maps, resident.get(layer.name), places))
    steps[-1]["last"] = 1
    return steps


def _describe_input(config: AcceleratorConfig, program: Program, source: MapPlacement) -> dict[str, int]:
    channels, height, width = source.shape
    if channels > config.lanes:
        raise LoweringError(f"an input must have at most {config.lanes} channels", value=channels)
    bytes_per_value = ceil_div(program.steps, PIXEL_BITS) if program.spike_input else 1
    fields = {field.name: 0 for field in DESCRIPTOR.fields}
    return fields | {
        "opcode": Opcode.LOAD_INPUT,
        "in_height": height, "in_width": width, "in_channels": channels,
        "out_height": height, "out_width": width, "out_chunks": source.chunks, "out_planes": 1,
        "out_base": source.base, "out_row_stride": source.row_stride, "out_col_stride": source.col_stride,
        "tiles": 1,
        "tile_beats": ceil_div(channels * height * width * bytes_per_value * PIXEL_BITS, config.axi_data_bits),
    }


def _describe_layer(config: AcceleratorConfig, program: Program, layer: Layer, maps: dict[str, MapPlacement],
                    weight_base: int | None, offsets: SectionOffsets) -> dict[str, int]:
    weights, codebook, source = layer.weights, layer.weights.codebook, maps[layer.source]
    chunks = ceil_div(program.steps, config.time_lanes)
    target = maps.get(layer.name) or MapPlacement(layer.out_shape, 1, 1, 1, 0)
    residual = maps[layer.residual] if layer.residual is not None else MapPlacement((0, 0, 0), 0, 0, 0, 0)
    gather = layer.grouping is Grouping.INPUTS
    groups_y, groups_x = layer.kernel if gather else layer.kernel_groups
    taps = (1, 1) if gather else ((size - 1) % 3 + 1 for size in layer.kernel)
    last_taps_y, last_taps_x = taps
    # A walk over the inputs goes block by block, `lanes` groups in each: channels, or sets of nine gathered words.
    walk = layer.groups_per_plane if gather else layer.in_shape[0]
    block_rows, block_phase = divmod(config.lanes * weights.symbol_bits, GROUP_TAPS)
    last_rows, last_phase = divmod(((walk - 1) % config.lanes + 1) * weights.symbol_bits, GROUP_TAPS)
    codebook_bytes = 0 if codebook is None else len(codebook) * CODEWORD_BYTES
    residuals = {None: Residual.NONE, ResidualOp.ADD: Residual.ADD, ResidualOp.IAND: Residual.IAND}
    return {
        "opcode": Opcode.CONV if layer.kind == "conv" else Opcode.CLASSIFY,
        "last": 0,
        "codebook": int(codebook is not None),
        "image_input": int(layer.image_input),
        "soft_reset": int(layer.soft_reset),
        "pool": int(layer.pool), "pool_sum": int(layer.pool_op is PoolOp.SUM),
        "gather": int(gather),
        "shared_taps": int(layer.shared_taps),
        "residual": residuals[layer.residual_op],
        "pad": layer.pad,
        "stride": layer.stride,
        "symbol_bits": weights.symbol_bits,
        "planes": weights.num_planes,
        "steps": program.steps,
        "leak": layer.leak,
        "param_shift": layer.param_shift,
        "in_height": source.shape[1], "in_width": source.shape[2], "in_channels": 0,
        "in_blocks": source.blocks, "in_chunks": source.chunks, "in_planes": source.planes, "in_base": source.base,
        "in_row_stride": source.row_stride, "in_col_stride": source.col_stride,
        "groups_y": groups_y, "groups_x": groups_x,
        "last_taps_y": last_taps_y, "last_taps_x": last_taps_x,
        "out_height": target.shape[1], "out_width": target.shape[2],
        "out_chunks": chunks, "out_planes": target.planes, "out_base": target.base,
        "out_row_stride": target.row_stride, "out_col_stride": target.col_stride,
        "residual_planes": residual.planes, "residual_base": residual.base,
        "residual_row_stride": residual.row_stride, "residual_col_stride": residual.col_stride,
        "tiles": num_tiles(config, layer),
        "resident": int(weight_base is not None), "weight_base": weight_base or 0, "tile_rows": tile_rows(layer),
        "block_rows": block_rows, "block_phase": block_phase,
        "last_block_rows": last_rows, "last_block_phase": last_phase,
        "tile_beats": tile_bytes(config, layer) // config.axi_bytes,
        "codebook_beats": ceil_div(codebook_bytes, config.axi_bytes),
        "codebook_offset": offsets.codebook if codebook is not None else 0,
        "params_offset": offsets.params,
        "index_offset": offsets.index,
    }
