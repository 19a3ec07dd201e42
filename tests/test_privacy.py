"""Nothing that a whole run writes, prints or names holds a patient's name, identifier or birth date.

Identifiers are planted in every header element that could carry them, in file and folder names and in the table of
labels; then a folder is indexed, checked, drawn, trained on, scored, reported and audited, and everything left on disk
or on the terminal is searched for them, decompressed and in several encodings.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pypdf
import pytest
import yaml
from PIL import Image
from pydicom.dataset import Dataset
from pypdf.generic import StreamObject
from typer.testing import CliRunner

from medproto.cli import app
from medproto.training.settings import Stage
from tests.factories import SETTINGS, write_cohort, write_weights

SURNAME, GIVEN, PATIENT, BIRTH = "Zebedée", "Quillonetta", "PLANTED4711", "19511224"
#: As they are planted, and as a program might write them instead.
IDENTIFIERS = (SURNAME, "Zebed", GIVEN, PATIENT, BIRTH, "1951-12-24", "24.12.1951", "24/12/1951")
#: Of the tiny cohort, enough to train, validate and test on.
PATIENTS = (0, 1, 2, 3, 8, 9, 12, 13)
ENCODINGS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")


def needles() -> Iterator[tuple[str, bytes]]:
    """Every identifier in every case, encoding, and in hexadecimal digits."""
    for word in IDENTIFIERS:
        for spelt in {word, word.lower(), word.upper()}:
            for encoding in ENCODINGS:
                yield word, spelt.encode(encoding)
            yield word, spelt.encode().hex().encode()


NEEDLES = sorted(set(needles()))


def planted_in(content: bytes) -> set[str]:
    """The identifiers that the bytes hold."""
    folded = content.lower()
    return {word for word, needle in NEEDLES if needle in content or needle.lower() in folded}


def plant(path: Path, target: Path, number: int) -> None:
    """A copy of a DICOM file that names its patient wherever an element could."""
    dataset = pydicom.dcmread(path)
    name = f"{SURNAME}^{GIVEN}"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = name, f"{PATIENT}-{number}", BIRTH
    dataset.OtherPatientNames, dataset.PatientBirthName, dataset.PatientMotherBirthName = name, name, name
    dataset.PatientAddress = dataset.PatientComments = dataset.AdditionalPatientHistory = name
    dataset.InstitutionName, dataset.StationName, dataset.Manufacturer = SURNAME, GIVEN, f"GE of {SURNAME}"
    dataset.StudyDescription = dataset.SeriesDescription = f"{name} {BIRTH}"
    dataset.AccessionNumber, dataset.StudyID, dataset.ProtocolName = PATIENT, PATIENT, name
    dataset.OperatorsName = dataset.ReferringPhysicianName = name
    dataset.ImageComments = f"SYNTHETIC {name} {PATIENT} {BIRTH}"
    dataset.WindowCenterWidthExplanation = SURNAME
    other = Dataset()
    other.PatientID = PATIENT
    dataset.OtherPatientIDsSequence = [other]
    block = dataset.private_block(0x0009, "PLANTED4711", create=True)
    block.add_new(0x01, "LO", name)
    target.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(target)


def plant_refused(good: Path, folder: Path) -> None:
    """Files of the same patient that are refused or cannot be read, each in its own way."""
    kinds = {
        "raw": {"PresentationIntentType": "FOR PROCESSING"},
        "ct": {"Modality": "CT", "BodyPartExamined": PATIENT},
        "odd": {"Modality": PATIENT, "ViewPosition": PATIENT, "PhotometricInterpretation": PATIENT},
        "shape": {"PresentationLUTShape": "INVERSE"},
        "window": {"VOILUTFunction": PATIENT},
        "size": {"Rows": 60000, "Columns": 60000},
    }
    for kind, elements in kinds.items():
        dataset = pydicom.dcmread(good)
        dataset.SOPInstanceUID = f"1.2.3.{len(kind)}.{ord(kind[0])}"
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / f"{SURNAME}_{PATIENT}_{kind}.dcm")
    (folder / f"{SURNAME}_cut.dcm").write_bytes(good.read_bytes()[:-3000])
    (folder / f"{SURNAME}_{BIRTH}.dcm").write_text(f"{SURNAME} {GIVEN} {PATIENT} {BIRTH}")


@dataclass(frozen=True)
class Ran:
    """A whole run: the folder of all that was written, the folder of images under it, and all that was printed."""

    made: Path
    images: Path
    printed: bytes
    prediction: int

    def files(self) -> list[Path]:
        """Everything that was written, but the images themselves: they are the patient's files under another name."""
        return [path for path in sorted(self.made.rglob("*")) if path.is_file() and self.images not in path.parents]


class Console:
    """Runs commands and keeps what they print."""

    def __init__(self) -> None:
        self.printed: list[str] = []

    def __call__(self, *words: object, exit_code: int = 0) -> str:
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == exit_code, (words, result.output, result.exception)
        self.printed += [result.output, repr(result.exception)]
        return result.output


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One run of every command on planted files."""
    root = tmp_path_factory.mktemp("run")
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    (root / "made" / "temporary").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(root / "made" / "temporary"))
        patch.chdir(root / "made")
        console = Console()
        number = run_everything(root, console)
    logging.getLogger().removeHandler(handler)
    printed = "".join([*console.printed, log.getvalue()]).encode()
    return Ran(root / "made", root / "made" / "cohort.files", printed, number)


def run_everything(root: Path, console: Console) -> int:
    """Index, check, draw, inspect, train, evaluate, score, report and audit; the number of a prediction's entry."""
    source, made = root / f"{SURNAME} {PATIENT}", root / "made"
    labels = write_planted(root, source)
    manifest, bundle, home = made / "cohort.csv", made / "tiny.bundle", made / "home"
    console("data", "index", "folder", source, "--labels", labels, "--out", manifest)
    console("data", "check", manifest)
    console("data", "split", manifest, "--out", made / "again.csv", "--anew")
    console("data", "sheet", source / "refused", "--out", made / "sheet.png")
    for path in sorted(source.rglob("*13-R-CC.dcm")) + sorted((source / "refused").iterdir()):
        code = 0 if path.parent.name != "refused" else 1 if path.stem.split("_")[-1] in ("cut", "size", BIRTH) else 3
        console("inspect", path, exit_code=code)
        console("inspect", path, "--json", "--png", made / f"inspected-{code}.png", exit_code=code)
    console("train", write_config(root), manifest, "--out", bundle, "--cache", made / "cache")
    console("evaluate", bundle, manifest, "--cache", made / "cache")
    console("evaluate", bundle, manifest, "--cache", made / "cache", "--json", "--out", made / "evaluated")
    console("prototypes", bundle, manifest, "--html", made / "prototypes")
    last, refused = sorted(path for path in source.iterdir() if path.name.endswith("-13")), source / "refused"
    said = console("score", bundle, *last, refused, "--home", home, exit_code=3)
    number = int(next(re.finditer(r"entry (\d+): exam-", said))[1])
    console("report", number, "-o", made / "report.pdf", "--home", home)
    for words in (["list"], ["show", number], ["trace", number], ["verify"]):
        console("audit", *words, "--home", home)
    return number


def write_planted(root: Path, source: Path) -> Path:
    """The cohort's files with their patients planted, those to be refused beside them, and the table of labels."""
    cohort = write_cohort(root / "cohort")
    rows = []
    for row in cohort.rows:
        number = int(row.patient.split("-")[1])
        if number not in PATIENTS:
            continue
        name = f"{SURNAME}_{GIVEN} {PATIENT}-{number}/{BIRTH} {Path(row.path).name}"
        plant(cohort.file(row), source / name, number)
        rows.append({"file": name, "label": row.label, "split": row.split})
    (source / "refused").mkdir()
    plant_refused(source / rows[-1]["file"], source / "refused")
    table = root / f"{SURNAME}.csv"
    with table.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["file", "label", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return table


def write_config(root: Path) -> Path:
    """The tiny network's settings, with as little training as there can be."""
    stage = Stage(name="warm-up", epochs=1, learning_rates={"add_on": 1e-2, "prototypes": 1e-2}, variants=1, batch=16)
    model = SETTINGS.model.model_copy(update={"weights": str(write_weights(root / "tiny.pt"))})
    settings = SETTINGS.model_copy(update={"model": model, "stages": (stage,)})
    config = root / "made" / "tiny.yaml"
    config.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    return config


def test_the_search_finds_what_is_planted() -> None:
    for content in (f"x{SURNAME}x".encode(), SURNAME.upper().encode("utf-16-le"), BIRTH.encode().hex().encode()):
        assert planted_in(b"before " + content)
    assert planted_in(GIVEN.encode("latin-1").swapcase()) == {GIVEN}
    assert planted_in(b"nothing of anybody") == set()


def test_the_run_leaves_everything_it_should(ran: Ran) -> None:
    kinds = {path.suffix for path in ran.files()}
    assert {".csv", ".png", ".pdf", ".json", ".safetensors", ".yaml"} <= kinds
    assert any(path.read_bytes().startswith(b"SQLite format 3") for path in ran.files())
    assert len(list((ran.made / "cache").rglob("*"))) > 20
    assert b"FOR PROCESSING" in ran.printed
    assert len(list(ran.images.iterdir())) == 4 * len(PATIENTS)


def test_no_file_or_folder_is_named_after_a_patient(ran: Ran) -> None:
    names = [str(path.relative_to(ran.made)) for path in ran.made.rglob("*")]
    assert [name for name in names if planted_in(name.encode())] == []


def test_nothing_that_is_printed_or_logged_names_a_patient(ran: Ran) -> None:
    assert planted_in(ran.printed) == set()


def test_no_file_holds_an_identifier_but_the_identity_table(ran: Ran) -> None:
    named = {}
    for path in ran.files():
        content = path.read_bytes()
        is_database = content.startswith(b"SQLite format 3") or path.name.endswith(("-wal", "-shm"))
        if not is_database and (found := planted_in(content)):
            named[path.name] = found
    assert named == {}


def test_the_ledgers_database_knows_the_patient_in_one_table_alone(ran: Ran, tmp_path: Path) -> None:
    databases = [path for path in ran.files() if path.read_bytes().startswith(b"SQLite format 3")]
    for number, path in enumerate(databases):
        copy = sqlite3.connect(tmp_path / f"{number}.sqlite")
        with sqlite3.connect(path) as source:
            source.backup(copy)
        source.close()
        known = [patient for (patient,) in copy.execute("SELECT patient_id FROM identity")]
        assert f"{PATIENT}-13" in known
        assert not any(planted_in(patient.encode()) - {PATIENT} for patient in known)
        copy.execute("DELETE FROM identity")
        copy.commit()
        copy.execute("VACUUM")
        copy.close()
        assert planted_in((tmp_path / f"{number}.sqlite").read_bytes()) == set()
    assert databases


def test_no_page_metadata_or_stream_of_the_report_names_a_patient(ran: Ran) -> None:
    report = ran.made / "report.pdf"
    reader = pypdf.PdfReader(report)
    text = "\n".join(page.extract_text() for page in reader.pages)
    assert "exam-" in text
    assert planted_in(f"{text} {reader.metadata}".encode()) == set()
    objects = [reader.get_object(number) for number in range(1, int(reader.trailer["/Size"]))]
    streams = [one.get_data() for one in objects if isinstance(one, StreamObject) and _readable(one)]
    assert len(streams) > 5
    assert [place for place, content in enumerate(streams) if planted_in(content)] == []


def _readable(stream: StreamObject) -> bool:
    return str(stream.get("/Filter", "")) not in ("/DCTDecode", "/JPXDecode")


def test_no_picture_carries_words_beside_its_pixels(ran: Ran) -> None:
    pictures = [path for path in ran.files() if path.read_bytes().startswith(b"\x89PNG")]
    assert len(pictures) > 10
    for path in pictures:
        with Image.open(path) as picture:
            assert not set(picture.info) & {"Title", "Author", "Comment", "Description", "exif", "xmp"}, path.name
            assert planted_in(repr(picture.info).encode()) == set()


def test_no_temporary_file_is_left(ran: Ran) -> None:
    assert list((ran.made / "temporary").rglob("*")) == []
