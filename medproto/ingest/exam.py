"""The files of one exam to an `Exam`: what can be scored, what was refused and why."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from medproto.errors import EmptyExam, InputError, RefusedImage, UnreadableImage
from medproto.ingest.gate import finding
from medproto.ingest.mammogram import Identity, Mammogram
from medproto.ingest.opening import MAGIC, PREAMBLE_BYTES, read_identity
from medproto.ingest.reading import read_mammogram
from medproto.records import Box, GateFinding, Pseudonymise, RefusedRecord

if TYPE_CHECKING:
    from medproto.ingest.sandbox import Reader

#: CBIS-DDSM's PatientID names the image; the patient is the P_ number, and every image is a study of its own.
CBIS_PATIENT = re.compile(r"^(?:Mass|Calc)-(?:Training|Test)_(P_\d{5})_(?:LEFT|RIGHT)_(?:CC|MLO)")
#: A date as a header writes it, and as those of before DICOM did (PS3.5 section 6.2, DA).
WRITTEN_DATE = re.compile(r"^(\d{4})(\.?)(\d{2})\2(\d{2})$", re.ASCII)
#: Days over which the studies of a patient are moved, all by the same number of them: a hundred years.
SHIFT_DAYS = 36_525
#: What a screening exam consists of.
STANDARD_VIEWS = ("R CC", "R MLO", "L CC", "L MLO")


@dataclass(frozen=True)
class ExamImage:
    """One image of an exam; `region` restricts scoring to a part of it, in original pixels."""

    image_id: str
    mammogram: Mammogram
    region: Box | None = None


@dataclass(frozen=True)
class Exam:
    """One bag of views, at least one, of one patient; ids are pseudonyms."""

    exam_id: str
    patient_id: str
    images: tuple[ExamImage, ...]
    refused: tuple[RefusedRecord, ...]
    findings: tuple[GateFinding, ...]
    #: See `Prediction.study_day`.
    study_day: int | None = None


@dataclass(frozen=True)
class ExamFiles:
    """The files of one exam; the key is a running number and says nothing of the patient."""

    key: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Candidates:
    """Files of a folder that may be DICOM, sorted, and how many others were passed over."""

    paths: tuple[Path, ...]
    skipped: int


def patient_and_study(identity: Identity) -> tuple[str, str]:
    """Patient and study behind an image's identifiers; images without patient are of their study alone."""
    if match := CBIS_PATIENT.match(identity.patient_id):
        return match[1], match[1]
    return identity.patient_id or identity.study_uid, identity.study_uid or identity.patient_id


def read_exam(
    paths: Sequence[Path],
    pseudonymise: Pseudonymise,
    read: Reader = read_mammogram,
    region: Box | None = None,
) -> Exam:
    """Read the files of one exam; what cannot be scored is recorded as refused and the rest goes on.

    Args:
        paths: the exam's files, in the order the images are kept.
        pseudonymise: makes the ids of the exam, see `Pseudonymise`.
        read: how a file becomes a mammogram, such as a sandbox's `read`.
        region: part of each image that is to be scored, in original pixels; all of it where None.

    Raises:
        EmptyExam: no file was given, or none could be scored; carries what was refused.
        InputError: the files are of several patients or studies.
    """
    if not paths:
        raise EmptyExam("The exam has no file.")
    _check_one_exam(paths)
    images, refused = _read_images(paths, pseudonymise, read)
    if not images:
        count = "its only image was" if len(refused) == 1 else f"all of its {len(refused)} images were"
        raise EmptyExam(f"Nothing in the exam can be scored: {count} refused.", refused)
    first = next(iter(images.values()))
    patient, study = patient_and_study(first.identity)
    patient, study = patient or first.file_sha256, study or first.file_sha256
    return Exam(
        exam_id=pseudonymise(patient, "exam", study),
        patient_id=pseudonymise(patient, "patient", patient),
        images=tuple(ExamImage(image_id, mammogram, region) for image_id, mammogram in images.items()),
        refused=tuple(refused),
        findings=tuple(_judge_exam(list(images.values()))),
        study_day=_study_day([image.identity for image in images.values()], patient, pseudonymise),
    )


def _study_day(identities: Sequence[Identity], patient: str, pseudonymise: Pseudonymise) -> int | None:
    """Day of the study, moved by the patient's own number of days (PS3.15 E.3.6); None where no image tells a date."""
    days = [day for identity in identities if (day := _day_of(identity.study_date)) is not None]
    if not days:
        return None
    drawn = hashlib.sha256(pseudonymise(patient, "shift", "days").encode("utf-8")).digest()
    return min(days) + int.from_bytes(drawn[:8], "big") % SHIFT_DAYS


def _day_of(written: str) -> int | None:
    """The day's number in the calendar; None for what is no date."""
    if (found := WRITTEN_DATE.match(written)) is None:
        return None
    try:
        return date(int(found[1]), int(found[3]), int(found[4])).toordinal()
    except ValueError:
        return None


def group_exams(sources: Path | Sequence[Path]) -> list[ExamFiles]:
    """Files and folders, grouped by the exam their headers name; each file without identity is a group of its own.

    Raises:
        EmptyExam: a folder holds no DICOM file, or nothing was given.
    """
    paths: list[Path] = []
    for source in [sources] if isinstance(sources, Path) else sources:
        paths += find_candidates(source).paths if source.is_dir() else [source]
    if not paths:
        raise EmptyExam("No file was given.")
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path in sorted(dict.fromkeys(paths)):
        identity = read_identity(path)
        key = patient_and_study(identity) if identity else ("", "", str(path))
        groups.setdefault(key, []).append(path)
    width = len(str(len(groups)))
    return [
        ExamFiles(f"exam {place:0{width}d} of {len(groups)}", tuple(files))
        for place, files in enumerate(groups.values(), start=1)
    ]


def find_candidates(folder: Path) -> Candidates:
    """Files under the folder that may be DICOM: by ending, without ending, or by their magic word.

    Hidden files and DICOMDIR indexes are left out without being counted.

    Raises:
        EmptyExam: there is none.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name.upper() != "DICOMDIR"
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    chosen = tuple(path for path in files if path.suffix.lower() in ("", ".dcm") or _has_magic(path))
    if not chosen:
        raise EmptyExam(f"The folder holds no DICOM file; {_were(len(files))} passed over.")
    return Candidates(chosen, len(files) - len(chosen))


def _has_magic(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(PREAMBLE_BYTES + len(MAGIC))[PREAMBLE_BYTES:] == MAGIC
    except OSError:
        # not to be opened: kept as a candidate, so that reading it says why
        return True


def _read_images(
    paths: Sequence[Path], pseudonymise: Pseudonymise, read: Reader
) -> tuple[dict[str, Mammogram], list[RefusedRecord]]:
    """The mammograms by their image ids, in order, and the records of what was refused."""
    images: dict[str, Mammogram] = {}
    refused: list[RefusedRecord] = []
    for path in paths:
        try:
            mammogram = read(path)
        except (UnreadableImage, RefusedImage) as err:
            refused.append(_refusal(path, err, pseudonymise))
            continue
        image_id = _image_id(mammogram.identity, mammogram.file_sha256, pseudonymise)
        if image_id not in images:
            images[image_id] = mammogram
            continue
        again = (finding("SAME_INSTANCE"),)
        refused.append(RefusedRecord(image_id=image_id, file_sha256=mammogram.file_sha256, findings=again))
    return images, refused


def _check_one_exam(paths: Sequence[Path]) -> None:
    """Several patients or studies in one exam are an error, also where one of the files is refused later."""
    identities = [identity for path in paths if (identity := read_identity(path))]
    exams = {patient_and_study(identity) for identity in identities}
    patients = {patient for patient, _ in exams}
    if len(patients) > 1:
        raise InputError(f"The files of one exam: got {len(patients)} patients, expected 1.")
    if len(exams) > 1:
        raise InputError(f"The files of one exam: got {len(exams)} studies, expected 1.")


def _image_id(identity: Identity | None, file_sha256: str, pseudonymise: Pseudonymise) -> str:
    if identity is None or not identity.sop_uid or not patient_and_study(identity)[0]:
        return f"file-{file_sha256[:12]}"
    return pseudonymise(patient_and_study(identity)[0], "image", identity.sop_uid)


def _refusal(path: Path, error: UnreadableImage | RefusedImage, pseudonymise: Pseudonymise) -> RefusedRecord:
    """The record of a file that cannot be scored."""
    try:
        with path.open("rb") as file:
            file_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        # no bytes were seen: the digest of none
        file_sha256 = hashlib.sha256(b"").hexdigest()
    if isinstance(error, RefusedImage):
        findings = error.findings
    else:
        findings = (GateFinding(code=error.code, severity="refuse", sentence=str(error)),)
    image_id = _image_id(read_identity(path), file_sha256, pseudonymise)
    return RefusedRecord(image_id=image_id, file_sha256=file_sha256, findings=findings)


def _judge_exam(images: Sequence[Mammogram]) -> list[GateFinding]:
    """Findings that only the images together give."""
    found = []
    counts = Counter(image.pixels_sha256 for image in images)
    if duplicates := sum(count for count in counts.values() if count > 1):
        found.append(finding("PIXEL_DUPLICATE", duplicates))
    titles = {image.title for image in images}
    if missing := [view for view in STANDARD_VIEWS if view not in titles]:
        found.append(finding("MISSING_VIEWS", ", ".join(missing)))
    return found


def _were(count: int) -> str:
    return "1 other file was" if count == 1 else f"{count} other files were"
