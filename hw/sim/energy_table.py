"""Energy constants with their sources: reading a table and asking it for the price of one operation, in pJ.

A table is JSON in `hw/sim/tables/`. Each constant is {value, unit, node, source}; the unit says what it is multiplied
by: "pJ/op" and "pJ/access" by the count, "pJ/bit" by count and bits, "pJ/32bit" by count and bits/32. A source that
begins with "guess" marks a number of ours.

A table may hold SRAM curves of several nodes, and prices of one operation at several widths ("bits") and nodes:

    SRAM    log-log in capacity between two neighbours, linear in word width; below the smallest capacity its energy
            holds (the periphery dominates), above the largest the last segment is continued
    logic   log-log in width between two neighbours, the end segments continued; a single price follows its unit
    node    SRAM at the node that was asked for, by default that of the first curve; logic at that node if an operation
            has a price there, and otherwise at the node of its first price: nothing is scaled from node to node
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from s2nn.hw.spec.errors import ConfigError

TABLE_NAMES = ("datasheet", "convention")
DEFAULT_TABLE = "datasheet"
_UNIT = re.compile(r"pJ/(op|access|(\d*)bit)")


@dataclass(frozen=True, kw_only=True)
class Constant:
    """One sourced number. `bits` is the width that it was given for, None if its unit covers any width."""

    value: float
    unit: str
    node: str
    source: str
    bits: int | None = None

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
    """Read energy of one SRAM access by capacity at one node, for words of `word_bits`: (capacity in bytes, pJ),
    ascending."""

    node: str
    word_bits: int
    points: tuple[tuple[int, float], ...]
    write_to_read_ratio: float

    def read_pj(self, capacity_bytes: int, word_bits: int) -> float:
        """Energy of one read of `word_bits` from an SRAM of `capacity_bytes`, pJ."""
        held = max(capacity_bytes, self.points[0][0])
        return _log_log(self.points, held) * word_bits / self.word_bits

    def write_pj(self, capacity_bytes: int, word_bits: int) -> float:
        """Energy of one write, pJ."""
        return self.read_pj(capacity_bytes, word_bits) * self.write_to_read_ratio


@dataclass(frozen=True, kw_only=True)
class LogicPrice:
    """What one operation costs at one node: a single price, or prices of several widths, ascending."""

    prices: tuple[Constant, ...]

    @property
    def node(self) -> str:
        """Node of the prices."""
        return self.prices[0].node

    @property
    def source(self) -> str:
        """Where the prices come from."""
        return "; ".join(price.source for price in self.prices)

    @property
    def is_guess(self) -> bool:
        """Whether a price is ours, not a source's."""
        return any(price.is_guess for price in self.prices)

    def energy_pj(self, bits: int) -> float:
        """Energy of one operation on `bits` bits, pJ."""
        if len(self.prices) == 1:
            return self.prices[0].energy_pj(bits)
        return _log_log([(price.bits or 0, price.energy_pj(price.bits or 0)) for price in self.prices], bits)


@dataclass(frozen=True, kw_only=True)
class EnergyTable:
    """A table at one node: DRAM and SRAM by model or per transferred bit (`*_transfer` set), logic by operation."""

    name: str
    dram_transfer: Constant | None
    sram_transfer: Constant | None
    sram_curve: SramCurve | None
    logic: dict[str, LogicPrice]

    @property
    def node(self) -> str:
        """Node of the SRAM."""
        found = self.sram_curve or self.sram_transfer
        assert found is not None
        return found.node

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


def load_table(name_or_path: str | Path = DEFAULT_TABLE, *, node: str | None = None) -> EnergyTable:
    """The table "datasheet" or "convention", or the one in a JSON file, at a node (None: its first).

    Raises `ConfigError` if the table is absent or damaged, or has no SRAM at the node.
    """
    if name_or_path in TABLE_NAMES:
        text, source = files("s2nn.hw.sim").joinpath("tables", f"{name_or_path}.json").read_text(), str(name_or_path)
    else:
        path, source = Path(name_or_path), str(name_or_path)
        if not path.is_file():
            raise ConfigError(f"an energy table must be {' or '.join(TABLE_NAMES)}, or a JSON file", value=source)
        text = path.read_text()
    try:
        return _parse(json.loads(text), node)
    except (LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"an energy table must be readable ({error!r})", source=source) from error


def _log_log(points: Sequence[tuple[int, float]], at: int) -> float:
    """Power law through the two points around `at`, or through the two nearest beyond either end."""
    upper = next((i for i, (size, _) in enumerate(points) if size >= at), len(points) - 1)
    (size_0, pj_0), (size_1, pj_1) = points[max(upper, 1) - 1], points[max(upper, 1)]
    return pj_0 * (at / size_0) ** (math.log(pj_1 / pj_0) / math.log(size_1 / size_0))


def _parse(data: dict[str, Any], node: str | None) -> EnergyTable:
    def transfer(section: dict[str, Any], model: str) -> Constant | None:
        if section["method"] not in (model, "per_bit"):
            raise ValueError(f"method {section['method']!r} is neither {model!r} nor 'per_bit'")
        return Constant(**section["transfer"]) if section["method"] == "per_bit" else None

    sram_transfer = transfer(data["sram"], "by_capacity")
    curve = None if sram_transfer is not None else _sram_curve(data["sram"], node, data["name"])
    if sram_transfer is not None and node not in (None, sram_transfer.node):
        raise ConfigError(f"a node must be {sram_transfer.node}", value=node, source=data["name"])
    return EnergyTable(
        name=data["name"],
        dram_transfer=transfer(data["dram"], "idd"),
        sram_transfer=sram_transfer,
        sram_curve=curve,
        logic={op: _logic_price(op, entries, node) for op, entries in data["logic"].items()},
    )


def _sram_curve(sram: dict[str, Any], node: str | None, name: str) -> SramCurve:
    nodes = list(dict.fromkeys(entry["node"] for entry in sram["read"]))
    if node is not None and node not in nodes:
        raise ConfigError(f"a node must be one of {', '.join(nodes)}", value=node, source=name)
    chosen = nodes[0] if node is None else node
    points = tuple((entry["capacity_bytes"], entry["value"]) for entry in sram["read"] if entry["node"] == chosen)
    _check_ascending([size for size, _ in points], f"sram.read at {chosen} must hold at least two entries by capacity")
    return SramCurve(node=chosen, word_bits=sram["word_bits"], points=points,
                     write_to_read_ratio=Constant(**sram["write_to_read_ratio"]).value)


def _logic_price(op: str, entries: dict[str, Any] | list[dict[str, Any]], node: str | None) -> LogicPrice:
    """One entry, or a list of them; those of the node if there are any, else those of the first entry's node."""
    prices = [Constant(**entry) for entry in (entries if isinstance(entries, list) else [entries])]
    chosen = node if any(price.node == node for price in prices) else prices[0].node
    found = tuple(price for price in prices if price.node == chosen)
    if len(found) > 1:
        _check_ascending([price.bits or 0 for price in found], f"prices of {op} at {chosen} must name ascending bits")
    return LogicPrice(prices=found)


def _check_ascending(sizes: Sequence[int], rule: str) -> None:
    if len(sizes) < 2 or sizes[0] < 1 or any(low >= high for low, high in pairwise(sizes)):
        raise ValueError(f"{rule}, not {list(sizes)}")
