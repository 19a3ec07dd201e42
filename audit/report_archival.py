"""What makes the set pages a file for archives: XMP, colour, dates, and `audit.json` as an associated file.

The structure is that of PDF/A (ISO 19005): level 3b with an attachment, 1b without one. Nothing here depends on clock
or machine: the same pages and attachment give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String

from medproto.errors import ReportError

ATTACHMENT: Final = "audit.json"
#: Namespaces are declared before the first property: readers such as PDFBox look for them there alone.
_XMP: Final = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{Title}</rdf:li></rdf:Alt></dc:title>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{Subject}</rdf:li></rdf:Alt></dc:description>
<dc:creator><rdf:Seq><rdf:li>{Author}</rdf:li></rdf:Seq></dc:creator>
<pdf:Producer>{Producer}</pdf:Producer>
<xmp:CreatorTool>{Creator}</xmp:CreatorTool>
<xmp:CreateDate>{date}</xmp:CreateDate>
<xmp:ModifyDate>{date}</xmp:ModifyDate>
<pdfaid:part>{part}</pdfaid:part>
<pdfaid:conformance>B</pdfaid:conformance>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>
"""
_DAMAGED: Final = (pikepdf.PdfError, pikepdf.DataDecodingError, pikepdf.ForeignObjectError)
_SRGB: Final = "sRGB IEC61966-2.1"
_PROFILE: Final = Path(__file__).parent / "fonts" / "sRGB.icc"


def archived(pages: bytes, time: datetime, attachment: bytes | None) -> bytes:
    """The file for archives.

    Args:
        pages: the PDF of the set pages.
        time: when what they say was written, in UTC.
        attachment: bytes of `audit.json`; with None the file is built for PDF/A-1b, which allows no attachment.
    """
    out = io.BytesIO()
    with Pdf.open(io.BytesIO(pages)) as pdf:
        _describe(pdf, time, part="1" if attachment is None else "3")
        _add_colour(pdf)
        if attachment is not None:
            _attach(pdf, attachment, time)
        pdf.save(
            out,
            deterministic_id=True,
            compress_streams=False,  # pictures and letters are packed already; what is attached stays legible
            stream_decode_level=pikepdf.StreamDecodeLevel.none,
            object_stream_mode=pikepdf.ObjectStreamMode.disable,  # PDF/A-1 knows neither these nor version 1.5
            min_version="1.4" if attachment is None else "1.7",
            linearize=False,
        )
    return out.getvalue()


def attachment_of(report: bytes) -> bytes:
    """The bytes of `audit.json` in a report.

    Raises:
        ReportError: it is no PDF, or there is no such attachment in it.
    """
    with opened_pdf(report) as pdf:
        found = pdf.attachments.get(ATTACHMENT)
        if found is None:
            raise ReportError(f"report: got a PDF without {ATTACHMENT}, expected one that medproto wrote")
        return bytes(found.get_file().read_bytes())


@contextmanager
def opened_pdf(data: bytes) -> Iterator[Pdf]:
    """A PDF to read in; ReportError where what is read is none, or is damaged."""
    try:
        with Pdf.open(io.BytesIO(data), attempt_recovery=False) as pdf:
            yield pdf
    except (*_DAMAGED, RuntimeError, ValueError, TypeError, KeyError, AttributeError, IndexError) as err:
        # The last ones: objects of other kinds than belong there, or nested without end.
        raise ReportError("report: it cannot be read as a PDF, or is damaged") from err


def _describe(pdf: Pdf, time: datetime, part: str) -> None:
    """XMP that says the same as the document information, as PDF/A asks."""
    pdf.docinfo[Name.CreationDate] = pdf.docinfo[Name.ModDate] = String(_pdf_date(time))
    for key in (Name.Keywords, Name.Trapped):
        if key in pdf.docinfo:
            del pdf.docinfo[key]
    info = {key: escape(str(pdf.docinfo[f"/{key}"])) for key in ("Title", "Subject", "Author", "Creator", "Producer")}
    packet = _XMP.format(part=part, date=f"{time:%Y-%m-%dT%H:%M:%S}+00:00", **info)
    pdf.Root.Metadata = pdf.make_indirect(Stream(pdf, packet.encode(), Type=Name.Metadata, Subtype=Name.XML))


def _add_colour(pdf: Pdf) -> None:
    """All colours and pictures are sRGB: what the numbers of a picture mean does not depend on the screen."""
    profile = Stream(pdf, _PROFILE.read_bytes(), N=3, Alternate=Name.DeviceRGB)
    intent = Dictionary(
        Type=Name.OutputIntent,
        S=Name.GTS_PDFA1,
        OutputConditionIdentifier=String(_SRGB),
        Info=String(_SRGB),
        DestOutputProfile=pdf.make_indirect(profile),
    )
    pdf.Root.OutputIntents = Array([pdf.make_indirect(intent)])


def _attach(pdf: Pdf, content: bytes, time: datetime) -> None:
    """Associate the file with the whole document (ISO 19005-3 clause 6.8)."""
    size = Dictionary(Size=len(content), CreationDate=String(_pdf_date(time)), ModDate=String(_pdf_date(time)))
    stream = Stream(pdf, content, Type=Name.EmbeddedFile, Subtype=Name("/application/json"), Params=size)
    embedded = pdf.make_indirect(stream)
    spec = Dictionary(
        Type=Name.Filespec,
        F=String(ATTACHMENT),
        UF=String(ATTACHMENT),
        Desc=String("Ledger entries, proofs and digests of the pictures that this report was made from"),
        AFRelationship=Name.Data,
        EF=Dictionary(F=embedded, UF=embedded),
    )
    named = pdf.make_indirect(spec)
    pdf.Root.AF = Array([named])
    pdf.Root.Names = Dictionary(EmbeddedFiles=Dictionary(Names=Array([String(ATTACHMENT), named])))


def _pdf_date(time: datetime) -> str:
    return f"D:{time:%Y%m%d%H%M%S}+00'00'"
