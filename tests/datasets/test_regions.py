"""Regions: lesions against normal tissue of the same size and place, in the breast, patients kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from medproto.datasets.archives.mini_mias import import_mini_mias
from medproto.datasets.manifest import Manifest, ManifestRow, read_manifest
from medproto.datasets.regions import INSIDE, NORMALS_PER_LESION, Film, Square, plan_regions, region_manifest
from medproto.errors import InputError
from medproto.ingest.reading import read_mammogram
from tests.datasets.archives.films import shared_archive, write_archive


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("mias")
    return read_manifest(import_mini_mias(write_archive(folder / "all-mias.tar.gz"), folder / "out"))


@pytest.fixture(scope="module")
def real_films(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    if not shared_archive().exists():
        pytest.skip(f"the mini-MIAS archive is not here: set MEDPROTO_SHARED, or put it at {shared_archive()}")
    manifest = read_manifest(import_mini_mias(shared_archive(), tmp_path_factory.mktemp("real")))
    abnormal = [row for row in manifest.rows if row.boxes][:8]
    normal = [row for row in manifest.rows if row.label == "normal"][:16]
    return Manifest(manifest.path, (*abnormal, *normal), manifest.digest)


def side(row: ManifestRow) -> float:
    assert row.region is not None
    return row.region.bottom - row.region.top


def check(manifest: Manifest) -> None:
    lesions = [row for row in manifest.rows if row.label == "lesion"]
    normals = [row for row in manifest.rows if row.label == "normal"]
    assert Counter(map(side, normals)) == Counter(map(side, lesions * NORMALS_PER_LESION))
    for row in manifest.rows:
        region = row.region
        assert region is not None
        assert region.right - region.left == side(row) >= 64
        breast = read_mammogram(manifest.file(row)).breast
        inside = breast[int(region.top) : int(region.bottom), int(region.left) : int(region.right)]
        assert inside.shape == (side(row), side(row))
        assert inside.mean() >= INSIDE
        assert (row.label == "lesion") == bool(row.boxes) == (row.finding is not None)


def test_regions_of_the_fake_films_match_and_lie_in_the_breast(films: Manifest, tmp_path: Path) -> None:
    plan = plan_regions(films, seed=0)
    assert (plan.lesions, plan.normals, plan.left_out, plan.without_place) == (3, 6, 0, 1)
    manifest = read_manifest(region_manifest(films, tmp_path / "regions", seed=0))
    assert len(manifest.rows) == 9
    check(manifest)
    of_film = {row.image: row.patient for row in films.rows}
    assert all(row.patient == of_film[row.image.split("-")[0]] for row in manifest.rows)
    assert len({row.exam for row in manifest.rows}) == 9


def test_regions_of_real_films_match_and_lie_in_the_breast(real_films: Manifest, tmp_path: Path) -> None:
    plan = plan_regions(real_films, seed=1)
    assert plan.lesions + plan.left_out == sum(len(row.boxes) for row in real_films.rows)
    assert plan.lesions >= 7
    assert plan.normals == NORMALS_PER_LESION * plan.lesions
    manifest = read_manifest(region_manifest(real_films, tmp_path / "regions.csv", seed=1))
    check(manifest)
    normal_films = Counter(row.path for row in manifest.rows if row.label == "normal")
    assert set(normal_films.values()) == {1}


def test_same_seed_gives_the_same_regions_and_another_seed_others(films: Manifest, tmp_path: Path) -> None:
    texts = [region_manifest(films, tmp_path / str(i), seed=s).read_text() for i, s in enumerate((4, 4, 5))]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_the_place_in_the_breast_counts_from_the_chest_wall(films: Manifest) -> None:
    left = Film.read(films, films.rows[0])
    right = Film(left.row, left.shape, left.packed, left.bounds, wall_right=True)
    top, first, height, width = left.bounds
    assert left.relative((top, first)) == (0, 0)
    assert right.relative((top, first)) == (0, 1)
    for film in (left, right):
        assert film.absolute(film.relative((300.5, 200.25))) == pytest.approx((300.5, 200.25))
    assert (height, width) == pytest.approx((860, 610), abs=12)


def test_squares_that_only_touch_do_not_overlap() -> None:
    assert not Square(0, 0, 10).overlaps(Square(0, 10, 10))
    assert Square(0, 0, 10).overlaps(Square(9, 9, 4))


def test_films_without_a_lesion_are_refused(films: Manifest, tmp_path: Path) -> None:
    normal = Manifest(films.path, tuple(row for row in films.rows if row.label == "normal"), films.digest)
    with pytest.raises(InputError, match="got 0 lesions and 3 normal films"):
        region_manifest(normal, tmp_path, seed=0)
