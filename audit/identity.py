"""The one table that knows who a pseudonym is: a random secret for each patient.

A pseudonym is an HMAC under that secret, so nobody without the table can test a guess, and with the secret destroyed
nobody can at all.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime

from sqlalchemy import Engine, insert, select

from audit.database import reading, writing
from audit.entries import format_time
from audit.models import IdentityRow
from medproto.errors import InputError

_SECRET_BYTES = 32
KINDS = ("patient", "exam", "image")


def pseudonym(engine: Engine, patient_id: str, kind: str, value: str) -> str:
    """Stable pseudonym such as `exam-9f8e7d6c5b4a3021` of one of this patient's identifiers."""
    if kind not in KINDS:
        raise InputError(f"pseudonym: got kind {kind!r}, expected {', '.join(KINDS)}")
    if "\0" in patient_id:
        raise InputError("pseudonym: got a patient identifier with a NUL character")
    # Identifiers come from files in every encoding, and a stray byte must not end the scoring.
    plain = patient_id.encode("utf-8", "backslashreplace").decode()
    return derive_pseudonym(_secret_of(engine, plain), kind, value)


def derive_pseudonym(secret: bytes, kind: str, value: str) -> str:
    """HMAC-SHA256 of kind and value under the secret, its first 64 bits behind the kind."""
    message = f"{kind}\0{value}".encode("utf-8", "backslashreplace")
    return f"{kind}-{hmac.new(secret, message, hashlib.sha256).hexdigest()[:16]}"


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
        secret = secrets.token_bytes(_SECRET_BYTES)
        name = derive_pseudonym(secret, "patient", patient_id)
        row = {"patient_id": patient_id, "pseudonym": name, "secret": secret, "created": _now()}
        conn.execute(insert(IdentityRow), [row])
    return secret


def _now() -> str:
    return format_time(datetime.now(UTC))
