"""Global analysis of a bundle: for every prototype what is like it, how often it spoke, and how much it decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medproto import pictures
from medproto.atlas.material import NEIGHBOUR_SPLITS, Material
from medproto.atlas.records import Atlas, Portrait, Relative
from medproto.atlas.tilt import tilts
from medproto.bundle import Bundle
from medproto.neighbourhood import Neighbourhood, Share
from medproto.training.neighbours import cut, nearest, neighbourhood
from medproto.training.refining import Reporter
from medproto.training.similarities import similarities

#: So many of an exam's strongest contributions count as having fired; half of them where there are fewer.
TOP = 5
#: Other prototypes that are named, of the same class and of the others.
RELATIVES = 3


@dataclass(frozen=True)
class Firing:
    """What the prototypes did in N exams.

    fired (N, P) whether each was among an exam's `top` strongest contributions, signs aside; labels (N,) classes of
    the exams; decided (P,) and moved (P,) as `Portrait` has them.
    """

    fired: Tensor
    labels: Tensor
    top: int
    decided: Tensor
    moved: Tensor | None

    def shares(self, prototype: int, own: int) -> tuple[Share, Share]:
        """In how many exams of that class it fired, and in how many of the others."""
        of_own = self.labels == own
        own_hits, other_hits = (self.fired[group, prototype] for group in (of_own, ~of_own))
        return (
            Share(hits=int(own_hits.sum()), total=len(own_hits)),
            Share(hits=int(other_hits.sum()), total=len(other_hits)),
        )


def firing(similarity: Tensor, weights: Tensor, labels: Tensor) -> Firing:
    """What the prototypes did, from similarities (N, P), weights on the margin (P,) and classes (N,) of exams."""
    contribution = weights * similarity.double()
    strength, prototypes = contribution.abs(), len(weights)
    top = min(TOP, max(prototypes // 2, 1))
    fired = torch.zeros_like(strength, dtype=torch.bool).scatter_(1, strength.topk(top, dim=1).indices, True)
    decided = strength.sum(dim=0) / strength.sum().clamp(min=torch.finfo(torch.double).tiny)
    decided = decided.clamp(max=1.0)  # a single one has all, but for rounding
    margin = contribution.sum(dim=1, keepdim=True)
    from_mean = margin - margin.mean()
    variance = from_mean.square().sum()
    # Covariances of the contributions with their sum add up to its variance.
    moved = ((contribution - contribution.mean(dim=0)) * from_mean).sum(dim=0) / variance if variance > 0 else None
    return Firing(fired, labels, top, decided, moved)


def relatives(
    bundle: Bundle, prototype: int, around: Sequence[Neighbourhood]
) -> tuple[tuple[Relative, ...], tuple[Relative, ...]]:
    """The nearest other prototypes of the same class, and of the other classes.

    Args:
        around: the prototype's neighbours; the last of the first of them is the mark of a twin.
    """
    vectors, owners = bundle.model.prototypes.detach().double(), bundle.model.prototype_class
    distance = (vectors - vectors[prototype]).square().sum(dim=1)
    similarity = bundle.model.similarity_of(distance)
    mark = around[0].nearest[-1].similarity if around else float("inf")
    found: tuple[list[Relative], list[Relative]] = ([], [])
    for p in distance.argsort(stable=True).tolist():
        kin = found[int(owners[p] != owners[prototype])]
        if p != prototype and len(kin) < RELATIVES:
            entry = bundle.manifest.prototypes[p]
            kin.append(
                Relative(
                    prototype_id=entry.prototype_id,
                    prototype_class=entry.prototype_class,
                    distance=float(distance[p]),
                    similarity=float(similarity[p]),
                    twin=float(similarity[p]) >= mark,
                )
            )
    return tuple(found[0]), tuple(found[1])


def survey(material: Material, neighbours: int, report: Reporter) -> tuple[Atlas, dict[str, bytes]]:
    """Every prototype's portrait, and the pictures that they name, digest -> PNG.

    Args:
        material: what `load_material` gave.
        neighbours: images of each split that are shown beside a prototype, at least 1.
        report: draws the progress.

    Raises:
        TrainingError: a file changed since it was read.
    """
    bundle, data, searched = material.bundle, material.measured, material.searched
    scored = {
        name: similarities(bundle.model, images, torch.device("cpu"), progress=report(f"scoring {name} images"))
        for name, images in material.sets.items()
    }
    near = [nearest(searched, name, scored[name], neighbours) for name in NEIGHBOUR_SPLITS if name in scored]
    places = [place for of_split in near for of_prototype in of_split for place in of_prototype]
    pictured = cut(searched, places, report("cutting patches"))
    best, _ = scored[material.split].bags(data)
    done = firing(best, bundle.margin_weights, data.bag_labels())
    tilted = tilts(data, scored[material.split].images)
    portraits = []
    for p in range(len(bundle.manifest.prototypes)):
        around = tuple(neighbourhood(searched, p, of_split[p], pictured) for of_split in near if of_split[p])
        portraits.append(_portrait(bundle, p, around, done).model_copy(update={"tilts": tilted[p]}))
    kept = {pictures.digest(each.content): each.content for each in pictured.values()}
    kept |= {entry.source.patch: bundle.pictures[entry.source.patch] for entry in bundle.manifest.prototypes}
    return _atlas(material, portraits, done), kept


def _portrait(bundle: Bundle, prototype: int, around: tuple[Neighbourhood, ...], done: Firing) -> Portrait:
    entry = bundle.manifest.prototypes[prototype]
    same, others = relatives(bundle, prototype, around)
    fired_own, fired_others = done.shares(prototype, int(bundle.model.prototype_class[prototype]))
    return Portrait(
        prototype_id=entry.prototype_id,
        prototype_class=entry.prototype_class,
        weight=float(bundle.margin_weights[prototype]),
        source=entry.source,
        neighbourhoods=around,
        fired_own=fired_own,
        fired_others=fired_others,
        decided=float(done.decided[prototype]),
        moved=None if done.moved is None else float(done.moved[prototype]),
        same_class=same,
        other_classes=others,
        tilts=(),
    )


def _atlas(material: Material, portraits: Sequence[Portrait], done: Firing) -> Atlas:
    bundle, data = material.bundle, material.measured
    classes = bundle.manifest.model.classes
    tested = [tilt for portrait in portraits for tilt in portrait.tilts]
    sources = [source for images in material.sets.values() for source in images.sources]
    licences = sorted({source.row.licence for source in sources if source.row.licence})
    return Atlas(
        bundle_id=bundle.bundle_id,
        name=bundle.manifest.name,
        manifest_digest=material.manifest.digest,
        data_name=bundle.manifest.data_name,
        licences=tuple(licences) or (bundle.manifest.data_licence,),
        synthetic=all(source.synthetic for source in sources),
        classes=classes,
        split=material.split,
        images=len(data),
        exams=len(done.labels),
        patients=len(set(data.patients())),
        top=done.top,
        seen=bool(set().union(*material.searched.own_patients) & set(data.patients())),
        tilts_tested=len(tested),
        tilts_clear=sum(tilt.clear for tilt in tested),
        portraits=tuple(
            sorted(portraits, key=lambda each: (classes.index(each.prototype_class), -each.decided, each.prototype_id))
        ),
        left_out=tuple(f"{name}, {reason}" for name, images in material.sets.items() for reason in images.left_out),
    )
