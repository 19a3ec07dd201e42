"""The pictures of an exam as the viewer fetches them: what there is, tile by tile, and the maps that lie over them.

What is needed to show an exam comes in one answer for all its views, and one for its maps: an answer costs the server
as much for being asked as for what it holds. Such an answer is a line of JSON, a list that tells of every part its
`id`, its length in `bytes`, and what else there is to say of it, or the `failure` for which it is not there; then
come the parts, one after the other.

1. Every request is let through by the ledger anew: by role, by entry, and not after an erasure.
2. Samples are sent as they are, two bytes each, the lower first: what is shown is what is kept, checked by its digest.
3. Opened pictures stay in memory within `KEPT_BYTES`, and no longer than their patient is known: an erasure is met at
   the next picture that is opened, whosever it is. Nothing is left in a browser's store, where it would not reach.
4. Where the room is read blind first, a map is the model's result, and is handed out after the opinion alone.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from audit.blind import refuse_kept_back
from audit.evidence import patient_of
from audit.service import Actor, Entry, Room
from audit.viewing import Read, image_ids, opened_picture, overlay, picture_digest, seen
from medproto.errors import (
    AccessRefused,
    EntryNotFound,
    EvidenceErased,
    EvidenceMissing,
    LedgerUnavailable,
    MedprotoError,
)
from medproto.ingest.greys import Samples
from medproto.pyramid import Pyramid
from ui.blind import read_blind
from ui.opening import opened

#: Compressed pictures that stay opened: a dozen exams of four large views.
KEPT_BYTES: Final = 512 * 1024**2
#: Who sends a request, as the server knows; None for somebody who did not sign in.
Asker = Callable[[Request], Actor | None]
Answer = Callable[[Room, Request], Response]
#: What is told of a part of an answer, and its bytes.
Part = tuple[dict[str, Any], bytes]

_STATUS: Final[tuple[tuple[type[MedprotoError], int], ...]] = (
    (AccessRefused, 403),
    (EntryNotFound, 404),
    (EvidenceErased, 410),
    (EvidenceMissing, 404),
    (LedgerUnavailable, 503),
)
_HEADERS: Final = {"Cache-Control": "no-store"}
#: Samples with a film's noise lose a third when they are compressed, which takes six times as long as decoding them:
#: what names its coding is left alone by the server's compression.
_AS_IT_IS: Final = {"Content-Encoding": "identity"}


class Opened:
    """Pictures by their digest, the one used longest ago forgotten first; threads may share it."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, tuple[str | None, Pyramid]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str, patient: str | None, open_it: Callable[[], Pyramid]) -> Pyramid:
        """The picture of this digest, opened now where it is not, and kept as that patient's."""
        with self._lock:
            if digest in self._kept:
                self._kept.move_to_end(digest)
                return self._kept[digest][1]
        picture = open_it()
        with self._lock:
            self._kept[digest] = (patient, picture)
            while self.size_bytes > self._most_bytes and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return picture

    def forget(self, patients: Collection[str]) -> None:
        """Let go of every picture of these patients."""
        with self._lock:
            for digest in [digest for digest, (patient, _) in self._kept.items() if patient in patients]:
                del self._kept[digest]

    @property
    def size_bytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(picture.size_bytes for _, picture in self._kept.values())


def tile_routes(asker: Asker, pictures: Opened) -> list[BaseRoute]:
    """All views of `/tiles/ENTRY`, tiles `/IMAGE/LEVEL/ROW/COLUMN` below it, and `/maps/ENTRY?prototype=…`."""

    def views(room: Room, request: Request) -> Response:
        asked = _asked(room, request, pictures)
        return _parts({image: partial(_view, asked, image) for image in image_ids(asked.entry)})

    def tile(room: Room, request: Request) -> Response:
        level, row, column = (int(request.path_params[name]) for name in ("level", "row", "column"))
        picture = _asked(room, request, pictures).picture(str(request.path_params["image"]))
        return _bytes(_plain(picture.tile(level, row, column)))

    def maps(room: Room, request: Request) -> Response:
        asked = _asked(room, request, pictures)
        if read_blind():
            refuse_kept_back(room, asked.entry.number)  # 4
        return _parts({name: partial(_map, asked, name) for name in request.query_params.getlist("prototype")})

    return [
        Route("/tiles/{entry:int}", _served(views, asker), methods=["GET"]),
        Route("/tiles/{entry:int}/{image}/{level:int}/{row:int}/{column:int}", _served(tile, asker), methods=["GET"]),
        Route("/maps/{entry:int}", _served(maps, asker), methods=["GET"]),
    ]


@dataclass(frozen=True)
class _Asked:
    """An exam that may be looked at, what reads its pictures, and those that are open."""

    room: Room
    entry: Entry
    read: Read
    pictures: Opened

    def picture(self, image: str) -> Pyramid:
        """One of its pictures; before it is opened those of the erased go."""

        def open_it() -> Pyramid:
            self.pictures.forget(self.room.erasures())
            return opened_picture(self.entry, image, self.read)

        return self.pictures.get(picture_digest(self.entry, image), patient_of(self.entry.payload), open_it)


def _asked(room: Room, request: Request, pictures: Opened) -> _Asked:
    """The exam that is asked for; where it was erased, the pictures of the erased go."""
    try:
        entry = seen(room, int(request.path_params["entry"]))
    except EvidenceErased:
        pictures.forget(room.erasures())
        raise
    return _Asked(room, entry, room.pictures(entry), pictures)


def _view(asked: _Asked, image: str) -> Part:
    """What there is of one view, and the samples of its smallest level, which is a single tile."""
    picture = asked.picture(image)
    return {"head": picture.head.model_dump()}, _plain(picture.tile(len(picture.head.levels) - 1, 0, 0))


def _map(asked: _Asked, prototype: str) -> Part:
    return {}, overlay(asked.entry, prototype, asked.read)


def _plain(samples: Samples) -> bytes:
    return np.ascontiguousarray(samples, "<u2").tobytes()


def _parts(parts: Mapping[str, Callable[[], Part]]) -> Response:
    """One answer for all of them; a part that is missing or altered keeps none of the others back."""
    told, held = [], []
    for name, read in parts.items():
        try:
            about, data = read()
        except EvidenceErased:
            raise
        except EvidenceMissing as err:
            about, data = {"failure": str(err)}, b""
        told.append(about | {"id": name, "bytes": len(data)})
        held.append(data)
    return _bytes(b"\n".join((json.dumps(told).encode("ascii"), b"".join(held))))


def _bytes(data: bytes) -> Response:
    return Response(data, headers=_HEADERS | _AS_IT_IS, media_type="application/octet-stream")


def _served(answer: Answer, asker: Asker) -> Callable[[Request], Awaitable[Response]]:
    """The answer to a request, in a thread of its own; what cannot be shown is one sentence and a status."""

    def answered(request: Request, actor: Actor) -> Response:
        try:
            with opened() as room:
                return answer(room.held_by(actor), request)
        except MedprotoError as err:
            status = next((code for kind, code in _STATUS if isinstance(err, kind)), 500)
            return PlainTextResponse(str(err), status, headers=_HEADERS)

    async def endpoint(request: Request) -> Response:
        actor = asker(request)
        if actor is None:
            return PlainTextResponse("Sign in first.", 401, headers=_HEADERS)
        return await run_in_threadpool(answered, request, actor)

    return endpoint
