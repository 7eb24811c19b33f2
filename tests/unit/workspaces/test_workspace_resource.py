from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from terrapod_core.authz import Actor, ActorKind, EngineRights, PlatformRole
from terrapod_core.ids import is_id
from terrapod_core.jsonapi import Rendering
from terrapod_core.workspaces.documents import DEFAULTS
from terrapod_core.workspaces.models import LockKind, Workspace, tag_id
from terrapod_core.workspaces.resources import WORKSPACE

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
OWNER = Actor(ActorKind.USER, "user-1", "alice")
AUDITOR = Actor(ActorKind.USER, "user-2", "audrey", platform=frozenset({PlatformRole.AUDIT}))


def workspace(**more: Any) -> Workspace:
    moments = {"created_at": NOW, "updated_at": NOW, "latest_change_at": NOW}
    identity = {"id": "ws-1", "name": "net", "project_id": "prj-1", "owner_id": "user-1", "admitted": False, "resource_count": 0}
    runs = {"execution_mode": "remote", "inherits_execution_mode": False}
    return Workspace(**{**DEFAULTS, **moments, **identity, **runs, "conditions": [], "labels": {"app": None, "env": "dev"}, **more})


def shown(row: Workspace, actor: Actor = OWNER) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(WORKSPACE.document(row, Rendering(actor, "https://tfe.example.com", NOW)))
    data: dict[str, Any] = document["data"]
    return data


def test_the_engine_of_a_run_is_shown_no_right_but_those_to_read_state() -> None:
    rights = EngineRights("ws-1")
    permissions = shown(workspace(), Actor(ActorKind.PHASE, "plan-1", "the engine", engine=rights))["attributes"]["permissions"]
    assert {name for name, may in permissions.items() if may} == {"can-read-state-versions", "can-read-state-outputs", "can-read-settings"}
    assert set(permissions) == set(shown(workspace())["attributes"]["permissions"])
    other = shown(workspace(), Actor(ActorKind.PHASE, "plan-1", "the engine", engine=replace(rights, workspace_id="ws-2")))
    assert not any(other["attributes"]["permissions"].values())


def test_terraform_finds_what_it_dies_without() -> None:
    data = shown(workspace())
    attributes = data["attributes"]
    assert data["type"] == "workspaces"
    assert attributes["created-at"] == "2026-01-31T12:00:00Z"
    assert attributes["tag-names"] == ["app", "env"]
    assert attributes["structured-run-output-enabled"] is False
    assert attributes["vcs-repo"] is None
    assert attributes["working-directory"] == attributes["vcs-working-directory"] == ""
    assert (attributes["execution-mode"], attributes["operations"]) == ("remote", True)
    assert attributes["labels"] == {"app": None, "env": "dev"}
    assert data["relationships"]["organization"]["data"] == {"id": "default", "type": "organizations"}
    assert data["links"]["self"] == "/api/v2/organizations/default/workspaces/net"


@pytest.mark.parametrize(("wanted", "allowed", "given"), [(True, True, True), (True, False, False), (False, True, False)])
def test_structured_output_is_given_where_it_is_wanted_and_the_version_allows_it(wanted: bool, allowed: bool, given: bool) -> None:
    row = workspace(structured_run_output_enabled=wanted)
    rendering = Rendering(OWNER, "https://tfe.example.com", NOW, {"structured_output": allowed})
    assert json.loads(WORKSPACE.document(row, rendering))["data"]["attributes"]["structured-run-output-enabled"] is given


def test_permissions_are_those_of_the_one_who_asks() -> None:
    owner = shown(workspace())["attributes"]["permissions"]
    assert all(owner[name] for name in ("can-update", "can-queue-run", "can-queue-apply", "can-force-delete", "can-lock", "can-unlock"))
    reader = shown(workspace(), AUDITOR)["attributes"]["permissions"]
    assert {name for name, allowed in reader.items() if allowed} == {
        "can-read-assessment-results",
        "can-read-run",
        "can-read-settings",
        "can-read-state-outputs",
        "can-read-variable",
    }
    assert set(reader) == set(owner)


@pytest.mark.parametrize(("kind", "type_"), [(LockKind.USER, "users"), (LockKind.RUN, "runs")])
def test_a_lock_points_to_whoever_has_it(kind: LockKind, type_: str) -> None:
    row = workspace()
    assert shown(row)["relationships"]["locked-by"]["data"] is None
    row.lock(kind, "x-1", "x", "because", NOW)
    data = shown(row)
    assert data["relationships"]["locked-by"]["data"] == {"id": "x-1", "type": type_}
    assert (data["attributes"]["locked"], data["attributes"]["locked-reason"]) == (True, "because")


def test_local_execution_is_no_operations() -> None:
    assert shown(workspace(execution_mode="local"))["attributes"]["operations"] is False


def test_a_tags_id_is_drawn_from_its_name_and_looks_like_any_other() -> None:
    assert is_id(tag_id("app"), "tag")
    assert tag_id("app") == tag_id("app") != tag_id("App")
