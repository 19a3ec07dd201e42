"""The cache of arrays: whole or absent, checked, bounded, and shared by processes that may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medproto.datasets.cache import FORMAT, CacheSettings, default_folder, key_of, open_cache
from tests.test_architecture import HEAVY, ROOT, loaded_after

#: Of the arrays that these tests keep: entries of 32 KiB and a head, so ten blocks or fewer on disk each.
SIDE = 64
ENTRY_BYTES = 36864


def array(seed: int) -> NDArray[np.float64]:
    """Random numbers."""
    return np.random.default_rng(seed).random((SIDE, SIDE))


def entries(folder: Path) -> list[Path]:
    """The files of all entries."""
    return [path for path in (folder / FORMAT / "entries").rglob("*") if path.is_file()]


def other(code: str, folder: Path) -> subprocess.Popen[str]:
    """Another process that runs this code with the cache of that folder open."""
    lines = [
        "from pathlib import Path",
        "import sys, time",
        "from tests.datasets.test_cache import array, key_of",
        "from medproto.datasets.cache import CacheSettings, open_cache",
        f"with open_cache(CacheSettings(folder=Path({str(folder)!r}))) as cache:",
        *(f"    {line}" for line in code.splitlines()),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_what_was_put_is_got_by_the_next_run(tmp_path: Path) -> None:
    settings, key = CacheSettings(folder=tmp_path), key_of("view", "a", 1)
    planes = {"image": array(1).astype(np.float32), "breast": np.eye(3, dtype=np.uint8), "none": np.zeros((0, 4))}
    with open_cache(settings) as cache:
        assert cache.get(key) is None
        assert cache.put(key, {"crop": [1, 2.5], "said": "é"}, planes)
    with open_cache(settings) as cache:
        got = cache.get(key)
        assert got is not None
        assert got.facts == {"crop": [1, 2.5], "said": "é"}
        assert got.arrays.keys() == planes.keys()
        for name, plane in planes.items():
            assert got.arrays[name].dtype == plane.dtype
            assert np.array_equal(got.arrays[name], plane)
        assert cache.remarks() == ()


def test_arrays_are_mapped_and_cannot_be_written_to(tmp_path: Path) -> None:
    with open_cache(CacheSettings(folder=tmp_path)) as cache:
        cache.put(key_of("a"), {}, {"x": array(0)})
        got = cache.get(key_of("a"))
    assert got is not None
    assert not got.arrays["x"].flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        got.arrays["x"][0, 0] = 1


def test_keys_differ_where_any_part_differs() -> None:
    keys = [key_of("a"), key_of("b"), key_of("a", 1), key_of("a", "1"), key_of("a", None), key_of("a", [1, 2])]
    assert len(set(keys)) == len(keys)
    assert key_of("a", {"x": 1, "y": 2}) == key_of("a", {"y": 2, "x": 1})


@pytest.mark.parametrize("place", [0, 20, 90, 300, -1])
def test_a_flipped_byte_is_found_and_the_entry_dropped(tmp_path: Path, place: int) -> None:
    with open_cache(CacheSettings(folder=tmp_path)) as cache:
        cache.put(key_of("a"), {"x": 1}, {"x": array(0)})
        (path,) = entries(tmp_path)
        content = bytearray(path.read_bytes())
        content[place] ^= 4
        path.write_bytes(content)
        assert cache.get(key_of("a")) is None
        assert entries(tmp_path) == []
        assert cache.remarks() == ("cache: entries that were damaged, dropped and made anew: 1",)


@pytest.mark.parametrize("size", [0, 50, 5000])
def test_a_cut_entry_is_found_and_dropped(tmp_path: Path, size: int) -> None:
    with open_cache(CacheSettings(folder=tmp_path)) as cache:
        cache.put(key_of("a"), {}, {"x": array(0)})
        os.truncate(entries(tmp_path)[0], size)
        assert cache.get(key_of("a")) is None
        assert cache.put(key_of("a"), {}, {"x": array(0)})
        assert cache.get(key_of("a")) is not None


def test_an_entry_under_anothers_key_is_not_taken_for_it(tmp_path: Path) -> None:
    with open_cache(CacheSettings(folder=tmp_path)) as cache:
        cache.put(key_of("a"), {}, {"x": array(0)})
        (path,) = entries(tmp_path)
        place = path.parent.parent / key_of("b")[:2] / key_of("b")
        place.parent.mkdir(exist_ok=True)
        path.rename(place)
        assert cache.get(key_of("b")) is None


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    settings = CacheSettings(folder=tmp_path, cache_bytes=10 * ENTRY_BYTES)
    keys = [key_of("a", i) for i in range(14)]
    with open_cache(settings) as cache:
        assert all(cache.put(key, {}, {"x": array(i)}) for i, key in enumerate(keys[:10]))
    with open_cache(settings) as cache:
        assert cache.get(keys[0]) is not None  # the oldest, but used now
    with open_cache(settings) as cache:
        assert cache.put(keys[10], {}, {"x": array(10)})
        assert cache.get(keys[1]) is None
        assert all(cache.get(key) is not None for key in (keys[0], *keys[3:11]))
        assert cache.remarks() == ()


def test_what_the_run_has_used_is_never_thrown_out(tmp_path: Path) -> None:
    settings = CacheSettings(folder=tmp_path, cache_bytes=10 * ENTRY_BYTES)
    keys = [key_of("a", i) for i in range(30)]
    with open_cache(settings) as cache:
        kept = [cache.put(key, {}, {"x": array(i)}) for i, key in enumerate(keys)]
        assert kept == [True] * 10 + [False] * 20
        assert all(cache.get(key) is not None for key in keys[:10])
        assert cache.remarks() == (
            f"cache: entries not kept, since those in use fill the {10 * ENTRY_BYTES} bytes allowed: 20",
        )
    with open_cache(settings) as cache:  # that run has ended
        assert cache.put(keys[20], {}, {"x": array(20)})


def test_what_another_process_has_used_stays_until_it_is_killed(tmp_path: Path) -> None:
    settings = CacheSettings(folder=tmp_path, cache_bytes=4 * ENTRY_BYTES)
    code = (
        "for i in range(4): cache.put(key_of('a', i), {}, {'x': array(i)})\nprint('ready', flush=True); time.sleep(60)"
    )
    with other(code, tmp_path) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        with open_cache(settings) as cache:
            assert not cache.put(key_of("b"), {}, {"x": array(9)})
            assert all(cache.get(key_of("a", i)) is not None for i in range(4))
        process.kill()
        process.wait()
        with open_cache(settings) as cache:
            assert cache.put(key_of("b"), {}, {"x": array(9)})
            assert sum(cache.get(key_of("a", i)) is not None for i in range(4)) == 2  # and a little more room
    assert list((tmp_path / FORMAT / "runs").iterdir()) == []


def test_bytes_on_disk_stay_below_the_bound(tmp_path: Path) -> None:
    bound = 20 * ENTRY_BYTES
    for run in range(4):
        with open_cache(CacheSettings(folder=tmp_path, cache_bytes=bound)) as cache:
            for i in range(12):
                cache.put(key_of(str(run), i), {}, {"x": array(i)})
            assert cache.get(key_of(str(run), 11)) is not None
        assert sum(path.stat().st_blocks * 512 for path in entries(tmp_path)) <= bound


def test_a_writer_killed_at_any_moment_leaves_no_half_entry(tmp_path: Path) -> None:
    code = """
i = 0
while True:
    cache.put(key_of('a', i % 40), {'n': i % 40}, {'x': array(i % 40)})
    i += 1
    if i == 3: print('go', flush=True)
"""
    for pause in (0.02, 0.05, 0.011, 0.033):
        with other(code, tmp_path) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert len(entries(tmp_path)) > 1
    with open_cache(CacheSettings(folder=tmp_path, cache_bytes=ENTRY_BYTES * 40)) as cache:
        found = {i: cache.get(key_of("a", i)) for i in range(40)}
        for i, entry in found.items():
            assert entry is None or (entry.facts == {"n": i} and np.array_equal(entry.arrays["x"], array(i)))
        assert cache.remarks() == ()
        cache.put(key_of("b"), {})  # sizes are added up, and what the dead left is swept
    assert list((tmp_path / FORMAT / "writing").iterdir()) == []


def test_two_processes_write_and_read_the_same_entries(tmp_path: Path) -> None:
    code = """
for turn in range(15):
    for i in range(8):
        got = cache.get(key_of('a', i))
        assert got is None or (got.arrays['x'] == array(i)).all()
        cache.put(key_of('a', i), {}, {'x': array(i)})
print(cache.remarks())
"""
    with other(code, tmp_path) as one, other(code, tmp_path) as two:
        assert [process.communicate()[0] for process in (one, two)] == ["()\n", "()\n"]
        assert (one.returncode, two.returncode) == (0, 0)
    assert len(entries(tmp_path)) == 8


def test_a_folder_that_cannot_be_made_stops_nothing_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with open_cache(CacheSettings(folder=tmp_path / "file")) as cache:
        assert not cache.put(key_of("a"), {}, {"x": array(0)})
        assert cache.get(key_of("a")) is None
        assert cache.remarks() == ("cache: cannot be used to the full (not a directory); the run went on without",)


def test_a_settled_file_is_not_hashed_again(tmp_path: Path) -> None:
    file = tmp_path / "Doe^Jane.dcm"
    file.write_bytes(b"one")
    os.utime(file, (1e9, 1e9))
    with open_cache(CacheSettings(folder=tmp_path / "cache")) as cache:
        first = cache.file_sha256(file)
        assert len(entries(tmp_path / "cache")) == 0  # its time of change is too young to be believed
        time.sleep(2.1)
        assert cache.file_sha256(file) == first
        assert len(entries(tmp_path / "cache")) == 1
        content = entries(tmp_path / "cache")[0].read_bytes()
        assert b"Doe" not in content
        assert str(tmp_path).encode() not in content
        # rewritten at the same size, its modification time set back: its time of change betrays it
        file.write_bytes(b"two")
        os.utime(file, (1e9, 1e9))
        assert cache.file_sha256(file) != first


def test_only_the_owner_may_enter(tmp_path: Path) -> None:
    with open_cache(CacheSettings(folder=tmp_path / "cache")) as cache:
        cache.put(key_of("a"), {})
    assert (tmp_path / "cache" / FORMAT).stat().st_mode & 0o777 == 0o700
    assert entries(tmp_path / "cache")[0].stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "cache" / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_the_folder_is_named_by_the_environment_or_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPROTO_CACHE", "/some/where")
    assert default_folder() == Path("/some/where")
    monkeypatch.delenv("MEDPROTO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/there")
    assert default_folder() == Path("/there/medproto")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "medproto"


def test_the_cache_loads_without_torch() -> None:
    assert loaded_after("import medproto.datasets.cache") & HEAVY == set()
