"""Tool discovery and runs: where programs are found, what they inherit, what a failure says."""

import os
import stat
import sys
from pathlib import Path

import pytest

from s2nn.hw.spec.atomic import write_text_atomic
from s2nn.hw.spec.errors import ToolError
from s2nn.tools.environment import find_tool, package_versions, run_tool, tool_environment


def program(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_tool_beside_this_python_wins_over_path(tmp_path, monkeypatch):
    beside, on_path = tmp_path / "bin", tmp_path / "elsewhere"
    beside.mkdir()
    on_path.mkdir()
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setenv("PATH", str(on_path))
    other = program(on_path, "sometool", "exit 0")
    assert find_tool("sometool") == other
    own = program(beside, "sometool", "exit 0")
    assert find_tool("sometool") == own


def test_a_missing_tool_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"no-such-tool: must be installed beside .* or on PATH"):
        find_tool("no-such-tool")


def test_tools_do_not_inherit_a_surrounding_make(tmp_path, monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", " -j4 --jobserver-auth=3,4 -- ARGS=x")
    monkeypatch.setenv("MAKELEVEL", "1")
    assert not {"MAKEFLAGS", "MAKELEVEL"} & set(tool_environment())
    program(tmp_path, "show", 'echo "flags=[$MAKEFLAGS]"; echo "to stderr" >&2; exit 3')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    run = run_tool("show", [], cwd=tmp_path, log=tmp_path / "show.log", timeout_s=30)
    assert run.returncode == 3
    assert run.tail() == "flags=[]\nto stderr" and run.tail(1) == "to stderr"


def test_versions_name_what_is_absent():
    versions = package_versions(["numpy", "no-such-package"])
    assert set(versions) == {"python", "numpy", "no-such-package"}
    assert versions["no-such-package"] == "not installed"


def test_an_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "sub" / "file.json"
    write_text_atomic(path, "old")
    assert path.read_text() == "old"
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) & 0o400

    def fail(*_arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text_atomic(path, "new")
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]
