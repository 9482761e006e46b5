"""Options that several commands share, and their defaults."""

from pathlib import Path
from typing import Annotated

import typer

from s2nn.hw.spec.config import AcceleratorConfig, preset
from s2nn.hw.spec.errors import ConfigError

BUILD = Path("build")
DEFAULT_CONFIG = "ulx3s"

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output instead of tables.")]
Config = Annotated[str, typer.Option("--config", help="Accelerator preset, see `s2nn info`.")]
Changes = Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help=(
    "A field of the preset changed, again for more: spike_words=8192, or current_bits=8, which MS-ResNet needs."))]
Data = Annotated[Path | None, typer.Option("--data", help="Data folder; also the variable S2NN_DATA.")]
Build = Annotated[Path, typer.Option("--build", help="Folder for Verilog and simulators; reused by later calls.")]


def accelerator(config: str, changes: list[str] | None) -> AcceleratorConfig:
    """The configuration that `--config` and `--set` ask for. `ConfigError` for anything else than FIELD=VALUE."""
    values: dict[str, int] = {}
    for change in changes or []:
        field, equals, value = change.partition("=")
        if not equals or not value.isdecimal():
            raise ConfigError("must be FIELD=VALUE, a whole number", value=change, field="--set")
        if field in values:
            raise ConfigError("must set each field once", value=change, field="--set")
        values[field] = int(value)
    return preset(config, values, field="--set")
