"""`audit.json`: what a report was made from, as a file inside it that proves itself.

It holds the stored bytes of the entry and of its reviews, each with its path to the signed checkpoint, the keys that
signed, and the digests of the pictures: every word and number on the pages is in there. `proof` alone is what
`medproto audit prove` writes, and `docs/verify_proof.py` checks it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from audit.canonical import canonical_bytes
from audit.report_identity import Identity
from audit.report_standing import Standing
from medproto import intended_use, summary
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


def attachment(
    held: Standing,
    prediction: Prediction | None,
    identity: Identity | None = None,
    software: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of `audit.json` for what the ledger held.

    Args:
        held: the entry, and what belongs to it.
        prediction: None for a refusal, which has no pictures.
        identity: of the patient, where the pages name one.
        software: what set the report that this one is made again for; None for what is here.
    """
    named = {"identity": identity.plain()} if identity else {}
    return canonical_bytes(plain(held, prediction) | named | {"software": dict(software or setters())})


def plain(held: Standing, prediction: Prediction | None) -> dict[str, Any]:
    """The attachment before it is written, but for who it is of and what set it."""
    return {
        "format": REPORT_FORMAT,
        "proof": held.proof.plain(),
        "reviews": [review.plain() for review in held.reviews],
        "origin": held.origin.plain(),
        "pictures": sorted(prediction.pictures()) if prediction else [],
    }


def setters() -> dict[str, str]:
    """Versions of what sets pages here, and one digest of all that decides how they look."""
    return {name: version(name) for name in _SETTERS} | {"pages": _pages()}


@lru_cache(maxsize=1)
def _pages() -> str:
    """Of the sources and fonts of a report: what they say changes sooner than the version does."""
    here = Path(__file__).parent
    files = [*sorted(here.glob("report*.py")), *sorted((here / "fonts").glob("*.[ti][tc][fc]"))]
    files += [Path(str(module.__file__)) for module in (summary, intended_use)]
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()[:16]
