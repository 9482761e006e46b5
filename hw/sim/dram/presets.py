"""Standards by name or from a file: the shipped tables and a user's are read by the same rules.

A name may end in `:BITS`, the width of the data bus: ddr4-2400-8gb-x16:64 is four devices side by side.
"""

import tomllib
from dataclasses import MISSING, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from s2nn.hw.sim.dram.rows import SHARED_ROWS, Row, resolve
from s2nn.hw.sim.dram.standard import (
    Command,
    DramStandard,
    Interface,
    Level,
    Organisation,
    Rail,
    Timing,
    TimingConstraint,
)
from s2nn.hw.spec.errors import ConfigError

T = TypeVar("T", Organisation, Timing, Rail, Interface)

DEFAULT_PRESET = "ddr3l-1600-4gb-x16"
PRESET_NAMES = ("ddr3-1600k-4gb-x16", DEFAULT_PRESET, "ddr4-2400-8gb-x16", "lpddr4-3200-8gb-x16")
_KEYS = {"name", "organisation", "timing", "constraints", "rails", "interface"}


@cache
def preset(name: str) -> DramStandard:
    """The standard called `name`, or NAME:BITS; raises ConfigError for an unknown one."""
    base, _, width = name.partition(":")
    if base not in PRESET_NAMES or (":" in name and not width.isdecimal()):
        rule = f"a DRAM preset must be one of {', '.join(sorted(PRESET_NAMES))}, with :BITS for a wider bus"
        raise ConfigError(rule, value=name)
    source = files("s2nn.hw.sim.dram").joinpath("tables", f"{base}.toml")
    standard = parse_standard(source.read_text(), source=f"{base}.toml")
    return standard.with_bus_width(int(width)) if width else standard


def load_standard(name_or_path: str | Path) -> DramStandard:
    """A preset by name, or the standard in a TOML file (a path that ends in .toml); ConfigError if it is bad."""
    if Path(name_or_path).suffix != ".toml":
        return preset(str(name_or_path))
    path = Path(name_or_path)
    if not path.is_file():
        raise ConfigError("a DRAM standard's file must exist", value=str(path))
    try:
        return parse_standard(path.read_text(encoding="utf-8"), source=str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"must be UTF-8 text ({error})", source=str(path)) from error


def parse_standard(text: str, *, source: str) -> DramStandard:
    """The standard written in TOML `text`; ConfigError names `source`, the field, the rule and the value."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"must be TOML ({error})", source=source) from error
    try:
        return _standard(data)
    except ConfigError as error:
        raise ConfigError(error.rule, value=error.value, field=error.field, source=source) from error


def _standard(data: dict[str, Any]) -> DramStandard:
    _refuse_other_keys(data, _KEYS, required=_KEYS - {"interface"}, where="")
    name = data["name"]
    if not isinstance(name, str) or not name or ":" in name:
        raise ConfigError("must be a text without ':'", value=name, field="name")
    timing = _record(Timing, data["timing"], "timing")
    rails = _tables(data["rails"], "rails")
    interface = data.get("interface")
    return DramStandard(
        name=name,
        organisation=_record(Organisation, data["organisation"], "organisation"),
        timing=timing,
        constraints=_constraints(data["constraints"], timing),
        rails=tuple(_record(Rail, rail, f"rails[{index}]") for index, rail in enumerate(rails)),
        interface=None if interface is None else _record(Interface, interface, "interface"),
    )


def _constraints(value: Any, timing: Timing) -> tuple[TimingConstraint, ...]:
    if isinstance(value, str):
        if value not in SHARED_ROWS:
            rule = f"must be {' or '.join(SHARED_ROWS)}, or rows [[constraints]]"
            raise ConfigError(rule, value=value, field="constraints")
        rows = SHARED_ROWS[value]
    else:
        rows = [_row(row, f"constraints[{index}]") for index, row in enumerate(_tables(value, "constraints"))]
    return tuple(resolve(row, timing) for row in rows)


def _row(data: dict[str, Any], where: str) -> Row:
    keys = set(Row._fields)
    _refuse_other_keys(data, keys, required=keys - {"window"}, where=where)
    if not isinstance(data["rule"], str):
        raise ConfigError("must be a text", value=data["rule"], field=f"{where}.rule")
    try:
        level = Level(data["level"])
    except ValueError:
        rule = f"must be {', '.join(Level)}"
        raise ConfigError(rule, value=data["level"], field=f"{where}.level") from None
    if not isinstance(data["latency"], str):
        _require_number(data["latency"], int, f"{where}.latency")
    window = _require_number(data.get("window", 1), int, f"{where}.window")
    return Row(
        rule=data["rule"],
        level=level,
        preceding=_commands(data["preceding"], f"{where}.preceding"),
        following=_commands(data["following"], f"{where}.following"),
        latency=str(data["latency"]),
        window=window,
    )


def _commands(names: Any, where: str) -> tuple[Command, ...]:
    if not isinstance(names, list) or not names:
        raise ConfigError("must be a list of commands", value=names, field=where)
    for name in names:
        if name not in Command.__members__:
            raise ConfigError(f"a command must be one of {', '.join(Command.__members__)}", value=name, field=where)
    return tuple(Command[name] for name in names)


def _record(kind: type[T], data: Any, where: str) -> T:
    """A dataclass from a TOML table with its fields, integers and numbers checked."""
    if not isinstance(data, dict):
        raise ConfigError("must be a table", value=data, field=where)
    required = {field.name for field in fields(kind) if field.default is MISSING}
    _refuse_other_keys(data, {field.name for field in fields(kind)}, required=required, where=where)
    for field in fields(kind):
        if field.name not in data:
            continue
        if field.type in (int, float):
            _require_number(data[field.name], field.type, f"{where}.{field.name}")
        elif not isinstance(data[field.name], str):
            raise ConfigError("must be a text", value=data[field.name], field=f"{where}.{field.name}")
    try:
        return kind(**data)
    except ConfigError as error:
        raise ConfigError(error.rule, value=error.value, field=f"{where}.{error.field}") from error


def _require_number(value: Any, kind: Any, where: str) -> Any:
    """`value` if it is a whole number (`kind` int) or a finite number (float)."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if kind is int and not is_whole:
        raise ConfigError("must be a whole number", value=value, field=where)
    if not is_whole and not (isinstance(value, float) and abs(value) < float("inf")):
        raise ConfigError("must be a number", value=value, field=where)
    return value


def _tables(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(table, dict) for table in value):
        raise ConfigError(f"must be tables [[{where}]]", value=value, field=where)
    return value


def _refuse_other_keys(data: dict[str, Any], known: set[str], *, required: set[str], where: str):
    prefix = f"{where}." if where else ""
    for key in data:
        if key not in known:
            raise ConfigError(f"a key must be one of {', '.join(sorted(known))}", value=key, field=where or None)
    for key in sorted(required - set(data)):
        raise ConfigError("must be given", field=f"{prefix}{key}")
