"""Backup: one state of the ledger with what belongs to it, in a directory of its own.

A backup holds:

1. The database as one read transaction sees it (SQLite's online backup, or `pg_dump`), while others go on appending.
2. Every file of the evidence store that an entry of that state names; evidence is copied after, and never precedes it.
3. The public keys; the private key only when asked for.
4. The anchors given and the head that was remembered.
5. `backup.json`, written last: digests of all but the evidence, whose names are digests. Without it it is no backup.

It holds the identity table, and so the patients' identifiers and secrets: it is to be kept as the ledger itself.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import Field, ValidationError
from sqlalchemy import Connection, Engine

from audit.database import reading
from audit.dumping import dump
from audit.entries import format_time
from audit.evidence import EvidenceStore, sync_directory
from audit.ledger import read_head
from audit.room import EVIDENCE, KEYS, REMEMBERED, Room
from audit.rotation import key_history
from audit.service import file_digest
from audit.signing import KEY_FILE, PUBLIC_FILE, Checkpoint
from medproto.errors import AuditError
from medproto.records import Digest, Record

MANIFEST, ANCHORS = "backup.json", "anchors"
DATABASES = {"sqlite": "ledger.sqlite", "postgresql": "ledger.dump"}


class Backup(Record):
    """What a backup says of itself; `note` is the signed checkpoint it ends in, `keys` all public keys so far."""

    format: Literal[1]
    database: Literal["sqlite", "postgresql"]
    note: str
    keys: Annotated[tuple[str, ...], Field(min_length=1)]
    created: str
    files: dict[str, Digest]

    @property
    def head(self) -> Checkpoint:
        """The checkpoint it ends in; its signature is for the verification to check."""
        return Checkpoint.from_note(self.note)


def make_backup(room: Room, out: Path, anchors: Sequence[Path] = (), private_key: bool = False) -> Backup:
    """Write a backup of this room into a new or empty directory.

    Args:
        room: the room, which others may go on using.
        out: directory of the backup, made for its owner alone (0700).
        anchors: files of checkpoints that are to be kept with it.
        private_key: also copy the key that signs: whoever holds that backup can write entries.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AuditError("backup: expected a new or an empty directory")
    database = cast(Literal["sqlite", "postgresql"], room.ledger.engine.dialect.name)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        out.chmod(0o700)
        with reading(room.ledger.engine) as conn:
            head = read_head(conn, room.public_key).checkpoint  # fixes the state that is read
            _copy_database(conn, room.ledger.engine, out / DATABASES[database])  # 1
        _copy_evidence(room.evidence, out / EVIDENCE)  # 2
        _copy_files(room, out, anchors, private_key)  # 3, 4
        named = [path for path in out.rglob("*") if path.is_file() and out / EVIDENCE not in path.parents]
        backup = Backup(
            format=1,
            database=database,
            note=head.note,
            keys=tuple(period.key.vkey for period in key_history(room.ledger) if period.first <= head.size),
            created=format_time(datetime.now(UTC)),
            files={path.relative_to(out).as_posix(): file_digest(path) for path in sorted(named)},
        )
        os.sync()
        (out / MANIFEST).write_text(backup.model_dump_json(indent=1) + "\n", "utf-8")  # 5
        sync_directory(out)
    except OSError as err:
        raise AuditError(f"backup: cannot write it ({err.strerror})") from err
    return backup


def read_backup(folder: Path) -> Backup:
    """Read what a backup says of itself and compare its files with it; AuditError where they differ."""
    try:
        backup = Backup.model_validate_json((folder / MANIFEST).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        raise AuditError(f"backup: expected a directory with {MANIFEST}: it is none, or it was cut short") from err
    except ValidationError as err:
        raise AuditError(f"backup: {MANIFEST} is not what `medproto audit backup` writes") from err
    if DATABASES[backup.database] not in backup.files:
        raise AuditError("backup: it names no database")
    for name, digest in backup.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise AuditError("backup: it names a file outside of itself")
        if not path.is_file() or file_digest(path) != digest:
            raise AuditError(f"backup: {Path(name).parts[0]} is absent or was altered since the backup was made")
    return backup


def backed_up_anchors(folder: Path) -> list[Path]:
    """Files of checkpoints in a backup: the anchors that were given, and the head that was remembered."""
    remembered = folder / REMEMBERED
    return [*sorted((folder / ANCHORS).glob("*.txt")), *([remembered] if remembered.exists() else [])]


def _copy_database(conn: Connection, engine: Engine, path: Path) -> None:
    if engine.dialect.name == "postgresql":
        dump(conn, engine.url, path)
        return
    copy = sqlite3.connect(path, isolation_level=None)
    try:
        source = cast(sqlite3.Connection, conn.connection.driver_connection)
        source.backup(copy)
        # One file, without a journal beside it that could be left behind.
        copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as err:
        raise AuditError(f"backup: the database cannot be copied ({type(err).__name__})") from err
    finally:
        copy.close()


def _copy_evidence(store: EvidenceStore, target: Path) -> None:
    """Copy the files as they are: whether they are what they are named, the verification of a restore says."""
    target.mkdir(mode=0o700)
    for path in store.root.glob("??/*"):
        if not path.name.startswith("."):
            (target / path.parent.name).mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(path, target / path.parent.name / path.name)


def _copy_files(room: Room, out: Path, anchors: Sequence[Path], private_key: bool) -> None:
    (out / KEYS).mkdir(mode=0o700)
    shutil.copy2(room.keys / PUBLIC_FILE, out / KEYS)
    if private_key:
        shutil.copy2(room.keys / KEY_FILE, out / KEYS)
    if (room.home / REMEMBERED).exists():
        shutil.copy2(room.home / REMEMBERED, out)
    if anchors:
        (out / ANCHORS).mkdir(mode=0o700)
    for number, path in enumerate(anchors):
        # Under a number: the name of a file may say more than it should.
        shutil.copyfile(path, out / ANCHORS / f"{number:02d}.txt")
