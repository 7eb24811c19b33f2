"""The page of a run: a plan is read, confirmed, discarded and watched there."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import Person
from tests.support.gate import Gate
from tests.support.waiting import until
from tests.support.wire import archive, fresh

PRINTS = """
resource "terraform_data" "told" {
  input = "%s"
}
"""


def start_run(api: httpx.Client, configuration: str = PRINTS % "hello page", **attributes: object) -> tuple[str, str]:
    """A workspace with a run of this configuration: the workspace's name and the run's id."""
    name = fresh("page")
    body = {"data": {"type": "workspaces", "attributes": {"name": name}}}
    workspace = api.post("organizations/default/workspaces", json=body).raise_for_status().json()["data"]["id"]
    body = {"data": {"type": "configuration-versions", "attributes": {"auto-queue-runs": False}}}
    version = api.post(f"workspaces/{workspace}/configuration-versions", json=body).raise_for_status().json()["data"]
    httpx.put(version["attributes"]["upload-url"], content=archive({"main.tf": configuration}), trust_env=False).raise_for_status()
    relationships = {
        "workspace": {"data": {"type": "workspaces", "id": workspace}},
        "configuration-version": {"data": {"type": "configuration-versions", "id": version["id"]}},
    }
    body = {"data": {"type": "runs", "attributes": attributes, "relationships": relationships}}
    return name, api.post("runs", json=body).raise_for_status().json()["data"]["id"]


def reaches(api: httpx.Client, run: str, status: str) -> None:
    """Wait until the run is there."""
    until(lambda: api.get(f"runs/{run}").json()["data"]["attributes"]["status"] == status, f"{run} to be {status}")


def test_a_plan_is_read_and_confirmed_on_the_page_and_the_apply_is_watched_live(person: Person, api: httpx.Client, tmp_path: Path) -> None:
    name, run = start_run(api, message="Say hello")
    person.sign_in(f"/app/default/{name}/runs/{run}")
    expect(person.page.get_by_role("heading", name="Say hello")).to_be_visible()
    expect(person.page.locator("#progress .badge").first).to_have_text("planned")
    expect(person.page.locator("pre.log.scripted").first).to_contain_text('"hello page"')
    person.page.fill("#comment", "looks right")
    person.page.get_by_role("button", name="Confirm and apply").click()
    expect(person.page.locator("#progress .badge").first).to_have_text("applied")
    expect(person.page.locator("pre.log.scripted").nth(1)).to_contain_text("Apply complete! Resources: 1 added")
    events = api.get(f"runs/{run}/run-events").json()["data"]
    assert any(event["attributes"]["description"].endswith("looks right") for event in events)
    assert person.elsewhere() == []
    assert person.complaints == []


def test_a_line_that_terraform_prints_is_on_the_open_page_at_once(person: Person, api: httpx.Client, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    waits = f"""
resource "terraform_data" "first" {{
  provisioner "local-exec" {{
    command = "echo before the gate; {gate.command}; echo after the gate"
  }}
}}
"""
    name, run = start_run(api, waits, **{"auto-apply": True})
    gate.wait()
    person.sign_in(f"/app/default/{name}/runs/{run}")
    log = person.page.locator("pre.log.scripted").nth(1)
    expect(log).to_contain_text("before the gate")
    expect(person.page.locator("#progress .badge").first).to_have_text("applying")
    person.page.evaluate("window.sameAsBefore = true")
    asked = len(person.requested)
    gate.open()
    expect(log).to_contain_text("after the gate")
    expect(log).to_contain_text("Apply complete! Resources: 1 added")
    expect(person.page.locator("#progress .badge").first).to_have_text("applied")
    assert person.page.evaluate("window.sameAsBefore") is True, "the page was not loaded again"
    assert not [url for url in person.requested[asked:] if "/logs/" in url], "the text came on the stream"
    assert log.inner_text().count("before the gate\n") == log.inner_text().count("after the gate\n")
    assert person.complaints == []


def test_the_list_of_workspaces_follows_what_happens(person: Person, api: httpx.Client) -> None:
    name, run = start_run(api)
    reaches(api, run, "planned")
    person.sign_in(f"/app?search={name}")
    row = person.page.get_by_role("row", name=name)
    expect(row).to_contain_text("planned")
    api.post(f"runs/{run}/actions/discard").raise_for_status()
    expect(row).to_contain_text("discarded")
    assert person.complaints == []


def test_a_plan_is_discarded_on_the_page(person: Person, api: httpx.Client) -> None:
    name, run = start_run(api)
    reaches(api, run, "planned")
    person.sign_in(f"/app/default/{name}/runs/{run}")
    person.page.get_by_role("button", name="Discard").click()
    expect(person.page.locator("#progress .badge").first).to_have_text("discarded")
    expect(person.page.get_by_role("button", name="Confirm and apply")).to_have_count(0)
    reaches(api, run, "discarded")


def test_a_run_that_waits_says_for_what(person: Person, api: httpx.Client) -> None:
    name, first = start_run(api)
    reaches(api, first, "planned")
    workspace = api.get(f"organizations/default/workspaces/{name}").json()["data"]["id"]
    second = api.post(
        "runs", json={"data": {"type": "runs", "relationships": {"workspace": {"data": {"type": "workspaces", "id": workspace}}}}}
    ).json()["data"]["id"]
    person.sign_in(f"/app/default/{name}/runs/{second}")
    expect(person.page.get_by_role("status")).to_contain_text(first)
    api.post(f"runs/{first}/actions/discard").raise_for_status()
    expect(person.page.locator("#progress .badge").first).to_have_text("planned")


def test_what_a_configuration_prints_is_text_and_never_markup(person: Person, api: httpx.Client) -> None:
    name, run = start_run(api, PRINTS % "<img src=x onerror=alert(1)><script>document.title='owned'</script>")
    reaches(api, run, "planned")
    person.sign_in(f"/app/default/{name}/runs/{run}")
    expect(person.page.locator("pre.log.scripted").first).to_contain_text("<script>document.title='owned'</script>")
    assert person.page.title() != "owned"
    assert person.page.locator("pre.log img").count() == 0
    assert person.complaints == []


def test_the_link_that_terraform_prints_leads_to_the_page_also_without_scripts(person: Person, api: httpx.Client) -> None:
    name, run = start_run(api)
    reaches(api, run, "planned")
    person.sign_in()
    context = person.page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    context.add_cookies(person.page.context.cookies())  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{person.server.url}/app/default/{name}/runs/{run}")
    expect(page.locator("noscript pre.log, pre.log").first).to_contain_text("Plan: 1 to add")
    page.get_by_role("button", name="Confirm and apply").click()
    reaches(api, run, "applied")
    context.close()


def test_a_form_from_another_site_does_nothing(person: Person, api: httpx.Client) -> None:
    name, run = start_run(api)
    reaches(api, run, "planned")
    person.sign_in()
    target = f"{person.server.url}/app/default/{name}/runs/{run}/actions/confirm"
    person.page.route(
        "http://evil.example/",
        lambda route: route.fulfill(
            content_type="text/html", body=f"<form method=post action='{target}'></form><script>document.forms[0].submit()</script>"
        ),
    )
    person.page.goto("http://evil.example/")
    person.page.wait_for_url(re.compile("/actions/confirm"))
    assert api.get(f"runs/{run}").json()["data"]["attributes"]["status"] == "planned"
