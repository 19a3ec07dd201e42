"""The one table that knows who a pseudonym is: a random secret for each patient.

A pseudonym is an HMAC under that secret, so nobody without the table can test a guess, and with the secret destroyed
nobody can at all. The key of the patient's pictures and words is derived from it too (`audit.encryption`).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select, text

from audit.database import reading, writing
from audit.models import IdentityRow
from medproto.errors import InputError

_SECRET_BYTES = 32
# What was altered must arrive as it is, not fail in a conversion.
_TYPELESS = text("SELECT patient_id, secret FROM identity WHERE pseudonym = :patient")
#: A `shift` is no name: the days by which the patient's studies are moved are drawn from it.
KINDS = ("patient", "exam", "image", "shift")


def pseudonym(engine: Engine, patient_id: str, kind: str, value: str) -> str:
    """Stable pseudonym such as `exam-9f8e7d6c5b4a3021` of one of this patient's identifiers."""
    if kind not in KINDS:
        raise InputError(f"pseudonym: got kind {kind!r}, expected {', '.join(KINDS)}")
    if "\0" in patient_id:
        raise InputError("pseudonym: got a patient identifier with a NUL character")
    return derive_pseudonym(_secret_of(engine, _plain(patient_id)), kind, value)


def derive_pseudonym(secret: bytes, kind: str, value: str) -> str:
    """HMAC-SHA256 of kind and value under the secret, its first 64 bits behind the kind."""
    message = f"{kind}\0{value}".encode("utf-8", "backslashreplace")
    return f"{kind}-{hmac.new(secret, message, hashlib.sha256).hexdigest()[:16]}"


def find_patient(engine: Engine, patient_id: str) -> str | None:
    """Pseudonym of the patient with this identifier, None where there is no such patient."""
    query = select(IdentityRow.pseudonym).where(IdentityRow.patient_id == _plain(patient_id))
    with reading(engine) as conn:
        return conn.execute(query).scalar()


def secret_behind(engine: Engine, patient: str) -> bytes | None:
    """Secret of the patient with this pseudonym, None where there is none: never met, or erased."""
    with reading(engine) as conn:
        return conn.execute(select(IdentityRow.secret).where(IdentityRow.pseudonym == patient)).scalar()


def identifier_behind(engine: Engine, patient: str) -> str | None:
    """Identifier of the patient with this pseudonym, None where there is none: never met, or erased."""
    with reading(engine) as conn:
        return conn.execute(select(IdentityRow.patient_id).where(IdentityRow.pseudonym == patient)).scalar()


@dataclass(frozen=True, repr=False)
class HeldSecret:
    """A patient's secret; of an `adopted` one the pseudonym came from elsewhere, and says nothing about the secret."""

    secret: bytes
    adopted: bool


def held_secret(conn: Connection, patient: str) -> HeldSecret | None:
    """The secret that this pseudonym was derived from or adopted with; None where it is gone or another."""
    row = conn.execute(_TYPELESS, {"patient": patient}).first()
    if row is None or not isinstance(row.secret, bytes):
        return None
    if derive_pseudonym(row.secret, "patient", str(row.patient_id)) == patient:
        return HeldSecret(row.secret, adopted=False)
    return HeldSecret(row.secret, adopted=True) if row.patient_id == patient else None


def adopt(engine: Engine, patient: str) -> bytes:
    """A secret for a patient who was pseudonymised elsewhere and is known here under that pseudonym alone."""
    with writing(engine) as conn:
        known = conn.execute(select(IdentityRow.secret).where(IdentityRow.pseudonym == patient)).scalar()
        return known if known is not None else _insert(conn, patient, patient)


def forget(conn: Connection, patient: str) -> bool:
    """Destroy the row of this pseudonym inside the caller's transaction; False where there is none."""
    return conn.execute(delete(IdentityRow).where(IdentityRow.pseudonym == patient)).rowcount > 0


def _plain(patient_id: str) -> str:
    """Identifiers come from files in every encoding, and a stray byte must not end the scoring."""
    return patient_id.encode("utf-8", "backslashreplace").decode()


def _secret_of(engine: Engine, patient_id: str) -> bytes:
    """The patient's secret, made at first sight; under the write lock, so that two processes agree on it."""
    query = select(IdentityRow.secret).where(IdentityRow.patient_id == patient_id)
    with reading(engine) as conn:
        known = conn.execute(query).scalar()
    if known is not None:
        return known
    with writing(engine) as conn:
        known = conn.execute(query).scalar()
        if known is not None:
            return known
        return _insert(conn, patient_id, None)


def _insert(conn: Connection, patient_id: str, patient: str | None) -> bytes:
    """A new row with a fresh secret, from which the pseudonym is derived unless there is one."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    name = patient or derive_pseudonym(secret, "patient", patient_id)
    row = {"patient_id": patient_id, "pseudonym": name, "secret": secret}
    conn.execute(insert(IdentityRow), [row])
    return secret
