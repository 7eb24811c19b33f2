"""A plugin that fails after it was loaded: the others go on without it, unless it is required."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from quart import Blueprint, Response

from terrapod_core.app import Terrapod
from terrapod_core.plugin import Plugins, Routes, hookimpl
from terrapod_core.settings import Settings, SettingsError
from terrapod_core.testing import FakeRunnerBackend, MemoryStorage
from tests.db.runs.conftest import settings_for


def blueprint(rule: str) -> Blueprint:
    made = Blueprint("same", __name__)

    @made.get("/good")
    async def good() -> Response:
        return Response(b"")

    made.add_url_rule(rule, "more", good)
    return made


def settings(url: str, data: Path, *required: str) -> Settings:
    usual = settings_for(url, data)
    return replace(usual, plugins=replace(usual.plugins, required=required))


async def opened(settings: Settings, **hooks: Any) -> Terrapod:
    fakes = SimpleNamespace(
        register_storage_backends=hookimpl(lambda context: [MemoryStorage()]),
        register_runner_backends=hookimpl(lambda context: [FakeRunnerBackend(capacity=1)]),
    )
    sample = SimpleNamespace(**{name: hookimpl(hook) for name, hook in hooks.items()})
    terrapod = Terrapod(settings, plugins=Plugins.discover(settings, modules={"fakes": fakes, "sample": sample}))
    await terrapod.close()
    return terrapod


def reason(terrapod: Terrapod) -> str:
    return next(each.reason for each in terrapod.plugins.records if each.name == "sample") or ""


def rules(terrapod: Terrapod) -> set[str]:
    return {each.rule for each in terrapod.app.url_map.iter_rules() if each.rule.startswith("/v1/sample")}


async def test_blueprints_of_one_plugin_may_have_one_name(migrated_url: str, tmp_path: Path) -> None:
    found = [Routes(blueprint("/x"), "/v1/sample/a"), Routes(blueprint("/x"), "/v1/sample/b")]
    terrapod = await opened(settings(migrated_url, tmp_path), register_routes=lambda context: found)
    assert rules(terrapod) == {f"/v1/sample/{each}" for each in ("a/good", "a/x", "b/good", "b/x")}


async def test_routes_that_cannot_be_mounted_fail_their_plugin_and_leave_none_behind(migrated_url: str, tmp_path: Path) -> None:
    found = [Routes(blueprint("/x"), "/v1/sample/a"), Routes(blueprint("/<nothing:x>"), "/v1/sample/b")]
    terrapod = await opened(settings(migrated_url, tmp_path), register_routes=lambda context: found)
    assert "its routes cannot be mounted at /v1/sample/b: LookupError" in reason(terrapod)
    assert rules(terrapod) == set()


@pytest.mark.parametrize("hook", ["register_run_checks", "register_routes", "register_jobs"])
async def test_a_required_plugin_that_fails_late_stops_the_start_too(migrated_url: str, tmp_path: Path, hook: str) -> None:
    def fails(context: object) -> Any:
        raise RuntimeError("out of order")

    assert "out of order" in reason(await opened(settings(migrated_url, tmp_path), **{hook: fails}))
    with pytest.raises(SettingsError, match=f"required plugins are not loaded .sample: {hook} raised .*out of order"):
        await opened(settings(migrated_url, tmp_path, "sample"), **{hook: fails})
