"""What a model card says from an evaluation: each measure with its interval, and what was not measured."""

from __future__ import annotations

from collections.abc import Iterator

from medproto.bundle import BundleManifest
from medproto.card.evaluation import Evaluated, Measured
from medproto.card.evidence import MISSING, TOLD, evidence
from medproto.card.records import NOT_DEFINED, NOT_MEASURED, Part, Section, Table, Words
from medproto.training.data_record import codes_of

#: Keys that are told here; `table` holds the demo's figures once more, as Markdown.
_TOLD = frozenset(
    (
        *("bundle_id", "manifest_digest", "split", "images", "exams", "patients", "positives", "left_out"),
        *(
            "auroc",
            "sensitivity",
            "specificity",
            "units",
            "calibration",
            "abstention",
            "unlike_training",
            "subgroups",
            "table",
        ),
    )
)


def evaluation_data(evaluated: Evaluated, manifest: BundleManifest) -> Section:
    """On what was measured."""
    found = evaluated.measured
    same = found.text("manifest_digest") == manifest.data_digest
    rows = (
        ("split", found.text("split")),
        ("manifest (SHA-256)", found.text("manifest_digest")),
        ("data set", "that of the training, other patients" if same else "another manifest than that of the training"),
        ("patients", str(found.count("patients"))),
        ("exams", str(found.count("exams"))),
        ("positive exams", str(found.count("positives"))),
        ("images", str(found.count("images"))),
        ("rows left out", _left_out(found)),
        ("evaluation (SHA-256 of its JSON)", evaluated.sha256),
    )
    words = "Nothing was chosen on these exams. Brackets hold 95 % intervals."
    return Section("Evaluation data", (Words(words), Table(("fact", "value"), rows)))


def results(found: Measured, manifest: BundleManifest) -> tuple[Section, ...]:
    """Every measure of the evaluation, section by section."""
    sections = [
        Section("Results: classification", tuple(_classification(found))),
        Section("Results: operating point", tuple(_operating_point(found, manifest))),
        Section("Results: calibration", tuple(_calibration(found))),
        Section("Results: abstention", tuple(_abstention(found))),
        Section("Results: subgroups", tuple(_subgroups(found))),
        *evidence(found),
    ]
    rest = Measured({key: value for key, value in found.content.items() if key not in _TOLD | TOLD})
    return (*sections, Section("Results: further measures", rest.shown())) if rest.content else tuple(sections)


def _left_out(found: Measured) -> str:
    reasons = found.lines("left_out")
    codes = sorted({code for why in reasons for code in codes_of(why.partition(": ")[2])})
    return f"{len(reasons)} ({', '.join(codes)})" if codes else "0"


def _classification(found: Measured) -> Iterator[Part]:
    units = found.parts("units")
    if not units:
        aurocs = found.part("auroc")
        plain = tuple((name, aurocs.figure(name)) for name in aurocs.content) if aurocs else ()
        yield Table(("unit", "AUROC"), plain) if plain else MISSING
        return
    fixed = units[0].interval("fixed")
    level = f"{fixed.value:.0%}" if fixed else "a fixed"
    measures = {
        "auroc": "AUROC",
        "auroc_delong": "AUROC by DeLong",
        "auprc": "AUPRC",
        "sensitivity_at_fixed_specificity": f"sensitivity at {level} specificity",
        "specificity_at_fixed_sensitivity": f"specificity at {level} sensitivity",
    }
    rows = [
        (one.text("unit"), f"{one.count('cases')} / {one.count('positives')}", *(one.figure(key) for key in measures))
        for one in units
    ]
    yield Table(("unit", "cases / positive", *measures.values()), tuple(rows))


def _operating_point(found: Measured, manifest: BundleManifest) -> Iterator[Part]:
    point = manifest.operating_point
    yield Words(f"Flagged at a margin of {point.margin:+.3f} and above, chosen for exams on validation: {point.rule}.")
    if not found.parts("units"):
        names = ("sensitivity", "specificity")
        yield Table(("measure", "exams"), tuple((name, found.figure(name)) for name in names))
        return
    measures = ("sensitivity", "specificity", "recall")
    rows = [
        (one.text("unit"), *_confusion(one), *(one.figure(key) for key in measures)) for one in found.parts("units")
    ]
    head = ("unit", "true positive", "false negative", "false positive", "true negative", *measures[:2], "recall rate")
    yield Table(head, tuple(rows))


def _confusion(unit: Measured) -> tuple[str, ...]:
    match unit.content.get("confusion"):
        case [[int(hit), int(missed)], [int(alarm), int(spared)]]:
            return str(hit), str(missed), str(alarm), str(spared)
        case _:
            return (NOT_MEASURED,) * 4


def _calibration(found: Measured) -> Iterator[Part]:
    part = found.part("calibration")
    if part is None:
        yield MISSING
        return
    names = {
        "slope": "slope (ideal 1)",
        "intercept": "intercept at slope 1 (ideal 0)",
        "brier": "Brier score",
        "brier_of_prevalence": "Brier score of always saying the prevalence",
        "ece": "expected calibration error (ECE)",
        "ece_if_perfect": "ECE that 95 % of perfect models of this size get: from, to",
    }
    rows = [(name, part.figure(key)) for key, name in names.items()]
    if part.content.get("slope", 0) is None:
        rows[0] = (rows[0][0], f"{NOT_DEFINED}: the probabilities separate the classes, or are all alike")
    rest = {key: value for key, value in part.content.items() if key not in (*names, "bins")}
    yield Words("Of exams; the map from margin to probability was fitted on validation exams alone.")
    yield Table(("measure", "value"), tuple(rows))
    yield from Measured(rest).shown()


def _abstention(found: Measured) -> Iterator[Part]:
    part = found.part("abstention")
    if part is None:
        yield MISSING
        return
    names = {
        "kept": "exams decided",
        "marked": "exams left undecided, unlike the training data",
        "risk": "share decided wrongly, were all decided",
        "risk_kept": "share decided wrongly of those decided",
        "risk_marked": "share that would be wrong of those left undecided",
    }
    rows = [(name, part.figure(key)) for key, name in names.items()]
    rows.append(("share of exams marked unlike the training data", found.figure("unlike_training")))
    yield Table(("measure", "value"), tuple(rows))
    curves = part.parts("curves")
    if curves:
        body = [(one.text("signal"), one.figure("area"), one.figure("gain")) for one in curves]
        yield Table(("signal", "mean risk over coverages", "gain over an order by chance"), tuple(body))
    yield from Measured({key: value for key, value in part.content.items() if key not in (*names, "curves")}).shown()


def _subgroups(found: Measured) -> Iterator[Part]:
    groups = found.parts("subgroups")
    if not groups:
        yield MISSING
        return
    measures = ("auroc", "sensitivity", "specificity")
    rows = [
        (
            *(group.text(key) for key in ("field", "value", "unit")),
            f"{group.count('cases')} / {group.count('positives')}",
            *(group.figure(key) for key in measures),
            "; ".join(group.lines("notes")),
        )
        for group in groups
    ]
    head = ("field", "value", "unit", "cases / positive", "AUROC", "sensitivity", "specificity", "note")
    yield Table(head, tuple(rows))
