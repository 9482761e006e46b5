"""C++ beside Python: compiled on first use into a library, which is kept in the user's cache and called by ctypes.

A library's file name holds a hash of its sources, the compiler and the flags, so a change of any builds it anew.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from s2nn.hw.spec.atomic import write_bytes_atomic
from s2nn.hw.spec.errors import ToolError

_FLAGS = ("-std=c++17", "-O3", "-shared", "-fPIC", "-Wall", "-Wextra")
_COMPILERS = ("c++", "g++", "clang++")


def core_files(package: str) -> list[Path]:
    """Headers and translation units in the folder `core` of a package."""
    core = Path(str(files(package))) / "core"
    return sorted(path for path in core.iterdir() if path.suffix in (".cpp", ".h"))


def build_library(name: str, sources: Sequence[Path], *, title: str, without: str = "") -> Path:
    """Compile C++ unless that was done before; returns the library's path. ToolError without a compiler.

    Parameters
    ----------
    name : of the library's file. title : for messages, as "the DRAM core".
    sources : translation units (.cpp) and every header of ours that they include.
    without : what a user without a compiler can do instead, for the message.

    The environment variable CXX names the compiler, XDG_CACHE_HOME the cache.
    """
    compiler = _compiler(title, without)
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
    texts = [part for source in sources for part in (source.name.encode(), source.read_bytes())]
    digest = hashlib.sha256(b"\0".join([*texts, compiler.encode(), version, " ".join(_FLAGS).encode()]))
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s2nn"
    library = folder / f"{name}-{digest.hexdigest()[:16]}.so"
    if not library.is_file():
        write_bytes_atomic(library, _compile(title, compiler, sources))
    return library


def declare(library: ctypes.CDLL, prefix: str, signatures: Mapping[str, tuple[Any, Sequence[Any]]]) -> ctypes.CDLL:
    """The library, with the (result, arguments) types of the functions prefix + name.

    AttributeError for a function that it lacks.
    """
    for name, (result, arguments) in signatures.items():
        function = getattr(library, prefix + name)
        function.restype, function.argtypes = result, arguments
    return library


def _compiler(title: str, without: str) -> str:
    names = [name for name in (os.environ.get("CXX"), *_COMPILERS) if name]
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise ToolError(f"{title} needs a C++ compiler (set CXX){without}; tried {', '.join(names)}")
    return found


def _compile(title: str, compiler: str, sources: Sequence[Path]) -> bytes:
    """The library's bytes."""
    folders = dict.fromkeys(source.parent for source in sources)
    units = [source for source in sources if source.suffix == ".cpp"]
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch) / "library.so"
        command = [compiler, *_FLAGS, *(f"-I{folder}" for folder in folders), *units, "-o", library]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise ToolError(f"{title} must compile:\n{result.stderr}", source=compiler)
        return library.read_bytes()
