"""Pages about version control: connections to forges, what a workspace follows, and the commits of its runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Person
from tests.support import sandboxes, wire
from tests.support.connections import plant_changes, plant_connection, plant_repositories
from tests.support.followed import KINDS, Followed, Follower, following
from tests.support.forge import Answer
from tests.support.server import Server
from tests.support.waiting import until

CONNECTIONS = "/app/default/connections"


@pytest.fixture(scope="module")
def site(terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """A GitHub, and a server that follows its repositories."""
    kept = {"RUNNER__LOCAL__ISOLATION": "sandbox"} if sandboxes.possible() else {}
    with following(KINDS["github"], terraform, tmp_path_factory.mktemp("pages"), kept) as site:
        yield site


@pytest.fixture(scope="module")
def server(site: Followed) -> Server:
    """That server, for the browsers of this module."""
    return site.server


@pytest.fixture
def plain(person: Person) -> Page:
    """The person's page in a browser that runs no script."""
    person.sign_in()
    context = person.page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    context.add_cookies(person.page.context.cookies())  # type: ignore[arg-type]
    return context.new_page()


def fill_in(page: Page, site: Followed, name: str, **other: str) -> None:
    """The form of a connection as the GitHub's app."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Address of GitHub").fill(site.forge.url)
    for field, value in {**site.kind.values(site.forge), **other}.items():
        page.locator(f"[name=value-{field}]").fill(str(value))


def fork_with_pull(site: Followed, follower: Follower) -> str:
    """Somebody's pull request from a fork; the SHA of its head."""
    fork = site.forge.fork(follower.repo.path, f"stranger/{follower.name}")
    sha: str = fork.push({"main.tf": 'resource "terraform_data" "pet" {\n  input = "cuckoo"\n}\n'}, "A better pet", "better")
    site.forge.open_pull(follower.repo.path, "better", title="Take <b>mine</b>", head_repo=fork.path)
    return sha


def sign_in_as(person: Person, other: wire.Person) -> None:
    """Begin the browser's session as somebody who is no admin."""
    person.open("/app")
    person.page.fill("input[name=email]", other.email)
    person.page.fill("input[name=password]", wire.PASSPHRASE)
    person.page.get_by_role("button", name="Sign in").click()
    person.page.wait_for_load_state()


def test_an_admin_connects_a_forge_changes_it_and_is_shown_the_webhooks_secret_once(person: Person, site: Followed) -> None:
    page, name = person.page, wire.fresh()
    person.sign_in()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="VCS").click()
    page.get_by_role("link", name="New connection").click()
    expect(page.get_by_role("listitem").last).to_contain_text("Git any server, by its address")
    page.get_by_role("link", name="GitHub").click()
    fill_in(page, site, name, **{"github-app-id": "x1"})
    page.get_by_role("button", name="Make the connection").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("App ID")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#github-app-id-told")).to_contain_text("must be a whole number")
    expect(page.get_by_label("Name")).to_have_value(name)
    assert "PRIVATE KEY" not in page.content(), "a secret is not sent back"
    fill_in(page, site, name)
    page.get_by_role("button", name="Make the connection").click()
    secret = page.get_by_label("Webhook secret").input_value()
    assert len(secret) > 30
    expect(page.locator(".facts").first).to_contain_text("works")
    page.goto(f"{site.server.url}{CONNECTIONS}")
    page.get_by_role("link", name=name).click()
    expect(page.get_by_text(re.compile(r"/api/v2/vcs-events/github/vcs-"))).to_be_visible()
    assert secret not in page.content()
    page.get_by_role("link", name="Change it").click()
    assert "PRIVATE KEY" not in page.content()
    page.get_by_label("Which roles may use it").fill("painters")
    page.get_by_role("button", name="Change it").click()
    expect(page.locator(".facts").first).to_contain_text("painters")
    page.get_by_role("button", name="Test it now").click()
    expect(page.locator(".facts").first).to_contain_text("works")
    page.get_by_text("Make another secret").first.click()
    page.get_by_role("button", name="Make another secret").click()
    assert page.get_by_label("Webhook secret").input_value() != secret
    page.get_by_text("Delete the connection").click()
    page.get_by_label(f"Write {name}").fill(name)
    page.get_by_role("button", name=f"Delete {name}").click()
    expect(page.get_by_role("heading", name="VCS connections")).to_be_visible()
    expect(page.get_by_role("link", name=name)).to_have_count(0)
    assert person.elsewhere() == []


def test_a_connection_says_in_words_what_is_wrong_with_it(plain: Page, person: Person, site: Followed) -> None:
    connection = site.connect()
    with site.forge.twisted("*", Answer.of({"message": "Bad credentials"}, 401)):
        plain.goto(f"{site.server.url}{CONNECTIONS}/{connection['id']}")
        plain.get_by_role("button", name="Test it now").click()
        expect(plain.get_by_role("status")).to_contain_text("In trouble since")
    plain.get_by_role("button", name="Test it now").click()
    expect(plain.locator(".facts").first).to_contain_text("works")


def test_a_workspace_follows_a_repository_without_scripts_and_a_push_becomes_a_run(plain: Page, site: Followed) -> None:
    repo = site.repository()
    connection = site.connection["attributes"]["name"]
    workspace = wire.make_workspace(site.server.api)
    follower = Follower(site, repo, workspace["id"], workspace["attributes"]["name"])
    plain.goto(f"{site.server.url}/app/default/workspaces/{follower.name}")
    plain.get_by_role("link", name="Version control").click()
    plain.get_by_role("link", name="Follow a repository").click()
    if plain.get_by_label("By which connection?").count():
        plain.get_by_label("By which connection?").select_option(label=f"{connection} ({site.forge.url})")
        plain.get_by_role("button", name="Go on").click()
    assert plain.locator(f"#repositories option[value='{repo.path}']").count() == 1, "the form offers what the connection may read"
    plain.get_by_label("Which repository?").fill(repo.path)
    plain.get_by_role("button", name="Go on").click()
    assert plain.locator("#branches option[value='main']").count() == 1
    plain.get_by_label("Branch", exact=True).fill("no..branch")
    plain.get_by_label("Also the first commit").check()
    plain.get_by_role("button", name="Follow it").click()
    expect(plain.locator("#branch-told")).to_contain_text("is no name of a branch")
    expect(plain.get_by_label("Also the first commit")).to_be_checked()
    plain.get_by_label("Branch", exact=True).fill("main")
    plain.get_by_role("button", name="Follow it").click()
    expect(plain.get_by_role("heading", name=f"Follows {repo.path}")).to_be_visible()
    run = follower.run_of(repo.sha(), "planned")
    plain.reload()
    line = plain.get_by_role("row", name=re.compile("push to main"))
    expect(line).to_contain_text("planned")
    line.get_by_role("link", name="run").click()
    facts = plain.locator(".facts").first
    expect(facts).to_contain_text(f"{repo.sha()[:12]} by")
    expect(facts).to_contain_text(f"{repo.path}, branch main")
    assert run["id"] in plain.url
    _changed_and_left(plain, site, follower)


def _changed_and_left(plain: Page, site: Followed, follower: Follower) -> None:
    """The same workspace follows it otherwise, and then no longer."""
    here = f"{site.server.url}/app/default/workspaces/{follower.name}/version-control"
    plain.goto(here)
    plain.get_by_role("link", name="Change how it is followed").click()
    plain.get_by_label("Tags instead of a branch").fill("^v")
    plain.get_by_label("when something changes that one of these patterns fits").check()
    plain.get_by_label("Directories or patterns").fill("**/*.tf\nnet/**")
    plain.get_by_role("button", name="Change it").click()
    expect(plain.locator(".facts").first).to_contain_text("those that match ^v")
    assert follower.attributes["trigger-patterns"] == ["**/*.tf", "net/**"]
    plain.get_by_role("button", name="Look at it now").click()
    expect(plain.get_by_role("heading", name=f"Follows {follower.repo.path}")).to_be_visible()
    plain.get_by_text("Follow it no longer").first.click()
    plain.get_by_role("button", name="Follow it no longer").click()
    expect(plain.get_by_role("heading", name="This workspace follows no repository")).to_be_visible()


def test_a_forks_commit_waits_on_the_page_until_somebody_approves_it(person: Person, site: Followed) -> None:
    follower = site.workspace(site.repository(), fork_pull_requests="approval", queue_all_runs=False)
    sha = fork_with_pull(site, follower)
    follower.until_change(sha, "waiting")
    page = person.page
    person.sign_in(f"/app/default/workspaces/{follower.name}/version-control")
    card = page.get_by_role("region", name=re.compile("waits for you"))
    expect(card).to_contain_text("Take <b>mine</b>")
    expect(card).to_contain_text("with the variables, the secrets and the state")
    former = follower.repo.path
    follower.update(vcs_repo={"identifier": site.repository().path})
    page.reload()
    expect(page.get_by_text("What it saw")).to_be_visible()
    expect(card).to_have_count(0)
    follower.update(vcs_repo={"identifier": former})
    page.reload()
    card.get_by_label("Comment").fill("Read, and harmless")
    card.get_by_role("button", name=f"Approve {sha[:12]}").click()
    expect(card).to_have_count(0)
    run = follower.run_of(sha, "planned_and_finished")
    page.reload()
    expect(page.get_by_role("row", name="Take <b>mine</b>")).to_contain_text(f"approved by {site.server.email}")
    page.goto(f"{site.server.url}/app/default/{follower.name}/runs/{run['id']}")
    expect(page.locator(".facts").first).to_contain_text(re.compile(r"pull request #\d+ from better"))
    expect(page.get_by_text("from a fork, without secrets")).to_have_count(0)
    assert person.complaints == []


def test_a_forks_commit_that_nobody_approved_is_marked_on_its_run(person: Person, site: Followed) -> None:
    sandboxes.order()  # without one such a commit waits for approval all the same
    follower = site.workspace(site.repository(), fork_pull_requests="no-secrets", queue_all_runs=False)
    run = follower.run_of(fork_with_pull(site, follower), "planned_and_finished", "errored")
    person.sign_in(f"/app/default/{follower.name}/runs/{run['id']}")
    expect(person.page.get_by_text("from a fork, without secrets")).to_be_visible()


def test_a_reader_sees_what_came_of_commits_and_no_button(person: Person, site: Followed) -> None:
    follower = site.workspace(site.repository(), fork_pull_requests="approval", queue_all_runs=False, labels={"access": "everyone"})
    sha = fork_with_pull(site, follower)
    follower.until_change(sha, "waiting")
    reader = wire.make_person(site.server, wire.fresh("reader"))
    sign_in_as(person, reader)
    person.open(f"/app/default/workspaces/{follower.name}/version-control")
    page = person.page
    expect(page.get_by_role("row", name="Take <b>mine</b>")).to_contain_text("waiting")
    expect(page.locator("#main").get_by_role("button")).to_have_count(0)
    expect(page.get_by_text("one that you may not see")).to_be_visible()
    person.open(CONNECTIONS)
    expect(page.get_by_text("There is no connection that you may see.")).to_be_visible()
    reader.api.close()


def test_a_holder_of_the_connections_role_uses_it_and_cannot_change_it(person: Person, site: Followed) -> None:
    role, api = wire.fresh("networkers"), site.server.api
    wire.data(api.post("roles", json=wire.document("roles", name=role, workspace_permission="read", allow_labels={"none": role})), 201)
    holder = wire.make_person(site.server, wire.fresh("holder"))
    wire.data(api.put("role-assignments", json=wire.document("role-assignments", provider_name="local", email=holder.email, roles=[role])))
    allowed, other = site.repository(), site.repository()
    connection = site.connect(roles=[role], repositories=[allowed.path])
    name = wire.make_workspace(holder.api)["attributes"]["name"]
    sign_in_as(person, holder)
    page = person.page
    person.open(CONNECTIONS)
    expect(page.get_by_role("link", name="New connection")).to_have_count(0)
    page.get_by_role("link", name=connection["attributes"]["name"]).click()
    expect(page.get_by_role("button", name="Test it now")).to_be_visible()
    expect(page.get_by_role("link", name="Change it")).to_have_count(0)
    expect(page.get_by_role("button", name="Make another secret")).to_have_count(0)
    connect = f"/app/default/workspaces/{name}/version-control/connect"
    person.open(f"{connect}?repository={other.path}")
    expect(page.get_by_role("alert")).to_contain_text(f"may not be used for the repository {other.path}")
    person.open(connect)
    assert page.locator("#repositories option").evaluate_all("all => all.map(each => each.value)") == [allowed.path]
    page.get_by_label("Which repository?").fill(allowed.path)
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Follow it").click()
    expect(page.get_by_role("heading", name=f"Follows {allowed.path}")).to_be_visible()
    expect(page.locator(".facts").first).to_contain_text(f"{holder.email}, who connected it")
    holder.api.close()


def test_long_lists_are_read_page_by_page_and_lead_nowhere_odd(plain: Page, site: Followed) -> None:
    connection = plant_connection(site.server, provider="github")
    plant_repositories(site.server, connection, 31)
    plain.goto(f"{site.server.url}{CONNECTIONS}/{connection}")
    rows = plain.locator("section[aria-labelledby=followed] tbody tr")
    expect(rows).to_have_count(30)
    assert "javascript:" not in plain.content(), "what a forge tells is no script"
    plain.get_by_role("link", name="Next").click()
    expect(rows).to_have_count(1)
    workspace = wire.make_workspace(site.server.api)
    plant_changes(site.server, workspace["id"], 21)
    plain.goto(f"{site.server.url}/app/default/workspaces/{workspace['attributes']['name']}/version-control")
    rows = plain.locator("section[aria-labelledby=changes] tbody tr")
    expect(rows).to_have_count(20)
    plain.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("it was planted")


def test_what_is_wrong_with_the_repository_stands_on_its_page(plain: Page, site: Followed) -> None:
    follower = site.workspace(site.repository(), queue_all_runs=False)
    follower.repo.push({"main.tf": None, "README": "nothing for terraform"}, "Remove everything")
    until(lambda: "vcs-no-configuration" in follower.conditions(), "the workspace to say that there is no configuration")
    plain.goto(f"{site.server.url}/app/default/workspaces/{follower.name}/version-control")
    condition = plain.get_by_role("region", name="error vcs-no-configuration")
    expect(condition).to_contain_text("it has no .tf file in its root")
    expect(plain.get_by_role("row", name=re.compile("push to main")).first).to_contain_text("refused")
    condition.get_by_label("What you found").fill("on purpose")
    condition.get_by_role("button", name="Acknowledge").click()
    plain.get_by_role("link", name="Version control").click()
    expect(condition).to_have_count(0)


def test_the_pages_fit_a_narrow_window(person: Person, site: Followed) -> None:
    follower = site.workspace(site.repository(), fork_pull_requests="approval", queue_all_runs=False)
    follower.until_change(fork_with_pull(site, follower), "waiting")
    person.sign_in()
    person.page.set_viewport_size({"width": 400, "height": 800})
    repository = f"/app/default/workspaces/{follower.name}/version-control"
    connection = f"{CONNECTIONS}/{site.connection['id']}"
    for path in (CONNECTIONS, f"{CONNECTIONS}/new?provider=github", connection, f"{connection}/edit", repository, f"{repository}/connect"):
        person.open(path)
        until(lambda: person.page.evaluate("document.readyState") == "complete", "the page to be there")
        assert person.page.evaluate("document.documentElement.scrollWidth") == 400, path
