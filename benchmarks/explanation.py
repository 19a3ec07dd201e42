"""Evidence in pictures: ours of one forward pass, against one pass for every drawn map; and what it and its check by
blanking add to a pass.

The network's inputs are there on both sides.

Ours draws overlay, patch and map of the six prototypes that speak most for the positive class and the four that speak
most against it, as PNG bytes; the plain way writes overlay, patch and box of its ten strongest.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.networks import SETTINGS, SIDE_PX, Phantoms, bare_pass, both_networks, phantoms
from benchmarks.pairs import compare
from benchmarks.published.drawing import draw
from benchmarks.published.network import PlainProtoPNet, similarity
from medproto.blanking import CHECKED
from medproto.bundle import Bundle, BundleManifest
from medproto.explain import Evidence, matches, score_views
from medproto.ingest.exam import ExamImage
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import read_mammogram
from medproto.likeness import LikenessModel
from medproto.model.protopnet import ProtoPNet
from medproto.predict import check_matches
from medproto.training.projection import project
from medproto.training.sources import cut_prototypes
from medproto.transforms import ModelInput, model_input

#: Patients that the prototypes are taken from.
PATIENTS = 8
DRAWN = 10


def explanations(folder: Path) -> None:
    """One image of 224 x 224 against the plain way, and an exam of four of 1024 x 800, drawn and checked, against its
    bare pass."""
    cohort = phantoms(folder, PATIENTS)
    model, network = both_networks()
    bundle = _bundle(model, cohort)
    files = [cohort.manifest.file(row) for row in cohort.manifest.rows[:4]]
    exam = [ExamImage(f"image-{i}", read_mammogram(file, SETTINGS.ingest)) for i, file in enumerate(files)]
    one = [ExamImage("image", _small(exam[0].mammogram))]
    views, view = _inputs(exam), _inputs(one)
    name = f"explanation, resnet18, top {DRAWN} of P {len(model.prototypes)}"
    compare(
        f"{name}, one of {SIDE_PX} x {SIDE_PX}",
        lambda: _explain(bundle, one, view),
        lambda: _plainly(network, one[0].mammogram, folder),
        0.09,
    )
    images = torch.stack([each.image for each in views])
    compare(
        "  of an exam, against its bare pass",
        lambda: _explain(bundle, exam, views),
        lambda: bare_pass(model, images),
        2,
    )
    evidence = Evidence(bundle, exam, views, score_views(bundle, views))
    found, _ = matches(evidence)
    compare(
        f"  blanking its {sum(match.overlay is not None for match in found)} drawn matches, against its bare pass",
        lambda: check_matches(evidence, found, CHECKED),
        lambda: bare_pass(model, images),
    )


def _bundle(model: ProtoPNet, cohort: Phantoms) -> Bundle:
    """What an explanation reads of a bundle, and nothing else."""
    projection = project(model, cohort.data, torch.device("cpu"))
    entries, drawn = cut_prototypes(model, projection, cohort.data, cohort.manifest, SETTINGS)
    manifest = BundleManifest.model_construct(model=SETTINGS.network(), inputs=SETTINGS.inputs, prototypes=entries)
    return Bundle("", manifest, model, LikenessModel(torch.empty(0), torch.empty(0), 0.0), drawn)


def _small(mammogram: Mammogram) -> Mammogram:
    """The mammogram in as many pixels as the plain way draws."""
    size = (SIDE_PX, SIDE_PX)
    pixels = Image.fromarray(mammogram.pixels).resize(size, Image.Resampling.BOX)
    breast = Image.fromarray(mammogram.breast).resize(size, Image.Resampling.NEAREST)
    return replace(mammogram, pixels=np.array(pixels), breast=np.array(breast))


def _inputs(images: list[ExamImage]) -> list[ModelInput]:
    return [model_input(image.mammogram, SETTINGS.inputs) for image in images]


def _explain(bundle: Bundle, images: list[ExamImage], views: list[ModelInput]) -> None:
    matches(Evidence(bundle, images, views, score_views(bundle, views)))


def _plainly(network: PlainProtoPNet, mammogram: Mammogram, folder: Path) -> None:
    """The strongest prototypes of one picture; each is asked for its map and drawn."""
    picture = np.repeat(mammogram.pixels[..., None], 3, axis=2)
    image = torch.from_numpy(mammogram.pixels).expand(1, 3, -1, -1)
    with torch.no_grad():
        strongest = similarity(network.distances(image))[0].topk(DRAWN).indices
    for prototype in strongest.tolist():
        with torch.no_grad():
            activation = similarity(network.distance_maps(network.latent(image)))[0, prototype].double()
        draw(folder, f"match-{prototype}", picture, activation.numpy())


def main() -> None:
    """Run on two threads."""
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        explanations(Path(folder))


if __name__ == "__main__":
    main()
