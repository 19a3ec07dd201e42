"""The page, the sheet and the folder of a global analysis, and the command that writes them."""

from __future__ import annotations

import io
import json
import re
from html import unescape
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from medproto.atlas.folder import PAGE, RECORD, SHEET, write_folder
from medproto.atlas.material import load_material
from medproto.atlas.page import RESEARCH_ONLY, page
from medproto.atlas.records import Atlas, Tilt
from medproto.atlas.sheet import OTHER, OWN, TILE_PX, sheet
from medproto.atlas.survey import survey
from medproto.atlas.words import sentence, table
from medproto.cli import app
from medproto.errors import InputError
from medproto.neighbourhood import Share
from tests.factories import Trained, silent, train_tiny

Surveyed = tuple[Atlas, dict[str, bytes]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A cohort and its bundle."""
    return train_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def surveyed(trained: Trained) -> Surveyed:
    """The analysis of the tiny bundle."""
    return survey(load_material(trained.bundle(), trained.manifest, "test", None, silent), 3, silent)


def test_the_page_stands_alone_and_runs_nothing(surveyed: Surveyed) -> None:
    written = page(*surveyed)
    assert "<script" not in written
    assert "http" not in re.sub(r'src="[^"]*"', "", written)
    assert set(re.findall(r'src="(.{14})', written)) == {"data:image/png"}
    assert {link[0] for link in re.findall(r'href="([^"]+)"', written)} == {"#"}
    assert {link[1:] for link in re.findall(r'href="([^"]+)"', written)} == set(re.findall(r'id="(p\d+)"', written))


def test_the_page_says_for_what_it_is_whose_data_and_what_each_prototype_does(surveyed: Surveyed) -> None:
    atlas, _ = surveyed
    written = unescape(page(*surveyed))
    assert RESEARCH_ONLY in written
    assert "SYNTHETIC images" in written
    assert "Licence: Apache-2.0 (synthetic)." in written
    for each in atlas.portraits:
        assert sentence(each, atlas) in written


def test_frames_tell_the_images_of_other_classes(surveyed: Surveyed) -> None:
    atlas, _ = surveyed
    others = sum(hood.purity.total - hood.purity.hits for each in atlas.portraits for hood in each.neighbourhoods)
    assert others
    assert page(*surveyed).count("<figure class=other>") == others


def test_names_are_text_and_never_markup(surveyed: Surveyed) -> None:
    atlas, shown = surveyed
    written = page(atlas.model_copy(update={"name": "<b>x</b>", "data_name": "<script>1</script>"}), shown)
    assert "<b>x</b>" not in written
    assert "<script" not in written


def test_a_sentence_says_what_the_numbers_say(surveyed: Surveyed) -> None:
    atlas, _ = surveyed
    first = atlas.of("malignant")[0]
    hood = first.neighbourhoods[0].model_copy(update={"purity": Share(hits=1, total=3), "expected": 0.5})
    tilt = Tilt(
        attribute="vendor", group="acme", images=40, patients=10, difference=-0.4, low=-0.5, high=-0.3, spread=-1
    )
    changes = {
        "neighbourhoods": (hood,),
        "fired_own": Share(hits=1, total=1),
        "fired_others": Share(hits=0, total=1),
        "decided": 0.25,
        "moved": 0.031,
        "same_class": (),
        "other_classes": (),
        "tilts": (tilt,),
    }
    assert sentence(first.model_copy(update=changes), atlas) == (
        "Of the 3 training images of other patients that are most like it 1 are malignant (50\xa0% by chance, so it is "
        "no mark of its class there). It was among the 3 strongest contributions in 1 of 1 malignant exams and 0 of 1 "
        "others. It made 25% of all contributions and 3.1% of the differences between the exams' margins. Among images "
        "of one class its similarity is lower for vendor acme."
    )
    silent_one = first.model_copy(update=changes | {"fired_own": Share(hits=0, total=1)})
    assert "In none of the 2 exams was it among the 3 strongest contributions." in sentence(silent_one, atlas)


def test_the_sheet_has_a_row_for_each_prototype_framed_by_class(surveyed: Surveyed) -> None:
    atlas, _ = surveyed
    drawn = sheet(*surveyed)
    assert drawn.height > TILE_PX * len(atlas.portraits)
    colours = {colour for _, colour in drawn.getcolors(drawn.width * drawn.height) or []}
    assert {OWN, OTHER} <= colours


def test_a_folder_is_written_whole_and_its_own_is_replaced(surveyed: Surveyed, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "prototypes"
    for _ in range(2):
        write_folder(folder, *surveyed)
    assert sorted(path.name for path in folder.iterdir()) == sorted([PAGE, RECORD, SHEET])
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert Atlas.model_validate_json((folder / RECORD).read_bytes()) == surveyed[0]
    with Image.open(io.BytesIO((folder / SHEET).read_bytes())) as drawn:
        assert drawn.format == "PNG"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_not_its_own_is_never_overwritten(surveyed: Surveyed, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    kept = place if kind == "file" else place / "notes.txt"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(InputError, match="holds something else, expected a new folder or one written before"):
        write_folder(place, *surveyed)
    assert kept.read_text() == "mine"


def test_the_command_prints_json_and_writes_the_folder(trained: Trained, tmp_path: Path) -> None:
    manifest, bundle = str(trained.manifest.path), str(trained.bundle_path)
    run = CliRunner().invoke(
        app, ["prototypes", bundle, manifest, "--html", str(tmp_path / "out"), "--json", "--neighbours", "2"]
    )
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert found["bundle_id"] == trained.bundle_id
    assert {len(hood["nearest"]) for each in found["portraits"] for hood in each["neighbourhoods"]} == {2}
    assert (tmp_path / "out" / PAGE).is_file()


def test_the_table_has_a_line_for_each_prototype(surveyed: Surveyed) -> None:
    atlas, _ = surveyed
    lines = table(atlas).splitlines()
    assert [line.split(" | ")[0] for line in lines[5:]] == [f"| {each.prototype_id}" for each in atlas.portraits]
