"""What state versions and their outputs look like on the wire."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from terrapod_core.jsonapi import Includes, Rendering, Resource, attr, to_many, to_one
from terrapod_core.states.models import StateStatus, StateVersion, StateVersionOutput
from terrapod_core.states.reading import INDICES
from terrapod_core.states.service import States
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.resources import WORKSPACE


def _url(path: str) -> Callable[[StateVersion, Rendering], str | None]:
    def url(version: StateVersion, rendering: Rendering) -> str | None:
        found: str | None = getattr(version, path)
        return rendering.base_url + found if found else None

    return url


def _listed(version: StateVersion) -> list[dict[str, Any]] | None:
    if version.resources is None:
        return None
    return [{name: value for name, value in entry.items() if name != INDICES} for entry in version.resources]


def _nothing(_version: StateVersion) -> None:
    return None


STATE_VERSION: Final = Resource(
    type="state-versions",
    attributes=[
        attr("created_at"),
        attr("finalized_at"),
        attr("size", from_=lambda version: version.size or 0),
        attr("serial", writable=True),
        attr("lineage", writable=True),
        attr("md5", writable=True),
        attr("status"),
        attr("intermediate"),
        attr("rescued"),
        attr("hosted_state_download_url", from_=_url("download_path")),
        attr("hosted_json_state_download_url", from_=_url("json_download_path")),
        attr("hosted_state_upload_url", from_=_url("upload_path")),
        attr("hosted_json_state_upload_url", from_=_url("json_upload_path")),
        attr("resources_processed", from_=lambda version: version.status == StateStatus.FINALIZED),
        attr("resources", from_=_listed),
        attr("modules"),
        attr("providers"),
        attr("resource_count"),
        attr("state_version"),
        attr("terraform_version"),
        attr("vcs_commit_sha", from_=_nothing),
        attr("vcs_commit_url", from_=_nothing),
    ],
    relationships=[
        to_one("workspace", "workspaces", related="/api/v2/workspaces/{workspace_id}"),
        to_one("run", "runs"),
        to_one("created_by", "users"),
        to_one("rollback_state_version", "state-versions", id_from="rollback_of_id"),
        to_many("outputs", "state-version-outputs", ids_from="output_ids", related="/api/v2/state-versions/{id}/outputs"),
    ],
    links={"self": "/api/v2/state-versions/{id}"},
)

STATE_VERSION_OUTPUT: Final = Resource(
    type="state-version-outputs",
    attributes=[
        attr("name"),
        attr("sensitive"),
        attr("type"),
        attr("value", from_=lambda output: output.shown_value),
        attr("detailed_type"),
    ],
    links={"self": "/api/v2/state-version-outputs/{id}"},
)

WORKSPACE_OUTPUT: Final = Resource(
    type="workspace-outputs",
    attributes=[
        attr("name"),
        attr("sensitive"),
        attr("output_type", from_=lambda output: output.type),
        attr("value", from_=lambda output: output.shown_value),
    ],
    links={"self": "/api/v2/state-version-outputs/{id}"},
)
"""The same as a relationship of the workspace shows them, in go-tfe's words."""

RESOURCE: Final = Resource(
    type="resources",
    attributes=[
        attr("address"),
        attr("name"),
        attr("module"),
        attr("provider"),
        attr("provider_type"),
        attr("name_index"),
        # Those of the state that they are read from: when each of them was changed last is not kept.
        attr("created_at", from_=lambda one: one.version.created_at),
        attr("updated_at", from_=lambda one: one.version.created_at),
        attr("modified_by_state_version_id", from_=lambda one: one.version.id),
    ],
)


def includes(registry: Includes, states: States) -> None:
    """Let `include=current_state_version` and `include=outputs` work everywhere, of state versions and of workspaces."""

    def load(session: Any, actor: Any, wanted: Sequence[str]) -> Sequence[StateVersion]:
        return states.load(session, actor, wanted)

    def load_outputs(session: Any, actor: Any, wanted: Sequence[str]) -> Sequence[StateVersionOutput]:
        return states.load_outputs(session, actor, wanted)

    registry.add(STATE_VERSION, load)

    def bring_outputs(session: Any, actor: Any, workspaces: Sequence[Workspace]) -> Sequence[StateVersionOutput]:
        return states.bring_outputs(session, actor, workspaces)

    registry.add(STATE_VERSION_OUTPUT, load_outputs)
    registry.add(WORKSPACE_OUTPUT, load_outputs)
    registry.bring(WORKSPACE, "outputs", bring_outputs)
