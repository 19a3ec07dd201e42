"""What all tests share: one thread in each process, and where the shared real files are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# The suite runs in two processes: more threads in each only wait for one another. It counts before torch is imported.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the cache of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPROTO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published archives (`mini-mias/`, `dicom/` ...); skips with the reason where it is not there."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    given = Path(os.environ.get("MEDPROTO_SHARED", beside))
    data = given / "data" if (given / "data").is_dir() else given
    if not (data / "mini-mias").is_dir():
        pytest.skip(
            f"the shared data are not here: set MEDPROTO_SHARED to their folder, or put them at {beside / 'data'}"
        )
    return data


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how far a test came that works as long as it is given, such as the slice of mutated files."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
