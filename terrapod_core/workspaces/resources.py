"""What workspaces, tags and tag bindings look like on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from terrapod_core.authz import NEEDS, Actor, Authorizer, Level, Permission
from terrapod_core.clock import Clock
from terrapod_core.jsonapi import ABSENT, Includes, Rendering, Resource, attr, to_many, to_one
from terrapod_core.organizations import NAME
from terrapod_core.projects import ExecutionMode
from terrapod_core.workspaces import conditions, pools, queries, vcs
from terrapod_core.workspaces.models import LockKind, Workspace

_AUTHZ: Final = Authorizer()

_CAN: Final[dict[str, Permission]] = {
    "can-update": Permission.WORKSPACE_UPDATE,
    "can-destroy": Permission.WORKSPACE_DELETE,
    "can-force-delete": Permission.WORKSPACE_DELETE,
    "can-read-run": Permission.RUN_READ,
    "can-queue-run": Permission.RUN_PLAN,
    "can-queue-apply": Permission.RUN_APPLY,
    "can-queue-destroy": Permission.RUN_APPLY,
    "can-read-variable": Permission.VARIABLE_READ,
    "can-update-variable": Permission.VARIABLE_WRITE,
    "can-read-state-versions": Permission.STATE_DOWNLOAD,
    "can-read-state-outputs": Permission.STATE_READ,
    "can-create-state-versions": Permission.STATE_WRITE,
    "can-lock": Permission.WORKSPACE_LOCK,
    "can-unlock": Permission.WORKSPACE_LOCK,
    "can-force-unlock": Permission.WORKSPACE_FORCE_UNLOCK,
    "can-read-settings": Permission.WORKSPACE_READ,
    "can-manage-tags": Permission.WORKSPACE_UPDATE,
    "can-read-assessment-results": Permission.RUN_READ,
    "can-manage-assessments": Permission.RUN_PLAN,
}
"""terraform panics without the object, refuses to plan or apply without its keys, and deletes unsafely without `can-force-delete`."""

_NEVER: Final = (
    "can-manage-run-tasks",
    "can-manage-ephemeral-workspaces",
    "can-manage-hyok",
)


def _block(level: Level) -> msgspec.Raw:
    allowed = {name: level >= NEEDS[permission] for name, permission in _CAN.items()}
    return msgspec.Raw(msgspec.json.encode(allowed | dict.fromkeys(_NEVER, False)))


_BLOCKS: Final = {level: _block(level) for level in Level}
"""Encoded once: there are as many as there are levels."""


def _permissions(workspace: Workspace, rendering: Rendering) -> msgspec.Raw:
    actor = rendering.actor
    if isinstance(actor, Actor) and actor.engine is not None:
        may = {name: _AUTHZ.allows(actor, permission, workspace) for name, permission in _CAN.items()}
        return msgspec.Raw(msgspec.json.encode(may | dict.fromkeys(_NEVER, False)))
    return _BLOCKS[_AUTHZ.level(actor, workspace) if isinstance(actor, Actor) else Level.NONE]


def _structured(workspace: Workspace, rendering: Rendering) -> bool:
    """Terraform ends with an error on a true one unless the server tells the version of an Enterprise release."""
    return workspace.structured_run_output_enabled and bool(rendering.extra.get("structured_output"))


def _overwrites(workspace: Workspace) -> dict[str, bool]:
    """Mode and pool go together."""
    return dict.fromkeys(("execution-mode", "agent-pool"), not workspace.inherits_execution_mode)


def _none(_workspace: Workspace) -> None:
    return None


def _false(_workspace: Workspace) -> bool:
    return False


WORKSPACE: Final = Resource(
    type="workspaces",
    attributes=[
        attr("name", writable=True),
        attr("description", writable=True),
        attr("labels", writable=True),
        attr("tag_names"),
        attr("execution_mode", writable=True),
        attr("operations", writable=True, from_=lambda workspace: workspace.execution_mode != ExecutionMode.LOCAL),
        attr("agent_pool_id", writable=True),
        attr("setting_overwrites", writable=True, from_=_overwrites),
        attr("execution_backend", writable=True),
        attr("terraform_version", writable=True),
        attr("working_directory", writable=True, from_=lambda workspace: workspace.working_directory or ""),
        attr("vcs_working_directory", writable=True, from_=lambda workspace: workspace.working_directory or ""),
        attr("auto_apply", writable=True),
        attr("auto_apply_run_trigger", writable=True),
        attr("allow_destroy_plan", writable=True),
        attr("queue_all_runs", writable=True),
        attr("speculative_enabled", writable=True),
        attr("file_triggers_enabled", writable=True),
        attr("global_remote_state", writable=True),
        attr("untrusted_plans", writable=True),
        attr("vendored_providers", writable=True),
        attr("project_remote_state", from_=_false),
        attr("structured_run_output_enabled", writable=True, from_=_structured),
        attr("resource_cpu", writable=True),
        attr("resource_memory", writable=True),
        attr("source", from_=lambda _workspace: "tfe-api"),
        attr("source_name", writable=True),
        attr("source_url", writable=True),
        attr("environment", from_=lambda _workspace: "default"),
        attr("admitted", writable=True),
        attr("locked"),
        attr("locked_reason", from_=lambda workspace: workspace.lock_reason),
        attr("locked_at"),
        attr("resource_count"),
        attr("conditions", from_=lambda workspace, rendering: conditions.shown(workspace, rendering.extra)),
        attr("created_at"),
        attr("updated_at"),
        attr("latest_change_at"),
        attr("vcs_repo", writable=True, from_=vcs.repo),
        attr("vcs_repo_identifier", from_=vcs.linked("identifier")),
        attr("vcs_repo_url", writable=True, from_=vcs.linked("http-url")),
        attr("vcs_branch", writable=True),
        attr("vcs_sparse_fetch", writable=True),
        attr("fork_pull_requests", writable=True),
        attr("trigger_prefixes", writable=True),
        attr("trigger_patterns", writable=True),
        attr("assessments_enabled", from_=_false),
        attr("last_assessment_result_at", from_=lambda workspace: workspace.last_assessment_at),
        attr("auto_destroy_at", from_=_none),
        attr("auto_destroy_activity_duration", from_=_none),
        attr("permissions", from_=_permissions),
        attr("actions", from_=lambda workspace: {"is-destroyable": workspace.allow_destroy_plan}),
    ],
    relationships=[
        to_one("organization", "organizations", id_from=lambda _workspace: NAME, related=f"/api/v2/organizations/{NAME}"),
        to_one("project", "projects", writable=True, related="/api/v2/projects/{project_id}"),
        to_one("owner", "users", writable=True),
        to_one("current_run", "runs"),
        to_one("latest_run", "runs", id_from="current_run_id"),
        to_one("current_state_version", "state-versions", related="/api/v2/workspaces/{id}/current-state-version"),
        to_one("current_configuration_version", "configuration-versions"),
        to_one(
            "current_assessment_result",
            "assessment-results",
            related=lambda workspace: (
                f"/api/v2/workspaces/{workspace.id}/current-assessment-result" if workspace.current_assessment_result_id else ABSENT
            ),
        ),
        to_one(
            "locked_by",
            "users",
            id_from="lock_holder_id",
            type_from=lambda workspace: "runs" if workspace.lock_kind == LockKind.RUN else "users",
        ),
        to_one(
            "agent_pool",
            "agent-pools",
            writable=True,
            related=lambda workspace: f"/api/v2/agent-pools/{workspace.agent_pool_id}" if workspace.agent_pool_id else ABSENT,
        ),
        to_one(
            "vcs_connection",
            "vcs-connections",
            writable=True,
            id_from=vcs.linked("connection-id"),
            related=lambda workspace: f"/api/v2/vcs-connections/{workspace.vcs_link['connection-id']}" if workspace.vcs_link else ABSENT,
        ),
        to_many(
            "outputs",
            "workspace-outputs",
            ids_from=lambda workspace: ABSENT if workspace.output_ids is None else workspace.output_ids,
            related="/api/v2/workspaces/{id}/current-state-version-outputs",
        ),
        to_many(
            "remote_state_consumers",
            "workspaces",
            ids_from=lambda _workspace: ABSENT,
            related="/api/v2/workspaces/{id}/relationships/remote-state-consumers",
        ),
    ],
    links={"self": f"/api/v2/organizations/{NAME}/workspaces/{{name}}", "self-html": f"/app/{NAME}/workspaces/{{name}}"},
    more=lambda workspace: workspace.added_attributes,
)

TAG: Final = Resource(
    type="tags",
    attributes=[attr("name"), attr("created_at"), attr("instance_count")],
    relationships=[to_one("organization", "organizations", id_from=lambda _tag: NAME)],
)

# An absent value is "" and not null: terraform compares it with the empty text of a tag that has no value.
TAG_BINDING: Final = Resource(
    type="tag-bindings",
    attributes=[attr("key", writable=True), attr("value", writable=True, from_=lambda label: label.value or ""), attr("created_at")],
)

EFFECTIVE_TAG_BINDING: Final = Resource(
    type="effective-tag-bindings", attributes=[attr("key"), attr("value", from_=lambda label: label.value or "")]
)


def includes(registry: Includes, authz: Authorizer, clock: Clock) -> None:
    """Let `include=workspace` work everywhere."""

    def load(session: Any, actor: Any, wanted: Sequence[str]) -> Sequence[Workspace]:
        found = queries.readable(session, authz, actor, wanted)
        pools.look(session, found, clock.now())
        return found

    registry.add(WORKSPACE, load)
