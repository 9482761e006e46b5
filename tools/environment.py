"""Where external programs are found and how they are started: alike under a shell, make and pytest.

The programs come as wheels beside this Python; a copy elsewhere on PATH is second choice, so that no activated
environment is needed. Versions go into every result: a figure without them cannot be compared.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2nn.hw.spec.errors import ToolError

# A make that calls us exports its job server and its variables; a tool that starts a make of its own would obey them.
_MAKE_VARIABLES = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS")


@dataclass(frozen=True, kw_only=True)
class ToolRun:
    """What one program run left behind.

    Parameters
    ----------
    command : the program's name and its arguments.
    returncode : exit status.
    seconds : wall time.
    log : file with everything it printed.
    """

    command: tuple[str, ...]
    returncode: int
    seconds: float
    log: Path

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def find_tool(name: str) -> Path:
    """The program of that name: beside this Python first, then on PATH.

    Raises
    ------
    ToolError
        If it is in neither place.
    """
    found = shutil.which(name, path=str(_beside())) or shutil.which(name)
    if found is None:
        raise ToolError(f"must be installed beside {sys.executable} or on PATH (`make setup` installs it)", source=name)
    return Path(found)


def tool_environment() -> dict[str, str]:
    """This process's environment without the variables of a surrounding make; programs beside this Python come first on
    PATH, since tools start each other."""
    path = os.pathsep.join([str(_beside()), *filter(None, [os.environ.get("PATH")])])
    return {key: value for key, value in os.environ.items() if key not in _MAKE_VARIABLES} | {"PATH": path}


def _beside() -> Path:
    return Path(sys.executable).parent  # not resolved: in a virtual environment this is its bin folder


def run_tool(name: str, arguments: Sequence[str], *, cwd: Path, log: Path, timeout_s: float) -> ToolRun:
    """Run a program to its end with its output in a log file; a non-zero exit is the caller's to judge.

    Raises
    ------
    ToolError
        If the program is missing or runs longer than `timeout_s`.
    """
    command = [str(find_tool(name)), *arguments]
    started = time.monotonic()
    try:
        with log.open("wb") as sink:
            done = subprocess.run(command, cwd=cwd, env=tool_environment(), stdin=subprocess.DEVNULL, stdout=sink,
                                  stderr=subprocess.STDOUT, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"must end within {timeout_s:g} s (its output so far is in {log})", source=name) from error
    return ToolRun(command=(name, *arguments), returncode=done.returncode, seconds=time.monotonic() - started, log=log)


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions of packages, with Python's own; a package that is absent is "not installed"."""
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
