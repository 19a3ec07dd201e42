"""The report is a function of the entry and its pictures, and says everything the record says."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from pypdf import PdfReader
from pypdf.generic import IndirectObject

from audit.entries import NO_LEAF, Entry, EntryDraft, EntryKind, decode, encode
from audit.payloads import MEANINGS, Refusal, Review, Verdict
from audit.proofs import Proof
from audit.queries import ReviewRecord
from audit.report import render_refusal, render_report
from audit.report_layout import words
from audit.report_standing import Standing, StandingReview
from audit.report_words import NO_BETTER, RESEARCH_USE, SYNTHETIC, SYNTHETIC_MODEL, UNCHECKED
from audit.signing import Checkpoint
from medproto.errors import EvidenceMissing, ReportError
from medproto.records import GateFinding, Prediction, RefusedRecord, Scored
from medproto.summary import case_sentence, number, percent, signed
from tests.audit.factory import BUNDLE_ID, checked, make_scored, sha256

NOTE = (
    "example.org/ledger\n7\nqTn0v6mS1yK2yJx4dPpC5mYkXk9z0nT7cZ3bB0l8c1Y=\n\n— example.org/ledger "
    + "Az3grlgt" * 11
    + "\n"
)
CHECKPOINT = Checkpoint("example.org/ledger", 7, "cd" * 32, NOTE)
REFUSED = RefusedRecord(
    image_id="image-00112233445566ff",
    file_sha256=sha256(b"refused"),
    findings=(
        GateFinding(code="FOR_PROCESSING", severity="refuse", sentence="Intent: got FOR PROCESSING, expected other."),
    ),
)


def entry_of(payload: dict[str, Any], kind: EntryKind = "prediction") -> Entry:
    """An entry as the ledger would store it."""
    draft = EntryDraft(kind, payload, "ada.reader", "reader")
    return decode(encode(draft, 7, NO_LEAF, "2026-11-22T09:14:05.120000Z"))


def rendered(scored: Scored) -> bytes:
    """The report of a scored exam."""
    return render_report(standing_of(prediction_entry(scored)), scored.pictures.__getitem__)


def prediction_entry(scored: Scored) -> Entry:
    """The entry that holds a scored exam."""
    return entry_of({"intent": 6, "prediction": scored.prediction.model_dump(mode="json")})


def standing_of(entry: Entry, *reviews: StandingReview) -> Standing:
    """An entry with its reviews in a log of 7 entries."""
    return Standing(Proof(entry, (b"\x01" * 32, b"\x02" * 32), CHECKPOINT, None, (), ()), reviews)


def review_of(comment: str, actor: str = "ada.reader", verdict: Verdict = "agree") -> StandingReview:
    """A review with this comment, as read from the ledger."""
    signed = Review(
        verdict=verdict, reason="as before", comment=comment, entry=7, exam_id="exam-1", meaning=MEANINGS[verdict]
    )
    entry = entry_of(signed.model_dump(mode="json"), "review")
    return StandingReview(ReviewRecord(8, actor, "radiologist", entry.time, signed), entry, ())


def text_of(pdf: bytes) -> str:
    """All text of a PDF with every run of white space as one blank."""
    pages = PdfReader(io.BytesIO(pdf)).pages
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages))


def with_missing_views() -> Scored:
    """An exam of one R MLO and one image whose side, view and spacing are unknown."""
    scored = make_scored(prototypes=4)
    first, second = scored.prediction.images[:2]
    unknown = second.model_copy(update={"laterality": None, "view": None, "spacing_mm": None})
    kept = [m for m in scored.prediction.matches if m.image_id in {first.image_id, second.image_id}]
    margin = sum(m.contribution for m in kept)
    fields = scored.prediction.model_dump() | {
        "images": (first, unknown),
        "matches": tuple(kept),
        "margin": margin,
        "refused": (REFUSED,),
    }
    return Scored(Prediction.model_validate(fields), scored.pictures)


EXAMS = {
    "flagged": lambda: make_scored("flagged"),
    "not flagged": lambda: make_scored("not flagged"),
    "no decision": lambda: make_scored("no decision"),
    "missing views": with_missing_views,
    "fourteen prototypes": lambda: make_scored("flagged", prototypes=14),
    "checked by blanking": lambda: checked(make_scored("flagged", prototypes=10), 1),
    "version 1": lambda: make_scored("flagged", schema_version=1),
    "long names": lambda: make_scored(bundle_name="bundle-" + "x" * 300, patient_id="patient-" + "9" * 200),
}


def expected_numbers(prediction: Prediction) -> set[str]:
    """Every number that the record holds for a reader, as printed."""
    texts = {number(prediction.operating_point.margin), percent(prediction.operating_point.sensitivity)}
    texts |= {number(prediction.likeness.distance), number(prediction.likeness.threshold)}
    for match in prediction.matches:
        texts |= {number(match.similarity), f"{match.box.top:.0f}–{match.box.bottom:.0f}"}
    for image in prediction.images:
        texts |= {f"{image.rows} x {image.columns}", image.file_sha256, image.pixels_sha256}
    if prediction.decision == "no decision":
        return texts
    texts |= {number(prediction.margin), percent(prediction.prevalence), percent(prediction.probability or 0)}
    texts |= {number(logit) for logit in prediction.logits.values()}
    texts |= {number(breast.margin) for breast in prediction.breasts}
    for match in prediction.matches:
        texts |= {signed(match.weight), signed(match.contribution)}
    return texts


@pytest.mark.parametrize("exam", EXAMS)
def test_the_same_entry_gives_the_same_bytes(exam: str) -> None:
    assert rendered(EXAMS[exam]()) == rendered(EXAMS[exam]())


@pytest.mark.parametrize("exam", EXAMS)
def test_every_number_of_the_record_is_in_the_text(exam: str) -> None:
    scored = EXAMS[exam]()
    text = text_of(rendered(scored))
    missing = {value for value in expected_numbers(scored.prediction) if value.replace("\xa0", " ") not in text}
    assert not missing


@pytest.mark.parametrize("exam", ["flagged", "no decision"])
def test_every_font_is_embedded(exam: str) -> None:
    fonts = [obj for obj in _objects(rendered(EXAMS[exam]())) if obj.get("/Type") == "/FontDescriptor"]
    assert len(fonts) >= 3
    assert all("/FontFile2" in font for font in fonts)
    names = {str(obj["/BaseFont"]) for obj in _objects(rendered(EXAMS[exam]())) if "/BaseFont" in obj}
    assert {name.split("+")[-1] for name in names} == {"Roboto-Regular", "Roboto-Bold", "DejaVuSansMono"}


def test_no_page_repeats_without_its_banners_and_its_entry() -> None:
    pages = PdfReader(io.BytesIO(rendered(make_scored("flagged", prototypes=14)))).pages
    assert len(pages) >= 4
    for i, page in enumerate(pages, start=1):
        text = page.extract_text()
        assert "SYNTHETIC" in text
        assert "Research use only, not for primary diagnosis" in text
        assert "Ledger entry 7" in text
        assert f"Page {i} of {len(pages)}" in text


def test_each_card_says_what_blanking_did_and_warns_where_random_does_as_well() -> None:
    text = text_of(rendered(checked(make_scored(), 1)))
    assert text.count("Blanking this box removes 63 % of what the breast gives to the similarity") == 4
    assert text.count("(a random box of this size: 4 %)") == 4
    assert text.count("box by gradient x input, rows") == 4
    assert text.count("(16.0 x 16.0 mm)") == 4
    assert text.count(NO_BETTER) == 1
    assert text.index(NO_BETTER) > text.index("p001-")
    assert "dashed: the patch that was compared" in text


def test_a_report_of_unchecked_matches_says_so_on_every_card() -> None:
    text = text_of(rendered(make_scored()))
    assert text.count(UNCHECKED) == 4
    assert NO_BETTER not in text
    assert "dashed" not in text


def test_the_sentence_of_the_case_comes_first() -> None:
    scored = checked(make_scored(), 0)
    said = case_sentence(scored.prediction).replace("\xa0", " ")
    text = text_of(rendered(scored))
    assert said in text
    assert text.index(said) < text.index("What speaks for “malignant”")


def test_a_real_patients_report_does_not_say_synthetic() -> None:
    assert "SYNTHETIC" not in text_of(rendered(make_scored(synthetic=False)))


@pytest.mark.parametrize("pictures, words", [(None, SYNTHETIC), (True, SYNTHETIC), (False, SYNTHETIC_MODEL)])
def test_a_patients_pictures_are_not_called_synthetic_for_the_models_sake(pictures: bool | None, words: str) -> None:
    scored = make_scored()
    told = [image.model_copy(update={"synthetic": pictures}) for image in scored.prediction.images]
    prediction = scored.prediction.model_copy(update={"images": tuple(told)})
    pages = text_of(rendered(Scored(prediction, scored.pictures)))
    assert [one for one in (SYNTHETIC, SYNTHETIC_MODEL) if one in pages] == [words]


def test_an_exam_unlike_the_training_data_shows_no_score() -> None:
    scored = make_scored("no decision")
    text = text_of(rendered(scored))
    assert "No decision: this exam is unlike the data the model was trained on" in text
    hidden = [
        number(scored.prediction.margin),
        "at a prevalence of",
        *(signed(m.contribution) for m in scored.prediction.matches),
    ]
    assert [value for value in hidden if value in text] == []


def test_missing_views_are_labelled_gaps_and_refused_images_give_their_reason() -> None:
    text = text_of(rendered(with_missing_views()))
    for view in ("R CC", "L CC", "L MLO"):
        assert f"{view}: not in this exam" in text
    assert "side unknown view unknown" in text
    assert "Intent: got FOR PROCESSING, expected other." in text


def test_the_proof_page_holds_leaf_checkpoint_and_bundle() -> None:
    scored = make_scored()
    entry = prediction_entry(scored)
    text = text_of(render_report(standing_of(entry), scored.pictures.__getitem__))
    for value in (entry.leaf, entry.previous, BUNDLE_ID, "Az3grlgt" * 11, "2026-11-22T09:14:05.120000Z"):
        assert value in text


def test_reviews_so_far_say_who_when_what_it_means_and_why() -> None:
    scored = make_scored()
    held = standing_of(prediction_entry(scored), review_of("seen twice"), review_of("", "bo.reader", "disagree"))
    text = text_of(render_report(held, scored.pictures.__getitem__))
    for said in ("reviewed 2 times in the first 7 entries", "ada.reader (radiologist)", "2026-11-22 09:14:05"):
        assert said in text
    for said in (MEANINGS["agree"], MEANINGS["disagree"], "Comment: seen twice", "Reason: as before", "bo.reader"):
        assert said in text


def test_a_report_without_review_says_so_and_at_which_size() -> None:
    text = text_of(rendered(make_scored()))
    assert "not reviewed in the first 7 entries" in text
    assert "None is among the first 7 entries of the ledger." in text


def test_an_entry_of_another_kind_is_refused() -> None:
    scored = make_scored()
    with pytest.raises(ReportError, match="got an entry of kind 'review', expected a prediction"):
        render_report(standing_of(entry_of({}, "review")), scored.pictures.__getitem__)


def test_an_empty_entry_is_refused() -> None:
    scored = make_scored()
    with pytest.raises(ReportError, match="its prediction cannot be read"):
        render_report(standing_of(entry_of({})), scored.pictures.__getitem__)


def test_a_picture_that_is_no_picture_is_refused() -> None:
    scored = make_scored()
    with pytest.raises(EvidenceMissing, match="no PNG"):
        render_report(standing_of(prediction_entry(scored)), lambda digest: b"not a picture")


def test_a_refused_exam_gets_one_page_with_reasons_and_proof() -> None:
    refusal = Refusal(
        intent=6,
        bundle_id=BUNDLE_ID,
        sentence="No image of this exam can be scored.",
        refused=(REFUSED,),
        synthetic=True,
    )
    entry = entry_of(refusal.model_dump(mode="json"), "refusal")
    pdf = render_refusal(standing_of(entry))
    text = text_of(pdf)
    assert len(PdfReader(io.BytesIO(pdf)).pages) == 1
    for value in (
        "No image of this exam can be scored.",
        "FOR_PROCESSING",
        REFUSED.file_sha256,
        entry.leaf,
        SYNTHETIC_MODEL,
        RESEARCH_USE,
    ):
        assert value in text


def test_a_prediction_gets_no_refusal_page() -> None:
    with pytest.raises(ReportError, match="expected a refusal"):
        render_refusal(standing_of(entry_of({})))


def _objects(pdf: bytes) -> list[dict[str, Any]]:
    reader = PdfReader(io.BytesIO(pdf))
    objects = [reader.get_object(IndirectObject(i, 0, reader)) for i in range(1, len(reader.xref[0]) + 1)]
    return [obj for obj in objects if isinstance(obj, dict)]


def test_words_of_several_lines_are_printed_in_as_many() -> None:
    _, one = words("A lymph node. Its hilum shows.").wrap(400, 400)
    _, two = words("A lymph node.\nIts hilum shows.").wrap(400, 400)
    assert two == 2 * one
