"""Whether a bundle decides by something beside the lesions: a shortcut such as a marker, a label or a machine's trait.

Measured on the annotated positive exams that it flags: where their strongest patch lies, and what becomes of the margin
when the annotated lesions are taken away, against the strongest patches outside any finding, of the same area in all.
As many patches drawn by chance show what taking away does by itself. What is taken away is replaced by its blurred
surround, and every maximum is taken anew.

The rule. A shortcut is suspected where three things hold: the strongest patch lies in the lesion in less than half of
the exams (upper end of the interval), the patches outside take more from the margin than patches by chance (the
intervals apart), and more than the lesions do (the means; a shortcut larger than the lesions is taken away in part
alone, so no more is asked). There is no sign of one where the strongest patch lies in the lesion in more than half
(lower end) and the lesions take more (upper end of the paired difference below 0). Else, and with fewer than `ENOUGH`
exams, it cannot be told.

Its limits. A shortcut that lies on or beside the lesion, fills the picture, or sits in a few exams only is not seen;
one that is larger than the lesions is seen in part. Tissue that truly accompanies lesions looks like a shortcut, as
does evidence of a network that sees no lesions at all: a suspicion is to be looked at, not a proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medproto.blurring import blurred_surround
from medproto.bundle import Bundle
from medproto.evaluation.classification import Interval
from medproto.evaluation.held_out import HeldOut
from medproto.evaluation.intervals import Places, clustered_share, mean_by_patient
from medproto.evaluation.quality_coherence import find_findings, patch_boxes
from medproto.evaluation.run import localise
from medproto.model.cells import breast_cells, share_inside
from medproto.model.receptive_field import ReceptiveField
from medproto.training.inputs import InputSet, Progress

#: Exams that are tried, spread evenly over those there are; fewer than `ENOUGH` say nothing.
MOST_EXAMS, ENOUGH = 120, 10
#: What is taken away, in the order of `Tried.margins` after the whole exam.
TAKEN = ("lesions", "evidence outside", "patches by chance")

Verdict = Literal["suspected", "no sign", "cannot be told"]


@dataclass(frozen=True)
class Shortcut:
    """What the check found; intervals of 95 % by patient, None where no exam could be tried.

    Args:
        exams: annotated positive exams that were flagged and tried.
        in_lesion: share whose strongest patch has its centre in a lesion.
        random_in_lesion: the same of a patch drawn by chance.
        margin: mean margin.
        lesion_drop: how far it falls when the annotated lesions are taken away.
        evidence_drop: the same of the strongest patches outside any finding, as large in all.
        random_drop: the same of as many patches by chance.
        difference: `evidence_drop` less `lesion_drop`, paired.
        unflagged_without_lesion: share of exams that are flagged no more without their lesions.
        unflagged_without_evidence: the same without the strongest patches outside.
    """

    verdict: Verdict
    exams: int
    patients: int
    in_lesion: Interval | None
    random_in_lesion: float | None
    margin: Interval | None
    lesion_drop: Interval | None
    evidence_drop: Interval | None
    random_drop: Interval | None
    difference: Interval | None
    unflagged_without_lesion: Interval | None
    unflagged_without_evidence: Interval | None


@dataclass(frozen=True)
class Outside:
    """The strongest patch of an exam, outside its lesions: its image among the inputs, and its box (top, left, bottom,
    right) in input pixels."""

    image: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Checked:
    """The check's result, and the patches to look at, those of the largest margin first."""

    result: Shortcut
    outside: tuple[Outside, ...]


def check_shortcut(held: HeldOut, progress: Progress | None = None) -> Checked:
    """Look for a shortcut on a scored split.

    Args:
        progress: called with exams done and all that are tried.
    """
    found = localise(held.bundle, held.data, held.scored, (held.best, held.view))
    flagged = np.flatnonzero(held.flagged[found.exams])
    tried = flagged[np.unique(np.linspace(0, len(flagged) - 1, min(len(flagged), MOST_EXAMS)).round().astype(int))]
    if not len(tried):
        return Checked(Shortcut("cannot be told", 0, 0, *[None] * 9), ())
    hits, exams = found.hits[tried], found.exams[tried]
    margins = np.zeros((len(tried), 1 + len(TAKEN)))
    for done, exam in enumerate(exams.tolist(), start=1):
        margins[done - 1] = _margins_without(held.bundle, held.data, exam)
        if progress:
            progress(done, len(tried))
    in_lesion = clustered_share(hits, [held.exams.patients[exam] for exam in exams.tolist()])
    result = _result(held, exams, margins, (in_lesion, float(found.random[tried].mean())))
    missed = sorted(exams[~hits].tolist(), key=lambda exam: -float(held.exams.margins[exam]))
    return Checked(result, tuple(_strongest(held, exam) for exam in missed))


def verdict_of(exams: int, in_lesion: Interval, drops: tuple[Interval, Interval, Interval, Interval]) -> Verdict:
    """The rule.

    Args:
        drops: by the lesions, by the evidence outside, by chance, and the second less the first.
    """
    lesion, evidence, chance, difference = drops
    if exams < ENOUGH:
        return "cannot be told"
    if in_lesion.high < 0.5 and evidence.low > chance.high and evidence.value > lesion.value:
        return "suspected"
    return "no sign" if in_lesion.low > 0.5 and difference.high < 0 else "cannot be told"


def _result(held: HeldOut, exams: Places, margins: NDArray[np.float64], places: tuple[Interval, float]) -> Shortcut:
    """The figures of the exams that were tried.

    Args:
        margins: whole and without each of `TAKEN`, shape (N, 4).
        places: how often the strongest patch lies in a lesion, and one drawn by chance.
    """
    patients = [held.exams.patients[exam] for exam in exams.tolist()]
    whole, without = margins[:, 0], margins[:, 1:]
    lesion, evidence, chance = (mean_by_patient(whole - each, patients) for each in without.T)
    difference = mean_by_patient(without[:, 0] - without[:, 1], patients)
    unflagged = without < held.bundle.manifest.operating_point.margin
    return Shortcut(
        verdict=verdict_of(len(exams), places[0], (lesion, evidence, chance, difference)),
        exams=len(exams),
        patients=len(set(patients)),
        in_lesion=places[0],
        random_in_lesion=places[1],
        margin=mean_by_patient(whole, patients),
        lesion_drop=lesion,
        evidence_drop=evidence,
        random_drop=chance,
        difference=difference,
        unflagged_without_lesion=clustered_share(unflagged[:, 0], patients),
        unflagged_without_evidence=clustered_share(unflagged[:, 1], patients),
    )


def _margins_without(bundle: Bundle, data: InputSet, exam: int) -> list[float]:
    """Margin of an exam as it is, and without each of `TAKEN`."""
    views = torch.nonzero(data.bags == exam).flatten()
    some = data.select(views.tolist())
    size = (some.images.shape[2], some.images.shape[3])
    field, breast = bundle.model.backbone.receptive_field(*size), (some.breast > 0).unsqueeze(1)
    allowed = breast_cells(some.breast, field)
    maps = _maps(bundle, some.images)
    positive = (some.labels == bundle.positive).view(-1, 1, 1)
    lesion, finding = _finding_boxes(some.lesion * positive), _finding_boxes(some.lesion)
    count = max(round(float((lesion & breast).sum()) / (field.rows.jump_px * field.columns.jump_px)), 1)
    free = (allowed & (share_inside(finding.squeeze(1), field) == 0)).flatten()
    support = bundle.margin_weights.clamp(min=0).view(1, -1, 1, 1)
    strength = (maps.double() * support).amax(dim=1).flatten().masked_fill(~free, -torch.inf)
    count = min(count, int(free.sum()))
    chance = torch.from_numpy(np.random.default_rng(exam).permutation(torch.nonzero(free).flatten().numpy())[:count])
    chosen = (strength.topk(count).indices, chance)
    masks = [lesion, *(_patches(cells, len(some), field, size) for cells in chosen)]
    shown = torch.cat([blurred_surround(some.images, mask, breast) for mask in masks])
    found = [maps, *_maps(bundle, shown).chunk(len(TAKEN))]
    return [_margin(bundle, each, allowed) for each in found]


def _maps(bundle: Bundle, images: Tensor) -> Tensor:
    with torch.no_grad():
        return bundle.model.similarity_maps(bundle.model.encode(images))


def _margin(bundle: Bundle, maps: Tensor, allowed: Tensor) -> float:
    """Margin of one exam by the maps (V, P, H, W) of its views."""
    best = maps.masked_fill(~allowed.unsqueeze(1), -torch.inf).amax(dim=(0, 2, 3))
    return float(best.double() @ bundle.margin_weights)


def _finding_boxes(lesion: Tensor) -> Tensor:
    """Masks (V, 1, Y, X) of the boxes of all findings in masks (V, Y, X)."""
    found = find_findings(lesion.numpy())
    masks = torch.zeros(len(lesion), 1, *lesion.shape[1:], dtype=torch.bool)
    for image, (top, left, bottom, right) in zip(found.image.tolist(), found.box.tolist(), strict=True):
        masks[image, :, top:bottom, left:right] = True
    return masks


def _patches(cells: Tensor, views: int, field: ReceptiveField, size_px: tuple[int, int]) -> Tensor:
    """Masks (V, 1, Y, X) of the patches of cells, which count through all views."""
    in_view = field.rows.cells * field.columns.cells
    masks = torch.zeros(views, 1, *size_px, dtype=torch.bool)
    boxes = patch_boxes((cells % in_view).numpy(), field, size_px)
    for view, (top, left, bottom, right) in zip((cells // in_view).tolist(), boxes.tolist(), strict=True):
        masks[view, :, top:bottom, left:right] = True
    return masks


def _strongest(held: HeldOut, exam: int) -> Outside:
    """The patch that counts most towards the positive class in that exam."""
    images = held.data.images
    prototype = int((held.bundle.margin_weights * held.best[exam].double()).argmax())
    image = int(held.view[exam, prototype])
    field = held.bundle.model.backbone.receptive_field(*images.shape[2:])
    cell = held.scored.cells[image, prototype].numpy()
    top, left, bottom, right = patch_boxes(cell, field, (images.shape[2], images.shape[3])).tolist()
    return Outside(image, (top, left, bottom, right))
