"""A model card: every figure is the bundle's or the evaluation's, and what is missing is said to be missing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medproto import intended_use
from medproto.bundle import load_bundle
from medproto.card import make_card
from medproto.card_evaluation import Evaluated, Measured, read_evaluation
from medproto.card_folder import MARKDOWN, PAGE, write_card
from medproto.card_html import html
from medproto.card_limits import limits
from medproto.card_markdown import PICTURES, markdown
from medproto.card_records import Card, Items, Section, Table, Words
from medproto.cli import app
from medproto.errors import BundleError, InputError
from tests.factories import Trained, train_tiny

ROOT = Path(__file__).resolve().parent.parent
#: Parts of an evaluation without which there is a card all the same.
PARTS = ("auroc", "units", "calibration", "abstention", "unlike_training", "subgroups", "quality", "top1_in_lesion")
HOSTILE = "a|b <script>alert(1)</script> `x` *y* [z](http://z) \\ & &amp; _w_ # v"


class Page(HTMLParser):
    """Headings, tables as cells, paragraphs and pictures of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.images: list[bytes] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "img":
            self.images.append(base64.b64decode(str(dict(attrs)["src"]).removeprefix("data:image/png;base64,")))

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags and self.tags[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data.removesuffix("\n")


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Tables of Markdown as their cells, markup taken back."""
    found = re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE)
    tables = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] for table in found]
    return [[[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in table] for table in tables]


@dataclass(frozen=True)
class Written:
    """A bundle, the JSON of its evaluation, and the folder of the card."""

    trained: Trained
    evaluation: Path
    folder: Path

    def content(self) -> dict[str, Any]:
        """The evaluation's JSON."""
        found: dict[str, Any] = json.loads(self.evaluation.read_text(encoding="utf-8"))
        return found

    def card(self, **changed: object) -> Card:
        """The card with some keys of the evaluation set to other values; those set to `...` are taken away."""
        content = {key: value for key, value in (self.content() | changed).items() if value is not ...}
        return make_card(self.trained.bundle(), Evaluated(Measured(content), "0" * 64))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture(scope="module")
def written(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A card from an evaluation, both by their commands."""
    folder = tmp_path_factory.mktemp("card")
    run("evaluate", str(trained.bundle_path), str(trained.manifest.path), "--out", str(folder / "evaluation"))
    said = run("card", str(trained.bundle_path), "--evaluation", str(folder / "evaluation"), "--out", str(folder / "c"))
    assert said.endswith("21 sections, 6 prototypes")
    return Written(trained, folder / "evaluation" / "evaluation.json", folder / "c")


def run(*arguments: str) -> str:
    """What a command says."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.output.strip()


def edited(trained: Trained, folder: Path, **changed: object) -> Path:
    """A copy of the bundle whose manifest has other values; those set to `...` are taken away."""
    shutil.copytree(trained.bundle_path, folder)
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8")) | changed
    content = {key: value for key, value in content.items() if value is not ...}
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def section(card: Card, title: str) -> Section:
    """The card's section of that title."""
    return next(one for one in card.sections if one.title == title)


def words_of(one: Section) -> str:
    """All that stands in a section but in its pictures, a line each."""
    return "\n".join(lines_of(one))


def lines_of(one: Section) -> Iterator[str]:
    for part in one.parts:
        match part:
            case Words(text, _):
                yield text
            case Items(lines):
                yield from lines
            case Table(head, rows):
                yield from (" | ".join(row) for row in (head, *rows))


def test_both_renderings_hold_the_same_tables(written: Written) -> None:
    page = Page((written.folder / PAGE).read_text(encoding="utf-8"))
    tables = markdown_tables((written.folder / MARKDOWN).read_text(encoding="utf-8"))
    plain, gallery = tables[:-1], tables[-1]
    assert [[row for row in table if set(row) != {"---"}] for table in plain] == page.tables
    assert len(page.tables) > 20
    assert len(gallery) - 2 == len(page.images) == 6


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


@pytest.mark.parametrize("key", PARTS)
@pytest.mark.parametrize("value", [..., None], ids=["absent", "null"])
def test_a_part_that_is_missing_costs_no_card(written: Written, key: str, value: object) -> None:
    card = written.card(**{key: value})
    assert markdown(card)
    if key in ("calibration", "abstention", "subgroups", "quality"):
        title = next(one.title for one in card.sections if key in one.title and one.title.startswith("Results"))
        assert words_of(section(card, title)) == "Not measured in this evaluation."


def test_a_measure_that_the_card_does_not_know_is_shown_as_it_is(written: Written) -> None:
    drift = {"films": 8, "seen": {"value": 1.0, "low": 0.676, "high": 1.0}, "sets": [{"name": "blur", "n": 3}]}
    found = words_of(section(written.card(drift=drift), "Results: further measures"))
    assert "films | 8\nseen | 1.000 (0.676 to 1.000)" in found
    assert "drift: sets | name | n\n1 | blur | 3" in found


def test_evidence_that_fails_its_checks_is_a_limit(written: Written) -> None:
    gain = {"value": 0.01, "low": -0.02, "high": 0.04}
    box = {"kind": "patch", "at_cell": 0.1, "random_at_cell": 0.09, "gain": gain, "gain_anywhere": gain, "better": 0.5}
    card = written.card(
        blanking={"exams": 40, "random_boxes": 20, "without_share": 0, "boxes": [box]},
        shortcut={"verdict": "suspected", "exams": 30, "in_lesion": None},
        strangers=[{"name": "films", "unlike": {"value": 0.75, "low": 0.6, "high": 0.9}, "exams": 8}],
        beside=[{"method": "black box", "exams": 9, "difference": {"value": -0.2, "low": -0.3, "high": -0.1}}],
    )
    text = words_of(section(card, "Limits"))
    for sentence in (
        "is not shown to take more than random boxes do: 0.010 (-0.020 to 0.040).",
        "WARNING: a SHORTCUT is suspected",
        "Not all exams of 'films' are marked as unlike the training data: 0.750 (0.600 to 0.900).",
        "black box has a higher AUROC on the same exams, by 0.200.",
    ):
        assert sentence in text
    assert "patch | 0.100 | 0.090 | 0.010 (-0.020" in words_of(section(card, "Results: blanking the box"))
    assert "strongest patch in the finding | not defined" in words_of(section(card, "Results: shortcut check"))
    assert "films | not measured | 8 |" in words_of(section(card, "Results: exams from elsewhere"))


def test_evidence_that_passes_its_checks_is_no_limit(written: Written) -> None:
    gain = {"value": 0.3, "low": 0.2, "high": 0.4}
    card = written.card(
        blanking={"exams": 40, "random_boxes": 20, "boxes": [{"kind": "patch", "gain": gain}]},
        shortcut={"verdict": "no sign", "exams": 30},
        strangers=[{"name": "films", "unlike": {"value": 1.0, "low": 0.6, "high": 1.0}, "exams": 8}],
        beside=[{"method": "black box", "exams": 9, "difference": {"value": -0.2, "low": -0.3, "high": 0.1}}],
    )
    text = words_of(section(card, "Limits"))
    assert not re.search("random boxes|SHORTCUT|films|black box|Not measured in this evaluation", text)


def test_blanking_that_takes_nothing_is_not_called_unmeasured(written: Written) -> None:
    found = words_of(section(written.card(blanking=None), "Results: blanking the box"))
    assert found == "Not defined: blanking the whole breast lowers no exam's similarity."
    assert words_of(section(written.card(blanking=...), "Results: blanking the box")).startswith("Not measured")


def test_evaluation_of_another_bundle_is_refused(written: Written, tmp_path: Path) -> None:
    other = tmp_path / "evaluation.json"
    other.write_text(json.dumps(written.content() | {"bundle_id": "f" * 64}), encoding="utf-8")
    with pytest.raises(InputError, match=f"got one of bundle ffffffffffff…, expected one of bundle {'.' * 12}…, which"):
        read_evaluation(other, written.trained.bundle_id)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no JSON", "got no readable JSON, expected the evaluation.json"),
        (b"\xff", "got no readable JSON"),
        (b'{"bundle_id": NaN}', "got no readable JSON"),
        (b"[" * 100_000, "got no readable JSON"),
        (b"[1]", "got JSON without 'bundle_id'"),
        (b'{"bundle_id": 3}', "got JSON without 'bundle_id'"),
        (b'{"bundle_id": "Jane Doe"}', "got one of bundle with another kind of id, expected"),
    ],
)
def test_what_is_no_evaluation_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        read_evaluation(tmp_path, "0" * 64)
    assert "Jane" not in str(caught.value)


def test_an_evaluation_that_is_not_there_is_one_sentence_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^evaluation: cannot be read \(no such file or directory\), expected"):
        read_evaluation(tmp_path / "Jane-Doe.json", "0" * 64)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("exams", "many", "got something else at 'exams', expected a whole number"),
        ("exams", ..., "got nothing at 'exams', expected a whole number"),
        ("quality", 3, "got something else at 'quality', expected keys and values"),
        ("subgroups", [3], "got something else at 'subgroups', expected a list"),
        ("subgroups", [{"field": 3}], "got something else at 'subgroups.0.field', expected a text"),
        ("left_out", [3], "got something else at 'left_out', expected a list of texts"),
        ("calibration", {"slope": "steep"}, "got something else at 'calibration.slope', expected a number"),
    ],
)
def test_a_value_of_another_kind_is_named_by_its_place(
    written: Written, key: str, value: object, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        written.card(**{key: value})


def test_names_become_no_markup(trained: Trained, tmp_path: Path) -> None:
    bundle = load_bundle(edited(trained, tmp_path / "bundle", name=HOSTILE, data_name=HOSTILE, data_licence=HOSTILE))
    card = make_card(bundle, None)
    text = markdown(card)
    assert all(len({len(row) for row in table}) == 1 for table in markdown_tables(text))
    assert ["data set", HOSTILE] in [row for table in markdown_tables(text) for row in table]
    assert "<script" not in text.replace("\\<", "")
    page = Page(html(card))
    assert "script" not in page.tags
    assert ["data set", HOSTILE] in [row for table in page.tables for row in table]


def test_pictures_are_the_patches_of_the_bundle(written: Written) -> None:
    patches = {entry.source.patch for entry in written.trained.bundle().manifest.prototypes}
    files = {f"{PICTURES}/{path.name}": path.read_bytes() for path in (written.folder / PICTURES).iterdir()}
    named = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (written.folder / MARKDOWN).read_text(encoding="utf-8"))
    assert sorted(named) == sorted(files)
    assert {hashlib.sha256(content).hexdigest() for content in files.values()} == patches
    page = Page((written.folder / PAGE).read_text(encoding="utf-8"))
    assert {hashlib.sha256(content).hexdigest() for content in page.images} == patches


def test_the_page_loads_nothing_and_names_no_path(written: Written) -> None:
    text = (written.folder / PAGE).read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|@import|url\(|src=\"(?!data:)", text)
    for place in (str(written.trained.manifest.path.parent), str(written.folder), "tiny.pt"):
        assert place not in text + (written.folder / MARKDOWN).read_text(encoding="utf-8")


def test_intended_use_is_the_readmes() -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for sentence in (intended_use.INTENDED, intended_use.NOT_INTENDED, *intended_use.LIMITS):
        assert sentence in readme


def test_a_card_written_before_is_replaced_and_nothing_else_is(written: Written, tmp_path: Path) -> None:
    card, folder = written.card(), tmp_path / "card"
    write_card(folder, card)
    write_card(folder, replace(card, title="Another"))
    assert (folder / MARKDOWN).read_text(encoding="utf-8").startswith("# Another\n")
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="got a place that holds something else"):
        write_card(folder, card)
    with pytest.raises(InputError, match="got a place that holds something else"):
        write_card(folder / "mine.txt", card)
    with pytest.raises(InputError, match=r"^out: the folder cannot be written \(file exists\)$"):
        write_card(folder / "mine.txt" / "card", card)
    assert (folder / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_a_full_disk_is_one_sentence_and_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    """A process that may write no larger file meets the very error of a full disk, but for its number."""
    command = [sys.executable, "-m", "medproto", "card", str(trained.bundle_path), "--out", str(tmp_path / "card")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert (done.returncode, done.stderr) == (2, "out: the folder cannot be written (file too large)\n")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_does_not_tell_its_training_is_refused(trained: Trained, tmp_path: Path) -> None:
    bundle = load_bundle(edited(trained, tmp_path / "bundle", training={}))
    with pytest.raises(BundleError, match="training settings are not those of a run"):
        make_card(bundle, None)


def test_limits_are_found_in_the_figures(written: Written) -> None:
    groups = [
        {"field": "vendor", "value": "Blue", "notes": ["WARNING: AUROC lies below that of all others (0.950)"]},
        {"field": "view", "value": "CC", "notes": ["too small to judge: 3 positive and 4 negative"]},
    ]
    content = written.content() | {
        "exams": 4000,
        "positives": 99,
        "manifest_digest": "0" * 64,
        "auroc": {"exam": {"value": 0.8, "low": 0.6, "high": 0.9}},
        "top1_in_lesion": {"value": 0.1, "low": 0.04, "high": 0.2},
        "random_in_lesion": 0.05,
        "unlike_training": {"value": 0.2, "low": 0.1, "high": 0.3},
        "left_out": ["row 2: The file is not DICOM."],
        "subgroups": groups,
        "calibration": written.content()["calibration"] | {"ece": 0.2, "ece_if_perfect": [0.01, 0.1]},
    }
    content = {key: value for key, value in content.items() if key not in ("quality", "blanking", "shortcut")}
    text = words_of(limits(written.trained.bundle(), Measured(content)))
    for sentence in (
        "SYNTHETIC: nothing here says how the model does on exams of patients",
        "chosen on 4 validation exams",
        "Evaluated on 99 positive and 3901 other exams, fewer than 100 of each",
        "The AUROC of exams is known to within 0.30 only: 0.800 (0.600 to 0.900)",
        "not shown to lie in the finding more often than a random one: 0.100 (0.040 to 0.200)",
        "gets no decision: 0.200 (0.100 to 0.300)",
        "1 rows of the evaluated split were left out",
        "WARNING: the AUROC lies below that of all others in 1 subgroups: vendor Blue",
        "1 of 2 subgroups are too small to judge: view CC",
        "how the results differ by density, age",
        "ECE 0.200, of a perfect model at most 0.100",
        "Not as asked for: strongest patch of a positive exam in the marked finding.",
        "Not measured in this evaluation: prototype quality, blanking of the boxes, shortcuts, exams from elsewhere",
    ):
        assert sentence in text
    assert "the training's own data set alone" not in text


@pytest.mark.parametrize(
    ("slope", "verdict"),
    [
        ({"value": 1.0, "low": 0.9, "high": 1.1}, "met"),
        ({"value": 0.6, "low": 0.5, "high": 0.7}, "not met"),
        ({"value": 1.5, "low": 1.3, "high": 1.7}, "not met"),
        ({"value": 1.0, "low": 0.7, "high": 1.3}, "open: the interval holds both"),
        (None, "not defined"),
    ],
)
def test_a_level_is_met_where_the_whole_interval_says_so(written: Written, slope: object, verdict: str) -> None:
    calibration = written.content()["calibration"] | {"slope": slope}
    text = words_of(section(written.card(calibration=calibration), "Limits"))
    assert re.search(rf"^calibration slope \| 0.8 to 1.25 \| .* \| {verdict}$", text, re.MULTILINE)


def test_prototypes_are_asked_to_stay_under_every_shift_that_was_tried(written: Written) -> None:
    text = words_of(section(written.card(), "Limits"))
    tried = [name for name in written.content()["quality"]["stability"] if "pixel" in name or "JPEG" in name]
    assert len(tried) >= 3
    assert all(f"prototypes in the same place, {name} | 0.95 or more" in text for name in tried)
