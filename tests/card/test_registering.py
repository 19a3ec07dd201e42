"""A model in a room: its bundle, its neighbours, its evaluation and its card, each once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.entries import Entry
from audit.room import open_room, verify_room
from audit.service import bundles, known_prototypes, model_card
from medproto.card.html import html
from medproto.card.make import make_card
from tests.card.factory import Page, Written, run


def registered(home: Path) -> list[Entry]:
    """The entries about models, oldest first."""
    with open_room(home) as room:
        kinds = ("bundle registered", "evaluation run")
        return [entry for entry in reversed(room.ledger.entries()) if entry.kind in kinds]


@pytest.fixture
def home(written: Written, tmp_path: Path) -> Path:
    """A room in which the tiny bundle and its evaluation were registered."""
    run("register", str(written.trained.bundle_path), "--home", str(tmp_path / "home"))
    register_evaluated(written, tmp_path / "home")
    return tmp_path / "home"


def register_evaluated(written: Written, home: Path) -> None:
    """The same with the evaluation."""
    bundle, evaluation = str(written.trained.bundle_path), str(written.evaluation)
    said = run("register", bundle, "--evaluation", evaluation, "--home", str(home))
    assert said == f"bundle and evaluation in the ledger: tiny, {written.trained.bundle_id}"


def test_bundle_and_evaluation_are_written_once(written: Written, home: Path) -> None:
    register_evaluated(written, home)
    assert [entry.kind for entry in registered(home)] == ["bundle registered", "evaluation run"]
    figures = registered(home)[1].payload["results"]
    told = json.loads(written.evaluation.read_text())
    assert figures == {name: told[name] for name in figures}
    assert {"auroc", "sensitivity", "split"} <= figures.keys()
    assert "calibration" not in figures


def test_the_room_has_the_neighbours_that_the_bundle_keeps(written: Written, home: Path) -> None:
    bundle = written.trained.bundle()
    with open_room(home) as room:
        known = known_prototypes(room, bundle.bundle_id)
        assert [dict(one) for one in known] == [dict(entry) for entry in bundle.manifest.prototypes]
        assert all(room.evidence.check(patch) for patch in bundle.pictures)


def test_the_room_knows_what_the_model_learnt_from(written: Written, home: Path) -> None:
    told = written.trained.bundle().manifest
    with open_room(home) as room:
        (known,) = bundles(room)
    assert (known.data_name, known.synthetic) == (told.data_name, told.synthetic) == ("tiny cohort", True)
    assert known.splits is not None
    assert told.data is not None
    assert known.splits.keys() == told.data.splits.keys()
    assert known.splits["train"]["patients"] == told.data.splits["train"].patients


def test_the_card_kept_is_the_card_that_the_command_writes(written: Written, home: Path) -> None:
    bundle = written.trained.bundle()
    first, second = (entry.payload["card"] for entry in registered(home))
    with open_room(home) as room:
        assert room.evidence.get(first).decode() == html(make_card(bundle, None))
        newest = model_card(room, bundle.bundle_id)
        assert newest == room.evidence.get(second) == (written.folder / "card.html").read_bytes()
        assert verify_room(room).verified
    told = Page(newest.decode()).text
    assert told.count("of 5 of its class, by chance") == len(bundle.manifest.prototypes)
