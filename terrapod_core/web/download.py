"""Sending bytes that are too many to hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from quart import Response


def stream(chunks: AsyncIterator[bytes], *, size: int | None, content_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that flows; `size` in bytes when it is known.

    No `RESPONSE_TIMEOUT`: Quart would cut a slow download short after a minute, silently. `no-store`, `nosniff` and
    `attachment`, because what flows here is what users made, and a browser must never run it.
    """
    response = Response(chunks, content_type=content_type)
    response.timeout = None
    if size is not None:
        response.headers["Content-Length"] = str(size)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Disposition"] = "attachment"
    response.headers.update(headers or {})
    return response
