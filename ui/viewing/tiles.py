"""The pictures of an exam as the viewer fetches them: what there is, tile by tile, and the maps that lie over them.

1. Every request is let through by the ledger anew: by role, by entry, and not after an erasure.
2. Samples are sent as they are, two bytes each, the lower first: what is shown is what is kept, checked by its digest.
3. Opened pictures stay in memory within `KEPT_BYTES`; nothing is left in a browser's store, for an erasure would not
   reach it there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from audit.service import Actor, Room
from audit.viewing import opened_picture, overlay, picture_digest, seen
from medproto.errors import (
    AccessRefused,
    EntryNotFound,
    EvidenceErased,
    EvidenceMissing,
    LedgerUnavailable,
    MedprotoError,
)
from medproto.pyramid import Pyramid
from ui.opening import opened

#: Compressed pictures that stay opened: a dozen exams of four large views.
KEPT_BYTES: Final = 512 * 1024**2
#: Who sends a request, as the server knows; None for somebody who did not sign in.
Asker = Callable[[Request], Actor | None]
Answer = Callable[[Room, Request], Response]

_STATUS: Final[tuple[tuple[type[MedprotoError], int], ...]] = (
    (AccessRefused, 403),
    (EntryNotFound, 404),
    (EvidenceErased, 410),
    (EvidenceMissing, 404),
    (LedgerUnavailable, 503),
)
_HEADERS: Final = {"Cache-Control": "no-store"}


class Opened:
    """Pictures by their digest, the one used longest ago forgotten first; threads may share it."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Pyramid] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str, open_it: Callable[[], Pyramid]) -> Pyramid:
        """The picture of this digest, opened now where it is not."""
        with self._lock:
            if digest in self._kept:
                self._kept.move_to_end(digest)
                return self._kept[digest]
        picture = open_it()
        with self._lock:
            self._kept[digest] = picture
            while self.size_bytes > self._most_bytes and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return picture

    @property
    def size_bytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(picture.size_bytes for picture in self._kept.values())


def tile_routes(asker: Asker) -> list[BaseRoute]:
    """`/tiles/ENTRY/IMAGE` says what there is, `/LEVEL/ROW/COLUMN` below it are samples; `/maps/ENTRY/PROTOTYPE`."""
    pictures = Opened()

    def head(room: Room, request: Request) -> Response:
        return JSONResponse(_picture(room, request, pictures).head.model_dump(), headers=_HEADERS)

    def tile(room: Room, request: Request) -> Response:
        level, row, column = (int(request.path_params[name]) for name in ("level", "row", "column"))
        samples = _picture(room, request, pictures).tile(level, row, column)
        data = np.ascontiguousarray(samples, "<u2").tobytes()
        return Response(data, headers=_HEADERS, media_type="application/octet-stream")

    def heat(room: Room, request: Request) -> Response:
        entry = seen(room, int(request.path_params["entry"]))
        data = overlay(room, entry, str(request.path_params["prototype"]))
        return Response(data, headers=_HEADERS, media_type="image/png")

    return [
        Route("/tiles/{entry:int}/{image}", _served(head, asker), methods=["GET"]),
        Route("/tiles/{entry:int}/{image}/{level:int}/{row:int}/{column:int}", _served(tile, asker), methods=["GET"]),
        Route("/maps/{entry:int}/{prototype}", _served(heat, asker), methods=["GET"]),
    ]


def _picture(room: Room, request: Request, pictures: Opened) -> Pyramid:
    entry, image = seen(room, int(request.path_params["entry"])), str(request.path_params["image"])
    return pictures.get(picture_digest(entry, image), lambda: opened_picture(room, entry, image))


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
