"""The report's pages before the model and the proof: summary with the wall of views, evidence, prototypes, input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, Spacer, Table

from audit.report_cards import evidence_card
from audit.report_drawing import ScoreBar, wall
from audit.report_layout import (
    AGAINST_COLOUR,
    BODY,
    BODY_QUIET,
    FOR_COLOUR,
    FRAME_HEIGHT,
    INK,
    LEAD,
    NEUTRAL_COLOUR,
    RULE,
    SMALL,
    SMALL_BOLD,
    SMALL_BOLD_RIGHT,
    SMALL_QUIET,
    TITLE,
    WIDTH,
    Cell,
    section,
    stacked,
    table,
    words,
)
from audit.report_words import (
    box_numbers,
    conclusion,
    counter_words,
    finding_rows,
    input_words,
    legend_words,
    likeness_words,
    margin_words,
    probability_words,
    refusal_reasons,
)
from medproto.class_evidence import class_evidence
from medproto.records import BreastScore, Prediction
from medproto.summary import SIDES, Evidence, case_sentence, has_score, number, opposing, percent, signed, supporting

if TYPE_CHECKING:
    from audit.report_identity import Identity
    from audit.report_standing import Standing

_GAP: Final = 3 * mm
_DECISION_COLOURS: Final = {"flagged": FOR_COLOUR, "not flagged": NEUTRAL_COLOUR, "no decision": AGAINST_COLOUR}


def _banner(identity: Identity | None, pseudonym: str) -> list[Flowable]:
    """Whose report it is, in a frame above all else; nothing where the patient is known by the pseudonym alone."""
    if identity is None:
        return []
    said = (
        ("Patient", identity.name or "name not given", LEAD),
        ("Born", identity.birth_date or "not given", LEAD),
        ("Patient ID", identity.identifier or "not given", LEAD),
        ("In the ledger as", pseudonym, SMALL),
    )
    cells = [[words(label, SMALL_QUIET), words(text, style)] for label, text, style in said]
    framed = Table([cells], colWidths=[WIDTH * part for part in (0.4, 0.16, 0.22, 0.22)])
    framed.setStyle(
        [
            ("FONT", (0, 0), (-1, -1), LEAD.fontName, 8),
            ("BOX", (0, 0), (-1, -1), 0.8, INK),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
        ]
    )
    return [framed, Spacer(0, _GAP)]


def summary(
    standing: Standing, prediction: Prediction, pictures: Callable[[str], bytes], identity: Identity | None
) -> list[Flowable]:
    """First page: whose exam, the conclusion, the score on its axis, and the views as they hang."""
    story = _banner(identity, prediction.patient_id)
    story += [
        words(f"Report of {prediction.exam_id}", TITLE),
        words(_scored_by(standing, prediction), BODY_QUIET),
    ]
    story += [Spacer(0, _GAP), outcome_box(case_sentence(prediction), prediction.decision)]
    story += [Spacer(0, 1 * mm), words(conclusion(prediction)), Spacer(0, _GAP)]
    if has_score(prediction):
        story.append(
            ScoreBar(prediction.margin, prediction.operating_point.margin, flagged=prediction.decision == "flagged")
        )
    head = [*story, _facts(prediction), Spacer(0, 1 * mm), _wall_note(prediction)]
    return [*head, *wall(prediction, pictures, FRAME_HEIGHT - stacked(head))]


def _wall_note(prediction: Prediction) -> Flowable:
    shown = "No box is drawn: no pictured prototype speaks for the class."
    if supporting(prediction):
        legend = legend_words(supporting(prediction))
        shown = f"Numbered as the evidence that follows. {legend} Colour: the likeness map that was scored."
    note = words(f"{shown} The scored region of each view, as stored, not mirrored.", SMALL_QUIET)
    note.keepWithNext = True
    note.spaceAfter = 1 * mm
    return note


def evidence(prediction: Prediction, pictures: Callable[[str], bytes]) -> list[Flowable]:
    """Each pair 'this looks like that', then what speaks against it, in sections of their own."""
    name = f"“{prediction.positive_class}”"
    story: list[Flowable] = [CondPageBreak(120 * mm)]
    story += section(
        f"What speaks for {name}: this looks like that",
        "Left: a patch of this exam, framed, in its surround. Right: the training patch that the prototype is.",
        _cards(supporting(prediction), prediction, pictures, against=False)
        or [words(f"No pictured prototype speaks for {name}.")],
    )
    if margin_words(prediction):
        story += _by_class(prediction)
    against = _cards(opposing(prediction), prediction, pictures, against=True)
    said = counter_words(prediction)
    return story + section(
        f"Counter-evidence: what speaks against {name}",
        f"{said} Their boxes are not drawn on the views." if against else "",
        against or [words(said)],
    )


def _by_class(prediction: Prediction) -> list[Flowable]:
    """What the prototypes of each class counted together, and the most alike of each; for more than two classes."""
    scored = has_score(prediction)
    head = ["Class", "Prototypes", *(["Logit", "Contributions"] if scored else []), "Most alike", "Similarity", "In"]
    rows = [head]
    for one in class_evidence(prediction):
        logit, best = one.logit, one.most_alike
        counted = ["not recorded" if logit is None else number(logit), signed(one.contribution)] if scored else []
        alike = [best.prototype_id, number(best.similarity), prediction.image(best.image_id).title] if best else []
        rows.append([one.name, str(one.prototypes), *counted, *(alike or ["none", "", ""])])
    widths = [34, 21, 22, 27, 36, 22, 16] if scored else [50, 28, 50, 28, 22]
    listed = table(rows, [w * mm for w in widths], numbers=frozenset((1, 2, 3, 5) if scored else (1, 3)))
    return section("Evidence by class", margin_words(prediction), [listed])


def all_prototypes(prediction: Prediction) -> list[Flowable]:
    """Every prototype of the model with what it counted; the last line adds up to the margin."""
    scored = has_score(prediction)
    labels = {item.match.prototype_id: item.label for item in (*supporting(prediction), *opposing(prediction))}
    head = [
        "",
        "Prototype",
        "Class",
        "Similarity",
        *(["Weight", "Contribution"] if scored else []),
        "Found in",
        "Box: rows; columns",
    ]
    rows: list[list[Cell]] = [[*head]]
    for match in prediction.matches:
        counted = [signed(match.weight), signed(match.contribution)] if scored else []
        rows.append(
            [
                labels.get(match.prototype_id, ""),
                match.prototype_id,
                match.prototype_class,
                number(match.similarity),
                *counted,
                prediction.image(match.image_id).title,
                box_numbers(match.box),
            ]
        )
    if scored:
        total = words(signed(prediction.margin), SMALL_BOLD_RIGHT)
        rows.append(["", words("Sum: the score (margin)", SMALL_BOLD), "", "", "", total, "", ""])
    widths = [6, 36, 25, 19, 17, 24, 16, 35] if scored else [7, 56, 36, 21, 20, 38]
    note = (
        "Contribution = weight x similarity. The contributions of all prototypes add up to the score, the margin."
        if scored
        else "Weights and contributions are left out: they would add up to a score, and none is shown for this exam."
    )
    listed = table(rows, [w * mm for w in widths], numbers=frozenset((3, 4, 5) if scored else (3,)))
    listed.setStyle([("NOSPLIT", (0, -2), (-1, -1))])  # a sum alone at the head of a page adds up nothing
    return section("All prototypes", note, [listed])


def inputs(prediction: Prediction) -> list[Flowable]:
    """What the input gate found, what was refused, and how each image became what was scored."""
    findings = [list(row) for row in finding_rows(prediction)]
    found: list[Flowable] = (
        [table([["Severity", "About", "Finding", "Code"], *findings], [18 * mm, 26 * mm, 92 * mm, 42 * mm])]
        if findings
        else [words("The input checks found nothing to report.")]
    )
    story = section("Input checks", "", found)
    if prediction.refused:
        rows = [
            [r.image_id, " ".join(refusal_reasons(r)), ", ".join(f.code for f in r.findings)]
            for r in prediction.refused
        ]
        listed = table([["Image", "Why it was not scored", "Code"], *rows], [50 * mm, 86 * mm, 42 * mm])
        story += section("Images that were refused", "", [listed])
    head = ["View", "Image", "Pixels and spacing", "How it was rendered", "Scored as"]
    shown = [[i.title, i.image_id, *input_words(i)] for i in prediction.images]
    story += section("Images that were scored", "", [table([head, *shown], [w * mm for w in (18, 40, 32, 56, 32)])])
    return story


def outcome_box(text: str, decision: str) -> Flowable:
    """The conclusion beside a bar in the decision's colour; the words alone carry the meaning."""
    bar = Table([["", words(text, LEAD)]], colWidths=[1.2 * mm, WIDTH - 1.2 * mm])
    bar.setStyle(
        [
            ("BACKGROUND", (0, 0), (0, 0), _DECISION_COLOURS.get(decision, NEUTRAL_COLOUR)),
            ("FONT", (0, 0), (-1, -1), LEAD.fontName, 8),
            ("LEFTPADDING", (1, 0), (1, 0), 4 * mm),
            ("TOPPADDING", (0, 0), (-1, -1), 1),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
        ]
    )
    return bar


def _scored_by(standing: Standing, prediction: Prediction) -> str:
    entry, count = standing.entry, len(standing.reviews)
    reviewed = "not reviewed" if not count else f"reviewed {'once' if count == 1 else f'{count} times'}"
    return (
        f"Of {prediction.patient_id}, scored on {entry.time:%d %B %Y, %H:%M} UTC by {entry.actor} ({entry.role}); "
        f"{reviewed} in the first {standing.size} entries."
    )


def _facts(prediction: Prediction) -> Flowable:
    """Probability, breast scores and input checks, side by side."""
    columns = [("Input checks", _checks(prediction))]
    if has_score(prediction):
        breasts = [(f"{SIDES[b.laterality].capitalize()} breast alone", _breast(b)) for b in prediction.breasts]
        columns = [("Calibrated probability", probability_words(prediction)), *breasts, *columns]
    else:
        columns = [("Likeness to the training data", likeness_words(prediction)), *columns]
    cells = [[words(label, SMALL_QUIET), words(text, BODY)] for label, text in columns]
    facts = Table([cells], colWidths=_fact_widths(len(cells)))
    facts.setStyle(
        [
            ("FONT", (0, 0), (-1, -1), BODY.fontName, 8),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 3 * mm),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5 * mm),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1 * mm),
            ("LINEABOVE", (0, 0), (-1, 0), 0.35, RULE),
        ]
    )
    return facts


def _fact_widths(count: int) -> list[float]:
    """The first fact is the longest to say: it gets room for one line."""
    first = 0.32 if count > 2 else 0.5
    return [WIDTH * first, *[WIDTH * (1 - first) / (count - 1)] * (count - 1)]


def _breast(score: BreastScore) -> str:
    text = f"margin {number(score.margin)}"
    return text if score.probability is None else f"{text}, {percent(score.probability)}"


def _checks(prediction: Prediction) -> str:
    found = [severity for severity, *_ in finding_rows(prediction)]
    counts = [
        (found.count("Warning"), "warning", "warnings"),
        (found.count("Note"), "note", "notes"),
        (len(prediction.refused), "image refused", "images refused"),
    ]
    said = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    return ", ".join(said) or "nothing to report"


def _cards(
    items: Sequence[Evidence], prediction: Prediction, pictures: Callable[[str], bytes], against: bool
) -> list[Flowable]:
    return [evidence_card(item, prediction, pictures, against) for item in items]
