"""Attacks on entries by somebody who owns the database and has no key."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from audit.canonical import canonical_bytes
from audit.database import close_engine, open_engine
from audit.entries import Entry, decode, derive, format_time
from tests.audit.attacks.attack import Attack, NotPossible
from tests.audit.attacks.copies import Copy
from tests.audit.attacks.owning import body_of

#: Why an attack on the file is not carried out.
ON_A_SERVER = "the database is on a server, and no file"
_PLACES = "number, body, leaf, kind, time, actor, role, exam_id, refers_to, request"


def forged(conn: Connection, number: int, /, **changes: Any) -> Entry:
    """The entry of that number with other fields in its body."""
    return decode(canonical_bytes(json.loads(body_of(conn, number)) | changes))


def put(conn: Connection, number: int, entry: Entry) -> None:
    """Let this row hold that entry, with the leaf and the columns that fit its body."""
    values = {"number": number, "body": entry.body, "leaf": entry.leaf, **vars(derive(entry))}
    places = ", ".join(f"{name} = :{name}" for name in values if name != "number")
    conn.execute(text(f"UPDATE entry SET {places} WHERE number = :number"), values)


def insert(conn: Connection, entry: Entry, verb: str = "INSERT INTO") -> None:
    """Add a row for this entry, under the number in its body."""
    values = {"number": entry.number, "body": entry.body, "leaf": entry.leaf, **vars(derive(entry))}
    places = ", ".join(f":{name}" for name in values)
    conn.execute(text(f"{verb} entry ({', '.join(values)}) VALUES ({places})"), values)


def _delete(copy: Copy, number: int) -> None:
    with copy.owned() as conn:
        conn.execute(text("DELETE FROM entry WHERE number = :n"), {"n": number})


def _delete_any(copy: Copy) -> None:
    _delete(copy, copy.chance.randint(2, copy.size - 1))


def _move(conn: Connection, after: int, by: int) -> None:
    """Renumber the rows after this one; by way of negative numbers, which collide with none."""
    conn.execute(text("UPDATE entry SET number = -number WHERE number > :after"), {"after": after})
    conn.execute(text("UPDATE entry SET number = -number + :by WHERE number < 0"), {"by": by})


def _close_up(copy: Copy) -> None:
    number = copy.chance.randint(2, copy.size - 1)
    with copy.owned() as conn:
        conn.execute(text("DELETE FROM entry WHERE number = :n"), {"n": number})
        _move(conn, number, -1)


def _insert_between(copy: Copy) -> None:
    number = copy.chance.randint(2, copy.size)
    with copy.owned() as conn:
        before, entry = decode(body_of(conn, number - 1)), forged(conn, number - 1, number=number)
        _move(conn, number - 1, 1)
        insert(conn, decode(canonical_bytes(json.loads(entry.body) | {"previous": before.leaf})))


def _insert_at_the_end(copy: Copy) -> None:
    with copy.owned() as conn:
        last = decode(body_of(conn, copy.size))
        insert(conn, forged(conn, copy.size, number=copy.size + 1, previous=last.leaf))


def _two(copy: Copy) -> tuple[int, int]:
    first, second = sorted(copy.chance.sample(range(1, copy.size + 1), 2))
    return first, second


def _swap_bodies(copy: Copy) -> None:
    first, second = _two(copy)
    with copy.owned() as conn:
        one, other = decode(body_of(conn, first)), decode(body_of(conn, second))
        put(conn, first, other)
        put(conn, second, one)


def _swap_numbers(copy: Copy) -> None:
    first, second = _two(copy)
    with copy.owned() as conn:
        for old, new in ((first, -1), (second, first), (-1, second)):
            conn.execute(text("UPDATE entry SET number = :new WHERE number = :old"), {"new": new, "old": old})


def _duplicate_at_the_end(copy: Copy) -> None:
    with copy.owned() as conn:
        number = copy.chance.randint(1, copy.size)
        columns = _PLACES.replace("number", str(copy.size + 1), 1)
        conn.execute(text(f"INSERT INTO entry ({_PLACES}) SELECT {columns} FROM entry WHERE number = {number}"))


def _duplicate_under_its_number(copy: Copy) -> None:
    """Without its primary key the table takes a number twice."""
    if copy.url.get_backend_name() != "sqlite":
        raise NotPossible(ON_A_SERVER)
    with copy.owned() as conn:
        conn.execute(text("CREATE TABLE loose AS SELECT * FROM entry"))
        conn.execute(text("DROP TABLE entry"))
        conn.execute(text("ALTER TABLE loose RENAME TO entry"))
        number = copy.chance.randint(1, copy.size)
        conn.execute(text(f"INSERT INTO entry ({_PLACES}) SELECT {_PLACES} FROM entry WHERE number = {number}"))


def _back_date(copy: Copy) -> None:
    number = copy.chance.randint(1, copy.size)
    with copy.owned() as conn:
        time = format_time(decode(body_of(conn, number)).time - timedelta(days=365))
        put(conn, number, forged(conn, number, time=time))


def _rewrite(copy: Copy) -> None:
    number = copy.chance.randint(1, copy.size)
    with copy.owned() as conn:
        put(conn, number, forged(conn, number, actor="nobody"))


def _replace(copy: Copy) -> None:
    number = copy.chance.randint(1, copy.size)
    with copy.owned() as conn:
        entry = forged(conn, number, actor="nobody")
        if conn.dialect.name == "sqlite":
            insert(conn, entry, "INSERT OR REPLACE INTO")
        else:
            conn.execute(text("DELETE FROM entry WHERE number = :n"), {"n": number})
            insert(conn, entry)


def statements_let_through(copy: Copy) -> list[str]:
    """What an application may try with the triggers in place: the statements that were not refused."""
    tries = []
    for table, key in (("entry", "number"), ("checkpoint", "size")):
        first = f"{table} WHERE {key} = 1"
        tries += [f"UPDATE {table} SET {key} = {key} WHERE {key} = 1", f"DELETE FROM {first}"]
        if copy.url.get_backend_name() == "sqlite":
            tries += [f"{verb} INTO {table} SELECT * FROM {first}" for verb in ("INSERT", "REPLACE")]
            tries += [f"INSERT OR REPLACE INTO {table} SELECT * FROM {first}"]
        else:
            tries += [f"INSERT INTO {table} SELECT * FROM {first}", f"TRUNCATE {table}"]
    engine = open_engine(copy.url)
    passed = [statement for statement in tries if not _refused(engine, statement)]
    close_engine(engine)
    return passed


def _refused(engine: Engine, statement: str) -> bool:
    try:
        with engine.begin() as conn:
            conn.exec_driver_sql(statement)
    except DBAPIError:
        return True
    return False


def _forge_erasure(copy: Copy) -> None:
    """Take a patient's pictures away and say, without a key, that it was asked for."""
    copy.own_evidence()
    with copy.owned() as conn:
        kept = conn.execute(text("SELECT number FROM entry WHERE kind = 'prediction' ORDER BY number DESC")).scalars()
        erased = conn.execute(text("SELECT body FROM entry WHERE kind = 'erasure'")).scalars()
        gone = {decode(bytes(body)).payload["patient_id"] for body in erased}
        entries = (decode(body_of(conn, number)) for number in kept)
        patient = next((p for e in entries if (p := e.payload["prediction"]["patient_id"]) not in gone), None)
        if patient is None:
            raise NotPossible("no prediction whose patient was not erased")
        last = decode(body_of(conn, copy.size))
        payload = {"patient_id": patient, "exams": [], "reason": "request"}
        fields = {"kind": "erasure", "payload": payload, "number": copy.size + 1, "previous": last.leaf}
        insert(conn, forged(conn, copy.size, **fields))
        conn.execute(text("DELETE FROM identity WHERE pseudonym = :patient"), {"patient": patient})


def _replace_secrets(copy: Copy) -> None:
    with copy.owned() as conn:
        if not conn.execute(text("UPDATE identity SET secret = :s"), {"s": secrets.token_bytes(32)}).rowcount:
            raise NotPossible("no patient's secret")


def _replace_secrets_as_adopted(copy: Copy) -> None:
    """The secrets are others, and the patients pass for such that were pseudonymised elsewhere."""
    with copy.owned() as conn:
        change = "UPDATE identity SET secret = :s, patient_id = pseudonym"
        if not conn.execute(text(change), {"s": secrets.token_bytes(32)}).rowcount:
            raise NotPossible("no patient's secret")


def _drop_secrets(copy: Copy) -> None:
    with copy.owned() as conn:
        if not conn.execute(text("DELETE FROM identity")).rowcount:
            raise NotPossible("no patient's secret")


def _as_the_server_or_not(copy: Copy, on_a_server: str, *elsewhere: str) -> None:
    """Carry out the statement of PostgreSQL, or those of SQLite, with every trigger in force."""
    engine = open_engine(copy.url)
    with engine.begin() as conn:
        for statement in (on_a_server,) if conn.dialect.name == "postgresql" else elsewhere:
            conn.exec_driver_sql(statement)
    close_engine(engine)


def _drop_a_trigger(copy: Copy) -> None:
    off = "ALTER TABLE entry DISABLE TRIGGER entry_append_only"
    _as_the_server_or_not(copy, off, "DROP TRIGGER entry_no_replace")


def _hollow_a_trigger(copy: Copy) -> None:
    """A trigger of the right name that never refuses."""
    hollow = "CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry WHEN 0 BEGIN SELECT 1; END"
    for_replicas = "ALTER TABLE entry ENABLE REPLICA TRIGGER entry_append_only"
    _as_the_server_or_not(copy, for_replicas, "DROP TRIGGER entry_no_update", hollow)


def _add_a_trigger(copy: Copy) -> None:
    """A trigger that alters what is written, at some time to come."""
    if copy.url.get_backend_name() != "sqlite":
        raise NotPossible(ON_A_SERVER)
    engine = open_engine(copy.url)
    with engine.begin() as conn:
        conn.exec_driver_sql(
            "CREATE TRIGGER later AFTER INSERT ON entry WHEN NEW.time > '2100' BEGIN DELETE FROM checkpoint; END"
        )
    close_engine(engine)


ATTACKS = (
    Attack("entry deleted", _delete_any),
    Attack("first entry deleted", lambda copy: _delete(copy, 1)),
    Attack("entry deleted, those after it moved up", _close_up),
    Attack("entry inserted between two", _insert_between),
    Attack("entry inserted at the end", _insert_at_the_end),
    Attack("two entries swapped", _swap_bodies),
    Attack("the numbers of two entries swapped", _swap_numbers),
    Attack("entry duplicated at the end", _duplicate_at_the_end),
    Attack("entry duplicated under its number, the primary key gone", _duplicate_under_its_number),
    Attack("entry back-dated, its leaf made to fit", _back_date),
    Attack("entry rewritten, its leaf made to fit", _rewrite),
    Attack("entry replaced (INSERT OR REPLACE), the triggers gone", _replace),
    Attack("erasure forged without the key", _forge_erasure),
    Attack("patients' secrets replaced", _replace_secrets, warning=True),
    Attack("patients' secrets replaced as if adopted", _replace_secrets_as_adopted, warning=True),
    Attack("patients' secrets deleted without an entry", _drop_secrets, warning=True),
    Attack("a trigger dropped", _drop_a_trigger, warning=True),
    Attack("a trigger made to do nothing", _hollow_a_trigger, warning=True),
    Attack("a trigger added", _add_a_trigger, warning=True),
)
