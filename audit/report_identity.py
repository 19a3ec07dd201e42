"""Whose report it is, where a hospital prints one for its own use.

Pseudonyms stay the rule. An identity is handed to a report by whoever prints it, is printed on every page, and lies in
`audit.json` under a seal: an HMAC under the patient's secret, which is in the identity table alone. So the ledger that
printed it can tell years later that no other name was put in its place, and nobody without the secret can test a guess
against the digest of the PDF. The ledger holds that an identity was printed, and never which.
"""

from __future__ import annotations

import csv
import hmac
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Final

from audit.canonical import canonical_bytes
from audit.identity import identifier_behind, secret_behind
from audit.room import Room
from medproto.errors import ReportError

#: Columns of an identity map; the first holds a pseudonym or an identifier, as the identity table has them.
COLUMNS: Final = ("patient", "name", "id", "birth_date")


@dataclass(frozen=True, repr=False)
class Identity:
    """Name, identifier and ISO birth date of a patient, each empty where unknown, and the seal of all three in hex."""

    name: str
    identifier: str
    birth_date: str
    seal: str

    @classmethod
    def from_plain(cls, plain: Any) -> Identity:
        """Read what an attachment holds; ReportError where it is something else."""
        names = [field.name for field in fields(cls)]
        if not isinstance(plain, dict) or sorted(plain) != sorted(names):
            raise ReportError("report: the identity in its audit.json is not one that medproto wrote")
        return cls(**{name: str(plain[name]) for name in names})

    def plain(self) -> dict[str, str]:
        """The identity as the attachment holds it."""
        return asdict(self)

    @property
    def words(self) -> tuple[str, ...]:
        """What of it must never be in a message."""
        return tuple(filter(None, (self.name, self.identifier, self.birth_date)))


def identity_of(room: Room, patient: str, table: Path | None) -> Identity:
    """The identity to print for the patient behind a pseudonym.

    Args:
        room: the room whose identity table knows the patient.
        patient: the pseudonym.
        table: a CSV file with the columns `patient` and any of `name`, `id` and `birth_date`; with None the
            identifier of the identity table is all there is.

    Raises:
        EvidenceErased: the patient was erased.
        ReportError: the file cannot be read, or nothing is known of this patient. No message repeats what it holds.
    """
    known = identifier_behind(room.ledger.engine, patient)
    if known is None:
        room.refuse_erased(patient)
        raise ReportError("identity: the identity table does not know this patient")
    identifier = "" if known == patient else known  # adopted: known here under the pseudonym alone
    row = _row(table, {patient, known}) if table else {}
    name, birth_date = _spelled(row.get("name", "")), _iso(row.get("birth_date", ""))
    identifier = row.get("id", "") or identifier
    if not (name or identifier or birth_date):
        raise ReportError("identity: nothing but the pseudonym is known of this patient; give a map with --identity")
    unsealed = Identity(name, identifier, birth_date, "")
    return Identity(name, identifier, birth_date, seal_of(room, patient, unsealed))


def seal_of(room: Room, patient: str, identity: Identity) -> str:
    """The seal that this room gives an identity; empty where the patient's secret is gone."""
    secret = secret_behind(room.ledger.engine, patient)
    if secret is None:
        return ""
    said = canonical_bytes([identity.name, identity.identifier, identity.birth_date])
    return hmac.digest(secret, b"medproto report identity 1\n" + said, "sha256").hex()


def _row(table: Path, wanted: set[str]) -> dict[str, str]:
    """The one row of this patient, each value with its white space made single blanks."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if "patient" not in (reader.fieldnames or ()) or not set(reader.fieldnames or ()) <= set(COLUMNS):
                raise ReportError(
                    f"identity map: got other columns, expected patient and any of {', '.join(COLUMNS[1:])}"
                )
            rows = [row for row in reader if (row["patient"] or "").strip() in wanted]
    except OSError as err:
        raise ReportError(f"identity map: it cannot be read ({err.strerror})") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise ReportError("identity map: it is no CSV file in UTF-8") from err
    if len(rows) != 1:
        raise ReportError(f"identity map: got {len(rows)} rows for the patient of this entry, expected one")
    return {column: " ".join(value.split()) for column, value in rows[0].items() if column and value}


def _spelled(name: str) -> str:
    """A name as it is read; one as DICOM holds it has its parts divided by carets (PS3.5 6.2, value type PN)."""
    family, _, given = name.partition("^")
    return f"{family}, {' '.join(given.replace('^', ' ').split())}" if given else family


def _iso(text: str) -> str:
    """A birth date as ISO 8601, from that or from DICOM's YYYYMMDD."""
    if not text:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ReportError("identity map: got another birth date, expected YYYY-MM-DD or YYYYMMDD") from None
