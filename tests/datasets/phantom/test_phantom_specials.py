"""The specials: every reason code occurs, each file gives the codes it was written for, and all say SYNTHETIC."""

from __future__ import annotations

import csv
import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from medproto.commands.data import app
from medproto.datasets.manifest import Manifest, read_manifest
from medproto.datasets.phantom.anatomy import COLUMNS, ROWS
from medproto.datasets.phantom.patient import annotate
from medproto.datasets.phantom.specials import COMMON, SPECIALS, UNWRITTEN, write_specials
from medproto.errors import EmptyExam
from medproto.ingest.exam import read_exam
from medproto.ingest.gate import RULES
from medproto.ingest.reading import read_mammogram
from medproto.transforms import InputSettings, model_input

BY_NAME = {special.name: special for special in SPECIALS}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(write_specials(tmp_path_factory.mktemp("specials"), 1))


@pytest.fixture(scope="module")
def codes(manifest: Manifest) -> dict[str, set[str]]:
    """Reason codes by special, read as exams with the settings that each asks for."""
    return {name: codes_of(manifest, name) for name in BY_NAME}


def codes_of(manifest: Manifest, name: str) -> set[str]:
    paths = [manifest.path.parent / path for path in BY_NAME[name].paths]
    read = partial(read_mammogram, settings=BY_NAME[name].settings)
    try:
        exam = read_exam(paths, lambda patient, kind, own: f"{kind} of {patient}: {own}", read)
    except EmptyExam as err:
        return {finding.code for refused in err.refused for finding in refused.findings}
    told = [
        exam.findings,
        *(image.mammogram.findings for image in exam.images),
        *(one.findings for one in exam.refused),
    ]
    return {finding.code for findings in told for finding in findings}


def test_every_reason_code_occurs_but_those_of_the_worker(codes: dict[str, set[str]]) -> None:
    assert set.union(*codes.values()) == set(RULES) - set(UNWRITTEN)
    assert set(UNWRITTEN) <= set(RULES)


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_special_gives_its_own_codes_and_no_others(name: str, codes: dict[str, set[str]]) -> None:
    assert codes[name] - COMMON == set(BY_NAME[name].codes)


def test_the_table_beside_the_manifest_names_every_file_and_its_codes(manifest: Manifest) -> None:
    with (manifest.path.parent / "codes.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["files"].split(";") for row in table] == [list(special.paths) for special in SPECIALS]
    assert [row["codes"].split(";") for row in table] == [list(special.codes) or [""] for special in SPECIALS]
    assert {row["settings"] for row in table if row["settings"]} == {
        "voi_index: 9",
        "admit_modalities: ('MG', 'DX')",
    }
    assert [row.path for row in manifest.rows] == [path for special in SPECIALS for path in special.paths]


def test_every_special_that_is_dicom_says_synthetic(manifest: Manifest) -> None:
    for special in SPECIALS:
        for path in special.paths if special.written and special.name != "not-dicom" else ():
            header = pydicom.dcmread(manifest.path.parent / path, stop_before_pixels=True)
            assert "SYNTHETIC" in header.ImageComments, path
            assert header.BurnedInAnnotation == "YES", path


def test_the_word_synthetic_is_burnt_into_distorted_pictures_too(manifest: Manifest) -> None:
    word = annotate(np.zeros((ROWS, COLUMNS), dtype=np.float32), "L", "CC") > 0.6
    assert word[-50:].any()
    for name in ("magnification", "spot-compression", "implant", "breast-cut", "over-exposed", "upside-down"):
        assert np.all(read_mammogram(manifest.path.parent / f"{name}.dcm").pixels[word] > 0.55), name


def test_a_picture_stored_upside_down_is_turned_upright(manifest: Manifest) -> None:
    plain, turned = (
        model_input(read_mammogram(manifest.path.parent / f"{name}.dcm"), InputSettings(rows=128, columns=96)).image
        for name in ("special-view", "upside-down")
    )
    assert float((plain - turned).abs().mean()) < 0.02
    assert float((plain - turned.flip(-2)).abs().mean()) > 0.05


def test_the_same_seed_gives_the_same_specials(manifest: Manifest, tmp_path: Path) -> None:
    write_specials(tmp_path, 1)
    digests = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        for folder in (tmp_path, manifest.path.parent)
    ]
    assert digests[0] == digests[1]


def test_the_command_writes_a_varied_cohort_with_priors_and_specials(tmp_path: Path) -> None:
    words = ["phantom", str(tmp_path), "--patients", "3", "--seed", "4", "--varied", "--priors", "0.5", "--specials"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "3 SYNTHETIC patients" in result.output
    assert f"{len(SPECIALS)} SYNTHETIC specials" in result.output
    cohort = read_manifest(tmp_path / "manifest.csv")
    assert all(row.split for row in cohort.rows)
    assert len(cohort.rows) > 12
    assert len(read_manifest(tmp_path / "specials" / "manifest.csv").rows) == len(SPECIALS) + 2
