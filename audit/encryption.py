"""Words and pictures of a patient, readable only while the patient's secret exists.

What is kept of an exam lies in the evidence store as AES-256-GCM ciphertext, named by the SHA-256 of the ciphertext, so
that a verifier hashes it again without any key. The entry's body holds `sealed`: digest of the plain bytes -> digest of
the ciphertext. Plain digests are kept because record, report and rerun speak of the picture itself.

The key is derived from the patient's secret in the identity table (HKDF, RFC 5869) and stored nowhere: one secret to
destroy, and a table that was there before needs no migration.

The nonce is derived from key and plaintext (as in SIV, RFC 5297) and not drawn: the same picture of the same patient is
the same file, so that a second scoring writes nothing new, and nothing that is random enters what must be reproducible.
Two different texts under one key share a 96-bit nonce with a chance below 1e-18 for a million of them; what a
deterministic scheme gives away, that two pictures are equal, their plain digests say anyway. Words are salted before.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from audit.evidence import EvidenceStore
from medproto.errors import EvidenceMissing

#: First bytes of every ciphertext: format and version, authenticated with it.
MAGIC = b"medproto sealed 1\n"
_KEY_BYTES, _NONCE_BYTES, _SALT_BYTES = 32, 12, 32


@dataclass(frozen=True, repr=False)
class PatientKey:
    """The two keys of one patient: for the text, and for the nonces."""

    text: bytes
    nonce: bytes

    @classmethod
    def from_secret(cls, secret: bytes) -> PatientKey:
        """Derive both; apart from the pseudonyms, which are an HMAC under the secret itself."""
        both = HKDF(SHA256(), 2 * _KEY_BYTES, salt=None, info=b"medproto evidence 1").derive(secret)
        return cls(both[:_KEY_BYTES], both[_KEY_BYTES:])

    def seal(self, data: bytes) -> bytes:
        """Ciphertext of these bytes: always the same one."""
        nonce = hmac.digest(self.nonce, data, "sha256")[:_NONCE_BYTES]
        return MAGIC + nonce + AESGCM(self.text).encrypt(nonce, data, MAGIC)

    def unseal(self, sealed: bytes, digest: str) -> bytes:
        """Plain bytes of a ciphertext; EvidenceMissing unless they are the ones of this digest."""
        head = len(MAGIC) + _NONCE_BYTES
        try:
            text = memoryview(sealed)[head:]  # megabytes, which a slice would copy
            data = AESGCM(self.text).decrypt(sealed[len(MAGIC) : head], text, sealed[: len(MAGIC)])
        except (InvalidTag, ValueError) as err:
            raise EvidenceMissing(f"evidence {digest[:12]}…: the patient's key does not open it") from err
        if hashlib.sha256(data).hexdigest() != digest:
            raise EvidenceMissing(f"evidence {digest[:12]}…: opens to other bytes than it is named for")
        return data


def seal_pieces(store: EvidenceStore, key: PatientKey, pieces: Iterable[bytes]) -> dict[str, str]:
    """Keep the ciphertext of each piece, and return digest of the plain bytes -> digest of the ciphertext."""
    return {hashlib.sha256(data).hexdigest(): store.put(key.seal(data)) for data in pieces}


def salted(words: Mapping[str, str]) -> bytes:
    """Words as bytes with a random salt: without it a short comment could be guessed from its digest."""
    plain = {"salt": secrets.token_hex(_SALT_BYTES), "words": dict(words)}
    return json.dumps(plain, ensure_ascii=False, sort_keys=True).encode("utf-8", "backslashreplace")


def unsalted(data: bytes) -> dict[str, str]:
    """The words that `salted` was given."""
    words: dict[str, str] = json.loads(data)["words"]
    return words
