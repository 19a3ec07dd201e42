"""A tiny trained network, its bundle, and the prediction of an exam that training never saw."""

from __future__ import annotations

import pytest

from medproto.bundle import Bundle
from medproto.predict import predict_exam
from medproto.records import Scored
from tests.factories import Trained, exam_of, train_tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture(scope="module")
def bundle(trained: Trained) -> Bundle:
    """Its bundle."""
    return trained.bundle()


@pytest.fixture(scope="module")
def scored(trained: Trained, bundle: Bundle) -> Scored:
    """The prediction of an exam that training never saw."""
    return predict_exam(bundle, exam_of(trained.paths()))
