"""The images most like a prototype: which they are, the patches that are, and their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medproto import pictures
from medproto.atlas.records import Neighbour, Neighbourhood, Share
from medproto.bundle import Bundle
from medproto.datasets.cache import CacheSettings
from medproto.datasets.manifest import Manifest
from medproto.errors import InputError, TrainingError
from medproto.evaluation.run import load_split
from medproto.explain import cell_box
from medproto.ingest.reading import read_mammogram
from medproto.records import Box
from medproto.training.inputs import InputSet, Loading, Progress
from medproto.training.refining import Reporter
from medproto.training.similarities import Similarities

#: Splits whose images are a prototype's neighbours.
NEIGHBOUR_SPLITS = ("train", "val")


@dataclass(frozen=True)
class Material:
    """What a bundle is analysed on: the images of each split, and the split on which firing is measured."""

    bundle: Bundle
    manifest: Manifest
    sets: Mapping[str, InputSet]
    split: str

    @property
    def measured(self) -> InputSet:
        """The images on which firing, deciding and tilt are measured."""
        return self.sets[self.split]

    def own_patients(self) -> list[set[str]]:
        """For each prototype the patient whose patch it is; empty where the manifest does not know the image."""
        known: dict[str, set[str]] = {}
        for row in self.manifest.rows:
            known.setdefault(row.image, set()).add(row.patient)
        for source in (source for images in self.sets.values() for source in images.sources):
            known.setdefault(source.pixels_sha256, set()).add(source.row.patient)
        sources = [entry.source for entry in self.bundle.manifest.prototypes]
        return [known.get(one.image_id, set()) | known.get(one.pixels_sha256, set()) for one in sources]


def load_material(
    bundle: Bundle, manifest: Manifest, split: str, cache: CacheSettings | None, report: Reporter
) -> Material:
    """The images of the measured split, and of the training and validation split where the manifest has them.

    Raises:
        InputError: it has neither.
        TrainingError: the measured split is empty.
    """
    present = {row.split for row in manifest.rows}
    wanted = [name for name in NEIGHBOUR_SPLITS if name in present]
    if not wanted:
        raise InputError("manifest: got no row of split train or val, expected images to take the neighbours from")
    sets = {
        name: load_split(bundle, manifest, name, Loading(cache=cache, progress=report(f"reading {name} images")))
        for name in dict.fromkeys([split, *wanted])
    }
    return Material(bundle, manifest, sets, split)


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


def nearest(material: Material, split: str, scored: Similarities, count: int) -> list[list[Place]]:
    """For each prototype at most that many places most like it, one an image, the first image on a tie.

    Args:
        scored: of the images of that split.
    """
    data, patients = material.sets[split], material.sets[split].patients()
    order = scored.images.argsort(dim=0, descending=True, stable=True)
    found = []
    for p, own in enumerate(material.own_patients()):
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


def cut(material: Material, places: Sequence[Place], progress: Progress) -> dict[Place, Cut]:
    """The pictures of those places, cut from the original images, each file read once.

    Raises:
        TrainingError: a file changed since it was scored.
    """
    files: dict[tuple[str, str], list[Place]] = {}
    for place in dict.fromkeys(places):
        files.setdefault((place.split, material.sets[place.split].sources[place.image].row.path), []).append(place)
    made: dict[Place, Cut] = {}
    for done, ((split, _), wanted) in enumerate(files.items(), start=1):
        data = material.sets[split]
        first = data.sources[wanted[0].image]
        mammogram = read_mammogram(material.manifest.file(first.row), material.bundle.manifest.ingest)
        if mammogram.pixels_sha256 != first.pixels_sha256:
            raise TrainingError("neighbours: got a file that changed since it was scored, expected it unaltered")
        field = material.bundle.model.backbone.receptive_field(*data.images.shape[2:])
        for place in wanted:
            box = cell_box(data.sources[place.image].geometry, field, divmod(place.cell, field.columns.cells))
            made[place] = Cut(pictures.png(pictures.patch(mammogram.pixels, box)), box)
        progress(done, len(files))
    return made


def neighbourhood(
    material: Material, prototype: int, places: Sequence[Place], pictured: Mapping[Place, Cut]
) -> Neighbourhood:
    """One prototype's neighbours of one split, at least one, with purity and what it would be by chance."""
    split = places[0].split
    data, classes = material.sets[split], material.bundle.manifest.model.classes
    own, barred = int(material.bundle.model.prototype_class[prototype]), material.own_patients()[prototype]
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
