"""Scores of other models: read whole or refused in one sentence, and compared on the same draws of patients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medproto.bundle import Bundle
from medproto.errors import InputError
from medproto.evaluation.beside import Other, compare, read_beside
from medproto.evaluation.held_out import HeldOut, score_held_out
from tests.factories import Trained, read_cohort, train_tiny

HEAD = "method,exam,score\n"
#: The exams of the split.
FIRST, SECOND = "tiny-12-exam", "tiny-13-exam"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture(scope="module")
def held(trained: Trained) -> HeldOut:
    """Six exams that it saw no patch of, two of them for testing."""
    bundle: Bundle = trained.bundle()
    return score_held_out(bundle, trained.manifest, "test", read_cohort(trained.manifest).split("test"))


def written(folder: Path, text: str) -> Path:
    """The table as a file."""
    path = folder / "scores.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_methods_are_read_in_the_order_of_their_first_rows(trained: Trained, tmp_path: Path) -> None:
    rows = (f"1e-3,{SECOND},black box", f"2,{FIRST},published", f"-1,{FIRST},black box", f"3,{SECOND},published")
    text = "\ufeffscore,exam,method\n" + "\n".join(rows)
    assert read_beside(written(tmp_path, text), trained.manifest, "test") == (
        Other("black box", {SECOND: 0.001, FIRST: -1.0}),
        Other("published", {FIRST: 2.0, SECOND: 3.0}),
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "row 1: got other columns, expected method, exam, score and no more"),
        ("method,exam\n", "row 1: got other columns"),
        ("method,exam,score,score\n", "row 1: got other columns"),
        (HEAD, "row 2: got none, expected a score for each exam of split 'test'"),
        (HEAD + f"a,{FIRST}\n", "row 2: got 2 cells, expected 3"),
        (HEAD + f"a,{FIRST},1\na,tiny-01-exam,1\n", "row 3, column exam: got none of split 'test', expected one"),
        (HEAD + f"a,{FIRST},1\na,{FIRST},1\n", "row 3, column exam: got a second score of that method"),
        (HEAD + f"a,{FIRST},high\n", "row 2, column score: got no finite number, expected one"),
        (HEAD + f"a,{FIRST},nan\n", "row 2, column score: got no finite number, expected one"),
        (HEAD + f" ,{FIRST},1\n", "row 2, column method: got no printable name, expected one"),
        (HEAD + f"a,{FIRST},1\n", "column exam: got rows of method 1 for 1 of the 2 exams of split 'test'"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_by_row_and_column(
    trained: Trained, tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=f"^beside: {sentence}") as caught:
        read_beside(written(tmp_path, text), trained.manifest, "test")
    assert "tiny-" not in str(caught.value)


def test_a_file_that_is_no_table_is_told_in_one_sentence(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"beside: cannot read the file \(No such file or directory\), expected a CSV"):
        read_beside(tmp_path / "none.csv", trained.manifest, "test")
    (tmp_path / "scores.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="beside: got a file that is no table in UTF-8 text, expected a CSV file"):
        read_beside(tmp_path / "scores.csv", trained.manifest, "test")


def test_the_difference_is_paired(held: HeldOut) -> None:
    """Sixty exams, each another patient: where the method has our scores there is no difference in any draw."""
    generator = np.random.default_rng(0)
    positive = np.arange(60) % 2 == 0
    margins = 2 * positive + generator.standard_normal(60)
    names = tuple(f"p{i}" for i in range(60))
    rows = [replace(held.data.sources[0], row=held.data.sources[0].row.model_copy(update={"exam": n})) for n in names]
    data = replace(held.data, sources=tuple(rows), bags=torch.arange(60))
    many = replace(held, data=data, exams=replace(held.exams, margins=margins, positive=positive, patients=names))
    ours = dict(zip(names, margins.tolist(), strict=True))
    chance = dict(zip(names, generator.standard_normal(60).tolist(), strict=True))
    same, worse = compare(
        many, [Other("same", {name: 2 * score for name, score in ours.items()}), Other("none", chance)]
    )
    assert (same.difference.value, same.difference.low, same.difference.high) == (0, 0, 0)
    assert worse.exams == 60
    assert worse.difference.low > 0
    assert worse.auroc.low < 0.5 < worse.auroc.high
