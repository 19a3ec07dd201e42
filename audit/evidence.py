"""Pictures and maps under their own SHA-256: what an entry names can be fetched, and cannot be replaced unseen."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medproto.errors import EvidenceMissing

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class EvidenceStore:
    """A directory of files `ab/abcd…`, each named by the SHA-256 of its bytes."""

    root: Path

    def path(self, digest: str) -> Path:
        """Where the bytes of this digest lie, or would lie."""
        if not _DIGEST.fullmatch(digest):
            raise EvidenceMissing("evidence: expected a SHA-256 digest of 64 hex digits")
        return self.root / digest[:2] / digest

    def put(self, data: bytes) -> str:
        """Keep these bytes durably and return their digest; bytes that are there already are not written again."""
        digest = hashlib.sha256(data).hexdigest()
        if self.check(digest):
            return digest
        path = self.path(digest)
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_directory(self.root)
            self._write(path, data)
        except OSError as err:
            raise EvidenceMissing(f"evidence {digest[:12]}…: cannot be written ({err.strerror})") from err
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of this digest; EvidenceMissing when they are absent or altered."""
        data = self.read(digest)
        if hashlib.sha256(data).hexdigest() != digest:
            raise EvidenceMissing(f"evidence {digest[:12]}…: altered since it was stored")
        return data

    def read(self, digest: str) -> bytes:
        """The bytes under this name, which whoever asks checks by other means; EvidenceMissing when they are absent."""
        try:
            return self.path(digest).read_bytes()
        except OSError as err:
            raise EvidenceMissing(f"evidence {digest[:12]}…: absent") from err

    def check(self, digest: str) -> bool:
        """Whether the bytes of this digest are here and unaltered."""
        try:
            self.get(digest)
        except EvidenceMissing:
            return False
        return True

    def present(self, digest: str) -> bool:
        """Whether a file of this name is here; `altered` says which of those are not what they are named."""
        return self.path(digest).is_file()

    def remove(self, digest: str) -> bool:
        """Take the file of this name away for good; False when there is none.

        The bytes may outlive the name on the disk: copies on write, snapshots and flash memory keep them.
        """
        path = self.path(digest)
        try:
            path.unlink()
            sync_directory(path.parent)
        except FileNotFoundError:
            return False
        except OSError as err:
            raise EvidenceMissing(f"evidence {digest[:12]}…: cannot be removed ({err.strerror})") from err
        return True

    def altered(self, progress: Callable[[int, int], None]) -> Iterator[str]:
        """Names of all files here whose bytes do not hash to their name; each file is read once, in pieces.

        Args:
            progress: told (done, total) after each file.
        """
        paths = sorted(self.root.glob("??/*"))
        for done, path in enumerate(paths, 1):
            if _DIGEST.fullmatch(path.name) and not _hashes_to(path):
                yield path.name
            progress(done, len(paths))

    def _write(self, path: Path, data: bytes) -> None:
        """Write beside, sync, rename: a reader sees the whole file or none, after a power cut too."""
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def sealed_of(payload: Mapping[str, Any]) -> dict[str, str]:
    """Digest of plain bytes -> digest of ciphertext, as a body names them; older bodies name none."""
    return _names(payload.get("sealed"))


def patient_of(payload: Mapping[str, Any]) -> str | None:
    """Pseudonym of the patient that a prediction's, a review's or an erasure's body is about, where it names one."""
    patient = _object(payload.get("prediction", payload)).get("patient_id")
    return patient if isinstance(patient, str) else None


def exam_files(payload: Mapping[str, Any]) -> set[str]:
    """Names of the files that hold the exam's own pictures and words, found without building the record.

    The ciphertexts that the body names; in bodies from before there were any, the pictures in clear. A body may have
    been forged: what has not the form of a name is passed over.
    """
    if sealed := sealed_of(payload):
        return set(sealed.values())
    named = {_names(image).get("preview") for image in _objects(payload, "images")}
    for match in map(_names, _objects(payload, "matches")):
        named |= {match.get("patch"), match.get("overlay"), match.get("similarity_map")}
    return {name for name in named if name} - training_patches(payload)


def training_patches(payload: Mapping[str, Any]) -> set[str]:
    """Names of the files that hold the training patches of a prediction's bundle; these are always in clear."""
    named = {_names(match.get("source")).get("patch") for match in _objects(payload, "matches")}
    return {name for name in named if name}


def model_files(payload: Mapping[str, Any]) -> set[str]:
    """Names of the files that hold the card of a registered model, its training patches and their neighbours, in clear.

    Bodies from before there were neighbours promise none of their files: predictions name the patches they need.
    """
    named = {_names(payload).get("card")}
    for one in _listed(payload, "prototypes"):
        if nearest := _listed(_object(one.get("neighbours")), "nearest"):
            named |= {_names(part).get("patch") for part in (_object(one.get("source")), *nearest)}
    return {name for name in named if name}


def _objects(payload: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    return _listed(_object(payload.get("prediction")), part)


def _listed(payload: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    parts = payload.get(part)
    return [_object(one) for one in parts] if isinstance(parts, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(value: object) -> dict[str, str]:
    """The values of an object that can be names of files."""
    return {k: v for k, v in _object(value).items() if isinstance(v, str) and _DIGEST.fullmatch(v)}


def sync_directory(directory: Path) -> None:
    """Make a rename or a new file in this directory survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hashes_to(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == path.name
    except OSError:
        return False
