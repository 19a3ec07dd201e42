"""Restore: a backup back in place, as the older state that it is.

`restore` guarantees:

1. The backup is verified, with the keys given or the home's own, before anything is replaced.
2. A backup older than any checkpoint known (anchors, the head remembered, the ledger that is here) is refused, unless
   the loss is accepted.
3. The ledger goes on with an entry that names the gap, under a new key: the old key never signs a size a second time,
   and a checkpoint over a lost entry cannot be taken for one over an entry written since.
4. What was there is moved aside, not deleted; evidence is only ever added.
5. Patients whom the ledger that is here erased since the backup, as its signed head proves, are erased again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from audit.backup import DATABASES, Backup, backed_up_anchors, read_backup
from audit.database import close_engine, open_engine, read_url, reading, revision_of
from audit.dumping import load
from audit.entries import Entry, EntryDraft
from audit.erasing_again import erase_again, erased_since
from audit.evidence import EvidenceStore
from audit.findings import Knowledge, KnownHead, span
from audit.heads import read_heads
from audit.ledger import Ledger, open_ledger
from audit.payloads import Restored
from audit.room import EVIDENCE, KEYS, LEDGER_FILE, Actor, remembered
from audit.signing import (
    KEY_FILE,
    PUBLIC_FILE,
    PublicKey,
    Signer,
    changing_keys,
    create_next_key,
    load_public,
    load_signer,
    promote_next_key,
    verify_note,
)
from audit.verification import verify
from medproto.errors import AuditError, KeyProblem, LedgerTampered, LedgerUnavailable

_STAGED = "ledger.sqlite.restoring"


@dataclass(frozen=True)
class RestoreOrder:
    """What is to be restored and what is known.

    Args:
        folder: the backup.
        home: the room's directory, which may hold a damaged ledger or nothing.
        url: the ledger's database, where it is not in the home; it must be empty.
        anchors: files of checkpoints kept elsewhere.
        public_keys: keys obtained elsewhere.
        accept_older: whether entries that are known to be lost may be lost.
        reason: why, in words that name no patient.
    """

    folder: Path
    home: Path
    url: str | None = None
    anchors: tuple[Path, ...] = ()
    public_keys: tuple[PublicKey, ...] = ()
    accept_older: bool = False
    reason: str = ""


def restore(order: RestoreOrder, actor: Actor) -> Entry:
    """Put a backup back in place and return the entry that says so.

    Raises:
        AuditError: it is no backup, it is older than what is known, or the place is not fit for it.
        LedgerTampered: what the backup holds does not verify.
    """
    if not order.reason.strip():
        raise AuditError("restore: got no reason, expected one: the entry is to say why")
    backup, keys = read_backup(order.folder), order.home / KEYS
    _make_home(order.home)
    if (backup.database == "sqlite") != (order.url is None):
        raise AuditError(
            f"restore: the backup is of {backup.database}, expected --ledger for PostgreSQL and only for it"
        )
    known = _known_heads(order, backup)
    newest = max(known, key=lambda head: head.checkpoint.size)
    _refuse_older(order, backup, newest)  # 2
    gone = erased_since(order.home, backup.head.size) if order.url is None else ()
    with changing_keys(keys), _database_in(order, backup) as ledger:
        _verify(ledger, order, backup, known)  # 1
        _copy_evidence(order)
        if not (keys / PUBLIC_FILE).exists():
            _copy_keys(order)
        entry = _go_on(ledger, order, backup, newest, actor)  # 3
        if order.url is None:
            ledger.close()
            _move_in_place(order.home)  # 4
        promote_next_key(keys, PublicKey.from_vkey(str(entry.payload["new_key"])))
    erase_again(order.home, order.url, gone, actor)  # 5
    return entry


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise AuditError(f"restore: cannot make the home ({err.strerror})") from err


def _known_heads(order: RestoreOrder, backup: Backup) -> list[KnownHead]:
    """Every head known from anywhere, that of the backup first; KeyProblem for one by a key that nobody gave."""
    keys = _known_keys(order, backup)
    heads = [KnownHead(backup.head, "the backup", 8)]
    for path in order.anchors:
        heads += read_heads(path, f"anchor {path.name}", keys)
    for path in backed_up_anchors(order.folder):
        heads += read_heads(path, "a checkpoint in the backup", keys)
    heads += remembered(order.home, keys)
    heads += _head_here(order)
    for head in heads:
        if not any(key.hash in head.checkpoint.key_hashes() for key in keys):
            raise KeyProblem(f"{head.source}: signed by a key that is not known here; give it as --public-key")
    return heads


def _known_keys(order: RestoreOrder, backup: Backup) -> list[PublicKey]:
    keys = [*map(PublicKey.from_vkey, backup.keys), *order.public_keys]
    if (order.home / KEYS / PUBLIC_FILE).exists():
        keys.append(load_public(order.home / KEYS))
    if len({key.name for key in keys}) != 1:
        raise KeyProblem("restore: the backup is of another ledger than this home or the key given")
    return list(dict.fromkeys(keys))


def _head_here(order: RestoreOrder) -> list[KnownHead]:
    """Where the ledger ends that is here; nothing when it cannot be read, which is why backups are restored."""
    if order.url is not None or not (order.home / LEDGER_FILE).exists():
        return []
    try:
        with open_ledger(order.home / LEDGER_FILE, None) as ledger:
            return [KnownHead(ledger.head(load_public(order.home / KEYS)), "the ledger that is here", 8)]
    except AuditError:
        return []


def _refuse_older(order: RestoreOrder, backup: Backup, newest: KnownHead) -> None:
    held, size = backup.head.size, newest.checkpoint.size
    if size > held and not order.accept_older:
        raise AuditError(
            f"restore: the backup holds {held} entries and is older than {newest.source}, which covers {size}: "
            f"{span(held + 1, size)} would be lost; --accept-older accepts that"
        )


@contextmanager
def _database_in(order: RestoreOrder, backup: Backup) -> Iterator[Ledger]:
    """The backup's database, open: beside the place where it is to be, or in the empty database it is for."""
    source = order.folder / DATABASES[backup.database]
    if order.url is None:
        staged = order.home / _STAGED
        try:
            shutil.copyfile(source, staged)
            staged.chmod(0o600)
        except OSError as err:
            raise AuditError(f"restore: cannot write to the home ({err.strerror})") from err
        try:
            with open_ledger(staged, None, may_upgrade=True) as ledger:
                yield ledger
        finally:
            for path in _with_journals(staged):
                path.unlink(missing_ok=True)
        return
    url = read_url(order.url)
    engine = open_engine(url)
    try:
        with reading(engine) as conn:
            if revision_of(conn) is not None:
                raise LedgerUnavailable("restore: the database holds a ledger already, expected an empty one")
        with reading(engine) as conn:
            load(conn, url, source)
    finally:
        close_engine(engine)
    with open_ledger(order.url, None, may_upgrade=True) as ledger:
        yield ledger


def _verify(ledger: Ledger, order: RestoreOrder, backup: Backup, known: Sequence[KnownHead]) -> None:
    """Guarantee 1: whole, signed by a key that the home or the caller vouches for, and extending what it should."""
    given = order.public_keys
    if not given and (order.home / KEYS / PUBLIC_FILE).exists():
        given = (load_public(order.home / KEYS),)
    if given and not any(key.vkey in backup.keys for key in given):
        raise KeyProblem(
            "restore: no key given or here signs in the backup: the key was changed after it, or it is of another "
            "ledger; give the key that was in force then, obtained elsewhere, as --public-key"
        )
    trusted = tuple(key for key in given if key.vkey in backup.keys) or (PublicKey.from_vkey(backup.keys[-1]),)
    heads = tuple(head for head in known if head.checkpoint.size <= backup.head.size)
    result = verify(ledger, Knowledge(trusted, bool(given), EvidenceStore(order.folder / EVIDENCE), heads))
    if not result.verified:
        raise LedgerTampered(["restore: the backup does not verify.", *(fault.sentence for fault in result.faults)])


def _copy_evidence(order: RestoreOrder) -> None:
    """Bring back what is absent or altered; nothing is taken away."""
    store = EvidenceStore(order.home / EVIDENCE)
    for path in (order.folder / EVIDENCE).glob("??/*"):
        if not store.check(path.name):
            store.put(path.read_bytes())


def _copy_keys(order: RestoreOrder) -> None:
    for name in (PUBLIC_FILE, KEY_FILE):
        source = order.folder / KEYS / name
        if source.exists():
            shutil.copyfile(source, order.home / KEYS / name)
            (order.home / KEYS / name).chmod(0o600)


def _go_on(ledger: Ledger, order: RestoreOrder, backup: Backup, newest: KnownHead, actor: Actor) -> Entry:
    """Guarantee 3: the entry that names the gap, signed by the key that is here, if one is, and by a new one."""
    keys = order.home / KEYS
    valid = PublicKey.from_vkey(backup.keys[-1])
    verify_note(backup.note, [valid])
    signers: list[Signer] = [load_signer(keys)] if (keys / KEY_FILE).exists() else []
    new = create_next_key(keys, valid.name)
    retired = dict.fromkeys((valid.vkey, *(key.vkey for key in _known_keys(order, backup))))
    payload = Restored(
        restored_size=backup.head.size,
        known_size=newest.checkpoint.size,
        known_root=newest.checkpoint.root,
        old_key=valid.vkey,
        new_key=new.public.vkey,
        retired_keys=tuple(retired),
        reason=order.reason.strip(),
    )
    draft = EntryDraft("restored", payload.model_dump(mode="json"), actor.name, actor.role)
    return ledger.change_key(draft, valid, [*signers, new])


def _move_in_place(home: Path) -> None:
    """The restored ledger takes the place of the one that was here, which is kept beside it."""
    if (home / f"{_STAGED}-wal").exists():
        raise LedgerUnavailable("restore: the restored ledger is still in use; nothing was replaced")
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        for path in _with_journals(home / LEDGER_FILE):
            if path.exists():
                os.replace(path, path.with_name(f"{path.name}.replaced-{now}"))
        os.replace(home / _STAGED, home / LEDGER_FILE)
    except OSError as err:
        raise AuditError(f"restore: cannot move the ledger in place ({err.strerror})") from err


def _with_journals(path: Path) -> list[Path]:
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]
