"""A forge, and a server that follows its repositories: what tests of pushes, tags and pull requests do with both."""

from __future__ import annotations

import functools
import io
import itertools
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.forge import MAIN_TF, Answer, Asked, Forge, Pull, Repository
from tests.support.forge_github import GitHubForge
from tests.support.forge_gitlab import GitLabForge
from tests.support.server import Server
from tests.support.tf import dotted
from tests.support.waiting import PATIENCE_SECONDS, until
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
    archives: str = ""
    """The paths at which files of commits are asked for, with `*`; at git's own door it is asked for branches too."""
    has_webhooks: bool = True
    steps_back: bool = True
    """Whether a commit that was told "running" can be told "pending" again."""

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
        archives="*/tarball/*",
    ),
    "gitlab": Kind(
        "gitlab",
        GitLabForge,
        lambda _forge: {"token": "forge-token"},
        {"pending": "pending", "running": "running", "success": "success", "failure": "failed", "error": "failed"},
        archives="*/repository/archive*",
        steps_back=False,
    ),
}

ANY_GIT = Kind(
    "git",
    Forge,
    lambda _forge: {"username": "terrapod", "token": "forge-token"},
    archives="*/git-upload-pack",
    has_webhooks=False,
)
"""A server that knows git and nothing else."""

EVERY_KIND = pytest.mark.parametrize("kind", [*sorted(KINDS), ANY_GIT.name], indirect=True, scope="module")
"""For tests of what needs nothing but git: pushes, tags, and what goes wrong with a forge."""


def kind_of(name: str) -> Kind:
    """The kind of this name."""
    return ANY_GIT if name == ANY_GIT.name else KINDS[name]


@contextmanager
def following(
    kind: Kind, terraform: Path, root: Path, settings: Mapping[str, str] | None = None, *, dev_tls: bool = False
) -> Iterator[Followed]:
    """A forge, and a server that looks at it every second unless `settings` say otherwise."""
    forge = kind.forge(root)
    forge.start()
    often = dict.fromkeys(("VCS__POLL_SECONDS", "VCS__POLL_QUIET_SECONDS", "VCS__RETRY_SECONDS"), "1")
    known = {"OUTGOING__CA_FILE": str(forge.ca_file), "RUNNER__ENGINES_DIR": str(terraform.parent)}
    server = Server(root / "server", settings={**often, **known, **kind.settings, **(settings or {})}, dev_tls=dev_tls)
    if dev_tls:
        server.set("EXTERNAL_URL", f"https://{dotted(server)}")  # the name under which engines get credentials
    server.start()
    try:
        yield Followed(kind, forge, server)
    finally:
        server.close()
        forge.stop()


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
        return self._connected({**self.kind.values(self.forge), **attributes})

    def connect_with(self, token: str) -> dict[str, Any]:
        """Another one, with a person's token."""
        return self._connected({"token": token})

    def shown(self, connection: Mapping[str, Any]) -> dict[str, Any]:
        """A connection as it is now."""
        answer = self.server.api.get(f"vcs-connections/{connection['id']}")
        assert answer.status_code == 200, answer.text
        attributes: dict[str, Any] = answer.json()["data"]["attributes"]
        return attributes

    def _connected(self, values: Mapping[str, object]) -> dict[str, Any]:
        document = {"name": fresh(), "provider": self.kind.name, "base-url": self.forge.url, **values}
        answer = self.server.api.post(
            "organizations/default/vcs-connections", json={"data": {"type": "vcs-connections", "attributes": document}}
        )
        assert answer.status_code == 201, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def repository(self, files: Mapping[str, str | bytes | None] | None = None) -> Repository:
        """A new repository of the forge."""
        return self.forge.repository(f"acme/repo-{next(_numbers)}", files or {"main.tf": MAIN_TF})  # type: ignore[no-any-return]

    def identifier(self, repo: Repository) -> str:
        """What clients call a repository: forges leave out the end that git's own server wants."""
        return repo.path if self.kind.has_webhooks else f"{repo.path}.git"

    def looked_at(self, repo: Repository, times: int = 2) -> None:
        """Wait until the server has looked at a repository so often from now on: one look may be under way."""
        path = f"/{repo.path}.git/git-upload-pack"

        def looks() -> int:
            return sum(asked.path == path and not _is_fetch(asked) for asked in list(self.forge.asked))

        before = looks()
        until(lambda: looks() >= before + times, f"{repo.path} to be looked at")

    def files_answered(self, answer: Answer | Callable[[Asked], Answer | None]) -> AbstractContextManager[None]:
        """Let whoever asks for the files of commits be answered so; by what the forge has where that is `None`."""

        def twist(asked: Asked) -> Answer | None:
            if not _is_fetch(asked):
                return None
            return answer(asked) if callable(answer) else answer

        return self.forge.twisted(self.kind.archives, twist)  # type: ignore[no-any-return]

    def looks(self, repo: Repository) -> list[str]:
        """What was asked to look at a repository: not what is told of commits, and not what is asked of it once a day."""
        names = (f"/{repo.path}", f"/{quote(repo.path, safe='')}")
        found = [each for each in self.forge.asked if any(name in each.target for name in names) and not each.target.endswith(names)]
        return [each.path for each in found if "/statuses/" not in each.target]

    def is_archive(self, asked: Asked) -> bool:
        """Whether a request brought the files of a commit."""
        return asked.status == 200 and any(each in asked.target for each in ("/codeload/", "/repository/archive"))

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


def _is_fetch(asked: Asked) -> bool:
    """Whether it asks for files, if it was asked where those are: at git's own door, that it does not list branches."""
    return b"command=ls-refs" not in asked.body


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

    def link(self, connection_id: str, *, api: httpx.Client | None = None) -> None:
        """Let it follow its repository by a connection, as somebody."""
        to = {"vcs-connection": {"data": {"type": "vcs-connections", "id": connection_id}}}
        data = {"type": "workspaces", "attributes": {"vcs-repo-url": self.repo.url}, "relationships": to}
        answer = (api or self.site.server.api).patch(f"workspaces/{self.id}", json={"data": data})
        assert answer.status_code == 200, answer.text

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

    def until_change(self, sha: str, *statuses: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait until a commit was dealt with this way."""
        found: dict[str, Any] = {}

        def look() -> bool:
            found.update(self.change(sha) or {})
            return bool(found) and found["attributes"]["status"] in statuses

        until(look, f"commit {sha[:8]} of {self.name} to be {' or '.join(statuses)}", seconds=seconds)
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

    def told(self, sha: str) -> list[str]:
        """The texts of the same."""
        return [text for at, context, _state, text, _url in self.repo.statuses if at == sha and context == f"terrapod/{self.name}"]

    def start_run(self) -> dict[str, Any]:
        """Start a run by hand, of the configuration that it has."""
        to = {"workspace": {"data": {"type": "workspaces", "id": self.id}}}
        answer = self.site.server.api.post("runs", json={"data": {"type": "runs", "attributes": {}, "relationships": to}})
        assert answer.status_code == 201, answer.text
        run: dict[str, Any] = answer.json()["data"]
        return run

    def version_of(self, sha: str) -> dict[str, Any]:
        """The configuration that a commit became."""
        change = self.change(sha)
        assert change is not None, f"{sha} was not seen"
        answer = self.site.server.api.get(f"configuration-versions/{change['relationships']['configuration-version']['data']['id']}")
        assert answer.status_code == 200, answer.text
        version: dict[str, Any] = answer.json()["data"]
        return version

    def ingress_of(self, sha: str) -> dict[str, Any]:
        """Where that configuration says that it came from."""
        answer = self.site.server.api.get(f"configuration-versions/{self.version_of(sha)['id']}/ingress-attributes")
        assert answer.status_code == 200, answer.text
        attributes: dict[str, Any] = answer.json()["data"]["attributes"]
        return attributes

    def files(self, sha: str) -> tarfile.TarFile:
        """What the configuration of a commit has in it."""
        answer = self.site.server.api.get(f"configuration-versions/{self.version_of(sha)['id']}/download", follow_redirects=True)
        assert answer.status_code == 200, answer.text
        return tarfile.open(fileobj=io.BytesIO(answer.content))

    def open_pull(self, branch: str, files: Mapping[str, str | bytes | None], **more: Any) -> tuple[Pull, str]:
        """Push a branch and open a pull request from it; its head too."""
        sha = self.repo.push(files, f"Change {branch}", branch)
        pull: Pull = self.site.forge.open_pull(self.repo.path, branch, **more)
        self.repo.checkout("main")
        return pull, sha

    def open_pull_of_fork(self, files: Mapping[str, str | bytes | None], **more: Any) -> tuple[Pull, Repository, str]:
        """Let somebody fork the repository, push to the branch `theirs` of the fork and open a pull request; its head too."""
        fork: Repository = self.site.forge.fork(self.repo.path, f"mallory/fork-{next(_numbers)}")
        sha = fork.push(files, "Change theirs", "theirs")
        pull: Pull = self.site.forge.open_pull(self.repo.path, "theirs", head_repo=fork.path, **more)
        return pull, fork, sha
