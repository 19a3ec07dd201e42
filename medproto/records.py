"""What is kept and shown: plain frozen records, without torch or numpy.

A `Prediction` is the whole of what a person sees: screen and report are functions of it and of the pictures it names by
digest. Boxes are in original pixels of the image they name; distances are squared L2; digests are SHA-256 in hex.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: 2 since boxes are blanked: bodies of version 1 are read as they are.
SCHEMA_VERSION: Final = 2
#: Relative tolerance within which the contributions of a prediction add up to its margin.
CONTRIBUTION_TOLERANCE = 1e-5

Severity = Literal["refuse", "warn", "note"]
Laterality = Literal["L", "R"]
Decision = Literal["flagged", "not flagged", "no decision"]
#: How a box was found: the square of the cell, a threshold of the similarity map, gradient x input of the cell.
BoxKind = Literal["patch", "threshold", "attribution"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """Base of all records: frozen, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GateFinding(Record):
    """What the input gate has to say about one image, or about the exam when `image` is None."""

    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]+$")]
    severity: Severity
    sentence: str


class Box(Record):
    """Half-open rectangle in original pixels: rows [top, bottom), columns [left, right); fractions are allowed."""

    top: float
    left: float
    bottom: float
    right: float

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        if self.bottom <= self.top or self.right <= self.left:
            raise ValueError(f"box: got {self.top},{self.left},{self.bottom},{self.right}, expected a positive area")
        return self

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column of the centre."""
        return (self.top + self.bottom) / 2, (self.left + self.right) / 2

    def contains(self, row: float, column: float) -> bool:
        """Whether the point lies in the box."""
        return self.top <= row < self.bottom and self.left <= column < self.right


class Rendering(Record):
    """How stored values became the pixels that were scored."""

    decoder: str
    voi: str
    inverted: bool
    flipped: bool
    crop: Box
    input_rows: int
    input_columns: int
    #: Mirrored top to bottom, because the header says that the picture was stored upside down.
    upturned: bool = False
    #: Size of an input pixel in mm, where the model wants one and the image's spacing is known.
    input_spacing_mm: Annotated[float, Field(gt=0)] | None = None


class ImageRecord(Record):
    """One scored image of an exam."""

    image_id: str
    laterality: Laterality | None
    view: str | None
    rows: int
    columns: int
    spacing_mm: tuple[float, float] | None
    file_sha256: Digest
    pixels_sha256: Digest
    rendering: Rendering
    findings: tuple[GateFinding, ...]
    preview: Digest
    preview_scale: Annotated[float, Field(gt=0, le=1, description="preview pixels per original pixel")]
    #: The picture before VOI, with every sample (`medproto.pyramid`); None where it is not kept.
    full_depth: Digest | None = None
    #: Whether the image itself says that it is synthetic; None in older records, which do not tell.
    synthetic: bool | None = None

    @property
    def title(self) -> str:
        """Side and view as printed beside the picture, such as `R MLO`."""
        return f"{self.laterality or 'side unknown'} {self.view or 'view unknown'}"


class RefusedRecord(Record):
    """One image of an exam that was not scored, with the reasons."""

    image_id: str
    file_sha256: Digest
    findings: tuple[GateFinding, ...]


class PrototypeSource(Record):
    """The training patch that a prototype is: where it was cut, from which image."""

    image_id: str
    pixels_sha256: Digest
    laterality: Laterality | None
    view: str | None
    box: Box
    patch: Digest
    distance: Annotated[
        float, Field(ge=0, description="squared L2 between the prototype and its patch; 0 if projected")
    ]
    #: Row and column spacing of the training image, in mm; None where it is not known.
    spacing_mm: tuple[float, float] | None = None


class Blanking(Record):
    """What is left of a match when a box of its image is replaced by its blurred surround.

    Drops of the similarity are shares of the drop when the whole breast is blanked, so 1 is all that the breast gave.

    Args:
        kind: how the box was found.
        box: what was blanked.
        at_cell: drop at the cell that was scored.
        anywhere: drop of the maximum over all cells and views of the exam.
        random_at_cell: mean of the first drop over random boxes of the same area in the breast of that image.
        random_anywhere: the same of the second.
        boxes: how many random boxes there were.
        as_strong: how many of them lowered the similarity at the cell at least as much.
    """

    kind: BoxKind
    box: Box
    at_cell: float
    anywhere: float
    random_at_cell: float
    random_anywhere: float
    boxes: Annotated[int, Field(gt=0)]
    as_strong: Annotated[int, Field(ge=0)]

    @property
    def gain(self) -> float:
        """Drop at the cell beyond that of a random box."""
        return self.at_cell - self.random_at_cell

    @property
    def no_better_than_random(self) -> bool:
        """Whether a random box did as well: on the mean, or one in ten of them."""
        return self.gain <= 0 or self.as_strong > self.boxes // 10


class PrototypeMatch(Record):
    """One prototype, the place in the exam where it found its best match, and what that counted.

    `weight` is the prototype's weight on the margin, so `contribution = weight * similarity`. `blanking` has one entry
    for each kind of box, the one to be shown first; it is empty where the match is not pictured, was not checked, or
    where blanking the whole breast does not lower the similarity. `class_weights` are its weights on the logit of each
    class, recorded where there are more than two.
    """

    prototype_id: str
    prototype_class: str
    similarity: float
    weight: float
    contribution: float
    image_id: str
    cell: tuple[int, int]
    box: Box
    receptive_field: Box
    patch: Digest | None
    overlay: Digest | None
    similarity_map: Digest | None
    source: PrototypeSource
    blanking: tuple[Blanking, ...] = ()
    class_weights: dict[str, float] | None = None


class OperatingPoint(Record):
    """The margin at and above which an exam is flagged, and how it was chosen."""

    margin: float
    rule: str
    sensitivity: Annotated[float, Field(ge=0, le=1)]
    specificity: Annotated[float, Field(ge=0, le=1)]


class BreastScore(Record):
    """Score of the views of one breast alone."""

    laterality: Laterality
    margin: float
    probability: Annotated[float, Field(ge=0, le=1)] | None


class Likeness(Record):
    """How far the exam's farthest image lies from the training data; beyond the threshold no score is shown."""

    distance: float
    threshold: float

    @property
    def unlike(self) -> bool:
        """Whether the exam is unlike the training data."""
        return self.distance > self.threshold


class Prediction(Record):
    """One scored exam. Every prototype of the bundle is in `matches`, by falling contribution to the positive class."""

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    exam_id: str
    patient_id: str
    bundle_id: Digest
    bundle_name: str
    data_licence: str
    synthetic: bool
    classes: tuple[str, ...]
    positive_class: str
    images: Annotated[tuple[ImageRecord, ...], Field(min_length=1)]
    refused: tuple[RefusedRecord, ...]
    findings: tuple[GateFinding, ...]
    likeness: Likeness
    logits: dict[str, float]
    margin: float
    probability: Annotated[float, Field(ge=0, le=1)] | None
    prevalence: Annotated[float, Field(ge=0, le=1)]
    operating_point: OperatingPoint
    decision: Decision
    breasts: tuple[BreastScore, ...]
    matches: Annotated[tuple[PrototypeMatch, ...], Field(min_length=1)]
    software: dict[str, str]
    #: Whether the pictured matches were checked by blanking: one without `blanking` then has nothing to lose by it.
    blanked: bool = False
    #: Day of the study. All studies of a patient are moved alike, by a secret number of days: between two of them the
    #: days are true, and none tells its date. None where no image tells one, and in older records.
    study_day: int | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        """The explanation is the computation: contributions add up to the margin."""
        total = sum(match.contribution for match in self.matches)
        if abs(total - self.margin) > CONTRIBUTION_TOLERANCE * abs(self.margin) + 1e-9:
            raise ValueError(f"contributions: got a sum of {total}, expected the margin {self.margin}")
        for name in self.classes if all(match.class_weights for match in self.matches) else ():
            terms = [(match.class_weights or {}).get(name, 0.0) * match.similarity for match in self.matches]
            off = abs(sum(terms) - self.logits.get(name, 0.0))
            if off > CONTRIBUTION_TOLERANCE * sum(map(abs, terms)) + 1e-9:
                raise ValueError(f"contributions: got a sum of {sum(terms)} for a class, expected its logit")
        known = {image.image_id for image in self.images}
        if any(match.image_id not in known for match in self.matches):
            raise ValueError("matches: got an image that is not in the exam, expected one of its images")
        if self.likeness.unlike and (self.decision != "no decision" or self.probability is not None):
            raise ValueError("decision: got a score for an exam unlike the training data, expected none")
        return self

    def image(self, image_id: str) -> ImageRecord:
        """The exam's image of that id."""
        return next(image for image in self.images if image.image_id == image_id)

    def pictures(self) -> tuple[str, ...]:
        """Digests of every picture the prediction names, each once, sorted."""
        named = {d for image in self.images for d in (image.preview, image.full_depth) if d}
        for match in self.matches:
            named |= {d for d in (match.patch, match.overlay, match.similarity_map, match.source.patch) if d}
        return tuple(sorted(named))


#: (patient identifier, kind, value) -> pseudonym such as `exam-9f8e7d6c5b4a3021`; kinds: patient, exam, image, shift.
Pseudonymise = Callable[[str, str, str], str]


@dataclass(frozen=True)
class Scored:
    """A prediction and the pictures it names: digest -> PNG bytes (similarity maps: float32 `.npy` bytes; pictures in
    full depth: `medproto.pyramid`)."""

    prediction: Prediction
    pictures: Mapping[str, bytes]
