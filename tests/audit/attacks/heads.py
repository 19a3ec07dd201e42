"""Attacks on the end of the log, on its checkpoints and on its keys; by thieves of keys too."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, text

from audit.entries import KEY_CHANGES, NO_LEAF, EntryDraft, decode
from audit.ledger import Ledger
from audit.merkle import Frontier
from audit.signing import Checkpoint, Signer
from tests.audit.attacks.attack import Attack, NotPossible
from tests.audit.attacks.copies import Copy
from tests.audit.attacks.entries import ON_A_SERVER, forged, put
from tests.audit.attacks.owning import body_of
from tests.audit.attacks.projections import derive_again

#: What an attacker makes of an entry: the fields of its body that are to be others.
Change = Callable[[int, str], dict[str, object]]


def cut(copy: Copy, keep: int, *, checkpoints: bool) -> None:
    """Forget the entries after this one, and the checkpoints over them where asked to."""
    with copy.owned() as conn:
        conn.execute(text("DELETE FROM entry WHERE number > :n"), {"n": keep})
        if checkpoints:
            conn.execute(text("DELETE FROM checkpoint WHERE size > :n"), {"n": keep})
            derive_again(conn)


def rechain(conn: Connection, first: int, change: Change, signer: Signer) -> None:
    """Rewrite the log from this entry to its end, leaves, links and checkpoints included, all signed by this key."""
    sizes = set(conn.execute(text("SELECT size FROM checkpoint")).scalars())
    frontier, previous, signed = Frontier(), NO_LEAF, None
    for number in conn.execute(text("SELECT number FROM entry ORDER BY number")).scalars().all():
        entry = decode(body_of(conn, number))
        if number >= first:
            entry = forged(conn, number, **{"previous": previous, **change(number, entry.kind)})
            put(conn, number, entry)
        frontier.append(bytes.fromhex(entry.leaf))
        previous = entry.leaf
        if number in sizes:
            if number >= first:
                note = signer.sign(number, frontier.root(), signed).note
                put_checkpoint(conn, number, note, frontier)
            signed = number
    derive_again(conn)


def put_checkpoint(conn: Connection, size: int, note: str, frontier: Frontier | None = None) -> None:
    """Let the checkpoint over that many entries be this one."""
    conn.execute(text("UPDATE checkpoint SET note = :note WHERE size = :size"), {"note": note, "size": size})
    if frontier is not None:
        values = {"frontier": frontier.to_bytes(), "size": size}
        conn.execute(text("UPDATE checkpoint SET frontier = :frontier WHERE size = :size"), values)


def _thief(copy: Copy) -> Signer:
    """A key of the attacker's own, under the ledger's name."""
    return Signer(copy.known.key.name, Ed25519PrivateKey.generate())


def _live(copy: Copy) -> Signer:
    if copy.known.signer is None:
        raise NotPossible("no live private key at hand")
    return copy.known.signer


def _stolen(copy: Copy) -> Signer:
    if copy.known.stolen is None:
        raise NotPossible("no private key at hand that was retired since")
    return copy.known.stolen


def _last_change(conn: Connection) -> int:
    """The last entry that names a key."""
    kinds = ", ".join(f"'{kind}'" for kind in KEY_CHANGES)
    return int(conn.execute(text(f"SELECT max(number) FROM entry WHERE number = 1 OR kind IN ({kinds})")).scalar_one())


def _nobody(number: int) -> Change:
    """Another actor in one entry."""
    return lambda here, _: {"actor": "nobody"} if here == number else {}


def _cut_half_with_checkpoints(copy: Copy) -> None:
    """Not between an intent and its result: that would be noticed."""
    with copy.owned() as conn:
        query = text("SELECT max(number) FROM entry WHERE number <= :n AND kind <> 'intent'")
        keep = conn.execute(query, {"n": min(copy.size // 2, copy.known.anchored - 1)}).scalar_one()
    cut(copy, keep, checkpoints=True)


def _empty(copy: Copy, *, checkpoints: bool) -> None:
    cut(copy, 0, checkpoints=checkpoints)


def _rechain_without_the_key(copy: Copy) -> None:
    with copy.owned() as conn:
        rechain(conn, 1, _nobody(1), _thief(copy))


def _rechain_under_another_key(copy: Copy) -> None:
    """The attacker's key takes the place of the ledger's, in entry 1 and beside the database."""
    thief = _thief(copy)
    with copy.owned() as conn:
        payload = {**decode(body_of(conn, 1)).payload, "public_key": thief.public.vkey}

        def change(number: int, kind: str) -> dict[str, object]:
            return {"payload": payload} if number == 1 else _plain(kind)

        rechain(conn, 1, change, thief)
    (copy.home / "keys" / "ledger.pub").write_text(thief.public.vkey + "\n", "ascii")


def _plain(kind: str) -> dict[str, object]:
    """An entry that changed keys becomes one that does not."""
    return {"kind": "exam opened", "payload": {"entry": 1}} if kind in KEY_CHANGES else {}


def _rechain_with_an_old_key(copy: Copy) -> None:
    """Who stole a key that was retired since undoes its retirement and signs everything after it anew."""
    old = _stolen(copy)
    with copy.owned() as conn:
        rechain(conn, 2, lambda number, kind: {"actor": "nobody"} if number == 2 else _plain(kind), old)


def _sign_with_an_old_key(copy: Copy) -> None:
    old = _stolen(copy)
    with copy.owned() as conn:
        note = conn.execute(text("SELECT note FROM checkpoint WHERE size = :n"), {"n": copy.size}).scalar_one()
        signed = Checkpoint.from_note(note)
        put_checkpoint(conn, copy.size, old.sign(copy.size, bytes.fromhex(signed.root), signed.previous).note)


def _rechain_with_the_live_key(copy: Copy, *, below_anchor: bool) -> None:
    signer, anchored = _live(copy), copy.known.anchored
    with copy.owned() as conn:
        first, last = (_last_change(conn) + 1, anchored) if below_anchor else (anchored + 1, copy.size)
        if first > last:
            raise NotPossible("no entry between the newest key and the anchor, or after the anchor")
        number = copy.chance.randint(first, last)
        rechain(conn, number, _nobody(number), signer)


@contextmanager
def _writer(copy: Copy) -> Iterator[Ledger]:
    """The ledger as a process holds it that has the live key."""
    with copy.room() as room:
        yield dataclasses.replace(room.ledger, signer=_live(copy))


def _append(ledger: Ledger, count: int) -> None:
    for _ in range(count):
        ledger.append([EntryDraft("exam opened", {"entry": 1, "exam_id": "exam-0"}, "writer-2", "radiologist")])


def _place_to_fork(copy: Copy, first: int, last: int) -> int:
    """The size of a checkpoint between these, under the key in force: where a second writer can have gone on."""
    _live(copy)
    with copy.owned() as conn:
        values = {"first": max(first, _last_change(conn)), "last": last}
        places = (
            "size BETWEEN :first AND :last AND EXISTS (SELECT 1 FROM entry WHERE number = size AND kind <> 'intent')"
        )
        query = text(f"SELECT size FROM checkpoint WHERE {places} ORDER BY size")
        sizes = conn.execute(query, values).scalars().all()
    if not sizes:
        raise NotPossible("no place to fork between the newest key and the anchor, or after the anchor")
    return int(copy.chance.choice(sizes))


def _fork(copy: Copy, *, below_anchor: bool) -> None:
    """A second writer went on from a copy of the log, and its branch now lies in place of this one."""
    first, last = (1, copy.known.anchored - 1) if below_anchor else (copy.known.anchored, copy.size - 1)
    keep = _place_to_fork(copy, first, last)
    cut(copy, keep, checkpoints=True)
    with _writer(copy) as ledger:
        _append(ledger, copy.size - keep)


def _merge_fork(copy: Copy) -> None:
    """One entry of a second writer's branch, with the checkpoint that the live key signed over it, in this log."""
    keep = _place_to_fork(copy, 1, copy.size - 2)
    with copy.owned() as conn:
        rows = {
            table: conn.execute(text(f"SELECT * FROM {table} WHERE {key} > :n"), {"n": keep}).mappings().all()
            for table, key in (("entry", "number"), ("checkpoint", "size"))
        }
    cut(copy, keep, checkpoints=True)
    with _writer(copy) as ledger:
        _append(ledger, 1)
    with copy.owned() as conn:
        for table, key in (("entry", "number"), ("checkpoint", "size")):
            for row in rows[table]:
                if row[key] > keep + 1:
                    places = ", ".join(f":{name}" for name in row)
                    conn.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})"), dict(row))


def _replay_a_checkpoint(copy: Copy) -> None:
    with copy.owned() as conn:
        sizes = list(conn.execute(text("SELECT size FROM checkpoint ORDER BY size")).scalars())
        older, newer = sorted(copy.chance.sample(sizes, 2))
        note, frontier = conn.execute(
            text("SELECT note, frontier FROM checkpoint WHERE size = :older"), {"older": older}
        ).one()
        put_checkpoint(conn, newer, note, Frontier.from_bytes(older, bytes(frontier)))


def _delete_checkpoint(copy: Copy, *, last: bool) -> None:
    with copy.owned() as conn:
        sizes = list(conn.execute(text("SELECT size FROM checkpoint ORDER BY size")).scalars())
        size = sizes[-1] if last else copy.chance.choice(sizes[:-1])
        conn.execute(text("DELETE FROM checkpoint WHERE size = :size"), {"size": size})


def _sign_in_a_key(copy: Copy) -> None:
    """A thief names a key of his own as the next one; the ledger's key does not sign it in."""
    thief = _thief(copy)
    with copy.room() as room:
        valid = room.public_key
        fields = {"old_key": valid.vkey, "new_key": thief.public.vkey, "reason": "mine now"}
        draft = EntryDraft("key rotated", fields, "nobody", "administrator")
        room.ledger.change_key(draft, valid, [thief])


def _set_the_clock_back(copy: Copy) -> None:
    with _writer(copy) as ledger:
        before = ledger.entry(copy.size).time
        _append(dataclasses.replace(ledger, clock=lambda: before - timedelta(hours=1)), 1)


def _remove_the_file(copy: Copy) -> None:
    if copy.url.get_backend_name() != "sqlite":
        raise NotPossible(ON_A_SERVER)
    Path(str(copy.url.database)).write_bytes(b"")


SHORTER = "a shorter log, signed throughout: as if the rest had never been written"
BRANCH = "another log of the same length, signed throughout by the live key"
ATTACKS = (
    Attack("tail cut by 1", lambda copy: cut(copy, copy.size - 1, checkpoints=False)),
    Attack("tail cut by half", lambda copy: cut(copy, copy.size // 2, checkpoints=False)),
    Attack("tail cut by half with its checkpoints", _cut_half_with_checkpoints, "b", SHORTER),
    Attack("tail cut by 1 with its checkpoint", lambda copy: cut(copy, copy.size - 1, checkpoints=True), "c", SHORTER),
    Attack("log emptied, checkpoints left", lambda copy: _empty(copy, checkpoints=False)),
    Attack("log emptied with its checkpoints", lambda copy: _empty(copy, checkpoints=True)),
    Attack("database file emptied", _remove_the_file),
    Attack("log rewritten and re-chained without the key", _rechain_without_the_key),
    Attack("log rewritten under another key, named in entry 1", _rechain_under_another_key),
    Attack("log rewritten with an old key after its rotation", _rechain_with_an_old_key),
    Attack(
        "log rewritten with an old key, the only one that the verifier knows",
        _rechain_with_an_old_key,
        "b",
        "a log whose key was never rotated",
        key_known="retired",
    ),
    Attack("last checkpoint signed with an old key", _sign_with_an_old_key),
    Attack("rotation to a thief's key, signed by it alone", _sign_in_a_key),
    Attack(
        "log rewritten with the live key below the anchor",
        lambda copy: _rechain_with_the_live_key(copy, below_anchor=True),
        "b",
        BRANCH,
    ),
    Attack(
        "log rewritten with the live key after the anchor",
        lambda copy: _rechain_with_the_live_key(copy, below_anchor=False),
        "c",
        BRANCH,
    ),
    Attack("fork by two writers below the anchor", lambda copy: _fork(copy, below_anchor=True), "b", BRANCH),
    Attack("fork by two writers after the anchor", lambda copy: _fork(copy, below_anchor=False), "c", BRANCH),
    Attack("entry of a fork in this log, with its checkpoint", _merge_fork),
    Attack("checkpoint replayed in place of a later one", _replay_a_checkpoint),
    Attack("checkpoint in between deleted", lambda copy: _delete_checkpoint(copy, last=False)),
    Attack("last checkpoint deleted", lambda copy: _delete_checkpoint(copy, last=True)),
    Attack("clock set back", _set_the_clock_back, warning=True),
)
