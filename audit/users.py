"""Local users: who may sign in to the reading room, and as what.

They lie in `users.json` of the home, readable by its owner alone, beside the signing key and out of every backup of
the database. Guarantees:

1. Every change is an entry `user changed`, committed with it or not at all.
2. The entry holds the digest of the user's record, salt and hash included: a file that was edited by hand, or put back
   from an earlier day, lets nobody in.
3. There is no default user and no default password.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import unicodedata
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from audit.access import Role, require
from audit.canonical import canonical_bytes
from audit.entries import Entry, EntryDraft
from audit.filters import LedgerFilter
from audit.locking import one_at_a_time
from audit.passwords import PasswordHash, hash_password
from audit.payloads_people import UserChange, UserChanged
from audit.room import Actor, Room
from medproto.errors import InputError, LedgerUnavailable
from medproto.records import Record

USERS_FILE: Final = "users.json"
_NAME: Final = re.compile(r"[\w][\w .'@-]{0,58}[\w.]")


class User(Record):
    """One person who may sign in; the name is what signs."""

    name: str
    role: Role
    enabled: bool
    password: PasswordHash

    @property
    def digest(self) -> str:
        """SHA-256 of the record; of salt and hash it gives nothing away, for the salt is in no entry."""
        return hashlib.sha256(canonical_bytes(self.model_dump(mode="json"))).hexdigest()


_USERS: Final = TypeAdapter(tuple[User, ...])


def read_users(home: Path) -> tuple[User, ...]:
    """Every user of the room in `home`, by name; none where none was added."""
    path = home / USERS_FILE
    try:
        now = path.stat()
        return _read(path, (now.st_ino, now.st_mtime_ns, now.st_size))
    except FileNotFoundError:
        return ()
    except OSError as err:
        raise LedgerUnavailable(f"users: their file cannot be read ({err.strerror})") from err


@functools.lru_cache(maxsize=8)
def _read(path: Path, _state: tuple[int, int, int]) -> tuple[User, ...]:
    """The users in a file that is in this state: a page asks who acts a dozen times, and the file changes seldom."""
    text = path.read_bytes()
    try:
        return _USERS.validate_json(text)
    except ValidationError as err:
        raise LedgerUnavailable("users: their file is not one that `medproto user add` wrote") from err


def find_user(home: Path, name: str) -> User | None:
    """The user of this name, in any case and composition of its letters."""
    return next((user for user in read_users(home) if _key(user.name) == _key(name)), None)


def vouched(room: Room, user: User) -> bool:
    """Whether the newest entry about this user is about this very record."""
    for entry in room.ledger.entries(LedgerFilter(kind="user changed")):
        if entry.payload["user"] == user.name:
            return bool(entry.payload["record"] == user.digest)
    return False


def add_user(room: Room, name: str, role: Role, password: str, actor: Actor) -> Entry:
    """Add a user, who can sign in from now on.

    Raises:
        InputError: the name is taken or none, or the password is too short.
    """
    spelled = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(spelled):
        raise InputError("user: expected a name of 2 to 60 letters, digits, spaces and any of . ' @ -")
    user = User(name=spelled, role=role, enabled=True, password=hash_password(password))
    with _alone(room.home):
        if find_user(room.home, name) is not None:
            raise InputError("user: there is one of this name")
        return _write(room, user, "added", actor)


def change_role(room: Room, name: str, role: Role, actor: Actor) -> Entry:
    """Give a user another role; what is open in the old one ends."""
    with _alone(room.home):
        return _write(room, _known(room.home, name).model_copy(update={"role": role}), "role", actor)


def disable_user(room: Room, name: str, actor: Actor) -> Entry:
    """Let a user in no more; what is open ends. The name stays taken: it signed entries."""
    with _alone(room.home):
        return _write(room, _known(room.home, name).model_copy(update={"enabled": False}), "disabled", actor)


def change_password(room: Room, name: str, password: str, actor: Actor) -> Entry:
    """Set another password, which also lets a disabled user in again; what is open ends."""
    fresh = {"password": hash_password(password), "enabled": True}
    with _alone(room.home):
        return _write(room, _known(room.home, name).model_copy(update=fresh), "password", actor)


def _known(home: Path, name: str) -> User:
    user = find_user(home, name)
    if user is None:
        raise InputError("user: there is none of this name; `medproto user list` shows who there is")
    return user


def _write(room: Room, user: User, change: UserChange, actor: Actor) -> Entry:
    require(room, "users", actor)
    others = [known for known in read_users(room.home) if known.name != user.name]
    changed = UserChanged(user=user.name, change=change, role=user.role, enabled=user.enabled, record=user.digest)
    draft = EntryDraft("user changed", changed.model_dump(mode="json"), actor.name, actor.role)
    users = tuple(sorted((*others, user), key=lambda known: _key(known.name)))
    # Should the commit fail after the file is in place, the record is not vouched for, and lets nobody in.
    return room.ledger.append([draft], lambda _: _replace(room.home, users))[0]


def _replace(home: Path, users: tuple[User, ...]) -> None:
    fresh = home / f".{USERS_FILE}.{os.getpid()}"
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(_USERS.dump_json(users, indent=1))
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, home / USERS_FILE)
    except OSError as err:
        raise LedgerUnavailable(f"users: their file cannot be written ({err.strerror})") from err


def _alone(home: Path) -> AbstractContextManager[None]:
    """One process at a time changes users: of two that read before both write, one would be lost."""
    return one_at_a_time(home / f".{USERS_FILE}.lock", "users: their file cannot be locked")


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
