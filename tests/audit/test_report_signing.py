"""A signed copy: the report it begins with, one signature that draws nothing, and nobody else's certificate."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pikepdf import Array, Dictionary, Pdf
from typer.testing import CliRunner

from audit.report import report_for
from audit.report_signing import SignatureKey, read_signature_key, sign_report, signed_copy
from audit.room import Room, open_room
from audit.service import LedgerFilter, report_exported
from audit.verify_report import verify_report
from medproto.cli import app
from medproto.errors import KeyProblem
from tests.audit.conftest import READER

pytest.importorskip("pyhanko", reason="no pyHanko: medproto[sign] is not installed")


def certificate_for(private: Ed25519PrivateKey, days: int = 30) -> x509.Certificate:
    """A certificate that a desk gave itself."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Report desk")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .sign(private, None)
    )


def written(folder: Path, private: Ed25519PrivateKey, certificate: x509.Certificate) -> tuple[Path, Path]:
    """Key (0600) and certificate as PEM files."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    key.touch(0o600)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    cert.write_bytes(certificate.public_bytes(Encoding.PEM))
    return key, cert


@pytest.fixture(scope="module")
def desk() -> SignatureKey:
    """A key with its certificate."""
    private = Ed25519PrivateKey.generate()
    return SignatureKey(private, certificate_for(private))


@pytest.fixture(scope="module")
def plain(template: Path) -> bytes:
    """The report of entry 3 as of 11 entries."""
    with open_room(template) as room:
        return report_for(room, 3, 11)


@pytest.fixture(scope="module")
def signed(plain: bytes, desk: SignatureKey) -> bytes:
    """Its signed copy."""
    return sign_report(plain, desk)


def turned(data: bytes) -> bytes:
    """The file with a later revision that turns its first page upside down."""
    from pyhanko.pdf_utils.generic import NameObject, NumberObject
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer, out = IncrementalPdfFileWriter(io.BytesIO(data)), io.BytesIO()
    page = writer.find_page_for_modification(0)[0].get_object()
    page[NameObject("/Rotate")] = NumberObject(180)
    writer.update_container(page)
    writer.write(out)
    return out.getvalue()


def test_a_signed_copy_begins_with_the_report_and_adds_nothing(plain: bytes, signed: bytes) -> None:
    copy = signed_copy(signed)
    assert copy is not None
    assert copy.report == plain
    assert copy.differences == ()
    assert signed_copy(plain) is None


def test_the_command_signs_logs_both_digests_and_verifies(home: Path, tmp_path: Path, desk: SignatureKey) -> None:
    key, cert = written(tmp_path, desk.private, desk.certificate)
    pdf = tmp_path / "exam.pdf"
    options = ["-o", str(pdf), "--sign", str(key), "--certificate", str(cert), "--home", str(home)]
    assert CliRunner().invoke(app, ["report", "3", *options]).exit_code == 0
    with open_room(home) as room:
        exported = room.ledger.entries(LedgerFilter(kind="report exported"))[0]
    copy = signed_copy(pdf.read_bytes())
    assert copy is not None
    assert exported.payload["pdf_digest"] == hashlib.sha256(copy.report).hexdigest()
    assert exported.payload["signed_digest"] == hashlib.sha256(pdf.read_bytes()).hexdigest()
    assert exported.payload["certificate"] == desk.digest
    result = CliRunner().invoke(app, ["verify-report", str(pdf), "--home", str(home)])
    assert result.exit_code == 0
    assert f"exported as this very file by entry {exported.number}" in result.output
    assert "signed by CN=Report desk" in result.output
    assert "notice" not in result.output


def test_a_flipped_bit_behind_the_report_breaks_the_signature(room: Room, signed: bytes, plain: bytes) -> None:
    place = signed.index(b"/Reason", len(plain)) + 12
    flipped = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
    assert "signature: it does not fit the file" in verify_report(room, flipped).differences


def test_a_signature_by_somebody_else_is_told(room: Room, plain: bytes, signed: bytes, desk: SignatureKey) -> None:
    private = Ed25519PrivateKey.generate()
    stranger = certificate_for(private)
    digest, copy = hashlib.sha256(plain).hexdigest(), sign_report(plain, SignatureKey(private, stranger))
    assert verify_report(room, signed, certificate=desk.certificate).verified
    (said,) = verify_report(room, copy, certificate=desk.certificate).differences
    assert said == "signature: it is by another certificate than the one expected"
    unnamed = verify_report(room, copy)
    assert unnamed.verified
    assert unnamed.notices == ("nothing here says whose signature is expected; --certificate does",)
    report_exported(room, 3, digest, READER)
    assert verify_report(room, copy).notices == unnamed.notices


def test_a_page_turned_before_signing_is_named(room: Room, plain: bytes, desk: SignatureKey) -> None:
    forged = sign_report(turned(plain), desk)
    result = verify_report(room, forged, certificate=desk.certificate)
    assert not result.verified
    assert any("page 1" in said or "around the pages" in said for said in result.differences), result.differences


def test_a_page_turned_after_signing_is_named(room: Room, signed: bytes, desk: SignatureKey) -> None:
    result = verify_report(room, turned(signed), certificate=desk.certificate)
    assert not result.verified
    assert any("page 1" in said or "around the pages" in said for said in result.differences), result.differences


def test_a_signature_that_draws_is_told(room: Room, tmp_path: Path, plain: bytes, desk: SignatureKey) -> None:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.fields import SigFieldSpec
    from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner

    key, cert = written(tmp_path, desk.private, desk.certificate)
    signer = SimpleSigner.load(str(key), str(cert))
    field = SigFieldSpec("Signature", box=(30, 30, 500, 700))
    writer = IncrementalPdfFileWriter(io.BytesIO(plain))
    drawn = PdfSigner(PdfSignatureMetadata("Signature"), signer, new_field_spec=field).sign_pdf(writer)
    said = verify_report(room, drawn.getvalue(), certificate=desk.certificate).differences
    assert "around the pages: what was appended is not one signature that draws nothing" in said


def test_a_form_without_a_report_before_it_is_no_signed_copy(room: Room, plain: bytes) -> None:
    with Pdf.open(io.BytesIO(plain)) as pdf:
        pdf.Root.AcroForm = Dictionary(Fields=Array([]), SigFlags=3)
        out = io.BytesIO()
        pdf.save(out)
    assert signed_copy(out.getvalue()) is None
    assert any("around the pages" in said for said in verify_report(room, out.getvalue()).differences)


@pytest.mark.parametrize("which", ["open to others", "another pair", "expired", "RSA", "no PEM"])
def test_a_key_that_must_not_sign_is_one_sentence(tmp_path: Path, desk: SignatureKey, which: str) -> None:
    private = Ed25519PrivateKey.generate()
    certificate = desk.certificate if which == "another pair" else certificate_for(private, -1)
    key, cert = written(tmp_path, private, certificate)
    if which == "open to others":
        key.chmod(0o644)
    elif which == "RSA":
        rsa = generate_private_key(65537, 2048)
        key.write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    elif which == "no PEM":
        key.write_bytes(b"nothing")
    sentences = {
        "open to others": "expected mode 0600",
        "another pair": "names another key",
        "expired": "not in force today",
        "RSA": "expected Ed25519",
        "no PEM": "expected a PEM file",
    }
    with pytest.raises(KeyProblem, match=sentences[which]):
        read_signature_key(key, cert)
