"""Passwords of local users: scrypt under a salt of their own, compared in constant time, never kept and never said."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from typing import Annotated, Final

from pydantic import Field

from medproto.errors import InputError
from medproto.records import Record

SHORTEST: Final = 12
LONGEST: Final = 256
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
#: OWASP's table of equal strength: N = 2^15 takes three passes over 32 MiB.
_COST: Final = 2**15
_PASSES: Final = 3


class PasswordHash(Record):
    """scrypt (RFC 7914) of a password, with what it was made by, so that later ones can be made harder."""

    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    cost: Annotated[int, Field(ge=2**14, le=2**20)] = _COST
    block: Annotated[int, Field(ge=1, le=32)] = 8
    passes: Annotated[int, Field(ge=1, le=16)] = _PASSES


def hash_password(password: str) -> PasswordHash:
    """Hash of a new password; InputError for one that is too short, too long or one repeated character."""
    if not SHORTEST <= len(_plain(password)) <= LONGEST or len(set(password)) < 2:
        raise InputError(f"password: expected {SHORTEST} to {LONGEST} characters, not all the same")
    empty = PasswordHash(salt=secrets.token_hex(_SALT_BYTES), digest="0" * 2 * _HASH_BYTES)
    return empty.model_copy(update={"digest": _scrypt(password, empty).hex()})


def matches(password: str, known: PasswordHash) -> bool:
    """Whether this is the password behind that hash."""
    return len(password) <= LONGEST and hmac.compare_digest(_scrypt(password, known).hex(), known.digest)


def _scrypt(password: str, how: PasswordHash) -> bytes:
    memory = 128 * how.cost * how.block * 2
    text, salt = _plain(password).encode("utf-8", "surrogatepass"), bytes.fromhex(how.salt)
    return hashlib.scrypt(text, salt=salt, n=how.cost, r=how.block, p=how.passes, maxmem=memory, dklen=_HASH_BYTES)


def _plain(password: str) -> str:
    """One spelling for each text: two keyboards may compose the same letter in two ways."""
    return unicodedata.normalize("NFC", password)
