"""A report checked with nothing but a public key: all words and numbers, by the entries that lie in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pikepdf import Pdf
from typer.testing import CliRunner

from audit.canonical import canonical_bytes
from audit.report import report_for
from audit.report_archival import attachment_of
from audit.report_identity import Identity
from audit.room import Room, open_room
from audit.service import Opinion, review
from audit.signing import PublicKey
from audit.verify_report import verify_alone, verify_report
from medproto.cli import app
from tests.audit.conftest import READER
from tests.audit.factory import sha256
from tests.audit.test_report_model import registered
from tests.audit.test_verify_report import altered, another_picture, in_content

__all__ = ["registered"]


def changed(report: bytes, *path: str, to: object) -> bytes:
    """The report with one value of its attachment changed."""

    def alter(pdf: Pdf) -> None:
        whole = json.loads(attachment_of(report))
        part = whole
        for key in path[:-1]:
            part = part[int(key) if isinstance(part, list) else key]
        part[path[-1]] = to
        pdf.Root.AF[0].EF.F.write(canonical_bytes(whole))

    return altered(report, alter)


@pytest.fixture
def held(registered: Room) -> tuple[Room, bytes, list[PublicKey]]:
    """A room with a registered model, the report of a reviewed exam, and the public key."""
    review(registered, 3, Opinion(verdict="disagree", reason="vascular", comment="born 1950"), READER)
    return registered, report_for(registered, 3), [registered.public_key]


def test_every_word_is_checked_without_ledger_and_pictures(held: tuple[Room, bytes, list[PublicKey]]) -> None:
    _, report, keys = held
    result = verify_alone(report, keys)
    assert result.verified
    assert (result.number, result.size, result.export) == (3, 16, None)
    assert "pictures were not compared" in result.notices[0]


def test_the_words_of_a_review_are_attached_and_must_be_those_that_were_signed(
    held: tuple[Room, bytes, list[PublicKey]],
) -> None:
    _, report, keys = held
    (_, attached) = json.loads(attachment_of(report))["reviews"]
    assert sha256(attached["words"].encode()) == json.loads(attached["entry"])["payload"]["words"]
    forged = changed(report, "reviews", "1", "words", to=attached["words"].replace("vascular", "nothing!"))
    assert verify_alone(forged, keys).differences == (
        f"attachment: the words of review {attached['number']} are not those that were signed",
    )


def test_an_altered_number_is_named_by_its_page(held: tuple[Room, bytes, list[PublicKey]]) -> None:
    _, report, keys = held
    (said,) = verify_alone(
        altered(report, in_content(0, b"operating point 2.000", b"operating point 9.000")), keys
    ).differences
    assert said.startswith("page 1: its text differs in 1 of")


def test_an_altered_picture_passes_here_and_not_with_the_ledger(held: tuple[Room, bytes, list[PublicKey]]) -> None:
    room, report, keys = held
    forged = altered(report, another_picture)
    assert verify_alone(forged, keys).verified
    assert not verify_report(room, forged, keys).verified


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("proof", "entry"), "{}"),
        (("proof", "inclusion"), []),
        (("origin", "bundle", "inclusion"), ["00" * 32]),
        (("reviews",), [{}]),
        (("origin",), 7),
    ],
)
def test_what_the_checkpoint_does_not_prove_is_told(
    held: tuple[Room, bytes, list[PublicKey]], path: tuple[str, ...], to: object
) -> None:
    _, report, keys = held
    (said,) = verify_alone(changed(report, *path, to=to), keys).differences
    assert said.startswith("attachment: ")


def test_a_review_of_another_exam_is_told(held: tuple[Room, bytes, list[PublicKey]]) -> None:
    room, _, keys = held
    review(room, 5, Opinion(verdict="agree"), READER)
    other, mine = report_for(room, 5), report_for(room, 3)
    theirs = json.loads(attachment_of(other))["reviews"]
    (said,) = verify_alone(changed(mine, "reviews", to=theirs), keys).differences
    assert said == "attachment: it holds a review of another exam, or another model's card"


def test_a_key_that_did_not_sign_is_told(held: tuple[Room, bytes, list[PublicKey]], tmp_path: Path) -> None:
    with open_room(tmp_path / "other", create=True) as other:
        key = other.public_key
    (said,) = verify_alone(held[1], [key]).differences
    assert said.startswith("attachment: its checkpoint is not signed by a key that was given")
    (said,) = verify_report(held[0], held[1], [key]).differences
    assert said.startswith("attachment: its checkpoint is not signed by a key of this ledger")


def test_an_identity_is_left_open(held: tuple[Room, bytes, list[PublicKey]]) -> None:
    room, _, keys = held
    result = verify_alone(report_for(room, 3, None, Identity("Doe, Jane", "1", "", "00" * 32)), keys)
    assert result.verified
    assert result.notices[1] == "only the ledger can tell whether the patient's identity is right"


def test_the_command_needs_no_home_with_a_public_key(held: tuple[Room, bytes, list[PublicKey]], tmp_path: Path) -> None:
    _, report, (key,) = held
    (tmp_path / "exam.pdf").write_bytes(report)
    command = ["verify-report", str(tmp_path / "exam.pdf"), "--home", str(tmp_path / "none")]
    assert CliRunner().invoke(app, command).exit_code == 2
    result = CliRunner().invoke(app, [*command, "--public-key", key.vkey])
    assert result.exit_code == 0, result.output
    assert "notice: without the ledger: pictures were not compared" in result.output
    (tmp_path / "exam.pdf").write_bytes(changed(report, "origin", to={}))
    assert CliRunner().invoke(app, [*command, "--public-key", key.vkey]).exit_code == 1
