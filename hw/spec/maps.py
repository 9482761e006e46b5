"""Where maps lie in the nine banks of the spike buffer."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from s2nn.hw.spec.config import AcceleratorConfig, ceil_div
from s2nn.hw.spec.errors import LoweringError
from s2nn.hw.spec.program import INPUT, Program, Shape


@dataclass(frozen=True)
class MapPlacement:
    """Where a map, or a band of its rows, lies in the nine banks: position (y, x) is in bank (y mod 3, x mod 3) at word
    base + (y div 3)*row_stride + (x div 3)*col_stride + (chunk*planes + plane)*blocks + block. Plane 0 holds the lowest
    bits of the values; the last `kept` planes are those of a kept current, its lowest bits first. Rows count from the
    band's first one."""

    shape: Shape
    blocks: int
    chunks: int
    planes: int
    base: int
    kept: int = 0

    @property
    def value_planes(self) -> int:
        """Planes of the values that a layer reads as its input."""
        return self.planes - self.kept

    @property
    def chunk_stride(self) -> int:
        """Words of one position and chunk."""
        return self.blocks * self.planes

    @property
    def col_stride(self) -> int:
        """Words of one position."""
        return self.chunk_stride * self.chunks

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

    def band(self, rows: int) -> "MapPlacement":
        """So many rows of the map, not placed."""
        return replace(self, shape=(self.shape[0], rows, self.shape[2]), base=0)

    def chunk_base(self, chunk: int | None) -> int:
        """First word of a chunk of time steps; None: of the map."""
        return self.base + (chunk or 0) * self.chunk_stride

    def rows_bytes(self, config: AcceleratorConfig, rows: int) -> int:
        """What so many rows take in the scratch region: all words of a position follow each other, in raster order."""
        return rows * self.shape[2] * self.col_stride * config.spilled_word_bytes


class DoesNotFitError(LoweringError):
    """Maps that do not fit the spike buffer together; `names` are those of which one could be spilled."""

    def __init__(self, rule: str, *, names: tuple[str, ...], **context: object):
        super().__init__(rule, **context)  # type: ignore[arg-type]
        self.names = names


def unplaced(config: AcceleratorConfig, program: Program, name: str) -> MapPlacement:
    """The shape of a program's map in the spike buffer."""
    shape = program.in_shape if name == INPUT else program.layer(name).out_shape
    is_image = name == INPUT and not program.spike_input
    chunks = config.pixel_chunks if is_image else ceil_div(program.steps, config.time_lanes)
    planes = 1 if is_image else program.peak(name).bit_length()
    kept = program.current_bits if program.keeps_current(name) else 0
    return MapPlacement(shape, ceil_div(shape[0], config.lanes), chunks, planes + kept, 0, kept)


def free_base(words: int, live: Iterable[MapPlacement], limit: int, *, high: bool = False) -> int | None:
    """Lowest or highest place for so many words beside the live maps, or None."""
    live = list(live)
    candidates = [0, *(placed.end for placed in live)] if not high else [limit, *(placed.base for placed in live)]
    bases = [start - words if high else start for start in candidates]
    free = [base for base in bases if base >= 0 and base + words <= limit
            and all(base + words <= placed.base or base >= placed.end for placed in live)]
    if not free:
        return None
    return max(free) if high else min(free)


def place_maps(config: AcceleratorConfig, program: Program,
               spilled: frozenset[str] = frozenset()) -> dict[str, MapPlacement]:
    """A placement for each map that is not spilled: the input, then the output of each spiking layer.

    A map occupies its words from the layer that makes it to the last one that reads it. Maps are placed in order, each
    at the lowest or at the highest free place: at the two ends in turn, which for a chain is the best there is, or all
    low or all high, whichever holds the net. Raises `LoweringError` if none does.
    """
    tightest: LoweringError | None = None
    for prefers_high in ((False, True), (False,), (True,)):
        try:
            return _place(config, program, spilled, prefers_high)
        except LoweringError as error:
            tightest = tightest or error
    assert tightest is not None
    raise tightest


def last_reader(program: Program) -> dict[str, int]:
    """Number of the last layer that reads each map."""
    return {name: index for index, layer in enumerate(program.layers)
            for name in (layer.source, layer.residual) if name is not None}


def _place(config: AcceleratorConfig, program: Program, spilled: frozenset[str],
           prefers_high: tuple[bool, ...]) -> dict[str, MapPlacement]:
    made = [INPUT, *(layer.name for layer in program.layers[:-1])]
    last = last_reader(program)
    maps: dict[str, MapPlacement] = {}
    for index, name in enumerate(made):  # map `index` is made by layer index - 1
        if name in spilled:
            continue
        live = {other: placed for other, placed in maps.items() if last.get(other, -1) >= index - 1}
        draft = unplaced(config, program, name)
        base = free_base(draft.words, live.values(), config.spike_words,
                         high=prefers_high[index % len(prefers_high)])
        if base is None:
            sizes = " + ".join(str(placed.words) for placed in live.values())
            raise DoesNotFitError(f"the maps that a layer reads and makes must fit spike_words = {config.spike_words}",
                                   value=f"{sizes or 0} + {draft.words} words", field=f"map {name} {draft.shape}",
                                   source=program.name, names=(*live, name))
        maps[name] = replace(draft, base=base)
    return maps
