"""`medproto audit erase-patient`: destroy what leads to a patient, and say what is out of its reach."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.markup import escape

from audit.cli_options import HOME, Home, Url, one_line, operator, out
from audit.erasure import Finished, erase, finish_erasures, kept_of
from audit.identity import find_patient, secret_behind
from audit.payloads import ErasureReason
from audit.room import LEDGER_FILE, Room, open_room
from medproto.errors import InputError

_PSEUDONYM = re.compile(r"patient-[0-9a-f]{16}")
_BEYOND = (
    "backups of database and evidence store, which hold secret and pictures until they are overwritten",
    "PDFs and exports that left the room, and the files that the exam was scored from",
    "numbers and decisions under the pseudonym, and file digests: who still has a file can find its digest",
    "a training patch in a bundle, if the patient was among its training data",
    "copies that file system, disk or a PostgreSQL log keep of what was overwritten",
)


@one_line
def erase_patient(
    why: Annotated[ErasureReason, typer.Option("--why", help="Why; written into the ledger.")],
    patient: Annotated[
        str | None, typer.Argument(help="Pseudonym, as in the ledger; left out, the identifier is asked for, unseen.")
    ] = None,
    home: Home = HOME,
    ledger: Url = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether that is meant.")] = False,
) -> None:
    """Destroy a patient's secret, words and pictures for good; backups and what left the room are not reached.

    The entries stay and verify. Run it again when it was cut short: it takes away what an earlier run left.
    """
    with open_room(home, ledger) as room:
        known = _known(room, patient)
        if known is None:
            _print_finished(finish_erasures(room))
            raise InputError("patient: nobody of that name is known here; what earlier erasures left was taken away")
        kept = kept_of(room, known)
        if not yes:
            typer.confirm(f"Erase {known} with {len(kept.exams)} exams, for good?", abort=True)
        entry = erase(room, known, why, operator())
        out().print(f"entry {entry.number}: {known} erased; exams: {', '.join(kept.exams) or 'none'}")
        _print_finished(finish_erasures(room))
    if kept.clear_reviews:
        numbers = ", ".join(map(str, kept.clear_reviews))
        out().print(f"NOT erased: words of reviews from before there was encryption, in the bodies of {numbers}")
    for path in sorted(home.glob(f"{LEDGER_FILE}*.replaced-*")):
        out().print(f"NOT erased: what a restore moved aside, {path.name}, until you delete it")
    for what in _BEYOND:
        out().print(f"[dim]not reached:[/] {escape(what)}")


def _known(room: Room, patient: str | None) -> str | None:
    """Pseudonym of a patient whose secret is here; what was typed is never printed."""
    if patient is None:
        return find_patient(room.ledger.engine, typer.prompt("Patient identifier", hide_input=True).strip())
    if not _PSEUDONYM.fullmatch(patient):
        raise InputError("PATIENT: expected a pseudonym; leave it out to type an identifier, which no shell remembers")
    return patient if secret_behind(room.ledger.engine, patient) is not None else None


def _print_finished(finished: Finished) -> None:
    out().print(f"{finished.files} files removed")
    if not finished.scrubbed:
        out().print(
            "[yellow]notice:[/] the database is in use or not this role's own: the deleted row may lie in its free "
            "pages until this command is run again"
        )
