"""The room where decisions are kept: one home directory with ledger, keys and evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from audit.evidence import EvidenceStore
from audit.ledger import Ledger
from medproto.records import Digest, Pseudonymise, Scored

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


@dataclass(frozen=True)
class Room:
    """An open ledger, its evidence store and the directory that holds them."""

    home: Path
    ledger: Ledger
    evidence: EvidenceStore

    def pseudonym(self, patient_id: str, kind: str, value: str) -> str:
        """Stable pseudonym such as `exam-9f8e7d6c5b4a3021`, under that patient's own secret."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the database."""
        raise NotImplementedError

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
    raise NotImplementedError
