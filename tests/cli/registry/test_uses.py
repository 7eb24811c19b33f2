"""Who uses what, as real runs of terraform tell it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.cli.conftest import NewWorkspace
from tests.cli.registry.test_modules import WITH_SUBMODULE, init, publish, using
from tests.cli.registry.test_providers import new_provider, source
from tests.support import wire
from tests.support.browser import Browser, Page
from tests.support.providers import publish_unsigned
from tests.support.real_provider import configuration, release
from tests.support.server import Server
from tests.support.tf import Terraform
from tests.support.waiting import until
from tests.support.wire import fresh

MODULES = f"{wire.ORG}/registry-modules/private/default"
PROVIDERS = f"{wire.ORG}/registry-providers/private/default"


def consumers(api: httpx.Client, item: str) -> list[tuple[str, str, str, bool]]:
    """Version, workspace, run, and whether it was planned alone."""
    found = wire.data(api.get(f"{item}/consumers"))
    shown = [(each["attributes"], each["relationships"]) for each in found]
    return [(its["version"], of["workspace"]["data"]["id"], of["run"]["data"]["id"], its["plan-only"]) for its, of in shown]


def downloads(api: httpx.Client, item: str, *, at_least: int = 1) -> list[dict[str, Any]]:
    """By whom it was downloaded, as soon as so many downloads are written."""

    def look() -> list[dict[str, Any]] | None:
        answer = api.get(f"{item}/downloads").json()
        return answer["data"] if answer["meta"]["downloads"]["total"] >= at_least else None

    return until(look, what="the downloads are counted")


def page_of(server: Server, address: str) -> Page:
    """A page of the registry, as an admin sees it."""
    with closing(Browser(server)) as browser:
        asked = browser.open(f"{server.url}/app/default/registry/{address}")
        return browser.submit(asked, asked.form("/app/sign-in"), email=server.email, password=server.password)


def test_a_remote_run_says_which_modules_and_providers_it_used(new_workspace: NewWorkspace, server: Server) -> None:
    inner, outer = fresh("module"), fresh("module")
    for name in (inner, outer):
        wire.make_module(server.api, name)
    publish(server, inner, "0.3.1", WITH_SUBMODULE)
    publish(server, outer, "1.0.0", {"main.tf": using(server, inner, "~> 0.3")})
    publish(server, outer, "1.1.0", "never taken")
    provider = new_provider(server)
    publish_unsigned(server.api, release(provider, "1.0.0"))
    workspace = new_workspace()
    workspace.tf.write(using(server, outer, "1.0.0"))
    workspace.tf.write(configuration(source(server, provider)), "provider.tf")
    init(workspace.tf)
    run = workspace.run_of(workspace.tf.run("apply", "-auto-approve"))["id"]
    for item, version in ((f"{MODULES}/{outer}/aws", "1.0.0"), (f"{MODULES}/{inner}/aws", "0.3.1"), (f"{PROVIDERS}/{provider}", "1.0.0")):
        assert consumers(server.api, item) == [(version, workspace.id, run, False)]
    by_run = next(each for each in downloads(server.api, f"{PROVIDERS}/{provider}", at_least=3) if each["attributes"]["by"] == "run")
    assert by_run["relationships"]["workspace"]["data"]["id"] == workspace.id
    workspace.tf.write(using(server, outer, "1.1.0"))
    init(workspace.tf)
    planned = workspace.run_of(workspace.tf.run("plan"))["id"]
    found = consumers(server.api, f"{MODULES}/{outer}/aws")
    assert found == [("1.1.0", workspace.id, planned, True), ("1.0.0", workspace.id, run, False)]
    shown = page_of(server, f"modules/default/{outer}/aws")
    assert {f"{server.url}/app/default/{workspace.name}/runs/{each}" for each in (planned, run)} <= set(shown.links)
    assert "only planned" in shown.text
    assert f"/app/default/workspaces/{workspace.name}" in page_of(server, f"providers/default/{provider}").text
    assert consumers(server.api, f"{MODULES}/{inner}/aws") == [("0.3.1", workspace.id, run, False)]
    applied = workspace.run_of(workspace.tf.run("apply", "-auto-approve"))["id"]
    assert consumers(server.api, f"{MODULES}/{outer}/aws") == [("1.1.0", workspace.id, applied, False)]
    assert consumers(server.api, f"{MODULES}/{inner}/aws") == []


def test_a_local_run_shows_in_the_downloads_alone(terraform: Path, tmp_path: Path, server: Server) -> None:
    name = fresh("module")
    wire.make_module(server.api, name)
    publish(server, name, "1.0.0", "hello")
    tf = Terraform(terraform, tmp_path / "local", server)
    tf.write(using(server, name))
    init(tf)
    found = downloads(server.api, f"{MODULES}/{name}/aws")
    assert [(each["attributes"]["by"], each["attributes"]["count"]) for each in found] == [("token", 1)]
    assert found[0]["attributes"]["token-description"]
    shown = wire.data(server.api.get(f"{MODULES}/{name}/aws/1.0.0"))
    assert shown["attributes"]["download-count"] == 1
    assert consumers(server.api, f"{MODULES}/{name}/aws") == []
