"""Where a configuration came from in version control: go-tfe's ingress attributes."""

from __future__ import annotations

from typing import Final

INGRESS: Final = (
    "branch",
    "clone_url",
    "commit_message",
    "commit_sha",
    "commit_url",
    "compare_url",
    "identifier",
    "is_pull_request",
    "on_default_branch",
    "pull_request_number",
    "pull_request_url",
    "pull_request_title",
    "pull_request_body",
    "tag",
    "sender_username",
    "sender_avatar_url",
    "sender_html_url",
    "author_name",
    "connection_id",
)
"""What is kept of it; the last two are ours."""


def ingress_id_of(version_id: str) -> str:
    """The id of the ingress attributes of a configuration version: there is one of each."""
    return "ia-" + version_id.removeprefix("cv-")


def version_id_of(ingress_id: str) -> str:
    """The other way."""
    return "cv-" + ingress_id.removeprefix("ia-")
