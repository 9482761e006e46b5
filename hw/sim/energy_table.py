"""Energy constants with their sources: reading a table and asking it for the price of one operation, in pJ.

A table is JSON in `hw/sim/tables/`. Each constant is {value, unit, node, source}; the unit says what it is multiplied
by: "pJ/op" and "pJ/access" by the count, "pJ/bit" by count and bits, "pJ/32bit" by count and bits/32. A source that
begins with "guess" marks a number of ours.
"""

import json
import math
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from s2nn.hw.spec.errors import ConfigError

TABLE_NAMES = ("datasheet", "convention")
DEFAULT_TABLE = "datasheet"
_UNIT = re.compile(r"pJ/(op|access|(\d*)bit)")


@dataclass(frozen=True, kw_only=True)
class Constant:
    """One sourced number."""

    value: float
    unit: str
    node: str
    source: str

    @property
    def is_guess(self) -> bool:
        """Whether the number is ours, not a source's."""
        return self.source.startswith("guess")

    def energy_pj(self, bits: int) -> float:
        """Energy of one operation on `bits` bits, pJ; ConfigError if the unit is not an energy."""
        match = _UNIT.fullmatch(self.unit)
        if match is None:
            raise ConfigError("an energy's unit must be pJ/op, pJ/access, pJ/bit or pJ/<n>bit", value=self.unit)
        if match[1] in ("op", "access"):
            return self.value
        return self.value * bits / int(match[2] or 1)


@dataclass(frozen=True, kw_only=True)
class SramCurve:
    """Read energy of one SRAM access by capacity, for words of `word_bits`: (capacity in bytes, pJ), ascending.

    Rule of interpolation: log-log in capacity between the two neighbours, linear in word width. Below the smallest
    entry its energy holds (periphery dominates); above the largest the last segment is continued.
    """

    word_bits: int
    points: tuple[tuple[int, float], ...]
    write_to_read_ratio: float

    def read_pj(self, capacity_bytes: int, word_bits: int) -> float:
        """Energy of one read of `word_bits` from an SRAM of `capacity_bytes`, pJ."""
        return self._at_capacity(capacity_bytes) * word_bits / self.word_bits

    def write_pj(self, capacity_bytes: int, word_bits: int) -> float:
        """Energy of one write, pJ."""
        return self.read_pj(capacity_bytes, word_bits) * self.write_to_read_ratio

    def _at_capacity(self, capacity_bytes: int) -> float:
        if capacity_bytes <= self.points[0][0]:
            return self.points[0][1]
        upper = next((i for i, (size, _) in enumerate(self.points) if size >= capacity_bytes), len(self.points) - 1)
        (size_0, pj_0), (size_1, pj_1) = self.points[upper - 1], self.points[upper]
        exponent = math.log(pj_1 / pj_0) / math.log(size_1 / size_0)
        return pj_0 * (capacity_bytes / size_0) ** exponent


@dataclass(frozen=True, kw_only=True)
class EnergyTable:
    """A table: DRAM and SRAM by model or per transferred bit (`*_transfer` set), logic by operation."""

    name: str
    dram_transfer: Constant | None
    sram_transfer: Constant | None
    sram_curve: SramCurve | None
    logic: dict[str, Constant]

    def sram_read_pj(self, capacity_bytes: int, word_bits: int) -> float:
        """Energy of one SRAM read, pJ."""
        if self.sram_curve is not None:
            return self.sram_curve.read_pj(capacity_bytes, word_bits)
        assert self.sram_transfer is not None
        return self.sram_transfer.energy_pj(word_bits)

    def sram_write_pj(self, capacity_bytes: int, word_bits: int) -> float:
        """Energy of one SRAM write, pJ."""
        if self.sram_curve is not None:
            return self.sram_curve.write_pj(capacity_bytes, word_bits)
        return self.sram_read_pj(capacity_bytes, word_bits)

    def logic_pj(self, op: str, bits: int) -> float:
        """Energy of one `op` on `bits` bits, pJ; ConfigError for an operation that the table does not know."""
        if op not in self.logic:
            raise ConfigError(
                f"an operation must be one of {', '.join(sorted(self.logic))}", value=op, source=self.name
            )
        return self.logic[op].energy_pj(bits)


def load_table(name_or_path: str | Path = DEFAULT_TABLE) -> EnergyTable:
    """The table "datasheet" or "convention", or the one in a JSON file; ConfigError if it is absent or damaged."""
    if name_or_path in TABLE_NAMES:
        text, source = files("s2nn.hw.sim").joinpath("tables", f"{name_or_path}.json").read_text(), str(name_or_path)
    else:
        path, source = Path(name_or_path), str(name_or_path)
        if not path.is_file():
            raise ConfigError(f"an energy table must be {' or '.join(TABLE_NAMES)}, or a JSON file", value=source)
        text = path.read_text()
    try:
        return _parse(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"an energy table must be readable ({error!r})", source=source) from error


def _parse(data: dict[str, Any]) -> EnergyTable:
    def transfer(section: dict[str, Any], model: str) -> Constant | None:
        if section["method"] not in (model, "per_bit"):
            raise ValueError(f"method {section['method']!r} is neither {model!r} nor 'per_bit'")
        return Constant(**section["transfer"]) if section["method"] == "per_bit" else None

    sram, curve = data["sram"], None
    if sram["method"] == "by_capacity":
        points = tuple((entry["capacity_bytes"], entry["value"]) for entry in sram["read"])
        if len(points) < 2 or list(points) != sorted(points):
            raise ValueError("sram.read must hold at least two entries by ascending capacity")
        curve = SramCurve(
            word_bits=sram["word_bits"],
            points=points,
            write_to_read_ratio=Constant(**sram["write_to_read_ratio"]).value,
        )
    return EnergyTable(
        name=data["name"],
        dram_transfer=transfer(data["dram"], "idd"),
        sram_transfer=transfer(sram, "by_capacity"),
        sram_curve=curve,
        logic={op: Constant(**entry) for op, entry in data["logic"].items()},
    )
