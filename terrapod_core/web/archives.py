"""Archives for whoever may fetch them: from the store itself where it signs links, or streamed from here, whole or in part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from quart import Response, request

from terrapod_core.errors import RangeNotSatisfiable
from terrapod_core.jsonapi import errors_document
from terrapod_core.storage import Archives
from terrapod_core.storage.streams import opened
from terrapod_core.web.download import stream

LINK: Final = timedelta(minutes=10)
"""In which a download must begin; one that has begun goes on. Who resumes later asks here again."""

_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.IGNORECASE)


@dataclass(frozen=True)
class Archive:
    """What a row knows of its archive."""

    key: str
    size: int
    """In bytes."""
    sha256: str
    """Lower-case hexadecimal."""
    content_type: str = "application/octet-stream"


async def answer(archives: Archives, archive: Archive) -> Response:
    """The answer to a GET or HEAD of it; the caller has seen that it is allowed.

    302 to a link of the store where there is one. Otherwise the bytes (RFC 9110, sections 13 and 14): the `ETag` is the SHA-256, one
    range gives 206, several give the whole. Raises `NotFound` and `Unavailable` before anything is sent. A HEAD is always answered here,
    from the row: a link is signed for GET alone.
    """
    tag = f'"{archive.sha256}"'
    # `contains` of `If-None-Match` knows `*`; weak tags count as well there.
    if request.if_none_match.contains_weak(archive.sha256):
        return _unchanged(tag)
    if request.method == "GET":
        link = await archives.link(archive.key, LINK)
        if link is not None:
            headers = {"Location": link, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
            return Response(b"", status=302, headers=headers, content_type="text/plain")
    try:
        part = _part(archive.size, tag)
    except RangeNotSatisfiable as error:
        response = Response(errors_document(error), status=error.status, content_type="application/json")
        response.headers["Content-Range"] = f"bytes */{archive.size}"
        return response
    return await _bytes(archives, archive, tag, part)


def begins(response: Response) -> bool:
    """Whether this answer to a request for an archive begins a download: not a HEAD, nothing that the client has, no later part of it."""
    first = response.status_code == 206 and response.headers.get("Content-Range", "").startswith("bytes 0-")
    return request.method == "GET" and (first or response.status_code in (200, 302))


def _unchanged(tag: str) -> Response:
    response = Response(b"", status=304, headers={"ETag": tag, "Cache-Control": "no-store"})
    del response.headers["Content-Length"]  # it would be that of the archive
    return response


async def _bytes(archives: Archives, archive: Archive, tag: str, part: tuple[int, int] | None) -> Response:
    start, end = part or (0, archive.size)
    headers = {"ETag": tag, "Accept-Ranges": "bytes"}
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{archive.size}"
    if request.method == "HEAD":
        response = Response(b"", headers=headers, content_type=archive.content_type)
        response.headers["Content-Length"] = str(archive.size)
        return response
    chunks = await opened(archives.read(archive.key, start, end))
    response = stream(chunks, size=end - start, content_type=archive.content_type, headers=headers)
    response.status_code = 200 if part is None else 206
    return response


def _part(size: int, tag: str) -> tuple[int, int] | None:
    """The one range that is asked for, its end exclusive; `None`: the whole. Raises `RangeNotSatisfiable`."""
    # What is no range, or several, or is asked for of other bytes than these, is answered with the whole. HEAD knows no ranges.
    asked = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if asked is None or request.method != "GET" or request.headers.get("If-Range", tag) != tag:
        return None
    first, last, suffix = asked.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise RangeNotSatisfiable(f"There are {size} bytes, and none in the range that was asked for.")
    return start, end
