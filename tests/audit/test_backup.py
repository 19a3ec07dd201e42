"""Backup and restore: an older state is recognised, and goes on only with its gap named; SQLite and PostgreSQL."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from audit.backup import make_backup
from audit.cli import app
from audit.dumping import find_tool
from audit.entries import EntryDraft
from audit.erasure import erase, finish_erasures
from audit.evidence import sealed_of
from audit.findings import Verification
from audit.identity import secret_behind
from audit.restoring import RestoreOrder, restore
from audit.room import open_room, verify_room
from audit.rotation import key_history, rotate_key
from audit.signing import KEY_FILE, PublicKey
from medproto.errors import AuditError, KeyProblem, LedgerTampered, LedgerUnavailable
from tests.audit.attacking import SIZE, append_one, attack
from tests.audit.factory import make_scored
from tests.audit.test_rotation import ADMIN, sentences


def older_backup(home: Path, folder: Path) -> list[str]:
    """A backup of 11 entries, three more entries after it, and the checkpoints of those."""
    with open_room(home) as room:
        make_backup(room, folder)
        for _ in range(3):
            append_one(room)
        return [room.ledger.checkpoint(number).note for number in (12, 13, 14)]


def verified(home: Path, *anchors: Path) -> Verification:
    """Verification of the room in this home."""
    with open_room(home) as room:
        return verify_room(room, anchors)


def test_an_older_state_is_refused_and_then_restored_with_its_gap_named(home: Path, tmp_path: Path) -> None:
    older_backup(home, tmp_path / "backup")
    assert verified(home).size == 14
    order = RestoreOrder(tmp_path / "backup", home, reason="disk failure")
    words = "older than the head remembered, which covers 14: entries 12 to 14 would be lost"
    with pytest.raises(AuditError, match=words):
        restore(order, ADMIN)
    assert verified(home).size == 14, "a refusal leaves everything as it was"
    entry = restore(RestoreOrder(tmp_path / "backup", home, reason="disk failure", accept_older=True), ADMIN)
    assert (entry.number, entry.kind, entry.payload["known_size"]) == (12, "restored", 14)
    with open_room(home) as room:
        append_one(room)
    for _ in range(2):
        result = verified(home)
        assert (result.size, sentences(result)) == (13, [])
        assert "entry 12: restored from a backup of 11 entries; lost: entries 12 to 14." in result.notices
    assert len(list(home.glob("ledger.sqlite.replaced-*"))) == 1


def test_patients_erased_since_the_backup_are_erased_again(home: Path, tmp_path: Path) -> None:
    patient, other = (make_scored(exam=exam).prediction.patient_id for exam in ("0", "1"))
    with open_room(home) as room:
        make_backup(room, tmp_path / "backup")
        erase(room, patient, "order", ADMIN)
        finish_erasures(room)
    entry = restore(RestoreOrder(tmp_path / "backup", home, reason="disk failure", accept_older=True), ADMIN)
    with open_room(home) as room:
        again = room.ledger.entry(entry.number + 1)
        assert (again.kind, again.payload["patient_id"], again.payload["reason"]) == ("erasure", patient, "order")
        assert secret_behind(room.ledger.engine, patient) is None
        assert secret_behind(room.ledger.engine, other) is not None
        sealed = sealed_of(room.ledger.entry(3).payload)
        assert not any(room.evidence.present(name) for name in sealed.values())
    assert sentences(verified(home)) == []


def test_an_erasure_that_the_replaced_ledger_cannot_prove_is_not_repeated(home: Path, tmp_path: Path) -> None:
    patient = make_scored(exam="0").prediction.patient_id
    with open_room(home) as room:
        make_backup(room, tmp_path / "backup")
        erase(room, patient, "order", ADMIN)
    attack(home, "UPDATE entry SET leaf = '" + "00" * 32 + "' WHERE number = 12")
    restore(RestoreOrder(tmp_path / "backup", home, reason="disk failure", accept_older=True), ADMIN)
    with open_room(home) as room:
        assert secret_behind(room.ledger.engine, patient) is not None


def test_checkpoints_over_lost_entries_are_told_from_those_since(home: Path, tmp_path: Path) -> None:
    lost, anchor = older_backup(home, tmp_path / "backup"), tmp_path / "anchor.txt"
    anchor.write_text("\n".join(lost))
    (home / "ledger.sqlite").unlink()
    order = RestoreOrder(tmp_path / "backup", home, anchors=(anchor,), accept_older=True, reason="deleted")
    restore(order, ADMIN)
    with open_room(home) as room:
        signer = room.ledger.signer
        for _ in range(3):
            append_one(room)
        since = room.ledger.checkpoint(13)
    assert signer is not None
    result = verified(home, anchor)
    assert sentences(result) == []
    assert "anchor anchor.txt: 3 of its checkpoints cover entries that a restore lost." in result.notices
    anchor.write_text(signer.sign(13, bytes(32)).note)
    assert "entry 13: the entries up to here are not those that anchor anchor.txt covers." in sentences(
        verified(home, anchor)
    )
    anchor.write_text(since.note)
    assert sentences(verified(home, anchor)) == []


def test_a_gap_that_was_understated_is_a_fault(home: Path, tmp_path: Path) -> None:
    lost, anchor = older_backup(home, tmp_path / "backup"), tmp_path / "anchor.txt"
    (home / "ledger.sqlite").unlink()
    restore(RestoreOrder(tmp_path / "backup", home, reason="deleted"), ADMIN)
    anchor.write_text(lost[-1])
    assert sentences(verified(home, anchor)) == ["entries 13 to 14: missing: anchor anchor.txt covers 14 entries."]


def test_a_database_put_back_without_a_restore_is_a_return_to_an_older_state(home: Path, tmp_path: Path) -> None:
    older_backup(home, tmp_path / "backup")
    assert verified(home).verified
    shutil.copy(tmp_path / "backup" / "ledger.sqlite", home / "ledger.sqlite")
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (home / name).unlink(missing_ok=True)
    assert sentences(verified(home)) == ["entries 12 to 14: missing: the head remembered covers 14 entries."]


def test_a_backup_goes_to_another_machine_without_its_private_key(home: Path, tmp_path: Path) -> None:
    with open_room(home) as room:
        make_backup(room, tmp_path / "backup")
        old = room.public_key
    assert not list((tmp_path / "backup").rglob(KEY_FILE))
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    order = RestoreOrder(tmp_path / "backup", tmp_path / "new", public_keys=(old,), reason="new machine")
    assert restore(order, ADMIN).payload["known_size"] == SIZE
    result = verified(tmp_path / "new")
    assert sentences(result) == []
    assert any("its new key was signed in by none before it" in notice for notice in result.notices)
    with open_room(tmp_path / "new") as room:
        append_one(room)
        assert sentences(verify_room(room, (), [old])) != [], "the old key alone vouches for nothing after"


def test_with_its_private_key_a_backup_vouches_for_what_follows(home: Path, tmp_path: Path) -> None:
    with open_room(home) as room:
        make_backup(room, tmp_path / "backup", private_key=True)
        old = room.public_key
    restore(RestoreOrder(tmp_path / "backup", tmp_path / "new", reason="new machine"), ADMIN)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new" / "keys").iterdir()} == {0o600}
    with open_room(tmp_path / "new") as room:
        assert sentences(verify_room(room, (), [old])) == []


def test_a_key_changed_after_the_backup_is_retired_with_it(home: Path, tmp_path: Path) -> None:
    older_backup(home, tmp_path / "backup")
    with open_room(home) as room:
        first = room.public_key
        rotate_key(room, "yearly change", ADMIN)
        second = room.public_key
    order = RestoreOrder(tmp_path / "backup", home, reason="disk failure", accept_older=True)
    with pytest.raises(KeyProblem, match="no key given or here signs in the backup"):
        restore(order, ADMIN)
    known = RestoreOrder(tmp_path / "backup", home, None, (), (first,), True, "disk failure")
    assert restore(known, ADMIN).payload["known_size"] == 15
    with open_room(home) as room:
        assert [period.key for period in key_history(room.ledger)] == [first, second, room.public_key]
        for given in ([], [second, room.public_key], [first, second, room.public_key]):
            assert sentences(verify_room(room, (), given)) == []


@pytest.mark.parametrize("name", ["ledger.sqlite", "keys/ledger.pub", "backup.json"])
def test_an_altered_backup_is_refused(home: Path, tmp_path: Path, name: str) -> None:
    older_backup(home, tmp_path / "backup")
    path = tmp_path / "backup" / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(AuditError, match="backup: "):
        restore(RestoreOrder(tmp_path / "backup", home, reason="disk failure", accept_older=True), ADMIN)


def test_a_backup_of_a_tampered_ledger_is_not_restored(home: Path, tmp_path: Path) -> None:
    attack(home, "UPDATE entry SET actor = 'nobody' WHERE number = 3")
    with open_room(home) as room:
        make_backup(room, tmp_path / "backup")
    with pytest.raises(LedgerTampered, match="entry 3: its column actor differs"):
        restore(RestoreOrder(tmp_path / "backup", tmp_path / "new", reason="disk failure"), ADMIN)
    assert not list((tmp_path / "new").glob("ledger.sqlite*"))


def test_evidence_that_was_lost_comes_back(home: Path, tmp_path: Path) -> None:
    with open_room(home) as room:
        make_backup(room, tmp_path / "backup")
    shutil.rmtree(home / "evidence")
    assert not verified(home).verified
    restore(RestoreOrder(tmp_path / "backup", home, reason="evidence deleted"), ADMIN)
    assert sentences(verified(home)) == []


def test_a_ledger_on_postgresql_is_backed_up_and_restored(
    postgresql: str, postgresql_server: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with open_room(home, postgresql, create=True) as room:
        append_one(room)
        make_backup(room, tmp_path / "backup")
        append_one(room)
        assert verify_room(room).size == 3
    order = RestoreOrder(tmp_path / "backup", home, postgresql, reason="server lost", accept_older=True)
    with pytest.raises(LedgerUnavailable, match="holds a ledger already"):
        restore(order, ADMIN)
    with psycopg.connect(postgresql, autocommit=True) as conn:
        conn.execute("DROP SCHEMA public CASCADE")
        conn.execute("CREATE SCHEMA public")
    older = RestoreOrder(tmp_path / "backup", home, postgresql, reason="server lost")
    with pytest.raises(AuditError, match="older than the head remembered, which covers 3: entry 3 would be lost"):
        restore(older, ADMIN)
    assert restore(order, ADMIN).number == 3
    with open_room(home, postgresql) as room:
        append_one(room)
        result = verify_room(room)
        assert sentences(result) == []
        assert "entry 3: restored from a backup of 2 entries; lost: entry 3." in result.notices
        assert not any("trigger" in notice for notice in result.notices)


def test_the_commands_back_up_restore_and_anchor(home: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*arguments, "--home", str(home)])
        return result.exit_code, result.output

    backup, anchor = str(tmp_path / "backup"), str(tmp_path / "anchor.txt")
    assert run("backup", backup)[0] == 0
    assert run("backup", backup) == (2, "backup: expected a new or an empty directory\n")
    assert run("anchor", anchor)[0] == 0
    assert "checkpoint over 11 entries was anchored; no anchor given covers as many" in run("verify")[1]
    code, text = run("verify", "--anchors", anchor)
    assert code == 0
    assert "used anchor anchor.txt, its newest checkpoint of 1 over 11 entries" in text
    assert run("restore", backup, "--why", "test")[0] == 2
    code, text = run("restore", backup, "--why", "test", "--accept-older")
    assert (code, "lost: entry 12;" in text) == (0, True)
    assert PublicKey.from_vkey(run("key")[1].strip()).vkey in text
    code, text = run("verify", "--json", "--anchors", anchor)
    assert (code, json.loads(text)["verified"]) == (0, True)
    assert len(run("key", "--all")[1].splitlines()) == 2


def test_without_the_tool_of_the_servers_version_a_sentence_says_so() -> None:
    with pytest.raises(LedgerUnavailable, match="pg_dump: found none of version 1, as the server is"):
        find_tool("pg_dump", 1)


@given(st.lists(st.sampled_from(["append", "batch", "rotate", "backup", "restore"]), min_size=4, max_size=9))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_history_of_keys_and_restores_verifies_with_every_checkpoint_ever_made(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        home, anchor, backups = Path(name) / "home", Path(name) / "anchor.txt", [Path(name) / "first"]
        with open_room(home, create=True, anchors=anchor) as room:
            make_backup(room, backups[0])
            keys = [room.public_key]
            append_one(room)
        for number, step in enumerate(steps):
            if step == "restore":
                order = RestoreOrder(backups[-1], home, None, (anchor,), tuple(keys), True, "property")
                restore(order, ADMIN)
            with open_room(home, anchors=anchor) as room:
                if step == "append":
                    append_one(room)
                elif step == "batch":
                    room.ledger.append([EntryDraft("exam opened", {"entry": 1, "exam_id": "e"}, "r", "r")] * 3)
                elif step == "rotate":
                    rotate_key(room, "property", ADMIN)
                elif step == "backup":
                    backups.append(Path(name) / str(number))
                    make_backup(room, backups[-1], [anchor])
                if room.public_key not in keys:
                    keys.append(room.public_key)
                result = verify_room(room, [anchor])
                assert sentences(result) == [], steps
                assert result.size == room.ledger.count()
