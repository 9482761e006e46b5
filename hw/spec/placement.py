"""From the steps of a run to descriptors: addresses, strides and limits, each checked here."""

from collections.abc import Mapping
from dataclasses import dataclass

from s2nn.hw.spec.config import (
    CODEWORD_BYTES,
    GROUP_TAPS,
    MAX_ACTIVATION_PLANES,
    AcceleratorConfig,
    ceil_div,
)
from s2nn.hw.spec.descriptor import DESCRIPTOR, GAIN_SHIFT_UNIT, MAX_SPILLED_WORDS, TOP_BITS, Opcode, Residual
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.maps import MapPlacement
from s2nn.hw.spec.packing import num_tiles, tile_bytes
from s2nn.hw.spec.program import Layer, PoolOp, Program, ResidualOp
from s2nn.hw.spec.schedule import Plan, Step, plan_run
from s2nn.hw.spec.weights import Grouping

_NOTHING = {field.name: 0 for field in DESCRIPTOR.fields}


@dataclass(frozen=True)
class SectionOffsets:
    """Byte offsets of one layer's sections in the image."""

    codebook: int
    params: int
    index: int


def place_resident(config: AcceleratorConfig, program: Program) -> dict[str, int]:
    """First weight row of each layer that stays in the weight buffer from one image to the next."""
    first = 2 * config.weight_rows
    chosen = choose_resident(layer_rows(config, program), config.resident_rows)
    return {name: first + row for name, row in chosen.items()}


def layer_rows(config: AcceleratorConfig, program: Program) -> dict[str, int]:
    """Rows that all tiles of each layer take in each weight bank."""
    return {layer.name: num_tiles(config, layer) * tile_rows(layer) for layer in program.layers}


def choose_resident(sizes: Mapping[str, int], rows: int) -> dict[str, int]:
    """Which layers of these sizes stay in so many rows, and at which of them.

    Every row saves the same traffic, so the largest layers that still fit are taken first. Layers of one size are taken
    in their order.

    >>> choose_resident({"a": 2, "b": 5, "c": 4}, 8)
    {'b': 0, 'a': 5}
    """
    row, bases = 0, {}
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if row + sizes[name] <= rows:
            bases[name], row = row, row + sizes[name]
    return bases


def tile_rows(layer: Layer) -> int:
    """Rows that a tile takes in each weight bank."""
    return ceil_div(layer.num_groups * layer.weights.symbol_bits, GROUP_TAPS)


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


def describe(config: AcceleratorConfig, program: Program, offsets: list[SectionOffsets],
             plan: Plan | None = None) -> list[dict[str, int]]:
    """The descriptor fields of every step of a plan; None: that of the default schedule.

    Raises `LoweringError` where the configuration cannot hold or express the program, and `ImageFormatError`
    (from the layout) where a number does not fit its field.
    """
    expected = (config.leak_bits, config.fraction_bits)
    if (program.leak_bits, program.fraction_bits) != expected:
        raise LoweringError(f"leak_bits and fraction_bits must be {expected}, those of the configuration",
                            value=(program.leak_bits, program.fraction_bits), source=program.name)
    if program.current_bits not in (0, config.current_bits):
        raise LoweringError("the configuration must be built for membrane shortcuts of the program's "
                            f"{program.current_bits} bits", value=config.current_bits, field="current_bits",
                            source=program.name)
    chunks = ceil_div(program.steps, config.time_lanes)
    if chunks > config.max_chunks:
        raise LoweringError(f"time steps must fit {config.max_chunks} chunks of {config.time_lanes}",
                            value=program.steps, field="steps", source=program.name)
    for layer in program.layers:
        _check(config, program, layer)
    plan = plan or plan_run(config, program)
    # Under per_step all weights are fetched for every chunk: that is what it is there to measure.
    refetches = any(step.chunk is not None for step in plan.steps)
    resident = {} if refetches else place_resident(config, program)
    steps = []
    for step in plan.steps:
        if step.is_layer:
            steps.append(_describe_layer(config, program, step, resident.get(program.layers[step.layer].name),
                                         offsets[step.layer]))
        elif step.opcode == Opcode.LOAD_INPUT:
            steps.append(_describe_input(config, program, step))
        else:
            steps.append(_describe_transfer(config, step, plan.scratch))
    steps[-1]["last"] = 1
    return steps


def _describe_input(config: AcceleratorConfig, program: Program, step: Step) -> dict[str, int]:
    assert step.target is not None
    channels, height, width = step.target.shape
    if channels > config.lanes:
        raise LoweringError(f"an input must have at most {config.lanes} channels", value=channels)
    row_bytes = program.input_row_bytes
    return _NOTHING | _target_fields(step.target) | {
        "opcode": Opcode.LOAD_INPUT, "layer": step.layer,
        "in_height": height, "in_width": width, "in_channels": channels,
        "out_chunks": step.target.chunks, "out_planes": 1,
        "tiles": 1, "tile_beats": ceil_div(height * row_bytes, config.axi_bytes),
        "index_offset": step.rows.start * row_bytes,
    }


def _describe_transfer(config: AcceleratorConfig, step: Step, scratch: Mapping[str, int]) -> dict[str, int]:
    """A load or store: the words of a position follow each other, as if each block were a chunk of one block."""
    placed, assigned = step.target or step.source, step.map
    assert placed is not None and assigned is not None
    words = placed.blocks * placed.chunks
    if words > MAX_SPILLED_WORDS:
        raise LoweringError(f"a spilled map must have at most {MAX_SPILLED_WORDS} words a position and plane",
                            value=words, field=f"map {assigned}", source="plan_run")
    fields = _NOTHING | {
        "opcode": step.opcode, "layer": step.layer, "tiles": 1,
        "tile_beats": placed.rows_bytes(config, len(step.rows)) // config.axi_bytes,
        "index_offset": scratch[assigned] + placed.rows_bytes(config, step.rows.start),
        "out_height": placed.shape[1], "out_width": placed.shape[2],
    }
    if step.opcode == Opcode.LOAD_MAP:
        return fields | _target_fields(placed) | {"out_chunks": words, "out_planes": placed.planes}
    return fields | _residual_fields(placed) | {
        "residual": Residual.ADD, "residual_planes": placed.planes, "in_chunks": words,
        "in_height": placed.shape[1], "in_width": placed.shape[2]}


def _target_fields(target: MapPlacement, base: int | None = None) -> dict[str, int]:
    return {"out_height": target.shape[1], "out_width": target.shape[2],
            "out_base": target.base if base is None else base,
            "out_row_stride": target.row_stride, "out_col_stride": target.col_stride}


def _residual_fields(residual: MapPlacement, base: int | None = None) -> dict[str, int]:
    return {"residual_base": residual.base if base is None else base,
            "residual_row_stride": residual.row_stride, "residual_col_stride": residual.col_stride}


def _describe_layer(config: AcceleratorConfig, program: Program, step: Step, weight_base: int | None,
                    offsets: SectionOffsets) -> dict[str, int]:
    layer, source, residual = program.layers[step.layer], step.source, step.residual
    assert source is not None
    weights, codebook, chunk = layer.weights, layer.weights.codebook, step.chunk
    chunks = ceil_div(program.steps, config.time_lanes)
    target = step.target or MapPlacement(layer.out_shape, 1, 1, 1, 0)
    is_last_chunk = chunk is None or chunk == chunks - 1
    steps = program.steps
    if chunk is not None:
        steps = min(config.time_lanes, program.steps - chunk * config.time_lanes)
    # All planes of an image are read in every chunk of time steps.
    in_chunk = None if layer.image_input else chunk
    gather = layer.grouping is Grouping.INPUTS
    groups_y, groups_x = layer.kernel if gather else layer.kernel_groups
    taps = (1, 1) if gather else ((size - 1) % 3 + 1 for size in layer.kernel)
    last_taps_y, last_taps_x = taps
    top = layer.conv_rows(step.rows).start * layer.stride - layer.pad - step.source_top
    # A walk over the inputs goes block by block, `lanes` groups in each: channels, or sets of nine gathered words.
    walk = layer.groups_per_plane if gather else layer.in_shape[0]
    block_rows, block_phase = divmod(config.lanes * weights.symbol_bits, GROUP_TAPS)
    last_rows, last_phase = divmod(((walk - 1) % config.lanes + 1) * weights.symbol_bits, GROUP_TAPS)
    codebook_bytes = 0 if codebook is None else len(codebook) * CODEWORD_BYTES
    residuals = {None: Residual.NONE, ResidualOp.ADD: Residual.ADD, ResidualOp.IAND: Residual.IAND,
                 ResidualOp.CURRENT: Residual.CURRENT}
    fields = _NOTHING | _target_fields(target, target.chunk_base(chunk)) | {
        "opcode": step.opcode, "layer": step.layer,
        "codebook": int(codebook is not None),
        "image_input": int(layer.image_input),
        "soft_reset": int(layer.soft_reset),
        "pool": int(layer.pool), "pool_sum": int(layer.pool_op is PoolOp.SUM),
        "gather": int(gather),
        "shared_taps": int(layer.shared_taps),
        "residual": residuals[layer.residual_op],
        "pad": layer.pad, "top_div": top // 3 % (1 << TOP_BITS), "top_mod": top % 3,
        "stride": layer.stride,
        "symbol_bits": weights.symbol_bits,
        "planes": weights.num_planes,
        "steps": steps,
        "leak": layer.leak,
        "param_shift": layer.param_shift,
        "in_height": source.shape[1], "in_width": source.shape[2],
        "in_blocks": source.blocks, "in_chunks": source.chunks if in_chunk is None else 1,
        "in_planes": source.value_planes, "in_base": source.chunk_base(in_chunk),
        "in_chunk_stride": source.chunk_stride,
        "in_row_stride": source.row_stride, "in_col_stride": source.col_stride,
        "groups_y": groups_y, "groups_x": groups_x,
        "last_taps_y": last_taps_y, "last_taps_x": last_taps_x,
        "out_height": len(step.rows),
        "out_chunks": chunks if chunk is None else 1, "out_planes": target.planes,
        "tiles": num_tiles(config, layer),
        "load_membranes": int(chunk is not None and chunk > 0), "store_membranes": int(not is_last_chunk),
        "resident": int(weight_base is not None), "weight_base": weight_base or 0, "tile_rows": tile_rows(layer),
        "reuse_weights": int(weight_base is not None and not step.first_band),
        "block_rows": block_rows, "block_phase": block_phase,
        "last_block_rows": last_rows, "last_block_phase": last_phase,
        "tile_beats": tile_bytes(config, layer) // config.axi_bytes,
        "codebook_beats": ceil_div(codebook_bytes, config.axi_bytes),
        "codebook_offset": offsets.codebook if codebook is not None else 0,
        "params_offset": offsets.params,
        "index_offset": offsets.index,
        "keep_current": int(layer.keep_shift is not None), "gain_shift": layer.gain_shift // GAIN_SHIFT_UNIT,
    }
    if residual is not None:
        # The planes of the kept currents lie behind those of the values.
        skipped, planes = (residual.value_planes, residual.kept) if layer.adds_current else (0, residual.value_planes)
        base = residual.chunk_base(chunk) + skipped * residual.blocks
        fields |= _residual_fields(residual, base) | {"residual_planes": planes}
    return fields
