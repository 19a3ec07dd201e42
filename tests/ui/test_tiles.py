"""What the viewer fetches is what is kept, sample by sample, and nobody gets it who may not see the exam."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.testclient import TestClient
from streamlit.web.server.starlette.starlette_app import create_streamlit_middleware

from audit.blind import give_first_opinion
from audit.erasure import erase
from audit.evidence import sealed_of
from audit.service import Actor, Entry, LedgerFilter, Room, ledger_page, open_room, prediction
from medproto import pyramid
from medproto.ingest.greys import Samples
from medproto.pyramid import Pyramid
from tests.ui.deep import GREYS, samples_of, score_deep
from ui.blind import BLIND_VARIABLE
from ui.viewing.tiles import Opened, tile_routes

READER = Actor("grace.reader", "reader")
AUDITOR = Actor("lise.auditor", "auditor")


@pytest.fixture
def deep(home: Path) -> Entry:
    """A scored exam with pictures in full depth."""
    return score_deep(home)


@pytest.fixture
def room(home: Path, deep: Entry) -> Room:
    """The room that holds it."""
    return open_room(home)


def asking(actor: Actor | None, pictures: Opened | None = None) -> TestClient:
    """The routes, asked by somebody."""
    asker: Callable[[Request], Actor | None] = lambda request: actor  # noqa: E731
    return TestClient(Starlette(routes=tile_routes(asker, Opened() if pictures is None else pictures)))


def parts_of(content: bytes) -> dict[str, tuple[dict[str, Any], bytes]]:
    """The parts of an answer by their ids: what is told of each, and its bytes."""
    line, _, rest = content.partition(b"\n")
    parts = {}
    for told in json.loads(line):
        parts[told["id"]], rest = (told, rest[: told["bytes"]]), rest[told["bytes"] :]
    assert not rest
    return parts


def whole(client: TestClient, number: int, image: str, level: int) -> Samples:
    """A level of a picture, put together from its tiles."""
    head, address = parts_of(client.get(f"/tiles/{number}").content)[image][0]["head"], f"/tiles/{number}/{image}"
    size, tile = head["levels"][level], head["tile"]
    rows = []
    for row in range(-(-size["rows"] // tile)):
        line = []
        for column in range(-(-size["columns"] // tile)):
            height, width = (min(tile, size[n] - at * tile) for n, at in (("rows", row), ("columns", column)))
            data = client.get(f"{address}/{level}/{row}/{column}").content
            line.append(np.frombuffer(data, "<u2").reshape(height, width))
        rows.append(line)
    return np.block(rows)


def test_tiles_are_the_kept_samples_exactly(deep: Entry, room: Room) -> None:
    _, record = prediction(room, deep.number)
    client = asking(READER)
    for place, image in enumerate(record.images):
        expected = samples_of(place)
        for level in range(2):
            np.testing.assert_array_equal(whole(client, deep.number, image.image_id, level), expected)
            expected = pyramid.halved(expected)


def test_an_exam_without_full_depth_is_shown_from_its_preview(exams: dict[str, Entry], home: Path) -> None:
    entry = exams["flagged"]
    with open_room(home) as room:
        _, record = prediction(room, entry.number)
        image = record.images[0]
        expected = pyramid.of_preview(room.picture(entry, image.preview)).tile(0, 0, 0)
    got = whole(asking(READER), entry.number, image.image_id, 0)
    np.testing.assert_array_equal(got, expected)


def test_all_views_come_in_one_answer_with_the_smallest_level_of_each(deep: Entry, room: Room) -> None:
    _, record = prediction(room, deep.number)
    client = asking(READER)
    parts = parts_of(client.get(f"/tiles/{deep.number}").content)
    assert list(parts) == [image.image_id for image in record.images]
    for image, (told, data) in parts.items():
        last = len(told["head"]["levels"]) - 1
        assert data == client.get(f"/tiles/{deep.number}/{image}/{last}/0/0").content


def test_a_view_that_is_missing_keeps_no_other_back(deep: Entry, room: Room) -> None:
    _, record = prediction(room, deep.number)
    first, second, *_ = record.images
    room.evidence.remove(sealed_of(deep.payload)[str(first.full_depth)])
    parts = parts_of(asking(READER).get(f"/tiles/{deep.number}").content)
    assert (parts[first.image_id][0]["failure"].endswith("absent"), parts[first.image_id][1]) == (True, b"")
    assert "failure" not in parts[second.image_id][0]


def test_maps_are_the_kept_pictures(deep: Entry, room: Room) -> None:
    entry, record = prediction(room, deep.number)
    maps = {match.prototype_id: str(match.overlay) for match in record.matches if match.overlay}
    asked = [("prototype", name) for name in (*maps, "of nobody")]
    parts = parts_of(asking(READER).get(f"/maps/{deep.number}", params=asked).content)
    assert len(maps) > 1
    assert {name: parts[name][1] for name in maps} == {name: room.picture(entry, maps[name]) for name in maps}
    assert "none of its matches by that id" in parts["of nobody"][0]["failure"]


def test_nobody_sees_an_exam_who_did_not_sign_in_or_is_not_for_it(deep: Entry, room: Room) -> None:
    _, record = prediction(room, deep.number)
    tile = f"/tiles/{deep.number}/{record.images[0].image_id}/0/0/0"
    for address in (f"/tiles/{deep.number}", tile, f"/maps/{deep.number}?prototype=p000"):
        assert asking(None).get(address).status_code == 401
        assert asking(Actor("mallory", "nobody")).get(address).status_code == 403
    refused = ledger_page(room, LedgerFilter(kind="access refused")).entries
    assert {entry.actor for entry in refused} == {"mallory"}


@pytest.mark.parametrize(
    "part, said",
    [
        ("{n}/image-of-nobody/0/0/0", "none of its images"),
        ("99", "none of that number"),
        ("1", "expected a prediction"),
        ("1/{image}/0/0/0", "expected a prediction"),
        ("{n}/{image}/0/9/0", "got row 9 and column 0"),
        ("{n}/{image}/7/0/0", "got level 7"),
    ],
)
def test_what_is_not_there_is_a_sentence(deep: Entry, room: Room, part: str, said: str) -> None:
    _, record = prediction(room, deep.number)
    answer = asking(READER).get(f"/tiles/{part.format(n=deep.number, image=record.images[0].image_id)}")
    assert answer.status_code == 404
    assert said in answer.text


def test_an_erased_exam_is_gone_also_where_its_picture_was_open(deep: Entry, room: Room) -> None:
    _, record = prediction(room, deep.number)
    client, address = asking(READER), f"/tiles/{deep.number}"
    assert client.get(address).status_code == 200
    erase(room, record.patient_id, "request", Actor("admin", "administrator"))
    answer = client.get(address)
    assert answer.status_code == 410
    assert "erased by entry" in answer.text


@pytest.mark.parametrize("asked", ["the erased exam", "another exam"])
def test_pictures_of_an_erased_patient_leave_the_memory(
    deep: Entry, exams: dict[str, Entry], room: Room, asked: str
) -> None:
    other, pictures = exams["flagged"], Opened()
    client = asking(READER, pictures)
    _, record = prediction(room, deep.number)
    address = f"/tiles/{deep.number}"
    client.get(address)
    assert pictures.size_bytes > 0
    erase(room, record.patient_id, "request", Actor("admin", "administrator"))
    _, second = prediction(room, other.number)
    client.get(address if asked == "the erased exam" else f"/tiles/{other.number}")
    held = pictures.size_bytes
    pictures.forget([second.patient_id])
    assert (held > 0, pictures.size_bytes) == (asked == "another exam", 0)


def test_a_blind_reader_gets_no_map_before_their_opinion(
    exams: dict[str, Entry], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BLIND_VARIABLE, "1")
    number = exams["flagged"].number
    with open_room(home) as room:
        _, record = prediction(room, number)
        views = f"/tiles/{number}"
        maps = f"/maps/{number}?prototype={record.matches[0].prototype_id}"
        refused = asking(READER).get(maps)
        assert refused.status_code == 403
        assert refused.text.endswith("is shown once your own opinion is signed")
        assert asking(READER).get(views).status_code == 200
        assert asking(AUDITOR).get(maps).status_code == 200
        give_first_opinion(room, number, True, Actor("other.reader", "reader"))
        assert asking(READER).get(maps).status_code == 403
        give_first_opinion(room, number, True, READER)
        (_, data) = parts_of(asking(READER).get(maps).content)[record.matches[0].prototype_id]
        assert data.startswith(b"\x89PNG")


def test_samples_are_sent_as_they_are_though_the_browser_takes_them_compressed(deep: Entry, room: Room) -> None:
    _, record = prediction(room, deep.number)
    address = f"/tiles/{deep.number}/{record.images[0].image_id}/0/0/0"
    asker: Callable[[HTTPConnection], Actor | None] = lambda request: READER  # noqa: E731
    served = Starlette(routes=tile_routes(asker, Opened()), middleware=create_streamlit_middleware())
    answer = TestClient(served).get(address, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "identity"
    assert len(answer.content) == 2 * 512**2


def test_a_browser_keeps_nothing(deep: Entry, room: Room) -> None:
    _, record = prediction(room, deep.number)
    answer = asking(READER).get(f"/tiles/{deep.number}/{record.images[0].image_id}/0/0/0")
    assert answer.headers["cache-control"] == "no-store"


def test_a_room_that_went_away_is_a_sentence(deep: Entry, home: Path) -> None:
    home.rename(home.with_name("away"))
    assert asking(READER).get(f"/tiles/{deep.number}").status_code == 503


def test_opened_pictures_stay_within_their_bytes() -> None:
    one = pyramid.decode(pyramid.encode(samples_of(0), GREYS))
    opened, read = Opened(2 * one.size_bytes), list[str]()

    def reading(name: str) -> Pyramid:
        return opened.get(name, None, lambda: (read.append(name), one)[1])

    for name in ("a", "b", "a", "c", "a", "b"):
        assert reading(name) is one
    assert read == ["a", "b", "c", "b"]
    assert opened.size_bytes <= 2 * one.size_bytes
