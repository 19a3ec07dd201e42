"""One fold of one seed: every model trained on its training patients and scored on the others, kept as JSON."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.results import black_box, published
from benchmarks.results.cohorts import Cohort
from benchmarks.results.shared import CPU, joint_stage, lower
from medproto.evaluation.baselines import Cases, Matrix, linear_scores
from medproto.training.inputs import InputSet, Progress
from medproto.training.run import Fitted, fit
from medproto.training.similarities import margins, similarities

ROOT = Path(__file__).resolve().parents[2]
PROBE, BLACK_BOX, PUBLISHED, OURS = "linear probe", "black box, fine-tuned", "ProtoPNet as published", "medproto"
PLAIN = "intensity and size alone"
METHODS = (PROBE, BLACK_BOX, PUBLISHED, OURS, PLAIN)


@dataclass(frozen=True)
class Unit:
    """Scores of the test exams of one fold by method, and what was counted of the two prototype networks.

    wrong: share of test images whose most similar prototype is of another class.
    """

    cohort: str
    seed: int
    fold: int
    exams: list[str]
    patients: list[str]
    positive: list[bool]
    scores: dict[str, list[float]]
    seconds_per_epoch: dict[str, float]
    prototypes: dict[str, int]
    distinct: dict[str, int]
    wrong: dict[str, float]


def kept_unit(cohort: Cohort, seed: int, fold: int, folder: Path) -> Unit:
    """The unit as it was kept, or computed now; it is kept for as long as the code and the data stay the same."""
    key = hashlib.sha256(f"{cohort.manifest.digest} {cohort.settings!r} {seed} {fold} {code_digest()}".encode())
    path = folder / f"{cohort.settings.name}-{seed}-{fold}-{key.hexdigest()[:16]}.json"
    if path.is_file():
        return Unit(**json.loads(path.read_text()))
    unit = compute(cohort, seed, fold)
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(unit)))
    part.replace(path)
    return unit


def code_digest() -> str:
    """SHA-256 over the source of whatever the scores depend on."""
    folders = ("medproto/model", "medproto/training", "medproto/evaluation", "benchmarks/results")
    paths = [path for folder in folders for path in sorted((ROOT / folder).glob("*.py"))]
    counted = [path for path in paths if path.stem not in ("__main__", "table", "choose")]
    return source_digest([*counted, ROOT / "benchmarks/published/network.py"])


def source_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the contents of source files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compute(cohort: Cohort, seed: int, fold: int) -> Unit:
    """Train and score everything on one fold."""
    settings = cohort.settings.model_copy(update={"seed": seed})
    places = cohort.fold(fold, seed)
    training, unseen = (cohort.data.select(part) for part in places)
    below = lower(settings, (training, unseen), seed)
    box, box_seconds = black_box.train_black_box(settings, below, seed, black_box.RATES[cohort.name])
    plain, patches, plain_seconds = published.train_published(settings, below, seed)
    clock = Clock(f"stage 1, {joint_stage(settings).name}")
    fitted = fit(settings, training, clock.report)
    of_images, plain_similar = published.margins_of(plain, below, cohort.positive)
    owners = plain.prototype_class_identity.argmax(dim=1)
    ours = similarities(fitted.model, unseen, CPU)
    scores = {
        PROBE: _linear(cohort, cohort.frozen_features, places),
        BLACK_BOX: by_exam(black_box.margins_of(box, below, cohort.positive), unseen),
        PUBLISHED: by_exam(of_images, unseen),
        OURS: margins(ours.bags(unseen)[0], fitted.model.last_layer.detach(), cohort.positive),
        PLAIN: _linear(cohort, cohort.plain_features, places),
    }
    return Unit(
        cohort.name,
        seed,
        fold,
        _exams(unseen),
        unseen.bag_patients(),
        (unseen.bag_labels() == cohort.positive).tolist(),
        {name: [float(value) for value in values] for name, values in scores.items()},
        {BLACK_BOX: box_seconds, PUBLISHED: plain_seconds, OURS: clock.seconds() / joint_stage(settings).epochs},
        {PUBLISHED: len(patches), OURS: len(fitted.projection.sources)},
        {PUBLISHED: len({tuple(patch) for patch in patches.tolist()}), OURS: _distinct(fitted, training)},
        {
            PUBLISHED: share_wrong(plain_similar, owners, unseen.labels),
            OURS: share_wrong(ours.images, fitted.model.prototype_class, unseen.labels),
        },
    )


class Clock:
    """Times one piece of work by its first and last word of progress."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._heard: list[tuple[int, int, float]] = []

    def report(self, title: str) -> Progress:
        """A reporter for nobody that listens to the one title."""

        def hear(done: int, total: int) -> None:
            if title == self.title:
                self._heard.append((done, total, time.perf_counter()))

        return hear

    def seconds(self) -> float:
        """Time of all steps, the first one taken to last as long as the others."""
        (first, total, began), (last, _, ended) = self._heard[0], self._heard[-1]
        return (ended - began) * total / (last - first)


def by_exam(of_images: Tensor, data: InputSet) -> list[float]:
    """An exam scores as its highest image."""
    exams = torch.full((int(data.bags.max()) + 1,), -torch.inf, dtype=of_images.dtype)
    return exams.scatter_reduce(0, data.bags, of_images, "amax").tolist()  # type: ignore[no-any-return]


def _linear(cohort: Cohort, features: Matrix, places: tuple[list[int], list[int]]) -> list[float]:
    """A linear classifier on features of exams, the highest of their images' values each."""
    known, unseen = (_cases(cohort, features[part], cohort.data.select(part)) for part in places)
    scores: list[float] = linear_scores(known, unseen, 0).tolist()
    return scores


def _cases(cohort: Cohort, features: Matrix, data: InputSet) -> Cases:
    exams = np.full((int(data.bags.max()) + 1, features.shape[1]), -np.inf)
    np.maximum.at(exams, data.bags.numpy(), features)
    return Cases(exams, (data.bag_labels() == cohort.positive).numpy(), data.bag_patients())


def _exams(data: InputSet) -> list[str]:
    first = {int(bag): source.row.exam for bag, source in zip(data.bags, data.sources, strict=True)}
    return [first[bag] for bag in range(len(first))]


def _distinct(fitted: Fitted, training: InputSet) -> int:
    sources = ((training.sources[s.image], s) for s in fitted.projection.sources)
    return len({(image.pixels_sha256, str(image.crop), s.row, s.column) for image, s in sources})


def share_wrong(similar: Tensor, owners: Tensor, labels: Tensor) -> float:
    return float((owners[similar.argmax(dim=1)] != labels).double().mean())
