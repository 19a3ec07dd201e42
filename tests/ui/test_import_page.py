"""The page of imports: what is offered, how far each is, what was refused, and what is left of one that ended early."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from audit.service import Entry, Room
from medproto.import_step import ImportStep
from tests.audit.attacking import attack
from tests.ui.conftest import opened, words
from ui.importing import set_aside
from ui.opening import DEMO_READER, current_actor
from ui.scoring_line import hold
from ui.sessions import COOKIE, shared


def test_import_without_a_model_says_how_to_load_one(exams: dict[str, Entry]) -> None:
    said = words(opened("bring_in"))
    assert "medproto ui --bundle FOLDER" in said
    assert "SYNTHETIC DATA" not in said


def test_import_lists_what_was_refused_with_reasons(
    exams: dict[str, Entry], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = set_aside(home, [])
    (folder / "order.json").write_text(json.dumps({"who": "ada", "files": 2, "server": 0}), "utf-8")
    steps = [{"exams": 2}, {"entry": exams["refused"].number}, {"entry": exams["flagged"].number}]
    (folder / "progress.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps), "utf-8")
    (folder / "ended").write_text("3", "utf-8")
    app = opened("bring_in")
    assert "2 of 2 exams done: 1 scored, 1 not" in words(app)
    assert "SYNTHETIC DATA" in words(app)
    assert "The image holds raw detector values." in words(app)
    app.button(key=f"import_open_{exams['flagged'].number}").click().run()
    assert "Flagged: the right MLO view" in words(app)


def test_an_exam_that_cannot_be_shown_does_not_hide_the_others(exams: dict[str, Entry], room: Room, home: Path) -> None:
    folder = set_aside(home, [])
    (folder / "order.json").write_text(json.dumps({"who": "ada", "files": 30}), "utf-8")
    intent = exams["flagged"].refers_to
    assert intent is not None
    numbers = [exams["refused"].number, 1, exams["flagged"].number, *[intent] * 9]
    steps = [{"exams": len(numbers)}, *({"entry": number} for number in numbers)]
    (folder / "progress.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps), "utf-8")
    (folder / "ended").write_text("3", "utf-8")
    attack(home, "UPDATE entry SET body = body || ' ' WHERE number = 1")
    app = opened("bring_in")
    assert not app.exception
    assert "The image holds raw detector values." in words(app)
    assert [button.key for button in app.button if button.label == "Open"] == [f"import_open_{exams['flagged'].number}"]
    said = [error.value for error in app.error]
    assert said[0].startswith("Entry 1: its body was altered")
    assert said[1:] == [f"Entry {intent}: is of kind intent, expected the result of a scoring."] * 7
    assert "Page 1 of 2, 12 in all" in words(app)


@pytest.mark.parametrize(
    ("read", "said"), [(1, "image 2 of 4 of exam 2 is being read."), (4, "exam 2 is being scored.")]
)
def test_an_import_says_what_is_being_done_and_how_much_was_read(
    exams: dict[str, Entry], home: Path, browser_cookies: dict[str, str], read: int, said: str
) -> None:
    browser_cookies[COOKIE] = shared().begin(DEMO_READER, None)
    folder = set_aside(home, [("a.dcm", io.BytesIO(b"a"))])
    (folder / "order.json").write_text(json.dumps({"who": "ada", "files": 12}), "utf-8")
    steps = [{"exams": 3, "passed_over": 0}, {"entry": exams["flagged"].number}]
    (folder / "progress.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps), "utf-8")
    step = ImportStep(exam=2, read=read, of=4, images=4 + read, total=12)
    (folder / "step.json").write_text(step.model_dump_json(), "utf-8")
    held = hold(folder / "order.json")
    assert held is not None
    app = opened("bring_in")
    os.close(held)
    assert not app.exception
    bar = app.get("progress")[0].proto
    assert bar.text.endswith(f"by ada: 1 of 3 exams done. {4 + read} of 12 images read: {said}")
    assert bar.value == int(100 * (1 + read / 8) / 3)


def test_an_import_under_way_keeps_no_session_open(
    exams: dict[str, Entry], home: Path, browser_cookies: dict[str, str]
) -> None:
    """Its page looks again by itself every two seconds, whoever sits before it."""
    folder = set_aside(home, [("a.dcm", io.BytesIO(b"a"))])
    (folder / "order.json").write_text(json.dumps({"who": "ada", "files": 1}), "utf-8")
    (folder / "progress.jsonl").write_text(json.dumps({"entry": exams["flagged"].number}) + "\n", "utf-8")
    held = hold(folder / "order.json")
    assert held is not None
    token = browser_cookies[COOKIE] = shared().begin(DEMO_READER, None)
    began = shared().find(token, touch=False)

    def looks_again() -> None:
        from ui.screens.bring_in import _listed

        _listed(True)

    app = AppTest.from_function(looks_again, default_timeout=60).run()
    os.close(held)
    assert not app.exception
    assert "by ada" in words(app)
    assert shared().find(token, touch=False) == began
    current_actor()
    assert shared().find(token, touch=False) != began


def test_an_import_that_ended_early_offers_its_files_and_waits_for_an_answer(
    exams: dict[str, Entry], home: Path
) -> None:
    folder = set_aside(home, [("a.dcm", io.BytesIO(b"a"))])
    (folder / "order.json").write_text(json.dumps({"who": "ada", "files": 1}), "utf-8")
    app = opened("bring_in")
    assert "ended early, 0 of its exams done" in words(app)
    assert [block.value for block in app.error] == ["The server was stopped before this import ended."]
    app.button(key=f"import_remove_{folder.name}").click().run()
    assert not (folder / "files").exists()
    assert not [button for button in app.button if button.key == f"import_remove_{folder.name}"]
    assert "The server was stopped" in words(app)
