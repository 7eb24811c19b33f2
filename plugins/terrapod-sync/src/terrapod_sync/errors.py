"""Every refusal of the Sync API: `{"error", "message", "code"}`, and the word of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from terrapod_core.plugin import Conflict, Invalid, NotFound, Rendered, TerrapodError, TooLarge
from terrapod_sync.documents import InvalidConfig

T = TypeVar("T")

OWN: Final = frozenset(
    {
        "workspace_not_found",
        "conflict_not_found",
        "sync_disabled",
        "sync_in_progress",
        "workspace_locked",
        "conflict_resolved",
        "conflict_changed",
        "config_changed",
        "invalid_config",
        "invalid_request",
    }
)
"""Words that say more than the status does."""

BY_STATUS: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "rate_limited",
    500: "internal_error",
    502: "bad_gateway",
    503: "unavailable",
}


def word_of(error: TerrapodError) -> str:
    """The `error` of an answer."""
    return error.code if error.code in OWN else BY_STATUS.get(error.status, "internal_error")


def render(error: TerrapodError) -> Rendered:
    """The answer's body, whoever refused: this plugin, or the server around it."""
    told = {"error": word_of(error), "message": error.detail, "code": error.status}
    return Rendered(msgspec.json.encode(told), "application/json")


def no_workspace(name: str) -> NotFound:
    """For a path that names none, or one that the caller may not know of."""
    return NotFound(_no("Workspace", name), code="workspace_not_found")


def no_conflict(conflict_id: str) -> NotFound:
    """The same of a conflict."""
    return NotFound(_no("Conflict", conflict_id), code="conflict_not_found")


def not_on_a_schedule(name: str) -> Conflict:
    """For a workspace that the configuration does not name."""
    return Conflict(f"Workspace '{name}' has no entry in the configuration; put one first", code="sync_disabled")


def unknown_in_document(name: str) -> Invalid:
    """For a name in a configuration document that is none, or that the caller may not know of."""
    return Invalid(_no("Workspace", name), code="workspace_not_found")


def invalid_request(message: str) -> Invalid:
    """For a wrong value anywhere but in a configuration document."""
    return Invalid(message, code="invalid_request")


def refused(refusal: InvalidConfig, word: str) -> Invalid:
    """A document that was not taken, under the word of what was to be done with it."""
    return Invalid(refusal.message, code=refusal.word if refusal.word != "invalid_config" else word)


async def sized(read: Callable[[int], Awaitable[bytes]], limit: int, word: str) -> bytes:
    """A body of so many bytes; a larger one is a document that is not taken, like any other. Raises `Invalid`."""
    try:
        return await read(limit)
    except TooLarge:
        raise Invalid(f"The document has more than {limit} bytes, which is the most that is taken.", code=word) from None


def _no(what: str, name: str) -> str:
    return f"{what} '{name}' does not exist"
