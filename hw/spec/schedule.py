"""From a program to the steps of its run: which maps stay on chip, and what is done band by band or chunk by chunk.

A step is what one descriptor asks for. Without a schedule's help there is one for the input and one per layer. A map
that is spilled lies in the scratch region of DRAM: a layer that reads or makes it runs band by band, a band being some
rows of its output, behind loads of the rows that they need and before a store of those made. Under `per_step` a layer
runs chunk by chunk with all its weights each time, and its membranes wait in the membrane buffer; built with
`time_lanes` = 1, a chunk is a time step, which is how the accelerator of the S2NN paper counts (arXiv 2509.24266,
App. I).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import gcd
from typing import Literal

from s2nn.hw.spec.config import AcceleratorConfig, ceil_div
from s2nn.hw.spec.descriptor import LAYER_OPCODES, MAX_TRANSFER_BEATS, Opcode
from s2nn.hw.spec.errors import ConfigError, LoweringError
from s2nn.hw.spec.image import aligned
from s2nn.hw.spec.maps import DoesNotFitError, MapPlacement, free_base, last_reader, place_maps, unplaced
from s2nn.hw.spec.packing import num_tiles
from s2nn.hw.spec.program import INPUT, Layer, Program

MapsPolicy = Literal["auto", "spilled"]

#: Rows of a band are a multiple of it: a map on chip is then entered at a whole row of its banks.
_BAND_ROWS = 3


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a program is run.

    Parameters
    ----------
    per_step : fetch the weights of a layer for each chunk of time steps anew.
    maps : "auto" keeps all maps on chip, and where they do not fit spills the largest ones; "spilled" sends every map
        but the input through DRAM.
    """

    per_step: bool = False
    maps: MapsPolicy = "auto"

    def __post_init__(self) -> None:
        if self.maps not in ("auto", "spilled"):
            raise ConfigError("must be 'auto' or 'spilled'", value=self.maps, field="maps", source="Schedule")


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one descriptor asks for.

    Parameters
    ----------
    opcode : of the descriptor. layer : number of the layer that runs, or that something is loaded or stored for.
    map : that is loaded or stored. rows : of that map, or of the layer's output.
    source, target, residual : where they lie in the spike buffer; a load has a target, a store a source.
    source_top : of a layer, the source map's row that `source` begins with.
    chunk : of the output's time steps, the only one; None: all.
    first_band : the layer's weights have not been read by an earlier step of this image.
    """

    opcode: Opcode
    layer: int
    map: str | None = None
    rows: range
    source: MapPlacement | None = None
    target: MapPlacement | None = None
    residual: MapPlacement | None = None
    source_top: int = 0
    chunk: int | None = None
    first_band: bool = True

    @property
    def is_layer(self) -> bool:
        """Whether a layer runs; otherwise something is loaded or stored."""
        return self.opcode in LAYER_OPCODES


@dataclass(frozen=True)
class Plan:
    """The steps of a run, and the byte offset of each spilled map in the scratch region."""

    steps: tuple[Step, ...]
    scratch: Mapping[str, int]


def plan_run(config: AcceleratorConfig, program: Program, schedule: Schedule | None = None) -> Plan:
    """The steps of a program on a configuration. Raises `LoweringError` where something cannot fit."""
    schedule = schedule or Schedule()
    made = [INPUT, *(layer.name for layer in program.layers[:-1])]
    drafts = {name: unplaced(config, program, name) for name in made}
    spilled = set(made[1:]) if schedule.maps == "spilled" else set()
    while True:
        try:
            steps = tuple(_Planner(config, program, schedule, drafts, frozenset(spilled)).steps())
            break
        except DoesNotFitError as error:
            candidates = [name for name in error.names if name not in spilled]
            if not candidates:
                raise
            spilled.add(max(candidates, key=lambda name: drafts[name].words))
    scratch, end = {}, 0
    for name in made[1:]:
        if name in spilled:
            scratch[name] = end
            end += aligned(drafts[name].rows_bytes(config, drafts[name].shape[1]))
    return Plan(steps=steps, scratch=scratch)


def simplest(config: AcceleratorConfig, program: Program, schedule: Schedule) -> Schedule:
    """The first schedule, in the order (maps on chip, spilled, and these per step), with the same steps as this one."""
    if schedule == Schedule():  # the first of all
        return schedule
    steps = plan_run(config, program, schedule).steps

    def has_these_steps(other: Schedule) -> bool:
        try:
            return plan_run(config, program, other).steps == steps
        except LoweringError:
            return False

    policies: tuple[MapsPolicy, ...] = ("auto", "spilled")
    candidates = (Schedule(per_step=per_step, maps=maps) for per_step in (False, True) for maps in policies)
    return next(other for other in candidates if other == schedule or has_these_steps(other))


class _Planner:
    """One attempt: with these maps spilled, the steps; `DoesNotFitError` says what else could be spilled."""

    def __init__(self, config: AcceleratorConfig, program: Program, schedule: Schedule,
                 drafts: Mapping[str, MapPlacement], spilled: frozenset[str]):
        self._config, self._program, self._schedule = config, program, schedule
        self._drafts, self._spilled = drafts, spilled
        self._maps, self._last_reader = place_maps(config, program, spilled), last_reader(program)

    def steps(self) -> Iterator[Step]:
        program = self._program
        if INPUT not in self._spilled:
            target = self._maps[INPUT]
            yield Step(opcode=Opcode.LOAD_INPUT, layer=0, map=INPUT, rows=range(target.shape[1]), target=target)
        for index, layer in enumerate(program.layers):
            for number, rows in enumerate(self._bands(index, layer)):
                yield from self._band(index, layer, rows, is_first=number == 0)

    def _bands(self, index: int, layer: Layer) -> Iterator[range]:
        """Rows of the output that are made at a time: as many as there is room for."""
        height = layer.out_shape[1]
        whole = ceil_div(height, _BAND_ROWS) * _BAND_ROWS
        for rows in range(whole, 0, -_BAND_ROWS):
            bands = [range(start, min(start + rows, height)) for start in range(0, height, rows)]
            if all(self._buffers(index, layer, band) is not None for band in bands):
                yield from bands
                return
        live, first = self._live(index), range(min(_BAND_ROWS, height))
        needed = sum(placed.words for placed in live.values())
        needed += sum(draft.words for draft in self._spilled_bands(layer, first).values())
        raise DoesNotFitError(
            f"bands of {_BAND_ROWS} rows beside the maps on chip must fit spike_words = {self._config.spike_words}",
            value=f"{needed} words", field=f"layer {layer.name}", source=self._program.name,
            names=(*live, *(name for name in self._operands(layer).values() if name is not None)))

    def _operands(self, layer: Layer) -> dict[str, str | None]:
        return {"source": layer.source, "residual": layer.residual,
                "target": layer.name if layer.kind == "conv" else None}

    def _live(self, index: int) -> dict[str, MapPlacement]:
        """Maps on chip while a layer runs."""
        names = [INPUT, *(layer.name for layer in self._program.layers[:index + 1])]
        return {name: self._maps[name] for name in names
                if name in self._maps and (self._last_reader.get(name, -1) >= index or name == names[-1])}

    def _source_rows(self, layer: Layer, band: range) -> range:
        """Rows of the source that a band of the output needs; of the input such that its bytes begin on a beat."""
        computed = layer.conv_rows(band)
        top = max(0, computed.start * layer.stride - layer.pad)
        bottom = (computed.stop - 1) * layer.stride - layer.pad + layer.kernel[0]
        if layer.source == INPUT:
            top -= top % (self._config.axi_bytes // gcd(self._config.axi_bytes, self._program.input_row_bytes))
        return range(top, max(top + 1, min(bottom, layer.in_shape[1])))

    def _spilled_bands(self, layer: Layer, band: range) -> dict[str, MapPlacement]:
        """The rows of spilled operands that a band of the output needs, by role."""
        return {role: self._drafts[name].band(len(self._source_rows(layer, band)) if role == "source" else len(band))
                for role, name in self._operands(layer).items() if name in self._spilled and name is not None}

    def _buffers(self, index: int, layer: Layer, band: range) -> dict[str, MapPlacement] | None:
        """Where the spilled operands' rows go while a band runs, or None if that is too much."""
        taken, found = list(self._live(index).values()), {}
        for role, draft in self._spilled_bands(layer, band).items():
            base = free_base(draft.words, taken, self._config.spike_words)
            beats = draft.rows_bytes(self._config, draft.shape[1]) // self._config.axi_bytes
            if base is None or beats > MAX_TRANSFER_BEATS:
                return None
            found[role] = replace(draft, base=base)
            taken.append(found[role])
        return found

    def _band(self, index: int, layer: Layer, band: range, *, is_first: bool) -> Iterator[Step]:
        buffers = self._buffers(index, layer, band)
        assert buffers is not None
        source_rows, operands = self._source_rows(layer, band), self._operands(layer)
        for role, rows in (("source", source_rows), ("residual", band)):
            if role in buffers:
                name = operands[role]
                opcode = Opcode.LOAD_INPUT if name == INPUT else Opcode.LOAD_MAP
                yield Step(opcode=opcode, layer=index, map=name, rows=rows, target=buffers[role])
        placed = {role: buffers.get(role) or self._on_chip(name, band.start if role != "source" else 0)
                  for role, name in operands.items() if name is not None}
        run = Step(opcode=Opcode.CONV if layer.kind == "conv" else Opcode.CLASSIFY, layer=index, rows=band,
                   source=placed["source"], residual=placed.get("residual"), target=placed.get("target"),
                   source_top=source_rows.start if "source" in buffers else 0, first_band=is_first)
        chunks = ceil_div(self._program.steps, self._config.time_lanes)
        if self._schedule.per_step and chunks > 1:
            self._check_membranes(layer, band)
            yield from (replace(run, chunk=chunk) for chunk in range(chunks))
        else:
            yield run
        if "target" in buffers:
            yield Step(opcode=Opcode.STORE_MAP, layer=index, map=layer.name, rows=band, source=buffers["target"])

    def _on_chip(self, name: str, top: int) -> MapPlacement:
        """A map on chip from one of its rows on."""
        whole = self._maps[name]
        rest = whole.band(whole.shape[1] - top)
        return replace(rest, base=whole.base + top // _BAND_ROWS * whole.row_stride)

    def _check_membranes(self, layer: Layer, band: range) -> None:
        words = num_tiles(self._config, layer) * len(layer.conv_rows(band)) * layer.conv_shape[2]
        if words > self._config.membrane_words:
            raise LoweringError(f"membranes must fit membrane_words = {self._config.membrane_words} under per_step",
                                value=words, field=f"layer {layer.name}", source=self._program.name)
