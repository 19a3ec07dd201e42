"""Inputs from the cache: the same bytes, nothing read twice, and made anew when anything that shaped them changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from medproto.cli import app
from medproto.datasets.cache import FORMAT, CacheSettings
from medproto.datasets.manifest import Manifest, ManifestRow, write_manifest
from medproto.errors import ConfigError
from medproto.records import Box
from medproto.training.inputs import WORTH_PROCESSES, InputSet, Loading, load_inputs
from medproto.transforms import InputSettings
from tests.factories import SETTINGS, train_tiny

#: Rows that are read: enough for processes to be started.
COUNT = WORTH_PROCESSES
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The cohort's manifest."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny").manifest


@pytest.fixture
def cohort(manifest: Manifest, tmp_path: Path) -> Manifest:
    """Four patients of the cohort, in files that a test may change."""
    rows = manifest.rows[:COUNT]
    for row in rows:
        target = tmp_path / row.path
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(manifest.file(row), target)
    return Manifest(tmp_path / "manifest.csv", rows, manifest.digest)


def mean_and_maximum(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Something to measure."""
    return np.array([pixels.mean(), pixels.max()], dtype=np.float64)


def read(manifest: Manifest, loading: Loading, settings: InputSettings = SETTINGS.inputs) -> InputSet:
    """All rows as inputs."""
    labels = [SETTINGS.class_of(row.label) for row in manifest.rows]
    return load_inputs(manifest, labels, (settings, SETTINGS.ingest), loading)


def cached(folder: Path, workers: int = 1) -> Loading:
    """A loading that keeps what it reads."""
    return Loading(workers, CacheSettings(folder=folder / "cache"), measure=mean_and_maximum)


def with_row(manifest: Manifest, place: int, **changed: object) -> Manifest:
    """The manifest with one row altered."""
    rows = list(manifest.rows)
    rows[place] = rows[place].model_copy(update=changed)
    return replace(manifest, rows=tuple(rows))


def assert_same(one: InputSet, other: InputSet) -> None:
    """Both hold the same, to the bit."""
    for name in ("images", "breast", "lesion", "labels", "bags"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.sources == other.sources
    assert one.left_out == other.left_out


@pytest.mark.parametrize("workers", [1, 2])
def test_inputs_are_the_same_with_and_without_cache(cohort: Manifest, tmp_path: Path, workers: int) -> None:
    plain = read(cohort, Loading(1, measure=mean_and_maximum))
    first, second = (read(cohort, cached(tmp_path, workers)) for _ in range(2))
    assert (plain.reused, first.reused, second.reused) == (0, 0, COUNT)
    assert_same(first, plain)
    assert_same(second, plain)
    assert len(plain.sources[0].measured) == 2
    assert first.remarks == second.remarks == ()


def test_files_that_moved_are_known_by_their_bytes(cohort: Manifest, tmp_path: Path) -> None:
    first = read(cohort, cached(tmp_path))
    (tmp_path / "images").rename(tmp_path / "moved")
    rows = tuple(row.model_copy(update={"path": row.path.replace("images", "moved")}) for row in cohort.rows)
    second = read(replace(cohort, rows=rows), cached(tmp_path))
    assert second.reused == COUNT
    assert torch.equal(first.images, second.images)


def test_a_file_that_was_replaced_is_read_anew(cohort: Manifest, tmp_path: Path) -> None:
    read(cohort, cached(tmp_path))
    shutil.copyfile(cohort.file(cohort.rows[1]), cohort.file(cohort.rows[0]))
    again = read(cohort, cached(tmp_path))
    assert again.sources[0].pixels_sha256 == again.sources[1].pixels_sha256
    assert torch.equal(again.images[0], again.images[1])
    assert again.reused == COUNT  # its bytes were known, as those of the other file


def test_other_settings_regions_boxes_and_masks_are_made_anew(cohort: Manifest, tmp_path: Path) -> None:
    first = read(cohort, cached(tmp_path))
    assert read(cohort, cached(tmp_path), InputSettings(rows=96, columns=64, margin=0.1)).reused == 0
    place = next(i for i, row in enumerate(cohort.rows) if row.boxes)
    region = with_row(cohort, place, region=Box(top=20, left=0, bottom=120, right=90))
    moved = with_row(cohort, place, boxes=(Box(top=60, left=10, bottom=90, right=30),))
    for changed in (region, moved):
        got = read(changed, cached(tmp_path))
        assert got.reused == COUNT - 1
        assert_same(got, read(changed, Loading(1, measure=mean_and_maximum)))
        assert not torch.equal(got.lesion[place], first.lesion[place])
    masked = with_row(cohort, place, mask="mask.png")
    for offset in (0, 40):
        mask = np.zeros((192, 160), dtype=bool)
        mask[30 + offset : 60 + offset, 5:35] = True
        Image.fromarray(mask).save(tmp_path / "mask.png")
        got = read(masked, cached(tmp_path))
        assert got.reused == COUNT - 1
        assert_same(got, read(masked, Loading(1, measure=mean_and_maximum)))
    assert read(masked, cached(tmp_path)).reused == COUNT
    assert read(cohort, cached(tmp_path)).reused == COUNT  # nothing was displaced


def test_other_ingest_settings_are_read_anew(cohort: Manifest, tmp_path: Path) -> None:
    labels, ingest = [0] * COUNT, SETTINGS.ingest
    loading = cached(tmp_path)
    load_inputs(cohort, labels, (SETTINGS.inputs, ingest), loading)
    bounds = ingest.model_copy(update={"file_seconds": 99.0})
    assert load_inputs(cohort, labels, (SETTINGS.inputs, bounds), loading).reused == COUNT
    other = ingest.model_copy(update={"voi_index": 1})
    assert load_inputs(cohort, labels, (SETTINGS.inputs, other), loading).reused == 0


def test_a_measure_that_was_not_kept_is_taken(cohort: Manifest, tmp_path: Path) -> None:
    read(cohort, replace(cached(tmp_path), measure=None))
    got = read(cohort, cached(tmp_path))
    assert got.reused == 0
    assert got.sources == read(cohort, Loading(1, measure=mean_and_maximum)).sources
    assert read(cohort, replace(cached(tmp_path), measure=None)).reused == COUNT


def test_a_refusal_is_kept_and_an_unreadable_file_tried_again(cohort: Manifest, tmp_path: Path) -> None:
    refused, unreadable = (cohort.file(row) for row in cohort.rows[:2])
    dataset = pydicom.dcmread(refused)
    dataset.PresentationIntentType = "FOR PROCESSING"
    dataset.save_as(refused)
    whole = unreadable.read_bytes()
    unreadable.write_bytes(whole[:-100])
    first = read(cohort, cached(tmp_path))
    assert [reason.split(":")[0] for reason in first.left_out] == ["row 2", "row 3"]
    others = read(replace(cohort, rows=cohort.rows[2:]), Loading(1))
    assert all(torch.equal(getattr(first, name), getattr(others, name)) for name in ("images", "breast", "lesion"))
    second = read(cohort, cached(tmp_path))
    assert second.reused == COUNT - 2
    assert second.left_out == first.left_out
    assert any(b'"refused"' in path.read_bytes() for path in files_of(tmp_path))
    unreadable.write_bytes(whole)
    assert len(read(cohort, cached(tmp_path))) == COUNT - 1


def files_of(folder: Path) -> list[Path]:
    """Every file of the cache."""
    return [path for path in (folder / "cache" / FORMAT / "entries").rglob("*") if path.is_file()]


def test_a_damaged_entry_is_told_and_made_anew(cohort: Manifest, tmp_path: Path) -> None:
    first = read(cohort, cached(tmp_path))
    views = [path for path in files_of(tmp_path) if path.stat().st_size > 20_000]
    assert len(views) == COUNT
    content = bytearray(views[0].read_bytes())
    content[9000] ^= 1
    views[0].write_bytes(content)
    again = read(cohort, cached(tmp_path))
    assert again.reused == COUNT - 1
    assert again.remarks == ("cache: entries that were damaged, dropped and made anew: 1",)
    assert_same(again, first)
    assert read(cohort, cached(tmp_path)).remarks == ()


def test_a_run_that_is_killed_is_gone_on_with(cohort: Manifest, tmp_path: Path) -> None:
    code = f"""
import itertools, os, signal
from pathlib import Path
from medproto.datasets.manifest import read_manifest
from medproto.training import inputs
from tests.training.test_input_cache import cached, read
render, begun = inputs.render, itertools.count(1)
def mortal(*given):
    if next(begun) == 6: os.kill(os.getpid(), signal.SIGKILL)
    return render(*given)
inputs.render = mortal
read(read_manifest(Path({str(cohort.path)!r})), cached(Path({str(tmp_path)!r}), 2))
"""
    write_manifest(cohort.path, cohort.rows)
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == -9
    seen: list[tuple[int, int]] = []
    got = read(cohort, replace(cached(tmp_path), progress=lambda done, total: seen.append((done, total))))
    assert 4 <= got.reused <= 5  # of the five that were begun one may not have been kept yet
    assert seen == [(i, COUNT) for i in range(1, COUNT + 1)]
    assert_same(got, read(cohort, Loading(1, measure=mean_and_maximum)))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_interrupted_reads_no_further(cohort: Manifest, tmp_path: Path, workers: int) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        read(cohort, replace(cached(tmp_path, workers), progress=interrupt))
    assert 1 <= len([path for path in files_of(tmp_path) if path.stat().st_size > 20_000]) < COUNT
    assert list((tmp_path / "cache" / FORMAT / "runs").iterdir()) == []


def test_two_runs_at_once_share_a_cache(cohort: Manifest, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: read(cohort, cached(tmp_path)), range(2))
    assert_same(one, two)
    assert one.remarks == two.remarks == ()
    assert read(cohort, cached(tmp_path)).reused == COUNT


def test_regions_of_one_film_are_cut_from_one_reading(cohort: Manifest, tmp_path: Path) -> None:
    boxes = [Box(top=40 + 5 * i, left=0, bottom=100 + 5 * i, right=60) for i in range(6)]
    first = cohort.rows[0]
    rows = tuple(first.model_copy(update={"image": f"image-{i}", "region": box}) for i, box in enumerate(boxes))
    films = replace(cohort, rows=rows)
    apart = [read(replace(films, rows=(row,)), Loading(1)).images for row in rows]
    together = read(films, cached(tmp_path))
    assert torch.equal(together.images, torch.cat(apart))
    assert read(films, cached(tmp_path)).reused == 6
    readings = [path for path in files_of(tmp_path) if b'"rendering"' in path.read_bytes()]
    assert len(readings) == 1


def test_nothing_in_the_cache_names_a_file_or_a_patient(cohort: Manifest, tmp_path: Path) -> None:
    time.sleep(2.1)  # until the index takes the files
    read(cohort, cached(tmp_path))
    whole = b"".join(path.name.encode() + path.read_bytes() for path in files_of(tmp_path))
    for word in ("tiny-", "SYNTHETIC", ".dcm", str(tmp_path)):
        assert word.encode() not in whole
    assert whole.count(b'"sha256"') == COUNT


def test_an_input_size_that_cannot_be_is_no_rows_fault(cohort: Manifest) -> None:
    with pytest.raises(ConfigError, match="input size: got 100 x 64, expected multiples of 32"):
        read(cohort, Loading(1), InputSettings(rows=100, columns=64))


def row_numbers(data: InputSet) -> list[str]:
    """Which rows were left out."""
    return [reason.partition(":")[0] for reason in data.left_out]


def test_rows_keep_their_number_where_only_some_are_wanted(cohort: Manifest) -> None:
    gone: list[ManifestRow] = list(cohort.rows)
    gone[7] = gone[7].model_copy(update={"path": "absent.dcm"})
    labels = [None] * 6 + [0] * (COUNT - 6)
    got = load_inputs(replace(cohort, rows=tuple(gone)), labels, (SETTINGS.inputs, SETTINGS.ingest), Loading(1))
    assert len(got) == COUNT - 7
    assert row_numbers(got) == ["row 9"]
    assert "absent" not in got.left_out[0]


def test_the_console_says_what_came_from_the_cache_and_what_was_left_out(manifest: Manifest, tmp_path: Path) -> None:
    rows = [row.model_copy(update={"path": str(manifest.file(row))}) for row in manifest.rows if row.split == "test"]
    rows[1] = rows[1].model_copy(update={"path": str(tmp_path / "Doe^Jane.dcm")})
    source = write_manifest(tmp_path / "manifest.csv", rows)
    words = ["evaluate", str(manifest.path.parent / "tiny.bundle"), str(source), "--cache", str(tmp_path / "cache")]
    first, second = (CliRunner().invoke(app, words) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert "7 images, 0 of them from the cache; 1 left out" in first.output
    assert "7 images, 7 of them from the cache; 1 left out" in second.output
    assert "left out: row 3: " in second.output
    assert "Doe" not in second.output
    nothing = CliRunner().invoke(app, [*words, "--cache-bytes", "0"])
    assert "7 images, 0 of them from the cache; 1 left out" in nothing.output
    assert nothing.output.splitlines()[-5:] == second.output.splitlines()[-5:]
