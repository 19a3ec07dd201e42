"""What a model card says from the bundle alone: the model, its use, its data, its training, its prototypes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from medproto.bundle import Bundle, BundleManifest, DataRecord, PrototypeEntry, SplitRecord
from medproto.card.records import NOT_RECORDED, Gallery, Items, Part, Picture, Section, Table, Words
from medproto.errors import BundleError
from medproto.ingest.gate import RULES
from medproto.intended_use import HAZARDS, INTENDED, NOT_INTENDED
from medproto.model.weights import Weights
from medproto.neighbourhood import purity_words
from medproto.summary import size_words
from medproto.training.data_record import FIELDS, codes_of
from medproto.training.settings import Stage, TrainSettings

_FREE = "a state dict read from a file"
_SPLITS = ("train", "val", "test")
_GROUPS = {"backbone": "backbone", "add_on": "add-on layers", "prototypes": "prototypes"}


def settings_of(manifest: BundleManifest) -> TrainSettings:
    """The settings of the run that made a bundle.

    Raises:
        BundleError: the manifest does not hold them.
    """
    try:
        return TrainSettings.model_validate(manifest.training.get("settings"))
    except ValidationError as err:
        raise BundleError("bundle: the manifest's training settings are not those of a run") from err


def model_details(bundle: Bundle) -> Section:
    """What the model is, without a date."""
    manifest, inputs = bundle.manifest, bundle.manifest.inputs
    labels = settings_of(manifest).classes
    scale = f", at {inputs.spacing_mm} mm a pixel where the spacing is known" if inputs.spacing_mm else ""
    counts = Counter(entry.prototype_class for entry in manifest.prototypes)
    rows = [
        ("name", manifest.name),
        ("bundle (SHA-256 of its manifest)", bundle.bundle_id),
        ("medproto", manifest.software.get("medproto", NOT_RECORDED)),
        ("input", f"mammograms of one exam, each as {inputs.rows} x {inputs.columns} pixels{scale}"),
        ("classes, least severe first", ", ".join(manifest.model.classes)),
        ("positive class", manifest.model.positive_class),
        *((f"labels taken as {name!r}", ", ".join(labels.get(name, ()))) for name in manifest.model.classes),
        ("backbone", f"{manifest.model.backbone}, stride {manifest.model.stride}"),
        ("initial weights of the backbone", _weights(manifest.model.weights)),
        ("latent channels", str(manifest.model.latent_channels)),
        ("similarity", manifest.model.similarity),
        ("prototypes", f"{len(manifest.prototypes)}: {', '.join(f'{counts[n]} {n}' for n in manifest.model.classes)}"),
    ]
    words = (
        "A prototype network after Chen et al. 2019: each prototype is a patch of one training image, the score of an "
        "exam is the weighted sum of its likenesses to them, and nothing else enters it."
    )
    return Section("Model details", (Words(words), Table(("fact", "value"), tuple(rows))))


def intended_use() -> Section:
    """What every model of medproto is for and not for, and what may go wrong with it."""
    hazards = Table(("hazard", "what keeps it small"), HAZARDS)
    return Section("Intended use", (Words(INTENDED), Words(NOT_INTENDED, strong=True), hazards))


def training_data(manifest: BundleManifest) -> Section:
    """Where the data came from, and how many images of which kind each split has."""
    facts = (
        ("data set", manifest.data_name),
        ("licence", manifest.data_licence),
        ("manifest (SHA-256)", manifest.data_digest),
        ("synthetic", "yes: SYNTHETIC images" if manifest.synthetic else "no training image says so"),
    )
    parts: list[Part] = [Table(("fact", "value"), facts)]
    if manifest.data is None:
        parts.append(Words(f"Patients, exams and images by split, class, view, side and device: {NOT_RECORDED}."))
        return Section("Data", tuple(parts))
    splits = _in_order(manifest.data)
    rows = [(name, *map(str, (one.patients, one.exams, one.images, one.annotated))) for name, one in splits.items()]
    parts += [
        Words("Split train was trained on, every choice was made on split val. A patient is in one split alone."),
        Table(("split", "patients", "exams", "images", "images with a marked finding"), tuple(rows)),
    ]
    kinds = tuple(_kinds(splits))
    parts.append(Table(("field", "value", *(f"images, {name}" for name in splits)), kinds))
    told = {field for one in splits.values() for field in one.by}
    missing = [field for field in FIELDS if field not in told]
    if missing:
        parts.append(Words(f"The manifest does not tell: {', '.join(missing)}."))
    return Section("Data", tuple(parts))


def exclusions(manifest: BundleManifest) -> Section:
    """Rows of the training manifest that were left out, by reason code of the input gate."""
    if manifest.data is not None:
        splits = _in_order(manifest.data)
        names, counts = tuple(splits), [Counter(one.left_out) for one in splits.values()]
    elif isinstance(reasons := manifest.training.get("left_out"), list):
        names, counts = ("all splits",), [Counter(code for why in reasons for code in codes_of(_reason(str(why))))]
    else:
        return Section("Exclusions", (Words(f"Images left out of training: {NOT_RECORDED}."),))
    codes = sorted({code for count in counts for code in count})
    if not codes:
        return Section("Exclusions", (Words("No image was left out: the input gate refused none."),))
    rows = tuple((code, _meaning(code), *(str(count[code]) for count in counts)) for code in codes)
    return Section("Exclusions", (Table(("reason code", "meaning", *(f"rows, {n}" for n in names)), rows),))


def training(manifest: BundleManifest) -> Section:
    """How the model was trained, and what was chosen on validation exams."""
    settings = settings_of(manifest)
    stages = tuple(_stage_row(stage) for stage in settings.stages)
    parts: list[Part] = [
        Words(
            "Stage 1 is a descent in these parts; stage 2 puts every prototype onto its nearest training patch; stage "
            "3 fits the last layer to the likenesses of training exams. Groups that are not named stay as they were."
        ),
        Table(("part", "epochs at most", "learning rates", "batch", "optimizer"), stages),
        Items(tuple(_training_words(settings, manifest))),
    ]
    costs = tuple((name.replace("_", " "), f"{value:g}") for name, value in settings.costs.model_dump().items())
    parts.append(Table(("cost or its parameter", "value"), costs))
    return Section("Training", tuple(parts))


def gallery(bundle: Bundle) -> Section:
    """Every prototype: its patch, and where that was cut."""
    weights = bundle.margin_weights.tolist()
    order = sorted(range(len(weights)), key=lambda place: -abs(weights[place]))
    entries = bundle.manifest.prototypes
    pictures = tuple(
        _picture(number, entries[place], weights[place], bundle) for number, place in enumerate(order, start=1)
    )
    words = (
        "Every prototype is the training patch in the square, shown with what lies around it; the largest weight on "
        "the margin comes first. Training images are named by pseudonyms, boxes are top, left, bottom, right in pixels "
        "of the original, and the distance is the squared one between the prototype and its patch: 0 where it was "
        "projected."
    )
    return Section("Prototypes", (Words(words), Gallery(pictures)))


def software(manifest: BundleManifest) -> Section:
    """Versions that trained the model."""
    rows = tuple(sorted(manifest.software.items()))
    return Section("Software", (Words("As it was when the bundle was made."), Table(("software", "version"), rows)))


def privacy(manifest: BundleManifest) -> Section:
    """What a bundle gives away of its training data."""
    lines = [
        "The prototypes, and the patches most like them that the bundle keeps, are patches of training images: whoever "
        "has the bundle sees them all, and whoever has this card or a report sees the prototypes.",
        f"The licence of the training data ({manifest.data_licence}) holds for these patches too.",
        "Patients, exams and images are named by pseudonyms; a patch holds pixels alone, no header.",
    ]
    if manifest.synthetic:
        lines.append("Images that are SYNTHETIC show no person.")
    return Section("Ethics and privacy", (Items(tuple(lines)),))


def _in_order(data: DataRecord) -> dict[str, SplitRecord]:
    """Splits in the order of their use; a bundle's JSON sorts them by name."""
    return {name: data.splits[name] for name in sorted(data.splits, key=lambda name: (_place(name), name))}


def _place(split: str) -> int:
    return _SPLITS.index(split) if split in _SPLITS else len(_SPLITS)


def _kinds(splits: Mapping[str, SplitRecord]) -> Iterator[tuple[str, ...]]:
    """Rows of field, value, and images of each split."""
    for field in FIELDS:
        for value in sorted({value for one in splits.values() for value in one.by.get(field, {})}):
            yield field, value, *(str(one.by.get(field, {}).get(value, 0)) for one in splits.values())


def _meaning(code: str) -> str:
    if code not in RULES:
        return "The region or the lesion mask does not fit the image."
    return RULES[code].sentence.replace("{}", "…")


def _reason(left_out: str) -> str:
    """Why, of `row N: why`."""
    return left_out.partition(": ")[2]


def _weights(source: str) -> str:
    """Where they came from; a file is not named, for its path is nobody's business."""
    return _FREE if Weights(source).path else {"imagenet": "ImageNet", "none": "random"}[source]


def _stage_row(stage: Stage) -> tuple[str, ...]:
    rates = ", ".join(f"{_GROUPS[group]} {rate:g}" for group, rate in stage.learning_rates.items())
    batch = f"{stage.batch} x {stage.accumulate}" if stage.accumulate > 1 else str(stage.batch)
    return stage.name, str(stage.epochs), rates, batch, f"{stage.optimizer}, {stage.schedule} schedule"


def _training_words(settings: TrainSettings, manifest: BundleManifest) -> Iterator[str]:
    if settings.cycles > 1:
        yield f"Stages 1 to 3 were run through {settings.cycles} times."
    kept = manifest.training.get("kept_epochs")
    if isinstance(kept, dict) and kept:
        epochs = ", ".join(f"{name}: {epoch}" for name, epoch in kept.items())
        yield f"The epoch of the best AUROC on validation exams was kept ({epochs})."
    if settings.last_layer.solver == "certified":
        folds = settings.last_layer.folds
        yield f"The last layer is certified optimal; its penalties were chosen on {folds} folds of training patients."
    else:
        yield "The last layer was fitted by Adam, as published."
    if settings.pruning:
        yield (
            f"A prototype stayed where {settings.pruning.sharing} of its {settings.pruning.neighbours} nearest "
            "training images carry its class."
        )
    if settings.merging:
        yield f"Prototypes of a class nearer than {settings.merging.squared_distance:g} (squared) were merged."
    yield f"Seed {settings.seed}, precision {settings.precision}."
    point = manifest.operating_point
    yield (
        f"Operating point, chosen on validation: flagged at a margin of {point.margin:+.3f} and above, {point.rule}. "
        f"There: sensitivity {point.sensitivity:.3f}, specificity {point.specificity:.3f}."
    )
    fit = manifest.calibration
    yield (
        f"Probabilities, fitted on validation: slope {fit.slope:.3f}, intercept {fit.intercept:.3f}; they hold at a "
        f"prevalence of {fit.prevalence:.1%}."
    )
    yield f"An exam farther than {manifest.likeness_threshold:.3f} from the training data gets no decision."


def _picture(number: int, entry: PrototypeEntry, weight: float, bundle: Bundle) -> Picture:
    source = entry.source
    box = ", ".join(f"{edge:.0f}" for edge in (source.box.top, source.box.left, source.box.bottom, source.box.right))
    facts = (
        ("prototype", entry.prototype_id),
        ("class", entry.prototype_class),
        ("weight", f"{weight:+.3f}"),
        ("image", source.image_id),
        ("view", f"{source.laterality or 'side unknown'} {source.view or 'view unknown'}"),
        ("box", box),
        ("size", size_words(source.box, source) or "not known"),
        ("distance", f"{source.distance:.2g}"),
        ("closest training patches", purity_words(entry.neighbours) if entry.neighbours else NOT_RECORDED),
    )
    shows = f"training patch of {entry.prototype_id}"
    return Picture(f"prototype-{number:02d}", bundle.pictures[source.patch], shows, facts)
