"""Which key may sign at which size: the chain of keys that the entries name, followed while they are read.

Entry 1 names the first key, and each change of keys is an entry that names the next one. The checkpoint over such an
entry is signed by the old key, which hands over, and by the new one, which thereby covers all that came before:

1. A checkpoint counts only if the key valid at its size signed it.
2. A new key counts only if the key valid before it, or one that the verifier was given, signed it in; or if a key
   that the verifier was given signs at that place or later, and so covers the change with all that came before.
3. Every key that the verifier was given signs in the chain: a log that ends before a key known elsewhere, or that goes
   on with a key retired since, is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.entries import KEY_CHANGES, Entry
from audit.findings import span
from audit.signing import Checkpoint, PublicKey, verify_note
from medproto.errors import AuditError, KeyProblem


@dataclass(frozen=True)
class KeyChange:
    """One change of keys: in which entry, to which key, and which keys sign nothing any more."""

    number: int
    new: PublicKey
    retired: tuple[PublicKey, ...]

    @classmethod
    def from_entry(cls, entry: Entry) -> KeyChange:
        """Read it from an entry of a kind that changes keys; AuditError where its payload names none."""
        old, new = key_named(entry, "old_key"), key_named(entry, "new_key")
        others = entry.payload.get("retired_keys", ())
        retired = [old, *(PublicKey.from_vkey(str(vkey)) for vkey in others)]
        if {key.name for key in retired} != {new.name}:
            raise AuditError("it names keys of another ledger")
        return cls(entry.number, new, tuple(retired))


@dataclass(frozen=True)
class Gap:
    """Entries that a restore lost: `restored` + 1 to `known`, and the keys that signed checkpoints over them."""

    restored: int
    known: int
    keys: tuple[PublicKey, ...]

    def holds(self, checkpoint: Checkpoint) -> bool:
        """Whether this checkpoint, known from elsewhere, is one over entries that were lost."""
        return self.restored < checkpoint.size <= self.known and bool(_signers(checkpoint.note, self.keys))


class KeyChain:
    """The chain so far. Give it every entry before the checkpoint over it, and ask it to check each checkpoint.

    Args:
        given: keys that the verifier was given.
        hinted: keys that the log names, taken only once an entry could not be read: it may have changed the key.
    """

    def __init__(self, given: Sequence[PublicKey], hinted: Sequence[PublicKey] = ()) -> None:
        self.notices: list[str] = []
        self.gaps: list[Gap] = []
        #: Entries that name a key which nothing vouches for so far; at the end those are guarantee 2, broken.
        self.unproven: list[int] = []
        self._given = tuple(given)
        self._hinted = tuple(hinted)
        self._named: list[PublicKey] = []
        self._signing: set[PublicKey] = set()
        self._pending: KeyChange | None = None
        self._valid = self._given

    def entry(self, entry: Entry) -> None:
        """Read what an entry says of keys; AuditError when it changes them and does not say how."""
        if entry.number == 1:
            self._named = [key_named(entry, "public_key")]
            self._valid = (self._named[0],)
        elif entry.kind in KEY_CHANGES:
            change = KeyChange.from_entry(entry)
            if entry.kind == "restored":
                self._restored(entry, change)
            elif change.retired[0] not in self._valid:
                raise AuditError("it retires another key than the one valid here")
            self._named.append(change.new)
            self._pending = change

    def lose(self) -> None:
        """An entry is missing or cannot be read: from here on any known key may be the valid one."""
        self._valid, self._pending = (*self._named, *self._given, *self._hinted), None

    def check(self, note: str) -> Checkpoint:
        """Guarantees 1 and 2 for the next checkpoint; KeyProblem otherwise."""
        change = self._pending
        if change is None or Checkpoint.from_note(note).size < change.number:
            checkpoint = verify_note(note, self._valid)
            self._signed_by(self._valid if len(self._valid) == 1 else _signers(note, self._valid))
            return checkpoint
        before = (*self._valid, *(key for key in change.retired if key in self._given))
        self._pending, self._valid = None, (change.new,)
        checkpoint = verify_note(note, [change.new])
        if not _signers(note, before):
            self.unproven.append(change.number)
            words = "its new key was signed in by none before it; what follows rests on a key given"
            self.notices.append(f"entry {change.number}: {words}.")
        self._signed_by(_signers(note, (change.new, *change.retired)))
        return checkpoint

    def valid_here(self, note: str) -> bool:
        """Whether a key that is valid at this place of the log signed this note."""
        handing_over = (self._pending.new,) if self._pending else ()
        return bool(_signers(note, (*self._valid, *handing_over)))

    def strangers(self) -> Iterator[PublicKey]:
        """Guarantee 3: keys that the verifier was given and that sign nothing in a log that others sign."""
        yield from (key for key in self._given if self._signing and key not in self._signing)

    def blind_spots(self) -> Iterator[str]:
        """What follows from a chain that goes on beyond the keys given."""
        if self._named and self._named[-1] not in self._given and self._given:
            yield (
                "The newest key was not given: whoever stole one of the keys given, which are retired, "
                "could have written what follows them."
            )

    def _signed_by(self, keys: Sequence[PublicKey]) -> None:
        self._signing.update(keys)
        if self.unproven and any(key in self._given for key in keys):
            self.unproven.clear()

    def _restored(self, entry: Entry, change: KeyChange) -> None:
        size, known = entry.payload.get("restored_size"), entry.payload.get("known_size")
        if size != entry.number - 1 or type(known) is not int or known < size:
            raise AuditError("it says that another size was restored")
        self.gaps.append(Gap(size, known, (*self._valid, *change.retired)))
        lost = span(size + 1, known) if known > size else "no entry, as far as was known"
        self.notices.append(f"entry {entry.number}: restored from a backup of {size} entries; lost: {lost}.")


def named_keys(entries: Sequence[Entry]) -> list[PublicKey]:
    """Every key that these entries name, oldest first; what cannot be read names none."""
    keys: list[PublicKey] = []
    for entry in entries:
        for name in ("public_key", "old_key", "new_key"):
            if name in entry.payload:
                try:
                    keys.append(key_named(entry, name))
                except KeyProblem:
                    continue  # `KeyChain.entry` says so, where the entry is read in its turn
    return list(dict.fromkeys(keys))


def key_named(entry: Entry, name: str) -> PublicKey:
    """The key that the payload of this entry holds under this name; KeyProblem where it holds none."""
    return PublicKey.from_vkey(str(entry.payload.get(name, "")))


def _signers(note: str, keys: Sequence[PublicKey]) -> list[PublicKey]:
    return [key for key in keys if _signed_by(note, key)]


def _signed_by(note: str, key: PublicKey) -> bool:
    try:
        verify_note(note, [key])
    except KeyProblem:
        return False
    return True
