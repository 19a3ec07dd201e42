"""Prototypes as training patches: cut from the original image, named by its digest and place."""

from __future__ import annotations

import torch

from medproto import pictures
from medproto.bundle import PrototypeEntry
from medproto.datasets.manifest import Manifest
from medproto.errors import TrainingError
from medproto.explain import cell_box
from medproto.ingest.reading import read_mammogram
from medproto.model.protopnet import ProtoPNet
from medproto.model.similarity import distance_maps
from medproto.records import PrototypeSource
from medproto.training.inputs import InputSet
from medproto.training.projection import Projection
from medproto.training.settings import TrainSettings
from medproto.transforms import ModelInput, model_input


def cut_prototypes(
    model: ProtoPNet, projection: Projection, data: InputSet, manifest: Manifest, settings: TrainSettings
) -> tuple[tuple[PrototypeEntry, ...], dict[str, bytes]]:
    """Entries of the prototypes in their order, and the pictures of their patches by digest.

    Raises:
        TrainingError: a source image changed since it was read, or two patches are equal.
    """
    field = model.backbone.receptive_field(*data.images.shape[2:])
    names = list(settings.classes)
    entries, kept, count = [], dict[str, bytes](), dict[str, int]()
    for prototype, place in enumerate(projection.sources):
        source = data.sources[place.image]
        mammogram = read_mammogram(manifest.file(source.row), settings.ingest)
        if mammogram.pixels_sha256 != source.pixels_sha256:
            raise TrainingError("prototypes: the file of a source image changed during training, expected it unaltered")
        view = model_input(mammogram, settings.inputs, source.row.region)
        box = cell_box(view.geometry, field, (place.row, place.column))
        content = pictures.png(pictures.patch(mammogram.pixels, box))
        digest = pictures.digest(content)
        if digest in kept:
            raise TrainingError("prototypes: got two with the same patch, expected one patch each")
        kept[digest] = content
        name = names[int(model.prototype_class[prototype])]
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
                    box=box,
                    patch=digest,
                    distance=_distance(model, view, prototype, (place.row, place.column)),
                ),
            )
        )
    return tuple(entries), kept


def _distance(model: ProtoPNet, view: ModelInput, prototype: int, cell: tuple[int, int]) -> float:
    """Squared L2 between a prototype and its patch, measured on the image read anew: zero but for rounding."""
    image = view.image.unsqueeze(0).to(model.prototypes.device)
    with torch.no_grad():
        latent = model.encode(image.contiguous(memory_format=torch.channels_last))
        return float(distance_maps(latent, model.prototypes[prototype : prototype + 1])[0, 0, cell[0], cell[1]])
