"""Tracing: a decision leads to training patches, films and runs, and a patch to every decision it drove."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.entries import EntryDraft
from audit.payloads import BundleRegistered, DatasetRegistered, RegisteredPrototype, TrainingRun
from audit.room import Room
from audit.service import Opinion, prediction, register, review, trace_entry, trace_prototype
from medproto.datasets.manifest import ManifestRow, read_manifest, write_manifest
from medproto.errors import EntryNotFound
from tests.audit.conftest import READER
from tests.audit.factory import BUNDLE_ID


def write_training_set(room: Room, folder: Path) -> Path:
    """A manifest with the source image of every prototype, and a file for each but the last."""
    sources = [match.source for match in prediction(room, 3)[1].matches]
    rows = []
    for i, source in enumerate(sources):
        row = ManifestRow(
            path=f"{i}.dcm", patient=f"p{i}", exam=f"e{i}", image=source.image_id, label="malignant", split="train"
        )
        rows.append(row)
        if i < len(sources) - 1:
            (folder / row.path).write_bytes(b"film")
    return write_manifest(folder / "manifest.csv", rows)


def register_bundle(room: Room, manifest: Path) -> None:
    """Entries 12, 13, 14: data set, training run, bundle."""
    digest = read_manifest(manifest).digest
    dataset = DatasetRegistered(
        manifest_digest=digest, name="d", licence="CC0-1.0", patients=4, images=4, manifest_path=str(manifest)
    )
    register(room, dataset, READER)
    register(room, TrainingRun(dataset_entry=12, config={}, seeds={"all": 1}, code_version="0"), READER)
    matches = prediction(room, 3)[1].matches
    prototypes = tuple(
        RegisteredPrototype(prototype_id=m.prototype_id, prototype_class=m.prototype_class, source=m.source)
        for m in matches
    )
    bundle = BundleRegistered(
        bundle_id=BUNDLE_ID, name="b", data_licence="x", training_entry=13, prototypes=prototypes, metrics={}
    )
    register(room, bundle, READER)


def test_a_decision_leads_to_films_runs_and_patches(room: Room, tmp_path: Path) -> None:
    register_bundle(room, write_training_set(room, tmp_path))
    trace = trace_entry(room, 3)
    behind = (trace.bundle_entry, trace.training_entry, trace.dataset_entry)
    assert [entry.number for entry in behind if entry] == [14, 13, 12]
    assert [t.match for t in trace.prototypes] == list(trace.prediction.matches)
    assert all(t.patch_present and t.registered for t in trace.prototypes)
    assert [t.film.name if t.film else t.film_note for t in trace.prototypes] == [
        "0.dcm",
        "1.dcm",
        "2.dcm",
        "the source film is no longer at hand",
    ]
    assert trace.notices == ()


def test_a_bundle_that_was_never_registered_is_said_so(room: Room) -> None:
    trace = trace_entry(room, 3)
    assert trace.bundle_entry is None
    assert all(t.registered is None and t.row is None for t in trace.prototypes)
    assert "never registered" in trace.notices[0]
    assert "No manifest was given or registered" in trace.notices[1]


def test_a_manifest_that_was_changed_is_not_believed(room: Room, tmp_path: Path) -> None:
    manifest = write_training_set(room, tmp_path)
    register_bundle(room, manifest)
    manifest.write_text(manifest.read_text().replace("malignant", "benign"))
    trace = trace_entry(room, 3)
    assert trace.notices == ("The manifest is not the one that was registered: its digest differs.",)
    manifest.unlink()
    assert "not at hand" in trace_entry(room, 3).notices[0]


def test_a_patch_that_is_gone_is_said_so(room: Room) -> None:
    source = prediction(room, 3)[1].matches[1].source
    room.evidence.path(source.patch).unlink()
    assert [t.patch_present for t in trace_entry(room, 3).prototypes] == [True, False, True, True]


def test_a_source_that_was_registered_before_spacing_was_told_is_the_same(room: Room) -> None:
    prototypes = [
        {
            "prototype_id": match.prototype_id,
            "prototype_class": "malignant",
            "source": match.source.model_dump(mode="json"),
        }
        for match in prediction(room, 3)[1].matches
    ]
    for each in prototypes:
        assert each["source"].pop("spacing_mm") is None
    payload = {"bundle_id": BUNDLE_ID, "name": "b", "data_licence": "x", "training_entry": None, "metrics": {}}
    room.ledger.append(
        [EntryDraft("bundle registered", payload | {"prototypes": prototypes}, READER.name, READER.role)]
    )
    assert all(t.registered for t in trace_entry(room, 3).prototypes)


def test_a_source_that_differs_from_the_registered_one_is_said_so(room: Room, tmp_path: Path) -> None:
    matches = prediction(room, 3)[1].matches
    other = RegisteredPrototype(
        prototype_id=matches[0].prototype_id, prototype_class="malignant", source=matches[1].source
    )
    bundle = BundleRegistered(
        bundle_id=BUNDLE_ID, name="b", data_licence="x", training_entry=None, prototypes=(other,), metrics={}
    )
    register(room, bundle, READER)
    trace = trace_entry(room, 3)
    assert trace.training_entry is None
    assert not any(t.registered for t in trace.prototypes)
    assert any("names another source for" in notice for notice in trace.notices)


def test_a_prototype_leads_to_every_decision_it_drove(room: Room) -> None:
    first = prediction(room, 3)[1].matches[0]
    review(room, 5, Opinion(verdict="disagree", reason="no", misleading=(first.prototype_id,)), READER)
    driven = trace_prototype(room, first.prototype_id)
    assert [d.number for d in driven] == [7, 5, 3]
    assert [d.misled for d in driven] == [False, True, False]
    assert (driven[-1].rank, driven[-1].contribution, driven[-1].verdicts) == (1, first.contribution, ("agree",))
    with pytest.raises(EntryNotFound, match="no prediction in this ledger names it"):
        trace_prototype(room, "p999")


@pytest.mark.parametrize(("number", "words"), [(2, "is of kind intent"), (99, "there is none")])
def test_only_predictions_are_traced(room: Room, number: int, words: str) -> None:
    with pytest.raises(EntryNotFound, match=words):
        trace_entry(room, number)
