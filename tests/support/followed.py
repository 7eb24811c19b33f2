"""A forge, and a server that follows its repositories: what tests of pushes, tags and pull requests do with both."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.forge import MAIN_TF, Forge, Pull, Repository
from tests.support.forge_github import GitHubForge
from tests.support.forge_gitlab import GitLabForge
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import fresh

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Kind:
    """A provider, and what plays its forge."""

    name: str
    forge: Callable[[Path], Forge]
    values: Callable[[Any], Mapping[str, object]]
    """The attributes of a connection, beside its name, provider and address."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What the forge calls the states of commits; empty for one that has none."""
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_pulls(self) -> bool:
        """Whether it knows pull requests, statuses and comments."""
        return bool(self.words)


KINDS = {
    "github": Kind(
        "github",
        GitHubForge,
        lambda forge: forge.app_values,
        {"pending": "pending", "running": "pending", "success": "success", "failure": "failure", "error": "error"},
        {"VCS__GITHUB__WEBHOOK_SECRET": "a secret of the tests"},
    ),
    "gitlab": Kind(
        "gitlab",
        GitLabForge,
        lambda _forge: {"token": "forge-token"},
        {"pending": "pending", "running": "running", "success": "success", "failure": "failed", "error": "failed"},
    ),
}


@dataclass
class Followed:
    """Both of them."""

    kind: Kind
    forge: Any
    server: Server

    @functools.cached_property
    def connection(self) -> dict[str, Any]:
        """A connection, made through the API."""
        return self.connect()

    def connect(self, **attributes: object) -> dict[str, Any]:
        """Another connection."""
        document = {
            "name": fresh(),
            "provider": self.kind.name,
            "base-url": self.forge.url,
            **self.kind.values(self.forge),
            **attributes,
        }
        answer = self.server.api.post(
            "organizations/default/vcs-connections", json={"data": {"type": "vcs-connections", "attributes": document}}
        )
        assert answer.status_code == 201, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def repository(self, files: Mapping[str, str | bytes | None] | None = None) -> Repository:
        """A new repository of the forge."""
        return self.forge.repository(f"acme/repo-{next(_numbers)}", files or {"main.tf": MAIN_TF})  # type: ignore[no-any-return]

    def workspace(self, repo: Repository, *, connection: str | None = None, awaited: bool = True, **attributes: object) -> Follower:
        """A workspace that follows a repository; returns when it has the newest commit of the branch."""
        name = fresh()
        document = {
            "data": {
                "type": "workspaces",
                "attributes": {
                    "name": name,
                    "vcs-repo-url": repo.url,
                    **{key.replace("_", "-"): value for key, value in attributes.items()},
                },
                "relationships": {
                    "vcs-connection": {"data": {"type": "vcs-connections", "id": connection or self.connection["id"]}},
                },
            }
        }
        answer = self.server.api.post("organizations/default/workspaces", json=document)
        assert answer.status_code == 201, answer.text
        follower = Follower(self, repo, answer.json()["data"]["id"], name)
        if awaited:
            follower.until_change(repo.sha(f"refs/heads/{attributes.get('vcs_branch') or 'main'}"), "skipped", "started")
        return follower


@contextmanager
def opened(kind: Kind, terraform: Path, root: Path) -> Iterator[Followed]:
    """A forge of this kind, and a server that looks at it every second, while the block runs."""
    forge = kind.forge(root)
    forge.start()
    settings = {
        "OUTGOING__CA_FILE": str(forge.ca_file),
        "VCS__POLL_SECONDS": "1",
        "VCS__POLL_QUIET_SECONDS": "1",
        "VCS__RETRY_SECONDS": "1",
        "RUNNER__ENGINES_DIR": str(terraform.parent),
        **kind.settings,
    }
    server = Server(root / "server", settings=settings)
    server.start()
    try:
        yield Followed(kind, forge, server)
    finally:
        server.close()
        forge.stop()


@dataclass
class Follower:
    """A workspace that follows a repository."""

    site: Followed
    repo: Repository
    id: str
    name: str

    def get(self, path: str) -> dict[str, Any]:
        """A document about the workspace."""
        answer = self.site.server.api.get(f"workspaces/{self.id}{path}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def update(self, **attributes: object) -> dict[str, Any]:
        """Change the workspace."""
        named = {key.replace("_", "-"): value for key, value in attributes.items()}
        answer = self.site.server.api.patch(f"workspaces/{self.id}", json={"data": {"type": "workspaces", "attributes": named}})
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    @property
    def attributes(self) -> dict[str, Any]:
        """As the API shows it."""
        shown: dict[str, Any] = self.get("")["data"]["attributes"]
        return shown

    def conditions(self) -> dict[str, dict[str, Any]]:
        """Its health conditions by code."""
        return {each["code"]: each for each in self.attributes["conditions"]}

    def runs(self) -> list[dict[str, Any]]:
        """All its runs, plan-only ones too, the newest first."""
        found: list[dict[str, Any]] = self.get(
            "/runs?page[size]=100&filter[operation]=plan_and_apply,plan_only,save_plan,refresh_only,destroy"
        )["data"]
        return found

    def changes(self) -> list[dict[str, Any]]:
        """What it saw, the newest first."""
        found: list[dict[str, Any]] = self.get("/vcs-changes?page[size]=100")["data"]
        return found

    def change(self, sha: str) -> dict[str, Any] | None:
        """What became of a commit."""
        return next((each for each in self.changes() if each["attributes"]["commit-sha"] == sha), None)

    def until_change(self, sha: str, *statuses: str) -> dict[str, Any]:
        """Wait until a commit was dealt with this way."""
        found: dict[str, Any] = {}

        def look() -> bool:
            found.update(self.change(sha) or {})
            return bool(found) and found["attributes"]["status"] in statuses

        until(look, f"commit {sha[:8]} of {self.name} to be {' or '.join(statuses)}")
        return found

    def run_of(self, sha: str, *statuses: str) -> dict[str, Any]:
        """The run of a commit, once it has one of these statuses."""
        change = self.until_change(sha, "started", "superseded")
        run_id = change["relationships"]["run"]["data"]["id"]
        found: dict[str, Any] = {}

        def look() -> bool:
            answer = self.site.server.api.get(f"runs/{run_id}")
            found.update(answer.json()["data"])
            return not statuses or found["attributes"]["status"] in statuses

        until(look, f"the run of {sha[:8]} to be {' or '.join(statuses)}")
        return found

    def statuses(self, sha: str) -> list[str]:
        """What the commit was told of this workspace, in its order, in the forge's words."""
        return [state for at, context, state, _text, _url in self.repo.statuses if at == sha and context == f"terrapod/{self.name}"]

    def open_pull(self, branch: str, files: Mapping[str, str | bytes | None], **more: Any) -> tuple[Pull, str]:
        """Push a branch and open a pull request from it; its head too."""
        sha = self.repo.push(files, f"Change {branch}", branch)
        pull: Pull = self.site.forge.open_pull(self.repo.path, branch, **more)
        self.repo.checkout("main")
        return pull, sha
