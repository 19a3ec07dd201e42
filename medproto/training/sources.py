"""Prototypes as training patches: cut from the original image, named by its digest and place."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from medproto import pictures
from medproto.bundle import PrototypeEntry
from medproto.datasets.manifest import Manifest
from medproto.errors import TrainingError
from medproto.explain import cell_box
from medproto.ingest.reading import read_mammogram
from medproto.model.protopnet import ProtoPNet
from medproto.model.receptive_field import ReceptiveField
from medproto.model.similarity import distance_maps
from medproto.records import Box, PrototypeSource
from medproto.training.features import feature_batches
from medproto.training.inputs import InputSet, SourceImage
from medproto.training.projection import Projected, Projection
from medproto.training.settings import TrainSettings
from medproto.transforms import model_input

#: Source images read at a time.
READING_THREADS = 2


def cut_prototypes(
    model: ProtoPNet, projection: Projection, data: InputSet, manifest: Manifest, settings: TrainSettings
) -> tuple[tuple[PrototypeEntry, ...], dict[str, bytes]]:
    """Entries of the prototypes in their order, and the pictures of their patches by digest.

    Raises:
        TrainingError: a source image changed since it was read, or two patches are equal.
    """
    field = model.backbone.receptive_field(*data.images.shape[2:])
    names = list(settings.classes)
    patches = _patches(data, projection.sources, (manifest, settings), field)
    kept = {patch.digest: patch.content for patch in patches}
    if len(kept) < len(patches):
        raise TrainingError("prototypes: got two with the same patch, expected one patch each")
    distances = _distances(model, torch.stack([patch.image for patch in patches]), projection.sources)
    entries, count = [], dict[str, int]()
    owners = model.prototype_class.tolist()
    for owner, place, patch, distance in zip(owners, projection.sources, patches, distances, strict=True):
        source, name = data.sources[place.image], names[owner]
        count[name] = count.get(name, 0) + 1
        entries.append(
            PrototypeEntry(
                prototype_id=f"{name.replace(' ', '-')}-{count[name]:02d}",
                prototype_class=name,
                source=PrototypeSource(
                    image_id=source.row.image,
                    pixels_sha256=source.pixels_sha256,
                    laterality=source.row.side,
                    view=source.row.view,
                    box=patch.box,
                    patch=patch.digest,
                    distance=distance,
                    spacing_mm=patch.spacing_mm,
                ),
            )
        )
    return tuple(entries), kept


@dataclass(frozen=True)
class _Patch:
    """One prototype's picture with its digest, its box in the original and the spacing of that, and the network's input
    (1, Y, X) anew."""

    content: bytes
    digest: str
    box: Box
    spacing_mm: tuple[float, float] | None
    image: Tensor


def _patches(
    data: InputSet, places: Sequence[Projected], origin: tuple[Manifest, TrainSettings], field: ReceptiveField
) -> list[_Patch]:
    """The patches in the order of the places; each image is read once, two at a time."""
    of_image: dict[int, list[int]] = {}
    for number, place in enumerate(places):
        of_image.setdefault(place.image, []).append(number)

    def cut(image: int) -> list[_Patch]:
        return _patches_of(data.sources[image], [places[number] for number in of_image[image]], origin, field)

    found: dict[int, _Patch] = {}
    with ThreadPoolExecutor(READING_THREADS) as threads:  # decoding and resizing leave the interpreter to others
        for numbers, patches in zip(of_image.values(), threads.map(cut, of_image), strict=True):
            found.update(zip(numbers, patches, strict=True))
    return [found[number] for number in range(len(places))]


def _patches_of(
    source: SourceImage, places: Sequence[Projected], origin: tuple[Manifest, TrainSettings], field: ReceptiveField
) -> list[_Patch]:
    manifest, settings = origin
    mammogram = read_mammogram(manifest.file(source.row), settings.ingest)
    if mammogram.pixels_sha256 != source.pixels_sha256:
        raise TrainingError("prototypes: the file of a source image changed during training, expected it unaltered")
    view = model_input(mammogram, settings.inputs, source.row.region)
    patches = []
    for place in places:
        box = cell_box(view.geometry, field, (place.row, place.column))
        content = pictures.png(pictures.patch(mammogram.pixels, box))
        patches.append(_Patch(content, pictures.digest(content), box, mammogram.spacing_mm, view.image))
    return patches


def _distances(model: ProtoPNet, images: Tensor, places: tuple[Projected, ...]) -> list[float]:
    """Squared L2 between each prototype and its patch, measured on the images read anew: zero but for rounding.

    Args:
        images: each prototype's source, shape (P, 1, Y, X).
    """
    model.eval()
    found: list[float] = []
    for batch, features in feature_batches(model.backbone, images, model.prototypes.device):
        with torch.no_grad():
            maps = distance_maps(model.latent(features), model.prototypes)
        for row, prototype in enumerate(range(batch.start, batch.stop)):
            found.append(float(maps[row, prototype, places[prototype].row, places[prototype].column]))
    return found
