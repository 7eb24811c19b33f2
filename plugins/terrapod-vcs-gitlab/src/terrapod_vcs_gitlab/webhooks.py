"""GitLab's webhooks: of projects, of groups, and of a whole GitLab ("system hooks").

Sources: docs.gitlab.com, "Webhooks", "Webhook events" and "System hooks". A secret token comes as it is, in `X-Gitlab-Token`. A signing
token, which newer GitLabs have, signs as standardwebhooks.com has it; the time that is signed too is not looked at:
a replay does no harm.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from terrapod_core.plugin import BadSignature, Repo, Unreadable, VCSEvent
from terrapod_vcs_gitlab.addresses import is_path

BY_TOKEN: Final = "X-Gitlab-Token"  # noqa: S105
BY_SIGNATURE: Final = "webhook-signature"
SIGNING: Final = "whsec_"
"""What signing tokens begin with."""
KINDS: Final = frozenset({"push", "tag_push", "merge_request"})

_GONE: Final = "0"
"""All that there is in the SHA of what was deleted."""


class _Project(Struct):
    path_with_namespace: str


class _Head(Struct):
    id: str = ""


class _Attributes(Struct):
    last_commit: _Head | None = None


class _Kind(Struct):
    object_kind: str = ""
    event_name: str = ""


class _Event(Struct):
    project: _Project
    ref: str = ""
    after: str = ""
    checkout_sha: str | None = None
    object_attributes: _Attributes | None = None


def event_of(headers: Mapping[str, str], body: bytes, secret: str) -> VCSEvent | None:
    """What a webhook tells; `None` for what is about no code. Raises `BadSignature` and `Unreadable`."""
    if secret.startswith(SIGNING) and headers.get(BY_SIGNATURE):
        if not _is_signed(headers, body, secret):
            raise BadSignature(f"The header {BY_SIGNATURE} is not of the webhook's signing token.")
    elif not secret or not _same(headers.get(BY_TOKEN) or "", secret):
        raise BadSignature(f"The header {BY_TOKEN} is not the webhook's secret token.")
    try:
        kind = msgspec.json.decode(body, type=_Kind)
        if not KINDS & {kind.object_kind, kind.event_name}:
            return None
        event = msgspec.json.decode(body, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("The webhook's body is none that GitLab sends.") from None
    if not is_path(event.project.path_with_namespace):
        raise Unreadable("The webhook names no project.")
    return VCSEvent(Repo(event.project.path_with_namespace), event.ref, _sha(event))


def _is_signed(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """The header has signatures with spaces between them, of which one has to be right."""
    try:
        key = base64.b64decode(secret.removeprefix(SIGNING), validate=True)
    except ValueError:
        return False
    about = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}."
    right = base64.b64encode(hmac.digest(key, about.encode("utf-8", "surrogatepass") + body, hashlib.sha256)).decode()
    return any(_same(each, f"v1,{right}") for each in headers[BY_SIGNATURE].split(" "))


def _same(one: str, other: str) -> bool:
    """In a time that tells nothing of how much of them is the same."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _sha(event: _Event) -> str:
    """The newest commit; of an annotated tag, the tag."""
    head = event.object_attributes.last_commit if event.object_attributes else None
    sha = event.checkout_sha or event.after or (head.id if head else "")
    return sha if sha.strip(_GONE) else ""
