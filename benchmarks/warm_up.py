"""A warm-up epoch on features that are kept, against one through the frozen backbone as published."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from benchmarks.pairs import compare
from medproto.datasets.manifest import ManifestRow
from medproto.ingest.mammogram import digest_pixels
from medproto.model.protopnet import ModelSettings, build_model
from medproto.records import Box
from medproto.training.batches import Batch, cells_of, frozen_batches
from medproto.training.costs import latent_of, terms_of
from medproto.training.features import FrozenFeatures
from medproto.training.inputs import InputSet, SourceImage
from medproto.training.pace import optimizer_of
from medproto.training.settings import Costs, Stage
from medproto.transforms import Geometry

IMAGES, SIDE = 32, 224
GOAL = 0.05
STAGE = Stage(name="warm-up", epochs=1, learning_rates={"add_on": 3e-3, "prototypes": 3e-3}, variants=1, batch=16)


def inputs() -> InputSet:
    """Noise, half of it of each class, a square in the middle as lesion of the second."""
    images = torch.rand(IMAGES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(IMAGES) % 2
    lesion = torch.zeros(IMAGES, SIDE, SIDE, dtype=torch.uint8)
    lesion[labels == 1, 64:160, 64:160] = 1
    crop = Box(top=0, left=0, bottom=SIDE, right=SIDE)
    sources = []
    for i in range(IMAGES):
        row = ManifestRow(path=f"{i}.dcm", patient=f"p{i}", exam=f"e{i}", image=f"i{i}", label="noise", split="train")
        sources.append(SourceImage(row, digest_pixels(images[i, 0].numpy()), Geometry(), True, crop))
    breast = torch.ones_like(lesion)
    return InputSet(images, breast, lesion, labels, torch.arange(IMAGES), tuple(sources), ())


def warm_up() -> None:
    """Print the median ratio of an epoch of 32 images of 224 x 224, EfficientNet-Lite0 at stride 16, P 20.

    Features are computed before the clock starts: a stage pays for them once, however many epochs it has.
    """
    data, fabric = inputs(), Fabric(accelerator="cpu", devices=1)
    model = build_model(ModelSettings(weights="none"), seed=0)
    optimizer = optimizer_of(model, STAGE)
    weights = torch.ones(2)
    epoch = frozen_batches(model, data, STAGE, (fabric, 0), FrozenFeatures(fabric.device))
    cells = cells_of(data.breast, data.lesion, model.backbone.receptive_field(SIDE, SIDE))

    def step(batch: Batch) -> None:
        terms = terms_of(model, latent_of(model, batch), batch, Costs(), weights)
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()

    def ours() -> None:
        for batch in epoch(0):
            step(batch)

    def plain() -> None:
        for chosen in torch.randperm(IMAGES).split(STAGE.batch):
            step(Batch(data.images[chosen], cells.allowed[chosen], cells.lesion[chosen], data.labels[chosen], 0))

    compare(f"warm-up epoch, {IMAGES} x {SIDE} x {SIDE}, P {len(model.prototypes)}", ours, plain, GOAL)


def main() -> None:
    """Run on two threads."""
    torch.set_num_threads(2)
    warm_up()


if __name__ == "__main__":
    main()
