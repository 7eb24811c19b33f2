"""What modules and their versions look like on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.jsonapi import ABSENT, Includes, Rendering, Resource, attr, to_many, to_one
from terrapod_core.organizations import NAME
from terrapod_core.registry.models import VersionStatus
from terrapod_core.registry.modules import queries
from terrapod_core.registry.modules.following import problems, status, tag_statuses, vcs_repo
from terrapod_core.registry.modules.models import Module, ModuleVersion
from terrapod_core.registry.resources import BELONGS, MARKS

_AUTHZ: Final = Authorizer()
_STATUS: Final = {VersionStatus.PENDING: "pending", VersionStatus.HELD: "pending", VersionStatus.PUBLISHED: "ok"}
"""go-tfe's words; pytfe reads no others."""


def _permissions(module: Module, rendering: Rendering) -> dict[str, bool]:
    def may(permission: Permission) -> bool:
        return isinstance(rendering.actor, Actor) and _AUTHZ.allows(rendering.actor, permission, module)

    updates = may(Permission.REGISTRY_UPDATE)
    releases = isinstance(rendering.actor, Actor) and rendering.actor.user_id in module.publishers
    return {
        "can-delete": updates,
        "can-update": updates,
        "can-publish": may(Permission.REGISTRY_PUBLISH),
        "can-release": releases and may(Permission.REGISTRY_PUBLISH),
        "can-resync": False,
        "can-retry": False,
    }


def _version_statuses(module: Module) -> list[dict[str, str | None]]:
    versions = [{"version": each.version, "status": _STATUS[each.status], "error": None} for each in module.versions]
    return [*versions, *tag_statuses(module)]


MODULE: Final = Resource(
    type="registry-modules",
    attributes=[
        attr("name", writable=True),
        attr("namespace", writable=True),
        attr("provider", writable=True),
        attr("registry_name", from_=lambda _module: "private"),
        attr("status", from_=status),
        attr("publishing_mechanism", from_=lambda module: "git_tag" if module.vcs_link else "non_vcs"),
        attr("vcs_repo", writable=True, from_=vcs_repo),
        attr("problems", from_=problems),
        attr("no_code", from_=lambda _module: False),
        attr("version_statuses", from_=_version_statuses),
        attr("labels", writable=True),
        attr("created_at"),
        attr("updated_at"),
        attr("permissions", from_=_permissions),
    ],
    relationships=[
        *BELONGS,
        to_one("vcs_connection", "vcs-connections", writable=True, id_from=lambda module: (module.vcs_link or {}).get("connection-id")),
        to_many("versions", "registry-module-versions", ids_from=lambda _module: ABSENT, related="/api/v2/registry-modules/{id}/versions"),
    ],
    links={"self": f"/api/v2/organizations/{NAME}/registry-modules/private/{{namespace}}/{{name}}/{{provider}}"},
)


def _upload(version: ModuleVersion, rendering: Rendering) -> Any:
    return rendering.base_url + version.upload_path if version.upload_path else ABSENT


VERSION: Final = Resource(
    type="registry-module-versions",
    attributes=[
        attr("version", writable=True),
        attr("status", from_=lambda version: _STATUS[VersionStatus(version.status)]),
        attr("error", from_=lambda _version: None),
        attr("source", from_=lambda _version: "tfe-api"),
        attr("held", from_=lambda version: version.status == VersionStatus.HELD),
        attr("size"),
        attr("sha256"),
        attr("download_count"),
        attr("tag"),
        attr("commit_sha"),
        *MARKS,
        attr("created_at"),
        attr("updated_at"),
        attr("published_at"),
        # Where one version was asked for.
        attr("contents", from_=lambda version: msgspec.Raw(version.contents) if version.contents is not None else ABSENT),
    ],
    relationships=[
        to_one("registry_module", "registry-modules", id_from="module_id", related="/api/v2/registry-modules/{module_id}"),
        to_one("created_by", "users"),
    ],
    links={"upload": _upload},
)


def includes(registry: Includes, authz: Authorizer) -> None:
    """Let `include=registry-module` work."""

    def load(session: Any, actor: Any, wanted: Sequence[str]) -> Sequence[Module]:
        return queries.readable(session, authz, actor, wanted)

    registry.add(MODULE, load)
