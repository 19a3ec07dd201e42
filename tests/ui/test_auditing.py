"""The auditor's pages: search, comparison and export of the ledger, prototypes with complaints, and operations."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from audit.service import Actor, BundleScorer, Entry, Opinion, Room, prediction, review, score_exam, verify_room
from tests.audit.attacking import attack
from tests.audit.factory import make_scored, scorer_of
from tests.ui.conftest import opened, words
from ui.health import healthz
from ui.importing import BUNDLE_VARIABLE, set_aside
from ui.ledger_export import ADDRESS, export_route
from ui.opening import DEMO_AUDITOR, DEMO_READER
from ui.operations import check_bundle
from ui.scoring_line import hold

ADA = Actor("ada", "reader")
OTHER, THIRD = "ab" * 32, "cd" * 32


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


def test_a_reading_in_the_ledger_is_shown_with_its_words(auditor: None, exams: dict[str, Entry], room: Room) -> None:
    opinion = Opinion(verdict="disagree", reason="A lymph node.", comment="Unlike last year.")
    signed = review(room, exams["flagged"].number, opinion, ADA)
    assert signed.payload["reason"] == ""
    said = words(opened("ledger", signed.number))
    assert "**Disagree**, reading" in said
    assert "Reason: A lymph node." in said
    assert "Comment: Unlike last year." in said


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
    said = words(app)
    assert "They differ: factory-phantom says “flagged”, rival says “not flagged”." in said
    assert "Both read the same files." in said
    assert f"rival ({OTHER[:12]}), entry {rival.number}" in said
    path.write_bytes(b"another file of that exam")
    scored = make_scored("not flagged", exam="1", bundle_id=THIRD, bundle_name="third")
    again = score_exam(room, [path], BundleScorer(THIRD, "third", scorer_of(scored)), ADA)
    app = opened("ledger", exams["flagged"].number)
    app.selectbox(key=f"compare_{exams['flagged'].number}").set_value(again.number).run()
    assert "THEY READ DIFFERENT FILES of this exam." in words(app)


def exporting(actor: Actor | None) -> TestClient:
    """Somebody who asks for the exported ledger."""
    return TestClient(Starlette(routes=[export_route(lambda request: actor)]))


def test_an_export_holds_every_entry_and_is_not_for_readers(exams: dict[str, Entry], room: Room) -> None:
    answer = exporting(DEMO_AUDITOR).get(ADDRESS)
    assert answer.headers["content-disposition"] == 'attachment; filename="ledger.jsonl"'
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert sum("inclusion" in line for line in lines) == room.ledger.count(None)
    assert exporting(None).get(ADDRESS).status_code == 401
    refused = exporting(DEMO_READER).get(ADDRESS)
    assert (refused.status_code, refused.text[:35]) == (403, "Export: not for the role reader; th")
    assert room.ledger.entry(room.ledger.count()).payload["action"] == "export"


def test_an_export_for_which_there_is_no_place_is_a_sentence(
    exams: dict[str, Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    answer = exporting(DEMO_AUDITOR).get(ADDRESS)
    assert (answer.status_code, answer.headers["cache-control"]) == (500, "no-store")
    assert answer.text == "Export: the server has no place for the file (No such file or directory)."


def test_a_ledger_that_cannot_be_proved_is_a_sentence_and_no_file(exams: dict[str, Entry], home: Path) -> None:
    attack(home, "UPDATE entry SET body = body || ' ' WHERE number = 4")
    answer = exporting(DEMO_AUDITOR).get(ADDRESS)
    assert answer.status_code == 500
    assert answer.text.startswith("Entry 4: its body was altered")
    assert "content-disposition" not in answer.headers


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
    auditor: None, exams: dict[str, Entry], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BUNDLE_VARIABLE, str(bundle_folder(tmp_path / "bundle")))
    (set_aside(home, []) / "order.json").write_text(json.dumps({"who": "ada", "files": 1}), "utf-8")
    said = words(opened("operations"))
    assert "Reachable: SQLite." in said
    assert "It was never verified as a whole here" in said
    assert (
        "No import waits or runs. 1 that ended early keeps its files. The model is loaded with the next import." in said
    )
    assert "GB free." in said
    assert "3 of 3 scored exams wait for a reading." in said
    assert "every file of “tiny” is the one that its manifest names" in said


def test_operations_says_how_far_the_last_verification_reached(
    auditor: None, exams: dict[str, Entry], room: Room, home: Path
) -> None:
    size = verify_room(room).size
    review(room, exams["flagged"].number, Opinion(verdict="agree"), ADA)
    said = words(opened("operations"))
    assert f"The last verification that held read {size} entries; 1 came since." in said
    note = home / "verified-head.note"
    note.write_text(note.read_text("utf-8").replace(str(size), str(size + 1), 1), "utf-8")
    assert "What it remembers of its last verification cannot be trusted" in words(opened("operations"))


def test_health_says_how_much_room_is_left_and_what_waits(exams: dict[str, Entry], home: Path) -> None:
    folder = set_aside(home, [])
    order = folder / "order.json"
    order.write_text(json.dumps({"who": "ada", "files": 0}), "utf-8")
    asked = TestClient(Starlette(routes=[Route("/healthz", healthz)]))
    held = hold(order)
    assert held is not None
    said = asked.get("/healthz").json()
    assert said["imports"] == {"under_way": 1}
    assert said["disk"]["free_bytes"] > 0
    os.close(held)
    assert asked.get("/healthz").json()["imports"] == {"under_way": 0}


def test_a_bundle_with_an_altered_or_missing_file_is_not_verified(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path / "bundle")
    assert check_bundle(folder).faults == ()
    (folder / "prototypes" / "a.png").write_bytes(b"b")
    assert check_bundle(folder).faults == ("prototypes/a.png: is not the file that the manifest names",)
    shutil.rmtree(folder)
    assert check_bundle(folder).faults == ("manifest: absent or not one of a bundle",)


def test_a_training_patch_leads_back_to_decisions_and_their_reviews(
    auditor: None, exams: dict[str, Entry], room: Room
) -> None:
    flagged, other = exams["flagged"].number, exams["not flagged"].number
    _, record = prediction(room, other)
    blamed = record.matches[0].prototype_id
    signed = review(room, other, Opinion(verdict="disagree", reason="a scar", misleading=(blamed,)), ADA)
    app = opened("ledger", flagged)
    app.selectbox(key=f"trace_prototype_{flagged}").set_value(blamed).run()
    assert "disagree" not in words(app)
    app.toggle(key=f"trace_back_{flagged}").set_value(True).run()
    assert f"disagree ({signed.number}); a reader says it misled" in words(app)
    app.button(key=f"trace_show_{other}").click().run()
    assert f"Entry {other}: prediction" in words(app)
    app.button(key=f"related_{signed.number}").click().run()
    assert f"Entry {signed.number}: review" in words(app)
    assert app.button(key=f"related_{other}").label == f"Names entry {other}"
