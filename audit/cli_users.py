"""`medproto user`: who may sign in to the reading room, and as what. Nobody is there by default."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from audit.access import Role
from audit.cli_options import HOME, Home, Url, one_line, operator, out
from audit.roles import roles_script
from audit.room import open_room
from audit.users import add_user, change_password, change_role, disable_user, find_user, read_users
from medproto.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Who may sign in to the reading room: reader, auditor or admin.")

Name = Annotated[str, typer.Argument(help="The user's name, as it signs.")]
AsWhat = Annotated[Role, typer.Option("--role", help="What the user may do.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@app.command("add")
@one_line
def add(name: Name, role: AsWhat, home: Home = HOME, ledger: Url = None, from_stdin: FromStdin = False) -> None:
    """Add a user; the password is asked for, unseen."""
    if find_user(home, name) is not None:
        raise InputError("user: there is one of this name")
    password = _password(from_stdin)
    with open_room(home, ledger) as room:
        entry = add_user(room, name, role, password, operator())
    out().print(f"{escape(name)}, {role}: written down as entry {entry.number}")


@app.command("list")
@one_line
def list_users(home: Home = HOME) -> None:
    """List the users of a home."""
    table = Table("name", "role", "may sign in")
    for user in read_users(home):
        table.add_row(escape(user.name), user.role, "yes" if user.enabled else "no")
    out().print(table)


@app.command("role")
@one_line
def role_of(name: Name, role: AsWhat, home: Home = HOME, ledger: Url = None) -> None:
    """Give a user another role; who is signed in has to sign in again."""
    with open_room(home, ledger) as room:
        entry = change_role(room, name, role, operator())
    out().print(f"{escape(name)}, {role}: written down as entry {entry.number}")


@app.command("disable")
@one_line
def disable(name: Name, home: Home = HOME, ledger: Url = None) -> None:
    """Let a user in no more; a new password lets them in again."""
    with open_room(home, ledger) as room:
        entry = disable_user(room, name, operator())
    out().print(f"{escape(name)}: lets nobody in any more; written down as entry {entry.number}")


@app.command("password")
@one_line
def password(name: Name, home: Home = HOME, ledger: Url = None, from_stdin: FromStdin = False) -> None:
    """Set a user's password; it is asked for, unseen."""
    fresh = _password(from_stdin)
    with open_room(home, ledger) as room:
        entry = change_password(room, name, fresh, operator())
    out().print(f"{escape(name)}: another password; written down as entry {entry.number}")


@one_line
def roles(
    application: Annotated[str, typer.Option(help="Role under which medproto runs.")] = "medproto_app",
    auditor: Annotated[str, typer.Option(help="Role that reads, identities left out.")] = "medproto_auditor",
) -> None:
    """Print SQL that gives a PostgreSQL ledger its roles: for its owner, to be handed to psql."""
    typer.echo(roles_script(application, auditor))


def _password(from_stdin: bool) -> str:
    """Asked for twice, or the first line of standard input."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != first:
        raise InputError("password: the two are not the same")
    return first
