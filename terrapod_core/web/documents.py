"""Plain documents that are the same for everybody who may read them, told only to who does not have them yet."""

from __future__ import annotations

from typing import Final

from quart import Response, request

JSON: Final = "application/json"


def listed(document: bytes, tag: str) -> Response:
    """The document, or 304 for who names it by this tag. It is asked about each time: what is in it may change, and who may read it."""
    headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
    if request.if_none_match.contains_weak(tag):
        return Response(b"", status=304, headers=headers, content_type=JSON)
    return Response(document, headers=headers, content_type=JSON)
