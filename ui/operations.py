"""What runs here and how it is: database, disk, the bundle that scores, and the versions of the software."""

from __future__ import annotations

import hashlib
import json
import platform
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from audit.room import EVIDENCE

_PACKAGES: Final = ("medproto", "streamlit", "pydicom", "torch", "monai", "cryptography")


@dataclass(frozen=True)
class Disk:
    """Bytes that a room's evidence and its other files take."""

    evidence: int
    others: int


@dataclass(frozen=True)
class BundleState:
    """The bundle that scores imports: its id, and what of its files is not as its manifest says (empty: nothing)."""

    bundle_id: str
    name: str
    faults: tuple[str, ...]


def disk(home: Path) -> Disk:
    """What the room takes; files that come and go meanwhile are counted or not."""
    evidence = _bytes(home / EVIDENCE)
    return Disk(evidence, _bytes(home) - evidence)


def check_bundle(folder: Path) -> BundleState:
    """Hash every file that the bundle's manifest names, without building the model."""
    try:
        content = (folder / "manifest.json").read_bytes()
        manifest = json.loads(content)
        faults = tuple(
            f"{name}: is not the file that the manifest names"
            for name, digest in manifest["files"].items()
            if _digest(folder / name) != digest
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return BundleState("", "", ("manifest: absent or not one of a bundle",))
    return BundleState(hashlib.sha256(content).hexdigest(), str(manifest.get("name", "")), faults)


def versions() -> dict[str, str]:
    """Versions of Python and of what is installed of the packages that matter."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _digest(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
