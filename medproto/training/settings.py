"""What a training run is: data, model, stages 1 to 3 and the choices made on validation. YAML in, values only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from medproto.config import IngestSettings, Settings
from medproto.errors import ConfigError
from medproto.model.protopnet import ModelSettings
from medproto.transforms import InputSettings

Group = Literal["backbone", "add_on", "prototypes"]
Precision = Literal["32-true", "bf16-mixed"]


class Stage(Settings):
    """One part of the descent; a group without a learning rate is frozen.

    What the frozen layers of the backbone give is computed once, for `variants` copies of every image: the image as it
    is and augmented ones. Where no layer is frozen, every epoch has its own copies. A step sees `accumulate` batches as
    if they were one, in the memory that one takes.
    """

    name: str
    epochs: Annotated[int, Field(ge=1)]
    learning_rates: dict[Group, float]
    variants: Annotated[int, Field(ge=1)] = 3
    batch: Annotated[int, Field(ge=1)] = 32
    accumulate: Annotated[int, Field(ge=1)] = 1
    #: Layers of the backbone up to this stride stay frozen while the others move.
    frozen_to_stride: Literal[8, 16] | None = None
    #: Draw as many images of every class, instead of weighting the classes.
    balanced: bool = False
    optimizer: Literal["adam", "sgd"] = "adam"
    #: Of `sgd` alone.
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    #: Largest norm of a step's gradient over all groups; None leaves it as it is.
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    #: The stage ends after so many epochs without a better AUROC on validation exams, and its best epoch is kept.
    patience: Annotated[int, Field(ge=1)] | None = None
    #: Of `patience` alone: it does not end a stage before.
    minimum_epochs: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _frozen_part_agrees(self) -> Stage:
        if self.frozen_to_stride is not None and "backbone" not in self.learning_rates:
            raise ValueError("frozen_to_stride: got one where the whole backbone is frozen, expected a learning rate")
        return self


class Costs(Settings):
    """Coefficients of the descent; cluster, separation and L1 are the paper's."""

    cluster: float = 0.8
    separation: float = 0.08
    #: Of the bounded counterpart of the separation: other classes' prototypes at least `margin_width` farther away.
    margin: float = 0.0
    #: In squared latent distance.
    margin_width: Annotated[float, Field(ge=0)] = 1.0
    l1: float = 1e-4
    diversity: float = 0.05
    anchor: float = 0.2
    outside: float = 0.5
    cells: float = 1.0


class LastLayerSettings(Settings):
    """Candidates for stage 3; the pair with the lowest inner cross-validated loss on training patients is taken.

    With `solver: adam` there is no choice and no certificate: 20 epochs at the paper's rate and L1, of any sign.
    """

    solver: Literal["certified", "adam"] = "certified"
    l1: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)
    ridge: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    folds: Annotated[int, Field(ge=2)] = 5


class PruningSettings(Settings):
    """A prototype stays where so many of its nearest training images carry its class (Chen et al. 2019, supplement)."""

    neighbours: Annotated[int, Field(ge=1)] = 6
    sharing: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _can_be_reached(self) -> PruningSettings:
        if self.sharing > self.neighbours:
            raise ValueError(f"sharing: got {self.sharing} of {self.neighbours} neighbours, expected at most all")
        return self


class MergingSettings(Settings):
    """Two prototypes of a class become one below this squared distance, or where their patches overlap in an image."""

    squared_distance: Annotated[float, Field(ge=0)]
    #: Side of a patch in latent cells.
    patch_cells: Annotated[int, Field(ge=1)] = 1


class TrainSettings(Settings):
    """A whole training run."""

    name: str
    seed: int = 0
    #: Model class -> labels of the manifest; classes from least to most severe.
    classes: dict[str, tuple[str, ...]]
    positive_class: str
    #: The manifest, relative to the YAML; it stays on this machine, so that no bundle tells a path.
    data: Annotated[Path | None, Field(exclude=True)] = None
    model: ModelSettings = ModelSettings()
    inputs: InputSettings = InputSettings()
    ingest: IngestSettings = IngestSettings()
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    #: How often stages 1 to 3 are run through; every time but the first leaves out the first of `stages`.
    cycles: Annotated[int, Field(ge=1)] = 1
    costs: Costs = Costs()
    last_layer: LastLayerSettings = LastLayerSettings()
    pruning: PruningSettings | None = None
    merging: MergingSettings | None = None
    #: In which the descent passes through the network; distances and costs are float32 in either.
    precision: Precision = "32-true"
    #: Deterministic algorithms alone, on a GPU too; slower there. On the processor a run repeats without it.
    deterministic: bool = False
    #: The operating point is the highest margin that reaches this sensitivity on validation exams.
    sensitivity: Annotated[float, Field(gt=0, le=1)] = 0.9

    @model_validator(mode="after")
    def _classes_agree(self) -> TrainSettings:
        if len(self.classes) < 2 or self.positive_class not in self.classes:
            raise ValueError(f"positive_class: got {self.positive_class!r}, expected one of {', '.join(self.classes)}")
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages: got {', '.join(names)}, expected a name of its own for each")
        return self

    def network(self) -> ModelSettings:
        """The model's settings with this run's classes."""
        return self.model.model_copy(update={"classes": tuple(self.classes), "positive_class": self.positive_class})

    @property
    def positive(self) -> int:
        """Index of the positive class."""
        return list(self.classes).index(self.positive_class)

    def class_of(self, label: str) -> int:
        """Class index of a manifest label.

        Raises:
            ConfigError: the label belongs to no class.
        """
        for index, labels in enumerate(self.classes.values()):
            if label in labels:
                return index
        known = ", ".join(label for labels in self.classes.values() for label in labels)
        raise ConfigError(f"classes: no class for the manifest label {label!r}, expected one of {known}")


def read_settings(path: Path, overrides: tuple[str, ...] = ()) -> TrainSettings:
    """Settings from a YAML file, with `key.sub=value` overrides.

    Raises:
        ConfigError: names the key and what is allowed.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(f"configuration: cannot read {path.name!r} ({err.strerror})") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError(f"configuration: {path.name!r} is not YAML") from err
    if not isinstance(document, dict):
        raise ConfigError(f"configuration: got {type(document).__name__} in {path.name!r}, expected keys and values")
    for override in overrides:
        _set(document, override)
    try:
        settings = TrainSettings.model_validate(document)
    except ValidationError as err:
        raise ConfigError(f"configuration {path.name!r}: {_first_problem(err)}") from err
    return settings.model_copy(update={"data": path.parent / settings.data}) if settings.data else settings


def _set(document: dict[str, object], override: str) -> None:
    key, found, value = override.partition("=")
    if not found:
        raise ConfigError(f"override: got {override!r}, expected key=value")
    *parents, last = key.split(".")
    place = document
    for parent in parents:
        below = place.setdefault(parent, {})
        if not isinstance(below, dict):
            raise ConfigError(f"override: {key!r} goes through {parent!r}, which holds a value, expected a section")
        place = below
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as err:
        raise ConfigError(f"override: the value of {key!r} is not YAML") from err


def _first_problem(err: ValidationError) -> str:
    problem = err.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "document"
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(sorted(_fields_at(problem["loc"][:-1])))
        return f"unknown key {where!r}, allowed here: {allowed}"
    return f"{where}: {problem['msg']}"


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    model: type[Settings] = TrainSettings
    for part in location:
        if part == "stages":
            model = Stage
        elif isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            for kind in (annotation, *get_args(annotation)):
                if isinstance(kind, type) and issubclass(kind, Settings):
                    model = kind
    return list(model.model_fields)
