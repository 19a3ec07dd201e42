"""The contact sheet shows what the network sees, and what is refused as a field with its reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medproto.cli import app
from medproto.config import IngestSettings
from medproto.datasets.manifest import ManifestRow, write_manifest
from medproto.datasets.sheet import COLUMNS, GAP_PX, LINE_PX, LINES, ROWS, Source, Tile, contact_sheet, read_tile
from medproto.errors import InputError
from medproto.ingest.reading import read_mammogram
from medproto.records import Box
from medproto.transforms import InputSettings, model_input
from tests.ingest.factory import BIRTH_DATE, PATIENT_ID, Recipe, breast_values, write, write_dicom

INPUT = InputSettings(rows=96, columns=64)
WIDTH, HEIGHT = 64 + GAP_PX, 96 + LINES * LINE_PX + GAP_PX


def test_a_tile_is_the_networks_input(tmp_path: Path) -> None:
    mirrored = np.ascontiguousarray(breast_values()[:, ::-1])
    path = write_dicom(tmp_path / "a.dcm", Recipe(mirrored, elements={"PartialView": "YES"}))
    tile = read_tile(Source(path), INPUT)
    assert (tile.title, tile.codes, tile.refused) == ("R MLO, mirrored", ("PARTIAL_VIEW",), False)
    seen = model_input(read_mammogram(path), INPUT).image[0].numpy()
    assert np.array_equal(tile.shown, seen)
    page = np.asarray(contact_sheet([tile], INPUT)[0])
    drawn = page[GAP_PX : GAP_PX + 96, GAP_PX : GAP_PX + 64]
    assert np.array_equal(drawn[..., 0], np.rint(seen * 255))
    assert page[GAP_PX + 96 :].max() == 255


def test_what_is_refused_is_a_field_with_its_reason(tmp_path: Path) -> None:
    raw = write(tmp_path / "a.dcm", PresentationIntentType="FOR PROCESSING", BurnedInAnnotation="YES")
    (tmp_path / "b.dcm").write_text("text")
    cr = write(tmp_path / "c.dcm", Modality="CR")
    assert read_tile(Source(raw), INPUT) == Tile("refused", ("FOR_PROCESSING",), None)
    assert read_tile(Source(tmp_path / "b.dcm"), INPUT) == Tile("unreadable", ("NOT_DICOM",), None)
    assert read_tile(Source(cr), INPUT).refused
    assert read_tile(Source(cr), INPUT, IngestSettings(admit_modalities=("CR",))).codes == ("MODALITY_ADMITTED",)
    page = np.asarray(contact_sheet([read_tile(Source(raw), INPUT)], INPUT)[0])
    assert tuple(page[GAP_PX + 10, GAP_PX + 40]) == (70, 30, 30)


def test_pages_are_filled_row_by_row() -> None:
    tile = Tile("R MLO", ("NO_VOI", "EXPOSURE", "SIDE_MISSING", "VIEW_MISSING"), np.ones((96, 64), np.float32))
    pages = contact_sheet([tile] * (ROWS * COLUMNS + 1), INPUT)
    assert [page.size for page in pages] == [
        (COLUMNS * WIDTH + GAP_PX, ROWS * HEIGHT + GAP_PX),
        (WIDTH + GAP_PX, HEIGHT + GAP_PX),
    ]
    with pytest.raises(InputError, match="contact sheet: got no image"):
        contact_sheet([], INPUT)


def test_the_command_draws_a_folder_and_a_manifest_without_names(tmp_path: Path) -> None:
    folder = tmp_path / "ZEBEDEE"
    folder.mkdir()
    write(folder / "ZEBEDEE.dcm")
    write(folder / "raw.dcm", PresentationIntentType="FOR PROCESSING")
    run = CliRunner().invoke(app, ["data", "sheet", str(folder), "--out", str(tmp_path / "sheet.png")])
    assert run.exit_code == 0, run.output
    assert "2 images, 1 of them not for scoring" in run.output
    assert "2: FOR_PROCESSING" in run.output
    with Image.open(tmp_path / "sheet.png") as page:
        assert page.info == {}
    assert not any(word in run.output for word in ("ZEBEDEE", PATIENT_ID, BIRTH_DATE))
    region = Box(top=20, left=0, bottom=120, right=60)
    row = ManifestRow(path="ZEBEDEE/ZEBEDEE.dcm", patient="a", exam="a", image="a", label="normal", region=region)
    manifest = write_manifest(tmp_path / "manifest.csv", [row])
    words = ["data", "sheet", str(manifest), "--out", str(tmp_path / "region.png"), "--spacing-mm", "0.2"]
    assert CliRunner().invoke(app, words).exit_code == 0
    page = np.asarray(Image.open(tmp_path / "region.png").convert("L"))[GAP_PX:, GAP_PX:]
    # 100 x 60 pixels of 0.1 mm at 0.2 mm are 50 x 30 pixels
    assert page[:50, :30].max() > 100
    assert page[52:384, :224].max() == page[:384, 32:224].max() == 0
