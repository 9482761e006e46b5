"""Fixtures that several folders of tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def rtl_build_dir() -> Path:
    """Where the RTL's simulators are built, kept between runs: an unchanged design is not built again."""
    return Path(__file__).parents[1] / "build" / "rtl"
