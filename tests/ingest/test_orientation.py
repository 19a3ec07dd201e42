"""Which way up a picture lies: what the header says, and what it contradicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom.dataset import Dataset

from medproto.ingest.mammogram import Side
from medproto.ingest.orientation import judge_lie
from medproto.ingest.reading import read_mammogram
from medproto.ingest.views import name_image
from medproto.transforms import InputSettings, model_input
from tests.ingest.factory import Recipe, breast_values, write_dicom


def lie(orientation: list[str] | str, side: str, view: str, chest_wall: Side = "left") -> tuple[bool, list[str]]:
    """Whether a picture of that orientation lies upside down, and the codes that were found."""
    header = Dataset()
    header.PatientOrientation, header.ImageLaterality, header.ViewPosition = orientation, side, view
    judged = judge_lie(header, name_image(header), chest_wall)
    return judged.upside_down, [one.code for one in judged.findings]


@pytest.mark.parametrize("orientation, side, view, chest_wall, upside_down", [
    (["A", "F"], "L", "MLO", "left", False),
    (["A", "H"], "L", "MLO", "left", True),
    (["P", "FL"], "R", "MLO", "right", False),
    (["P", "HR"], "R", "MLO", "right", True),
    (["A", "LH"], "R", "ML", "left", True),
    (["A", "R"], "L", "CC", "left", False),
    (["A", "L"], "L", "CC", "left", True),
    (["P", "L"], "R", "CC", "right", False),
    (["P", "R"], "R", "XCCL", "right", True),
    (["AL", "R"], "L", "CC", "left", False),
])  # fmt: skip
def test_columns_that_run_up_or_to_the_lateral_side_are_upside_down(
    orientation: list[str], side: str, view: str, chest_wall: Side, upside_down: bool
) -> None:
    assert lie(orientation, side, view, chest_wall) == (upside_down, [])


@pytest.mark.parametrize("orientation, side, view", [
    (["P", "H"], "L", "MLO"),
    (["F", "A"], "L", "MLO"),
    (["H", "P"], "R", "CC"),
    (["A", "H"], "L", "CC"),
    (["A", "R"], "L", "MLO"),
    (["A", "HF"], "L", "MLO"),
])  # fmt: skip
def test_what_contradicts_the_picture_or_the_view_is_a_finding_and_turns_nothing(
    orientation: list[str], side: str, view: str
) -> None:
    assert lie(orientation, side, view) == (False, ["ORIENTATION"])


@pytest.mark.parametrize("orientation", ["CC", ["A"], ["A", ""], ["LE", "D"]])
def test_an_orientation_that_is_no_direction_of_a_person_says_nothing(orientation: list[str] | str) -> None:
    assert lie(orientation, "L", "MLO") == (False, [])


def test_without_a_view_or_without_a_side_from_above_nothing_is_turned() -> None:
    assert lie(["A", "H"], "L", "AP") == (False, [])
    assert lie(["A", "L"], "B", "CC") == (False, [])


def test_a_file_stored_upside_down_and_mirrored_is_seen_as_the_upright_one(tmp_path: Path) -> None:
    lopsided = breast_values()
    lopsided[20:50, 10:30] = 4000
    stored = {
        "upright": (lopsided, ["A", "FR"]),
        "flipped": (lopsided[::-1], ["A", "HL"]),
        "turned": (lopsided[::-1, ::-1], ["P", "HL"]),
        "mirrored": (lopsided[:, ::-1], ["P", "FR"]),
    }
    seen = {}
    for name, (values, orientation) in stored.items():
        recipe = Recipe(
            np.ascontiguousarray(values), elements={"PatientOrientation": orientation, "ImageLaterality": "L"}
        )
        mammogram = read_mammogram(write_dicom(tmp_path / f"{name}.dcm", recipe))
        assert [one.code for one in mammogram.findings] == []
        seen[name] = model_input(mammogram, InputSettings(rows=96, columns=64)).image
    assert seen["upright"][0, :30].max() > 0.9
    for name in ("flipped", "turned", "mirrored"):
        assert torch.allclose(seen[name], seen["upright"], atol=0.02), name
