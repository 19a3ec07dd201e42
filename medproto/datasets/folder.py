"""A plain folder of DICOM files as a manifest, with pseudonyms in place of the header's identifiers.

Beside `NAME.csv` stand `NAME.key`, the random key of the pseudonyms (readable by its owner alone), and
`NAME.left-out.csv`, every file that is not in the manifest with the reason. Paths are those of the source: where file
names hold a patient's name, keep the manifest where the files are kept.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medproto.datasets.manifest import ManifestRow, write_manifest
from medproto.errors import InputError, RefusedImage, UnreadableImage
from medproto.ingest.reading import read_mammogram

#: Label of an image that no table names.
UNLABELLED = "unknown"
SOURCE = "folder"
_KEY_BYTES = 32

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LeftOut:
    """A file that is not in the manifest.

    Args:
        number: its place among the files of the folder, from 1; empty for a file that the table names and is absent.
        sha256: digest of its bytes.
        codes: reason codes.
        sentence: the reason, without the file's name.
    """

    number: str
    sha256: str
    codes: str
    sentence: str


def index_folder(source: Path, labels_csv: Path | None, out: Path, progress: Progress | None = None) -> Path:
    """Write the manifest of a folder and return its path; again, with the key still there, gives the same bytes.

    Every file of the folder and its subfolders ends in the manifest or in the list of those left out.

    Args:
        source: folder of DICOM files.
        labels_csv: table with columns file (relative to the folder) and label; None labels every image `unknown`.
        out: the manifest, or a folder for it.
        progress: called with files read and all files.

    Raises:
        InputError: the folder is empty, no file of it is usable, or the table is not of that form.
    """
    target = out if out.suffix == ".csv" else out / "manifest.csv"
    own = {target, target.with_suffix(".key"), target.with_suffix(".left-out.csv")}
    own = {path.resolve() for path in own | ({labels_csv} if labels_csv else set())}
    files = sorted(path for path in source.rglob("*") if path.is_file() and path.resolve() not in own)
    if not files:
        raise InputError("folder: got no file, expected DICOM files")
    labels = {} if labels_csv is None else read_labels(labels_csv)
    target.parent.mkdir(parents=True, exist_ok=True)
    key = _key(target.with_suffix(".key"))
    rows: list[ManifestRow] = []
    left_out: list[LeftOut] = []
    for number, file in enumerate(files, start=1):
        name = file.relative_to(source).as_posix()
        result = _read(file, number, labels.pop(name, UNLABELLED), key)
        if isinstance(result, LeftOut):
            left_out.append(result)
        else:
            path = Path(os.path.relpath(file.resolve(), target.parent.resolve())).as_posix()
            rows.append(result.model_copy(update={"path": path}))
        if progress is not None:
            progress(number, len(files))
    left_out += [LeftOut("", "", "ABSENT", "Named by the table of labels, not in the folder.")] * len(labels)
    _write_left_out(target.with_suffix(".left-out.csv"), left_out)
    if not rows:
        raise InputError(f"folder: none of {len(files)} files is a usable mammogram; the reasons are listed beside")
    return write_manifest(target, rows)


def read_labels(path: Path) -> dict[str, str]:
    """Label by file of a table with columns file and label.

    Raises:
        InputError: names the row and column that is wrong, never the file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError("labels: cannot read the table, expected a CSV with columns file and label") from err
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if reader.fieldnames is None or not {"file", "label"} <= set(reader.fieldnames):
        raise InputError(f"labels: row 1: got columns {reader.fieldnames or 'none'}, expected file and label")
    labels: dict[str, str] = {}
    for number, row in enumerate(reader, start=2):
        file, label = row["file"], row["label"]
        if not file or not label:
            column = "label" if file else "file"
            raise InputError(f"labels: row {number}, column '{column}': got nothing, expected a text")
        if labels.setdefault(file, label) != label:
            raise InputError(
                f"labels: row {number}, column 'label': got '{label}', expected '{labels[file]}' as before"
            )
    return labels


def _read(file: Path, number: int, label: str, key: bytes) -> ManifestRow | LeftOut:
    try:
        mammogram = read_mammogram(file)
    except UnreadableImage as err:
        return LeftOut(str(number), _digest(file), err.code, str(err))
    except RefusedImage as err:
        codes = "+".join(finding.code for finding in err.findings if finding.severity == "refuse")
        return LeftOut(str(number), _digest(file), codes, str(err))
    identity = mammogram.identity
    # Without a patient id all files would become one patient; the study is the nearest that is left.
    patient = identity.patient_id or identity.study_uid or mammogram.file_sha256
    return ManifestRow(
        path=file.name,
        patient=_pseudonym(key, "patient", patient),
        exam=_pseudonym(key, "exam", patient, identity.study_uid),
        image=_pseudonym(key, "image", patient, identity.sop_uid or mammogram.file_sha256),
        side=mammogram.laterality,
        view=mammogram.view,
        label=label,
        source=SOURCE,
    )


def _pseudonym(key: bytes, kind: str, *values: str) -> str:
    message = "\0".join((kind, *values)).encode()
    return f"{kind}-{hmac.new(key, message, hashlib.sha256).hexdigest()[:16]}"


def _key(path: Path) -> bytes:
    """The key, made where there is none."""
    if path.exists():
        key = path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise InputError(f"key: got {len(key)} bytes in '{path.name}', expected {_KEY_BYTES}")
        return key
    key = secrets.token_bytes(_KEY_BYTES)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        handle.write(key)
    return key


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _write_left_out(path: Path, left_out: Sequence[LeftOut]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["number", "sha256", "codes", "sentence"])
    writer.writerows([one.number, one.sha256, one.codes, one.sentence] for one in left_out)
    path.write_bytes(buffer.getvalue().encode())
