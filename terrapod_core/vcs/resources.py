"""What connections and their repositories look like on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from terrapod_core.authz import Actor
from terrapod_core.jsonapi import ABSENT, Rendering, Resource, attr, to_many, to_one
from terrapod_core.organizations import NAME
from terrapod_core.plugin import SupportsWebhooks, VCSProvider
from terrapod_core.vcs.access import Reach, reach
from terrapod_core.vcs.models import Connection


def _permissions(connection: Connection, rendering: Rendering) -> dict[str, bool]:
    far = reach(rendering.actor, connection) if isinstance(rendering.actor, Actor) else Reach.NONE
    return {"can-read": True, "can-use": far >= Reach.USE, "can-update": far >= Reach.ADMIN, "can-destroy": far >= Reach.ADMIN}


def connection_resource(providers: Iterable[VCSProvider]) -> Resource:
    """A connection, with what the providers' fields are that everybody may know."""
    providers = list(providers)
    names = sorted({each.name for provider in providers for each in provider.fields if not each.secret})
    telling = {each.name for each in providers if isinstance(each, SupportsWebhooks)}

    def value(name: str) -> Any:
        return lambda connection: _number_or_text(connection.values.get(name))

    def webhook_url(connection: Connection, rendering: Rendering) -> str | None:
        told = connection.provider in telling
        return f"{rendering.base_url}/api/v2/vcs-events/{connection.provider}/{connection.id}" if told else None

    return Resource(
        type="vcs-connections",
        attributes=[
            attr("name", writable=True),
            attr("provider", writable=True),
            attr("base_url", writable=True),
            attr("repositories", writable=True),
            attr("roles", writable=True),
            attr("account"),
            attr("status", from_=lambda connection: "errored" if connection.trouble else "active"),
            attr("error_message", from_=lambda connection: connection.trouble),
            attr("error_since", from_=lambda connection: connection.trouble_since),
            attr("checked_at"),
            attr("rests_until"),
            attr("webhook_url", from_=webhook_url),
            attr("webhook_secret", from_=lambda connection: connection.plain_webhook_secret or ABSENT),  # in the answer that makes it
            attr("created_at"),
            attr("updated_at"),
            attr("permissions", from_=_permissions),
            *(attr(name.replace("-", "_"), writable=True, from_=value(name)) for name in names),
        ],
        relationships=[
            to_one("organization", "organizations", id_from=lambda _connection: NAME, related=f"/api/v2/organizations/{NAME}"),
            to_one("created_by", "users"),
            to_many("projects", "projects", ids_from="project_ids"),
            to_many(
                "followed_repositories",
                "vcs-repositories",
                ids_from=lambda _connection: ABSENT,
                related="/api/v2/vcs-connections/{id}/repositories",
            ),
        ],
        links={"self": "/api/v2/vcs-connections/{id}"},
    )


def _number_or_text(value: str | None) -> str | int | None:
    return int(value) if value is not None and value.isdecimal() and len(value) < 16 else value


REPOSITORY: Final = Resource(
    type="vcs-repositories",
    attributes=[
        attr("identifier", from_=lambda repository: repository.path),
        attr("default_branch"),
        attr("http_url"),
        attr("polled_at"),
        attr("changed_at"),
        attr("next_poll_at"),
        attr("heard_at"),
        attr("error_message", from_=lambda repository: repository.trouble),
        attr("error_since", from_=lambda repository: repository.trouble_since),
    ],
    relationships=[to_one("vcs_connection", "vcs-connections", id_from="connection_id", related="/api/v2/vcs-connections/{connection_id}")],
)
"""A repository that somebody follows."""

AVAILABLE_REPOSITORY: Final = Resource(
    type="available-repositories",
    id_from=lambda info: info.repo.path,
    attributes=[
        attr("identifier", from_=lambda info: info.repo.path),
        attr("default_branch"),
        attr("http_url"),
        attr("private"),
    ],
)
"""One that a connection may read, whether or not anybody follows it."""

REF: Final = Resource(
    type="vcs-refs",
    attributes=[attr("name"), attr("kind", from_=lambda ref: ref.kind.value), attr("sha")],
    id_from=lambda ref: f"{ref.kind.value}/{ref.name}",
)
"""A branch or a tag."""
