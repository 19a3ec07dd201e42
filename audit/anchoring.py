"""Checkpoints kept where the ledger's administrator cannot reach: what a cut or rewritten log cannot take back."""

from __future__ import annotations

import hashlib
from pathlib import Path

from audit.entries import Entry, EntryDraft
from audit.filters import LedgerFilter
from audit.heads import read_heads
from audit.keychain import named_keys
from audit.payloads import CheckpointAnchored
from audit.room import Actor, Room
from audit.signing import append_note


def anchor_checkpoint(room: Room, path: Path, actor: Actor) -> Entry:
    """Append the newest checkpoint to a file of anchors, and then write down that it was; KeyProblem where it cannot.

    A file that is there must hold checkpoints of this ledger and nothing else.
    """
    checkpoint = room.ledger.head(room.public_key)
    if path.exists() and path.stat().st_size:
        named = named_keys(room.ledger.entries(LedgerFilter(kind="ledger created")))
        read_heads(path, f"anchor {path.name}", (*named, room.public_key))
    append_note(path, checkpoint)
    payload = CheckpointAnchored(
        size=checkpoint.size, root=checkpoint.root, note_digest=hashlib.sha256(checkpoint.note.encode()).hexdigest()
    )
    draft = EntryDraft("checkpoint anchored", payload.model_dump(mode="json"), actor.name, actor.role)
    return room.ledger.append([draft])[0]
