"""Copies that may be attacked: of a home with its evidence, or of a bare database; the original is only read.

Each attack gets a fresh copy. Of SQLite that is a file of its own; on PostgreSQL the tables are put back as they were.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, inspect

from audit.database import read_url
from audit.room import EVIDENCE, KEYS, LEDGER_FILE, Room, open_room
from audit.signing import PUBLIC_FILE, PublicKey, Signer
from tests.audit.attacks.owning import as_owner

#: Schema of a PostgreSQL database in which its tables are kept as they were.
_KEPT = "untouched"


@dataclass(frozen=True)
class Known:
    """What a verifier may hold of the untouched ledger, and what an attacker may.

    Args:
        key: the public key in force, obtained elsewhere.
        older: a public key retired since, None where none was.
        anchor: a checkpoint kept elsewhere, over `anchored` entries.
        head: the last checkpoint, as a verification before remembered it.
        signer: the live private key, None where the attacker has not got it.
        stolen: a private key retired since.
        bundle: the bundle that made the predictions, None where it is not at hand.
    """

    key: PublicKey
    anchors: Path
    anchored: int
    head: str
    older: PublicKey | None = None
    signer: Signer | None = None
    stolen: Signer | None = None
    bundle: Path | None = None


@dataclass(frozen=True)
class Copy:
    """One copy under attack: where it lies, how long its log was, and the seeded chance of the attack."""

    home: Path
    url: URL
    size: int
    known: Known
    chance: random.Random

    @contextmanager
    def owned(self) -> Iterator[Connection]:
        """The database, with no trigger in the way."""
        with as_owner(self.url) as conn:
            yield conn

    def room(self) -> Room:
        """The copy as a room, as the commands open it."""
        return open_room(self.home, None if self.url.get_backend_name() == "sqlite" else _text(self.url))

    def own_evidence(self) -> None:
        """Let the copy have files of its own; until then it reads those of the first copy. A bare database has none."""
        shared = (self.home / EVIDENCE).resolve()
        if not shared.is_dir():
            return
        (self.home / EVIDENCE).unlink()
        shutil.copytree(shared, self.home / EVIDENCE)


#: Makes the copy for the attack of that name.
Copier = Callable[[str], Copy]


def copier_of(home: Path, url: URL, known: Known, scratch: Path, seed: int = 1) -> Copier:
    """What copies this ledger into folders of `scratch`, again and again.

    Args:
        home: with the evidence; it must not change meanwhile.
        url: the database; SQLite, or a PostgreSQL database that the attacks may have.
    """
    postgresql = url.get_backend_name() == "postgresql"
    if postgresql:
        _keep_tables(url)
    else:
        copy_database(Path(str(url.database)), scratch / LEDGER_FILE)
    place = url if postgresql else read_url(scratch / LEDGER_FILE)
    with as_owner(place) as conn:
        size = int(conn.exec_driver_sql("SELECT count(*) FROM entry").scalar_one())

    def copy(name: str) -> Copy:
        folder = scratch / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / KEYS).mkdir(parents=True)
        (folder / KEYS / PUBLIC_FILE).write_text(known.key.vkey + "\n", "ascii")
        (folder / EVIDENCE).symlink_to((home / EVIDENCE).resolve())
        if postgresql:
            _put_tables_back(url)
        else:
            shutil.copyfile(scratch / LEDGER_FILE, folder / LEDGER_FILE)
        here = url if postgresql else read_url(folder / LEDGER_FILE)
        return Copy(folder, here, size, known, random.Random(f"{seed} {name}"))

    return copy


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite database at rest, with what its journal holds; the source is not even opened as a database."""
    for ending in ("", "-wal"):
        if Path(f"{source}{ending}").exists():
            shutil.copyfile(f"{source}{ending}", f"{target}{ending}")
    with sqlite3.connect(target) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()


def _keep_tables(url: URL) -> None:
    with as_owner(url) as conn:
        conn.exec_driver_sql(f"CREATE SCHEMA {_KEPT}")
        for table in inspect(conn).get_table_names():
            conn.exec_driver_sql(f"CREATE TABLE {_KEPT}.{table} AS SELECT * FROM {table}")


def _put_tables_back(url: URL) -> None:
    with as_owner(url) as conn:
        for table in inspect(conn).get_table_names():
            # First: a trigger that an attack left enabled for replicas would fire here.
            conn.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            conn.exec_driver_sql(f"DELETE FROM {table}")
            conn.exec_driver_sql(f"INSERT INTO {table} SELECT * FROM {_KEPT}.{table}")


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
