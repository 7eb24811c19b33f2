"""The page of a workspace: its runs, health, lock, state and variables, and what can be done about them."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Person
from tests.browser.test_run_page import reaches, start_run
from tests.support import wire
from tests.support.assessed import plant_assessment
from tests.support.listeners import make_pool
from tests.support.server import Server

OUTPUTS = """
resource "terraform_data" "told" {
  input = "hello"
}
output "greeting" {
  value = terraform_data.told.output
}
output "password" {
  value     = "swordfish"
  sensitive = true
}
"""


@pytest.fixture
def plain(person: Person) -> Page:
    """The same person's page in a browser that runs no script."""
    person.sign_in()
    context = person.page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    context.add_cookies(person.page.context.cookies())  # type: ignore[arg-type]
    return context.new_page()


def test_a_workspace_is_read_on_its_page_and_follows_what_happens(person: Person, api: httpx.Client) -> None:
    name, run = start_run(api, OUTPUTS, message="The first")
    reaches(api, run, "planned")
    page = person.page
    person.sign_in(f"/app?search={name}")
    page.get_by_role("link", name=name).click()
    facts = page.locator(".facts")
    expect(facts).to_contain_text("planned")
    expect(facts).to_contain_text(f"locked by {run}")
    expect(page.get_by_text("There is no state yet.")).to_be_visible()
    page.evaluate("window.sameAsBefore = true")
    api.post(f"runs/{run}/actions/apply").raise_for_status()
    expect(facts).to_contain_text("applied")
    expect(facts).to_contain_text("not locked")
    expect(page.locator(".addresses")).to_have_text("terraform_data.told")
    expect(page.get_by_role("row", name="greeting")).to_contain_text('"hello"')
    expect(page.get_by_role("row", name="password")).to_contain_text("sensitive")
    expect(page.locator(".badge", has_text="current")).to_have_count(1)
    assert page.evaluate("window.sameAsBefore") is True, "the page was not loaded again"
    assert "swordfish" not in page.content()
    facts.get_by_role("link", name="The first").click()
    expect(page.get_by_role("heading", name="The first")).to_be_visible()
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    assert person.complaints == []


def test_a_workspace_is_locked_with_a_reason_and_an_older_state_brought_back_without_scripts(
    plain: Page, person: Person, api: httpx.Client
) -> None:
    workspace = wire.make_workspace(api)
    wire.lock(api, workspace["id"])
    for serial in (1, 2):
        wire.put_state(api, workspace["id"], wire.state(serial, note=f"state {serial}"))
    api.post(f"workspaces/{workspace['id']}/actions/unlock").raise_for_status()
    plain.goto(f"{person.server.url}/app/default/workspaces/{workspace['attributes']['name']}")
    expect(plain.get_by_role("button", name="Roll back to it")).to_have_count(0)
    plain.fill("#reason", "mending <it>")
    plain.get_by_role("button", name="Lock").click()
    expect(plain.locator(".facts")).to_contain_text(re.compile("locked by admin@example.com since .*: mending <it>"))
    plain.get_by_role("button", name="Roll back to it").click()
    expect(plain.get_by_role("row", name=re.compile("^3 "))).to_contain_text("current rollback")
    plain.get_by_role("button", name="Unlock", exact=True).click()
    expect(plain.locator(".facts")).to_contain_text("not locked")


def test_a_lock_of_somebody_else_is_taken_by_force(plain: Page, person: Person, server: Server) -> None:
    other = wire.make_person(server, wire.fresh("locker"))
    workspace = wire.make_workspace(other.api)
    wire.lock(other.api, workspace["id"])
    plain.goto(f"{person.server.url}/app/default/workspaces/{workspace['attributes']['name']}")
    expect(plain.get_by_role("button", name="Unlock", exact=True)).to_have_count(0)
    plain.get_by_role("button", name="Unlock by force").click()
    expect(plain.locator(".facts")).to_contain_text("not locked")
    other.api.close()


def test_each_variable_in_force_says_where_it_comes_from(person: Person, api: httpx.Client) -> None:
    workspace = wire.make_workspace(api)
    sent = wire.document("vars", key="own", value="mine", category="terraform")
    wire.data(api.post(f"workspaces/{workspace['id']}/vars", json=sent), 201)
    secret = wire.document("vars", key="hidden", value="swordfish", category="env", sensitive=True)
    wire.data(api.post(f"workspaces/{workspace['id']}/vars", json=secret), 201)
    varset = wire.make_varset(api, {"shared": "text"}, workspaces=[workspace["id"]])
    person.sign_in(f"/app/default/workspaces/{workspace['attributes']['name']}")
    page = person.page
    expect(page.get_by_role("row", name="own")).to_contain_text("mine this workspace", use_inner_text=True)
    expect(page.get_by_role("row", name="shared")).to_contain_text(f"set {varset['attributes']['name']} (workspace)")
    expect(page.get_by_role("row", name="hidden")).to_contain_text("sensitive")
    assert "swordfish" not in page.content()
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 400, "wide tables scroll by themselves"


def test_the_runs_of_a_workspace_are_read_page_by_page(plain: Page, person: Person, api: httpx.Client) -> None:
    workspace = wire.make_workspace(api)
    wire.lock(api, workspace["id"])
    configuration = wire.make_configuration(api, workspace["id"])
    for _ in range(11):
        wire.make_run(api, workspace["id"], configuration)
    plain.goto(f"{person.server.url}/app/default/workspaces/{workspace['attributes']['name']}")
    runs = plain.locator("section[aria-labelledby=runs] tbody tr")
    expect(runs).to_have_count(10)
    plain.get_by_role("link", name="Next").click()
    expect(runs).to_have_count(1)
    plain.get_by_role("link", name="Previous").click()
    expect(runs).to_have_count(10)
    assert person.page.request.get(f"{plain.url.partition('?')[0]}?runs=x").status == 400


def test_what_is_wrong_is_told_with_its_remedy_and_an_admin_promotes_or_acknowledges(
    plain: Page, person: Person, server: Server, api: httpx.Client
) -> None:
    workspace = wire.make_workspace(api)
    wire.lock(api, workspace["id"])
    states = [wire.put_state(api, workspace["id"], wire.state(serial, note=f"state {serial}"))["id"] for serial in (1, 2)]
    api.post(f"workspaces/{workspace['id']}/actions/unlock").raise_for_status()
    _diverge(server, workspace["id"], states[0])
    plain.goto(f"{person.server.url}/app/default/workspaces/{workspace['attributes']['name']}")
    condition = plain.get_by_role("region", name="error state-diverged")
    expect(condition).to_contain_text("a state arrived late")
    expect(condition).to_contain_text("compare it")
    expect(plain.get_by_role("row", name=re.compile("^1 "))).to_contain_text("rescued")
    plain.get_by_role("button", name="Make it current").click()
    expect(plain.get_by_role("row", name=re.compile("^3 "))).to_contain_text("current rollback")
    expect(condition).to_have_count(0)
    _diverge(server, workspace["id"], states[0])
    plain.reload()
    condition.get_by_label("What you found").fill("all is well")
    condition.get_by_role("button", name="Acknowledge").click()
    expect(condition).to_have_count(0)
    left = wire.attributes(api.get(f"workspaces/{workspace['id']}"))["conditions"]
    assert "state-diverged" not in {each["code"] for each in left}


def _diverge(server: Server, workspace_id: str, version_id: str) -> None:
    """What is left when a runner that was lost hands in its state; it takes half an hour to come to that."""
    condition = {
        "code": "state-diverged",
        "severity": "error",
        "detail": "a state arrived late",
        "remedy": "compare it",
        "since": "2026-01-01T12:00:00Z",
        "run-id": None,
    }
    with closing(sqlite3.connect(server.data / "terrapod.db", timeout=30)) as database, database:
        database.execute("UPDATE workspaces SET conditions = ? WHERE id = ?", (json.dumps([condition]), workspace_id))
        database.execute("UPDATE state_versions SET rescued = 1 WHERE id = ?", (version_id,))


def test_the_page_tells_which_pool_carries_out_the_runs_and_that_nobody_there_takes_them(person: Person, api: httpx.Client) -> None:
    pool = make_pool(api)
    workspace = wire.make_workspace(api, execution_mode="agent", agent_pool_id=pool["id"])
    person.sign_in(f"/app/default/workspaces/{workspace['attributes']['name']}")
    expect(person.page.locator(".facts")).to_contain_text(f"agent, by the pool {pool['attributes']['name']}")
    expect(person.page.get_by_role("region", name="no-agent")).to_contain_text("has no listeners")


def test_drift_is_told_with_the_run_that_saw_it(person: Person, api: httpx.Client, server: Server) -> None:
    name, run = start_run(api, OUTPUTS)
    reaches(api, run, "planned")
    document = wire.data(api.get(f"runs/{run}"))["relationships"]
    page = person.page
    person.sign_in(f"/app/default/workspaces/{name}")
    expect(page.locator(".facts")).not_to_contain_text("Drift")
    plant_assessment(server, document["workspace"]["data"]["id"], run, document["plan"]["data"]["id"])
    page.reload()
    expect(page.locator(".facts")).to_contain_text(f"2 resources changed outside of terraform ({run}")
    page.locator(".facts").get_by_role("link", name=run).last.click()
    expect(page).to_have_url(re.compile(f"/runs/{run}$"))
