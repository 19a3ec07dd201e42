"""The key of a cached input: all that shapes its bytes, and nothing else."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from medproto.datasets.manifest import Manifest
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import read_mammogram
from medproto.training.input_cache import RENDERING_LIBRARIES, RENDERING_SOURCES, rendering_digest
from tests.factories import train_tiny

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The cohort's manifest."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny").manifest


def test_whatever_the_input_may_depend_on_is_part_of_its_key(manifest: Manifest) -> None:
    picture = read_mammogram(manifest.file(manifest.rows[0]))
    breast = picture.breast.copy()
    breast[5, 5] = not breast[5, 5]
    changed: list[Mammogram] = [
        replace(picture, breast=breast),
        replace(picture, chest_wall="left" if picture.chest_wall == "right" else "right"),
        replace(picture, upside_down=not picture.upside_down),
        replace(picture, spacing_mm=(0.07, 0.07)),
        replace(picture, synthetic=not picture.synthetic),
    ]
    digests = {rendering_digest(one) for one in (picture, *changed)}
    assert len(digests) == 1 + len(changed)
    assert rendering_digest(replace(picture, file_sha256="0" * 64, findings=())) == rendering_digest(picture)


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, from wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def source_of(name: str) -> Path:
    """The file of a module of the package, or of the module that holds the name."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else path.parent.with_suffix(".py")


def test_the_key_knows_every_source_and_library_that_renders() -> None:
    package = ROOT / "medproto"
    sources = {path for pattern in RENDERING_SOURCES for path in package.glob(pattern)}
    names = {name for path in sources for name in imported(path)}
    own = {source_of(name) for name in names if name.startswith("medproto.")}
    # The manifest says which row is asked for and the cache keeps what was made: neither makes it.
    assert {path.name for path in own - sources} <= {"manifest.py", "cache.py"}
    owners = importlib.metadata.packages_distributions()
    foreign = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"medproto"}
    for name in foreign:
        assert {owner.lower() for owner in owners[name]} & set(RENDERING_LIBRARIES), name
