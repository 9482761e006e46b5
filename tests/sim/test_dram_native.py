"""The C++ core's library: built once per source and compiler, and a plain word where there is no compiler."""

import os
import stat

import pytest

from s2nn.hw.sim import cpp
from s2nn.hw.sim.dram import DramModel, EngineName, native
from s2nn.hw.spec.errors import ToolError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path / "cache"


def test_the_library_is_built_once(cache, monkeypatch):
    first = native.build_library()
    assert first.parent == cache / "s2nn"
    monkeypatch.setattr(cpp, "_compile", lambda *given: pytest.fail("compiled again"))
    assert native.build_library() == first


def test_other_sources_are_another_library(monkeypatch):
    monkeypatch.setattr(cpp, "_compile", lambda *given: b"library")
    first = native.build_library()
    monkeypatch.setattr(cpp, "_FLAGS", (*cpp._FLAGS, "-g"))
    assert native.build_library() != first


def test_without_a_compiler_the_twin_remains(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    native._library.cache_clear()
    with pytest.raises(ToolError, match=r"needs a C\+\+ compiler .*, the Python twin .* none; tried c\+\+, g\+\+"):
        DramModel()
    assert DramModel(engine=EngineName.TWIN).submit(0, 0, False) == 0


def test_a_compiler_that_fails_is_quoted(tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such dialect >&2\nexit 1\n")
    os.chmod(broken, broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(ToolError, match=r"broken: the DRAM core must compile:\nno such dialect"):
        native.build_library()
