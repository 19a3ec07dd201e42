"""The worklist's keys, orders and pages over more exams than one page holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from audit.service import Actor, BundleScorer, Opinion, open_room, review, score_exam
from medproto.records import OperatingPoint
from tests.audit.factory import BUNDLE_ID, make_scored
from tests.ui.conftest import opened, words

PAGE, SEVERAL = 14, 16


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """A home, and its flagged exams as they were scored; each lies farther over its point than the one before."""
    home, found = tmp_path_factory.mktemp("waiting") / "home", []
    with open_room(home, create=True) as room:
        for place in range(SEVERAL):
            point = OperatingPoint(margin=4.0 - place / 8, rule="by hand", sensitivity=0.9, specificity=0.9)
            scored = make_scored("flagged", f"many-{place}", operating_point=point)
            judge = BundleScorer(BUNDLE_ID, "factory-phantom", lambda paths, pseudonymise, scored=scored: scored)
            found.append(score_exam(room, [], judge, Actor("ada.scorer", "service")).number)
    return home, found


@pytest.fixture
def numbers(waiting: tuple[Path, list[int]], home: Path) -> list[int]:
    """The application over a copy of that home; the entries of its exams."""
    shutil.copytree(waiting[0], home)
    return waiting[1]


def listed(app: AppTest) -> list[int]:
    """Entries on the page of the worklist, in order."""
    return [
        int(str(b.key).removeprefix("open_"))
        for b in app.button
        if str(b.key).startswith("open_") and b.key[5:].isdecimal()
    ]


def test_the_farthest_over_the_operating_point_comes_first_or_what_waits_longest(numbers: list[int]) -> None:
    app = opened()
    assert listed(app) == numbers[::-1][:PAGE]
    app.selectbox(key="worklist_order").set_value("Longest waiting first").run()
    assert listed(app) == numbers[:PAGE]


def test_the_keys_go_over_the_edge_of_a_page_and_to_both_ends(numbers: list[int]) -> None:
    app, order = opened(), numbers[::-1]
    app.button(key="page_on").click().run()
    app.button(key="up").click().run()
    assert listed(app) == order[:PAGE]
    app.button(key="down").click().run()
    assert listed(app) == order[PAGE:]
    app.button(key="last").click().run()
    assert listed(app) == order[PAGE:]
    assert [app.button(key=name).disabled for name in ("down", "last", "page_on")] == [True, True, True]
    app.button(key="open_marked").click().run()
    assert app.session_state["exam_entry"] == str(order[-1])


def test_place_and_filters_are_as_they_were_left_after_an_exam(numbers: list[int]) -> None:
    app = opened()
    app.selectbox(key="worklist_order").set_value("Longest waiting first").run()
    app.segmented_control(key="worklist_kind").set_value("All").run()
    app.button(key="page_on").click().run()
    app.button(key=f"open_{numbers[-1]}").click().run()
    app.switch_page("screens/worklist.py").run()
    assert listed(app) == numbers[PAGE:]
    assert app.segmented_control(key="worklist_kind").value == "All"
    app.button(key="open_marked").click().run()
    assert app.session_state["exam_entry"] == str(numbers[-1])


def test_another_list_begins_at_its_head(numbers: list[int]) -> None:
    app = opened()
    app.button(key="last").click().run()
    app.segmented_control(key="worklist_kind").set_value("All").run()
    assert listed(app) == numbers[::-1][:PAGE]


def test_next_exam_goes_on_in_the_order_of_the_worklist_and_never_back(numbers: list[int]) -> None:
    app = opened()
    app.selectbox(key="worklist_order").set_value("Longest waiting first").run()
    app.button(key=f"open_{numbers[1]}").click().run()
    passed = []
    for _ in range(3):
        app.button(key="next").click().run()
        passed.append(int(app.session_state["exam_entry"]))
    assert passed == numbers[2:5]


def test_what_is_empty_because_all_is_read_says_so(numbers: list[int], home: Path) -> None:
    with open_room(home) as room:
        for number in numbers[:-1]:
            review(room, number, Opinion(verdict="agree"), Actor("ada", "reader"))
    app = opened("exam", numbers[-1])
    app.button(key="key_y").click().run()
    app.button(key=f"sign_{numbers[-1]}").click().run()
    assert "No other exam waits." in words(app)
    app.switch_page("screens/worklist.py").run()
    assert "No exam under “Flagged” waits for a reading." in words(app)
    app.segmented_control(key="worklist_kind").set_value("All").run()
    assert "Every exam has been read." in words(app)
