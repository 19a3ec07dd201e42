"""A model card: every figure is the bundle's or the evaluation's, and what is missing is said to be missing."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from medproto import intended_use
from medproto.bundle import load_bundle
from medproto.card.folder import MARKDOWN
from medproto.card.make import make_card
from medproto.errors import BundleError
from tests.card.factory import Written, edited, markdown_tables, run, section, words_of
from tests.factories import Trained

ROOT = Path(__file__).resolve().parent.parent.parent


def test_figures_are_those_of_the_evaluation(written: Written) -> None:
    found, text = written.content(), (written.folder / MARKDOWN).read_text(encoding="utf-8")
    rows = {row[0]: row for table in markdown_tables(text) for row in table if row[0] == "exam"}
    unit = next(one for one in found["units"] if one["unit"] == "exam")
    (hit, missed), (alarm, spared) = unit["confusion"]
    assert rows["exam"][1:5] == [str(hit), str(missed), str(alarm), str(spared)]
    for value in (found["auroc"]["exam"], found["calibration"]["brier"], found["quality"]["consistency"]):
        assert f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})" in text
    assert written.trained.bundle_id in text
    assert found["manifest_digest"] in text
    assert hashlib.sha256(written.evaluation.read_bytes()).hexdigest() in text


def test_data_are_those_that_the_bundle_counts(written: Written) -> None:
    found = words_of(section(written.card(), "Data"))
    assert "train | 8 | 8 | 32 | 8\nval | 4 | 4 | 16 | 4\ntest | 2 | 2 | 8 | 2" in found
    assert "class | malignant | 8 | 4 | 2" in found
    assert "does not tell: finding, vendor, density, age." in found


def test_rows_left_out_are_told_by_reason_code(trained: Trained, tmp_path: Path) -> None:
    data = trained.bundle().manifest.data
    assert data is not None
    splits = {name: one.model_dump(mode="json") for name, one in data.splits.items()}
    splits["train"]["left_out"] = {"FOR_PROCESSING": 3, "REGION_OR_MASK": 1}
    bundle = load_bundle(edited(trained, tmp_path / "bundle", data={"splits": splits}))
    found = words_of(section(make_card(bundle, None), "Exclusions"))
    assert "FOR_PROCESSING | Raw detector data (FOR PROCESSING); the network reads" in found
    assert found.count("| 3 | 0 | 0") == 1
    assert "REGION_OR_MASK | The region or the lesion mask does not fit the image. | 1 | 0 | 0" in found


def test_a_bundle_from_before_data_were_counted_says_so(trained: Trained, tmp_path: Path) -> None:
    training = json.loads((trained.bundle_path / "manifest.json").read_text(encoding="utf-8"))["training"]
    training["left_out"] = ["row 3: No breast was found in the image.", "row 4: The file is not DICOM."]
    card = make_card(load_bundle(edited(trained, tmp_path / "old", data=..., training=training)), None)
    assert "by split, class, view, side and device: not recorded." in words_of(section(card, "Data"))
    assert "NO_BREAST | No breast was found in the image. | 1" in words_of(section(card, "Exclusions"))
    assert "the model was trained on is not recorded" in words_of(section(card, "Limits"))
    del training["left_out"]
    card = make_card(load_bundle(edited(trained, tmp_path / "older", data=..., training=training)), None)
    assert words_of(section(card, "Exclusions")) == "Images left out of training: not recorded."


def test_without_an_evaluation_nothing_is_claimed(trained: Trained, tmp_path: Path) -> None:
    run("card", str(trained.bundle_path), "--out", str(tmp_path / "card"))
    text = (tmp_path / "card" / MARKDOWN).read_text(encoding="utf-8")
    assert "Not measured: no evaluation was given." in text
    assert "On the 4 validation exams, on which choices were made, the AUROC is 1.000; that is no estimate" in text
    assert "AUROC of exams" not in text


def test_intended_use_is_the_readmes() -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for sentence in (
        intended_use.INTENDED,
        intended_use.NOT_INTENDED,
        *intended_use.LIMITS,
        *sum(intended_use.HAZARDS, ()),
    ):
        assert sentence in readme


def test_a_bundle_that_does_not_tell_its_training_is_refused(trained: Trained, tmp_path: Path) -> None:
    bundle = load_bundle(edited(trained, tmp_path / "bundle", training={}))
    with pytest.raises(BundleError, match="training settings are not those of a run"):
        make_card(bundle, None)


def test_the_guide_names_every_section_in_order(written: Written) -> None:
    guide = (ROOT / "docs" / "card.md").read_text(encoding="utf-8")
    titles = [one.title for one in written.card().sections]
    plain = [title for title in titles if not title.startswith("Results")]
    assert [name for name in re.findall(r"^\| ([^|]+) \|", guide, re.MULTILINE) if name in plain] == plain
    results = next(line for line in guide.splitlines() if line.startswith("| Results"))
    names = [title.removeprefix("Results: ") for title in titles if title.startswith("Results")]
    assert ", ".join(names).replace("blanking the box", "blanking") in results
