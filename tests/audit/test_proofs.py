"""Proofs and exports: those of pymerkle, on both databases, after a change of keys, and none of what was altered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from pymerkle import InmemoryTree
from sqlalchemy import event, make_url
from typer.testing import CliRunner

from audit.cli import app
from audit.database import reading
from audit.entries import EntryDraft
from audit.merkle import inclusion_path, leaf_hash, root_of
from audit.proofs import prove, range_roots
from audit.room import Room, open_room
from audit.rotation import rotate_key
from audit.signing import Checkpoint
from tests.audit.attacking import SIZE, attack, body_of
from tests.audit.conftest import READER
from tests.audit.proving import verified_alone

#: Entries of one commit after another: alone, in small batches, and more at once than is fetched at once.
COMMITS = (*([1] * 30), 1000, 7, 1, 1, 1500, *([1] * 20), 600)
TOTAL = 1 + sum(COMMITS)


def draft(place: int) -> EntryDraft:
    """Any entry."""
    return EntryDraft("exam opened", {"entry": 3, "exam_id": f"exam-{place}"}, "reader-1", "radiologist")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def long_room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A room of many entries in commits of many sizes."""
    url = None
    if request.param == "postgresql":
        server = make_url(request.getfixturevalue("postgresql_server"))
        with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as conn:
            conn.execute("CREATE DATABASE long_room")
        url = server.set(database="long_room").render_as_string(hide_password=False)
    with open_room(tmp_path_factory.mktemp("long") / "home", url, create=True) as room:
        for size in COMMITS:
            room.ledger.append([draft(place) for place in range(size)])
        yield room


@pytest.fixture(scope="module")
def oracle(long_room: Room) -> InmemoryTree:
    """The same tree by pymerkle, from the bodies."""
    tree = InmemoryTree(algorithm="sha256")
    for entry in reversed(long_room.ledger.entries()):
        tree.append_entry(entry.body)
    return tree


def run(home: Path, *words: str) -> Result:
    """One command on this home."""
    return CliRunner().invoke(app, [*words, "--home", str(home)])


def test_proofs_are_those_of_pymerkle(long_room: Room, oracle: InmemoryTree) -> None:
    for number in (1, 2, 31, 32, 1024, 1025, 1031, 1032, 2048, 2049, 2540, 3100, TOTAL):
        proof = prove(long_room, number)
        assert proof.checkpoint.root == oracle.get_root(TOTAL).hex()
        # pymerkle's path begins with the leaf itself.
        path = [bytes.fromhex(node) for node in oracle.prove_inclusion(number, TOTAL).serialize()["path"]]
        assert [bytes.fromhex(proof.entry.leaf), *proof.path] == path, number


def test_a_proof_extends_every_older_checkpoint(long_room: Room) -> None:
    for number in (1, 2, 17, 32, 1031, 1040, 2550, TOTAL):
        older = long_room.ledger.checkpoint(number)
        assert prove(long_room, 1, older).older == older


def test_a_proof_asks_little_of_the_database(long_room: Room) -> None:
    asked: list[str] = []

    def note(conn: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    with reading(long_room.ledger.engine) as conn:
        roots = range_roots(conn)
        event.listen(conn, "before_cursor_execute", note)
        inclusion_path(5, TOTAL, roots)
    assert len(asked) <= 6


def test_ranges_are_those_of_the_leaves(long_room: Room) -> None:
    leaves = long_room.ledger.leaves(TOTAL)
    with reading(long_room.ledger.engine) as conn:
        roots = range_roots(conn)
        for start, stop in ((0, 2048), (0, 1024), (1024, 2048), (2048, TOTAL), (0, 1), (2048, 3072), (3072, TOTAL)):
            assert roots(start, stop) == root_of(leaves[start:stop]), (start, stop)


def test_an_export_holds_every_stored_byte(home: Path, room: Room, tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    assert run(home, "export", "-o", str(path)).exit_code == 0
    head, *lines, end = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    entries = [line for line in lines if "entry" in line]
    assert [line["entry"].encode() for line in entries] == [room.ledger.entry(n).body for n in range(1, SIZE + 1)]
    notes = [line["checkpoint"] for line in lines if "checkpoint" in line]
    assert notes == [room.ledger.checkpoint(n).note for n in range(1, SIZE + 1)]
    assert (head["checkpoint"], head["vkeys"]) == (notes[-1], [room.public_key.vkey])
    assert (end["size"], end["root"]) == (SIZE, Checkpoint.from_note(notes[-1]).root)
    assert (path.stat().st_mode & 0o777, list(tmp_path.glob(".new-*"))) == (0o600, [])


def test_an_export_of_many_commits_is_verified_alone(long_room: Room, tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    words = ["--ledger", long_room.ledger.engine.url.render_as_string(hide_password=False)]
    assert run(long_room.home, "export", "--since", "1500", "-o", str(path), *words).exit_code == 0
    code, said = verified_alone(path, long_room.public_key.vkey)
    assert (code, f"as entries 1500 to {TOTAL}" in said) == (0, True), said


def test_after_a_change_of_keys_the_old_one_proves_old_checkpoints_alone(home: Path, tmp_path: Path) -> None:
    with open_room(home) as room:
        old, kept = room.public_key.vkey, room.ledger.checkpoint(SIZE).note
        (tmp_path / "kept.note").write_text(kept, encoding="utf-8")
        rotate_key(room, "yearly", READER)
    with open_room(home) as room:
        new = room.public_key.vkey
        room.ledger.append([draft(1)])
    proof, export = tmp_path / "proof.json", tmp_path / "export.jsonl"
    assert run(home, "prove", "3", "-o", str(proof)).exit_code == 0
    assert (verified_alone(proof, new)[0], verified_alone(proof, old)[0], verified_alone(proof, old, new)[0]) == (
        0,
        1,
        1,
    )
    assert run(home, "prove", "3", "--from", str(tmp_path / "kept.note"), "-o", str(proof)).exit_code == 0
    assert (verified_alone(proof, new)[0], verified_alone(proof, new, old)[0]) == (1, 0)
    assert run(home, "export", "-o", str(export)).exit_code == 0
    assert (
        verified_alone(export, new)[0],
        verified_alone(export, old, new)[0],
        verified_alone(export, new, old)[0],
    ) == (1, 1, 0)


def test_what_was_altered_is_neither_proved_nor_exported(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    altered = body_of(home, 9).replace(b"agree", b"refer")
    attack(home, "UPDATE entry SET body = ?, leaf = ? WHERE number = 9", parameters=(altered, leaf_hash(altered).hex()))
    for words in (("prove", "9", "-o", str(path)), ("prove", "3", "-o", str(path)), ("export", "-o", str(path))):
        done = run(home, *words)
        assert (done.exit_code, "cannot be proved: the checkpoint covers other bytes" in done.stderr) == (1, True), (
            words
        )
    assert list(tmp_path.glob("*file*")) == []
    assert list(tmp_path.glob(".new-*")) == []


def test_a_shorter_or_another_ledger_does_not_extend_the_checkpoint_kept(home: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.note"
    with open_room(home) as room:
        room.ledger.append([draft(1)])
        kept.write_text(room.ledger.checkpoint(SIZE + 1).note, encoding="utf-8")
    attack(home, f"DELETE FROM entry WHERE number > {SIZE}", f"DELETE FROM checkpoint WHERE size > {SIZE}")
    done = run(home, "prove", "3", "--from", str(kept))
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"entries {SIZE + 1} to {SIZE + 1}: missing" in done.stderr
    with open_room(tmp_path / "other", create=True) as other:
        kept.write_text(other.ledger.checkpoint(1).note, encoding="utf-8")
    assert run(home, "prove", "3", "--from", str(kept)).exit_code == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("prove", "99"), "entry 99: there is none of that number"),
        (("prove", "3", "--size", "99"), "checkpoint: got size 99, expected"),
        (("prove", "3", "--from", "/nowhere/kept.note"), "anchors: cannot read kept.note"),
        (("prove", "3", "-o", "/nowhere/proof.json"), "the file cannot be written there"),
        (("export", "-o", "/nowhere/export.jsonl"), "the file cannot be written there"),
        (("export", "--since", "99", "-o", "/nowhere"), "entry 99: there is none of that number"),
    ],
)
def test_what_cannot_be_proved_is_one_line(home: Path, words: tuple[str, ...], sentence: str) -> None:
    done = run(home, *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr
