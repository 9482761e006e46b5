"""Regular expressions over layer names, as recipes and `compress_` take them: an expression must match a whole name."""

import re
from collections.abc import Iterable, Mapping, Sequence

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.codebook import ETAS


def matches(pattern: str, name: str) -> bool:
    """Whether the expression matches the whole name."""
    return re.fullmatch(pattern, name) is not None


def check_patterns(patterns: Iterable[str], *, field: str) -> None:
    """Refuse what is no regular expression."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"must be a regular expression ({error})", value=pattern, field=field) from error


def check_all_match(patterns: Iterable[str], names: Sequence[str], *, field: str) -> None:
    """Refuse an expression that matches none of the names: most likely it is mistyped."""
    for pattern in patterns:
        if not any(matches(pattern, name) for name in names):
            raise ConfigError(f"must match one of {', '.join(names) or 'no layers'}", value=pattern, field=field)


def check_etas(eta: int | None, etas: Mapping[str, int | None]) -> None:
    """Refuse an eta that no codebook has, and keys of `etas` that are no expressions."""
    check_patterns(etas, field="etas")
    for field, value in (("eta", eta), *((f"etas.{pattern}", value) for pattern, value in etas.items())):
        if value is not None and value not in ETAS:
            raise ConfigError(f"must be None (1-bit) or one of {', '.join(map(str, ETAS))}", value=value, field=field)


def eta_of(name: str, default: int | None, etas: Mapping[str, int | None]) -> int | None:
    """eta of the layer of that name; refuses two expressions for one layer, since their order should not matter."""
    found = [pattern for pattern in etas if matches(pattern, name)]
    if len(found) > 1:
        raise ConfigError(f"at most one expression may match layer {name}", value=found, field="etas")
    return etas[found[0]] if found else default
