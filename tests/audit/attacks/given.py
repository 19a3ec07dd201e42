"""A ledger of somebody else's: a home, or a bare SQLite database. It is copied once, and never opened itself."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text

from audit.database import read_url
from audit.entries import decode
from audit.keychain import named_keys
from audit.ledger import open_ledger
from audit.room import EVIDENCE, KEYS, LEDGER_FILE
from audit.signing import KEY_FILE, NEXT_FILE, PUBLIC_FILE, Checkpoint, PublicKey, load_public, load_signer, read_notes
from medproto.errors import AuditError
from tests.audit.attacks.copies import Copier, Known, copier_of, copy_database


@dataclass(frozen=True)
class Given:
    """What the command line named."""

    place: Path
    public_key: str | None = None
    anchors: Path | None = None
    bundle: Path | None = None


def given_copier(given: Given, folder: Path, seed: int = 1) -> tuple[Copier, list[str]]:
    """Copies of that ledger, and what was assumed about it.

    Raises:
        AuditError: there is no ledger, or it has too few entries to be attacked.
    """
    database = given.place / LEDGER_FILE if given.place.is_dir() else given.place
    if not database.is_file():
        raise AuditError("ledger: got no SQLite database there, expected a home or a database file")
    home, scratch = folder / "home", folder / "scratch"
    for directory in (home, scratch):
        directory.mkdir(parents=True)
    copy_database(database, home / LEDGER_FILE)
    open_ledger(home / LEDGER_FILE, None, may_upgrade=True).close()
    evidence = given.place / EVIDENCE if given.place.is_dir() else None
    if evidence is not None and evidence.is_dir():
        shutil.copytree(evidence, home / EVIDENCE)
    known, assumed = _known(given, home / LEDGER_FILE, folder)
    return copier_of(home, read_url(home / LEDGER_FILE), known, scratch, seed), assumed


def _known(given: Given, database: Path, folder: Path) -> tuple[Known, list[str]]:
    assumed = []
    notes, named = _read(database)
    if given.public_key is not None:
        key = PublicKey.from_vkey(given.public_key)
    else:
        key = _own_key(given.place, named)
        assumed.append("no public key was given: the ledger's own stands for one obtained elsewhere")
    anchors = folder / "anchors.txt"
    if given.anchors is not None:
        shutil.copyfile(given.anchors, anchors)
    else:
        size = Checkpoint.from_note(notes[-1]).size
        anchors.write_text(next(n for n in notes[::-1] if 4 * Checkpoint.from_note(n).size <= 3 * size), "utf-8")
        assumed.append("no anchors were given: a checkpoint over three quarters of the entries stands for one")
    anchored = max(Checkpoint.from_note(note).size for note in read_notes(anchors))
    keys, signer = given.place / KEYS, None
    if (keys / KEY_FILE).is_file() and not (keys / NEXT_FILE).exists():
        signer = load_signer(keys)
    return Known(key, anchors, anchored, notes[-1], signer=signer, bundle=given.bundle), assumed


def _own_key(place: Path, named: list[PublicKey]) -> PublicKey:
    return load_public(place / KEYS) if (place / KEYS / PUBLIC_FILE).is_file() else named[-1]


def _read(database: Path) -> tuple[list[str], list[PublicKey]]:
    """The notes of all checkpoints and the keys that the entries name, oldest first."""
    engine = create_engine(read_url(database))
    with engine.connect() as conn:
        notes = list(conn.execute(text("SELECT note FROM checkpoint ORDER BY size")).scalars())
        kinds = "'ledger created', 'key rotated', 'restored'"
        bodies = conn.execute(text(f"SELECT body FROM entry WHERE kind IN ({kinds}) ORDER BY number")).scalars().all()
    engine.dispose()
    if len(notes) < 4:
        raise AuditError(f"ledger: got {len(notes)} checkpoints, expected 4 or more, or there is nothing to cut")
    return notes, named_keys([decode(body) for body in bodies])
