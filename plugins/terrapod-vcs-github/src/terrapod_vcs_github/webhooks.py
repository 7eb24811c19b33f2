"""What GitHub tells of its own accord.

Source: GitHub's documentation, "Validating webhook deliveries" and "Webhook events and payloads". A hook of a repository may send the
document as a field of a form; the signature is over the body as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

import msgspec
from gidgethub import ValidationFailure
from gidgethub.sansio import validate_event

from terrapod_core.plugin import BadSignature, Repo, Unreadable, VCSEvent

SIGNATURE: Final = "X-Hub-Signature-256"

_ACTIONS: Final = {
    "pull_request": {"opened", "reopened", "synchronize", "edited", "closed"},
    "repository": {"renamed", "transferred", "edited"},
}
_WITHOUT_ACTION: Final = {"push", "create", "delete"}


class _Repository(msgspec.Struct):
    full_name: str


class _Head(msgspec.Struct):
    sha: str = ""


class _Pull(msgspec.Struct):
    number: int
    head: _Head


class _Payload(msgspec.Struct):
    repository: _Repository
    action: str = ""
    ref: str | None = None
    """`None` where a repository was made."""
    ref_type: str = ""
    after: str = ""
    pull_request: _Pull | None = None


def parse(headers: Mapping[str, str], body: bytes, secret: str) -> VCSEvent | None:
    """As `SupportsWebhooks.parse_webhook`."""
    _check_signature(headers.get(SIGNATURE) or "", body, secret)
    event = headers.get("X-GitHub-Event") or ""
    if event not in _WITHOUT_ACTION and event not in _ACTIONS:
        return None
    try:
        payload = msgspec.json.decode(_document(headers, body), type=_Payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise Unreadable(f"The webhook {event} has no document as GitHub sends it.") from None
    if payload.action not in _ACTIONS.get(event, {payload.action}):
        return None
    return VCSEvent(Repo(payload.repository.full_name), _ref(event, payload), _sha(payload))


def _check_signature(signature: str, body: bytes, secret: str) -> None:
    if not secret or not signature.isascii() or not signature.startswith("sha256="):
        raise BadSignature(f"The webhook has no {SIGNATURE} of SHA-256.")
    try:
        validate_event(body, signature=signature, secret=secret)
    except ValidationFailure:
        raise BadSignature(f"The webhook's {SIGNATURE} was not made with the secret that is set here.") from None


def _document(headers: Mapping[str, str], body: bytes) -> bytes:
    if not (headers.get("Content-Type") or "").lower().startswith("application/x-www-form-urlencoded"):
        return body
    found = parse_qs(body.decode("ascii"), max_num_fields=8).get("payload", [""])
    return found[0].encode()


def _ref(event: str, payload: _Payload) -> str:
    if payload.pull_request is not None:
        return f"refs/pull/{payload.pull_request.number}/head"
    if event == "push":
        return payload.ref or ""
    return {"branch": f"refs/heads/{payload.ref}", "tag": f"refs/tags/{payload.ref}"}.get(payload.ref_type, "")


def _sha(payload: _Payload) -> str:
    if payload.pull_request is not None:
        return payload.pull_request.head.sha
    return payload.after if payload.after.strip("0") else ""
