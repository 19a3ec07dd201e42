"""pydicom's warnings repeat values: they are kept back, in the thread that reads and in no other."""

from __future__ import annotations

import logging
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.misc import warn_and_log

from medproto.ingest.header import quiet
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import PATIENT_ID, STUDY_UID, write


def test_a_hushed_block_keeps_warning_and_log_record_back_and_hands_them_over(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as seen, quiet() as heard:
        warnings.simplefilter("always")
        with quiet() as inner:
            warn_and_log(f"got {PATIENT_ID}")
    assert inner == [f"got {PATIENT_ID}"]
    assert heard == []
    assert seen == []
    assert caplog.records == []


def test_outside_a_hushed_block_pydicom_warns_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    with quiet():
        pass
    with pytest.warns(UserWarning, match="as ever"):
        warn_and_log("as ever")
    assert [record.getMessage() for record in caplog.records] == ["as ever"]


def test_one_thread_hushing_leaves_the_other_alone(caplog: pytest.LogCaptureFixture) -> None:
    inside, done = threading.Event(), threading.Event()

    def hush() -> None:
        with quiet():
            inside.set()
            assert done.wait(10)

    thread = threading.Thread(target=hush)
    thread.start()
    assert inside.wait(10)
    with pytest.warns(UserWarning, match="spoken"):
        warn_and_log("spoken")
    done.set()
    thread.join()
    assert [record.getMessage() for record in caplog.records] == ["spoken"]


def test_many_threads_reading_malformed_headers_let_nothing_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "a.dcm").read_bytes()
    path = tmp_path / "b.dcm"
    # a UID that is none makes pydicom warn, with the value in the message
    path.write_bytes(data.replace(STUDY_UID.encode(), b"PLANTED".ljust(len(STUDY_UID), b"!")))
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: read_mammogram(path).pixels_sha256, range(40)))
    assert len(digests) == 1
    assert logging.getLogger("pydicom").disabled is False
    assert [one for one in warnings.filters if one not in before and one[2].__name__ != "_Hushed"] == []
    assert caplog.records == []
    assert "PLANTED" not in "".join(capfd.readouterr())
