"""Trains as one of the processes that torchrun starts; `tests/training/test_processes.py` runs it.

Every process leaves what it came to in the folder that is named on the command line.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch import distributed as world

from medproto.training import processes
from medproto.training.descent import descend
from medproto.training.launch import start_fabric
from medproto.training.run import fit
from medproto.training.settings import Costs, Stage
from medproto.training.start import start_prototypes
from tests.factories import SETTINGS, input_set, silent, tiny_model, write_weights

#: 11 images: batches of five leave one image, fewer than there are processes; shares of five are uneven.
LABELS = [0, 1] * 5 + [1]
ADD_ON = {"add_on": 3e-3, "prototypes": 3e-3}
ALL = {"backbone": 1e-4, **ADD_ON}
COSTS = Costs(margin=0.5)
STAGES = {
    stage.name: stage
    for stage in (
        Stage(name="frozen", epochs=2, learning_rates=ADD_ON, batch=5, variants=3),
        Stage(name="prototypes", epochs=2, learning_rates={"prototypes": 1e-2}, batch=5, variants=1),
        Stage(name="joint", epochs=2, learning_rates=ALL, batch=5),
        Stage(name="upper layers", epochs=2, learning_rates=ALL, batch=5, frozen_to_stride=8, variants=2),
        Stage(name="accumulated", epochs=2, learning_rates=ALL, batch=2, accumulate=3),
        Stage(name="accumulated, frozen", epochs=2, learning_rates=ADD_ON, batch=2, accumulate=3, clip_norm=0.5),
        Stage(name="descent by sgd", epochs=2, learning_rates=ALL, batch=5, optimizer="sgd", clip_norm=5.0),
    )
}


def trained(stage: Stage, fabric: Fabric) -> dict[str, Tensor]:
    """The state of a tiny network after that stage, from prototypes that begin on training cells."""
    model, data = tiny_model(stride=16), input_set(LABELS)
    with torch.no_grad():
        # Cells that saturate are all but equal, and which of those is nearest is for the last bit to say.
        model.add_on[2].weight.mul_(0.1)
    start_prototypes(model, data, 1, fabric.device)
    state = {"start": model.prototypes.detach().clone()}
    history = descend(model, data, stage, COSTS, (fabric, 3, None))
    return state | model.state_dict() | {"total": torch.tensor([epoch["total"] for epoch in history])}


def fitted(folder: Path) -> dict[str, Tensor]:
    """The network after stages 1 to 3, and the images and cells that its prototypes were taken from."""
    weights = write_weights(folder / f"weights-{processes.rank()}.pt")
    model = SETTINGS.model.model_copy(update={"weights": str(weights)})
    stages = (STAGES["frozen"], STAGES["joint"])
    found = fit(SETTINGS.model_copy(update={"model": model, "stages": stages}), input_set(LABELS * 2), silent)
    sources = [(source.image, source.row, source.column) for source in found.projection.sources]
    return {
        "sources": torch.tensor(sources),
        "similarities": found.training.images,
        **found.model.state_dict(),
    }


def trained_all(fabric: Fabric) -> dict[str, dict[str, Tensor]]:
    """The state after each stage by its name."""
    return {name: trained(stage, fabric) for name, stage in STAGES.items()}


def main() -> None:
    """Join the others, train every stage and leave the states."""
    torch.set_num_threads(1)
    fabric = start_fabric()
    whole = torch.arange(10).view(5, 2)
    own = processes.own(whole)
    folder = Path(sys.argv[1])
    states = (
        trained_all(fabric) | {"fit": fitted(folder)} | {"gathered": {"own": own, "whole": processes.gathered(own, 5)}}
    )
    torch.save(states, folder / f"{processes.rank()}.pt")
    world.destroy_process_group()


if __name__ == "__main__":
    main()
