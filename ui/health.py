"""`GET /healthz`: whether the ledger can be read and how far it goes, disk, queue, and software. Nothing secret."""

from __future__ import annotations

import platform
import shutil
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

import medproto
from audit.service import ledger_head
from medproto.errors import MedprotoError
from ui.importing import waits
from ui.opening import home, opened


async def healthz(_request: Request) -> JSONResponse:
    """200 with the head of the ledger, or 503 where there is none to read; why is not said, for anybody may ask."""
    status, said = await run_in_threadpool(_health)
    said["versions"] = {"medproto": medproto.__version__, "python": platform.python_version()}
    return JSONResponse(said, status, {"Cache-Control": "no-store"})


def _health() -> tuple[int, dict[str, Any]]:
    try:
        size, root = _head()
    except MedprotoError as err:
        return 503, {"status": "unavailable", "error": type(err).__name__}
    return 200, {
        "status": "ok",
        "ledger": {"entries": size, "root": root},
        "disk": {"free_bytes": shutil.disk_usage(home()).free},
        "imports": {"under_way": len(waits(home()))},
    }


def _head() -> tuple[int, str]:
    with opened() as room:
        return ledger_head(room)
