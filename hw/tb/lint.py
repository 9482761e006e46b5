"""`verilator --lint-only` on a written design, with the waivers beside the RTL."""

import os
import subprocess
from pathlib import Path

from s2nn.hw.spec.errors import ToolError
from s2nn.hw.tb.simulator import verilator_root


def lint(verilog: Path, *, top: str, waivers: Path) -> None:
    """Raises ToolError with Verilator's words if the design has a warning that no waiver covers."""
    root = verilator_root()
    command = [str(root / "bin" / "verilator"), "--lint-only", "-Wall", "--top-module", top, str(waivers), str(verilog)]
    result = subprocess.run(command, env={**os.environ, "VERILATOR_ROOT": str(root)}, capture_output=True, text=True,
                            check=False)
    if result.returncode or "%Warning" in result.stderr:
        raise ToolError(f"the design must lint clean:\n{result.stderr.strip()[-4000:]}", source=str(verilog))
