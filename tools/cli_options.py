"""Options that several commands share, and their defaults."""

from pathlib import Path
from typing import Annotated

import typer

BUILD = Path("build")
DEFAULT_CONFIG = "ulx3s"

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output instead of tables.")]
Config = Annotated[str, typer.Option("--config", help="Accelerator preset, see `s2nn info`.")]
CurrentBits = Annotated[int, typer.Option(help="Bits of a current that a membrane shortcut keeps, 0 builds none; "
                                               "MS-ResNet needs them.")]
Data = Annotated[Path | None, typer.Option("--data", help="Data folder; also the variable S2NN_DATA.")]
Build = Annotated[Path, typer.Option("--build", help="Folder for Verilog and simulators; reused by later calls.")]
