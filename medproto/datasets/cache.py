"""Arrays kept on disk under a digest of what they were made from: memory-mapped, checked, bounded, shared by processes.

What holds, whoever else reads or writes the same folder:

1. An entry is whole or absent. It is written beside, synced and renamed into its place; what a killed writer left is
   never opened as an entry, and is swept.
2. An entry that is given out is what was put under that key: the SHA-256 at its head is checked over all that follows
   when it is mapped. A damaged one is dropped and told in `remarks`, so that it is made anew.
3. The folder stays below `cache_bytes`, and at most a twentieth above it for each writer at work. The entries not used
   for longest go first, never one that a run still in progress has used: rather than that, nothing new is kept.
4. A folder that cannot be written or read never stops a run: it goes on without, and `remarks` says so.
5. The folder holds no name, identifier or path; it can be deleted at any time. Its pictures are those of patients:
   only its owner may enter.

What is trusted: that a file is unchanged as long as its path, device, inode, size and times are (as git does), which is
believed only of times two seconds old or older; all other files are hashed. Whoever can write the folder can alter what
is trained on, as he could alter the images.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from medproto.config import Settings
from medproto.datasets.cache_entry import Arrays, Entry, map_entry, pack, write

#: Names the layout; entries of another one are not found.
FORMAT: Final = "medproto-cache-1"
#: What a file takes at least on disk.
_BLOCK_BYTES: Final = 4096
#: After making room so much of the allowed size is free again, and so much may be written before sizes are added anew.
_SLACK: Final = 20
#: A file whose times are younger may change again without its times changing.
_SETTLED_NS: Final = 2_000_000_000
#: By this mark programs that make backups know a cache (https://bford.info/cachedir/).
_TAG: Final = "Signature: 8a477f597d28d172789f06886806bc55\n# Pictures that medproto can make anew from their files.\n"


#: How large a cache may grow where nothing else is said.
CACHE_BYTES: Final = 20_000_000_000


class CacheSettings(Settings):
    """Where the cache lies, and how large it may grow."""

    folder: Path
    cache_bytes: Annotated[int, Field(ge=0)] = CACHE_BYTES


def default_folder() -> Path:
    """`$MEDPROTO_CACHE`, else the user's cache folder of the platform."""
    given = os.environ.get("MEDPROTO_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "medproto"


def key_of(kind: str, *parts: object) -> str:
    """The key of what is made from these parts: plain values, in this order."""
    text = json.dumps([FORMAT, kind, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def unchanged(path: Path, before: os.stat_result) -> bool:
    """Whether a file is still there in that state."""
    try:
        return _file_key(path, path.stat()) == _file_key(path, before)
    except OSError:
        return False


@contextmanager
def open_cache(settings: CacheSettings) -> Iterator[ArrayCache]:
    """The cache for the time of one run: what the run has used is kept until it ends, even if it is killed."""
    cache = ArrayCache(settings)
    try:
        yield cache
    finally:
        cache.close()


class ArrayCache:
    """An open cache; its methods may be called from several threads. Made by `open_cache`."""

    def __init__(self, settings: CacheSettings) -> None:
        root = settings.folder / FORMAT
        self._limit = settings.cache_bytes
        self._entries, self._runs, self._writing = root / "entries", root / "runs", root / "writing"
        self._name = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._lease: int | None = None
        self._used: int | None = None
        self._written = self._damaged = self._full = 0
        self._fault = ""
        try:
            for folder in (self._entries, self._runs, self._writing):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            root.chmod(0o700)
            tag = settings.folder / "CACHEDIR.TAG"
            if not tag.exists():
                tag.write_text(_TAG, encoding="ascii")
            self._lease = self._take_lease()
        except OSError as err:
            self._broken(err)

    def close(self) -> None:
        """End the run: what it has used may be thrown out from now on."""
        if self._lease is not None:
            (self._runs / self._name).unlink(missing_ok=True)
            os.close(self._lease)
            self._lease = None

    def remarks(self) -> tuple[str, ...]:
        """What went wrong and what was done about it, a sentence each; empty when nothing did."""
        said = []
        if self._damaged:
            said.append(f"cache: entries that were damaged, dropped and made anew: {self._damaged}")
        if self._full:
            said.append(
                f"cache: entries not kept, since those in use fill the {self._limit} bytes allowed: {self._full}"
            )
        if self._fault:
            said.append(f"cache: cannot be used to the full ({self._fault}); the run went on without")
        return tuple(said)

    def get(self, key: str) -> Entry | None:
        """What was put under that key, checked (guarantee 2) and marked as used; None where there is nothing."""
        path, entry = self._path(key), None
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as err:
            self._broken(err)
            return None
        try:
            entry = map_entry(handle, key)
            if entry is None:
                path.unlink(missing_ok=True)
                with self._lock:
                    self._damaged += 1
            else:
                _touch(handle)
        except OSError as err:  # in a folder that may only be read there is still an entry
            self._broken(err)
        finally:
            os.close(handle)
        return entry

    def put(self, key: str, facts: Mapping[str, object], arrays: Arrays | None = None) -> bool:
        """Keep facts (plain values) and arrays under that key (guarantee 1); False where they cannot be kept."""
        if self._fault or self._lease is None:
            return False
        content = pack(key, facts, arrays or {})
        try:
            if not self._has_room(_size(len(content))):
                return False
            write(self._writing / f"{self._name}-{secrets.token_hex(8)}", self._path(key), content)
        except OSError as err:
            self._broken(err)
            return False
        return True

    def file_sha256(self, path: Path) -> str:
        """SHA-256 of a file's bytes, from its index entry where the file did not change since, else by reading it.

        Raises:
            OSError: as reading the file does.
        """
        before = path.stat()
        entry = self.get(_file_key(path, before))
        if entry is not None:
            return str(entry.facts["sha256"])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.remember_file(path, before, digest)
        return digest

    def remember_file(self, path: Path, before: os.stat_result, sha256: str) -> None:
        """Write a file's digest into the index, if the file has not changed since `before` and has settled."""
        changed_ns = max(before.st_mtime_ns, before.st_ctime_ns)
        if time.time_ns() - changed_ns > _SETTLED_NS and unchanged(path, before):
            self.put(_file_key(path, before), {"sha256": sha256})

    def _path(self, key: str) -> Path:
        return self._entries / key[:2] / key

    def _broken(self, err: OSError) -> None:
        # the text of an OSError repeats the path
        with self._lock:
            self._fault = (err.strerror or "input/output error").lower()

    def _take_lease(self) -> int:
        """A locked file that says since when this run goes on; the lock ends with the process, however it ends."""
        made = self._writing / f"{self._name}-lease"
        handle = os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        _touch(handle)
        made.rename(self._runs / self._name)
        return handle

    def _has_room(self, size: int) -> bool:
        """Whether an entry of that size may be written, after making room where that is needed (guarantee 3)."""
        with self._lock:
            if self._used is None or self._used + size > self._limit or self._written > self._limit // _SLACK:
                self._used, self._written = self._make_room(size), 0
            if self._used + size > self._limit:
                self._full += 1
                return False
            self._used += size
            self._written += size
            return True

    def _make_room(self, size: int) -> int:
        """Throw out what was not used for longest until `size` fits; returns the bytes still used."""
        runs = _runs_in_progress(self._runs)
        horizon = min(runs.values(), default=time.time_ns())
        for left in self._writing.iterdir():
            if left.name.partition("-")[0] not in runs and not left.name.endswith("-lease"):
                left.unlink(missing_ok=True)
        found = sorted(_entries(self._entries))
        used = sum(bytes_ for _, bytes_, _ in found)
        if used + size <= self._limit:
            return used
        for last_used, bytes_, path in found:
            # used again since it was listed: not the oldest any more
            if last_used >= horizon or used + size <= self._limit - self._limit // _SLACK:
                break
            if _last_used(path) == last_used:
                path.unlink(missing_ok=True)
                used -= bytes_
        return used


def _runs_in_progress(folder: Path) -> dict[str, int]:
    """Since when each run goes on, in ns since the epoch; the marks of dead runs are removed."""
    alive = {}
    for mark in folder.iterdir():
        try:
            handle = os.open(mark, os.O_RDWR)
        except FileNotFoundError:  # ended since it was listed
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mark.unlink(missing_ok=True)
        except BlockingIOError:
            alive[mark.name] = os.fstat(handle).st_mtime_ns
        finally:
            os.close(handle)
    return alive


def _entries(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Last use, bytes on disk and path of every entry."""
    for part in os.scandir(folder):
        for found in os.scandir(part.path):
            try:
                state = found.stat()
            except FileNotFoundError:  # another run threw it out
                continue
            yield state.st_mtime_ns, _size(state.st_size), Path(found.path)


def _last_used(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _touch(handle: int) -> None:
    """Mark a file as used now: its time of change says when it was used last, on every file system."""
    now = time.time_ns()
    os.utime(handle, ns=(now, now))


def _size(bytes_: int) -> int:
    return -(-bytes_ // _BLOCK_BYTES) * _BLOCK_BYTES


def _file_key(path: Path, state: os.stat_result) -> str:
    """The index key of a file in this state; its name and path stand in it as a part of the digest alone."""
    place = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
    times = (state.st_mtime_ns, state.st_ctime_ns)
    return key_of("file", place, state.st_dev, state.st_ino, state.st_size, *times)
