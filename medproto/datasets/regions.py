"""Square regions around lesions against regions of normal tissue, alike in size and position.

The task on films too few for whole-image training. What could give a class away without looking at tissue is matched:
each normal region has the side length of its lesion region and lies at the same place of the breast's bounding box,
counted from the chest wall.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medproto.datasets.manifest import Manifest, ManifestRow, write_manifest
from medproto.errors import InputError
from medproto.ingest.reading import read_mammogram
from medproto.records import Box

#: Least share of a region that lies in the breast.
INSIDE = 0.9
#: Side of a region over the diameter of its lesion.
MARGIN = 1.2
MINIMUM_PX = 64
NORMALS_PER_LESION = 2
#: How far a region may be shifted to lie in the breast, as a share of its side: its lesion's centre stays within.
LARGEST_SHIFT = 0.4
_STEP_PX = 4

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Square:
    """A square in whole pixels of one film."""

    top: int
    left: int
    side: int

    def overlaps(self, other: Square) -> bool:
        """Whether the two share a pixel."""
        return (
            abs(2 * self.top + self.side - 2 * other.top - other.side) < self.side + other.side
            and abs(2 * self.left + self.side - 2 * other.left - other.side) < self.side + other.side
        )

    @property
    def box(self) -> Box:
        """As a record."""
        return Box(top=self.top, left=self.left, bottom=self.top + self.side, right=self.left + self.side)


@dataclass(frozen=True)
class Film:
    """A film and where its breast is.

    Args:
        row: its row of the manifest.
        shape: rows and columns.
        packed: breast mask, eight pixels a byte.
        bounds: first row, first column, rows and columns of the breast's bounding box.
        wall_right: whether the chest wall is on the right.
    """

    row: ManifestRow
    shape: tuple[int, int]
    packed: NDArray[np.uint8]
    bounds: tuple[int, int, int, int]
    wall_right: bool

    @classmethod
    def read(cls, manifest: Manifest, row: ManifestRow) -> Film:
        """The film of that row."""
        mammogram = read_mammogram(manifest.file(row))
        rows = np.flatnonzero(mammogram.breast.any(axis=1))
        columns = np.flatnonzero(mammogram.breast.any(axis=0))
        bounds = (int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
        packed = np.packbits(mammogram.breast, axis=1)
        return cls(row, mammogram.breast.shape, packed, bounds, mammogram.chest_wall == "right")

    def inside(self, square: Square) -> float:
        """Share of the square that lies in the breast."""
        mask = np.unpackbits(self.packed[square.top : square.top + square.side], axis=1)
        return float(mask[:, square.left : square.left + square.side].mean())

    def relative(self, centre: tuple[float, float]) -> tuple[float, float]:
        """Place of a point in the breast's bounding box, (down, from the chest wall), each 0 to 1 inside."""
        top, left, height, width = self.bounds
        across = (centre[1] - left) / width
        return (centre[0] - top) / height, 1 - across if self.wall_right else across

    def absolute(self, place: tuple[float, float]) -> tuple[float, float]:
        """The point of that place: the inverse of `relative`."""
        top, left, height, width = self.bounds
        return top + place[0] * height, left + (1 - place[1] if self.wall_right else place[1]) * width

    def nearest(self, centre: tuple[float, float], side: int, taken: Sequence[Square]) -> Square | None:
        """The square nearest to that centre that lies in the breast and on nothing taken, None where there is none."""
        if side > min(self.shape):
            return None
        reach = LARGEST_SHIFT * side
        tops, lefts = (_starts(middle, side, size) for middle, size in zip(centre, self.shape, strict=True))
        part = np.unpackbits(self.packed[tops[0] : tops[-1] + side], axis=1)[:, lefts[0] : lefts[-1] + side]
        total = np.pad(part.cumsum(0, np.int32).cumsum(1, np.int32), ((1, 0), (1, 0)))
        y, x = (tops - tops[0])[:, None], (lefts - lefts[0])[None, :]
        area = total[y + side, x + side] - total[y, x + side] - total[y + side, x] + total[y, x]
        shift = np.hypot((tops + side / 2 - centre[0])[:, None], (lefts + side / 2 - centre[1])[None, :])
        allowed = (area >= INSIDE * side**2) & (shift <= reach)
        for index in np.flatnonzero(allowed)[np.argsort(shift[allowed], kind="stable")]:
            square = Square(int(tops[index // len(lefts)]), int(lefts[index % len(lefts)]), side)
            if not any(square.overlaps(other) for other in taken):
                return square
        return None


@dataclass(frozen=True)
class RegionPlan:
    """Regions, and what became of the lesions.

    Args:
        rows: rows of the new manifest, paths as in the old one.
        lesions: lesion regions.
        normals: normal regions.
        shifted: lesion regions that are not centred on their lesion, since they would leave breast or film.
        left_out: lesions around which no region lies in the breast.
        without_place: abnormal films without coordinates.
    """

    rows: tuple[ManifestRow, ...]
    lesions: int
    normals: int
    shifted: int
    left_out: int
    without_place: int


def region_manifest(manifest: Manifest, out: Path, seed: int, progress: Progress | None = None) -> Path:
    """Write the manifest of lesion and normal regions and return its path.

    Args:
        manifest: films with boxes, as `import_mini_mias` writes it.
        out: the new manifest, or a folder for it.
        seed: seed of the choice of normal films.
        progress: called with films read and all films.

    Raises:
        InputError: no film has a lesion with a place, or there is no normal film.
    """
    target = out if out.suffix == ".csv" else out / "regions.csv"
    plan = plan_regions(manifest, seed, progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.parent.resolve()
    rows = []
    for row in plan.rows:
        file = manifest.file(row).resolve()
        path = row.path if Path(row.path).is_absolute() else Path(os.path.relpath(file, folder)).as_posix()
        rows.append(row.model_copy(update={"path": path}))
    return write_manifest(target, rows)


def plan_regions(manifest: Manifest, seed: int, progress: Progress | None = None) -> RegionPlan:
    """The regions of a manifest's films, and counts; see `region_manifest`."""
    films = []
    for done, row in enumerate(manifest.rows, start=1):
        films.append(Film.read(manifest, row))
        if progress is not None:
            progress(done, len(manifest.rows))
    abnormal = [film for film in films if film.row.label != "normal"]
    lesions = [(film, box) for film in abnormal for box in film.row.boxes]
    normal = [film for film in films if film.row.label == "normal"]
    if not lesions or not normal:
        raise InputError(f"regions: got {len(lesions)} lesions and {len(normal)} normal films, expected some of both")
    placed = [(film, box, _around(film, box)) for film, box in lesions]
    kept = [(film, box, square) for film, box, square in placed if square is not None]
    matched = _match_normals([(film, square) for film, _, square in kept], normal, np.random.default_rng(seed))
    rows = _numbered([(film, square, "lesion") for film, _, square in kept] + [(*pair, "normal") for pair in matched])
    return RegionPlan(
        rows=tuple(rows),
        lesions=len(kept),
        normals=len(matched),
        shifted=sum(not _is_centred(square, box) for _, box, square in kept),
        left_out=len(lesions) - len(kept),
        without_place=sum(not film.row.boxes for film in abnormal),
    )


def _starts(middle: float, side: int, size: int) -> NDArray[np.int64]:
    """First pixels to try along one axis: the wanted one, kept in the film, and every fourth within reach of it."""
    wanted = int(np.clip(round(middle - side / 2), 0, size - side))
    steps = int(LARGEST_SHIFT * side) // _STEP_PX + 1
    starts = wanted + _STEP_PX * np.arange(-steps, steps + 1)
    return starts[(starts >= 0) & (starts <= size - side)]


def _around(film: Film, box: Box) -> Square | None:
    side = max(round(MARGIN * max(box.bottom - box.top, box.right - box.left)), MINIMUM_PX)
    return film.nearest(box.centre, side, ())


def _is_centred(square: Square, box: Box) -> bool:
    off = (square.top + square.side / 2 - box.centre[0], square.left + square.side / 2 - box.centre[1])
    return max(map(abs, off)) <= 1


def _match_normals(
    lesions: Sequence[tuple[Film, Square]], normal: Sequence[Film], rng: np.random.Generator
) -> list[tuple[Film, Square]]:
    """For each lesion region, regions of normal films at the same place; films used least come first."""
    uses: list[list[Square]] = [[] for _ in normal]
    chosen = []
    # Large regions first: few films have room for them.
    for index in sorted(range(len(lesions)), key=lambda i: -lesions[i][1].side):
        film, square = lesions[index]
        place = film.relative(square.box.centre)
        found = 0
        for pick in sorted(rng.permutation(len(normal)), key=lambda i: len(uses[i])):
            match = normal[pick].nearest(normal[pick].absolute(place), square.side, uses[pick])
            if match is not None:
                uses[pick].append(match)
                chosen.append((normal[pick], match))
                found += 1
            if found == NORMALS_PER_LESION:
                break
    return chosen


def _numbered(regions: Sequence[tuple[Film, Square, str]]) -> list[ManifestRow]:
    """Rows of the regions; each is an exam of its own, since regions of one film differ in label."""
    rows: list[ManifestRow] = []
    count: dict[str, int] = {}
    for film, square, label in sorted(regions, key=lambda region: (region[0].row.image, region[1].top, region[1].left)):
        number = count[film.row.image] = count.get(film.row.image, 0) + 1
        name = f"{film.row.image}-region-{number}"
        boxes = tuple(part for box in film.row.boxes if (part := _overlap(box, square.box)) is not None)
        update = {"exam": name, "image": name, "label": label, "region": square.box, "boxes": boxes}
        rows.append(film.row.model_copy(update=update))
    return rows


def _overlap(box: Box, region: Box) -> Box | None:
    top, left = max(box.top, region.top), max(box.left, region.left)
    bottom, right = min(box.bottom, region.bottom), min(box.right, region.right)
    return Box(top=top, left=left, bottom=bottom, right=right) if top < bottom and left < right else None
