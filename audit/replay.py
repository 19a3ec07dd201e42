"""Rerun a prediction from its source files, and say whether it comes out again and where it does not.

A replay that agrees has established:

1. The bundle is the one that scored the exam, and the files are those that were scored, by their SHA-256.
2. They were rendered to the same pixels, in the same way, with the same findings.
3. The numbers are exactly the same on the same software and processor, and within 1e-4 on others.
4. The prototypes are the same in the same order, each at the same cell with the same boxes, and so is the decision.

What the entry holds is compared and no more. Pictures are left to `verify`, which hashes them; the digests of
similarity maps and the blanking of boxes, quotients of small differences, count on the same software and processor.

A replay is no prediction: it shows nobody what came out, only how far that lies from what is logged. So it writes no
entry, needs no signing key, and asks the identity table nothing: it also works after a patient was erased.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audit.entries import Entry
from audit.filters import LedgerFilter
from audit.queries import prediction
from audit.room import Room
from medproto.errors import CannotReplay, EmptyExam, EntryNotFound, InputError
from medproto.records import Box, Prediction, Scored

#: How far numbers may lie from the logged ones where software or processor are others, relative above 1.
TOLERANCE: Final = 1e-4


@dataclass(frozen=True)
class Difference:
    """One field that came out otherwise: in how many places, and how far off; None for what is no number."""

    field: str
    places: int
    distance: float | None

    @property
    def sentence(self) -> str:
        """What differs, and not what came out."""
        far = "differs" if self.distance is None else f"lies up to {self.distance:.2g} off"
        return f"{self.field}: {far}" + (f" in {self.places} places" if self.places > 1 else "")


@dataclass(frozen=True)
class Replay:
    """What became of rerunning one prediction; `farthest` is the largest distance between two logits."""

    number: int
    same_software: bool
    farthest: float
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Whether the prediction came out again."""
        return not self.differences


@dataclass(frozen=True)
class Rerun:
    """What scores again: the bundle's id, and a function from files to a scored exam, with its boxes blanked or not."""

    bundle_id: str
    score: Callable[[Sequence[Path], bool], Scored]


def rerun_of(bundle: Path, region: Box | None = None) -> Rerun:
    """The bundle in this directory, loaded and verified; BundleError where it is damaged or none.

    Args:
        region: part of each image that was scored, in original pixels, for models trained on regions.
    """
    # The audit trail starts without torch.
    from medproto.blanking import CHECKED
    from medproto.bundle import load_bundle
    from medproto.predict import scorer

    loaded = load_bundle(bundle)
    scorers = {True: scorer(loaded, region, CHECKED, False), False: scorer(loaded, region, None, False)}
    return Rerun(loaded.bundle_id, lambda paths, blanked: scorers[blanked](paths, _stand_in))


def predictions_of(room: Room) -> list[int]:
    """Numbers of all predictions, oldest first; EntryNotFound where there is none."""
    numbers = [entry.number for entry in room.ledger.entries(LedgerFilter(kind="prediction"))]
    if not numbers:
        raise EntryNotFound("ledger: it holds no prediction")
    return numbers[::-1]


def sources_of(room: Room, number: int) -> tuple[str, ...]:
    """SHA-256 of the files that a prediction was made from, in its order: scored ones, then refused ones."""
    _, record = prediction(room, number)
    return (*(image.file_sha256 for image in record.images), *(image.file_sha256 for image in record.refused))


def replay(room: Room, number: int, rerun: Rerun, files: Mapping[str, Path]) -> Replay:
    """Rerun one prediction and compare.

    Args:
        room: the room that holds it; nothing is written there.
        number: the prediction's entry.
        rerun: the bundle that scored it.
        files: SHA-256 -> file, as far as files are at hand.

    Raises:
        CannotReplay: the bundle is another, or a source file is not at hand.
        EntryNotFound: the entry is no prediction.
    """
    entry, record = prediction(room, number)
    if rerun.bundle_id != record.bundle_id:
        got, expected = rerun.bundle_id[:12], record.bundle_id[:12]
        raise CannotReplay(f"entry {number}: got bundle {got}…, expected {expected}…, which made it")
    sources = sources_of(room, number)
    missing = [digest for digest in sources if digest not in files]
    if missing:
        raise CannotReplay(
            f"entry {number}: {len(missing)} of its {len(sources)} source files are not at hand; "
            f"expected one of SHA-256 {missing[0][:12]}…, which an altered file no longer has"
        )
    blanked = any(match.blanking for match in record.matches)
    try:
        scored = rerun.score([files[digest] for digest in sources], blanked)
    except EmptyExam:
        return Replay(number, False, 0.0, (Difference("images that can be scored", 1, None),))
    except InputError as err:
        raise CannotReplay(f"entry {number}: {err}") from err
    return _compared(entry, record, scored.prediction)


def replay_all(
    room: Room,
    numbers: Sequence[int],
    with_what: tuple[Rerun, Mapping[str, Path]],
    progress: Callable[[int, int], None],
) -> list[Replay | CannotReplay]:
    """Replay these predictions, one after the other; one that cannot be rerun does not keep the others from it."""
    results: list[Replay | CannotReplay] = []
    for done, number in enumerate(numbers, start=1):
        try:
            results.append(replay(room, number, *with_what))
        except CannotReplay as err:
            results.append(err)
        progress(done, len(numbers))
    return results


def _compared(entry: Entry, record: Prediction, again: Prediction) -> Replay:
    same = record.software == again.software
    # The body as it is stored: a field that its schema did not have yet is not compared.
    recorded = _comparable(entry.payload["prediction"], same)
    replayed = _comparable(_with_ids_of(record, again), same)
    found: dict[str, list[float | None]] = {}
    for field, distance in _differing(recorded, replayed, "", 0.0 if same else TOLERANCE):
        found.setdefault(field, []).append(distance)
    differences = tuple(
        Difference(field, len(distances), max((d for d in distances if d is not None), default=None))
        for field, distances in found.items()
    )
    shared = record.logits.keys() & again.logits.keys()
    farthest = max((abs(record.logits[name] - again.logits[name]) for name in shared), default=0.0)
    return Replay(entry.number, same, farthest, differences)


def _comparable(fields: Mapping[str, Any], same: bool) -> dict[str, Any]:
    """What of a prediction has to come out again, on the same software and processor or on others."""
    left_out = {"schema_version", "exam_id", "patient_id", "study_day", "software"}
    kept = {name: value for name, value in fields.items() if name not in left_out}
    kept["images"] = [_comparable_image(image, same) for image in fields["images"]]
    kept["refused"] = [image | {"findings": _codes(image["findings"])} for image in fields["refused"]]
    kept["findings"] = _codes(fields["findings"])
    drawn = {"patch", "overlay"} if same else {"patch", "overlay", "similarity_map", "blanking"}
    kept["matches"] = [{n: v for n, v in match.items() if n not in drawn} for match in fields["matches"]]
    return kept


def _comparable_image(image: Mapping[str, Any], same: bool) -> dict[str, Any]:
    # A decoder's name carries its version.
    rendering = {n: v for n, v in image["rendering"].items() if same or n != "decoder"}
    kept = {name: value for name, value in image.items() if name not in ("preview", "full_depth")}
    return kept | {"rendering": rendering, "findings": _codes(image["findings"])}


def _codes(findings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Findings without their sentences, whose words may be put better."""
    return [[finding["code"], finding["severity"]] for finding in findings]


def _with_ids_of(record: Prediction, again: Prediction) -> dict[str, Any]:
    """The replayed prediction under the logged pseudonyms of its images, which are told by their files."""
    logged = {image.file_sha256: image.image_id for image in record.refused}
    logged |= {image.file_sha256: image.image_id for image in record.images}
    names = {image.image_id: logged.get(image.file_sha256, "") for image in again.refused}
    names |= {image.image_id: logged.get(image.file_sha256, "") for image in again.images}
    fields = again.model_dump(mode="json")
    for part in ("images", "refused", "matches"):
        for item in fields[part]:
            item["image_id"] = names[item["image_id"]]
    return fields


def _differing(recorded: Any, replayed: Any, field: str, tolerance: float) -> Iterator[tuple[str, float | None]]:
    """Every place where the second differs from the first, as (field, distance); fields of the second alone do not."""
    if isinstance(recorded, Mapping) and isinstance(replayed, Mapping):
        for name, value in recorded.items():
            yield from _differing(value, replayed.get(name), f"{field}.{name}" if field else name, tolerance)
    elif isinstance(recorded, list) and isinstance(replayed, list) and len(recorded) == len(replayed):
        for one, other in zip(recorded, replayed, strict=True):
            yield from _differing(one, other, field, tolerance)
    elif isinstance(recorded, float) and isinstance(replayed, float):
        distance = abs(recorded - replayed)
        if distance > tolerance * max(1.0, abs(recorded)):
            yield field, distance
    elif recorded != replayed:
        yield field, None


def _stand_in(patient_id: str, kind: str, value: str) -> str:
    """In place of pseudonyms, which are of the patient's secret; kept nowhere and shown to nobody."""
    named = "\0".join((patient_id, kind, value)).encode("utf-8", "backslashreplace")
    return f"{kind}-{hashlib.sha256(named).hexdigest()}"
