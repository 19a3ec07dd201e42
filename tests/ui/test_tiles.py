"""What the viewer fetches is what is kept, sample by sample, and nobody gets it who may not see the exam."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from audit.erasure import erase
from audit.service import Actor, Entry, LedgerFilter, Room, ledger_page, open_room, prediction
from medproto import pyramid
from medproto.ingest.greys import Samples
from medproto.pyramid import Pyramid
from tests.ui.deep import GREYS, samples_of, score_deep
from ui.viewing.tiles import Opened, tile_routes

READER = Actor("grace.reader", "reader")


@pytest.fixture
def deep(home: Path) -> Entry:
    """A scored exam with pictures in full depth."""
    return score_deep(home)


@pytest.fixture
def room(home: Path, deep: Entry) -> Room:
    """The room that holds it."""
    return open_room(home)


def asking(actor: Actor | None) -> TestClient:
    """The routes, asked by somebody."""
    asker: Callable[[Request], Actor | None] = lambda request: actor  # noqa: E731
    return TestClient(Starlette(routes=tile_routes(asker)))


def whole(client: TestClient, address: str, level: int) -> Samples:
    """A level of a picture, put together from its tiles."""
    head = client.get(address).json()
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
            address = f"/tiles/{deep.number}/{image.image_id}"
            np.testing.assert_array_equal(whole(client, address, level), expected)
            expected = pyramid.halved(expected)


def test_an_exam_without_full_depth_is_shown_from_its_preview(exams: dict[str, Entry], home: Path) -> None:
    entry = exams["flagged"]
    with open_room(home) as room:
        _, record = prediction(room, entry.number)
        image = record.images[0]
        expected = pyramid.of_preview(room.picture(entry, image.preview)).tile(0, 0, 0)
    got = whole(asking(READER), f"/tiles/{entry.number}/{image.image_id}", 0)
    np.testing.assert_array_equal(got, expected)


def test_maps_are_the_kept_pictures(deep: Entry, room: Room) -> None:
    entry, record = prediction(room, deep.number)
    match = next(match for match in record.matches if match.overlay)
    answer = asking(READER).get(f"/maps/{deep.number}/{match.prototype_id}")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == room.picture(entry, str(match.overlay))


def test_nobody_sees_an_exam_who_did_not_sign_in_or_is_not_for_it(deep: Entry, room: Room) -> None:
    _, record = prediction(room, deep.number)
    for address in (f"/tiles/{deep.number}/{record.images[0].image_id}", f"/maps/{deep.number}/p000"):
        assert asking(None).get(address).status_code == 401
        assert asking(Actor("mallory", "nobody")).get(address).status_code == 403
    refused = ledger_page(room, LedgerFilter(kind="access refused")).entries
    assert {entry.actor for entry in refused} == {"mallory"}


@pytest.mark.parametrize(
    "part, said",
    [
        ("{n}/image-of-nobody", "none of its images"),
        ("99/{image}", "none of that number"),
        ("1/{image}", "expected a prediction"),
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
    client, address = asking(READER), f"/tiles/{deep.number}/{record.images[0].image_id}"
    assert client.get(address).status_code == 200
    erase(room, record.patient_id, "request", Actor("admin", "administrator"))
    answer = client.get(address)
    assert answer.status_code == 410
    assert "erased by entry" in answer.text


def test_a_browser_keeps_nothing(deep: Entry, room: Room) -> None:
    _, record = prediction(room, deep.number)
    answer = asking(READER).get(f"/tiles/{deep.number}/{record.images[0].image_id}/0/0/0")
    assert answer.headers["cache-control"] == "no-store"


def test_a_room_that_went_away_is_a_sentence(deep: Entry, home: Path) -> None:
    home.rename(home.with_name("away"))
    assert asking(READER).get(f"/tiles/{deep.number}/image").status_code == 503


def test_opened_pictures_stay_within_their_bytes() -> None:
    one = pyramid.decode(pyramid.encode(samples_of(0), GREYS))
    opened, read = Opened(2 * one.size_bytes), list[str]()

    def reading(name: str) -> Pyramid:
        return opened.get(name, lambda: (read.append(name), one)[1])

    for name in ("a", "b", "a", "c", "a", "b"):
        assert reading(name) is one
    assert read == ["a", "b", "c", "b"]
    assert opened.size_bytes <= 2 * one.size_bytes
