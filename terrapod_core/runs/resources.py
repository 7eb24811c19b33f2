"""How runs, plans, applies and their events look on the wire (go-tfe's `Run`, `Plan`, `Apply`, `RunEvent`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.jsonapi import Includes, Rendering, Resource, attr, to_many, to_one
from terrapod_core.jsonapi.describe import Attribute
from terrapod_core.runs import queries
from terrapod_core.runs.models import Phase
from terrapod_core.runs.queries import RunView
from terrapod_core.workspaces import Workspace

_GATE = Authorizer()


@dataclass(frozen=True)
class PhaseView:
    """A plan or apply as it is shown: with the path of its log's capability link."""

    phase: Phase
    workspace: Workspace
    log_path: str

    @property
    def id(self) -> str:
        """The plan's or apply's id."""
        return self.phase.id


@dataclass(frozen=True)
class Capacity:
    """How busy the organization is."""

    id: str
    pending: int
    running: int


def _run(name: str, *, writable: bool = False) -> Attribute:
    return attr(name, writable=writable, from_=lambda view, name=name: getattr(view.run, name))


def _phase(name: str, *, wire: str | None = None) -> Attribute:
    return attr(name, wire=wire, from_=lambda view, name=name: getattr(view.phase, name))


def _actions(view: RunView, rendering: Rendering) -> dict[str, bool]:
    run = view.run
    return {
        "is-cancelable": run.is_cancelable,
        "is-confirmable": run.is_confirmable,
        "is-discardable": run.is_discardable,
        "is-force-cancelable": run.is_force_cancelable(rendering.now),
    }


def _permissions(view: RunView, rendering: Rendering) -> dict[str, bool]:
    def may(permission: Permission) -> bool:
        return isinstance(rendering.actor, Actor) and _GATE.allows(rendering.actor, permission, view.workspace)

    own = view.run.plan_only and isinstance(rendering.actor, Actor) and view.run.created_by_id == rendering.actor.user_id
    stop = may(Permission.RUN_CANCEL) or (own and may(Permission.RUN_PLAN))
    return {
        "can-apply": may(Permission.RUN_APPLY),
        "can-cancel": stop,
        "can-comment": may(Permission.RUN_COMMENT),
        "can-discard": stop,
        "can-force-cancel": may(Permission.RUN_FORCE_CANCEL),
        "can-force-execute": may(Permission.RUN_CANCEL),
        "can-override-policy-check": False,
    }


def _waiting_on(view: RunView) -> dict[str, Any] | None:
    waiting = view.waiting_on
    return {"code": waiting.code, "detail": waiting.detail, "since": waiting.since} if waiting is not None else None


RUN = Resource(
    type="runs",
    attributes=[
        _run("status"),
        _run("message", writable=True),
        _run("source"),
        _run("trigger_reason"),
        _run("is_destroy", writable=True),
        _run("refresh", writable=True),
        _run("refresh_only", writable=True),
        _run("plan_only", writable=True),
        _run("save_plan", writable=True),
        _run("auto_apply", writable=True),
        _run("allow_empty_apply", writable=True),
        _run("allow_config_generation", writable=True),
        _run("target_addrs", writable=True),
        _run("replace_addrs", writable=True),
        _run("terraform_version", writable=True),
        attr("execution_backend", from_=lambda view: view.run.engine),
        _run("has_changes"),
        _run("created_at"),
        _run("canceled_at"),
        _run("force_cancel_available_at"),
        _run("status_timestamps"),
        attr("variables", from_=lambda view: list(view.variables), writable=True),
        attr("position_in_queue", from_=lambda view: view.position),
        attr("waiting_on", from_=_waiting_on),
        _run("trusted"),
        attr("error_message", from_=lambda view: view.run.failure),
        attr("actions", from_=_actions),
        attr("permissions", from_=_permissions),
    ],
    relationships=[
        to_one("workspace", "workspaces", id_from=lambda view: view.run.workspace_id, writable=True),
        to_one("configuration_version", "configuration-versions", id_from=lambda view: view.run.configuration_version_id, writable=True),
        to_one("plan", "plans", id_from=lambda view: view.run.plan_id, related="/api/v2/runs/{id}/plan"),
        # The CLI dereferences it without looking: it is linked from the first moment, also where it never will run.
        to_one("apply", "applies", id_from=lambda view: view.run.apply_id, related="/api/v2/runs/{id}/apply"),
        to_one("created_by", "users", id_from=lambda view: view.run.created_by_id),
        to_one("confirmed_by", "users", id_from=lambda view: view.run.confirmed_by_id),
        to_one("canceled_by", "users", id_from=lambda view: view.run.canceled_by_id),
        to_one("input_state_version", "state-versions", id_from=lambda view: view.run.input_state_version_id),
        to_many("run_events", "run-events", ids_from=lambda view: view.event_ids, related="/api/v2/runs/{id}/run-events"),
        to_many("comments", "comments", ids_from=lambda view: view.comment_ids, related="/api/v2/runs/{id}/comments"),
    ],
    links={"self": "/api/v2/runs/{id}"},
)


def _log_url(view: PhaseView, rendering: Rendering) -> str:
    return rendering.base_url + view.log_path


def _may_export(view: PhaseView, rendering: Rendering) -> dict[str, bool]:
    actor = rendering.actor
    return {"can-export": isinstance(actor, Actor) and _GATE.allows(actor, Permission.PLAN_JSON_READ, view.workspace)}


_SHARED = [
    _phase("status"),
    attr("status_timestamps", from_=lambda view: view.phase.timestamps),
    attr("log_read_url", from_=_log_url),
    _phase("additions", wire="resource-additions"),
    _phase("changes", wire="resource-changes"),
    _phase("destructions", wire="resource-destructions"),
    _phase("imports", wire="resource-imports"),
    attr("execution_details", from_=lambda _: {"mode": "remote"}),
]

PLAN = Resource(
    type="plans",
    attributes=[
        *_SHARED,
        _phase("has_changes"),
        _phase("generated_configuration"),
        _phase("structured_output", wire="structured-run-output-enabled"),
        attr("permissions", from_=_may_export),
        attr("actions", from_=lambda _: {"is-exportable": False}),
    ],
    relationships=[],
    links={
        "self": "/api/v2/plans/{id}",
        "json-output": "/api/v2/plans/{id}/json-output",
        "json-output-redacted": "/api/v2/plans/{id}/json-output-redacted",
    },
)

APPLY = Resource(type="applies", attributes=_SHARED, relationships=[], links={"self": "/api/v2/applies/{id}"})

RUN_EVENT = Resource(
    type="run-events",
    attributes=[attr("action"), attr("description"), attr("created_at")],
    relationships=[to_one("run", "runs"), to_one("actor", "users"), to_one("comment", "comments")],
    links={"self": "/api/v2/run-events/{id}"},
)

COMMENT = Resource(
    type="comments",
    attributes=[attr("body", writable=True), attr("created_at")],
    relationships=[
        to_one("run", "runs"),
        to_one("actor", "users"),
        to_one("run_event", "run-events", related="/api/v2/run-events/{run_event_id}"),
    ],
    links={"self": "/api/v2/comments/{id}"},
)


def includes(
    registry: Includes,
    authz: Authorizer,
    load_phases: Callable[[Any, Any, Sequence[str]], Sequence[PhaseView]],
    now: Callable[[], datetime],
) -> None:
    """Let `include=current_run`, `plan`, `apply`, `run_events`, `comments` and `run` work everywhere."""
    registry.add(RUN, lambda session, actor, ids: queries.by_ids(session, actor, authz, ids, now()))
    registry.add(PLAN, load_phases)
    registry.add(APPLY, load_phases)
    registry.add(COMMENT, lambda session, actor, ids: queries.comments_by_ids(session, actor, authz, ids))
    registry.add(RUN_EVENT, lambda session, actor, ids: queries.events_by_ids(session, actor, authz, ids))


CAPACITY = Resource(type="organization-capacity", attributes=[attr("pending"), attr("running")], relationships=[])


__all__ = ["APPLY", "CAPACITY", "COMMENT", "PLAN", "RUN", "RUN_EVENT", "Capacity", "PhaseView"]
