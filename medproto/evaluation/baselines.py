"""What a prototype network is measured against: a linear probe on the frozen backbone; intensity and size alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from medproto.errors import TrainingError
from medproto.model.backbones import build_backbone
from medproto.model.cells import breast_cells
from medproto.model.protopnet import ModelSettings
from medproto.training.inputs import InputSet, Progress

Matrix = NDArray[np.float64]
#: Candidates for the inverse of the L2 penalty, and the inner folds that choose among them.
INVERSE_PENALTIES = tuple(10.0**power for power in range(-5, 2))
INNER_FOLDS = 5
#: Grey values of the region that `intensity_and_size` looks at, in per cent of its pixels.
PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Cases:
    """Features (N, F) of N cases, whether each is positive (N,), and the patient of each."""

    features: Matrix
    positive: NDArray[np.bool_]
    patients: Sequence[str]

    def select(self, chosen: Sequence[int]) -> Cases:
        """The cases at those places."""
        index = np.asarray(chosen, dtype=int)
        return Cases(self.features[index], self.positive[index], [self.patients[i] for i in chosen])


def last_stages(data: InputSet, settings: ModelSettings, progress: Progress | None = None) -> Matrix:
    """Frozen features of each image: mean and maximum over its breast cells at strides 16 and 32, shape (V, F)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for a backbone without pretrained weights
        middle = build_backbone(settings.backbone, 16, settings.weights).eval()
        whole = build_backbone(settings.backbone, 32, settings.weights).eval()
    fields = [backbone.receptive_field(*data.images.shape[2:]) for backbone in (middle, whole)]
    allowed = [breast_cells(data.breast, field) for field in fields]
    rows = []
    for start in range(0, len(data), 16):
        places = slice(start, min(start + 16, len(data)))
        with torch.no_grad():
            images = data.images[places].contiguous(memory_format=torch.channels_last)
            maps = (middle(images), whole(images))
        rows.append(torch.cat([_pooled(m, cells[places]) for m, cells in zip(maps, allowed, strict=True)], dim=1))
        if progress:
            progress(places.stop, len(data))
    features: Matrix = torch.cat(rows).double().numpy()
    return features


def intensity_and_size(data: InputSet) -> Matrix:
    """Mean, spread and percentiles of each image's breast pixels, and the side of its crop in pixels; shape (V, 8)."""
    rows = []
    for image, breast, source in zip(data.images, data.breast, data.sources, strict=True):
        pixels = image[0][breast > 0].double().numpy()
        if not len(pixels):
            raise TrainingError("intensity and size: got an image without a breast pixel, expected some")
        side = np.log(max(source.crop.bottom - source.crop.top, source.crop.right - source.crop.left))
        rows.append([pixels.mean(), pixels.std(), *np.percentile(pixels, PERCENTILES), side])
    return np.array(rows, dtype=np.float64)


def linear_scores(training: Cases, unseen: Cases, seed: int) -> Matrix:
    """Log-odds of unseen cases by L2 logistic regression on standardised features, shape (N,).

    The penalty is the one of lowest cross-validated loss on the training cases; those folds never split a patient.

    Raises:
        TrainingError: too few patients for the inner folds, or one class only.
    """
    fewest = min(
        len({p for p, is_positive in zip(training.patients, training.positive, strict=True) if is_positive == wanted})
        for wanted in (True, False)
    )
    if fewest < 2:
        raise TrainingError(f"linear probe: got {fewest} patients of a class, expected at least 2")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
        {"logisticregression__C": list(INVERSE_PENALTIES)},
        scoring="neg_log_loss",
        cv=StratifiedGroupKFold(min(INNER_FOLDS, fewest), shuffle=True, random_state=seed),
        error_score="raise",
    )
    search.fit(training.features, training.positive, groups=list(training.patients))
    scores: Matrix = search.decision_function(unseen.features)
    return scores


def _pooled(features: Tensor, allowed: Tensor) -> Tensor:
    """Mean and maximum over the allowed cells: (V, B, H, W) -> (V, 2B)."""
    mask = allowed.unsqueeze(1)
    mean = (features * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3))
    return torch.cat([mean, features.masked_fill(~mask, -torch.inf).amax(dim=(2, 3))], dim=1)
