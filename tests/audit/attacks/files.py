"""Attacks on what lies beside the database: pictures, reports that went out, the bundle."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pikepdf import Name, Pdf, Stream

from audit.entries import Entry
from audit.evidence import exam_files, patient_of, sealed_of
from audit.ledger import LedgerFilter
from audit.queries import prediction
from audit.report import report_for
from audit.room import Room
from tests.audit.attacks.attack import BUNDLE, REPORT, Attack, NotPossible
from tests.audit.attacks.copies import Copy
from tests.audit.attacks.heads import SHORTER, cut

Alter = Callable[[Pdf], None]
_NUMBER = re.compile(rb"\([^()\\]*?[0-9]\.[0-9]+")


def shown(room: Room) -> Entry:
    """The newest prediction whose pictures can still be shown."""
    erased = room.erasures()
    for entry in room.ledger.entries(LedgerFilter(kind="prediction")):
        if patient_of(entry.payload) not in erased and all(map(room.evidence.present, exam_files(entry.payload))):
            return entry
    raise NotPossible("no prediction whose pictures are at hand")


def _file_of(copy: Copy, kind: str) -> Path:
    """The file of one picture of this kind, in an evidence store that is the copy's own."""
    copy.own_evidence()
    with copy.room() as room:
        entry = shown(room)
        _, record = prediction(room, entry.number)
        pictures: dict[str, str] = {
            "preview": record.images[0].preview,
            "patch": record.matches[0].patch,
            "overlay": record.matches[0].overlay,
            "training patch": record.matches[0].source.patch,
        }
        return room.evidence.path(sealed_of(entry.payload).get(pictures[kind], pictures[kind]))


def _replace_picture(kind: str) -> Attack:
    return Attack(f"{kind} replaced", lambda copy: _write(_file_of(copy, kind), b"another picture"))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _flip(path: Path, copy: Copy) -> None:
    data = bytearray(path.read_bytes())
    data[copy.chance.randrange(len(data))] ^= 1 << copy.chance.randrange(8)
    path.write_bytes(data)


def _swap_pictures(copy: Copy) -> None:
    """Two genuine files, each under the other's name."""
    copy.own_evidence()
    with copy.room() as room:
        first, second = map(room.evidence.path, sorted(exam_files(shown(room).payload))[:2])
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def altered(report: bytes, alter: Alter) -> bytes:
    """The report after somebody opened it in an editor."""
    out = io.BytesIO()
    with Pdf.open(io.BytesIO(report)) as pdf:
        alter(pdf)
        pdf.save(out)
    return out.getvalue()


def another_picture(pdf: Pdf) -> None:
    """Blacken one picture of the report, under its old name."""
    for page in pdf.pages:
        for name, picture in sorted(page.get("/Resources", {}).get("/XObject", {}).items()):
            if picture.get("/Subtype") == Name.Image:
                blank = Stream(pdf, bytes(int(picture.Width) * int(picture.Height) * 4))
                for key in (Name.Type, Name.Subtype, Name.Width, Name.Height, Name.ColorSpace, Name.BitsPerComponent):
                    blank[key] = picture[key]
                page.Resources.XObject[name] = blank
                return
    raise NotPossible("no picture in the report")


def another_number(pdf: Pdf) -> None:
    """Alter the last digit of the first decimal number that the report shows."""
    for page in pdf.pages:
        content = page.Contents.read_bytes()
        if found := _NUMBER.search(content):
            last = found.end() - 1
            digit = b"0" if content[last : last + 1] != b"0" else b"9"
            page.Contents = Stream(pdf, content[:last] + digit + content[last + 1 :])
            return
    raise NotPossible("no number in the report")


def another_attachment(pdf: Pdf) -> None:
    """Alter a number in the data attached, and on no page."""
    embedded = pdf.Root.AF[0].EF.F
    embedded.write(embedded.read_bytes().replace(b'\\"margin\\":', b'\\"margin\\":1', 1))


def _first_page_gone(pdf: Pdf) -> None:
    del pdf.pages[0]


def _on_report(name: str, alter: Alter) -> Attack:
    def run(copy: Copy) -> None:
        (copy.home / REPORT).write_bytes(altered(genuine_report(copy), alter))

    return Attack(name, run, command="verify-report")


def _cut_below_a_report(copy: Copy) -> None:
    """The log ends before a report that went out: its proof page is an anchor."""
    (copy.home / REPORT).write_bytes(genuine_report(copy))
    with copy.room() as room:
        keep = room.ledger.head(copy.known.key).size - 1
    cut(copy, keep, checkpoints=True)


def genuine_report(copy: Copy) -> bytes:
    """The report of the newest prediction that can still be shown."""
    with copy.room() as room:
        return report_for(room, shown(room).number)


def genuine_bundle(copy: Copy) -> Path:
    """A copy of the bundle that made the predictions."""
    if copy.known.bundle is None:
        raise NotPossible("no bundle at hand")
    return Path(shutil.copytree(copy.known.bundle, copy.home / BUNDLE))


def _replace_weights(copy: Copy) -> None:
    _flip(genuine_bundle(copy) / "weights.safetensors", copy)


def _other_manifest(copy: Copy) -> None:
    """A bundle in itself in order, whose operating point lies elsewhere."""
    path = genuine_bundle(copy) / "manifest.json"
    manifest: dict[str, Any] = json.loads(path.read_bytes())
    manifest["operating_point"]["margin"] += 0.5
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True), "utf-8")


def _flip_picture(copy: Copy) -> None:
    _flip(_file_of(copy, "overlay"), copy)


def _remove_picture(copy: Copy) -> None:
    _file_of(copy, "preview").unlink()


ATTACKS = (
    *map(_replace_picture, ("patch", "overlay", "preview", "training patch")),
    Attack("bit flipped in an overlay", _flip_picture),
    Attack("preview removed", _remove_picture),
    Attack("two pictures of an exam swapped", _swap_pictures),
    _on_report("number in a PDF altered", another_number),
    _on_report("picture in a PDF altered", another_picture),
    _on_report("data attached to a PDF altered", another_attachment),
    _on_report("page of a PDF removed", _first_page_gone),
    Attack("tail cut below a PDF that was kept", _cut_below_a_report, "b", SHORTER, command="verify-report"),
    Attack("bundle's weights altered", _replace_weights, command="replay"),
    Attack("bundle replaced by one with another operating point", _other_manifest, command="replay"),
)
