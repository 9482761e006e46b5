"""Where the benches build: one folder per session, so that Verilator's runtime is compiled once."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def build_root(tmp_path_factory) -> Path:
    """Parent of this session's Verilator builds."""
    return tmp_path_factory.mktemp("verilator")
