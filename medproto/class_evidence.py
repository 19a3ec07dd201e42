"""What speaks for each class of a model, where there are more than two: for screen and report."""

from __future__ import annotations

from dataclasses import dataclass

from medproto.records import Prediction, PrototypeMatch


@dataclass(frozen=True)
class ClassEvidence:
    """One class of a prediction.

    Args:
        name: the class.
        logit: its score before the classes are weighed against each other; None where that is not recorded.
        prototypes: how many prototypes are of it.
        contribution: what these counted in the margin together.
        most_alike: the one of them that is most like the exam; None where the class has none.
    """

    name: str
    logit: float | None
    prototypes: int
    contribution: float
    most_alike: PrototypeMatch | None


def class_evidence(prediction: Prediction) -> tuple[ClassEvidence, ...]:
    """Each class of the model in its order."""
    found = []
    for name in prediction.classes:
        own = [match for match in prediction.matches if match.prototype_class == name]
        best = max(own, key=lambda match: match.similarity, default=None)
        total = sum(match.contribution for match in own)
        found.append(ClassEvidence(name, prediction.logits.get(name), len(own), total, best))
    return tuple(found)


def counted_for(prediction: Prediction, name: str) -> dict[str, float]:
    """What each prototype counted in the logit of that class, by falling amount; none where that was not recorded.

    The amounts add up to the logit, as the contributions do to the margin.
    """
    counted = {
        match.prototype_id: match.class_weights[name] * match.similarity
        for match in prediction.matches
        if match.class_weights and name in match.class_weights
    }
    return dict(sorted(counted.items(), key=lambda item: -item[1]))
