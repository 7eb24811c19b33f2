"""What plugins add to the server is looked at before it is used: a wrong answer fails its plugin, and no other."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from quart import Blueprint

from terrapod_core.plugin import (
    Every,
    PluginContexts,
    Plugins,
    PluginSettings,
    Routes,
    ServerContext,
    hookimpl,
)
from terrapod_core.settings import load
from tests.unit.plugin.test_plugins import reasons, states


async def nothing() -> None:
    return None


def server_contexts(contexts: PluginContexts) -> Any:
    def made(plugin: str, settings: PluginSettings) -> ServerContext:
        usual = contexts(plugin, settings)
        parts: Any = dict.fromkeys(("api", "callers", "workspaces", "tables", "read_body", "base_url"))
        return ServerContext(**{each.name: getattr(usual, each.name) for each in fields(usual)}, **parts)

    return made


def discovered(**hooks: Any) -> Plugins:
    modules = {name: SimpleNamespace(**{hook: hookimpl(function) for hook, function in each.items()}) for name, each in hooks.items()}
    return Plugins.discover(load(environ={}), modules=modules)


def routes(prefix: str | None) -> Any:
    return lambda context: [Routes(Blueprint("b", __name__), prefix=prefix)]


@pytest.mark.parametrize(
    "prefix", ["/api", "/api/v2/mine", "/v1", "/app/mine", "/c", "/health", "/.well-known/x", "/plugins/other", "/plugins"]
)
def test_the_cores_paths_cannot_be_had(prefix: str) -> None:
    with pytest.raises(ValueError, match="is the core's"):
        Routes(Blueprint("b", __name__), prefix=prefix)


@pytest.mark.parametrize("prefix", ["", "mine", "/mine/", "//mine", "/<mine>"])
def test_a_prefix_is_a_path(prefix: str) -> None:
    with pytest.raises(ValueError, match="is no prefix"):
        Routes(Blueprint("b", __name__), prefix=prefix)


def test_paths_that_only_begin_alike_are_free(contexts: PluginContexts) -> None:
    plugins = discovered(one={"register_routes": routes("/v1/terraform")}, two={"register_routes": routes("/v1/terraforming")})
    assert [name for name, _ in plugins.routes(server_contexts(contexts))] == ["one", "two"]


@pytest.mark.parametrize("prefix", ["/v1/terraform", "/v1/terraform/sync", "/v1/terraform/sync/deep"])
def test_a_prefix_within_anothers_fails_the_second_plugin(contexts: PluginContexts, prefix: str) -> None:
    plugins = discovered(one={"register_routes": routes("/v1/terraform/sync")}, two={"register_routes": routes(prefix)})
    assert [name for name, _ in plugins.routes(server_contexts(contexts))] == ["one"]
    assert "which is the plugin one's" in (reasons(plugins)["two"] or "")


def test_without_a_prefix_it_is_the_plugins_name() -> None:
    assert Routes(Blueprint("b", __name__)).mounted_at("notes") == "/plugins/notes"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("nothing", "which is no list"),
        ([1], "which is no Every or On"),
        ([Every("a", timedelta(1), nothing), Every("a", timedelta(1), nothing)], "two of its jobs are called a"),
    ],
)
def test_jobs_are_jobs_of_different_names(contexts: PluginContexts, answer: object, reason: str) -> None:
    good = {"register_jobs": lambda context: [Every("tick", timedelta(1), nothing)]}
    plugins = discovered(bad={"register_jobs": lambda context: answer}, good=good)
    assert [(name, job.name) for name, job in plugins.jobs(server_contexts(contexts))] == [("good", "tick")]
    assert reason in (reasons(plugins)["bad"] or "")


def test_routes_are_routes(contexts: PluginContexts) -> None:
    plugins = discovered(bad={"register_routes": lambda context: [Blueprint("b", __name__)]})
    assert plugins.routes(server_contexts(contexts)) == []
    assert "which is no Routes" in (reasons(plugins)["bad"] or "")


def test_additions_have_the_name_of_their_plugin(contexts: PluginContexts) -> None:
    async def none(workspaces: object) -> dict[str, Any]:
        return {}

    additions = SimpleNamespace(name="other", of=none)
    plugins = discovered(mine={"register_workspace_additions": lambda context: [additions]})
    assert plugins.workspace_additions(server_contexts(contexts)) == {}
    assert "its name is the plugin's, mine" in (reasons(plugins)["mine"] or "")


def test_a_check_without_a_name_is_none(contexts: PluginContexts) -> None:
    plugins = discovered(mine={"register_run_checks": lambda context: [SimpleNamespace(check=nothing)]})
    assert plugins.run_checks(server_contexts(contexts)) == {}
    assert states(plugins) == {"mine": "failed"}
