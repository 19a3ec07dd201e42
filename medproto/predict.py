"""Bundle and exam to a prediction: pure, logs nothing.

Only `audit.service` may hand a prediction to a person; it writes it down first.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from medproto import __version__, pictures, pyramid
from medproto.attribution import Place
from medproto.blanking import CHECKED, Check, Origin, Seen, check_places
from medproto.bundle import Bundle
from medproto.explain import Evidence, ScoredViews, matches, score_views
from medproto.ingest.exam import Exam, ExamImage, read_exam
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.sandbox import Sandbox
from medproto.likeness import pool
from medproto.records import (
    Box,
    BreastScore,
    Decision,
    GateFinding,
    ImageRecord,
    Likeness,
    Prediction,
    PrototypeMatch,
    Pseudonymise,
    Rendering,
    Scored,
)
from medproto.transforms import ModelInput, model_input

UNLIKE = "The exam is unlike the images this model was trained on: its evidence can be looked at, no score is shown."


def software() -> dict[str, str]:
    """Versions that decide the numbers."""
    names = ("torch", "monai", "pydicom", "numpy", "timm")
    return {"medproto": __version__, "python": platform.python_version()} | {name: version(name) for name in names}


def processor() -> str:
    """What also decides the last digits of the numbers: instruction set and number of threads."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"


def scorer(
    bundle: Bundle,
    region: Box | None = None,
    check: Check | None = CHECKED,
    full_depth: bool = True,
    seen: Callable[[], None] | None = None,
) -> Callable[[Sequence[Path], Pseudonymise], Scored]:
    """A function from an exam's files to its prediction, for `audit.service`; the files are read in a sandbox.

    Args:
        region: part of each image to score, in original pixels, for models trained on regions.
        check: how the pictured matches are checked by blanking; None leaves that out.
        full_depth: keep every image with all its samples too, which a viewer needs for windows of its own.
        seen: called after each file that was read or refused.
    """

    sandbox = Sandbox(bundle.manifest.ingest, full_depth)

    def read(path: Path) -> Mammogram:
        try:
            return sandbox.read(path)
        finally:
            if seen is not None:
                seen()

    def score(paths: Sequence[Path], pseudonymise: Pseudonymise) -> Scored:
        return predict_exam(bundle, read_exam(paths, pseudonymise, read, region), check)

    return score


def predict_exam(bundle: Bundle, exam: Exam, check: Check | None = CHECKED) -> Scored:
    """Score one exam and gather its evidence.

    Args:
        check: how the pictured matches are checked by blanking; None leaves that out.

    Returns:
        The prediction, whose contributions add up to its margin within 1e-5 relative, and the pictures it names.
    """
    views = [model_input(image.mammogram, bundle.manifest.inputs, image.region) for image in exam.images]
    scored = score_views(bundle, views)
    evidence = Evidence(bundle, exam.images, views, scored)
    found, kept = matches(evidence)
    if check:
        found = check_matches(evidence, found, check)
    images = []
    for image, view in zip(exam.images, views, strict=True):
        shown = [pictures.png(pictures.preview(image.mammogram.pixels))]
        if image.mammogram.samples is not None and image.mammogram.greys is not None:
            shown.append(pyramid.encode(image.mammogram.samples, image.mammogram.greys))
        digests = [pictures.digest(content) for content in shown]
        kept.update(zip(digests, shown, strict=True))
        images.append(_image_record(image, view, digests))
    logits = _logits(bundle, scored, range(len(views)))
    margin = _margin(bundle, logits)
    likeness = _likeness(bundle, scored)
    decision, probability = _decide(bundle, margin, likeness)
    manifest = bundle.manifest
    prediction = Prediction(
        exam_id=exam.exam_id,
        patient_id=exam.patient_id,
        bundle_id=bundle.bundle_id,
        bundle_name=manifest.name,
        data_licence=manifest.data_licence,
        synthetic=manifest.synthetic or any(image.mammogram.synthetic for image in exam.images),
        classes=manifest.model.classes,
        positive_class=manifest.model.positive_class,
        images=tuple(images),
        refused=exam.refused,
        findings=exam.findings + _unlike_finding(likeness),
        likeness=likeness,
        logits=dict(zip(manifest.model.classes, logits, strict=True)),
        margin=margin,
        probability=probability,
        prevalence=manifest.calibration.prevalence,
        operating_point=manifest.operating_point,
        decision=decision,
        breasts=_breasts(bundle, exam.images, scored),
        matches=tuple(found),
        software=software() | {"processor": processor()},
        blanked=check is not None,
        study_day=exam.study_day,
    )
    return Scored(prediction, kept)


def check_matches(evidence: Evidence, found: Sequence[PrototypeMatch], check: Check) -> list[PrototypeMatch]:
    """The matches, those that are pictured with what blanking does to them."""
    names = {entry.prototype_id: p for p, entry in enumerate(evidence.bundle.manifest.prototypes)}
    views = {image.image_id: v for v, image in enumerate(evidence.images)}
    shown = [match for match in found if match.overlay]
    places = [Place(names[match.prototype_id], views[match.image_id], match.cell) for match in shown]
    origins = tuple(
        Origin(view.geometry, view.crop, image.mammogram.pixels_sha256)
        for image, view in zip(evidence.images, evidence.views, strict=True)
    )
    images = torch.stack([view.image for view in evidence.views])
    breast = torch.stack([view.breast for view in evidence.views])
    seen = Seen(evidence.bundle.model, images, breast, origins, evidence.scored)
    blanking = dict(zip((match.prototype_id for match in shown), check_places(seen, places, check), strict=True))
    return [match.model_copy(update={"blanking": blanking.get(match.prototype_id, ())}) for match in found]


def _logits(bundle: Bundle, scored: ScoredViews, views: Sequence[int]) -> list[float]:
    similarity, _, _ = scored.best(views)
    logits: list[float] = (bundle.model.last_layer.double() @ similarity.double()).tolist()
    return logits


def _margin(bundle: Bundle, logits: Sequence[float]) -> float:
    others = [logit for index, logit in enumerate(logits) if index != bundle.positive]
    return logits[bundle.positive] - sum(others) / len(others)


def _likeness(bundle: Bundle, scored: ScoredViews) -> Likeness:
    distances = bundle.likeness.distances(pool(scored.features, scored.allowed))
    return Likeness(distance=float(distances.max()), threshold=bundle.likeness.threshold)


def _decide(bundle: Bundle, margin: float, likeness: Likeness) -> tuple[Decision, float | None]:
    if likeness.unlike:
        return "no decision", None
    flagged = margin >= bundle.manifest.operating_point.margin
    return "flagged" if flagged else "not flagged", bundle.manifest.calibration.probability(margin)


def _unlike_finding(likeness: Likeness) -> tuple[GateFinding, ...]:
    return (GateFinding(code="UNLIKE_TRAINING", severity="warn", sentence=UNLIKE),) if likeness.unlike else ()


def _breasts(bundle: Bundle, images: Sequence[ExamImage], scored: ScoredViews) -> tuple[BreastScore, ...]:
    """Margin of each breast alone; calibration holds for exams, so a breast has no probability of its own."""
    scores = []
    for side in ("R", "L"):
        views = [i for i, image in enumerate(images) if image.mammogram.laterality == side]
        if views:
            margin = _margin(bundle, _logits(bundle, scored, views))
            scores.append(BreastScore(laterality=side, margin=margin, probability=None))
    return tuple(scores)


def _image_record(image: ExamImage, view: ModelInput, shown: Sequence[str]) -> ImageRecord:
    """The record of an image whose preview, and whose picture in full depth where it is kept, have these digests."""
    mammogram = image.mammogram
    return ImageRecord(
        image_id=image.image_id,
        laterality=mammogram.laterality,
        view=mammogram.view,
        rows=mammogram.rows,
        columns=mammogram.columns,
        spacing_mm=mammogram.spacing_mm,
        file_sha256=mammogram.file_sha256,
        pixels_sha256=mammogram.pixels_sha256,
        rendering=Rendering(
            decoder=mammogram.decoder,
            voi=mammogram.voi,
            inverted=mammogram.inverted,
            flipped=view.flipped,
            crop=view.crop,
            input_rows=view.image.shape[1],
            input_columns=view.image.shape[2],
            upturned=view.upturned,
            input_spacing_mm=view.spacing_mm,
        ),
        findings=mammogram.findings,
        preview=shown[0],
        full_depth=shown[1] if len(shown) > 1 else None,
        preview_scale=pictures.preview_scale((mammogram.rows, mammogram.columns)),
        synthetic=mammogram.synthetic,
    )
