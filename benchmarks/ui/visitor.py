"""One reader at one browser, as the server sees them: cookie, websocket, and the requests of the viewer.

No browser is run: this speaks the protocol of Streamlit's own page and fetches what the viewer's scripts fetch, over
as many connections as a browser opens. What is left out is what a browser does by itself: drawing.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Final
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

#: A view's place on a page of 1280 x 800 with four views, in pixels: it decides which level of a picture is fetched.
PANE: Final = (300, 280)
CONNECTIONS: Final = 6
_LONGEST_MESSAGE: Final = 64 * 2**20


@dataclass(frozen=True)
class Seen:
    """What came for one opening.

    Args:
        seconds: from asking until the script had ended and every picture was there.
        page_seconds: until the script had ended.
        text: all that the page says, as it was sent.
        stamps: corner sample of every view's smallest level, in the order of the wall.
        requests: how many answers the pictures and maps came in.
    """

    seconds: float
    page_seconds: float
    text: bytes
    stamps: tuple[int, ...]
    requests: int


class Unanswered(Exception):
    """The server answered something else than it should."""


class Browser:
    """The connections of one browser, which asks with its cookie."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie = ""
        # The one used last is taken first.
        self._idle: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            self._idle.put_nowait(None)

    async def sign_in(self, name: str, password: str) -> None:
        """Come in through the door."""
        form = urlencode({"name": name, "password": password, "next": "/"}).encode("ascii")
        status, headers, _ = await self._ask("POST", "/auth/sign-in", form)
        if status != 303:
            raise Unanswered(f"sign-in: got {status}, expected 303")
        self.cookie = headers["set-cookie"].partition(";")[0]

    async def get(self, path: str) -> bytes:
        """The body behind a path."""
        status, _, body = await self._ask("GET", path, b"")
        if status != 200:
            raise Unanswered(f"{path}: got {status}, expected 200")
        return body

    @property
    def origin(self) -> str:
        """Where this browser is, as it tells the server."""
        return f"http://127.0.0.1:{self.port}"

    async def close(self) -> None:
        """Close every connection."""
        while not self._idle.empty():
            held = self._idle.get_nowait()
            if held is not None:
                held[1].close()

    async def _ask(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Origin: {self.origin}"]
        lines += [f"Cookie: {self.cookie}", "Accept-Encoding: gzip, deflate, br", f"Content-Length: {len(body)}"]
        request = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
        held = await self._idle.get()
        try:
            if held is not None:
                try:
                    return await _sent(held, request)
                except (ConnectionError, asyncio.IncompleteReadError):
                    pass  # the server closes what was idle for some seconds: a browser asks anew then
            held = await asyncio.open_connection("127.0.0.1", self.port)
            return await _sent(held, request)
        except BaseException:
            held = None
            raise
        finally:
            self._idle.put_nowait(held)


async def _sent(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes
) -> tuple[int, dict[str, str], bytes]:
    connection[1].write(request)
    return await _answer(connection[0])


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
    return int(first.split()[1]), headers, plain


class Tab:
    """One tab of a browser: a session of Streamlit's."""

    def __init__(self, browser: Browser, socket: ClientConnection) -> None:
        self._browser = browser
        self._socket = socket

    async def open_exam(self, number: int) -> Seen:
        """Open the exam of this entry, and fetch all that its page shows."""
        began = time.perf_counter()
        message = BackMsg()
        message.rerun_script.query_string = f"entry={number}"
        message.rerun_script.page_name = "exam"
        await self._socket.send(message.SerializeToString())
        said: list[bytes] = []
        fetching: asyncio.Task[tuple[tuple[int, ...], int]] | None = None
        while True:
            data = await self._socket.recv(decode=False)
            said.append(data)
            came = ForwardMsg.FromString(data)
            wall = _wall(came)
            if wall is not None and fetching is None:
                fetching = asyncio.create_task(self._pictures(wall))
            if came.WhichOneof("type") == "script_finished":
                break
        page = time.perf_counter() - began
        if fetching is None:
            raise Unanswered(f"exam {number}: no views came")
        stamps, requests = await fetching
        return Seen(time.perf_counter() - began, page, b"".join(said), stamps, requests)

    async def _pictures(self, wall: dict[str, Any]) -> tuple[tuple[int, ...], int]:
        images = [slot["image"] for row in wall["rows"] for slot in row if slot and slot["image"]]
        maps = [("prototype", heat["prototype"]) for image in images for heat in image["heats"] if not heat["against"]]
        opened, heats = await asyncio.gather(
            self._parts(wall["pictures"]), self._parts(f"{wall['maps']}?{urlencode(maps)}")
        )
        if missing := [part["failure"] for part, _ in (*opened, *heats) if "failure" in part]:
            raise Unanswered(missing[0])
        views = {part["id"]: (part, data) for part, data in opened}
        stamped = await asyncio.gather(*(self._view(image, *views[image["id"]]) for image in images))
        return tuple(stamps for stamps, _ in stamped), 2 + sum(count for _, count in stamped)

    async def _parts(self, path: str) -> list[tuple[dict[str, Any], bytes]]:
        """What is told of every part of one answer, and its bytes."""
        line, _, rest = (await self._browser.get(path)).partition(b"\n")
        told = json.loads(line)
        ends = list(accumulate((part["bytes"] for part in told), initial=0))
        return [(part, rest[start:end]) for part, (start, end) in zip(told, pairwise(ends), strict=True)]

    async def _view(self, image: dict[str, Any], told: dict[str, Any], smallest: bytes) -> tuple[int, int]:
        """Corner sample of a view's smallest level, and how many requests more it took to see the view whole."""
        head = told["head"]
        scale = min(PANE[0] / image["columns"], PANE[1] / image["rows"])
        level = min(int(math.log2(1 / scale) + 0.01), len(head["levels"]) - 1)
        paths: list[str] = []
        if level < len(head["levels"]) - 1:
            size = head["levels"][level]
            down, across = (math.ceil(size[name] / head["tile"]) for name in ("rows", "columns"))
            paths = [f"{image['tiles']}/{level}/{row}/{column}" for row in range(down) for column in range(across)]
        await asyncio.gather(*(self._browser.get(path) for path in paths))
        return int.from_bytes(smallest[:2], "little"), len(paths)


@asynccontextmanager
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    """A new tab."""
    await browser.get("/exam")
    async with connect(
        f"ws://127.0.0.1:{browser.port}/_stcore/stream",
        origin=browser.origin,  # type: ignore[arg-type]
        additional_headers={"Cookie": browser.cookie},
        subprotocols=["streamlit"],  # type: ignore[list-item]
        max_size=_LONGEST_MESSAGE,
    ) as socket:
        yield Tab(browser, socket)


def _wall(came: ForwardMsg) -> dict[str, Any] | None:
    """What the viewer is told, where this message is its own."""
    if came.WhichOneof("type") != "delta" or came.delta.WhichOneof("type") != "new_element":
        return None
    element = came.delta.new_element
    if element.WhichOneof("type") != "bidi_component" or "viewer" not in element.bidi_component.component_name:
        return None
    wall: dict[str, Any] = json.loads(element.bidi_component.json)
    return wall
