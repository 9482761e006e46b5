"""YAML files that come with the package, found by name, and a user's own, found by path."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from s2nn.hw.spec.errors import ConfigError

SUFFIX = ".yaml"


def shipped_names(folder: str) -> list[str]:
    """Names of the files in a folder of this package."""
    entries = (resources.files("s2nn.model") / folder).iterdir()
    return sorted(entry.name.removesuffix(SUFFIX) for entry in entries if entry.name.endswith(SUFFIX))


def read_yaml(folder: str, name_or_path: str | Path, *, kind: str) -> Any:
    """What a file holds, {} if nothing: yours by its path, or the folder's by its name; `kind` is for messages."""
    path = Path(name_or_path)
    if path.is_file():
        text = path.read_text()
    elif str(name_or_path) in shipped_names(folder):
        text = (resources.files("s2nn.model") / folder / f"{name_or_path}{SUFFIX}").read_text()
    else:
        known = ", ".join(shipped_names(folder))
        raise ConfigError(f"{kind} must be a file or one of {known}", value=str(name_or_path))
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"must be YAML ({error})", source=name_or_path) from error
    return {} if values is None else values
