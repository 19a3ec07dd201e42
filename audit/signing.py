"""Signed checkpoints: Ed25519 keys and C2SP signed notes (https://c2sp.org/signed-note, tlog-checkpoint).

A checkpoint is a text of three lines (origin, number of entries, base64 root), an extension line that names the size
of the checkpoint before it, an empty line and signature lines `— name base64(key hash || signature)`; the checkpoint
over a change of keys carries two. Notes without the extension line, as older ledgers have them, are read too.

Keys are kept in the text forms of that world, so that foreign tools read them: `name+keyhash+base64(0x01 || public
key)` and `PRIVATE+KEY+name+keyhash+base64(0x01 || seed)`.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from medproto.errors import KeyProblem

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
KEY_FILE, PUBLIC_FILE = "ledger.key", "ledger.pub"
#: A key that is to follow: written before the entry that names it, moved into place after.
NEXT_FILE = "ledger.key.next"
_NOTE = re.compile(
    r"\A([^\n]+)\n([1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(?:previous ([1-9][0-9]{0,18})\n)?\n"
    r"((?:— [^ \n]+ [A-Za-z0-9+/=]+\n)+)\Z"
)
_NOTES = re.compile(r"[^\n]+\n[0-9]+\n[^\n]+\n(?:previous [0-9]+\n)?\n(?:— [^\n]+\n)+")


@dataclass(frozen=True)
class Checkpoint:
    """A signed tree head: origin, number of entries, RFC 6962 root in hex, and the C2SP signed note itself.

    `previous` is the size of the checkpoint before it, None where the note does not say.
    """

    origin: str
    size: int
    root: str
    note: str
    previous: int | None = None

    @classmethod
    def from_note(cls, note: str) -> Checkpoint:
        """Read a note; raises KeyProblem unless it is one. Says nothing about who signed it."""
        match = _NOTE.match(note)
        if match is None:
            raise KeyProblem("checkpoint: expected origin, size, base64 root, an empty line and a signature")
        root = _unbase64(match[3])
        return cls(match[1], int(match[2]), root.hex(), note, int(match[4]) if match[4] else None)

    def key_hashes(self) -> list[bytes]:
        """Hashes of the keys by which the note says it is signed."""
        lines = self.note.partition("\n\n")[2].splitlines()
        return [_unbase64(line.split(" ")[2])[:4] for line in lines]


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

    def sign(self, size: int, root: bytes, previous: int | None = None) -> Checkpoint:
        """Sign a tree head, and with it the size of the checkpoint before: none can vanish between the two."""
        text = f"{self.name}\n{size}\n{base64.b64encode(root).decode()}\n"
        text += f"previous {previous}\n" if previous else ""
        return Checkpoint(self.name, size, root.hex(), f"{text}\n{self._line(text)}", previous)

    def countersign(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same checkpoint with a second signature: how a new key follows an old one."""
        text = checkpoint.note.partition("\n\n")[0] + "\n"
        return dataclasses.replace(checkpoint, note=checkpoint.note + self._line(text))

    def _line(self, text: str) -> str:
        signature = base64.b64encode(self.public.hash + self.private.sign(text.encode())).decode()
        return f"— {self.name} {signature}\n"


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


def append_note(path: Path, checkpoint: Checkpoint) -> None:
    """Append a checkpoint to a file of anchors, durably; KeyProblem where that cannot be done."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(checkpoint.note + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        raise KeyProblem(f"anchors: cannot append to {path.name} ({err.strerror})") from err


def create_keys(directory: Path) -> Signer:
    """Make a key pair in this directory (0700, files 0600); raises KeyProblem where there is one already."""
    signer = Signer(f"medproto/{secrets.token_hex(4)}", Ed25519PrivateKey.generate())
    with _writing_keys(directory):
        _write_new(directory / KEY_FILE, _private_text(signer))
        _write_new(directory / PUBLIC_FILE, signer.public.vkey + "\n")
    return signer


def create_next_key(directory: Path, name: str) -> Signer:
    """Make a key that is to follow as `name`, in a file of its own (0600) beside the key in force.

    One that was left behind by a change that never came to its entry is replaced: it has signed nothing.
    """
    signer = Signer(name, Ed25519PrivateKey.generate())
    with _writing_keys(directory):
        (directory / NEXT_FILE).unlink(missing_ok=True)
        _write_new(directory / NEXT_FILE, _private_text(signer))
    return signer


def promote_next_key(directory: Path, public: PublicKey) -> None:
    """Put the key that is to follow in force, if it is this one; the private key before it is gone with that.

    May be repeated after an interruption at any point, and run by two processes at once.
    """
    try:
        with _writing_keys(directory):
            if load_signer(directory, NEXT_FILE).public == public:
                fresh = directory / f".{PUBLIC_FILE}.{os.getpid()}"
                _write_new(fresh, public.vkey + "\n")
                os.replace(fresh, directory / PUBLIC_FILE)
                os.replace(directory / NEXT_FILE, directory / KEY_FILE)
    except KeyProblem:
        if (directory / NEXT_FILE).exists():
            raise


@contextmanager
def changing_keys(directory: Path) -> Iterator[None]:
    """One process at a time changes the keys of this directory: the private key that one of them drops is gone."""
    with _writing_keys(directory):
        handle = os.open(directory / ".changing", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _writing_keys(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        yield
    except FileExistsError as err:
        raise KeyProblem("signing key: there is one already, and a ledger keeps its key") from err
    except OSError as err:
        raise KeyProblem("signing key: cannot write it") from err


def load_signer(directory: Path, name: str = KEY_FILE) -> Signer:
    """Load the private key; raises KeyProblem when absent, unreadable, or open to other users."""
    path = directory / name
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


def _private_text(signer: Signer) -> str:
    encoded = base64.b64encode(_ED25519 + signer.private.private_bytes_raw()).decode()
    return f"{_PRIVATE}{signer.name}+{signer.public.hash.hex()}+{encoded}\n"


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
        _loaded(key.raw).verify(signature, text)
    except (InvalidSignature, ValueError) as err:
        raise KeyProblem("checkpoint: its signature does not fit its text") from err


@lru_cache(maxsize=64)
def _loaded(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


def _write_new(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
