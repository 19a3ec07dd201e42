"""What inspection shows of one file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from medproto.ingest.inspection import OUTLINE, inspect_file, picture
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import write

KEYS = {"admitted", "findings", "rows", "columns", "laterality", "view", "spacing_mm", "voi", "inverted", "decoder"}


def test_an_admitted_file_shows_every_decision(tmp_path: Path) -> None:
    shown = json.loads(json.dumps(inspect_file(write(tmp_path / "a.dcm", PartialView="YES"))))
    assert KEYS | {"pixels_sha256"} <= set(shown)
    assert shown["admitted"] is shown["readable"] is True
    assert (shown["rows"], shown["columns"], shown["laterality"], shown["view"]) == (160, 120, "R", "MLO")
    assert [set(one) for one in shown["findings"]] == [{"code", "severity", "sentence"}]


def test_a_refused_and_an_unreadable_file_are_told_apart(tmp_path: Path) -> None:
    refused = inspect_file(write(tmp_path / "a.dcm", NumberOfFrames=3))
    assert (refused["admitted"], refused["readable"], refused["findings"][0]["code"]) == (False, True, "MULTI_FRAME")
    (tmp_path / "b.dcm").write_text("text")
    unreadable = inspect_file(tmp_path / "b.dcm")
    assert (unreadable["admitted"], unreadable["readable"]) == (False, False)
    assert unreadable["findings"][0]["code"] == "NOT_DICOM"


def test_the_picture_has_the_breast_outlined_and_the_chest_wall_marked(tmp_path: Path) -> None:
    shown = np.asarray(picture(read_mammogram(write(tmp_path / "a.dcm"))))
    assert shown.shape == (160, 120, 3)
    assert (shown == OUTLINE).all(axis=-1).sum() > 100
    assert (shown[:, 0] == (0, 200, 80)).all()
