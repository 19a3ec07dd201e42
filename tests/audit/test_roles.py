"""On PostgreSQL the application's role cannot change what is written, whatever the triggers would say."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from audit.models import Base
from audit.roles import roles_script
from audit.room import Actor, open_room, verify_room
from audit.service import Opinion, exam_opened, review
from medproto.cli import app
from medproto.errors import InputError
from tests.audit.conftest import fill

GROWN = sorted(set(Base.metadata.tables) - {"identity"})
READER = Actor("Grace", "reader")


def as_role(url: str, name: str) -> str:
    """The same database under another role."""
    return make_url(url).set(username=name).render_as_string(hide_password=False)


@pytest.fixture
def ledger(postgresql: str, tmp_path: Path) -> str:
    """URL of a filled ledger whose owner ran the script, twice."""
    with open_room(tmp_path / "home", postgresql, create=True) as room:
        fill(room, tmp_path)
    with psycopg.connect(postgresql, autocommit=True) as conn:
        for _ in range(2):
            conn.execute(roles_script("medproto_app", "medproto_auditor"))  # type: ignore[arg-type]
    return postgresql


def test_the_application_scores_signs_and_verifies(ledger: str, tmp_path: Path) -> None:
    with open_room(tmp_path / "home", as_role(ledger, "medproto_app")) as room:
        exam_opened(room, 3, READER)
        review(room, 3, Opinion(verdict="disagree", reason="A lymph node."), READER)
        assert room.pseudonym("a new patient", "patient", "x").startswith("patient-")
        assert verify_room(room).verified


@pytest.mark.parametrize("table", GROWN)
def test_the_application_may_not_change_what_is_written(ledger: str, table: str) -> None:
    column = next(iter(Base.metadata.tables[table].columns)).name
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table}"):
        with (
            psycopg.connect(as_role(ledger, "medproto_app")) as conn,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"permission denied for table {table}"),
        ):
            conn.execute(statement)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE entry DISABLE TRIGGER ALL",
        "DROP TABLE checkpoint",
        "DROP FUNCTION medproto_append_only() CASCADE",
        "UPDATE identity SET secret = secret",
        "UPDATE alembic_version SET version_num = '0001'",
        "SET ROLE postgres",
    ],
)
def test_the_application_may_not_become_the_owner(ledger: str, statement: str) -> None:
    with (
        psycopg.connect(as_role(ledger, "medproto_app")) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"permission denied|must be owner"),
    ):
        conn.execute(statement)  # type: ignore[arg-type]


def test_the_auditor_reads_all_but_identities_and_writes_nothing(ledger: str) -> None:
    with psycopg.connect(as_role(ledger, "medproto_auditor"), autocommit=True) as conn:
        assert conn.execute("SELECT count(*) FROM entry").fetchone() == (11,)
        for statement in ("SELECT secret FROM identity", "INSERT INTO checkpoint VALUES (99, '', '')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table"):
                conn.execute(statement)  # type: ignore[arg-type]


def test_a_patient_can_still_be_forgotten(ledger: str) -> None:
    with psycopg.connect(as_role(ledger, "medproto_app")) as conn:
        assert conn.execute("DELETE FROM identity").rowcount > 0


def test_every_table_is_named_once_for_each_role() -> None:
    script = roles_script("writes", "reads")
    for table in GROWN:
        assert sum(table in line and line.startswith("GRANT") for line in script.splitlines()) == 2


@pytest.mark.parametrize("name", ["", "Robert'); --", "1st", "with space", "a" * 64])
def test_a_name_that_is_no_role_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="expected small letters, digits and _"):
        roles_script(name, "reads")


def test_the_command_prints_the_script() -> None:
    done = CliRunner().invoke(app, ["audit", "roles", "--application", "writes"])
    assert done.exit_code == 0
    assert done.output == roles_script("writes", "medproto_auditor") + "\n"
