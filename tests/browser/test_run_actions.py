"""What can be done about a run on its page, beside deciding on its plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Person
from tests.browser.test_run_page import reaches, start_run
from tests.support import wire
from tests.support.gate import Gate

WAITS = """
resource "terraform_data" "waits" {
  provisioner "local-exec" {
    command = "%s"
  }
}
"""


@contextmanager
def standing_still(gate: Gate) -> Iterator[None]:
    """terraform, whose command stands before the gate, hears nothing of what it is told."""
    reader = next(each for each in psutil.process_iter() if str(gate.path) in _command(each) and each.name() == "cat")
    terraform = next(each for each in reader.parents() if each.name().startswith("terraform"))
    terraform.suspend()
    try:
        yield
    finally:
        terraform.resume()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def plain(person: Person) -> Page:
    """The same person's page in a browser that runs no script."""
    person.sign_in()
    context = person.page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    context.add_cookies(person.page.context.cookies())  # type: ignore[arg-type]
    return context.new_page()


def test_a_run_is_commented_on_and_tried_again_with_the_comment_as_its_message(person: Person, api: httpx.Client) -> None:
    name, run = start_run(api)
    reaches(api, run, "planned")
    page = person.page
    person.sign_in(f"/app/default/{name}/runs/{run}")
    page.fill("#comment", "not <b>yet</b>")
    page.press("#comment", "Enter")
    expect(page.locator(".history blockquote")).to_have_text("not <b>yet</b>")
    expect(page.locator("#progress .badge").first).to_have_text("planned")
    page.fill("#comment", "the wrong one")
    page.get_by_role("button", name="Discard").click()
    expect(page.locator(".history")).to_contain_text("the run was discarded by admin")
    page.fill("#comment", "once more")
    page.get_by_role("button", name="Run it again").click()
    expect(page.get_by_role("heading", name="once more")).to_be_visible()
    assert run not in page.url
    assert [each["attributes"]["body"] for each in api.get(f"runs/{run}/comments").json()["data"]] == ["not <b>yet</b>", "the wrong one"]
    assert person.complaints == []


def test_without_scripts_a_run_is_commented_on_and_executed_before_its_turn(plain: Page, person: Person, api: httpx.Client) -> None:
    name, first = start_run(api)
    reaches(api, first, "planned")
    workspace = api.get(f"organizations/default/workspaces/{name}").json()["data"]["id"]
    second = wire.make_run(api, workspace)
    plain.goto(f"{person.server.url}/app/default/{name}/runs/{second}")
    expect(plain.get_by_role("status")).to_contain_text("since 2")
    plain.fill("#comment", "this one matters")
    plain.get_by_role("button", name="Add comment").click()
    expect(plain.locator(".history blockquote")).to_have_text("this one matters")
    plain.get_by_role("button", name=f"Discard {first} and start now").click()
    reaches(api, first, "discarded")
    reaches(api, second, "planned")


def test_a_cancel_that_does_not_end_the_run_counts_down_to_the_one_by_force(person: Person, api: httpx.Client, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    name, run = start_run(api, WAITS % gate.command, **{"auto-apply": True})
    gate.wait()
    person.sign_in(f"/app/default/{name}/runs/{run}")
    expect(person.page.get_by_role("button", name="Cancel", exact=True)).to_be_visible()
    assert person.page.get_by_role("button", name="by force").count() == 0
    hint, left = person.page.locator(".hint"), person.page.locator("[data-left]")
    with standing_still(gate):
        person.page.get_by_role("button", name="Cancel", exact=True).click()
        expect(hint).to_contain_text("you can cancel it by force from")
        expect(left).to_contain_text(", in ")
        expect(left).not_to_have_text(left.inner_text())
    gate.open()
    expect(person.page.get_by_role("button", name="Run it again")).to_be_visible()
    expect(hint).to_have_count(0)
    assert person.complaints == []
