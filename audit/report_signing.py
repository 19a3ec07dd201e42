"""A signature inside the PDF (PAdES baseline B-B, ETSI EN 319 142-1), put on a report when it is handed over.

The signature is appended, so that the report before it lies unaltered at the start of the copy. A signed copy
guarantees, where nothing is said against it:

1. It begins with a whole report, and what was appended to that is one signature field that draws nothing.
2. No page, attachment or title is another than in that report.
3. The signature is over every byte of the file but itself, and by the certificate that is expected.

Signing and checking (3) need pyHanko, which `pip install "medproto[sign]"` brings; (1) and (2) do not.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pikepdf
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pikepdf import Name, Pdf

from audit.report_archival import opened_pdf
from audit.report_comparison import PdfParts, page_differences
from medproto.errors import KeyProblem, ReportError

if TYPE_CHECKING:
    from pyhanko.sign.signers import SimpleSigner

_FIELD: Final = "Signature"
_REASON: Final = "Handed over as logged in the ledger that it names"
_FIELD_KEYS: Final = {"/T", "/V", "/Type", "/FT", "/Rect", "/F", "/P", "/Subtype"}
_END: Final = rb"startxref\s+%d\s+%%%%EOF\r?\n?"
#: What a new revision says of itself: program and time.
_OF_REVISION: Final = ("/Producer", "/ModDate")
_OF_REVISION_XMP: Final = ("{http://ns.adobe.com/pdf/1.3/}Producer", "{http://ns.adobe.com/xap/1.0/}ModifyDate")
_NOT_INSTALLED: Final = 'pyHanko is not installed: `pip install "medproto[sign]"` brings it'


@dataclass(frozen=True)
class SignatureKey:
    """An Ed25519 private key with the certificate that names it."""

    private: Ed25519PrivateKey
    certificate: x509.Certificate

    @property
    def digest(self) -> str:
        """SHA-256 of the certificate, as the ledger holds it."""
        return certificate_digest(self.certificate)


@dataclass(frozen=True)
class SignedCopy:
    """A signed PDF taken apart: the report that it begins with, and what speaks against guarantees 1 and 2."""

    data: bytes
    report: bytes
    differences: tuple[str, ...]


def certificate_digest(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate's DER bytes, in hex."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def read_certificate(path: Path) -> x509.Certificate:
    """The one certificate of a PEM file; KeyProblem for anything else."""
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as err:
        raise KeyProblem("certificate: it cannot be read, expected one in a PEM file") from err
    if len(certificates) != 1:
        raise KeyProblem(f"certificate: got {len(certificates)} in the file, expected one")
    return certificates[0]


def read_signature_key(key: Path, certificate: Path) -> SignatureKey:
    """Read both; KeyProblem where they are not a pair of Ed25519, not in force, or the key is open to others."""
    try:
        if stat.S_IMODE(key.stat().st_mode) & 0o077:
            raise KeyProblem("signature key: other users can read the file, expected mode 0600")
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as err:
        raise KeyProblem("signature key: it cannot be read, expected a PEM file without passphrase") from err
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyProblem("signature key: got another kind of key, expected Ed25519")
    found = read_certificate(certificate)
    if found.public_key() != private.public_key():
        raise KeyProblem("certificate: it names another key than the one to sign with")
    if not found.not_valid_before_utc <= datetime.now(UTC) <= found.not_valid_after_utc:
        raise KeyProblem("certificate: it is not in force today")
    return SignatureKey(private, found)


def sign_report(report: bytes, key: SignatureKey) -> bytes:
    """The report with a signature appended; the time is in it, so that no two copies are the same.

    Raises:
        ReportError: pyHanko is not installed.
    """
    try:
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
        from pyhanko.sign.fields import SigSeedSubFilter
        from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner
    except ImportError as err:
        raise ReportError(f"signature: {_NOT_INSTALLED}") from err
    how = PdfSignatureMetadata(_FIELD, subfilter=SigSeedSubFilter.PADES, reason=_REASON)
    signer = PdfSigner(how, signer=_signer(key))
    return bytes(signer.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(report))).getvalue())


def signed_copy(data: bytes) -> SignedCopy | None:
    """Take a signed copy apart; None where the file bears no signature behind a whole report."""
    with opened_pdf(data) as pdf:
        previous = pdf.trailer.get("/Prev")
        if Name.AcroForm not in pdf.Root or previous is None:
            return None
    ends = list(re.finditer(_END % int(previous), data))
    if len(ends) != 1:
        return None
    report = data[: ends[0].end()]
    with opened_pdf(data) as pdf, opened_pdf(report) as before:
        said = _taken_off(pdf, len(data))
        if _xmp(pdf) != _xmp(before):
            said.append("around the pages: the signed copy describes itself otherwise than the report")
        for each in (pdf, before):
            _without_revision(each)
        got, right = PdfParts.from_pdf(pdf), PdfParts.from_pdf(before)
    for number, pair in enumerate(zip(got.pages, right.pages, strict=False), start=1):
        said += [f"page {number}: in the signed copy {sentence}" for sentence in page_differences(*pair)]
    if not said and got != right:
        said.append("around the pages: the signed copy holds something that the report does not")
    return SignedCopy(data, report, tuple(said))


def signer_of(data: bytes) -> tuple[str, str]:
    """Check guarantee 3 but for whose certificate it is: SHA-256 and subject of the certificate.

    Raises:
        KeyProblem: the signature does not fit the file.
        ReportError: pyHanko is not installed.
    """
    try:
        from pyhanko.pdf_utils.misc import PdfError
        from pyhanko.pdf_utils.reader import PdfFileReader
        from pyhanko.sign.validation.errors import SignatureValidationError
        from pyhanko.sign.validation.generic_cms import validate_sig_integrity
        from pyhanko.sign.validation.status import SignatureCoverageLevel
    except ImportError as err:
        raise ReportError(f"signature: {_NOT_INSTALLED}") from err
    try:
        (signature,) = PdfFileReader(io.BytesIO(data)).embedded_signatures
        certificate = signature.signer_cert
        intact, valid = validate_sig_integrity(
            signature.signer_info, certificate, expected_content_type="data", actual_digest=signature.compute_digest()
        )
        whole = signature.evaluate_signature_coverage() == SignatureCoverageLevel.ENTIRE_FILE
        der = certificate.dump()
    except (PdfError, SignatureValidationError, ValueError, TypeError, KeyError) as err:
        raise KeyProblem("signature: it cannot be read") from err
    if not (intact and valid and whole):
        raise KeyProblem("signature: it does not fit the file")
    return hashlib.sha256(der).hexdigest(), x509.load_der_x509_certificate(der).subject.rfc4514_string()


def _signer(key: SignatureKey) -> SimpleSigner:
    from asn1crypto.keys import PrivateKeyInfo
    from asn1crypto.x509 import Certificate
    from pyhanko.sign.signers import SimpleSigner
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    form = (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return SimpleSigner(
        signing_cert=Certificate.load(key.certificate.public_bytes(serialization.Encoding.DER)),
        signing_key=PrivateKeyInfo.load(key.private.private_bytes(*form)),
        cert_registry=SimpleCertificateStore(),  # type: ignore[no-untyped-call]
    )


def _taken_off(pdf: Pdf, size: int) -> list[str]:
    """Take the one signature field off; what it is beside that is told."""
    wrong = ["around the pages: what was appended is not one signature that draws nothing"]
    fields = pdf.Root.AcroForm.get(Name.Fields)
    if not isinstance(fields, pikepdf.Array) or len(fields) != 1:
        return wrong
    field, page = fields[0], pdf.pages[0].obj
    annotations = page.get(Name.Annots)
    drawn = [float(edge) for edge in field.get(Name.Rect, [1])]
    if not isinstance(annotations, pikepdf.Array) or len(annotations) != 1 or annotations[0].objgen != field.objgen:
        return wrong
    if set(field.keys()) - _FIELD_KEYS or field.get(Name.FT) != Name.Sig or any(drawn):
        return wrong
    covered = [int(place) for place in field.V.get(Name.ByteRange, [])]
    del page[Name.Annots], pdf.Root[Name.AcroForm]
    return [] if len(covered) == 4 and covered[0] == 0 and covered[2] + covered[3] == size else wrong


def _without_revision(pdf: Pdf) -> None:
    """Leave out what every new revision says of itself."""
    for key in (Name.Extensions, Name.Version, Name.Metadata):
        if key in pdf.Root:
            del pdf.Root[key]
    for name in _OF_REVISION:
        if name in pdf.docinfo:
            del pdf.docinfo[name]


def _xmp(pdf: Pdf) -> dict[str, Any]:
    with pdf.open_metadata() as metadata:
        return {key: value for key, value in metadata.items() if key not in _OF_REVISION_XMP}
