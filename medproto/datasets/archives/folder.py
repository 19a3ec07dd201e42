"""A plain folder of DICOM files as manifest rows: pseudonyms in place of identifiers, in the rows and in file names.

Beside `NAME.csv` stand

- `NAME.files/`: the images under pseudonymous names, as hard links to the files of the folder, or as copies where the
  file system does not link (another disk, another owner): a file's own name may be a patient's;
- `NAME.key`: the random key of the pseudonyms, readable by its owner alone. Whoever has it and the folder can tell who
  is who: keep it away from the manifest, and where the pseudonyms shall be final, delete it;
- `NAME.left-out.csv`: every file that is not in the manifest, with the reason;
- `NAME.journal`: only while the folder is being read; an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from medproto.config import IngestSettings
from medproto.datasets.archives.folder_journal import Entry, Journal, LeftOut, write_left_out
from medproto.datasets.archives.folder_table import described, read_labels
from medproto.datasets.archives.listing import Listing
from medproto.datasets.archives.tables import TableRow
from medproto.datasets.archives.tree import Progress, facts, list_files, read_header, unwatched
from medproto.datasets.manifest import ManifestRow
from medproto.errors import InputError, RefusedImage, UnreadableImage
from medproto.ingest.exam import patient_and_study
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import DEFAULTS
from medproto.ingest.sandbox import Reader, Sandbox

#: Label of an image that no table names.
UNLABELLED = "unknown"
SOURCE = "folder"
KEY_BYTES = 32


@dataclass(frozen=True)
class FolderOrder:
    """What to index.

    Args:
        source: folder of DICOM files.
        target: the manifest to be, a `.csv`; what is written beside it takes its name.
        labels: table with columns file (relative to the folder) and label, and perhaps more; None labels every image
            `unknown`.
        workers: files read at a time, each in a process of its own.
        settings: how files become mammograms.
    """

    source: Path
    target: Path
    labels: Path | None = None
    workers: int = 1
    settings: IngestSettings = DEFAULTS

    def beside(self, suffix: str) -> Path:
        """A file or folder beside the manifest."""
        return self.target.with_suffix(suffix)

    @property
    def own(self) -> set[Path]:
        """Files that are not the folder's, even where they lie in it."""
        mine = {self.target, *(self.beside(suffix) for suffix in (".key", ".left-out.csv", ".journal"))}
        return {path.resolve() for path in mine | ({self.labels} if self.labels else set())}


def list_folder(order: FolderOrder, progress: Progress = unwatched) -> Listing:
    """The mammograms of a folder, paths relative to the manifest's folder; with the key still there, the same rows.

    Every file of the folder and its subfolders ends in the rows or in the list of those left out. Files are read in
    worker processes with limits: a file that breaks a decoder or takes too long is left out with its reason.

    Args:
        order: what to index.
        progress: called with files read and all files.

    Raises:
        InputError: the folder is empty, no file of it is usable, or the table is not of its form.
    """
    labels = {} if order.labels is None else read_labels(order.labels)
    files = _files(order)
    order.target.parent.mkdir(parents=True, exist_ok=True)
    key = _key(order.beside(".key"))
    with Journal(order.beside(".journal")) as journal:
        entries = list(_entries(order, files, key, journal, progress))
        rows, left_out = _sorted_out(files, entries, labels, key)
        absent = labels.keys() - set(files)
        left_out += [LeftOut(codes="ABSENT", sentence="Named by the table of labels, not in the folder.")] * len(absent)
        write_left_out(order.beside(".left-out.csv"), left_out)
        journal.done()
    if not rows:
        raise InputError(f"folder: none of {len(files)} files is a usable mammogram; the reasons are listed beside")
    return Listing(tuple(rows), len(absent), tuple(_remarks(left_out, order)))


def _files(order: FolderOrder) -> list[str]:
    copies = f"{os.path.relpath(order.beside('.files').resolve(), order.source.resolve())}/".replace(os.sep, "/")
    files = [file for file in list_files(order.source) if not file.startswith(copies)]
    files = [file for file in files if (order.source / file).resolve() not in order.own]
    if not files:
        raise InputError("folder: got no file, expected DICOM files")
    return files


def _entries(
    order: FolderOrder, files: Sequence[str], key: bytes, journal: Journal, progress: Progress
) -> Iterator[Entry]:
    """What became of each file, in the order of the files."""
    with ExitStack() as stack:
        idle: SimpleQueue[Reader] = SimpleQueue()
        for _ in range(order.workers):
            idle.put(stack.enter_context(Sandbox(order.settings)).read)

        def entry(file: str) -> Entry:
            path = order.source / file
            mark = _digest_of(key, order.settings.model_dump_json(), file, *_state(path))
            known = journal.get(mark)
            if known is not None and (known.row is None or (order.target.parent / known.row.path).is_file()):
                return known
            read = idle.get()
            try:
                return journal.add(_read(path, read, order, key).model_copy(update={"mark": mark}))
            finally:
                idle.put(read)

        with ThreadPoolExecutor(order.workers) as pool:
            for done, found in enumerate(pool.map(entry, files), start=1):
                progress(done, len(files))
                yield found


def _read(path: Path, read: Reader, order: FolderOrder, key: bytes) -> Entry:
    try:
        mammogram = read(path)
    except UnreadableImage as err:
        sha256 = _sha256(path)
        return Entry(mark="", sha256=sha256, left_out=LeftOut(sha256=sha256, codes=err.code, sentence=str(err)))
    except RefusedImage as err:
        sha256 = _sha256(path)
        codes = "+".join(finding.code for finding in err.findings if finding.severity == "refuse")
        return Entry(mark="", sha256=sha256, left_out=LeftOut(sha256=sha256, codes=codes, sentence=str(err)))
    row = _row(mammogram, path, key)
    place = order.beside(".files") / f"{row.image}.dcm"
    _link(path, place)
    relative = place.relative_to(order.target.parent).as_posix()
    return Entry(mark="", sha256=mammogram.file_sha256, row=row.model_copy(update={"path": relative}))


def _row(mammogram: Mammogram, path: Path, key: bytes) -> ManifestRow:
    """The row as far as the file tells; its path is set where the image is put."""
    patient, study = patient_and_study(mammogram.identity)
    # Without a patient id all files would become one patient; the file itself is what is left.
    patient, study = patient or mammogram.file_sha256, study or mammogram.file_sha256
    said = facts(read_header(path))
    return ManifestRow(
        path=".",
        patient=_pseudonym(key, "patient", patient),
        exam=_pseudonym(key, "exam", _pseudonym(key, "patient", patient), study),
        image=_pseudonym(key, "image", mammogram.identity.sop_uid, mammogram.file_sha256),
        side=mammogram.laterality,
        view=mammogram.view,
        label=UNLABELLED,
        vendor=said.vendor,
        age_years=said.age_years,
        source=SOURCE,
    )


def _sorted_out(
    files: Sequence[str], entries: Sequence[Entry], labels: Mapping[str, TableRow], key: bytes
) -> tuple[list[ManifestRow], list[LeftOut]]:
    """Rows with what the table says of them, and what is left out; of equal files the first is kept."""
    rows: list[ManifestRow] = []
    left_out: list[LeftOut] = []
    first: dict[str, int] = {}
    for number, (file, entry) in enumerate(zip(files, entries, strict=True), start=1):
        if entry.left_out is not None:
            left_out.append(entry.left_out.model_copy(update={"number": number}))
        elif entry.row is not None and first.setdefault(entry.sha256, number) != number:
            sentence = f"The bytes of file {first[entry.sha256]} again."
            left_out.append(LeftOut(number=number, sha256=entry.sha256, codes="SAME_FILE", sentence=sentence))
        elif entry.row is not None:
            rows.append(entry.row if file not in labels else _labelled(entry.row, labels[file], key))
    return rows, left_out


def _labelled(row: ManifestRow, said: TableRow, key: bytes) -> ManifestRow:
    """The row as the table completes or corrects it, its patient and exam under pseudonyms."""
    changes: dict[str, object] = {}
    if said.get("patient"):
        changes["patient"] = _pseudonym(key, "patient", said.get("patient"))
        # the header's exam may be shared with images that the table gives to another patient
        changes["exam"] = _pseudonym(key, "exam", str(changes["patient"]), row.exam)
    if said.get("exam"):
        changes["exam"] = _pseudonym(key, "exam", str(changes.get("patient", row.patient)), said.get("exam"))
    return described(row.model_copy(update=changes), said)


def _remarks(left_out: Sequence[LeftOut], order: FolderOrder) -> list[str]:
    codes = Counter(one.codes for one in left_out if one.number is not None)
    if not codes:
        return []
    told = ", ".join(f"{code} {count}" for code, count in sorted(codes.items()))
    return [f"Files left out: {codes.total()} ({told}); each with its reason in {order.beside('.left-out.csv').name}."]


def _link(path: Path, place: Path) -> None:
    """The file under another name, linked where the file system can, else copied."""
    place.parent.mkdir(mode=0o700, exist_ok=True)
    if place.exists() and place.samefile(path):
        return
    partial = place.with_suffix(f".{secrets.token_hex(4)}")
    try:
        try:
            os.link(path.resolve(), partial)
        except OSError:
            # another file system, or a file of another owner
            shutil.copyfile(path, partial)
        partial.replace(place)
    except OSError as err:
        raise InputError(
            f"folder: cannot write beside the manifest ({err.strerror}), expected a place for it"
        ) from None


def _pseudonym(key: bytes, kind: str, *values: str) -> str:
    return f"{kind}-{_digest_of(key, kind, *values)[:16]}"


def _digest_of(key: bytes, *values: str) -> str:
    return hmac.new(key, "\0".join(values).encode(), hashlib.sha256).hexdigest()


def _key(path: Path) -> bytes:
    """The key, made where there is none."""
    if path.exists():
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise InputError(f"key: got {len(key)} bytes in '{path.name}', expected {KEY_BYTES}")
        return key
    key = secrets.token_bytes(KEY_BYTES)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        handle.write(key)
    return key


def _state(path: Path) -> tuple[str, ...]:
    """Size and time of change; empty where the file cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return str(found.st_size), str(found.st_mtime_ns)


def _sha256(path: Path) -> str:
    """Digest of a file's bytes; empty where it cannot be opened."""
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return ""
