"""The ledger that leaves the room: JSON lines that prove themselves, made when the button is pressed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from audit.access import require
from audit.export import export_ledger
from audit.service import Actor
from ui.opening import opened


def ledger_bytes(actor: Actor) -> bytes:
    """Every entry with its path to the newest checkpoint; nobody gets it whose role is not for it."""
    with opened().held_by(actor) as room, tempfile.TemporaryDirectory() as folder:
        require(room, "export", actor)
        path = Path(folder, "ledger.jsonl")
        export_ledger(room, path, 1, lambda done, total: None)
        return path.read_bytes()
