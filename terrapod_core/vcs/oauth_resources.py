"""What connections look like to go-tfe's clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from terrapod_core.jsonapi import Includes, Resource, attr, to_many, to_one
from terrapod_core.organizations import NAME
from terrapod_core.plugin import VCSProvider
from terrapod_core.vcs.models import Connection
from terrapod_core.vcs.names import CLIENT, INSTALLATION, TOKEN, named
from terrapod_core.vcs.oauth import OAuth


def _none(_thing: object) -> None:
    return None


def client_resource(providers: Mapping[str, VCSProvider]) -> Resource:
    """A connection that acts with a token. No secret of it is shown."""

    def display_name(connection: Connection) -> str:
        provider = providers.get(connection.provider)
        return provider.display_name if provider is not None else connection.provider

    return Resource(
        type="oauth-clients",
        id_from=lambda connection: named(CLIENT, connection.id),
        attributes=[
            attr("name", writable=True),
            attr("service_provider", writable=True),
            attr("service_provider_display_name", from_=display_name),
            attr("http_url", writable=True, from_=lambda connection: connection.base_url),
            attr("api_url", writable=True),
            attr("callback_url", from_=_none),
            attr("connect_path", from_=_none),
            attr("key", from_=_none),
            attr("rsa_public_key", from_=_none),
            attr("organization_scoped", writable=True, from_=lambda each: each.organization_scoped and not each.project_ids),
            attr("created_at"),
            attr("updated_at"),
        ],
        relationships=[
            to_one("organization", "organizations", id_from=lambda _connection: NAME, related=f"/api/v2/organizations/{NAME}"),
            to_many("projects", "projects", ids_from="project_ids", writable=True),
            to_many(
                "oauth_tokens",
                "oauth-tokens",
                ids_from=lambda connection: [named(TOKEN, connection.id)],
                related="/api/v2/oauth-clients/{id}/oauth-tokens",
            ),
            to_one("agent_pool", "agent-pools", id_from=_none),
        ],
        links={"self": "/api/v2/oauth-clients/{id}"},
    )


TOKEN_RESOURCE: Final = Resource(
    type="oauth-tokens",
    id_from=lambda connection: named(TOKEN, connection.id),
    attributes=[
        attr("created_at"),
        attr("service_provider_user", from_=lambda connection: connection.account or ""),
        attr("has_ssh_key"),
    ],
    relationships=[
        to_one(
            "oauth_client",
            "oauth-clients",
            id_from=lambda connection: named(CLIENT, connection.id),
            related=lambda connection: f"/api/v2/oauth-clients/{named(CLIENT, connection.id)}",
        )
    ],
    links={"self": "/api/v2/oauth-tokens/{id}"},
)
"""The token of a connection: its id, and as whom the forge knows it."""

AUTHORIZED_REPO: Final = Resource(
    type="authorized-repos",
    id_from=lambda info: info.repo.path,
    attributes=[attr("name", from_=lambda info: info.repo.path), attr("display_identifier", from_=lambda info: info.repo.path)],
)
"""A repository that a token reaches."""

REPO_CHECK: Final = Resource(type="vcs-repo-check", id_from="identifier", attributes=[attr("identifier"), attr("exists")])
"""Whether a token reaches a repository."""


def _of_installation(name: str) -> Any:
    return lambda connection: connection.installation[name]


INSTALLATION_RESOURCE: Final = Resource(
    type="github-app-installations",
    id_from=lambda connection: named(INSTALLATION, connection.id),
    attributes=[
        attr("name", from_=_of_installation("name")),
        attr("installation_id", from_=_of_installation("id")),
        attr("icon_url", from_=_of_installation("icon_url")),
        attr("installation_type", from_=_of_installation("type")),
        attr("installation_url", from_=_of_installation("url")),
    ],
)
"""Where the app is installed that a connection acts as."""


def installation_repo(installation_id: str) -> Resource:
    """A repository that an installation reaches."""
    return Resource(
        type="github-app-repos",
        id_from=lambda info: info.repo.path,
        attributes=[
            attr("name", from_=lambda info: info.repo.path.rpartition("/")[2]),
            attr("identifier", from_=lambda info: info.repo.path),
            attr("installation_id", from_=lambda _info: installation_id),
            attr("private"),
        ],
    )


def includes(registry: Includes, oauth: OAuth, client: Resource) -> None:
    """Let `include=oauth_tokens` and `include=oauth_client` work."""

    def load(session: Any, actor: Any, wanted: Sequence[str]) -> Sequence[Connection]:
        return oauth.known(session, actor, wanted)

    registry.add(client, load)
    registry.add(TOKEN_RESOURCE, load)
