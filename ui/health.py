"""`GET /healthz`: whether the ledger can be read, how far it goes, and which software answers. Nothing secret."""

from __future__ import annotations

import platform

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

import medproto
from audit.service import ledger_head
from medproto.errors import MedprotoError
from ui.opening import opened


async def healthz(_request: Request) -> JSONResponse:
    """200 with the head of the ledger, or 503 where there is none to read; why is not said, for anybody may ask."""
    versions = {"medproto": medproto.__version__, "python": platform.python_version()}
    try:
        size, root = await run_in_threadpool(_head)
    except MedprotoError as err:
        unread = {"status": "unavailable", "error": type(err).__name__, "versions": versions}
        return JSONResponse(unread, 503, {"Cache-Control": "no-store"})
    found = {"status": "ok", "ledger": {"entries": size, "root": root}, "versions": versions}
    return JSONResponse(found, 200, {"Cache-Control": "no-store"})


def _head() -> tuple[int, str]:
    with opened() as room:
        return ledger_head(room)
