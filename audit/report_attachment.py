"""`audit.json`: what a report was made from, as a file inside it that proves itself.

It holds the stored bytes of the entry and of its reviews, each with its path to the signed checkpoint, the keys that
signed, and the digests of the pictures: every number on the pages is in there. `proof` alone is what
`medproto audit prove` writes, and `docs/verify_proof.py` checks it. The words of a review are not in it, only their
digest: they are on the pages.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from audit.canonical import canonical_bytes
from audit.report_identity import Identity
from audit.report_standing import Standing
from medproto.errors import ReportError
from medproto.records import Prediction

REPORT_FORMAT: Final = "medproto-report/1"
#: What decides how pages are set; another version may set the same report otherwise.
_SETTERS: Final = ("medproto", "reportlab", "pillow", "pikepdf", "segno")


@dataclass(frozen=True)
class Claim:
    """What an attachment says it is of: which entry, at which size of the log, under which root, set by what.

    `identity` is the patient's, where the report names one.
    """

    number: int
    size: int
    note: str
    software: dict[str, str]
    identity: Identity | None

    @classmethod
    def from_attachment(cls, data: bytes) -> Claim:
        """Read it; ReportError where it does not say."""
        try:
            fields = json.loads(data)
            proof, software = fields["proof"], fields["software"]
            number, note = proof["number"], proof["checkpoint"]
            size = int(note.split("\n")[1])
            if type(number) is not int or not isinstance(software, dict):
                raise ValueError("number and software are of other types")
            identity = Identity.from_plain(fields["identity"]) if "identity" in fields else None
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as err:
            raise ReportError("report: its audit.json does not say which entry it is of, or is damaged") from err
        return cls(number, size, note, {str(name): str(value) for name, value in software.items()}, identity)


def attachment(held: Standing, prediction: Prediction | None, identity: Identity | None = None) -> bytes:
    """The bytes of `audit.json` for what the ledger held; `prediction` is None for a refusal, which has no pictures."""
    named = {"identity": identity.plain()} if identity else {}
    return canonical_bytes(plain(held, prediction) | named)


def plain(held: Standing, prediction: Prediction | None) -> dict[str, Any]:
    """The attachment before it is written."""
    return {
        "format": REPORT_FORMAT,
        "proof": held.proof.plain(),
        "reviews": [review.plain() for review in held.reviews],
        "origin": held.origin.plain(),
        "pictures": sorted(prediction.pictures()) if prediction else [],
        "software": setters(),
    }


def setters() -> dict[str, str]:
    """Versions of what sets pages here."""
    return {name: version(name) for name in _SETTERS}
