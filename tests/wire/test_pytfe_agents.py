"""HashiCorp's Python client on agent pools, their tokens and their agents."""

from __future__ import annotations

import pytest
from pytfe import TFEClient
from pytfe.errors import NotFound, TFEError
from pytfe.models import ExecutionMode, Project, ProjectCreateOptions, WorkspaceCreateOptions, WorkspaceUpdateOptions
from pytfe.models.agent import (
    AgentListOptions,
    AgentPool,
    AgentPoolAssignToWorkspacesOptions,
    AgentPoolCreateOptions,
    AgentPoolListOptions,
    AgentPoolUpdateOptions,
    AgentStatus,
    AgentTokenCreateOptions,
)
from pytfe.models.workspace import WorkspaceSettingOverwrites

from terrapod_core.signatures import new_key
from tests.support.listeners import join, joining
from tests.support.server import Server
from tests.support.wire import data, fresh

OWN = WorkspaceSettingOverwrites(execution_mode=True, agent_pool=True)


@pytest.fixture
def pool(tfe: TFEClient) -> AgentPool:
    return tfe.agent_pools.create("default", AgentPoolCreateOptions(name=fresh("pytfe"), organization_scoped=True))


def test_create_read_update_list_and_delete(tfe: TFEClient, pool: AgentPool) -> None:
    read = tfe.agent_pools.read(pool.id)
    assert (read.name, read.organization_scoped, read.agent_count) == (pool.name, True, 0)
    assert read.created_at is not None
    assert read.organization is not None
    renamed = tfe.agent_pools.update(pool.id, AgentPoolUpdateOptions(name=fresh("renamed")))
    listed = list(tfe.agent_pools.list("default", AgentPoolListOptions(query=renamed.name)))
    assert [each.id for each in listed] == [pool.id]
    tfe.agent_pools.delete(pool.id)
    with pytest.raises(NotFound):
        tfe.agent_pools.read(pool.id)


def test_a_pool_for_some_workspaces_alone_is_refused_and_not_ignored(tfe: TFEClient, pool: AgentPool) -> None:
    with pytest.raises(TFEError, match="open to all workspaces"):
        tfe.agent_pools.assign_to_workspaces(pool.id, AgentPoolAssignToWorkspacesOptions(workspace_ids=["ws-1111111111111111"]))
    with pytest.raises(TFEError, match="open to all workspaces"):
        tfe.agent_pools.update(pool.id, AgentPoolUpdateOptions(organization_scoped=False))


def test_tokens_of_a_pool(tfe: TFEClient, pool: AgentPool) -> None:
    made = tfe.agent_tokens.create(pool.id, AgentTokenCreateOptions(description="ci"))
    assert made.token is not None
    assert made.token.startswith(f"terrapod-{made.id}-")
    assert [each.id for each in tfe.agent_tokens.list(pool.id)] == [made.id]
    assert (tfe.agent_tokens.read(made.id).description, tfe.agent_tokens.read(made.id).token) == ("ci", None)
    tfe.agent_tokens.delete(made.id)
    with pytest.raises(NotFound):
        tfe.agent_tokens.read(made.id)


def test_a_listener_is_an_agent(tfe: TFEClient, pool: AgentPool, server: Server) -> None:
    token = tfe.agent_tokens.create(pool.id, AgentTokenCreateOptions(description="host 1")).token
    assert token is not None
    joined = data(join(server.url, pool.id, token, joining(new_key(), name="host-1")), 201)
    (listed,) = tfe.agents.list(pool.id, AgentListOptions(status=AgentStatus.IDLE))
    agent = tfe.agents.read(joined["id"])
    assert (listed.id, agent.name, agent.status, agent.version) == (joined["id"], "host-1", AgentStatus.IDLE, "1.0.0")
    assert agent.last_ping_at is not None
    assert agent.ip_address == "127.0.0.1"
    assert tfe.agent_pools.read(pool.id).agent_count == 1
    with pytest.raises(TFEError) as refused:
        tfe.agents.delete(joined["id"])
    assert refused.value.status == 412
    with pytest.raises(TFEError, match="listeners that count"):
        tfe.agent_pools.delete(pool.id)


def test_a_workspace_has_its_runs_carried_out_by_a_pool(tfe: TFEClient, pool: AgentPool) -> None:
    asked = WorkspaceCreateOptions(name=fresh("pooled"), execution_mode=ExecutionMode.AGENT, agent_pool_id=pool.id)
    made = tfe.workspaces.create("default", asked)
    assert (made.execution_mode, made.setting_overwrites) == (ExecutionMode.AGENT, OWN)
    assert made.agent_pool is not None
    assert made.agent_pool.id == pool.id
    with pytest.raises(TFEError, match=f"used by 1 workspace .{made.name}."):
        tfe.agent_pools.delete(pool.id)
    inherits = WorkspaceUpdateOptions(setting_overwrites=WorkspaceSettingOverwrites(execution_mode=False, agent_pool=False))
    changed = tfe.workspaces.update_by_id(made.id, inherits)
    assert (changed.execution_mode, changed.agent_pool) == (ExecutionMode.REMOTE, None)
    assert changed.setting_overwrites == WorkspaceSettingOverwrites(execution_mode=False, agent_pool=False)
    tfe.agent_pools.delete(pool.id)


def test_a_workspace_follows_its_project_to_a_pool(tfe: TFEClient, pool: AgentPool) -> None:
    asked = ProjectCreateOptions(name=fresh("pool"), default_execution_mode="agent", default_agent_pool_id=pool.id)
    project = tfe.projects.create("default", asked)
    assert project.default_execution_mode == "agent"
    made = tfe.workspaces.create("default", WorkspaceCreateOptions(name=fresh("inside"), project=Project(id=project.id)))
    assert made.agent_pool is not None
    assert (made.execution_mode, made.agent_pool.id) == (ExecutionMode.AGENT, pool.id)
