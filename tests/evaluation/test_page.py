"""`medproto evaluate --out` on a tiny bundle: what is in the JSON is on the page, and the page stands alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from medproto.cli import app
from medproto.evaluation.words import flat
from tests.factories import Trained, train_tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture(scope="module")
def written(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that one evaluation left."""
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    done = CliRunner().invoke(
        app, ["evaluate", str(trained.bundle_path), str(trained.manifest.path), "--out", str(folder)]
    )
    assert done.exit_code == 0, done.output
    assert "AUROC, exam" in done.output
    return folder


def test_folder_holds_one_json_and_one_page(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == ["evaluation.html", "evaluation.json"]


def test_every_unit_adds_up_in_the_json(written: Path, trained: Trained) -> None:
    found = json.loads((written / "evaluation.json").read_text(encoding="utf-8"))
    assert [unit["unit"] for unit in found["units"]] == list(found["auroc"])
    for unit in found["units"]:
        (hit, missed), (alarm, spared) = unit["confusion"]
        assert hit + missed == unit["positives"]
        assert hit + missed + alarm + spared == unit["cases"]
        assert unit["recall"]["value"] == pytest.approx((hit + alarm) / unit["cases"])
        assert unit["sensitivity"]["value"] == pytest.approx(hit / unit["positives"])
        assert unit["roc"][0] == [0, 0]
        assert unit["roc"][-1] == [1, 1]
        assert unit["auroc"] == found["auroc"][unit["unit"]]
    assert len(found["missed_exams"]) == round((1 - found["top1_in_lesion"]["value"]) * found["positives"])
    assert set(found["missed_exams"]) <= {row.exam for row in trained.manifest.rows if row.label == "malignant"}
    assert found["units"][0]["sensitivity"] == found["sensitivity"]
    assert sum(group["cases"] for group in found["calibration"]["bins"]) == found["exams"]
    assert found["abstention"]["kept"] + found["abstention"]["marked"] == found["exams"]
    views = {group["value"]: group["cases"] for group in found["subgroups"] if group["field"] == "view"}
    assert views == {"CC": found["images"] // 2, "MLO": found["images"] // 2}
    assert found["quality"]["images"] == found["images"]
    assert all(group["notes"] for group in found["subgroups"])  # far too small, all of them


def test_page_loads_nothing_and_names_nobody(written: Path, trained: Trained) -> None:
    page = (written / "evaluation.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import|<script', page)
    assert page.count("data:image/png;base64,") == len(trained.bundle().manifest.prototypes)
    assert not any(row.patient in page or row.path in page for row in trained.manifest.rows)


def test_page_has_every_section_and_well_formed_plots(written: Path) -> None:
    page = (written / "evaluation.html").read_text(encoding="utf-8")
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    wanted = ["Classification", "At the operating point", "Calibration", "Abstention", "Subgroups", "Evidence"]
    assert titles == [*wanted, "Prototype quality"]
    plots = re.findall(r"<svg.*?</svg>", page)
    assert [ElementTree.fromstring(plot).get("aria-label") for plot in plots] == [
        "ROC curves",
        "Reliability",
        "Risk and coverage",
        "AUROC of subgroups",
    ]


def test_folder_that_cannot_be_made_is_an_error_in_one_sentence(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    words = ["evaluate", str(trained.bundle_path), str(trained.manifest.path), "--out", str(tmp_path / "file" / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code != 0
    assert "out: cannot write the folder" in str(done.exception)


def test_nested_figures_are_told_by_their_full_names() -> None:
    nested = {"a_b": {"share": 0.5, "none": None}, "names": ("x", "y"), "long": list(range(13)), "count": 3}
    assert flat(nested) == [
        ("a b: share", "0.500"),
        ("a b: none", "not defined"),
        ("names", "x, y"),
        ("long", "13 values"),
        ("count", "3"),
    ]
