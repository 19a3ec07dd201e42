"""`data check`: every kind of fault is found in real files, named by row, and tells nobody who the patient is."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medproto import cli
from medproto.config import IngestSettings
from medproto.datasets.check.check import CheckReport, Count, check_manifest
from medproto.datasets.check.findings import FINDINGS
from medproto.datasets.manifest import ManifestRow, read_manifest, write_manifest
from medproto.datasets.splits import split_patients
from medproto.records import Box
from tests.ingest.factory import BIRTH_DATE, PATIENT_ID, PATIENT_NAME, Recipe, breast_values, write_dicom

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
ROWS, COLUMNS = 160, 120
HEADER = "path,patient,exam,side,view,label"


def cohort(folder: Path, patients: int = 2) -> list[ManifestRow]:
    """Four different files a patient, right in every way; rows 2 to 5 are the first patient's."""
    rows = []
    for patient in range(patients):
        for place, (side, view) in enumerate(VIEWS):
            name = f"{patient}-{side}-{view}.dcm"
            values = breast_values(ROWS, COLUMNS, 3000 + 100 * patient + 10 * place)
            elements = {"ImageLaterality": side, "ViewPosition": view}
            write_dicom(folder / name, Recipe(values=values, elements=elements))
            rows.append(
                ManifestRow.model_validate(
                    {
                        "path": name,
                        "patient": f"p{patient}",
                        "exam": f"e{patient}",
                        "image": f"i{patient}{side}{view}",
                        "side": side,
                        "view": view,
                        "label": "normal",
                        "split": ("train", "test")[patient % 2],
                    }
                )
            )
    return rows


def checked(folder: Path, rows: list[ManifestRow], read: bool = True) -> CheckReport:
    path = write_manifest(folder / "manifest.csv", rows)
    return check_manifest(path, IngestSettings() if read else None, workers=0)


def places(report: CheckReport) -> dict[str, list[tuple[tuple[int, ...], str]]]:
    """Rows and details of the findings, by code."""
    return {finding.code: [(place.rows, place.detail) for place in finding.places] for finding in report.findings}


def changed(row: ManifestRow, **values: object) -> ManifestRow:
    return row.model_copy(update=values)


def test_a_clean_manifest_has_counts_and_no_finding(tmp_path: Path) -> None:
    report = checked(tmp_path, cohort(tmp_path))
    assert report.findings == ()
    assert (report.total, report.files_read) == (Count(8, 2, 2), 8)
    assert report.counts["split"] == {"test": Count(4, 1, 1), "train": Count(4, 1, 1)}
    assert report.counts["label, split"] == {"normal, test": Count(4, 1, 1), "normal, train": Count(4, 1, 1)}
    assert report.counts["view"]["L MLO"] == Count(2, 2, 2)
    assert report.counts["vendor"] == {"not stated": Count(8, 2, 2)}


def test_what_the_gate_warns_of_is_counted(tmp_path: Path) -> None:
    rows = cohort(tmp_path, 1)
    write_dicom(tmp_path / rows[0].path, Recipe(elements={"ImagerPixelSpacing": None}))
    assert checked(tmp_path, rows).counts["gate warning"] == {"SPACING_MISSING": Count(1, 1, 1)}
    assert "gate warning" not in checked(tmp_path, rows, read=False).counts


def test_processes_with_limits_find_what_this_one_finds(tmp_path: Path) -> None:
    rows = cohort(tmp_path, 3)
    (tmp_path / rows[3].path).unlink()
    one = checked(tmp_path, rows)
    steps: list[tuple[int, int]] = []
    two = check_manifest(
        tmp_path / "manifest.csv", IngestSettings(), 2, lambda done, total: steps.append((done, total))
    )
    assert one == two
    assert steps == [(done, 12) for done in range(1, 13)]


def test_missing_and_unknown_views_are_told_by_exam(tmp_path: Path) -> None:
    rows = cohort(tmp_path, 3)
    rows = [*rows[:3], *rows[4:7], changed(rows[7], view=None), *rows[9:]]
    assert places(checked(tmp_path, rows, read=False)) == {
        "VIEWS_MISSING": [((2, 3, 4), "L MLO"), ((9, 10, 11), "R CC")],
        "VIEW_UNKNOWN": [((8,), "")],
    }


def test_labels_that_contradict_are_found_for_image_and_breast(tmp_path: Path) -> None:
    rows = cohort(tmp_path)
    rows[2] = changed(rows[2], label="malignant")
    rows[5] = changed(rows[5], image=rows[4].image, label="benign")
    assert places(checked(tmp_path, rows, read=False)) == {
        "BREAST_LABELS_DIFFER": [((2, 4), "malignant / normal"), ((7, 9), "benign / normal")],
        "IMAGE_LABELS_DIFFER": [((6, 7), "benign / normal")],
        "IMAGE_ID_TWICE": [((6, 7), "")],
    }


def test_regions_of_one_film_are_no_conflict(tmp_path: Path) -> None:
    first = cohort(tmp_path, 1)[0]
    boxes = (Box(top=0, left=0, bottom=64, right=64), Box(top=64, left=0, bottom=128, right=64))
    rows = [changed(first, region=box, exam=f"e{i}", label=f"{i}") for i, box in enumerate(boxes)]
    assert checked(tmp_path, rows).findings == ()


@pytest.mark.parametrize(
    ("patient", "split", "code", "detail"),
    [
        ("p1", "test", "PIXELS_IN_TWO_SPLITS", "test, train"),
        ("p1", "train", "PIXELS_IN_TWO_PATIENTS", ""),
        ("p0", "train", "PIXELS_TWICE", ""),
    ],
)
def test_identical_pixels_under_two_names_are_found_by_whom_they_leak_to(
    tmp_path: Path, patient: str, split: str, code: str, detail: str
) -> None:
    rows = cohort(tmp_path)
    elements = {"ImageLaterality": "R", "ViewPosition": "CC", "StudyDescription": "another file of the same pixels"}
    write_dicom(tmp_path / "copy.dcm", Recipe(values=breast_values(ROWS, COLUMNS, 3000), elements=elements))
    rows = [changed(row, split="train") for row in rows[:4]]
    rows.append(changed(rows[0], path="copy.dcm", image="copy", patient=patient, exam=f"e{patient}", split=split))
    found = places(checked(tmp_path, rows))
    assert found.pop(code) == [((2, 6), detail)]
    assert set(found) == {"VIEWS_MISSING"}
    rows[4] = changed(rows[4], label="malignant")
    assert places(checked(tmp_path, rows))["IMAGE_LABELS_DIFFER"] == [((2, 6), "malignant / normal")]


def test_absent_unreadable_and_refused_files_are_told_by_their_codes(tmp_path: Path) -> None:
    rows = cohort(tmp_path)
    (tmp_path / rows[0].path).unlink()
    (tmp_path / rows[1].path).write_bytes(b"no DICOM")
    whole = (tmp_path / rows[2].path).read_bytes()
    (tmp_path / rows[2].path).write_bytes(whole[:-100])
    write_dicom(tmp_path / rows[3].path, Recipe(elements={"PresentationIntentType": "FOR PROCESSING"}))
    found = places(checked(tmp_path, rows))
    assert found["FILE_ABSENT"] == [((2,), "")]
    assert [rows for rows, _ in found["FILE_REFUSED"]] == [(3,), (4,), (5,)]
    assert [codes for _, codes in found["FILE_REFUSED"]] == ["NOT_DICOM", "TRUNCATED", "FOR_PROCESSING"]
    assert set(places(checked(tmp_path, rows, read=False))) == {"FILE_ABSENT"}


def test_side_and_view_are_compared_with_the_file(tmp_path: Path) -> None:
    rows = cohort(tmp_path)
    rows[0], rows[1] = changed(rows[0], side="L", view="CC"), changed(rows[1], side="R", view="CC")
    rows[2] = changed(rows[2], view="ML")
    found = places(checked(tmp_path, rows))
    assert found["SIDE_DIFFERS"] == [((2,), "manifest L, file R"), ((3,), "manifest R, file L")]
    assert found["VIEW_DIFFERS"] == [((4,), "manifest ML, file MLO")]


def test_boxes_and_regions_outside_of_the_image_are_found(tmp_path: Path) -> None:
    rows = cohort(tmp_path)
    rows[0] = changed(rows[0], boxes=(Box(top=0, left=0, bottom=ROWS, right=COLUMNS),))
    rows[1] = changed(rows[1], boxes=(Box(top=0, left=0, bottom=ROWS + 1, right=9),))
    rows[2] = changed(rows[2], boxes=(Box(top=1, left=-3, bottom=9, right=9),))
    rows[3] = changed(rows[3], region=Box(top=0, left=0, bottom=20, right=COLUMNS + 1))
    where = f"image of {ROWS} x {COLUMNS}"
    assert places(checked(tmp_path, rows))["BOX_OUTSIDE"] == [((row,), where) for row in (3, 4, 5)]


def test_masks_are_there_readable_marked_and_of_the_size_of_the_image(tmp_path: Path) -> None:
    rows = cohort(tmp_path)
    mask = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    Image.fromarray(mask).save(tmp_path / "empty.png")
    Image.fromarray(np.full_like(mask, 255)).save(tmp_path / "good.png")
    Image.fromarray(np.full((COLUMNS, ROWS), 255, dtype=np.uint8)).save(tmp_path / "turned.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    names = ("good", "empty", "turned", "cut", "none")
    rows = [changed(row, mask=f"{name}.png") for row, name in zip(rows, names, strict=False)] + rows[5:]
    assert places(checked(tmp_path, rows)) == {
        "MASK_ABSENT": [((6,), "")],
        "MASK_SIZE": [((4,), "mask 120 x 160, image 160 x 120")],
        "MASK_UNREADABLE": [((5,), "")],
        "MASK_EMPTY": [((3,), "")],
    }


def test_every_finding_that_is_listed_can_be_found() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert {code for code in FINDINGS if f'"{code}"' not in text} == set()


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["medproto", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code


def test_exit_codes_tell_clean_findings_and_invalid_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = cohort(tmp_path)
    path = write_manifest(tmp_path / "manifest.csv", rows)
    assert run(monkeypatch, "data", "check", str(path), "--workers", "0") == 0
    assert "Nothing is wrong with it." in capsys.readouterr().out
    (tmp_path / rows[0].path).unlink()
    assert run(monkeypatch, "data", "check", str(path), "--workers", "0", "--json") == 3
    facts = json.loads(capsys.readouterr().out)
    assert facts["findings"][0] | {"sentence": ""} == {
        "code": "FILE_ABSENT",
        "severity": "error",
        "sentence": "",
        "places": [{"rows": [2], "detail": ""}],
    }
    assert facts["counts"]["label"]["normal"] == {"rows": 8, "exams": 2, "patients": 2}
    assert run(monkeypatch, "data", "check", str(path), "--no-read") == 3
    said = capsys.readouterr().out
    assert "FILE_ABSENT" in said
    assert "No file was read." in said
    path.write_text(f"{HEADER}\n")
    assert run(monkeypatch, "data", "check", str(path)) == 2
    assert "got no rows" in capsys.readouterr().err


COMMANDS = {
    "train": ["train", "configs/phantom.yaml", "MANIFEST", "--out", "OUT"],
    "evaluate": ["evaluate", "bundle", "MANIFEST"],
    "regions": ["data", "regions", "MANIFEST", "OUT.csv"],
    "check": ["data", "check", "MANIFEST"],
    "check without reading": ["data", "check", "MANIFEST", "--no-read"],
    "split": ["data", "split", "MANIFEST", "--out", "OUT.csv", "--anew"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_patient_in_two_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(f"{HEADER},split\na,Jane Doe,e,,,n,train\nb,Jane Doe,e,,,n,test\n")
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    places = {"MANIFEST": str(path), "OUT": str(tmp_path / "out"), "OUT.csv": str(tmp_path / "out.csv")}
    assert run(monkeypatch, *(places.get(word, word) for word in COMMANDS[command])) == 2
    said = capsys.readouterr()
    assert "row 3, column 'split': got 'test', expected 'train' as in row 2 of the same patient" in said.err
    assert "Jane" not in said.out + said.err
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.csv"]


def test_nothing_that_is_shown_tells_who_the_patient_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = cohort(tmp_path)
    for row in rows[:3]:
        shutil.copy(tmp_path / row.path, tmp_path / f"Zebedee-{row.path}")
    rows = [changed(row, path=f"Zebedee-{row.path}") for row in rows[:4]] + rows[4:]
    rows[1] = changed(rows[1], side="R", label="malignant", boxes=(Box(top=0, left=0, bottom=999, right=9),))
    path = write_manifest(tmp_path / "manifest.csv", rows)
    for words in ([], ["--json"]):
        assert run(monkeypatch, "data", "check", str(path), "--workers", "0", *words) == 3
    said = capsys.readouterr()
    for planted in ("Zebedee", PATIENT_NAME, PATIENT_ID, BIRTH_DATE):
        assert planted not in said.out + said.err


def test_patients_are_divided_on_the_command_line_and_an_official_test_split_is_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        ManifestRow(path=f"{i}.dcm", patient=f"p{i}", exam=f"e{i}", image=f"i{i}", label="normal") for i in range(20)
    ]
    plain = write_manifest(tmp_path / "manifest.csv", rows)
    out = tmp_path / "deeper" / "split.csv"
    assert run(monkeypatch, "data", "split", str(plain), "--out", str(out), "--seed", "1") == 0
    assert "12 patients train, 4 patients val, 4 patients test" in capsys.readouterr().out
    drawn = read_manifest(out)
    assert drawn.rows[3].path == "../3.dcm"
    same = split_patients(rows, {"train": 0.6, "val": 0.2, "test": 0.2}, 1)
    assert [row.split for row in drawn.rows] == [row.split for row in same]
    assert run(monkeypatch, "data", "split", str(plain), "--out", str(out), "--val", "0.6", "--test", "0.6") == 2
    assert "fractions: got -0.2, 0.6, 0.6, expected shares that add up to 1" in capsys.readouterr().err
    assert run(monkeypatch, "data", "split", str(out), "--out", str(out)) == 2
    assert "expected --official to keep its test patients, or --anew" in capsys.readouterr().err
    assert run(monkeypatch, "data", "split", str(plain), "--out", str(out), "--folds", "5", "--fold", "5") == 0
    assert "13 patients train, 3 patients val, 4 patients test" in capsys.readouterr().out
    official = [changed(row, split="test" if i < 6 else "train") for i, row in enumerate(rows)]
    write_manifest(plain, official)
    assert run(monkeypatch, "data", "split", str(plain), "--out", str(out), "--official", "--val", "0.5") == 0
    assert "7 patients train, 7 patients val, 6 patients test" in capsys.readouterr().out
    assert {row.patient for row in read_manifest(out).split("test")} == {f"p{i}" for i in range(6)}
