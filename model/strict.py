"""Dataclasses from YAML's mappings, strictly: an unknown key is refused with the nearest that exists, and a value of
another type with the one that is declared."""

import difflib
from dataclasses import fields
from typing import Any, get_type_hints

from s2nn.hw.spec.errors import ConfigError


def typed(value: Any, expected: Any, key: str, source: object) -> Any:
    """The value if it has the declared type; an int is accepted as a float, a bool only as a bool, a list as a tuple.

    Members of a list and values of a mapping are held to their type as well, in a plain `dict` they may be anything;
    keys must be strings.
    """
    generic = getattr(expected, "__origin__", None)  # of tuple[int, int, int] and dict[str, int]
    options = (generic,) if generic else getattr(expected, "__args__", (expected,))
    if value is None and type(None) in options:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and float in options and int not in options:
        return float(value)
    accepted = tuple(option for option in options if option is not type(None))
    if isinstance(value, list) and tuple in accepted:
        return tuple(typed(member, expected.__args__[0], key, source) for member in value)
    if not isinstance(value, accepted) or (isinstance(value, bool) and not {bool, object} & {*accepted}):
        names = " or ".join("null" if option is type(None) else option.__name__ for option in options)
        raise ConfigError(f"must be {names}", value=value, field=key, source=source)
    if isinstance(value, dict):
        inner = expected.__args__[1] if generic else object
        return {typed(k, str, key, source): typed(v, inner, f"{key}.{k}", source) for k, v in value.items()}
    return value


def build(cls: type, values: Any, *, prefix: str, source: object) -> Any:
    """A (nested) dataclass from a mapping, with strict keys."""
    if not isinstance(values, dict):
        raise ConfigError("must be a mapping of keys to values", value=values, field=prefix.rstrip(".") or None,
                          source=source)
    hints = get_type_hints(cls)
    known = [f.name for f in fields(cls)]
    arguments = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise ConfigError(f'unknown key; the nearest valid one is "{prefix}{near}"', value=name, source=source)
        nested = hints[key]
        if hasattr(nested, "__dataclass_fields__"):
            arguments[key] = build(nested, value, prefix=f"{name}.", source=source)
        else:
            arguments[key] = typed(value, nested, name, source)
    try:
        return cls(**arguments)
    except ConfigError as error:
        if error.source is not None:
            raise
        where = f"{prefix}{error.field}" if error.field else prefix.rstrip(".") or None
        raise ConfigError(error.rule, value=error.value, field=where, source=source) from error
