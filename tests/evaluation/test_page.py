"""`medproto evaluate --out` on a tiny bundle: what is in the JSON is on the page, and the page stands alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from medproto.cli import app
from medproto.evaluation import quality
from medproto.evaluation.words import flat
from tests.factories import Trained, train_tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


def command(trained: Trained, folder: Path) -> list[str]:
    """An evaluation beside another model, and of the same exams as if they were strangers."""
    scores = trained.bundle_path.parent / "scores.csv"
    scores.write_text("method,exam,score\n<i>box</i>,tiny-12-exam,0.2\n<i>box</i>,tiny-13-exam,0.1\n")
    words = ["evaluate", str(trained.bundle_path), str(trained.manifest.path), "--out", str(folder)]
    return [*words, "--beside", str(scores), "--strangers", f"<b>films</b>={trained.manifest.path}"]


@pytest.fixture(scope="module")
def printed(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that one evaluation left, and what it printed."""
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    done = CliRunner().invoke(app, command(trained, folder))
    assert done.exit_code == 0, done.output
    return folder, done.stdout


@pytest.fixture(scope="module")
def written(printed: tuple[Path, str]) -> Path:
    """The folder."""
    return printed[0]


def test_table_holds_the_split_the_strangers_the_other_model_and_the_quality(printed: tuple[Path, str]) -> None:
    names = [line.split(" | ")[0].removeprefix("| ") for line in printed[1].splitlines() if line.startswith("| ")]
    wanted = [
        "AUROC, exam",
        "strangers, <b>films</b>: 2 exams (test) marked unlike the training data",
        "AUROC, exam, less that of <i>box</i>",
        "coherence: relevance",
        "stability: JPEG 90: same place",
    ]
    assert [name for name in names if name in wanted] == wanted
    assert any(name.startswith("blanking, ") for name in names)


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
    assert found["annotated_exams"] == found["positives"] == 1
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
    assert "<i>" not in page
    assert "<b>" not in page
    assert not any(row.patient in page or row.path in page for row in trained.manifest.rows)


def test_page_has_every_section_and_well_formed_plots(written: Path) -> None:
    page = (written / "evaluation.html").read_text(encoding="utf-8")
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    wanted = ["Classification", "At the operating point", "Calibration", "Abstention"]
    wanted += ["Strangers", "Beside other models", "Subgroups", "Evidence"]
    assert titles == [*wanted, "Blanking the box", "Shortcut check", "Prototype quality"]
    plots = re.findall(r"<svg.*?</svg>", page)
    assert [ElementTree.fromstring(plot).get("aria-label") for plot in plots] == [
        "ROC curves",
        "Reliability",
        "Risk and coverage",
        "Risk and coverage, <b>films</b>",
        "AUROC of subgroups",
        "Deletion",
        "Insertion",
    ]


def test_json_is_pure_on_standard_output_and_bars_are_elsewhere(trained: Trained, tmp_path: Path) -> None:
    words = command(trained, tmp_path / "out")
    done = CliRunner().invoke(app, [*words[:3], "--json", *words[5:]])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["auroc"]["exam"]["value"] == 1.0
    assert [(one["name"], one["exams"]) for one in found["strangers"]] == [("<b>films</b>", 2)]
    assert found["beside"][0]["difference"]["value"] == 1.0
    assert "strangers: <b>films</b>" in done.stderr


def test_interrupted_evaluation_goes_on_and_ends_in_the_same_files(
    trained: Trained, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = command(trained, tmp_path)
    taken: list[str] = []

    def counted(name: str) -> None:
        original = getattr(quality, name)

        def measure(*given: object) -> object:
            taken.append(name)
            if name == "_curves" and "_curves" not in taken[:-1]:
                raise KeyboardInterrupt
            return original(*given)

        monkeypatch.setattr(quality, name, measure)

    for name in ("_stability", "_misalignment", "_curves"):
        counted(name)
    assert CliRunner().invoke(app, words).exit_code == 130
    kept = sorted(path.name.split("-")[0] for path in (tmp_path / "unfinished").iterdir())
    assert kept == ["misalignment", "similarities", "stability", "strangers"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert taken == ["_stability", "_misalignment", "_curves", "_curves"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluation.html", "evaluation.json"]
    for name in ("evaluation.html", "evaluation.json"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["films"], "strangers: got no name or no manifest in number 1, expected NAME=MANIFEST"),
        (["=films.csv"], "strangers: got no name or no manifest in number 1, expected NAME=MANIFEST"),
        (["a={}", "a={}"], "strangers: got the name of number 2 twice, expected a different one for each"),
    ],
)
def test_strangers_without_a_name_of_their_own_are_an_error(trained: Trained, given: list[str], sentence: str) -> None:
    manifest = str(trained.manifest.path)
    words = [word for one in given for word in ("--strangers", one.format(manifest))]
    done = CliRunner().invoke(app, ["evaluate", str(trained.bundle_path), manifest, *words])
    assert done.exit_code != 0
    assert str(done.exception) == sentence


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
    measured = {"share": {"value": 0.5, "low": 0.25, "high": 0.75}, "distinct": {"share": 0.75, "count": 3, "of": 4}}
    assert flat(measured) == [("share", "0.500 (0.250 to 0.750)"), ("distinct", "75.0% (3 of 4)")]
