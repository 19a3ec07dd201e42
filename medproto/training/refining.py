"""What follows a descent: stages 2 and 3, then fewer prototypes, each time with stage 3 anew and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from medproto.evaluation.classification import auroc
from medproto.model.protopnet import ProtoPNet
from medproto.model.similarity import nearest_cells
from medproto.training.batches import cells_of
from medproto.training.features import FrozenFeatures, encode_all
from medproto.training.inputs import InputSet, Progress
from medproto.training.last_layer import Problem, Solution, choose
from medproto.training.projection import Projection, project
from medproto.training.pruning import Likeness, merge_twins, prune
from medproto.training.settings import TrainSettings
from medproto.training.similarities import Similarities, margins, similarities

#: Called with a title for the work that begins; returns the progress callback of that work.
Reporter = Callable[[str], Progress]


@dataclass(frozen=True)
class Images:
    """The images a run is fitted on, their features, and those of its validation exams where it has some."""

    training: InputSet
    features: FrozenFeatures
    validation: InputSet | None


@dataclass(frozen=True)
class Settled:
    """Prototypes that are patches, and the last layer that is best on them.

    `validation` are similarities of validation images, where they were asked for.
    """

    projection: Projection
    solution: Solution
    training: Similarities
    validation: Similarities | None
    protocol: dict[str, Any]


def settle(settings: TrainSettings, model: ProtoPNet, images: Images, report: Reporter) -> Settled:
    """Stages 2 and 3, in place."""
    data, features = images.training, images.features
    projection = project(model, data, features, report("stage 2, projection"))
    cached = similarities(model, data, features, projection.sources, report("stage 3, last layer"))
    solution, curve = _last_layer(settings, model, data, cached)
    protocol = {
        "projection": {"dropped_per_class": list(projection.dropped), "moved": [s.moved for s in projection.sources]},
        "last_layer": _told(solution, curve),
    }
    return Settled(projection, solution, cached, None, protocol)


def thin_out(settings: TrainSettings, model: ProtoPNet, images: Images, settled: Settled) -> Settled:
    """Prune and merge as the settings ask, in place, each followed by stage 3 and reported.

    Raises:
        TrainingError: there are fewer training images than neighbours.
    """
    if not (settings.pruning or settings.merging):
        return settled
    if images.validation is not None:
        held_out = similarities(model, images.validation, images.features.device)
        settled = replace(settled, validation=held_out)
    if settings.pruning:
        settled = _pruned(settings, model, images, settled)
    if settings.merging:
        settled = _merged(settings, model, images, settled)
    return settled


def _pruned(settings: TrainSettings, model: ProtoPNet, images: Images, settled: Settled) -> Settled:
    assert settings.pruning is not None
    data, owners = images.training, model.prototype_class.cpu()
    allowed = cells_of(data.breast, data.lesion, model.backbone.receptive_field(*data.images.shape[2:])).allowed
    parts = []
    for places, latent in encode_all(model, data, images.features):
        with torch.no_grad():
            parts.append(nearest_cells(latent, model.prototypes, allowed[places].to(latent.device))[0].cpu())
    found = prune(torch.cat(parts), data.labels, owners, settings.pruning.neighbours, settings.pruning.sharing)
    gone = [p for p in range(len(owners)) if p not in found.kept]
    report = {
        "dropped_per_class": list(found.dropped),
        "dropped": [_name(settings, model, images, settled, p) for p in gone],
        "rescued": [_name(settings, model, images, settled, p) for p in found.rescued],
    }
    return _kept(settings, (model, images, settled), found.kept, {"pruning": report})


def _merged(settings: TrainSettings, model: ProtoPNet, images: Images, settled: Settled) -> Settled:
    assert settings.merging is not None
    likeness = Likeness(settings.merging.squared_distance, settings.merging.patch_cells)
    owners, vectors = model.prototype_class.cpu(), model.prototypes.detach().cpu()
    sources = settled.projection.sources
    found = merge_twins(vectors, model.last_layer.detach().cpu(), owners, sources, likeness)
    report = {
        "dropped_per_class": list(found.merged),
        "dropped": [
            _name(settings, model, images, settled, p) | {"into": _name(settings, model, images, settled, k)}
            for p, k in enumerate(found.into)
            if p != k
        ],
    }
    return _kept(settings, (model, images, settled), found.kept, {"merging": report})


def _kept(
    settings: TrainSettings,
    state: tuple[ProtoPNet, Images, Settled],
    kept: Sequence[int],
    report: dict[str, dict[str, Any]],
) -> Settled:
    """Keep these prototypes with their sources, run stage 3 anew, and add to the report what it cost."""
    model, images, settled = state
    before = _worth(settings, model, images, settled)
    columns = torch.tensor(kept, dtype=torch.long)
    model.keep(columns.to(model.prototypes.device))
    projection = replace(settled.projection, sources=tuple(settled.projection.sources[p] for p in kept))
    training = _columns(settled.training, columns)
    validation = None if settled.validation is None else _columns(settled.validation, columns)
    solution, curve = _last_layer(settings, model, images.training, training)
    after = replace(settled, projection=projection, solution=solution, training=training, validation=validation)
    ((name, what),) = report.items()
    what = what | {"before": before, "after": _worth(settings, model, images, after)}
    return replace(after, protocol=settled.protocol | {name: what, "last_layer": _told(solution, curve)})


def _last_layer(
    settings: TrainSettings, model: ProtoPNet, data: InputSet, cached: Similarities
) -> tuple[Solution, list[dict[str, float]]]:
    """Stage 3 on cached similarities, in place."""
    bags, _ = cached.bags(data)
    own = model.own_class.cpu().numpy()
    problem = Problem(bags.double().numpy(), data.bag_labels().numpy(), own, l1=0.0, ridge=0.0)
    solution, curve = choose(problem, data.bag_patients(), settings.last_layer)
    model.last_layer.data = torch.from_numpy(solution.weights).to(model.last_layer)
    return solution, curve


def _told(solution: Solution, curve: list[dict[str, float]]) -> dict[str, Any]:
    return {"objective": solution.objective, "kkt_residual": solution.kkt_residual, "curve": curve}


def _worth(settings: TrainSettings, model: ProtoPNet, images: Images, settled: Settled) -> dict[str, float]:
    """Objective of stage 3, and the AUROC on training and, where there are some, validation exams."""
    worth = {
        "objective": settled.solution.objective,
        "training_auroc": exam_auroc(settings, model, images.training, settled.training),
    }
    if images.validation is not None and settled.validation is not None:
        worth["validation_auroc"] = exam_auroc(settings, model, images.validation, settled.validation)
    return worth


def exam_auroc(settings: TrainSettings, model: ProtoPNet, data: InputSet, found: Similarities) -> float:
    """AUROC of the exams' margins under the present last layer.

    Raises:
        TrainingError: the exams are of one class.
    """
    margin = margins(found.bags(data)[0], model.last_layer.detach().cpu(), settings.positive)
    return auroc(margin, data.bag_labels().numpy() == settings.positive)


def _columns(cached: Similarities, columns: torch.Tensor) -> Similarities:
    return replace(cached, images=cached.images[:, columns], cells=cached.cells[:, columns])


def _name(
    settings: TrainSettings, model: ProtoPNet, images: Images, settled: Settled, prototype: int
) -> dict[str, Any]:
    """A prototype as the protocol names it: its class, and the training image and cell that it is."""
    source = settled.projection.sources[prototype]
    return {
        "class": list(settings.classes)[int(model.prototype_class[prototype])],
        "image": images.training.sources[source.image].row.image,
        "cell": [source.row, source.column],
    }
