"""From similarity maps to evidence on the original pixels: boxes, overlays and patches of what was scored.

The map that is drawn is the tensor that was scored: `score_views` computes it once, and everything here reads it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medproto import pictures
from medproto.bundle import Bundle
from medproto.ingest.exam import ExamImage
from medproto.model.cells import breast_cells
from medproto.model.protopnet import ProtoPNet
from medproto.model.receptive_field import ReceptiveField
from medproto.records import Box, PrototypeMatch
from medproto.transforms import Geometry, ModelInput

#: Matches that carry pictures.
SHOWN = 10
#: Of these, how many are kept for the prototypes of the other classes, where there are no more such classes.
SHOWN_AGAINST = 4
#: Pictures drawn at a time.
DRAWING_THREADS = 2


@dataclass(frozen=True)
class ScoredViews:
    """What the network made of V views: features for likeness, maps (V, P, H, W), allowed cells (V, H, W)."""

    features: Tensor
    maps: Tensor
    allowed: Tensor
    field: ReceptiveField

    def best(self, views: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """For each prototype over those views: similarity (P,), view and flat cell of the maximum, the first on a
        tie."""
        masked = self.maps[list(views)].masked_fill(~self.allowed[list(views)].unsqueeze(1), -torch.inf)
        _, prototypes, height, width = masked.shape
        flat = masked.permute(1, 0, 2, 3).reshape(prototypes, -1)
        place = flat.argmax(dim=1)
        cells = height * width
        view = torch.tensor(list(views))[place // cells]
        return flat.gather(1, place.unsqueeze(1)).squeeze(1), view, place % cells


def score_views(bundle: Bundle, views: Sequence[ModelInput]) -> ScoredViews:
    """One forward pass over the views of an exam."""
    return score_images(
        bundle.model, torch.stack([view.image for view in views]), torch.stack([view.breast for view in views])
    )


def score_images(model: ProtoPNet, images: Tensor, breast: Tensor) -> ScoredViews:
    """One forward pass over the images (V, 1, Y, X) of an exam, with their breast masks (V, Y, X)."""
    images = images.contiguous(memory_format=torch.channels_last)
    field = model.backbone.receptive_field(*images.shape[2:])
    allowed = breast_cells(breast, field)
    with torch.no_grad():
        features = model.backbone(images)
        maps = model.similarity_maps(model.latent(features))
    return ScoredViews(features, maps, allowed, field)


def cell_box(geometry: Geometry, field: ReceptiveField, cell: tuple[int, int]) -> Box:
    """The jump x jump square around the receptive field's centre of a cell, in original pixels."""
    return _square(geometry, field, cell, (field.rows.jump_px, field.columns.jump_px))


def cell_receptive_field(geometry: Geometry, field: ReceptiveField, cell: tuple[int, int]) -> Box:
    """All that a cell can see, in original pixels; it may reach beyond the image."""
    return _square(geometry, field, cell, (field.rows.size_px, field.columns.size_px))


def _square(geometry: Geometry, field: ReceptiveField, cell: tuple[int, int], size_px: tuple[int, int]) -> Box:
    row, column = field.rows.centre_px(cell[0]), field.columns.centre_px(cell[1])
    half_rows, half_columns = size_px[0] / 2, size_px[1] / 2
    return geometry.box_to_original(row - half_rows, column - half_columns, row + half_rows, column + half_columns)


@dataclass(frozen=True)
class Evidence:
    """Everything needed to write the matches of one exam."""

    bundle: Bundle
    images: Sequence[ExamImage]
    views: Sequence[ModelInput]
    scored: ScoredViews


def matches(evidence: Evidence) -> tuple[list[PrototypeMatch], dict[str, bytes]]:
    """Every prototype's best place in the exam, by falling contribution, and the pictures of the shown ones."""
    bundle = evidence.bundle
    similarity, view, cell = evidence.scored.best(range(len(evidence.views)))
    similarity = similarity.double()
    weights = bundle.margin_weights
    contribution = weights * similarity
    order = sorted(range(len(contribution)), key=lambda p: (-float(contribution[p]), p))
    shown = _shown(bundle, similarity, order)
    places = [divmod(flat, evidence.scored.field.columns.cells) for flat in cell.tolist()]
    with ThreadPoolExecutor(DRAWING_THREADS) as threads:  # encoding a picture leaves the interpreter to others
        work = {p: threads.submit(_draw, evidence, p, int(view[p]), places[p]) for p in order if p in shown}
    found, kept = [], dict[str, bytes]()
    for p in order:
        v, place = int(view[p]), places[p]
        drawn = work[p].result() if p in work else {}
        kept |= {pictures.digest(content): content for content in drawn.values()}
        entry = bundle.manifest.prototypes[p]
        geometry = evidence.views[v].geometry
        found.append(
            PrototypeMatch(
                prototype_id=entry.prototype_id,
                prototype_class=entry.prototype_class,
                similarity=float(similarity[p]),
                weight=float(weights[p]),
                contribution=float(contribution[p]),
                image_id=evidence.images[v].image_id,
                cell=place,
                box=cell_box(geometry, evidence.scored.field, place),
                receptive_field=cell_receptive_field(geometry, evidence.scored.field, place),
                patch=pictures.digest(drawn["patch"]) if drawn else None,
                overlay=pictures.digest(drawn["overlay"]) if drawn else None,
                similarity_map=pictures.digest(drawn["map"]) if drawn else None,
                source=entry.source,
                class_weights=_class_weights(bundle, p),
            )
        )
        kept[entry.source.patch] = bundle.pictures[entry.source.patch]
    return found, kept


def _class_weights(bundle: Bundle, prototype: int) -> dict[str, float] | None:
    """Its weight on the logit of each class; None of two classes, where the margin says it all."""
    classes = bundle.manifest.model.classes
    weights: list[float] = bundle.model.last_layer[:, prototype].double().tolist()
    return dict(zip(classes, weights, strict=True)) if len(classes) > 2 else None


def _shown(bundle: Bundle, similarity: Tensor, order: Sequence[int]) -> set[int]:
    """The prototypes that carry pictures: the strongest for the positive class, and the strongest of every other class
    by their contribution to their own class, turn by turn.

    Args:
        similarity: shape (P,), float64.
        order: the prototypes by falling contribution to the positive class.
    """
    model = bundle.model
    towards_own = model.last_layer.double()[model.prototype_class, torch.arange(len(order))] * similarity
    ranked = sorted(order, key=lambda p: (-float(towards_own[p]), p))
    others = sorted(set(model.prototype_class.tolist()) - {bundle.positive})
    members = [[p for p in ranked if int(model.prototype_class[p]) == each] for each in others]
    turns = [p for turn in zip_longest(*members) for p in turn if p is not None]
    kept = min(max(SHOWN_AGAINST, len(others)), SHOWN - 1)
    # Whoever is among the counter-evidence leaves its place among the strongest to the next.
    against = turns[:kept]
    rest = [p for p in order if p not in against]
    return {*against, *rest[: SHOWN - len(against)]}


def _draw(evidence: Evidence, prototype: int, view: int, cell: tuple[int, int]) -> dict[str, bytes]:
    mammogram, geometry, scored = evidence.images[view].mammogram, evidence.views[view].geometry, evidence.scored
    similarity = scored.maps[view, prototype].numpy()
    place = (geometry, scored.field, (mammogram.rows, mammogram.columns))
    drawn = pictures.overlay(similarity, scored.allowed[view].numpy(), place)
    patch = pictures.patch(mammogram.pixels, cell_box(geometry, scored.field, cell))
    return {"overlay": pictures.png(drawn), "patch": pictures.png(patch), "map": _npy(similarity)}


def _npy(values: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()
