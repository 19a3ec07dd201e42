"""Untrusted files are read in a process with limits: what breaks it is a finding, and the next file is read."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from medproto.config import IngestSettings
from medproto.errors import MedprotoError, RefusedImage, UnreadableImage
from medproto.ingest import sandbox as module
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import read_mammogram
from medproto.ingest.sandbox import Sandbox
from tests.ingest.factory import Recipe, write, write_dicom

#: Process ids of the workers that a test has running.
Workers = Callable[[], set[int]]

QUICK = IngestSettings(file_seconds=2.0)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose worker several tests share."""
    with Sandbox() as shared:
        yield shared


def children() -> set[int]:
    """Process ids of this process's children, zombies included."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text(encoding="ascii").split()}


@pytest.fixture
def workers() -> Workers:
    """Process ids of the children that this test has started, as long as they are there."""
    before = children()
    return lambda: children() - before


def digest(sandbox: Sandbox, path: Path) -> str:
    """Pixels of a file, as a function that can be sent to another process."""
    return sandbox.read(path).pixels_sha256


def test_a_mammogram_comes_back_as_it_is_read_in_process(tmp_path: Path, sandbox: Sandbox) -> None:
    path = write(tmp_path / "a.dcm", Laterality="L")
    here, there = read_mammogram(path), sandbox.read(path)
    for field in dataclasses.fields(Mammogram):
        expected, got = getattr(here, field.name), getattr(there, field.name)
        if isinstance(expected, np.ndarray):
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)
        else:
            assert got == expected
            assert type(got) is type(expected)


def test_the_values_before_voi_come_back_where_they_are_asked_for(tmp_path: Path, sandbox: Sandbox) -> None:
    path = write(tmp_path / "a.dcm")
    here = read_mammogram(path, full_depth=True)
    with Sandbox(full_depth=True) as deep:
        there = deep.read(path)
    assert there.greys == here.greys
    np.testing.assert_array_equal(there.samples, here.samples)
    assert sandbox.read(path).samples is None


def test_refusals_come_back_with_their_findings(tmp_path: Path, sandbox: Sandbox) -> None:
    with pytest.raises(RefusedImage, match="modality: got CT") as err:
        sandbox.read(write(tmp_path / "a.dcm", Modality="CT", BurnedInAnnotation="YES"))
    assert [one.code for one in err.value.findings] == ["NOT_MAMMOGRAM", "BURNED_IN_TEXT"]
    (tmp_path / "b.dcm").write_bytes(b"GIF89a" * 100)
    with pytest.raises(UnreadableImage, match="not DICOM") as unreadable:
        sandbox.read(tmp_path / "b.dcm")
    assert unreadable.value.code == "NOT_DICOM"


def test_the_workers_settings_are_the_sandboxs(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", Modality="CR")
    with Sandbox(IngestSettings(admit_modalities=("CR",))) as admitting:
        assert "MODALITY_ADMITTED" in {one.code for one in admitting.read(path).findings}


def test_the_worker_loads_no_torch() -> None:
    probe = (
        "import sys, medproto.ingest.worker as w; sys.exit('torch' in sys.modules or 'medproto.model' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path, workers: Workers) -> None:
    path = write(tmp_path / "a.dcm")
    with Sandbox(QUICK) as sandbox:
        expected = sandbox.read(path).pixels_sha256
        (worker,) = workers()
        os.kill(worker, signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(UnreadableImage, match="longer than 2 s") as err:
            sandbox.read(path)
        assert err.value.code == "TIMEOUT"
        assert time.monotonic() - start < 4.0
        assert worker not in children()
        assert sandbox.read(path).pixels_sha256 == expected


@pytest.mark.parametrize("end", [signal.SIGSEGV, signal.SIGKILL])
def test_a_worker_that_crashes_is_one_files_finding(tmp_path: Path, end: signal.Signals, workers: Workers) -> None:
    path = write(tmp_path / "a.dcm")
    with Sandbox() as sandbox, ThreadPoolExecutor(1) as thread:
        expected = sandbox.read(path).pixels_sha256
        (worker,) = workers()
        os.kill(worker, signal.SIGSTOP)
        reading = thread.submit(sandbox.read, path)
        time.sleep(0.2)
        os.kill(worker, end)
        os.kill(worker, signal.SIGCONT)
        with pytest.raises(UnreadableImage, match=f"signal {end.name}") as err:
            reading.result()
        assert err.value.code == "WORKER_CRASHED"
        assert sandbox.read(path).pixels_sha256 == expected


def test_a_worker_that_died_between_two_files_costs_neither(tmp_path: Path, workers: Workers) -> None:
    path = write(tmp_path / "a.dcm")
    with Sandbox() as sandbox:
        expected = sandbox.read(path).pixels_sha256
        (worker,) = workers()
        os.kill(worker, signal.SIGKILL)
        os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
        assert sandbox.read(path).pixels_sha256 == expected


def test_a_file_that_needs_more_memory_than_allowed_is_refused(tmp_path: Path) -> None:
    large = write_dicom(tmp_path / "a.dcm", Recipe(values=np.zeros((5000, 5000), np.uint16)))
    with Sandbox(IngestSettings(worker_bytes=64 * 1024**2)) as sandbox:
        with pytest.raises(UnreadableImage, match="more memory") as err:
            sandbox.read(large)
        assert err.value.code == "OUT_OF_MEMORY"
        assert sandbox.read(write(tmp_path / "b.dcm")).rows == 160


def test_the_worker_is_gone_after_its_sandbox(tmp_path: Path, workers: Workers) -> None:
    with Sandbox() as sandbox:
        sandbox.read(write(tmp_path / "a.dcm"))
        assert len(workers()) == 1
    assert workers() == set()
    forgotten = Sandbox()
    forgotten.read(tmp_path / "a.dcm")
    assert len(workers()) == 1
    del forgotten
    assert workers() == set()


def test_the_worker_is_gone_after_a_parent_that_was_killed(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm")
    program = (
        "import sys, pathlib; from medproto.ingest.sandbox import Sandbox; s = Sandbox(); "
        "s.read(pathlib.Path(sys.argv[1])); print(s._worker()._process.pid, flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "a.dcm")], **pipes) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        parent.kill()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its parent")


def test_threads_take_turns(tmp_path: Path, sandbox: Sandbox) -> None:
    paths = [write(tmp_path / f"{place}.dcm", WindowCenter=str(1000 + 100 * place)) for place in range(8)]
    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda path: digest(sandbox, path), paths))
    assert got == [read_mammogram(path).pixels_sha256 for path in paths]
    assert len(set(got)) == len(paths)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_other_processes_start_their_own_worker(tmp_path: Path, sandbox: Sandbox, start: str) -> None:
    path = write(tmp_path / "a.dcm")
    expected = sandbox.read(path).pixels_sha256
    with ProcessPoolExecutor(2, mp_context=get_context(start)) as pool:
        assert list(pool.map(digest, [sandbox] * 4, [path] * 4)) == [expected] * 4
    assert sandbox.read(path).pixels_sha256 == expected


def test_the_worker_sees_no_secret_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workers: Workers
) -> None:
    monkeypatch.setenv("MEDPROTO_PLANTED_KEY", "secret")
    with Sandbox() as sandbox:
        sandbox.read(write(tmp_path / "a.dcm"))
        (worker,) = workers()
        assert b"PLANTED" not in Path(f"/proc/{worker}/environ").read_bytes()


def test_the_worker_can_write_no_file_and_leaves_no_core(tmp_path: Path, workers: Workers) -> None:
    with Sandbox() as sandbox:
        sandbox.read(write(tmp_path / "a.dcm"))
        (worker,) = workers()
        limits = Path(f"/proc/{worker}/limits").read_text(encoding="ascii").splitlines()
    for name in ("Max file size", "Max core file size"):
        assert next(line for line in limits if line.startswith(name)).split()[-3:-1] == ["0", "0"]


FACTS = {"laterality": None, "view": None, "spacing_mm": None, "voi": "", "inverted": False, "decoder": ""}
LIES = {
    "no answer": b"",
    "a length without end": b"\xff\xff\xff\xff",
    "not JSON": b"\x00\x00\x00\x04{{{{",
    "a pickle": b"\x00\x00\x00\x0fcos\nsystem\n(S''",
}


def answering(tmp_path: Path, said: bytes) -> tuple[str, ...]:
    """A worker that greets as it should, then says this, whatever is asked."""
    script = tmp_path / "liar.py"
    script.write_text(
        "import sys\nsys.stdin.buffer.readline()\nsys.stdout.buffer.write(b'ready\\n')\nsys.stdout.flush()\n"
        f"sys.stdin.buffer.readline()\nsys.stdout.buffer.write({said!r})\n",
        encoding="utf-8",
    )
    return (str(script),)


def framed(**reply: object) -> bytes:
    """A reply as it is framed."""
    head = json.dumps(reply).encode("ascii")
    return len(head).to_bytes(4, "big") + head


LIES |= {
    "another outcome": framed(outcome="run this"),
    "a mammogram of no size": framed(outcome="mammogram", facts="{}"),
    "a mammogram of a hostile size": framed(outcome="mammogram", facts="{}", rows=1 << 20, columns=1 << 20),
    "facts that are none": framed(outcome="mammogram", facts='{"view": 1}', rows=1, columns=1) + bytes(5),
    "values out of range": framed(outcome="mammogram", facts="{}", rows=1, columns=1) + b"\0\0\x80\x7f\0",
    "no number": framed(outcome="mammogram", facts="{}", rows=1, columns=1) + b"\0\0\xc0\x7f\0",
    "a refusal without reason": framed(outcome="refused"),
    "an error without reason": framed(outcome="unreadable"),
}


@pytest.mark.parametrize("said", LIES.values(), ids=LIES.keys())
def test_what_a_taken_over_worker_says_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(module, "WORKER", answering(tmp_path, said))
    with Sandbox(QUICK) as sandbox, pytest.raises(UnreadableImage, match="without an answer") as err:
        sandbox.read(tmp_path / "a.dcm")
    assert err.value.code == "WORKER_CRASHED"


def test_a_worker_that_does_not_start_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORKER", ("-c", "import sys; sys.exit(3)"))
    with Sandbox() as sandbox, pytest.raises(MedprotoError, match="did not start: got exit status 3"):
        sandbox.read(tmp_path / "a.dcm")
