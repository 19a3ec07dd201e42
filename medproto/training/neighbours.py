"""The images most like a prototype: which they are, the patches that are, and their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

from medproto import pictures
from medproto.bundle import BundleManifest
from medproto.datasets.manifest import Manifest
from medproto.errors import TrainingError
from medproto.explain import cell_box
from medproto.ingest.reading import read_mammogram
from medproto.model.protopnet import ProtoPNet
from medproto.neighbourhood import Neighbour, Neighbourhood, Share
from medproto.records import Box
from medproto.training.inputs import InputSet, Progress
from medproto.training.similarities import Similarities
from medproto.training.sources import READING_THREADS

#: So many neighbours are kept with every prototype of a bundle.
KEPT = 5
_TRAINING = "train"


@dataclass(frozen=True)
class Searched:
    """A network, what its bundle says of it, and the images of each split among which neighbours are looked for."""

    model: ProtoPNet
    told: BundleManifest
    manifest: Manifest
    sets: Mapping[str, InputSet]

    @cached_property
    def own_patients(self) -> tuple[frozenset[str], ...]:
        """For each prototype the patient whose patch it is; empty where the manifest does not know the image."""
        known: dict[str, set[str]] = {}
        for row in self.manifest.rows:
            known.setdefault(row.image, set()).add(row.patient)
        for source in (source for images in self.sets.values() for source in images.sources):
            known.setdefault(source.pixels_sha256, set()).add(source.row.patient)
        sources = [entry.source for entry in self.told.prototypes]
        return tuple(frozenset(known.get(one.image_id, set()) | known.get(one.pixels_sha256, set())) for one in sources)


@dataclass(frozen=True)
class Place:
    """One cell of one image of a split, the best for a prototype."""

    split: str
    image: int
    cell: int
    similarity: float


@dataclass(frozen=True)
class Cut:
    """The picture of a place and its box in the original image."""

    content: bytes
    box: Box


def nearest(searched: Searched, split: str, scored: Similarities, count: int) -> list[list[Place]]:
    """For each prototype at most that many places most like it, one an image, the first image on a tie.

    Args:
        scored: of the images of that split.
    """
    data, patients = searched.sets[split], searched.sets[split].patients()
    order = scored.images.argsort(dim=0, descending=True, stable=True)
    found = []
    for p, own in enumerate(searched.own_patients):
        places: dict[str, Place] = {}
        for image in order[:, p].tolist():
            if len(places) == count:
                break
            if patients[image] not in own:
                # Copies and regions of one image share its pixels: the most alike stands for all.
                place = Place(split, image, int(scored.cells[image, p]), float(scored.images[image, p]))
                places.setdefault(data.sources[image].pixels_sha256, place)
        found.append(list(places.values()))
    return found


def cut(searched: Searched, places: Sequence[Place], progress: Progress | None = None) -> dict[Place, Cut]:
    """The pictures of those places, cut from the original images, each file read once, two at a time.

    Raises:
        TrainingError: a file changed since it was scored.
    """
    files: dict[tuple[str, str], list[Place]] = {}
    for place in dict.fromkeys(places):
        files.setdefault((place.split, searched.sets[place.split].sources[place.image].row.path), []).append(place)
    made: dict[Place, Cut] = {}
    with ThreadPoolExecutor(READING_THREADS) as threads:  # decoding leaves the interpreter to others
        for done, found in enumerate(threads.map(partial(_cut_file, searched), files.values()), start=1):
            made |= found
            if progress:
                progress(done, len(files))
    return made


def _cut_file(searched: Searched, wanted: Sequence[Place]) -> dict[Place, Cut]:
    """Places of one file."""
    data = searched.sets[wanted[0].split]
    first = data.sources[wanted[0].image]
    mammogram = read_mammogram(searched.manifest.file(first.row), searched.told.ingest)
    if mammogram.pixels_sha256 != first.pixels_sha256:
        raise TrainingError("neighbours: got a file that changed since it was scored, expected it unaltered")
    field = searched.model.backbone.receptive_field(*data.images.shape[2:])
    made = {}
    for place in wanted:
        box = cell_box(data.sources[place.image].geometry, field, divmod(place.cell, field.columns.cells))
        made[place] = Cut(pictures.png(pictures.patch(mammogram.pixels, box)), box)
    return made


def neighbourhood(
    searched: Searched, prototype: int, places: Sequence[Place], pictured: Mapping[Place, Cut]
) -> Neighbourhood:
    """One prototype's neighbours of one split, at least one, with purity and what it would be by chance."""
    split = places[0].split
    data, classes = searched.sets[split], searched.told.model.classes
    own, barred = int(searched.model.prototype_class[prototype]), searched.own_patients[prototype]
    labels = data.labels.tolist()
    free = [i for i, patient in enumerate(data.patients()) if patient not in barred]
    rows = [data.sources[place.image].row for place in places]
    return Neighbourhood(
        split=split,
        nearest=tuple(
            Neighbour(
                image_id=row.image,
                image_class=classes[labels[place.image]],
                laterality=row.side,
                view=row.view,
                similarity=place.similarity,
                box=pictured[place].box,
                patch=pictures.digest(pictured[place].content),
            )
            for row, place in zip(rows, places, strict=True)
        ),
        purity=Share(hits=sum(labels[place.image] == own for place in places), total=len(places)),
        expected=sum(labels[i] == own for i in free) / len(free),
    )


def with_neighbours(
    draft: BundleManifest, model: ProtoPNet, source: tuple[Manifest, InputSet, Similarities]
) -> tuple[BundleManifest, dict[str, bytes]]:
    """The manifest with the nearest training patches of every prototype, and their pictures by digest.

    A prototype's own patient is left out, so similarities that leave its own patch out serve as well as any.

    Args:
        source: the training images, where they are listed, and their similarities to the prototypes.

    Raises:
        TrainingError: a file changed since it was scored.
    """
    manifest, training, scored = source
    searched = Searched(model, draft, manifest, {_TRAINING: training})
    near = nearest(searched, _TRAINING, scored, KEPT)
    pictured = cut(searched, [place for places in near for place in places])
    entries = tuple(
        entry.model_copy(update={"neighbours": neighbourhood(searched, p, places, pictured) if places else None})
        for p, (entry, places) in enumerate(zip(draft.prototypes, near, strict=True))
    )
    kept = {pictures.digest(each.content): each.content for each in pictured.values()}
    return draft.model_copy(update={"prototypes": entries}), kept
