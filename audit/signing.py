"""Signed checkpoints: Ed25519 keys and C2SP signed notes (https://c2sp.org/signed-note, tlog-checkpoint).

A checkpoint is a text of three lines (origin, number of entries, base64 root), an empty line and signature lines
`— name base64(key hash || signature)`. Keys are kept in the text forms of that world, so that foreign tools read them:
`name+keyhash+base64(0x01 || public key)` and `PRIVATE+KEY+name+keyhash+base64(0x01 || seed)`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from medproto.errors import KeyProblem

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
KEY_FILE, PUBLIC_FILE = "ledger.key", "ledger.pub"
_NOTE = re.compile(r"\A([^\n]+)\n([1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n\n((?:— [^ \n]+ [A-Za-z0-9+/=]+\n)+)\Z")
_NOTES = re.compile(r"[^\n]+\n[0-9]+\n[^\n]+\n\n(?:— [^\n]+\n)+")


@dataclass(frozen=True)
class Checkpoint:
    """A signed tree head: origin, number of entries, RFC 6962 root in hex, and the C2SP signed note itself."""

    origin: str
    size: int
    root: str
    note: str

    @classmethod
    def from_note(cls, note: str) -> Checkpoint:
        """Read a note; raises KeyProblem unless it is one. Says nothing about who signed it."""
        match = _NOTE.match(note)
        if match is None:
            raise KeyProblem("checkpoint: expected origin, size, base64 root, an empty line and a signature")
        root = _unbase64(match[3])
        return cls(match[1], int(match[2]), root.hex(), note)


@dataclass(frozen=True)
class PublicKey:
    """A named Ed25519 public key that checks checkpoints."""

    name: str
    raw: bytes

    @classmethod
    def from_vkey(cls, vkey: str) -> PublicKey:
        """Read `name+keyhash+base64`; raises KeyProblem for anything else."""
        name, raw = _split_key(vkey.strip())
        key = cls(name, raw)
        if key.vkey != vkey.strip():
            raise KeyProblem("public key: got a key hash that is not that of the key")
        return key

    @property
    def hash(self) -> bytes:
        """First four bytes of SHA-256(name, newline, 0x01, key): what a signature line carries."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    @property
    def vkey(self) -> str:
        """The key as text: what an auditor is given."""
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(_ED25519 + self.raw).decode()}"


@dataclass(frozen=True)
class Signer:
    """A named Ed25519 private key that signs checkpoints; its name is the ledger's origin line."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""
        return PublicKey(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> Checkpoint:
        """Sign a tree head."""
        text = f"{self.name}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(self.public.hash + self.private.sign(text.encode())).decode()
        return Checkpoint(self.name, size, root.hex(), f"{text}\n— {self.name} {signature}\n")


def verify_note(note: str, keys: Sequence[PublicKey]) -> Checkpoint:
    """Read a note and check that one of these keys signed it, under its own name as origin; KeyProblem otherwise."""
    checkpoint = Checkpoint.from_note(note)
    text, _, lines = note.partition("\n\n")
    for line in lines.splitlines():
        _, name, encoded = line.split(" ")
        signature = _unbase64(encoded)
        for key in keys:
            if (key.name, key.hash) == (name, signature[:4]) and checkpoint.origin == name:
                _check(key, signature[4:], text.encode("utf-8", "surrogateescape") + b"\n")
                return checkpoint
    raise KeyProblem(f"checkpoint of size {checkpoint.size}: got no signature by a key of this ledger")


def read_notes(path: Path) -> Iterator[str]:
    """The notes of an anchors file, one after the other; KeyProblem where it holds none or anything else."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise KeyProblem(f"anchors: cannot read {path.name}") from err
    notes = _NOTES.findall(text)
    if not notes or _NOTES.sub("", text).strip():
        raise KeyProblem(f"anchors: expected nothing but signed checkpoints in {path.name}")
    yield from notes


def create_keys(directory: Path) -> Signer:
    """Make a key pair in this directory (0700, files 0600); raises KeyProblem where there is one already."""
    name = f"medproto/{secrets.token_hex(4)}"
    signer = Signer(name, Ed25519PrivateKey.generate())
    encoded = base64.b64encode(_ED25519 + signer.private.private_bytes_raw()).decode()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        _write_new(directory / KEY_FILE, f"{_PRIVATE}{name}+{signer.public.hash.hex()}+{encoded}\n")
        _write_new(directory / PUBLIC_FILE, signer.public.vkey + "\n")
    except FileExistsError as err:
        raise KeyProblem("signing key: there is one already, and a ledger keeps its key") from err
    except OSError as err:
        raise KeyProblem("signing key: cannot write it") from err
    return signer


def load_signer(directory: Path) -> Signer:
    """Load the private key; raises KeyProblem when absent, unreadable, or open to other users."""
    path = directory / KEY_FILE
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise KeyProblem("signing key: absent or unreadable") from err
    if mode & 0o077:
        raise KeyProblem(f"signing key: got file mode {mode:04o}, expected 0600: other users could sign")
    if not text.startswith(_PRIVATE):
        raise KeyProblem("signing key: expected PRIVATE+KEY+name+hash+base64")
    name, seed = _split_key(text.removeprefix(_PRIVATE))
    signer = Signer(name, Ed25519PrivateKey.from_private_bytes(seed))
    if text.split("+")[3] != signer.public.hash.hex():
        raise KeyProblem("signing key: got a key hash that is not that of the key")
    return signer


def load_public(directory: Path) -> PublicKey:
    """Load the public key that lies beside the private one."""
    try:
        return PublicKey.from_vkey((directory / PUBLIC_FILE).read_text("ascii"))
    except (OSError, UnicodeDecodeError) as err:
        raise KeyProblem("public key: absent or unreadable") from err


def _split_key(text: str) -> tuple[str, bytes]:
    """Name and 32 key bytes of `name+keyhash+base64`; base64 itself may hold a plus."""
    name, _, rest = text.partition("+")
    raw = _unbase64(rest.partition("+")[2])
    if not name or " " in name or raw[:1] != _ED25519 or len(raw) != 33:
        raise KeyProblem("key: expected name+hash+base64 of an Ed25519 key")
    return name, raw[1:]


def _unbase64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as err:
        raise KeyProblem("key or signature: expected base64") from err
    if base64.b64encode(raw).decode() != text:
        raise KeyProblem("key or signature: got another spelling of the base64, expected the canonical one")
    return raw


def _check(key: PublicKey, signature: bytes, text: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, text)
    except (InvalidSignature, ValueError) as err:
        raise KeyProblem("checkpoint: its signature does not fit its text") from err


def _write_new(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
