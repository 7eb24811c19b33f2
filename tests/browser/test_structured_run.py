"""The page of a run with structured output: terraform's JSON lines, told as people read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Person
from tests.browser.test_run_page import reaches, start_run
from tests.support.gate import Gate
from tests.support.server import Server, running

TOLD = """
resource "terraform_data" "told" {
  input = "<img src=x onerror=alert(1)>"
  provisioner "local-exec" {
    command = "echo before the gate; %s; echo after the gate"
  }
}
output "greeting" {
  value = "hello"
}
output "password" {
  value     = "swordfish"
  sensitive = true
}
"""
BROKEN = 'locals {\n  broken = nope.here\n}\noutput "it" {\n  value = nope.there.x\n}\n'


@pytest.fixture(scope="module")
def enterprise(engines: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tells the version of a release."""
    with running(tmp_path_factory.mktemp("enterprise"), settings={**engines, "TFE_VERSION": "v202501-1"}) as server:
        yield server


@pytest.fixture
def reader(chromium: Browser, enterprise: Server) -> Iterator[Person]:
    """A person at that server."""
    context = chromium.new_context(viewport={"width": 1100, "height": 800})
    page = context.new_page()
    person = Person(page, enterprise)
    page.on("console", lambda message: person.complaints.append(message.text) if message.type == "error" else None)
    yield person
    context.close()


def test_structured_output_is_read_in_words_while_it_comes_and_the_raw_log_is_a_link_away(reader: Person, tmp_path: Path) -> None:
    gate, page, api = Gate(tmp_path / "gate"), reader.page, reader.server.api
    name, run = start_run(api, TOLD % gate.command, **{"auto-apply": True})
    gate.wait()
    reader.sign_in(f"/app/default/{name}/runs/{run}")
    plan, apply = page.locator("pre.log.scripted").nth(0), page.locator("pre.log.scripted").nth(1)
    expect(plan).to_contain_text("+ terraform_data.told will be created")
    expect(plan).to_contain_text("Plan: 1 to add, 0 to change, 0 to destroy.")
    expect(apply).to_contain_text("terraform_data.told: (local-exec): before the gate")
    gate.open()
    expect(apply).to_contain_text("terraform_data.told: (local-exec): after the gate")
    expect(apply).to_contain_text("Apply complete! Resources: 1 added")
    expect(apply).to_contain_text('greeting = "hello"')
    expect(apply).to_contain_text("password = (sensitive value)")
    expect(page.locator("#progress")).to_contain_text("1 added, 0 changed, 0 destroyed")
    assert "@message" not in page.inner_text("main")
    assert page.locator("pre.log img").count() == 0
    with page.expect_download() as download:
        page.get_by_role("link", name="Whole log").first.click()
    lines = download.value.path().read_text().splitlines()
    assert any(json.loads(line)["type"] == "planned_change" for line in lines if line.startswith("{"))
    assert reader.complaints == []


def test_a_diagnostic_is_read_with_its_lines_also_without_scripts(reader: Person) -> None:
    name, run = start_run(reader.server.api, BROKEN)
    reaches(reader.server.api, run, "errored")
    reader.sign_in(f"/app/default/{name}/runs/{run}")
    log = reader.page.locator("pre.log.scripted").first
    expect(log).to_contain_text("on main.tf line 2, in locals:")
    expect(log).to_contain_text("2:   broken = nope.here")
    assert "nope.here" in log.locator("span.underline").all_inner_texts()  # terraform tells errors in any order
    context = reader.page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    context.add_cookies(reader.page.context.cookies())  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{reader.server.url}/app/default/{name}/runs/{run}")
    expect(page.locator("noscript pre.log, pre.log").first).to_contain_text("2:   broken = nope.here")
    assert "@message" not in page.content()
    context.close()
