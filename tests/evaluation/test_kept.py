"""Measures that are kept: found again by the run that goes on, by no other, and never half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter

from medproto.errors import InputError
from medproto.evaluation.classification import Interval
from medproto.evaluation.kept import FOLDER, NOT_KEPT, Kept, kept_in
from medproto.training.similarities import Similarities
from tests.factories import input_set


@dataclass(frozen=True)
class Measured:
    """A measure as they are: figures with intervals, some of them not defined."""

    images: int
    share: Interval | None
    steps: tuple[float, ...]


KIND = TypeAdapter(Measured)
FOUND = Measured(3, Interval(0.1 + 0.2, 0.25, 1 / 3), (0.5, 1e-17))


def counted(of: Measured) -> tuple[list[int], Callable[[], Measured]]:
    """A measure, and how often it was taken."""
    calls: list[int] = []

    def make() -> Measured:
        calls.append(1)
        return of

    return calls, make


def test_a_measure_is_taken_once_and_read_to_the_last_digit(tmp_path: Path) -> None:
    calls, make = counted(FOUND)
    for _ in range(2):
        assert Kept(tmp_path / "new", "one").once("stability", KIND, make) == FOUND
    assert len(calls) == 1


def test_a_measure_of_another_origin_or_name_is_not_taken_for_it(tmp_path: Path) -> None:
    calls, make = counted(FOUND)
    for origin, name in (("one", "stability"), ("two", "stability"), ("one", "curves")):
        Kept(tmp_path, origin).once(name, KIND, make)
    assert len(calls) == 3


@pytest.mark.parametrize("damage", [b"", b'{"images": 3', b'{"images": 3, "share": "high", "steps": []}'])
def test_a_damaged_measure_is_taken_anew(tmp_path: Path, damage: bytes) -> None:
    calls, make = counted(FOUND)
    Kept(tmp_path, "one").once("stability", KIND, make)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage)
    assert Kept(tmp_path, "one").once("stability", KIND, make) == FOUND
    assert len(calls) == 2


def test_an_interrupted_measure_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> Measured:
        raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        Kept(tmp_path / "new", "one").once("stability", KIND, interrupted)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("damage", [None, b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", b"x" * 100])
def test_scores_are_kept_to_the_bit_and_taken_anew_where_damaged(tmp_path: Path, damage: bytes | None) -> None:
    scored = Similarities(torch.rand(3, 2), torch.arange(6).view(3, 2), torch.rand(4, 3).T)
    calls: list[int] = []

    def score() -> Similarities:
        calls.append(1)
        return scored

    for _ in range(2):
        found = Kept(tmp_path, "one").scored_once(score)
        assert all(torch.equal(a, b) for a, b in zip(vars(found).values(), vars(scored).values(), strict=True))
        (path,) = tmp_path.iterdir()
        if damage is not None:
            path.write_bytes(damage)
    assert len(calls) == (1 if damage is None else 2)


def test_a_folder_that_cannot_be_written_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"out: cannot write the folder \(Not a directory\), expected one"):
        Kept(tmp_path / "file" / "out", "one").once("stability", KIND, counted(FOUND)[1])


def test_what_is_kept_goes_and_what_is_foreign_stays(tmp_path: Path) -> None:
    kept = Kept(tmp_path / FOLDER, "one")
    kept.once("stability", KIND, counted(FOUND)[1])
    (tmp_path / FOLDER / "notes.txt").write_text("mine")
    kept.forget()
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["notes.txt"]
    (tmp_path / FOLDER / "notes.txt").unlink()
    kept.forget()
    assert list(tmp_path.iterdir()) == []
    NOT_KEPT.forget()


def test_origin_is_the_bundle_the_manifest_and_the_pixels(tmp_path: Path) -> None:
    data = input_set([1, 0])
    others = [
        kept_in(tmp_path, "b", "m", data).origin,
        kept_in(tmp_path, "c", "m", data).origin,
        kept_in(tmp_path, "b", "n", data).origin,
        kept_in(tmp_path, "b", "m", input_set([1, 0], seed=1)).origin,
        kept_in(tmp_path, "b", "m", data.select([1, 0])).origin,
        kept_in(tmp_path, "b", "m", replace(data, labels=1 - data.labels)).origin,
    ]
    assert len(set(others)) == len(others)
    assert kept_in(tmp_path, "b", "m", input_set([1, 0])).origin == others[0]
