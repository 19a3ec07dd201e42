"""The shortcut check on a network that knows checkered squares: these are the lesions, or markers far from them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from medproto.datasets.manifest import Manifest, ManifestRow, read_manifest, write_manifest
from medproto.evaluation.classification import Interval
from medproto.evaluation.held_out import HeldOut, score_held_out
from medproto.evaluation.run import load_split
from medproto.evaluation.shortcut import Checked, check_shortcut, verdict_of
from medproto.evaluation.shortcut_page import MOST_SHOWN, sentence, sheet, shortcut_section
from medproto.records import Box
from medproto.training.inputs import Loading
from tests.factories import Trained, breast_picture, train_tiny, write_view

EXAMS = 24
SIDE = 24

Checkered = Literal["lesion", "marker"]


def square(top: int, left: int) -> Box:
    return Box(top=top, left=left, bottom=top + SIDE, right=left + SIDE)


def seen_and_other(number: int) -> tuple[Box, Box]:
    """A square in the middle of the breast, as the network learnt them, and one apart from it."""
    generator = np.random.default_rng(500 + number)
    return square(int(generator.integers(66, 90)), int(generator.integers(12, 36))), square(128, 14)


def write_exams(folder: Path, checkered: Checkered) -> Manifest:
    """Held-out exams of one view; every odd one is malignant. Its lesion is annotated; where the marker is what shows,
    the lesion is a faint shade."""
    rows = []
    for number in range(EXAMS):
        seen, other = seen_and_other(number)
        lesion = {"lesion": seen, "marker": other}[checkered]
        malignant = bool(number % 2)
        picture = breast_picture(number, "L", seen if malignant else None).copy()
        if malignant and checkered == "marker":
            picture[int(lesion.top) : int(lesion.bottom), int(lesion.left) : int(lesion.right)] += 0.03
        name = f"{checkered}-{number:02d}"
        row = ManifestRow(
            path=write_view(folder / f"{name}.dcm", name, 1, picture).name,
            patient=name,
            exam=f"{name}-exam",
            image=name,
            side="L",
            view="CC",
            label="malignant" if malignant else "normal",
            split="test",
            boxes=(lesion,) if malignant else (),
            source="tiny cohort",
            licence="Apache-2.0 (synthetic)",
        )
        rows.append(row)
    return read_manifest(write_manifest(folder / "manifest.csv", rows))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The tiny network, which has learnt checkered squares."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


def checked(trained: Trained, folder: Path, checkered: Checkered) -> tuple[HeldOut, Checked]:
    bundle, manifest = trained.bundle(), write_exams(folder, checkered)
    held = score_held_out(bundle, manifest, "test", load_split(bundle, manifest, "test", Loading(workers=1)))
    return held, check_shortcut(held)


@pytest.fixture(scope="module")
def marked(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[HeldOut, Checked]:
    return checked(trained, tmp_path_factory.mktemp("marked"), "marker")


@pytest.fixture(scope="module")
def plain(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[HeldOut, Checked]:
    return checked(trained, tmp_path_factory.mktemp("plain"), "lesion")


def test_a_network_that_goes_by_the_marker_is_suspected(marked: tuple[HeldOut, Checked]) -> None:
    found = marked[1].result
    assert found.verdict == "suspected"
    assert sentence(found).startswith("SHORTCUT SUSPECTED: in 0% of ")
    assert found.evidence_drop is not None
    assert found.random_drop is not None
    assert found.evidence_drop.low > found.random_drop.high
    assert found.unflagged_without_lesion is not None
    assert found.unflagged_without_lesion.value == 0


def test_its_strongest_patches_lie_on_the_marker(marked: tuple[HeldOut, Checked]) -> None:
    held, found = marked
    assert len(found.outside) == found.result.exams >= 10
    for one in found.outside:
        source = held.data.sources[one.image]
        row, column = source.geometry.box_to_original(*one.box).centre
        marker, _ = seen_and_other(int(source.row.image[-2:]))
        assert marker.top <= row <= marker.bottom
        assert marker.left <= column <= marker.right


def test_a_network_that_goes_by_the_lesions_is_not(plain: tuple[HeldOut, Checked]) -> None:
    found = plain[1].result
    assert found.verdict == "no sign"
    assert sentence(found).startswith("No sign of a shortcut: in 100% of ")
    assert found.lesion_drop is not None
    assert found.margin is not None
    assert found.lesion_drop.low > 0.5 * found.margin.value
    assert found.unflagged_without_lesion is not None
    assert found.unflagged_without_lesion.value > 0.9
    assert plain[1].outside == ()


def test_sheet_shows_each_patch_and_the_lesion_elsewhere(marked: tuple[HeldOut, Checked]) -> None:
    held, found = marked
    drawn = np.asarray(sheet(found.outside, held.data))
    one = np.asarray(sheet(found.outside[:1], held.data))
    assert drawn.shape[0] > one.shape[0]
    assert drawn.shape[1] == one.shape[1]
    assert len(found.outside) <= MOST_SHOWN
    amber = (abs(drawn.astype(int) - (255, 170, 20)).sum(axis=2) < 60).sum()
    blue = (abs(drawn.astype(int) - (86, 180, 233)).sum(axis=2) < 60).sum()
    assert amber > 200
    assert blue > 200


def test_section_names_nobody_and_warns(marked: tuple[HeldOut, Checked], plain: tuple[HeldOut, Checked]) -> None:
    (held, found), (calm, nothing) = marked, plain
    loud, quiet = shortcut_section(found, held.data), shortcut_section(nothing, calm.data)
    assert '<p class="warn">SHORTCUT SUSPECTED' in loud
    assert loud.count("data:image/png;base64,") == 1
    assert "warn" not in quiet
    assert "data:image" not in quiet
    assert not any(row.row.patient in loud for row in held.data.sources)


@pytest.mark.parametrize(
    "exams, in_lesion, drops, verdict",
    [
        (40, (0.1, 0.0, 0.2), ((0.1, 0.0, 0.2), (2.0, 1.5, 2.5), (0.0, -0.1, 0.1), (1.9, 1.4, 2.4)), "suspected"),
        (9, (0.1, 0.0, 0.2), ((0.1, 0.0, 0.2), (2.0, 1.5, 2.5), (0.0, -0.1, 0.1), (1.9, 1.4, 2.4)), "cannot be told"),
        # the lesions take more than the evidence outside
        (
            40,
            (0.1, 0.0, 0.2),
            ((2.1, 2.0, 2.2), (2.0, 1.5, 2.5), (0.0, -0.1, 0.1), (-0.1, -0.6, 0.4)),
            "cannot be told",
        ),
        (40, (0.4, 0.2, 0.6), ((0.1, 0.0, 0.2), (2.0, 1.5, 2.5), (0.0, -0.1, 0.1), (1.9, 1.4, 2.4)), "cannot be told"),
        # what lies outside takes no more than chance
        (40, (0.1, 0.0, 0.2), ((0.1, 0.0, 0.2), (0.3, 0.0, 0.7), (0.0, -0.1, 0.1), (0.2, -0.2, 0.6)), "cannot be told"),
        (40, (0.9, 0.8, 1.0), ((2.0, 1.5, 2.5), (0.1, 0.0, 0.2), (0.0, -0.1, 0.1), (-1.9, -2.4, -1.4)), "no sign"),
        (
            40,
            (0.9, 0.8, 1.0),
            ((0.3, 0.1, 0.5), (0.1, 0.0, 0.2), (0.0, -0.1, 0.1), (-0.2, -0.5, 0.1)),
            "cannot be told",
        ),
    ],
)
def test_the_rule(
    exams: int, in_lesion: tuple[float, float, float], drops: tuple[tuple[float, float, float], ...], verdict: str
) -> None:
    lesion, evidence, chance, difference = (Interval(*each) for each in drops)
    assert verdict_of(exams, Interval(*in_lesion), (lesion, evidence, chance, difference)) == verdict


def test_without_a_flagged_annotated_exam_nothing_can_be_told(trained: Trained, tmp_path: Path) -> None:
    bundle, manifest = trained.bundle(), write_exams(tmp_path, "lesion")
    rows = [row.model_copy(update={"boxes": ()}) for row in manifest.rows]
    bare = read_manifest(write_manifest(tmp_path / "bare.csv", rows))
    held = score_held_out(bundle, bare, "test", load_split(bundle, bare, "test", Loading(workers=1)))
    found = check_shortcut(held)
    assert found.result.exams == 0
    assert "no flagged exam has an annotated lesion" in sentence(found.result)
    assert "not defined" in shortcut_section(found, held.data)
