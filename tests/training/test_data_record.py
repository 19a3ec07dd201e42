"""What a bundle says of its data: counts by split that add up, and what was left out, by reason code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pydicom
import pytest

from medproto.bundle import load_bundle
from medproto.datasets.manifest import Manifest
from medproto.ingest.gate import RULES
from medproto.training.data_record import NO_CODE, codes_of, count_data
from tests.factories import SETTINGS, Trained, read_cohort, train_tiny, write_cohort

CLASSES = tuple(SETTINGS.classes)
REFUSALS = [code for code, rule in RULES.items() if rule.severity == "refuse"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture
def cohort(tmp_path: Path) -> Manifest:
    """A cohort of its own, to be damaged."""
    return write_cohort(tmp_path)


def test_a_trained_bundle_counts_its_data_by_split(trained: Trained) -> None:
    data = trained.bundle().manifest.data
    assert data is not None
    assert {name: (one.patients, one.exams, one.images) for name, one in data.splits.items()} == {
        "train": (8, 8, 32),
        "val": (4, 4, 16),
        "test": (2, 2, 8),
    }
    train = data.splits["train"]
    assert train.by["class"] == {"malignant": 8, "not malignant": 24}
    assert train.by["label"] == {"malignant": 8, "normal": 24}
    assert train.by["view"] == {"CC": 16, "MLO": 16}
    assert train.by["side"] == {"L": 16, "R": 16}
    assert train.annotated == 8
    assert all(sum(values.values()) == one.images for one in data.splits.values() for values in one.by.values())


def test_fields_that_no_row_tells_are_not_counted(trained: Trained) -> None:
    data = trained.bundle().manifest.data
    assert data is not None
    assert set(data.splits["train"].by) == {"class", "label", "view", "side"}


def test_rows_left_out_are_counted_in_their_split_by_code(cohort: Manifest) -> None:
    train, val = (next(row for row in cohort.rows if row.split == name) for name in ("train", "val"))
    dataset = pydicom.dcmread(cohort.file(train))
    dataset.PresentationIntentType = "FOR PROCESSING"
    dataset.save_as(cohort.file(train))
    cohort.file(val).write_bytes(b"no image")
    splits = count_data(cohort, read_cohort(cohort), CLASSES).splits
    assert splits["train"].left_out == {"FOR_PROCESSING": 1}
    assert splits["val"].left_out == {"NOT_DICOM": 1}
    assert splits["test"].left_out == {}
    assert (splits["train"].images, splits["val"].images) == (31, 15)


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_is_known_by_its_sentence(code: str) -> None:
    sentence = RULES[code].sentence.format("such as it is", "and more")
    assert codes_of(sentence) == (code,)
    assert codes_of(f"{RULES['NO_BREAST'].sentence} {sentence}") == ("NO_BREAST", code)


def test_a_reason_that_is_not_the_gates_has_a_code_of_its_own() -> None:
    assert codes_of("lesion mask: got an empty file, expected a picture") == (NO_CODE,)


def test_a_bundle_from_before_data_were_counted_still_loads(trained: Trained, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(trained.bundle_path, old)
    content = json.loads((old / "manifest.json").read_text(encoding="utf-8"))
    del content["data"]
    (old / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    assert load_bundle(old).manifest.data is None
