"""GitLab's webhooks: of projects, of groups, and of a whole GitLab ("system hooks").

Sources: docs.gitlab.com, "Webhooks" (the secret token comes as it is in `X-Gitlab-Token`), "Webhook events" and "System hooks".
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from terrapod_core.plugin import BadSignature, Repo, Unreadable, VCSEvent
from terrapod_vcs_gitlab.addresses import is_path

HEADER: Final = "X-Gitlab-Token"
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
    said = headers.get(HEADER) or ""
    if not secret or not hmac.compare_digest(said.encode("utf-8", "surrogatepass"), secret.encode("utf-8", "surrogatepass")):
        raise BadSignature(f"The header {HEADER} is not the webhook's secret token.")
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


def _sha(event: _Event) -> str:
    """The newest commit; of an annotated tag, the tag."""
    head = event.object_attributes.last_commit if event.object_attributes else None
    sha = event.checkout_sha or event.after or (head.id if head else "")
    return sha if sha.strip(_GONE) else ""
