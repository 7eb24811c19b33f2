"""The guides to version control, typed as they stand: hosts, tokens and ids alone are put in. Forges are the tests' own."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT, git_sshd, wire
from tests.support.followed import ANY_GIT, KINDS
from tests.support.forge import Forge
from tests.support.forge_github import GitHubForge
from tests.support.forge_gitlab import GitLabForge
from tests.support.git_sshd import GitSshd
from tests.support.server import Server, running
from tests.support.waiting import until

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
IDS = {"vcs-connections": "vcs-…", "workspaces": "ws-…"}
"""How the guides write the ids of what they have made."""


class Typist:
    """Somebody at a shell, who goes through a guide from its beginning to its end."""

    def __init__(self, server: Server, directory: Path, **replaced: str) -> None:
        self.server = server
        self.directory = directory
        self.exports = ""
        self.replaced = {"https://terrapod.example.com": server.url, "terrapod-at-…": server.token, **replaced}
        self.answers: list[dict[str, Any]] = []

    def type(self, block: str) -> str:
        """One block of a guide; what it printed. Fails when a command does."""
        for written, meant in sorted(self.replaced.items(), key=lambda each: -len(each[0])):
            block = block.replace(written, meant)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}
        command = ["bash", "-euo", "pipefail", "-c", self.exports + block]
        done = subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        self.exports += "".join(f"{line}\n" for line in block.splitlines() if line.startswith("export "))
        return done.stdout

    def walk(self, page: str, before: Mapping[str, Callable[[], None]] | None = None) -> None:
        """Type all of a guide; no answer may be a refusal. `before`: what others do before the block that has these words."""
        for block in BLOCK.findall((ROOT / f"docs/how-to/{page}.md").read_text()):
            for words, others in (before or {}).items():
                if words in block:
                    others()
            self.understand(self.type(block))

    def understand(self, printed: str) -> None:
        """Remember the answers of the server, and the ids that it gave."""
        for line in printed.replace("}{", "}\n{").splitlines():
            if not line.startswith("{"):
                continue
            answer = json.loads(line)
            assert "errors" not in answer, line
            self.answers.append(answer)
            made = answer["data"]
            if isinstance(made, dict) and made["type"] in IDS:
                self.replaced[IDS[str(made["type"])]] = str(made["id"])

    def shown(self, kind: str) -> list[dict[str, Any]]:
        """The attributes in answers of a type, in their order."""
        found = [each["data"] for each in self.answers if isinstance(each["data"], dict)]
        return [each["attributes"] for each in found if each["type"] == kind]


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubForge]:
    forge = GitHubForge(tmp_path_factory.mktemp("github"))
    forge.start()
    yield forge
    forge.stop()


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitLabForge]:
    forge = GitLabForge(tmp_path_factory.mktemp("gitlab"))
    forge.start()
    forge.repository("infra/network")
    yield forge
    forge.stop()


@pytest.fixture(scope="module")
def any_git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    forge = ANY_GIT.forge(tmp_path_factory.mktemp("any"))
    forge.start()
    forge.repository("team/network")
    yield forge
    forge.stop()


@pytest.fixture(scope="module")
def server(gitlab: GitLabForge, terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that trusts the forges, whose certificates one authority signed."""
    often = dict.fromkeys(("VCS__POLL_SECONDS", "VCS__POLL_QUIET_SECONDS"), "1")
    known = {"OUTGOING__CA_FILE": str(gitlab.ca_file), "RUNNER__ENGINES_DIR": str(terraform.parent)}
    with running(tmp_path_factory.mktemp("server"), settings={**often, **known}) as server:
        yield server


def test_connect_github(server: Server, github: GitHubForge, tmp_path: Path) -> None:
    (tmp_path / "app.private-key.pem").write_text(str(KINDS["github"].values(github)["private-key"]))
    typist = Typist(server, tmp_path, **{'"provider": "github",': f'"provider": "github", "base-url": "{github.url}",'})
    typist.walk("connect-github")
    assert [each["status"] for each in typist.shown("vcs-connections")] == ["active", "active"]


def test_connect_gitlab(server: Server, gitlab: GitLabForge, tmp_path: Path) -> None:
    at = {'"provider": "gitlab",': f'"provider": "gitlab", "base-url": "{gitlab.url}",'}
    typist = Typist(server, tmp_path, **at, **{"<the access token>": "forge-token", "<the new access token>": "forge-token"})
    typist.walk("connect-gitlab")
    assert [each["status"] for each in typist.shown("vcs-connections")] == ["active"] * 3


def test_a_token_that_is_wrong_is_told_to_who_types_the_guide(server: Server, gitlab: GitLabForge, tmp_path: Path) -> None:
    """`curl -f` would say 422, and nothing else."""
    at = {'"provider": "gitlab",': f'"provider": "gitlab", "base-url": "{gitlab.url}",'}
    typist = Typist(server, tmp_path, **at, **{"<the access token>": "wrong"})
    with pytest.raises(AssertionError, match="does not accept the access token: it is wrong, revoked or expired. Make"):
        typist.walk("connect-gitlab")


@pytest.mark.skipif(
    git_sshd.PROGRAM is None or git_sshd.GIT_SHELL is None, reason="no sshd or git-shell (Debian: apt-get install openssh-server git)"
)
def test_connect_any_git(server: Server, any_git: Forge, tmp_path: Path) -> None:
    sshd = GitSshd(tmp_path / "sshd", any_git.root)
    sshd.start()

    def add_deploy_key() -> None:
        keys = sshd.directory / "authorized_keys"
        restricted = keys.read_text().partition(" ssh-ed25519")[0]
        keys.write_text(f"{restricted} {(tmp_path / 'terrapod-git.pub').read_text()}")

    scanned = {"ssh-keyscan git.example.com": f"ssh-keyscan -p {sshd.port} 127.0.0.1", "ssh://git@git.example.com": sshd.url}
    typist = Typist(server, tmp_path, **scanned, **{"https://git.example.com": any_git.url, "<the token>": "forge-token"})
    try:
        typist.walk("connect-any-git", {"ssh-keyscan": add_deploy_key})
    finally:
        sshd.stop()
    assert [(each["name"], each["status"]) for each in typist.shown("vcs-connections")] == [
        ("our-git", "active"),
        ("our-git-ssh", "active"),
    ]


def test_follow_a_repository(server: Server, gitlab: GitLabForge, tmp_path: Path) -> None:
    workspace = f"workspaces/{wire.make_workspace(server.api, name='network')['id']}"
    typist = Typist(server, tmp_path, **{"https://gitlab.example.com": gitlab.url, "<the access token>": "forge-token"})

    def changes(status: str) -> list[str]:
        found = server.api.get(f"{workspace}/vcs-changes").json()["data"]
        return [each["id"] for each in found if each["attributes"]["status"] == status]

    def wait_for_the_first_commit() -> None:
        until(lambda: changes("started") or changes("skipped"), "the first commit to be seen")

    def open_a_pull_request_from_a_fork() -> None:
        sent = {"vcs-repo": {"tags-regex": ""}, "fork-pull-requests": "approval"}
        wire.data(server.api.patch(workspace, json=wire.document("workspaces", **sent)))
        gitlab.fork("infra/network", "mallory/network").push({"main.tf": "# theirs\n"}, "Change it", "theirs")
        gitlab.open_pull("infra/network", "theirs", head_repo="mallory/network")
        until(lambda: changes("waiting"), "the fork's commit to wait")
        typist.replaced["vcschg-…"] = changes("waiting")[0]

    typist.walk("follow-a-repository", {"/runs": wait_for_the_first_commit, "/actions/approve": open_a_pull_request_from_a_fork})
    assert typist.shown("workspaces")[-1]["vcs-repo"]["tags-regex"] == r"^v\d+\.\d+\.\d+$"
    assert typist.shown("runs")[0]["message"] == "the first"
    assert typist.shown("vcs-changes")[-1]["approved-at"]


def test_publish_modules_from_tags(server: Server, gitlab: GitLabForge, tmp_path: Path) -> None:
    gitlab.repository("acme/terraform-aws-vpc", {"main.tf": 'variable "cidr" {\n  type = string\n}\n'}).tag("v1.4.0")
    sent = wire.document("vcs-connections", name=wire.fresh(), provider="gitlab", base_url=gitlab.url, token="forge-token")
    made = wire.data(server.api.post(f"{wire.ORG}/vcs-connections", json=sent), 201)
    Typist(server, tmp_path, **{"vcs-2uPXtbAVfmCkwGsT": made["id"]}).walk("publish-modules-from-tags")
    module = f"{wire.ORG}/registry-modules/private/default/vpc/aws"

    def versions() -> list[str]:
        told = server.api.get(module).json()["data"]["attributes"]["version-statuses"]
        return [each["version"] for each in told if each["status"] == "ok"]

    until(lambda: versions() == ["1.4.0"], "the tag to be published")


def test_set_up_vcs_with_tfe_tools(server: Server, gitlab: GitLabForge, tmp_path: Path) -> None:
    typist = Typist(server, tmp_path, **{"https://gitlab.example.com": gitlab.url, "<the access token>": "forge-token"})
    typist.walk("set-up-vcs-with-tfe-tools")
    assert [each["service-provider"] for each in typist.shown("oauth-clients")] == ["gitlab_community_edition"]
