"""From a `Program` and a configuration to layer descriptors: addresses, strides and limits, each checked here."""

from dataclasses import dataclass

from s2nn.hw.spec.config import CODEWORD_BYTES, GROUP_TAPS, PIXEL_BITS, AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import DESCRIPTOR, Opcode
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.packing import num_tiles, tile_bytes
from s2nn.hw.spec.program import Layer, Program, Shape


@dataclass(frozen=True)
class MapPlacement:
    """Where a map of spikes lies in the nine banks: position (y, x) is in bank (y mod 3, x mod 3) at word
    base + (y div 3)*row_stride + (x div 3)*col_stride + chunk*blocks + block."""

    shape: Shape
    blocks: int
    chunks: int
    base: int

    @property
    def col_stride(self) -> int:
        """Words of one position."""
        return self.blocks * self.chunks

    @property
    def row_stride(self) -> int:
        """Words of one row of a bank."""
        return ceil_div(self.shape[2], 3) * self.col_stride

    @property
    def words(self) -> int:
        """Words of the map in each bank."""
        return ceil_div(self.shape[1], 3) * self.row_stride


@dataclass(frozen=True)
class SectionOffsets:
    """Byte offsets of one layer's sections in the image."""

    codebook: int
    params: int
    index: int


def place_maps(config: AcceleratorConfig, program: Program) -> list[MapPlacement]:
    """One placement per map: the input image, then the output of each spiking layer, ends of the banks in turn."""
    maps: list[MapPlacement] = []
    shapes = [program.in_shape] + [layer.out_shape for layer in program.layers[:-1]]
    for index, shape in enumerate(shapes):
        chunks = config.pixel_chunks if index == 0 else ceil_div(program.steps, config.time_lanes)
        placed = MapPlacement(shape, ceil_div(shape[0], config.lanes), chunks, 0)
        before = maps[-1].words if maps else 0
        if placed.words + before > config.spike_words:
            raise LoweringError(f"the maps before and after a layer must fit spike_words = {config.spike_words}",
                                value=f"{before} + {placed.words} words", field=f"map {index} {shape}",
                                source=program.name)
        base = 0 if index % 2 == 0 else config.spike_words - placed.words
        maps.append(MapPlacement(shape, placed.blocks, chunks, base))
    return maps


def _check(config: AcceleratorConfig, program: Program, layer: Layer) -> None:
    rules = [
        (config.is_codebook or layer.weights.codebook is None, "weights",
         "a binary configuration takes raw groups only", layer.weights.symbol_bits),
        (layer.weights.codebook is None or layer.weights.symbol_bits <= config.index_bits, "index_bits",
         f"must not exceed the configuration's {config.index_bits}", layer.weights.symbol_bits),
        (1 <= layer.weights.num_planes <= 8, "planes", "must lie in 1..8", layer.weights.num_planes),
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
    maps = place_maps(config, program)
    steps = [_describe_input(config, maps[0])]
    for index, layer in enumerate(program.layers):
        _check(config, program, layer)
        out = maps[index + 1] if layer.kind == "conv" else MapPlacement(layer.out_shape, 1, 1, 0)
        steps.append(_describe_layer(config, program, layer, maps[index], out, offsets[index]))
    steps[-1]["last"] = 1
    return steps


def _describe_input(config: AcceleratorConfig, image: MapPlacement) -> dict[str, int]:
    channels, height, width = image.shape
    if channels > config.lanes:
        raise LoweringError(f"an input image must have at most {config.lanes} channels", value=channels)
    fields = {field.name: 0 for field in DESCRIPTOR.fields}
    return fields | {
        "opcode": Opcode.LOAD_INPUT,
        "in_height": height, "in_width": width, "in_channels": channels,
        "out_height": height, "out_width": width, "out_chunks": config.pixel_chunks,
        "out_base": image.base, "out_row_stride": image.row_stride, "out_col_stride": image.col_stride,
        "tiles": 1, "tile_beats": ceil_div(channels * height * width * PIXEL_BITS, config.axi_data_bits),
    }


def _describe_layer(config: AcceleratorConfig, program: Program, layer: Layer, source: MapPlacement,
                    target: MapPlacement, offsets: SectionOffsets) -> dict[str, int]:
    weights, codebook = layer.weights, layer.weights.codebook
    _, _, groups_y, groups_x, c_in = weights.symbols.shape
    chunks = ceil_div(program.steps, config.time_lanes)
    last_channels = c_in - (source.blocks - 1) * config.lanes
    block_rows, block_phase = divmod(config.lanes * weights.symbol_bits, GROUP_TAPS)
    last_rows, last_phase = divmod(last_channels * weights.symbol_bits, GROUP_TAPS)
    codebook_bytes = 0 if codebook is None else len(codebook) * CODEWORD_BYTES
    return {
        "opcode": Opcode.CONV if layer.kind == "conv" else Opcode.CLASSIFY,
        "last": 0,
        "codebook": int(codebook is not None),
        "image_input": int(layer.image_input),
        "soft_reset": int(layer.soft_reset),
        "pool": int(layer.pool),
        "pad": layer.pad,
        "stride": layer.stride,
        "symbol_bits": weights.symbol_bits,
        "planes": weights.num_planes,
        "steps": program.steps,
        "leak": layer.leak,
        "param_shift": layer.param_shift,
        "in_height": source.shape[1], "in_width": source.shape[2], "in_channels": 0,
        "in_blocks": source.blocks, "in_chunks": source.chunks, "in_base": source.base,
        "in_row_stride": source.row_stride, "in_col_stride": source.col_stride,
        "groups_y": groups_y, "groups_x": groups_x,
        "out_height": target.shape[1], "out_width": target.shape[2],
        "out_chunks": chunks, "out_base": target.base,
        "out_row_stride": target.row_stride, "out_col_stride": target.col_stride,
        "tiles": num_tiles(config, layer),
        "block_rows": block_rows, "block_phase": block_phase,
        "last_block_rows": last_rows, "last_block_phase": last_phase,
        "tile_beats": tile_bytes(config, layer) // config.axi_bytes,
        "codebook_beats": ceil_div(codebook_bytes, config.axi_bytes),
        "codebook_offset": offsets.codebook if codebook is not None else 0,
        "params_offset": offsets.params,
        "index_offset": offsets.index,
    }
