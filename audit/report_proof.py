"""The report's proof page: the entry's place in the ledger, its signed checkpoint, and the digest of every image."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeAlias

import segno
from reportlab.lib.colors import black
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, PageBreak, Preformatted, Spacer, Table

from audit.report_attachment import REPORT_FORMAT
from audit.report_fonts import MONO
from audit.report_layout import BODY_QUIET, DIGEST, HEADING, PALE, SMALL, SMALL_QUIET, TITLE, WIDTH, Cell, table, words
from audit.report_pages import outcome_box
from audit.report_words import refusal_reasons
from medproto.records import Prediction, RefusedRecord

if TYPE_CHECKING:
    from audit.payloads import Refusal
    from audit.report_standing import Standing

_QR_SIDE: Final = 32 * mm
_GAP: Final = 4 * mm
#: Width of a character of the embedded monospaced font, in units of its size.
_MONO_WIDTH: Final = 0.6025

#: Title, image id, digest of the file, digest of the pixels where there are any.
_Image: TypeAlias = tuple[str, str, str, str | None]


def proof_page(standing: Standing, prediction: Prediction) -> list[Flowable]:
    """What an auditor needs to check this report against the ledger, without the model."""
    images: list[_Image] = [
        (image.title, image.image_id, image.file_sha256, image.pixels_sha256) for image in prediction.images
    ]
    images += [("refused", r.image_id, r.file_sha256, None) for r in prediction.refused]
    return [
        PageBreak(),
        words("Proof", TITLE),
        words(
            "This report was made from one ledger entry, its reviews and the entries of its model, as of a log of the "
            "size below, and from the pictures and words that they name; an identity, where the pages name one, was "
            "given by whoever printed it. The attached audit.json holds entries and proofs.",
            BODY_QUIET,
        ),
        Spacer(0, 3 * mm),
        *_entry_table(standing, prediction.bundle_id),
        *_checkpoint(standing),
        *_inclusion(standing),
        *_scanned(standing),
        *_digests(images),
    ]


def refusal_page(standing: Standing, refusal: Refusal) -> list[Flowable]:
    """The whole report of an exam of which no image could be scored."""
    entry = standing.entry
    count = len(refusal.refused)
    said = f"Refused: {refusal.sentence}" if refusal.sentence else "Refused: no image of this exam could be scored."
    story: list[Flowable] = [
        words("Exam not scored", TITLE),
        words(f"Refused on {entry.time:%d %B %Y, %H:%M} UTC; asked for by {entry.actor} ({entry.role}).", BODY_QUIET),
        Spacer(0, 3 * mm),
        outcome_box(said, "no decision"),
        Spacer(0, 4 * mm),
        words(f"Images in this exam: {count}. None was scored, so there is no score, no probability and no evidence."),
        Spacer(0, 4 * mm),
        words("Why each image was refused", HEADING),
        Spacer(0, 1.5 * mm),
    ]
    rows = [[r.image_id, " ".join(refusal_reasons(r)), ", ".join(f.code for f in r.findings)] for r in refusal.refused]
    if rows:
        story.append(table([["Image", "Why it was not scored", "Code"], *rows], [50 * mm, 86 * mm, 42 * mm]))
    else:
        story.append(words("The exam held no image file at all."))
    story += [Spacer(0, _GAP), words("Proof", HEADING), Spacer(0, 1.5 * mm)]
    images: list[_Image] = [("refused", r.image_id, r.file_sha256, None) for r in refusal.refused]
    proof = [*_entry_table(standing, refusal.bundle_id), *_checkpoint(standing), *_inclusion(standing)]
    proof += _scanned(standing)
    return [*story, *proof, *_digests(images)]


def refusal_footer(refused: tuple[RefusedRecord, ...]) -> str:
    """How many images the running head of a refusal names."""
    return f"Refused exam, {len(refused)} {'image' if len(refused) == 1 else 'images'}"


def _entry_table(standing: Standing, bundle_id: str) -> list[Flowable]:
    entry = standing.entry
    rows: list[list[Cell]] = [
        ["Ledger entry", f"{entry.number} ({entry.kind}), in a log of {standing.size} entries"],
        ["Written", f"{entry.time:%Y-%m-%dT%H:%M:%S.%fZ} by {entry.actor}, role {entry.role}"],
        ["Leaf hash of this entry", words(entry.leaf, DIGEST)],
        ["Leaf hash of the entry before", words(entry.previous, DIGEST)],
        ["Bundle", words(bundle_id, DIGEST)],
    ]
    return [table(rows, [48 * mm, WIDTH - 48 * mm], header=False), Spacer(0, _GAP)]


def _checkpoint(standing: Standing) -> list[Flowable]:
    checkpoint = standing.checkpoint
    lines = checkpoint.note.rstrip("\n").split("\n")
    # The signature stays on one line where it can: a line broken by the page is a line mistyped by the checker.
    size = max(4.6, min(DIGEST.fontSize, (WIDTH - 7 * mm) / (_MONO_WIDTH * max(map(len, lines)))))
    style = ParagraphStyle("checkpoint", DIGEST, fontSize=size, leading=1.4 * size)
    note = Preformatted("\n".join(lines), style, maxLineLength=int((WIDTH - 7 * mm) / (_MONO_WIDTH * size)))
    framed = Table([[note]], colWidths=[WIDTH])
    framed.setStyle(
        [
            ("FONT", (0, 0), (-1, -1), MONO, 6.6),
            ("BACKGROUND", (0, 0), (-1, -1), PALE),
            ("LEFTPADDING", (0, 0), (-1, -1), 3 * mm),
            ("TOPPADDING", (0, 0), (-1, -1), 2 * mm),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2 * mm),
        ]
    )
    told = (
        f"Signed over the first {checkpoint.size} entries of {checkpoint.origin}. Whoever holds the public key can "
        "check with “medproto audit verify” that this entry is among them and was not altered."
    )
    heading = [words("Signed checkpoint", HEADING), words(told, SMALL_QUIET), Spacer(0, 1.5 * mm)]
    return [KeepTogether([*heading, framed]), Spacer(0, _GAP)]


class QrCode(Flowable):  # type: ignore[misc] # reportlab has no types
    """A QR code drawn as squares, with the quiet zone of four modules that readers need."""

    def __init__(self, text: str, side: float) -> None:
        super().__init__()
        self.width = self.height = side
        self._rows = segno.make_qr(text, error="m").matrix

    def draw(self) -> None:
        """Draws every run of dark modules as one rectangle."""
        module = self.width / (len(self._rows) + 8)
        self.canv.setFillColor(black)
        for i, row in enumerate(self._rows):
            y, start = self.height - (i + 5) * module, 0
            for dark, run in groupby(row):
                count = len(list(run))
                if dark:
                    self.canv.rect((start + 4) * module, y, count * module, module, stroke=0, fill=1)
                start += count


def qr_text(standing: Standing) -> str:
    """What the QR code says, line by line: format, origin, size, root as checkpoints spell it, entry and its leaf."""
    checkpoint, entry = standing.checkpoint, standing.entry
    head = [REPORT_FORMAT, *checkpoint.note.split("\n")[:3]]
    return "\n".join([*head, str(entry.number), entry.leaf])


def _scanned(standing: Standing) -> list[Flowable]:
    said = "The code says, line by line: format, origin of the ledger, its size, its root, this entry, its leaf."
    beside = [words("Entry and checkpoint as a code", HEADING), words(said, SMALL_QUIET)]
    row = Table([[QrCode(qr_text(standing), _QR_SIDE), beside]], colWidths=[_QR_SIDE, WIDTH - _QR_SIDE])
    row.setStyle([("FONT", (0, 0), (-1, -1), MONO, 6.6), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")])
    return [row, Spacer(0, _GAP)]


def _inclusion(standing: Standing) -> list[Flowable]:
    """The audit path from the leaf to the root of the checkpoint (RFC 6962 section 2.1.1), from the leaf up."""
    path = [node.hex() for node in standing.proof.path]
    lines = [words(f"{i}  {node}", DIGEST) for i, node in enumerate(path, start=1)]
    said = f"Leaf {standing.entry.number - 1}, counted from 0, in a tree of {standing.size}: hashes from the leaf up."
    return [
        KeepTogether(
            [
                words("Inclusion proof", HEADING),
                words(said, SMALL_QUIET),
                Spacer(0, 1.5 * mm),
                *(lines or [words("The leaf is the root.")]),
            ]
        ),
        Spacer(0, _GAP),
    ]


def _digests(images: list[_Image]) -> list[Flowable]:
    rows: list[list[Cell]] = [["Image", "SHA-256 of file and of canonical pixels"]]
    for title, image_id, file, pixels in images:
        named: list[Flowable] = [words(f"file    {file}", DIGEST)]
        if pixels:
            named.append(words(f"pixels  {pixels}", DIGEST))
        rows.append([words(f"{title}  {image_id}", SMALL), named])
    if len(rows) == 1:
        return []
    return [words("Digests of the images", HEADING), Spacer(0, 1.5 * mm), table(rows, [62 * mm, WIDTH - 62 * mm])]
