"""The room where decisions are kept: one home directory with ledger, keys and evidence."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from audit.encryption import PatientKey
from audit.entries import Entry
from audit.evidence import EvidenceStore, patient_of, sealed_of
from audit.filters import LedgerFilter
from audit.findings import Knowledge, KnownHead, Progress, Verification
from audit.heads import read_heads
from audit.identity import adopt, pseudonym, secret_behind
from audit.ledger import Ledger, create_ledger, open_ledger
from audit.locking import one_at_a_time
from audit.rotation import settle_key
from audit.signing import (
    KEY_FILE,
    NEXT_FILE,
    Checkpoint,
    PublicKey,
    Signer,
    create_keys,
    load_public,
    load_signer,
)
from audit.verification import verify
from medproto.errors import (
    EvidenceErased,
    EvidenceMissing,
    KeyProblem,
    LedgerAbsent,
    LedgerTampered,
    LedgerUnavailable,
)
from medproto.records import Digest, Pseudonymise, Scored

LEDGER_FILE, KEYS, EVIDENCE, REMEMBERED = "ledger.sqlite", "keys", "evidence", "verified-head.note"

#: What turns the files of one exam into a prediction and its pictures; it logs nothing.
Scorer = Callable[[Sequence[Path], Pseudonymise], Scored]


@dataclass(frozen=True)
class Actor:
    """Who acts, and as what: both are written into every entry (21 CFR 11.50)."""

    name: str
    role: str


@dataclass(frozen=True)
class BundleScorer:
    """A bundle's scorer with the identity of the bundle, known before anything is scored."""

    bundle_id: Digest
    bundle_name: str
    score: Scorer
    #: Whether the bundle was trained on synthetic images: what it refuses is marked so, as what it scores is.
    synthetic: bool = False


@dataclass(frozen=True)
class Room:
    """An open ledger, its evidence store and the directory that holds them."""

    home: Path
    ledger: Ledger
    evidence: EvidenceStore
    #: On whose behalf the room is open; None for the operator at the command line. See `audit.access`.
    holder: Actor | None = None

    def held_by(self, actor: Actor) -> Room:
        """The same room, in which only this person acts."""
        return replace(self, holder=actor)

    def pseudonym(self, patient_id: str, kind: str, value: str) -> str:
        """Stable pseudonym such as `exam-9f8e7d6c5b4a3021`, under that patient's own secret."""
        return pseudonym(self.ledger.engine, patient_id, kind, value)

    def key_for(self, patient: str) -> PatientKey:
        """Key under which to seal what is kept of this patient; EvidenceErased when an entry erased the patient."""
        secret = secret_behind(self.ledger.engine, patient)
        if secret is None:
            self.refuse_erased(patient)
            secret = adopt(self.ledger.engine, patient)
        return PatientKey.from_secret(secret)

    def picture(self, entry: Entry, digest: str) -> bytes:
        """Plain bytes that this entry names: opened with the patient's key where they are sealed.

        Raises:
            EvidenceErased: the patient was erased.
            EvidenceMissing: the file is absent or altered, or the key is gone without an entry that says so.
        """
        return self.pictures(entry)(digest)

    def pictures(self, entry: Entry) -> Callable[[str], bytes]:
        """What opens the pictures of this entry, one after the other, with the patient's key looked up once."""
        patient, sealed = patient_of(entry.payload), sealed_of(entry.payload)

        @functools.cache
        def key() -> PatientKey | None:
            secret = None if patient is None else secret_behind(self.ledger.engine, patient)
            return None if secret is None else PatientKey.from_secret(secret)

        def opened(digest: str) -> bytes:
            if patient is None or digest not in sealed:
                return self.evidence.get(digest)
            held = key()
            if held is None:
                self.refuse_erased(patient)
                raise EvidenceMissing(f"evidence {digest[:12]}…: its key is gone, and no entry erased it")
            try:
                # Compared with what the entry names once opened: sealed, megabytes need no digest of their own.
                return held.unseal(self.evidence.read(sealed[digest]), digest)
            except EvidenceMissing:
                self.evidence.get(sealed[digest])  # says so where the file is not the one that was stored
                raise

        return opened

    def erasures(self) -> dict[str, int]:
        """Pseudonyms of the patients who were erased, each with the entry that says so."""
        entries = self.ledger.entries(LedgerFilter(kind="erasure"))
        return {str(entry.payload["patient_id"]): entry.number for entry in entries}

    def refuse_erased(self, patient: str) -> None:
        """Raise EvidenceErased when this patient was erased."""
        number = self.erasures().get(patient)
        if number is not None:
            raise EvidenceErased(f"{patient}: erased by entry {number}; words and pictures can no longer be read")

    @property
    def keys(self) -> Path:
        """Directory of the key files."""
        return self.home / KEYS

    @property
    def public_key(self) -> PublicKey:
        """The key that checks this room's checkpoints."""
        return load_public(self.keys)

    def close(self) -> None:
        """Let go of the database."""
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def open_room(home: Path, url: str | None = None, *, create: bool = False, anchors: Path | None = None) -> Room:
    """Open the room in `home`, or create it when asked to.

    Args:
        home: directory of keys, evidence and (unless `url` names a server) `ledger.sqlite`.
        url: SQLAlchemy URL of the ledger's database, such as `postgresql://user@host/medproto`.
        create: create what is missing; without it a missing room is LedgerUnavailable.
        anchors: file outside the room to which the checkpoint of every commit is appended.
    """
    where = url or home / LEDGER_FILE
    evidence = EvidenceStore(home / EVIDENCE)
    if (home / KEYS / NEXT_FILE).exists():
        with open_ledger(where, None, may_upgrade=True) as ledger:
            settle_key(home / KEYS, ledger)
    if create:
        with _only_one(home):
            signer = load_signer(home / KEYS) if (home / KEYS / KEY_FILE).exists() else _new_keys(home, url)
            evidence.root.mkdir(mode=0o700, exist_ok=True)
            return Room(home, create_ledger(where, signer, {}, anchors), evidence)
    if not home.is_dir():
        raise LedgerUnavailable(f"no room in {home}: create one with `medproto audit init --home {home}`")
    try:
        return Room(home, open_ledger(where, _signer_if_any(home), anchors), evidence)
    except LedgerAbsent as err:
        if (home / REMEMBERED).exists():
            raise LedgerTampered(["entry 1: missing: a ledger was verified here before, and none is left."]) from err
        raise


def verify_room(
    room: Room,
    anchors: Sequence[Path] = (),
    public_keys: Sequence[PublicKey] = (),
    since: int = 0,
    progress: Progress | None = None,
) -> Verification:
    """Verify ledger and evidence, and remember the head when everything held.

    Args:
        room: the room to verify.
        anchors: files of checkpoints that were kept elsewhere.
        public_keys: keys obtained elsewhere; without any, the room's own is used and the result says so.
        since: number of entries that need not be read again, as the verification before has read them.
        progress: told how far the reading is, in the thread that reads.
    """
    keys = tuple(public_keys) or (room.public_key,)
    heads = [head for path in anchors for head in read_heads(path, f"anchor {path.name}", keys)]
    memory = remembered(room.home, keys)
    knowledge = Knowledge(keys, bool(public_keys), room.evidence, (*heads, *memory), since)
    result = verify(room.ledger, knowledge, progress)
    # What was not compared with the head remembered must not take its place.
    if result.verified and result.head is not None and since <= min((h.checkpoint.size for h in memory), default=0):
        _remember(room, result.head, memory, keys)
    return result


def remembered(home: Path, keys: Sequence[PublicKey]) -> list[KnownHead]:
    """The head of the last verification that held, if there was one."""
    path = home / REMEMBERED
    return read_heads(path, "the head remembered", keys, 9) if path.exists() else []


def _remember(room: Room, head: Checkpoint, memory: list[KnownHead], keys: Sequence[PublicKey]) -> None:
    """Replace the remembered head in one step; of two verifications at once the longer is remembered.

    A head that is shorter than `memory`, with which it was compared, is one after a restore, and takes its place.
    """
    refused = f"verified, but cannot remember the head in {room.home}"
    fresh = room.home / f".{REMEMBERED}.{os.getpid()}"
    with one_at_a_time(room.home / f".{REMEMBERED}.lock", refused):
        now = remembered(room.home, keys)
        if now != memory and head.size <= max((known.checkpoint.size for known in now), default=0):
            return
        try:
            fresh.write_text(head.note, "utf-8")
            os.replace(fresh, room.home / REMEMBERED)
        except OSError as err:
            raise LedgerUnavailable(refused) from err


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """One process at a time makes a room: two that start together must not make two keys."""
    refused = f"cannot create a room in {home}"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise LedgerUnavailable(f"{refused} ({err.strerror})") from err
    with one_at_a_time(home / ".creating", refused):
        yield


def _new_keys(home: Path, url: str | None) -> Signer:
    """A key for a new ledger; a ledger that is there without its key never gets another one."""
    if url is None and (home / LEDGER_FILE).exists():
        raise KeyProblem("signing key: absent, though there is a ledger; put its key back or only read it")
    return create_keys(home / KEYS)


def _signer_if_any(home: Path) -> Signer | None:
    return load_signer(home / KEYS) if (home / KEYS / KEY_FILE).exists() else None
