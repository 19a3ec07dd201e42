"""What a bundle is analysed on: its images by split, read as it was trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medproto.bundle import Bundle
from medproto.datasets.cache import CacheSettings
from medproto.datasets.manifest import Manifest
from medproto.errors import InputError
from medproto.evaluation.run import load_split
from medproto.training.inputs import InputSet, Loading
from medproto.training.neighbours import Searched
from medproto.training.refining import Reporter

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

    @property
    def searched(self) -> Searched:
        """The network and the images of all splits, among which neighbours are looked for."""
        return Searched(self.bundle.model, self.bundle.manifest, self.manifest, self.sets)


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
