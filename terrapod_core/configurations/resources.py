"""What configuration versions look like on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from terrapod_core.configurations.ingress import INGRESS, version_id_of
from terrapod_core.configurations.models import ConfigurationVersion
from terrapod_core.configurations.service import Configurations
from terrapod_core.jsonapi import Includes, Rendering, Resource, attr, to_one


def _upload_url(version: ConfigurationVersion, rendering: Rendering) -> str | None:
    return rendering.base_url + version.upload_path if version.upload_path else None


CONFIGURATION_VERSION: Final = Resource(
    type="configuration-versions",
    attributes=[
        attr("auto_queue_runs", writable=True),
        attr("error"),
        attr("error_message"),
        attr("provisional", writable=True),
        attr("source"),
        attr("speculative", writable=True),
        attr("status"),
        attr("status_timestamps"),
        attr("created_at"),
        attr("size"),
        attr("trusted"),
        attr("changed_files", from_=lambda _version: []),
        attr("upload_url", from_=_upload_url),
    ],
    relationships=[
        to_one("workspace", "workspaces", related="/api/v2/workspaces/{workspace_id}"),
        to_one("created_by", "users"),
        to_one(
            "ingress_attributes",
            "ingress-attributes",
            id_from=lambda version: version.ingress_id,
            related="/api/v2/configuration-versions/{id}/ingress-attributes",
        ),
    ],
    links={
        "self": "/api/v2/configuration-versions/{id}",
        "download": "/api/v2/configuration-versions/{id}/download",
    },
)


def _of_ingress(name: str) -> Any:
    return lambda version: (version.ingress or {}).get(name)


INGRESS_ATTRIBUTES: Final = Resource(
    type="ingress-attributes",
    id_from="ingress_id",
    attributes=[attr(name, from_=_of_ingress(name)) for name in INGRESS],
    relationships=[to_one("created_by", "users", id_from=lambda _version: None)],
    links={"self": "/api/v2/configuration-versions/{id}/ingress-attributes"},
)
"""Where a configuration came from in version control."""


def includes(registry: Includes, configurations: Configurations) -> None:
    """Let `include=configuration_version` work everywhere."""

    def load(session: Any, actor: Any, wanted: Sequence[str]) -> Sequence[ConfigurationVersion]:
        return configurations.load(session, actor, wanted)

    def load_ingress(session: Any, actor: Any, wanted: Sequence[str]) -> Sequence[ConfigurationVersion]:
        return configurations.load(session, actor, [version_id_of(each) for each in wanted])

    registry.add(CONFIGURATION_VERSION, load)
    registry.add(INGRESS_ATTRIBUTES, load_ingress)
