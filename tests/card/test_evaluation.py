"""An evaluation as a card reads it: of its bundle alone, whatever parts it lacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medproto.card.evaluation import read_evaluation
from medproto.card.markdown import markdown
from medproto.errors import InputError
from tests.card.factory import Written, section, words_of

#: Parts of an evaluation without which there is a card all the same.
PARTS = ("auroc", "units", "calibration", "abstention", "unlike_training", "subgroups", "quality", "top1_in_lesion")


@pytest.mark.parametrize("key", PARTS)
@pytest.mark.parametrize("value", [..., None], ids=["absent", "null"])
def test_a_part_that_is_missing_costs_no_card(written: Written, key: str, value: object) -> None:
    card = written.card(**{key: value})
    assert markdown(card)
    if key in ("calibration", "abstention", "subgroups", "quality"):
        title = next(one.title for one in card.sections if key in one.title and one.title.startswith("Results"))
        assert words_of(section(card, title)) == "Not measured in this evaluation."


def test_a_measure_that_the_card_does_not_know_is_shown_as_it_is(written: Written) -> None:
    drift = {"films": 8, "seen": {"value": 1.0, "low": 0.676, "high": 1.0}, "sets": [{"name": "blur", "n": 3}]}
    found = words_of(section(written.card(drift=drift), "Results: further measures"))
    assert "films | 8\nseen | 1.000 (0.676 to 1.000)" in found
    assert "drift: sets | name | n\n1 | blur | 3" in found


def test_evaluation_of_another_bundle_is_refused(written: Written, tmp_path: Path) -> None:
    other = tmp_path / "evaluation.json"
    other.write_text(json.dumps(written.content() | {"bundle_id": "f" * 64}), encoding="utf-8")
    with pytest.raises(InputError, match=f"got one of bundle ffffffffffff…, expected one of bundle {'.' * 12}…, which"):
        read_evaluation(other, written.trained.bundle_id)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no JSON", "got no readable JSON, expected the evaluation.json"),
        (b"\xff", "got no readable JSON"),
        (b'{"bundle_id": NaN}', "got no readable JSON"),
        (b"[" * 100_000, "got no readable JSON"),
        (b"[1]", "got JSON without 'bundle_id'"),
        (b'{"bundle_id": 3}', "got JSON without 'bundle_id'"),
        (b'{"bundle_id": "Jane Doe"}', "got one of bundle with another kind of id, expected"),
    ],
)
def test_what_is_no_evaluation_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        read_evaluation(tmp_path, "0" * 64)
    assert "Jane" not in str(caught.value)


def test_an_evaluation_that_is_not_there_is_one_sentence_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^evaluation: cannot be read \(no such file or directory\), expected"):
        read_evaluation(tmp_path / "Jane-Doe.json", "0" * 64)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("exams", "many", "got something else at 'exams', expected a whole number"),
        ("exams", ..., "got nothing at 'exams', expected a whole number"),
        ("quality", 3, "got something else at 'quality', expected keys and values"),
        ("subgroups", [3], "got something else at 'subgroups', expected a list"),
        ("subgroups", [{"field": 3}], "got something else at 'subgroups.0.field', expected a text"),
        ("left_out", [3], "got something else at 'left_out', expected a list of texts"),
        ("calibration", {"slope": "steep"}, "got something else at 'calibration.slope', expected a number"),
    ],
)
def test_a_value_of_another_kind_is_named_by_its_place(
    written: Written, key: str, value: object, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        written.card(**{key: value})
