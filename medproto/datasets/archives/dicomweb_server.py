"""One DICOMweb server (PS3.18): what it is asked, and the one edge where its failures become ours.

Credentials come from the environment: `MEDPROTO_DICOMWEB_TOKEN` is sent as a bearer token, or `MEDPROTO_DICOMWEB_USER`
and `MEDPROTO_DICOMWEB_PASSWORD` as a user. A hospital's own certificate authority is named by `REQUESTS_CA_BUNDLE`.
No message repeats an address below the server's, for it names studies.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import requests
from dicomweb_client.web import DICOMwebClient

from medproto.errors import DicomwebError

TOKEN, USER, PASSWORD = (f"MEDPROTO_DICOMWEB_{name}" for name in ("TOKEN", "USER", "PASSWORD"))
STUDY_UID, SERIES_UID, SOP_UID, MODALITY = "0020000D", "0020000E", "00080018", "00080060"

#: Seconds to connect, and between two pieces of an answer.
TIMEOUT_S: Final = (10, 60)
#: A question is asked so many times; the wait before asking again doubles from the first.
ATTEMPTS: Final = 4
FIRST_WAIT_S: Final = 0.5
#: Answers after which asking again may help (RFC 9110: timeout, too many, bad gateway, unavailable, gateway timeout).
PASSING: Final = frozenset({408, 429, 502, 503, 504})
#: Results asked for at a time.
PAGE: Final = 500
_CHUNK_BYTES: Final = 1 << 20

Found = TypeVar("Found")
#: One result of a query: attributes by tag (PS3.18 F.2).
Result = Mapping[str, Any]


@dataclass(frozen=True)
class Instance:
    """One image on the server, by its UIDs; its repr hides them."""

    study: str = field(repr=False)
    series: str = field(repr=False)
    sop: str = field(repr=False)


class Server:
    """A DICOMweb server.

    Args:
        url: root of its service, such as `https://pacs.example/dicom-web`.
        environment: where credentials are looked up.

    Raises:
        DicomwebError: the address is none of a DICOMweb service, or the credentials are half there.
    """

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        try:
            parts = urlsplit(url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address:
            raise DicomwebError("DICOMweb: got an address that is none, expected such as https://host/dicom-web")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise DicomwebError(
                f"DICOMweb: got an address with credentials or a query, expected them in {TOKEN}, or {USER} "
                f"and {PASSWORD}"
            )
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.auth = _credentials(environment)
        self._client = DICOMwebClient(self._url, session=self._session, timeout=TIMEOUT_S, permissive_uid=True)
        # Attempts are counted here, for answers that break off as well.
        self._client.set_http_retry_params(retry=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self._session.close()

    def studies(self, filters: Mapping[str, str]) -> Iterator[str]:
        """UIDs of the studies that match."""
        search, wish = self._client.search_for_studies, dict(filters)
        for found in _all(lambda offset: search(search_filters=wish, limit=PAGE, offset=offset)):
            yield _uid(found, STUDY_UID)

    def series(self, study: str, modality: str) -> Iterator[str]:
        """UIDs of a study's series of that modality; none where the server does not know the study."""
        search, wish = self._client.search_for_series, {"Modality": modality}
        for found in _all(lambda offset: search(study, search_filters=wish, limit=PAGE, offset=offset)):
            # A server may leave a filter that it does not support aside (PS3.18 8.3.4.1).
            if MODALITY not in found or _first(found, MODALITY) == modality:
                yield _uid(found, SERIES_UID)

    def instances(self, study: str, series: str) -> Iterator[Instance]:
        """The images of a series."""
        search = self._client.search_for_instances
        for found in _all(lambda offset: search(study, series, limit=PAGE, offset=offset)):
            yield Instance(study, series, _uid(found, SOP_UID))

    def fetch(self, instance: Instance, max_bytes: int) -> bytes:
        """The file of an image as the server holds it, in its own transfer syntax.

        Raises:
            DicomwebError: the server has not got it, sends something else or more than `max_bytes`, or is gone.
        """
        url = f"{self._url}/studies/{instance.study}/series/{instance.series}/instances/{instance.sop}"
        # PS3.18 8.7.3.5.2: any transfer syntax, so that nothing is decoded and coded again on the way. Nor packed: for
        # the eight films of 84 MB that this was measured with, Orthanc took 11 s with gzip and 2.5 s without.
        wish = {
            "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*',
            "Accept-Encoding": "identity",
        }

        def get() -> bytes:
            with self._session.get(url, headers=wish, stream=True, timeout=TIMEOUT_S) as response:
                response.raise_for_status()
                body = _body(response, max_bytes)
                return _only_part(body, response.headers.get("Content-Type", ""))

        return _asked(get)


def is_uid(text: str) -> bool:
    """Whether this is a UID, or near enough to stand in an address (PS3.5 9.1; leading zeros are not minded)."""
    return 0 < len(text) <= 64 and all(part.isascii() and part.isdigit() for part in text.split("."))


def _all(page_from: Callable[[int], Any]) -> Iterator[Result]:
    """All results, page by page; a server that turns no pages cannot keep us for ever."""
    seen: set[str] = set()
    got = 0
    while True:
        page = _asked(partial(_results, page_from, got))
        new = {key: found for found in page if (key := repr(found)) not in seen}
        if not new and len(page) >= PAGE:
            raise DicomwebError("DICOMweb: the server repeats its first results, expected it to heed the offset")
        if not new:
            return
        yield from new.values()
        seen.update(new)
        got += len(page)


def _credentials(environment: Mapping[str, str]) -> Any:
    token, user, password = (environment.get(name, "") for name in (TOKEN, USER, PASSWORD))
    if token:

        def bear(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        return bear
    if bool(user) != bool(password):
        raise DicomwebError(f"DICOMweb: got one of {USER} and {PASSWORD}, expected both or neither")
    return (user, password) if user else None


def _asked(ask: Callable[[], Found]) -> Found:
    """What the server answers, asked again while that may help; its failures in our words."""
    wait_s = FIRST_WAIT_S
    for _ in range(ATTEMPTS - 1):
        try:
            return _once(ask)
        except DicomwebError as err:
            if not err.gone:
                raise
        time.sleep(wait_s)
        wait_s *= 2
    return _once(ask)


def _once(ask: Callable[[], Found]) -> Found:
    # Foreign texts repeat the address, which names studies: they are not chained.
    try:
        return ask()
    except requests.HTTPError as err:
        status = 0 if err.response is None else err.response.status_code
        raise DicomwebError(_refusal(status), gone=status in PASSING) from None
    except requests.exceptions.SSLError:
        raise DicomwebError(
            "DICOMweb: the server's certificate is not trusted, expected one of a known authority, or its authority "
            "in REQUESTS_CA_BUNDLE"
        ) from None
    # The client raises ValueError where an answer is no JSON, as the page of another service is.
    except (requests.exceptions.InvalidJSONError, ValueError):
        raise DicomwebError(
            "DICOMweb: the server's answer is no DICOM JSON, expected the address of a DICOMweb service"
        ) from None
    except (requests.RequestException, OSError):
        raise DicomwebError("DICOMweb: the server cannot be reached or breaks off, expected an answer", True) from None


def _refusal(status: int) -> str:
    if status in (401, 403):
        return (
            f"DICOMweb: the server refuses access ({status}), expected credentials in {TOKEN}, or {USER} and {PASSWORD}"
        )
    if status in PASSING:
        return f"DICOMweb: the server is busy or away ({status}), expected an answer"
    if status == 404:
        return "DICOMweb: the server has nothing there (404), expected the address of a DICOMweb service and its images"
    return f"DICOMweb: the server refuses the question ({status}), expected a DICOMweb service"


def _results(page_from: Callable[[int], Any], offset: int) -> list[Result]:
    found = page_from(offset)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError
    return found


def _first(found: Result, tag: str) -> object:
    """The first value of an attribute (PS3.18 F.2.2), None where it has none."""
    try:
        return found[tag]["Value"][0]
    except (KeyError, IndexError, TypeError):
        return None


def _uid(found: Result, tag: str) -> str:
    value = _first(found, tag)
    if not isinstance(value, str) or not is_uid(value):
        raise DicomwebError(f"DICOMweb: got a result without a UID in ({tag[:4]},{tag[4:]}), which every result has")
    return value


def _body(response: requests.Response, max_bytes: int) -> bytes:
    pieces = bytearray()
    for piece in response.iter_content(_CHUNK_BYTES):
        pieces += piece
        if len(pieces) > max_bytes:
            raise DicomwebError(f"DICOMweb: got an image of more than {max_bytes} bytes, expected at most so many")
    return bytes(pieces)


def _only_part(body: bytes, content_type: str) -> bytes:
    """The one part of a multipart answer (RFC 2046 5.1.1), which ends with its closing delimiter unless it is cut."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() == "application/dicom":
        return body
    boundary = header.get_param("boundary")
    if header.get_content_maintype() != "multipart" or not isinstance(boundary, str):
        raise DicomwebError(f"DICOMweb: got {header.get_content_type()}, expected application/dicom")
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    start, end = body.find(b"\r\n\r\n") + 4, body.rfind(delimiter + b"--")
    if not body.startswith(delimiter[2:]) and not body.startswith(delimiter):
        raise DicomwebError("DICOMweb: got an answer without its first delimiter, expected a part of application/dicom")
    if end < start:
        raise DicomwebError("DICOMweb: got an answer that is cut, expected its closing delimiter", gone=True)
    if body.find(delimiter, start) != end:
        raise DicomwebError("DICOMweb: got several parts for one image, expected one")
    return body[start:end]
