"""Modules whose versions are the tags of a repository."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.followed import EVERY_KIND, Followed
from tests.support.forge import Repository
from tests.support.tf import Terraform, dotted
from tests.support.waiting import until
from tests.support.walk import Window
from tests.support.wire import ORG, fresh, make_person, terrapod

SAYS = 'output "said" {\n  value = "%s"\n}\n'


@dataclass
class Module:
    """A module that follows a repository."""

    site: Followed
    id: str
    name: str

    def shown(self) -> dict[str, Any]:
        """Its attributes."""
        answer = self.site.server.api.get(f"registry-modules/{self.id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["data"]["attributes"]
        return found

    def statuses(self) -> dict[str, str]:
        """Its versions, and tags that are none."""
        return {each["version"]: each["status"] for each in self.shown()["version-statuses"]}

    def problems(self) -> dict[str, str]:
        """What is wrong, by code."""
        return {each["code"]: each["detail"] for each in self.shown()["problems"]}

    def until(self, **versions: str) -> None:
        """Wait until these versions, written as `v1_0_0`, have these statuses, and there are no others."""
        wanted = {name.removeprefix("v").replace("_", "."): status for name, status in versions.items()}
        until(lambda: self.statuses() == wanted, f"{self.name} to have {wanted}, not {self.statuses()}")

    def update(self, **attributes: object) -> dict[str, Any]:
        """Change it."""
        named = {key.replace("_", "-"): value for key, value in attributes.items()}
        answer = self.site.server.api.patch(f"registry-modules/{self.id}", json={"data": {"type": "registry-modules", "attributes": named}})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["data"]["attributes"]
        return found


def connected(site: Followed, repo: Repository, name: str | None = None, *, api: httpx.Client | None = None, **vcs_repo: object) -> Module:
    """A module that follows a repository, as the contract names the connection; made by the admin, or by whose `api` it is."""
    name = name or fresh("module")
    document = {
        "data": {
            "type": "registry-modules",
            "attributes": {"name": name, "provider": "aws", "vcs-repo": {"identifier": site.identifier(repo), **vcs_repo}},
            "relationships": {"vcs-connection": {"data": {"type": "vcs-connections", "id": site.connection["id"]}}},
        }
    }
    answer = (api or site.server.api).post(f"{ORG}/registry-modules/vcs", json=document)
    assert answer.status_code == 201, answer.text
    return Module(site, answer.json()["data"]["id"], name)


def said(site: Followed, terraform: Path, directory: Path, module: Module, version: str) -> str:
    """What a real terraform gets of a version."""
    tf = Terraform(terraform, directory, site.server)
    source = f"{dotted(site.server)}/default/{module.name}/aws"
    tf.write(f'module "it" {{\n  source = "{source}"\n  version = "{version}"\n}}\noutput "said" {{\n  value = module.it.said\n}}\n')
    tf.run("init", "-input=false")
    done = tf.run("plan", "-input=false", "-no-color")
    return next(line.split('"')[1] for line in done.output.splitlines() if line.strip().startswith("+ said"))


def page_of(site: Followed, path: str) -> str:
    """A page, as the admin's browser gets it."""
    window = Window(site.server, site.server.email, site.server.password)
    with closing(window.client):
        window.sign_in()
        page = window.open(path)
    assert page.status_code == 200
    return page.text


def files(text: str, at: str = "") -> Mapping[str, str]:
    """A module that says something."""
    return {f"{at}main.tf": SAYS % text, f"{at}README.md": f"# {text}\n"}


@EVERY_KIND
def test_tags_become_versions_that_terraform_takes(site: Followed, terraform: Path, tmp_path: Path) -> None:
    repo = site.repository(files("one"))
    repo.tag("v1.0.0")
    repo.tag("not-a-version")
    module = connected(site, repo)
    module.until(v1_0_0="ok")
    sha = repo.push(files("two"))
    repo.tag("1.1.0", annotated=True)
    module.until(v1_0_0="ok", v1_1_0="ok")
    assert said(site, terraform, tmp_path / "one", module, "1.0.0") == "one"
    assert said(site, terraform, tmp_path / "two", module, "1.1.0") == "two"
    shown = module.shown()
    assert (shown["publishing-mechanism"], shown["status"], shown["problems"]) == ("git_tag", "setup_complete", [])
    assert (shown["vcs-repo"]["identifier"], shown["vcs-repo"]["tags"], shown["vcs-repo"]["branch"]) == (site.identifier(repo), True, "")
    version = site.server.api.get(f"{ORG}/registry-modules/default/{module.name}/aws/1.1.0").json()["data"]["attributes"]
    assert (version["tag"], version["commit-sha"]) == ("1.1.0", sha)
    assert [each["name"] for each in version["contents"]["module"]["outputs"]] == ["said"]


@EVERY_KIND
def test_a_repository_has_several_modules_by_prefix_and_directory(site: Followed, terraform: Path, tmp_path: Path) -> None:
    repo = site.repository({"README.md": "# All of them\n", **files("network", "network/"), **files("storage", "modules/storage/")})
    network = connected(site, repo, tag_prefix="network/", source_directory="network")
    storage = connected(site, repo, tag_prefix="storage-", source_directory="/modules/storage/")
    repo.tag("network/v1.2.0")
    repo.tag("storage-2.0.0")
    repo.tag("v9.0.0")
    network.until(v1_2_0="ok")
    storage.until(v2_0_0="ok")
    assert said(site, terraform, tmp_path / "network", network, "1.2.0") == "network"
    assert said(site, terraform, tmp_path / "storage", storage, "2.0.0") == "storage"
    assert storage.shown()["vcs-repo"]["source-directory"] == "modules/storage"


@EVERY_KIND
def test_a_tag_that_is_moved_changes_nothing_and_is_told(site: Followed, terraform: Path, tmp_path: Path) -> None:
    repo = site.repository(files("first"))
    before = repo.tag("v1.0.0")
    module = connected(site, repo)
    module.until(v1_0_0="ok")
    after = repo.push(files("second"))
    repo.tag("v1.0.0", force=True)
    until(lambda: "tag-moved" in module.problems(), "the moved tag to be told")
    assert before[:12] in module.problems()["tag-moved"]
    assert after[:12] in module.problems()["tag-moved"]
    assert said(site, terraform, tmp_path, module, "1.0.0") == "first"
    log = site.server.api.get("admin/audit-log", params={"filter[action]": "registry-module-tag.moved", "page[size]": 100}).json()["data"]
    assert [each["attributes"]["detail"]["moved_to"] for each in log if each["attributes"]["resource-id"] == module.id] == [after]
    repo.tag("v1.0.0", force=True, sha=before)
    until(lambda: not module.problems(), "the tag to be where it was")


def test_a_tag_that_is_no_module_is_told_and_the_next_one_is_published(site: Followed) -> None:
    repo = site.repository({"README.md": "# Nothing here\n"})
    repo.tag("v0.1.0")
    module = connected(site, repo)
    module.until(v0_1_0="reg_ingress_failed")
    shown = module.shown()
    assert shown["status"] == "setup_failed"
    assert "no configuration in it" in shown["version-statuses"][0]["error"]
    assert "push another tag" in module.problems()["tag-refused"]
    repo.push(files("right"))
    repo.tag("v0.1.1")
    module.until(v0_1_0="reg_ingress_failed", v0_1_1="ok")


def test_a_directory_that_is_not_there_is_told(site: Followed) -> None:
    repo = site.repository(files("root"))
    repo.tag("v1.0.0")
    module = connected(site, repo, source_directory="nowhere")
    module.until(v1_0_0="reg_ingress_failed")
    assert "has no directory nowhere" in module.problems()["tag-refused"]
    assert module.update(vcs_repo={"source-directory": ""})["vcs-repo"]["source-directory"] == ""
    module.until(v1_0_0="ok")


@EVERY_KIND
def test_a_forge_that_is_away_loses_no_tag(site: Followed) -> None:
    repo = site.repository(files("one"))
    repo.tag("v1.0.0")
    module = connected(site, repo)
    module.until(v1_0_0="ok")
    repo.tag("v1.1.0")
    with site.forge.stopped():
        until(lambda: "vcs-unreachable" in module.problems(), "the module to say that its forge is away")
    module.until(v1_0_0="ok", v1_1_0="ok")
    until(lambda: not module.problems(), "the module to be well again")


def test_no_tags_yet_is_said(site: Followed) -> None:
    module = connected(site, site.repository(files("one")))
    until(lambda: module.shown()["status"] == "no_version_tags", "the module to say that there are no tags")


def test_a_module_lets_go_of_its_repository_and_keeps_its_versions(site: Followed) -> None:
    repo = site.repository(files("one"))
    repo.tag("v1.0.0")
    module = connected(site, repo)
    module.until(v1_0_0="ok")
    shown = module.update(vcs_repo=None)
    assert "vcs-repo" not in shown
    assert (shown["publishing-mechanism"], shown["status"]) == ("non_vcs", "setup_complete")
    repo.tag("v1.1.0")
    again = module.update(vcs_repo={"identifier": repo.path, "oauth-token-id": site.connection["id"].replace("vcs-", "ot-")})
    assert again["publishing-mechanism"] == "git_tag"
    module.until(v1_0_0="ok", v1_1_0="ok")
    assert module.problems() == {}


def test_a_number_that_was_deleted_is_never_published_again(site: Followed) -> None:
    repo = site.repository(files("one"))
    repo.tag("v1.0.0")
    module = connected(site, repo)
    module.until(v1_0_0="ok")
    assert site.server.api.delete(f"{ORG}/registry-modules/default/{module.name}/aws/1.0.0").status_code == 204
    repo.push(files("two"))
    repo.tag("1.0.0")
    module.until(v1_0_0="reg_ingress_failed")
    assert "was published and deleted" in module.problems()["tag-refused"]


def test_a_connection_that_is_deleted_leaves_the_versions(site: Followed) -> None:
    connection = site.connect()
    repo = site.repository(files("one"))
    repo.tag("v1.0.0")
    named = {"oauth-token-id": connection["id"].replace("vcs-", "ot-"), "identifier": repo.path}
    document = {"data": {"type": "registry-modules", "attributes": {"name": fresh("module"), "provider": "aws", "vcs-repo": named}}}
    made = site.server.api.post("registry-modules", json=document)
    assert made.status_code == 201, made.text
    module = Module(site, made.json()["data"]["id"], "it")
    module.until(v1_0_0="ok")
    assert site.server.api.delete(f"vcs-connections/{connection['id']}").status_code == 204
    until(lambda: "vcs-connection-deleted" in module.problems(), "the module to say that its connection is gone")
    assert module.statuses() == {"1.0.0": "ok"}


@pytest.mark.parametrize(
    ("vcs_repo", "told"),
    [
        ({"branch": "main", "tags": False}, "from tags here"),
        ({"source-directory": "../other"}, "must be a directory of the repository"),
        ({"tag-prefix": "a b"}, "no blanks"),
        ({"ingress-submodules": True}, "Submodules are not fetched"),
        ({"identifier": "acme/is-not-there"}, "acme/is-not-there"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_words(site: Followed, vcs_repo: dict[str, object], told: str) -> None:
    named = {"identifier": "acme/terraform-aws-x", "oauth-token-id": site.connection["id"].replace("vcs-", "ot-"), **vcs_repo}
    document = {"data": {"type": "registry-modules", "attributes": {"name": "x", "provider": "aws", "vcs-repo": named}}}
    answer = site.server.api.post("registry-modules", json=document)
    assert answer.status_code == 422, answer.text
    assert told in answer.json()["errors"][0]["detail"]


def test_a_repository_that_is_called_like_a_module_names_it(site: Followed) -> None:
    name = fresh("vpc")
    repo = site.forge.repository(f"acme/terraform-aws-{name}", files("named"))
    repo.tag("v1.0.0")
    named = {"identifier": repo.path, "oauth-token-id": site.connection["id"].replace("vcs-", "ot-"), "tags": True, "branch": ""}
    made = site.server.api.post("registry-modules", json={"data": {"type": "registry-modules", "attributes": {"vcs-repo": named}}})
    assert made.status_code == 201, made.text
    attributes = made.json()["data"]["attributes"]
    assert (attributes["name"], attributes["provider"], attributes["status"]) == (name, "aws", "pending")
    Module(site, made.json()["data"]["id"], name).until(v1_0_0="ok")


def test_whoever_connected_answers_until_somebody_takes_over(site: Followed) -> None:
    repo = site.repository(files("one"))
    person = make_person(site.server, "connector", "admin")
    with closing(person.api):
        module = connected(site, repo, api=person.api)
    repo.tag("v1.0.0")
    module.until(v1_0_0="ok")
    terrapod(site.server, "users", "disable", person.email)
    repo.tag("v1.1.0")
    until(lambda: "tag-waiting" in module.problems(), "the module to say that nobody answers")
    assert "nobody answers for this module's repository" in module.problems()["tag-waiting"]
    module.update(vcs_repo={"identifier": repo.path})
    until(lambda: not module.problems(), "the one who took over to be asked")
    module.until(v1_0_0="ok", v1_1_0="pending")
    # Whoever took over is none of its publishers.
    version = site.server.api.get(f"{ORG}/registry-modules/default/{module.name}/aws/1.1.0").json()["data"]["attributes"]
    assert (version["held"], version["tag"]) == (True, "v1.1.0")


def test_a_tag_of_somebody_who_is_no_publisher_is_held(site: Followed) -> None:
    repo = site.repository(files("one"))
    module = connected(site, repo)
    person = make_person(site.server, "publisher", "admin")
    publishers = {"data": [{"type": "users", "id": person.id}]}
    change = {"data": {"type": "registry-modules", "attributes": {}, "relationships": {"publishers": publishers}}}
    assert site.server.api.patch(f"registry-modules/{module.id}", json=change).status_code == 200
    repo.tag("v1.0.0")
    version = f"{ORG}/registry-modules/default/{module.name}/aws/1.0.0"
    until(lambda: site.server.api.get(version).status_code == 200, "the tag to be taken")
    assert site.server.api.get(version).json()["data"]["attributes"]["held"] is True
    with closing(person.api):
        assert person.api.post(f"{version}/actions/release").status_code == 200
    module.until(v1_0_0="ok")


def test_a_connection_for_projects_is_none_for_modules(site: Followed) -> None:
    sent = {
        "name": fresh("client"),
        "service-provider": {"github": "github_enterprise", "gitlab": "gitlab_hosted"}[site.kind.name],
        "http-url": site.forge.url,
        "oauth-token-string": "forge-token",
        "organization-scoped": False,
    }
    made = site.server.api.post(f"{ORG}/oauth-clients", json={"data": {"type": "oauth-clients", "attributes": sent}})
    assert made.status_code == 201, made.text
    named = {"identifier": site.repository().path, "oauth-token-id": made.json()["data"]["id"].replace("oc-", "ot-")}
    document = {"data": {"type": "registry-modules", "attributes": {"name": fresh("module"), "provider": "aws", "vcs-repo": named}}}
    answer = site.server.api.post("registry-modules", json=document)
    assert answer.status_code == 403
    assert "modules belong to none" in answer.json()["errors"][0]["detail"]


def test_the_page_of_a_module_shows_its_repository_and_what_is_wrong(site: Followed) -> None:
    repo = site.repository({"README.md": "# Nothing here\n"})
    repo.tag("v1.0.0")
    module = connected(site, repo)
    module.until(v1_0_0="reg_ingress_failed")
    page = page_of(site, f"/app/default/registry/modules/default/{module.name}/aws")
    assert repo.path in page
    assert "push another tag" in page
