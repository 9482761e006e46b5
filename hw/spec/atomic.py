"""Files that are either the old ones or the new ones, never a half: written beside the target, then renamed onto it."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path`, creating its folder; an interrupted write leaves what was there before."""
    write_bytes_atomic(path, text.encode())


def write_json_atomic(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path`, creating its folder; an interrupted write leaves what was there."""
    write_text_atomic(path, json.dumps(value, indent=2) + "\n")


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path`, creating its folder; an interrupted write leaves what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())
        # mkstemp makes the file private; a result is as readable as any other new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
