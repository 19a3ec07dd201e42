"""The model card of a report: from registered entries alone, as of its size, each named and proved."""

from __future__ import annotations

import json

import pytest

from audit.merkle import verify_inclusion
from audit.payloads import BundleRegistered, DatasetRegistered, EvaluationRun, RegisteredPrototype, TrainingRun
from audit.report import report_for
from audit.report_archival import attachment_of
from audit.report_standing import standing
from audit.room import Room
from audit.service import register
from audit.verify_report import verify_report
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID, make_scored, sha256
from tests.audit.test_report import text_of

RESULTS = {
    "patients": 40,
    "exams": 41,
    "images": 160,
    "positives": 14,
    "auroc": {"exam": {"value": 0.8765, "low": 0.7, "high": 0.95}},
    "sensitivity": {"value": 0.857, "low": 0.6, "high": 0.96},
    "top1_in_lesion": None,
}


@pytest.fixture
def registered(room: Room) -> Room:
    """The filled room with entries 12 to 15: data set, training run, bundle and evaluation."""
    manifest = sha256(b"manifest")
    data = DatasetRegistered(manifest_digest=manifest, name="city screening", licence="CC-BY-4.0", patients=7, images=9)
    number = register(room, data, READER).number
    run = TrainingRun(dataset_entry=number, config={}, seeds={"training": 5}, code_version="0.1.0")
    number = register(room, run, READER).number
    match = make_scored().prediction.matches[0]
    prototype = RegisteredPrototype(prototype_id="p1", prototype_class="malignant", source=match.source)
    bundle = BundleRegistered(
        bundle_id=BUNDLE_ID,
        name="factory-phantom",
        data_licence="CC0-1.0",
        training_entry=number,
        prototypes=(prototype,),
        metrics={"validation_auroc": 0.91},
    )
    register(room, bundle, READER)
    evaluation = EvaluationRun(
        bundle_id=BUNDLE_ID, manifest_digest=manifest, results_digest=sha256(b"results"), results=RESULTS
    )
    register(room, evaluation, READER)
    return room


def test_it_says_data_licence_metrics_and_evaluation_with_their_entries(registered: Room) -> None:
    text = text_of(report_for(registered, 3))
    for said in (
        "city screening: 9 images of 7 patients, CC-BY-4.0",
        "(entry 12)",
        "code 0.1.0; seeds: training 5 (entry 13)",
        "validation auroc 0.910 (entry 14)",
        "40 patients, 41 exams, 160 images, 14 exams positive",
        "AUROC of exams: 0.876 (95 % interval 0.700 to 0.950)",
        "sensitivity at the operating point: 0.857 (95 % interval 0.600 to 0.960)",
    ):
        assert said in text
    assert "strongest patch of a positive exam" not in text


def test_what_was_registered_later_is_not_in_a_report_as_of_an_earlier_size(registered: Room) -> None:
    assert "No evaluation of this bundle was registered" in text_of(report_for(registered, 3, 14))
    assert "The bundle was not registered in this ledger." in text_of(report_for(registered, 3, 13))


def test_its_entries_are_in_the_attachment_each_with_its_proof(registered: Room) -> None:
    report = report_for(registered, 3)
    origin = json.loads(attachment_of(report))["origin"]
    assert {name: part["number"] for name, part in origin.items()} == {
        "dataset": 12,
        "training": 13,
        "bundle": 14,
        "evaluation": 15,
    }
    root = bytes.fromhex(standing(registered, 3).checkpoint.root)
    for part in origin.values():
        path = [bytes.fromhex(node) for node in part["inclusion"]]
        assert verify_inclusion(bytes.fromhex(part["leaf"]), part["number"] - 1, 15, path, root)
    assert verify_report(registered, report).verified
