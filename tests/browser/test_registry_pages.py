"""The registry in a browser: modules and providers are found, read, used, and what can be done about their versions."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Person
from tests.support import wire
from tests.support.providers import add_key, make_provider, publish_signed, publish_unsigned
from tests.support.releases import LINUX, Publisher, Release
from tests.support.server import Server

WINDOWS = ("windows", "amd64")

VARIABLES = """
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }
}
variable "region" {
  type        = string
  description = "Where it lies"
}
variable "zones" {
  type    = list(string)
  default = ["a", "b"]
}
variable "public" {
  type    = bool
  default = false
}
variable "password" {
  type      = string
  sensitive = true
}
resource "aws_vpc" "main" {
  cidr_block = "10.0.0.0/16"
}
output "id" {
  value       = aws_vpc.main.id
  description = "Of the network"
}
"""
README = """# Network

| what | why |
|---|---|
| vpc | because |

```hcl
module "network" {}
```
"""
FILES = {
    "main.tf": VARIABLES,
    "README.md": README,
    "LICENSE": "SPDX-License-Identifier: MPL-2.0\n",
    "modules/subnet/main.tf": 'variable "cidr" {}\n',
    "examples/small/main.tf": 'module "network" {\n  source = "../.."\n}\n',
}


@pytest.fixture
def plain(person: Person) -> Page:
    """The same person's page in a browser that runs no script."""
    person.sign_in()
    context = person.page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    context.add_cookies(person.page.context.cookies())  # type: ignore[arg-type]
    return context.new_page()


def made(api: httpx.Client, *versions: str, files: dict[str, str] | None = None) -> str:
    """The name of a module with these versions."""
    name = wire.fresh("network")
    wire.make_module(api, name, labels={"team": name})
    for each in versions:
        wire.publish_module(api, name, each, files or FILES)
    return name


def path(name: str, version: str = "") -> str:
    """Of a module's page."""
    return f"/app/default/registry/modules/default/{name}/aws" + (f"/{version}" if version else "")


def test_a_module_is_found_by_its_name_or_its_label_and_read(person: Person, api: httpx.Client) -> None:
    name, other = made(api, "1.0.0", "1.10.0", "2.0.0-rc.1"), made(api)
    page = person.page
    person.sign_in()
    page.get_by_role("link", name="Registry").click()
    page.get_by_placeholder("Part of a name").fill(name)
    page.get_by_role("button", name="Find").click()
    row = page.get_by_role("row", name=f"default/{name}/aws")
    expect(row).to_contain_text("1.10.0")
    page.get_by_placeholder("Part of a name").fill("")
    page.get_by_placeholder("Label").fill(f"team={other}")
    page.get_by_role("button", name="Find").click()
    expect(row).to_have_count(0)
    expect(page.get_by_role("row", name=f"default/{other}/aws")).to_contain_text("none yet")
    person.open(f"/app/default/registry/modules?search={name}")
    page.get_by_role("link", name=f"team={name}").click()
    page.get_by_role("link", name=f"default/{name}/aws").click()
    expect(page.get_by_role("heading", name=f"{name} 1.10.0")).to_be_visible()
    expect(page.locator(".readme table")).to_contain_text("because")
    inputs = page.get_by_role("region", name="Inputs").get_by_role("listitem")
    assert [each.split()[0] for each in inputs.all_inner_texts()] == ["password", "region", "public", "zones"], "required ones first"
    expect(inputs.first).to_contain_text("sensitive")
    expect(inputs.nth(1)).to_contain_text("Where it lies")
    expect(inputs.nth(3)).to_contain_text('Default ["a", "b"]')
    expect(page.get_by_role("region", name="Outputs")).to_contain_text("Of the network")
    expect(page.get_by_role("region", name="Resources")).to_contain_text("aws_vpc.main")
    expect(page.get_by_role("region", name="What it needs")).to_contain_text("~> 5.0")
    facts = page.get_by_role("region", name="Facts")
    for told in ("MPL-2.0", ">= 1.5", "admin@example.com"):
        expect(facts).to_contain_text(told)
    page.get_by_role("link", name="subnet").click()
    expect(page.get_by_role("heading", name="modules/subnet 1.10.0")).to_be_visible()
    expect(page.get_by_label("Block to copy")).to_have_value(f'module "subnet" {{\n  source  = "{_host(person)}/default/{name}/aws//modules/subnet"\n  version = "1.10.0"\n\n  # Required, fill in: any type\n  cidr = null\n}}')  # fmt: skip  # noqa: E501
    page.get_by_role("link", name="small").click()
    expect(page.get_by_text("An example")).to_be_visible()
    page.get_by_role("link", name="1.0.0").click()
    expect(page.get_by_role("heading", name=f"{name} 1.0.0")).to_be_visible()
    assert not person.elsewhere()
    assert person.complaints == []


def _host(person: Person) -> str:
    """What source addresses begin with: terraform takes none without a dot."""
    return person.server.url.partition("://")[2].replace("localhost", "127.0.0.1")


def test_a_block_is_built_from_what_is_filled_in_without_scripts(plain: Page, person: Person, api: httpx.Client) -> None:
    name = made(api, "1.0.0")
    plain.goto(person.server.url + path(name))
    plain.get_by_text("Fill in the inputs").click()
    plain.get_by_label("Name of the block").fill("main")
    plain.get_by_label("region").fill('eu-"west"')
    plain.get_by_text("Optional inputs").click()
    plain.get_by_label("public").select_option("true")
    plain.get_by_label("zones").fill("not a list")
    assert plain.get_by_label("password").count() == 0, "nobody writes a password into this form"
    plain.get_by_role("button", name="Build the block").click()
    expect(plain.get_by_role("alert")).to_have_text('zones: write a list, as ["a", "b"], or a reference as var.zones')
    expect(plain.get_by_label("region")).to_have_value('eu-"west"')
    plain.get_by_label("zones").fill("${var.zones}")
    plain.get_by_role("button", name="Build the block").click()
    block = plain.get_by_label("Block to copy").input_value()
    source = f'source  = "{_host(person)}/default/{name}/aws"'
    for line in (source, r'= "eu-\"west\""', "public = true", "zones  = var.zones", "var.password"):
        assert line in block, block
    assert "region=" not in plain.url, "what is filled in stays out of the address"


def test_a_module_of_many_inputs_fits_into_the_form(plain: Page, person: Person, api: httpx.Client) -> None:
    name = made(api, "1.0.0", files={"main.tf": "".join(f'variable "v{number}" {{}}\n' for number in range(150))})
    plain.goto(person.server.url + path(name))
    plain.get_by_text("Fill in the inputs").click()
    plain.get_by_label("v149").fill("the last")
    plain.get_by_role("button", name="Build the block").click()
    assert 'v149 = "the last"' in plain.get_by_label("Block to copy").input_value()


def test_a_version_is_deprecated_revoked_and_deleted_with_a_reason_and_with_care(plain: Page, person: Person, api: httpx.Client) -> None:
    name = made(api, "1.0.0", "1.1.0")
    plain.goto(person.server.url + path(name))
    plain.get_by_text("Deprecate 1.1.0").first.click()
    manage = plain.get_by_role("region", name="Manage")
    form = manage.locator("details[open]")
    form.get_by_label("Reason").fill("Take <2>")
    form.get_by_label("Link").fill("https://example.com/why")
    form.get_by_role("button").click()
    expect(plain.locator(".hint")).to_contain_text("Take <2> https://example.com/why")
    expect(plain.get_by_role("region", name="Versions").get_by_role("listitem").first).to_contain_text("Take <2>")
    plain.get_by_role("button", name="Take the deprecation back").click()
    expect(plain.locator(".hint")).to_have_count(0)
    plain.get_by_text("Revoke 1.1.0").first.click()
    form.get_by_label("Reason").fill("It opens port 22")
    form.get_by_role("button").click()
    expect(plain.locator(".problem")).to_contain_text("It opens port 22")
    plain.goto(person.server.url + path(name))
    expect(plain.get_by_role("heading", name=f"{name} 1.0.0")).to_be_visible()
    plain.get_by_text("Delete 1.0.0").first.click()
    form.get_by_label("Write 1.0.0").fill("1.1.0")
    form.get_by_role("button").click()
    expect(plain.get_by_role("alert")).to_contain_text("nothing was deleted")
    plain.goto(person.server.url + path(name))
    plain.get_by_text("Delete the module").click()
    form.get_by_label("Write default").fill(f"default/{name}/aws")
    form.get_by_role("button").click()
    expect(plain.get_by_role("heading", name="Registry")).to_be_visible()
    assert api.get(f"{wire.ORG}/registry-modules/default/{name}/aws").status_code == 404


def test_a_held_version_is_seen_and_released_by_a_publisher(plain: Page, person: Person, api: httpx.Client, server: Server) -> None:
    name = made(api, "1.0.0")
    other = wire.make_person(server, wire.fresh("second"), "admin")
    wire.publish_module(other.api, name, "1.1.0", FILES)
    other.api.close()
    plain.goto(f"{person.server.url}/app/default/registry/modules?search={name}")
    expect(plain.get_by_role("row", name=name)).to_contain_text("1 held")
    plain.get_by_role("link", name=f"default/{name}/aws").click()
    plain.get_by_role("region", name="Versions").get_by_role("link", name="1.1.0").click()
    expect(plain.locator(".hint")).to_contain_text(f"{other.email} made this version and is no publisher")
    plain.get_by_role("button", name="Release 1.1.0").click()
    expect(plain.get_by_role("button", name="Release 1.1.0")).to_have_count(0)
    assert wire.attributes(api.get(f"{wire.ORG}/registry-modules/default/{name}/aws/1.1.0"))["status"] == "ok"


def test_a_provider_tells_its_platforms_and_where_trust_comes_from(person: Person, api: httpx.Client) -> None:
    name, publisher = wire.fresh("provider"), Publisher("Ann <ann@example.com>")
    make_provider(api, name)
    add_key(api, publisher, name)
    release = Release.made(name, "1.0.0", LINUX, WINDOWS)
    publish_signed(api, release, publisher)
    publish_unsigned(api, Release.made(name, "0.9.0"))
    page = person.page
    person.sign_in(f"/app/default/registry/providers?search={name}")
    page.get_by_role("link", name=f"default/{name}").click()
    expect(page.get_by_label("Block to copy")).to_have_value(
        f'terraform {{\n  required_providers {{\n    {name} = {{\n      source  = "{_host(person)}/default/{name}"\n'
        '      version = "1.0.0"\n    }\n  }\n}'
    )
    expect(page.get_by_role("row", name="linux_amd64")).to_contain_text(f"zh:{release.digest(LINUX)}")
    expect(page.get_by_role("row", name="windows_amd64")).to_contain_text("h1:")
    trust = page.get_by_role("region", name="Where trust comes from")
    expect(trust).to_contain_text("signed by its publisher")
    expect(trust).to_contain_text("Ann <ann@example.com>")
    expect(trust).to_contain_text(publisher.key_id)
    page.get_by_role("link", name="0.9.0").click()
    expect(trust).to_contain_text("signed by this server")
    page.get_by_text("Revoke 0.9.0").first.click()
    page.get_by_role("region", name="Manage").locator("details[open]").get_by_label("Reason").fill("too old")
    page.get_by_role("button", name="Revoke 0.9.0").click()
    expect(page.locator(".problem")).to_contain_text("too old")
    person.open("/app/default/registry/keys")
    expect(page.get_by_role("region", name="Ann <ann@example.com>").last).to_contain_text(f"default/{name}")
    expect(page.get_by_role("region", name="The key of this server")).to_be_visible()
    assert person.complaints == []


HOSTILE = {
    "README.md": """# <script>document.title='owned'</script>Fine
<img src="https://elsewhere.example.com/a.png" onerror="document.title='owned'">
![pixel](https://elsewhere.example.com/pixel.png)
<a href="javascript:document.title='owned'">click</a> <a href="/app/sign-out" onclick="document.title='owned'">me</a>
<form action="/app/sign-out" method="post"><button>more</button></form>
<style>body { background: url(https://elsewhere.example.com/style) }</style>
<iframe src="https://elsewhere.example.com/"></iframe><svg onload="document.title='owned'"></svg>
<p style="position:fixed;inset:0">over it all</p>
""",
    "main.tf": """
variable "a" {
  type        = string
  description = "</textarea><script>document.title='owned'</script><img src=https://elsewhere.example.com/x onerror=alert(1)>"
  default     = "\\" autofocus onfocus=\\"document.title='owned'"
}
output "b" {
  value       = 1
  description = "<svg onload=document.title='owned'>"
}
""",
    'examples/"><img src=x onerror=alert(1)>/main.tf': "",
    "modules/<script>alert(1)<\\script>/main.tf": "",
}


def test_nothing_that_a_module_says_runs_or_leaves(person: Person, api: httpx.Client) -> None:
    name = made(api, "1.0.0", files=HOSTILE)
    sent = wire.document("registry-module-versions", deprecation={"reason": "<img src=https://elsewhere.example.com/r onerror=alert(1)>"})
    wire.data(api.patch(f"{wire.ORG}/registry-modules/default/{name}/aws/1.0.0", json=sent))
    page = person.page
    person.sign_in(path(name))
    title = page.title()
    page.get_by_text("Fill in the inputs").click()
    page.get_by_text("Optional inputs").click()
    page.get_by_label("a string").fill("</textarea><script>document.title='owned'</script>")
    page.get_by_role("button", name="Build the block").click()
    assert "<script>document.title" in page.get_by_label("Block to copy").input_value()
    expect(page.locator(".readme")).to_contain_text("over it all")
    page.wait_for_load_state("networkidle")
    assert page.title() == title
    assert page.locator("main img, main iframe, main svg, main script, main style, main [style], main [onerror], .readme form").count() == 0
    assert page.locator("main a[href^=javascript]").count() == 0
    page.get_by_role("region", name="In this module").get_by_role("link").last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("onerror=alert(1)")
    assert not person.elsewhere()
    assert person.complaints == []


UNNAMED = """
[...document.querySelectorAll("main :is(input:not([type=hidden]), select, textarea)")]
  .filter((field) => !field.labels.length && !field.ariaLabel).length
"""
"""How many fields a screen reader has no name for."""


def test_pages_of_the_registry_fit_a_narrow_window_and_every_field_has_a_name(person: Person, api: httpx.Client) -> None:
    name = made(api, "1.0.0")
    provider = wire.fresh("provider")
    make_provider(api, provider)
    publish_unsigned(api, Release.made(provider, "1.0.0", LINUX, WINDOWS))
    page = person.page
    person.sign_in()
    page.set_viewport_size({"width": 400, "height": 800})
    registry = "/app/default/registry"
    for where in (path(name), f"{registry}/providers/default/{provider}", f"{registry}/modules", f"{registry}/keys"):
        person.open(where)
        assert page.evaluate("document.documentElement.scrollWidth") == 400, where
        expect(page.get_by_role("heading", level=1).first).to_have_text(re.compile(f"Registry|{name}|{provider}"))
        assert page.evaluate(UNNAMED) == 0, where
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids)), where
