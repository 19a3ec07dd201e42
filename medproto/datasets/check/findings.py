"""What can be wrong with a manifest and the files behind it, one function a question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medproto.datasets.check.files import FileFacts, key_of
from medproto.datasets.manifest import ManifestRow

#: The views of a screening exam.
STANDARD_VIEWS = ("R CC", "L CC", "R MLO", "L MLO")
#: Every finding by its code: whether it is an error or a warning, and what it means.
FINDINGS: Mapping[str, tuple[Literal["error", "warning"], str]] = {
    "FILE_ABSENT": ("error", "the file is not there"),
    "FILE_REFUSED": ("error", "the file cannot be read, or the input gate refuses it"),
    "PIXELS_IN_TWO_SPLITS": ("error", "identical pixels under two names, in two splits: a leak"),
    "PIXELS_IN_TWO_PATIENTS": ("error", "identical pixels under two names, of two patients"),
    "PIXELS_TWICE": ("warning", "identical pixels under two names, of one patient"),
    "IMAGE_LABELS_DIFFER": ("error", "one image, by its pixels or its id, has two labels"),
    "BREAST_LABELS_DIFFER": ("warning", "images of one breast in one exam have different labels"),
    "IMAGE_ID_TWICE": ("warning", "two files have the same image id"),
    "SIDE_DIFFERS": ("error", "the manifest says the other side than the file"),
    "VIEW_DIFFERS": ("error", "the manifest says another view than the file"),
    "BOX_OUTSIDE": ("error", "a box or region reaches outside of the image"),
    "MASK_ABSENT": ("error", "the lesion mask is not there"),
    "MASK_UNREADABLE": ("error", "the lesion mask cannot be read"),
    "MASK_SIZE": ("error", "the lesion mask has another size than the image"),
    "MASK_EMPTY": ("warning", "the lesion mask marks no pixel"),
    "VIEWS_MISSING": ("warning", "the exam lacks standard views"),
    "VIEW_UNKNOWN": ("warning", "the manifest says no side or no view"),
}


@dataclass(frozen=True)
class Place:
    """Where a finding holds.

    Args:
        rows: the rows it concerns together, as a spreadsheet counts them.
        detail: what is found there, such as the views that are missing; possibly empty.
    """

    rows: tuple[int, ...]
    detail: str = ""


@dataclass(frozen=True)
class CheckFinding:
    """One kind of finding and all its places; at least one."""

    code: str
    severity: Literal["error", "warning"]
    sentence: str
    places: tuple[Place, ...]


Numbered = tuple[int, ManifestRow]
#: A finding's code and one of its places.
Found = tuple[str, Place]


def find(rows: Sequence[Numbered], facts: Mapping[str, FileFacts]) -> tuple[CheckFinding, ...]:
    """All findings, errors first, then in the order of `FINDINGS`.

    Args:
        rows: rows with their numbers.
        facts: of every row's file, under `key_of`.
    """
    known = [(number, row, facts[key_of(row.path, row.mask)]) for number, row in rows]
    found = [*missing_views(rows), *label_conflicts(rows), *repeated_ids(rows), *identical_pixels(known)]
    for number, row, fact in known:
        found += [(code, Place((number,), detail)) for code, detail in _of_file(row, fact)]
        found += [(code, Place((number,), detail)) for code, detail in _of_mask(fact)]
    findings = []
    for code, (severity, sentence) in sorted(FINDINGS.items(), key=lambda item: item[1][0]):
        places = tuple(dict.fromkeys(place for own, place in found if own == code))
        findings += [CheckFinding(code, severity, sentence, places)] if places else []
    return tuple(findings)


def missing_views(rows: Iterable[Numbered]) -> list[Found]:
    """Exams of whole images that lack a standard view, and rows that say no side or view.

    Where a row of an exam says no side or view, it may be the one that seems to be missing: such exams are not judged.
    """
    found: list[Found] = []
    for members in _grouped(rows, lambda row: row.exam).values():
        if any(row.region for _, row in members):
            continue
        unknown = [number for number, row in members if row.side is None or row.view is None]
        found += [("VIEW_UNKNOWN", Place((number,))) for number in unknown]
        views = {f"{row.side} {row.view}" for _, row in members}
        missing = [view for view in STANDARD_VIEWS if view not in views]
        if missing and not unknown:
            found.append(("VIEWS_MISSING", Place(_numbers(members), ", ".join(missing))))
    return found


def label_conflicts(rows: Iterable[Numbered]) -> list[Found]:
    """Whole images of one id, and of one breast in one exam, that have different labels."""
    whole = [(number, row) for number, row in rows if row.region is None]
    found = _differing("IMAGE_LABELS_DIFFER", _grouped(whole, lambda row: row.image))
    sided = [(number, row) for number, row in whole if row.side is not None]
    return found + _differing("BREAST_LABELS_DIFFER", _grouped(sided, lambda row: f"{row.exam}\0{row.side}"))


def repeated_ids(rows: Iterable[Numbered]) -> list[Found]:
    """Different files with the same image id."""
    groups = _grouped(rows, lambda row: row.image).values()
    return [("IMAGE_ID_TWICE", Place(_numbers(own))) for own in groups if len({row.path for _, row in own}) > 1]


def identical_pixels(known: Iterable[tuple[int, ManifestRow, FileFacts]]) -> list[Found]:
    """Different files with the same pixels, told by whom they leak to; and the two labels of such an image."""
    groups: dict[str, list[Numbered]] = {}
    for number, row, fact in known:
        if fact.pixels_sha256 is not None:
            groups.setdefault(fact.pixels_sha256, []).append((number, row))
    twins = {digest: own for digest, own in groups.items() if len({row.path for _, row in own}) > 1}
    found: list[Found] = []
    for members in twins.values():
        splits = {row.split or "no split" for _, row in members}
        patients = {row.patient for _, row in members}
        code = "PIXELS_IN_TWO_PATIENTS" if len(patients) > 1 else "PIXELS_TWICE"
        code = "PIXELS_IN_TWO_SPLITS" if len(splits) > 1 else code
        found.append((code, Place(_numbers(members), ", ".join(sorted(splits)) if len(splits) > 1 else "")))
    whole = {digest: [one for one in own if one[1].region is None] for digest, own in twins.items()}
    return found + _differing("IMAGE_LABELS_DIFFER", whole)


def _of_file(row: ManifestRow, fact: FileFacts) -> Iterable[tuple[str, str]]:
    """Codes and details of one row and its file."""
    if not fact.present:
        yield "FILE_ABSENT", ""
    if fact.refused:
        yield "FILE_REFUSED", ", ".join(fact.refused)
    if row.side and fact.side and row.side != fact.side:
        yield "SIDE_DIFFERS", f"manifest {row.side}, file {fact.side}"
    if row.view and fact.view and row.view != fact.view:
        yield "VIEW_DIFFERS", f"manifest {row.view}, file {fact.view}"
    if fact.size is not None:
        rows, columns = fact.size
        boxes = (*row.boxes, *([row.region] if row.region else []))
        # Half a pixel: some archives give the centres of the outermost pixels.
        if any(min(b.top, b.left) < -0.5 or b.bottom > rows + 0.5 or b.right > columns + 0.5 for b in boxes):
            yield "BOX_OUTSIDE", f"image of {rows} x {columns}"


def _of_mask(fact: FileFacts) -> Iterable[tuple[str, str]]:
    mask = fact.mask
    if mask is None:
        return
    if not mask.present:
        yield "MASK_ABSENT", ""
    elif not mask.readable:
        yield "MASK_UNREADABLE", ""
    elif mask.size is not None and fact.size is not None and mask.size != fact.size:
        yield "MASK_SIZE", f"mask {mask.size[0]} x {mask.size[1]}, image {fact.size[0]} x {fact.size[1]}"
    elif not mask.marked:
        yield "MASK_EMPTY", ""


def _differing(code: str, groups: Mapping[str, Sequence[Numbered]]) -> list[Found]:
    found = []
    for members in groups.values():
        labels = sorted({row.label for _, row in members})
        if len(labels) > 1:
            found.append((code, Place(_numbers(members), " / ".join(labels))))
    return found


def _grouped(rows: Iterable[Numbered], key: Callable[[ManifestRow], str]) -> dict[str, list[Numbered]]:
    groups: dict[str, list[Numbered]] = {}
    for number, row in rows:
        groups.setdefault(key(row), []).append((number, row))
    return groups


def _numbers(members: Iterable[Numbered]) -> tuple[int, ...]:
    return tuple(number for number, _ in members)
