"""What the benchmarks of the network share: phantoms, and our network and the plain one with the same weights."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.transforms import Normalize

from benchmarks.published.network import Batches, PlainProtoPNet
from medproto.datasets.manifest import Manifest, read_manifest
from medproto.datasets.phantom.cohort import Cohort, write_phantom
from medproto.model.backbones import build_backbone
from medproto.model.protopnet import ModelSettings, ProtoPNet
from medproto.training.inputs import InputSet, load_inputs
from medproto.training.settings import Stage, TrainSettings
from medproto.transforms import InputSettings

#: Images of the plain way's batches.
PLAIN_BATCH = 64
SIDE_PX, CHANNELS, CLASSES, PER_CLASS = 224, 128, 2, 10
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SETTINGS = TrainSettings(
    name="benchmark",
    classes={"not malignant": ("normal", "benign"), "malignant": ("malignant",)},
    positive_class="malignant",
    model=ModelSettings(
        backbone="resnet18", stride=32, weights="none", latent_channels=CHANNELS, prototypes_per_class=PER_CLASS
    ),
    inputs=InputSettings(rows=SIDE_PX, columns=SIDE_PX),
    stages=(Stage(name="warm-up", epochs=1, learning_rates={"add_on": 3e-3, "prototypes": 3e-3}),),
)


@dataclass(frozen=True)
class Phantoms:
    """A synthetic cohort: its files and the network's inputs."""

    manifest: Manifest
    data: InputSet

    def batches(self) -> Batches:
        """Pictures (V, 3, Y, X) in [0, 1] and labels, as a loader of colour pictures gives them."""
        pictures = self.data.images.expand(-1, 3, -1, -1).contiguous()
        return list(zip(pictures.split(PLAIN_BATCH), self.data.labels.split(PLAIN_BATCH), strict=True))


def phantoms(folder: Path, patients: int, side_px: int = SIDE_PX) -> Phantoms:
    """Exams of four views in 1024 x 800 pixels, read as squares."""
    manifest = read_manifest(write_phantom(folder / "phantom", Cohort(patients, 1)))
    labels = [SETTINGS.class_of(row.label) for row in manifest.rows]
    inputs = InputSettings(rows=side_px, columns=side_px)
    return Phantoms(manifest, load_inputs(manifest, labels, (inputs, SETTINGS.ingest)))


def both_networks() -> tuple[ProtoPNet, PlainProtoPNet]:
    """ResNet-18 at stride 32 with P 20: ours for grey images, and the plain one for three colours that it normalises.

    Their weights are the same, random by a fixed seed, and so are their values on grey images.
    """
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        colour = get_model("resnet18", weights=None)
        weights = Path(folder) / "weights.pth"
        torch.save(colour.state_dict(), weights)
        owners = torch.arange(CLASSES).repeat_interleave(PER_CLASS)
        ours = ProtoPNet(build_backbone("resnet18", 32, str(weights)), CHANNELS, owners, CLASSES)
        features = nn.Sequential(Normalize(_MEAN, _STD), *list(colour.children())[:-2])
        plain = PlainProtoPNet(features, (ours.backbone.channels, CHANNELS), (len(owners), CLASSES))
    plain.add_on.load_state_dict(ours.add_on.state_dict())
    plain.prototype_vectors.data.copy_(ours.prototypes.detach()[:, :, None, None])
    ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ours.eval(), plain.eval()


def bare_pass(model: ProtoPNet, images: Tensor, batch: int = 16) -> None:
    """The network's latent maps and nothing else, as torch gives them."""
    with torch.no_grad():
        for part in images.split(batch):
            model.encode(part.contiguous(memory_format=torch.channels_last))
