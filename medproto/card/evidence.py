"""What a model card says from an evaluation on evidence: where it lies, whether it holds, whether it is a shortcut, and
what becomes of exams from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from medproto.card.evaluation import Measured
from medproto.card.records import NOT_DEFINED, NOT_MEASURED, Part, Section, Table, Words

#: Keys that are told here.
TOLD = frozenset(
    (
        *("top1_in_lesion", "random_in_lesion", "annotated_exams", "missed_exams"),
        *("prototypes", "distinct_prototypes", "quality", "blanking", "shortcut", "strangers", "beside"),
    )
)
MISSING = Words(f"{NOT_MEASURED.capitalize()} in this evaluation.")
#: What the shortcut check may say that is no good news.
SUSPECTED, UNTOLD = "suspected", "cannot be told"
_PLACES = (
    ("annotated_exams", "positive exams with a marked finding"),
    ("top1_in_lesion", "strongest patch of a positive exam has its centre in the marked finding"),
    ("random_in_lesion", "the same for a random patch in the breast"),
    ("missed_exams", "exams whose strongest patch lies elsewhere"),
    ("prototypes", "prototypes"),
    ("distinct_prototypes", "distinct training patches among them"),
)
_BOXES = (
    ("kind", "box"),
    ("at_cell", "drop by blanking it"),
    ("random_at_cell", "by random boxes"),
    ("gain", "gain over random"),
    ("gain_anywhere", "gain over all cells and views"),
    ("better", "exams in which it does better"),
)
_SHORTCUT = (
    ("verdict", "a shortcut is"),
    ("exams", "flagged exams with a marked finding"),
    ("in_lesion", "strongest patch in the finding"),
    ("random_in_lesion", "the same for a random patch"),
    ("margin", "margin"),
    ("lesion_drop", "taken from it with the findings"),
    ("evidence_drop", "taken with the strongest patches outside any finding, as large in all"),
    ("random_drop", "taken with as many random patches"),
    ("difference", "by the patches outside more than by the findings"),
    ("unflagged_without_lesion", "exams no more flagged without their findings"),
    ("unflagged_without_evidence", "exams no more flagged without those patches"),
)
_STRANGERS = (
    ("name", "exams"),
    ("rows", "split"),
    ("exams", "number"),
    ("refused_exams", "all images refused"),
    ("unlike", "marked as unlike the training data"),
    ("told_apart", "chance to lie farther than an exam of the evaluated split"),
    ("labelled", "with a label"),
    ("positives", "positive"),
    ("auroc", "AUROC"),
)
_BESIDE = (("method", "method"), ("exams", "exams"), ("auroc", "AUROC"), ("difference", "AUROC of this model less it"))


def evidence(found: Measured) -> tuple[Section, ...]:
    """Section by section; what was not measured is said."""
    quality = found.part("quality")
    return (
        Section("Results: evidence", (Table(("measure", "value"), _rows(found, _PLACES)),)),
        Section("Results: prototype quality", (quality.shown() if quality else ()) or (MISSING,)),
        Section("Results: blanking the box", tuple(_blanking(found))),
        Section("Results: shortcut check", tuple(_shortcut(found))),
        Section(
            "Results: exams from elsewhere",
            _listed(found, "strangers", _STRANGERS, "They should be marked as unlike the training data."),
        ),
        Section("Results: other models", _listed(found, "beside", _BESIDE, "On the same exams.")),
    )


def _blanking(found: Measured) -> Iterator[Part]:
    part = found.part("blanking")
    if part is None:
        told = f"{NOT_DEFINED.capitalize()}: blanking the whole breast lowers no exam's similarity."
        yield Words(told) if "blanking" in found else MISSING
        return
    yield Words(
        f"The strongest match of {part.figure('exams')} positive exams: its box is replaced by its blurred surround, "
        f"and so are {part.figure('random_boxes')} random boxes of the same area in the breast. Drops of the "
        "similarity are shares of the drop when the whole breast is blanked; the box shown to a reader comes first."
    )
    yield _table(part.parts("boxes"), _BOXES)


def _shortcut(found: Measured) -> Iterator[Part]:
    part = found.part("shortcut")
    if part is None:
        yield MISSING
        return
    yield Table(("measure", "value"), _rows(part, _SHORTCUT))
    yield Words("A suspicion is to be looked at, and is no proof; a shortcut that lies on the finding is not seen.")


def _listed(found: Measured, key: str, columns: tuple[tuple[str, str], ...], words: str) -> tuple[Part, ...]:
    parts = found.parts(key)
    return (Words(words), _table(parts, columns)) if parts else (MISSING,)


def _rows(part: Measured, names: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, part.figure(key)) for key, name in names)


def _table(parts: tuple[Measured, ...], columns: tuple[tuple[str, str], ...]) -> Table:
    return Table(
        tuple(name for _, name in columns), tuple(tuple(one.figure(key) for key, _ in columns) for one in parts)
    )
