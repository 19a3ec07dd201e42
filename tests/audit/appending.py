"""A process that appends entries to a ledger: where, folder of keys, how many, name of the actor."""

from __future__ import annotations

import sys
from pathlib import Path

from audit.entries import EntryDraft
from audit.ledger import open_ledger
from audit.signing import load_signer

if __name__ == "__main__":
    where, keys, count, name = sys.argv[1:]
    ledger = open_ledger(where if "://" in where else Path(where), load_signer(Path(keys)))
    for number in range(int(count)):
        payload = {"entry": 1, "exam_id": f"exam-{number}"}
        ledger.append([EntryDraft("exam opened", payload, name, "radiologist")])
    ledger.close()
