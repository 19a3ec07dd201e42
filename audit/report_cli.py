"""`medproto report`: one entry in, one PDF out, logged before the file exists; `medproto verify-report`: back again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from audit import service
from audit.cli_options import HOME, Home, Url, one_line, operator, out
from audit.evidence import patient_of
from audit.payloads import Delivery
from audit.report import report_for
from audit.report_identity import Identity, identity_of
from audit.report_signing import read_certificate, read_signature_key, sign_report
from audit.room import Room, open_room
from audit.signing import PublicKey
from audit.verify_report import VerifiedReport, verify_alone
from audit.verify_report import verify_report as compare
from medproto.errors import ReportError


def report(
    entry: Annotated[int, typer.Argument(help="Number of the ledger entry: a prediction or a refusal.", min=1)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the PDF goes.")],
    at: Annotated[
        int | None, typer.Option(min=1, help="As of a ledger of this many entries; a commit must have ended there.")
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(
            metavar="MAP.csv", help="Name the patient: columns patient (pseudonym or id), name, id, birth_date."
        ),
    ] = None,
    identifier: Annotated[
        bool, typer.Option("--identifier", help="Name the patient by the identifier of the identity table.")
    ] = False,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY.pem", help="Sign the PDF with this Ed25519 key (medproto[sign]).")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="CERT.pem", help="Certificate of the key to sign with.")
    ] = None,
    home: Home = HOME,
    url: Url = None,
) -> None:
    """Write the report of one ledger entry as a PDF, and the export with the PDF's digest into the ledger.

    The report prints how many entries the ledger had; the same entry at the same size gives the same bytes. Pseudonyms
    are printed unless the hospital asks for the patient's identity for its own use; the ledger then says so, not whose.
    A signed copy begins with those same bytes; the ledger holds its digest too, and that of the certificate.
    """
    if (sign is None) != (certificate is None):
        raise typer.BadParameter("give --sign and --certificate together, or neither")
    key = read_signature_key(sign, certificate) if sign and certificate else None
    with open_room(home, url) as room:
        named = _identity(room, entry, identity) if identity or identifier else None
        data = report_for(room, entry, at, named)
        copy = sign_report(data, key) if key else data
        part = _written_beside(output, copy)
        delivery = Delivery(
            identified=named is not None,
            signed_digest=_digest(copy) if key else None,
            certificate=key.digest if key else None,
        )
        exported = service.report_exported(room, entry, _digest(data), operator(), delivery)
        os.replace(part, output)
    signed = ", signed" if key else ""
    typer.echo(f"{output}: {len(copy)} bytes{signed}, SHA-256 {_digest(copy)}, export is entry {exported.number}")


@one_line
def verify_report(
    pdf: Annotated[Path, typer.Argument(metavar="FILE.pdf", help="A report that medproto wrote.")],
    public_key: Annotated[
        list[str] | None, typer.Option(help="Public key obtained elsewhere; enough to check without a home.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="CERT.pem", help="Certificate that must have signed the PDF.")
    ] = None,
    home: Home = HOME,
    url: Url = None,
) -> None:
    """Make a report again from ledger and evidence and compare: exit 0 the same, 1 altered, 2 cannot be checked.

    It says which page lies. The checkpoint in the report is an anchor: a ledger cut below it is found, too. With a
    public key and no home, the words and numbers are compared with the entries attached, and pictures are not.
    """
    keys = [PublicKey.from_vkey(vkey) for vkey in public_key or ()]
    expected = read_certificate(certificate) if certificate else None
    try:
        data = pdf.read_bytes()
    except OSError as err:
        raise ReportError(f"report: it cannot be read ({err.strerror})") from err
    if keys and url is None and not home.is_dir():
        _print_comparison(verify_alone(data, keys, expected))
        return
    with open_room(home, url) as room:
        _print_comparison(compare(room, data, keys, expected))


def _print_comparison(result: VerifiedReport) -> None:
    console, of = out(), f"entry {result.number}, in a ledger of {result.size} entries"
    for difference in result.differences:
        console.print(f"[red]{escape(difference)}[/]")
    if result.export:
        console.print(f"exported as this very file by entry {result.export}")
    if result.other_software:
        console.print(f"[yellow]notice:[/] set by {escape(result.other_software)}, not by what is here")
    if result.signer and result.verified:
        console.print(f"signed by {escape(result.signer)}")
    for notice in result.notices:
        console.print(f"[yellow]notice:[/] {escape(notice)}")
    if result.verified:
        console.print(f"[green]verified[/]: {result.pages} pages and attachment are those of {of}")
    elif result.other_software:
        console.print(f"cannot be checked: not as it is set here; of {of}, it says")
        raise typer.Exit(2)
    else:
        console.print(f"[red]ALTERED[/]: it says that it is of {of}")
        raise typer.Exit(1)


def _identity(room: Room, entry: int, table: Path | None) -> Identity:
    patient = patient_of(room.ledger.entry(entry).payload)
    if patient is None:
        raise ReportError(f"entry {entry}: got a request for the patient's identity, and it names no patient")
    return identity_of(room, patient, table)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _written_beside(path: Path, data: bytes) -> Path:
    """The bytes on disk under a hidden name: what cannot be written is not written down as exported either.

    Raises:
        ReportError: the place cannot be written to.
    """
    if path.is_dir():
        raise ReportError(f"{path}: got a directory, expected the name of a file")
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
    except OSError as err:
        raise ReportError(f"{path}: the report cannot be written there ({err.strerror})") from err
    return part
