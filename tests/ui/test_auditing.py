"""The auditor's pages: search, comparison and export of the ledger, prototypes with complaints, and operations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from audit.service import Actor, BundleScorer, Entry, Opinion, Room, prediction, review, score_exam
from tests.audit.factory import make_scored, scorer_of
from tests.ui.conftest import opened, words
from ui.importing import BUNDLE_VARIABLE, set_aside
from ui.ledger_export import ledger_bytes
from ui.opening import DEMO_AUDITOR, DEMO_READER
from ui.operations import check_bundle

ADA = Actor("ada", "reader")
OTHER = "ab" * 32


def bundle_folder(folder: Path) -> Path:
    """A folder whose manifest names its one file; no model is in it."""
    (folder / "prototypes").mkdir(parents=True)
    (folder / "prototypes" / "a.png").write_bytes(b"a")
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    (folder / "manifest.json").write_text(json.dumps({"name": "tiny", "files": {"prototypes/a.png": digest}}))
    return folder


def test_ledger_is_searched_by_actor_prototype_and_model(auditor: None, exams: dict[str, Entry], room: Room) -> None:
    blamed = prediction(room, exams["flagged"].number)[1].matches[0].prototype_id
    review(room, exams["flagged"].number, Opinion(verdict="agree"), ADA)
    app = opened("ledger")
    app.text_input(key="ledger_actor").set_value("ada").run()
    assert words(app).count('mp-row" style') == 1
    app.text_input(key="ledger_actor").set_value("").run()
    app.text_input(key="ledger_prototype").set_value(blamed).run()
    assert words(app).count('mp-row" style') == 3  # of the three predictions
    app.text_input(key="ledger_prototype").set_value("nobody").run()
    assert "No entry matches." in words(app)


def test_a_link_fills_the_search_for_a_prototype(auditor: None, exams: dict[str, Entry], room: Room) -> None:
    _, record = prediction(room, exams["flagged"].number)
    app = opened("ledger")
    app.query_params["prototype"], app.query_params["bundle"] = record.matches[0].prototype_id, record.bundle_id
    app.run()
    assert app.text_input(key="ledger_prototype").value == record.matches[0].prototype_id
    assert app.selectbox(key="ledger_bundle").value == record.bundle_id


def test_two_models_are_compared_on_one_exam(auditor: None, exams: dict[str, Entry], room: Room, home: Path) -> None:
    scored = make_scored("not flagged", exam="1", bundle_id=OTHER, bundle_name="rival")
    path = home.parent / "flagged.dcm"
    rival = score_exam(room, [path], BundleScorer(OTHER, "rival", scorer_of(scored)), ADA)
    app = opened("ledger", exams["flagged"].number)
    assert app.selectbox(key=f"compare_{exams['flagged'].number}").value == rival.number
    assert "factory-phantom" in words(app)
    assert f"rival ({OTHER[:12]}), entry {rival.number}" in words(app)


def test_an_export_holds_every_entry_and_is_not_for_readers(exams: dict[str, Entry], room: Room) -> None:
    lines = [json.loads(line) for line in ledger_bytes(DEMO_AUDITOR).splitlines()]
    assert sum("inclusion" in line for line in lines) == room.ledger.count(None)
    with pytest.raises(Exception, match="export: not for the role reader"):
        ledger_bytes(DEMO_READER)


def test_prototypes_with_complaints_come_first(auditor: None, exams: dict[str, Entry], room: Room) -> None:
    _, record = prediction(room, exams["flagged"].number)
    blamed = record.matches[-1].prototype_id
    review(room, exams["flagged"].number, Opinion(verdict="refer", misleading=(blamed,)), ADA)
    app = opened("gallery")
    said = words(app)
    assert said.index(f'name">{blamed}') == said.index('name">')
    assert "1 reader says it misled" in said
    app.toggle(key="gallery_complaints").set_value(True).run()
    assert words(app).count('class="mp-tile"') == 1
    app.toggle(key="gallery_complaints").set_value(False)
    app.segmented_control(key="gallery_class").set_value("malignant").run()
    assert words(app).count('class="mp-tile"') == 2


def test_a_patch_that_is_gone_is_said_on_its_tile(auditor: None, exams: dict[str, Entry], room: Room) -> None:
    _, record = prediction(room, exams["flagged"].number)
    room.evidence.path(record.matches[0].source.patch).unlink()
    app = opened("gallery")
    assert not app.exception
    assert words(app).count("The patch is missing.") == 1


def test_operations_says_what_is_there(
    auditor: None, exams: dict[str, Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BUNDLE_VARIABLE, str(bundle_folder(tmp_path / "bundle")))
    said = words(opened("operations"))
    assert "Reachable, sqlite." in said
    assert "GB free." in said
    assert "3 of 3 scored exams wait for a reading." in said
    assert "every file of “tiny” is the one that its manifest names" in said


def test_a_bundle_with_an_altered_or_missing_file_is_not_verified(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path / "bundle")
    assert check_bundle(folder).faults == ()
    (folder / "prototypes" / "a.png").write_bytes(b"b")
    assert check_bundle(folder).faults == ("prototypes/a.png: is not the file that the manifest names",)
    shutil.rmtree(folder)
    assert check_bundle(folder).faults == ("manifest: absent or not one of a bundle",)


def test_import_without_a_model_says_how_to_load_one(exams: dict[str, Entry]) -> None:
    assert "medproto ui --bundle FOLDER" in words(opened("bring_in"))


def test_import_lists_what_was_refused_with_reasons(
    exams: dict[str, Entry], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = set_aside(home, [])
    (folder / "order.json").write_text(json.dumps({"who": "ada", "files": 2, "server": 0}), "utf-8")
    steps = [{"exams": 2}, {"entry": exams["refused"].number}, {"entry": exams["flagged"].number}]
    (folder / "progress.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps), "utf-8")
    (folder / "ended").write_text("3", "utf-8")
    app = opened("bring_in")
    assert "2 of 2 exams done" in words(app)
    assert "The image holds raw detector values." in words(app)
    app.button(key=f"import_open_{exams['flagged'].number}").click().run()
    assert "Flagged: the right MLO view" in words(app)
