"""Imports: what is taken in, what an archive may not do, and real exams scored by a process of their own."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from audit.service import Actor, LedgerFilter, ledger_page, open_room
from medproto.errors import InputError
from tests.factories import train_tiny
from ui import importing
from ui.importing import Target, begin, imports, set_aside

ADA = Actor("ada", "reader")


def zipped(**members: bytes) -> io.BytesIO:
    """A zip of these members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content


def kept(folder: Path) -> list[str]:
    """Names of the files that an import holds."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_files_of_a_zip_lie_under_numbers_and_inside_the_import(tmp_path: Path) -> None:
    archive = zipped(**{"../../DOE^JANE.dcm": b"one", "a/b/two.dcm": b"two"})
    folder = set_aside(tmp_path, [("DOE^JANE.zip", archive), ("three.dcm", io.BytesIO(b"three"))])
    assert kept(tmp_path) == kept(folder) == ["000001.dcm", "000002.dcm", "000003.dcm"]


def test_an_archive_that_unpacks_to_too_much_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match="expected less"):
        set_aside(tmp_path, [("a.zip", zipped(**{"zeros.dcm": bytes(2000)}))])
    assert kept(tmp_path) == []


def test_more_files_than_an_import_may_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_FILES", 2)
    with pytest.raises(InputError, match="got more than 2 files"):
        set_aside(tmp_path, [("a.zip", zipped(**{f"{i}.dcm": b"" for i in range(3)}))])


def test_what_only_claims_to_be_a_zip_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got a zip that cannot be unpacked"):
        set_aside(tmp_path, [("a.zip", io.BytesIO(b"no zip"))])


def test_an_import_is_scored_in_the_readers_name_and_its_files_are_removed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trained = train_tiny(tmp_path_factory.getbasetemp() / "tiny")
    home = tmp_path / "home"
    open_room(home, create=True).close()
    good = trained.paths()[0].read_bytes()
    folder = set_aside(home, [("exam.zip", zipped(**{"good.dcm": good, "bad.dcm": b"no DICOM"}))])
    assert [one.ended for one in imports(home)] == []
    begin(folder, Target(home, None, trained.bundle_path), ADA).join()
    (done,) = imports(home)
    assert (done.who, done.files, done.exams, done.ended) == ("ada", 2, 2, 3)
    with open_room(home) as room:
        kinds = {room.ledger.entry(number).kind for number in done.entries}
        actors = {(e.actor, e.role) for e in ledger_page(room, LedgerFilter(kind="intent")).entries}
    assert kinds == {"prediction", "refusal"}
    assert actors == {("ada", "reader")}
    assert not any(name.endswith(".dcm") for name in kept(folder))


def test_an_import_that_its_server_left_behind_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = set_aside(tmp_path, [("a.dcm", io.BytesIO(b""))])
    (folder / "order.json").write_text('{"who": "ada", "files": 1, "server": 0}', "utf-8")
    (left,) = imports(tmp_path)
    assert "The server was stopped" in left.said
    assert kept(folder) == ["order.json"]
