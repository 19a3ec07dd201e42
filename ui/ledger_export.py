"""`GET /ledger/export`: the ledger as a file that proves itself, written to the disk and sent from there in pieces.

Whoever may not have it is turned away, and that is an entry. The file is whole before its first byte is sent, so that
an entry that cannot be proved is a sentence and no file, and a slow line does not hold the database.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from audit.access import require
from audit.export import export_ledger
from audit.service import Actor
from medproto.errors import AccessRefused, AuditError, LedgerUnavailable, MedprotoError
from ui.opening import opened, sentence

ADDRESS: Final = "/ledger/export"
_PIECE: Final = 2**20
_FILE: Final = "ledger.jsonl"
_STATUS: Final[tuple[tuple[type[MedprotoError], int], ...]] = ((AccessRefused, 403), (LedgerUnavailable, 503))
_HEADERS: Final = {"Cache-Control": "no-store"}


def export_route(asker: Callable[[Request], Actor | None]) -> Route:
    """The route; `asker` knows who sends a request."""

    async def endpoint(request: Request) -> Response:
        actor = asker(request)
        if actor is None:
            return PlainTextResponse("Sign in first.", 401, headers=_HEADERS)
        return await run_in_threadpool(_answer, actor)

    return Route(ADDRESS, endpoint, methods=["GET"])


def _answer(actor: Actor) -> Response:
    try:
        file = _exported(actor)
    except MedprotoError as err:
        status = next((code for kind, code in _STATUS if isinstance(err, kind)), 500)
        return PlainTextResponse(sentence(err), status, headers=_HEADERS)
    length = str(os.fstat(file.fileno()).st_size)
    headers = {**_HEADERS, "Content-Length": length, "Content-Disposition": f'attachment; filename="{_FILE}"'}
    return StreamingResponse(_pieces(file), headers=headers, media_type="application/jsonl")


def _exported(actor: Actor) -> IO[bytes]:
    """Every entry with its path to the newest checkpoint, in a file that is gone when it is closed.

    Raises:
        MedprotoError: somebody may not have it, it cannot be proved, or there is no room for the file.
    """
    try:
        with opened().held_by(actor) as room, tempfile.TemporaryDirectory() as folder:
            require(room, "export", actor)
            path = Path(folder, _FILE)
            export_ledger(room, path, 1, lambda done, total: None)
            return path.open("rb")
    except OSError as err:
        raise AuditError(f"export: the server has no place for the file ({err.strerror})") from err


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
