"""What is noted of the repository that something follows, so that it is shown without being looked up; and how go-tfe's clients know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.names import INSTALLATION, TOKEN, named


def link_to(connection: Connection, repository: Repository) -> dict[str, Any]:
    """What is noted of it."""
    return {
        "connection-id": connection.id,
        "identifier": repository.path,
        "provider": connection.provider,
        "service-provider": connection.service_provider,
        "http-url": repository.http_url,
        "app": connection.installation is not None,
    }


def renewed(link: dict[str, Any] | None, repository: Repository) -> dict[str, Any] | None:
    """The same of a repository that has another name by now; the very link when it has not."""
    if link is None or link["identifier"] == repository.path:
        return link
    return {**link, "identifier": repository.path, "http-url": repository.http_url}


def shown(link: Mapping[str, Any], base_url: str) -> dict[str, object]:
    """The members that `vcs-repo` has of everything that follows one."""
    connection_id = link["connection-id"]
    return {
        "identifier": link["identifier"],
        "display-identifier": link["identifier"],
        "ingress-submodules": False,
        "oauth-token-id": None if link["app"] else named(TOKEN, connection_id),
        "github-app-installation-id": named(INSTALLATION, connection_id) if link["app"] else None,
        "repository-http-url": link["http-url"],
        "service-provider": link["service-provider"] or link["provider"],
        "webhook-url": f"{base_url}/api/v2/vcs-events/{link['provider']}/{connection_id}",
    }
