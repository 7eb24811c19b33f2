"""What tests of the GitHub plugin share: a provider that reaches the GitHub of the tests, connections to it, and Prism."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from terrapod_core.plugin import Connection, PluginContext, Repo, VCSProvider
from terrapod_core.testing.mirrors import http_clients
from terrapod_core.testing.vcs import Sample, Trouble, VCSProviderKit
from terrapod_vcs_github.provider import GitHub
from terrapod_vcs_github.settings import GitHubSettings
from tests.support.forge import MAIN_TF
from tests.support.forge_github import BEHIND_PRISM, SECRET, GitHubForge
from tests.support.npm import node_for
from tests.support.server import free_port
from tests.support.waiting import until

WORDS = "# Pets\n"


@contextmanager
def running(root: Path) -> Iterator[GitHubForge]:
    """A GitHub that listens."""
    root.mkdir(parents=True, exist_ok=True)
    forge = GitHubForge(root)
    forge.start()
    try:
        yield forge
    finally:
        forge.stop()


class GitHubKit(VCSProviderKit):
    """The kit over the fixtures `forge` and `pets` of a module."""

    @pytest.fixture
    def provider(self, forge: GitHubForge, plugin_context: PluginContext) -> VCSProvider:
        return provider_for(forge, plugin_context)

    @pytest.fixture
    def sample(self, pets: Sample) -> Sample:
        return pets

    @pytest.fixture
    def stopped(self, forge: GitHubForge) -> Trouble:
        return forge.stopped


class KitOfAToken(GitHubKit):
    """With somebody's token."""

    @pytest.fixture
    def connection(self, forge: GitHubForge) -> Connection:
        return token_connection(forge)

    @pytest.fixture
    def refused(self, forge: GitHubForge) -> Connection:
        return token_connection(forge, "a-token-that-was-revoked")


def provider_for(forge: GitHubForge, context: PluginContext, **settings: Any) -> GitHub:
    """The provider under test, with the forge's authority trusted."""
    chosen = GitHubSettings(**{"webhook_secret": SECRET, **settings})
    return GitHub(replace(context, settings=chosen, http=http_clients(forge.ca_file)))


def app_connection(forge: GitHubForge, **values: str) -> Connection:
    """One with the app."""
    return Connection("vcs-app", forge.url, {**forge.app_values, **values})


def token_connection(forge: GitHubForge, token: str = "forge-token") -> Connection:
    """One with somebody's token."""
    return Connection("vcs-token", forge.url, {"token": token})


def sample_of(forge: GitHubForge) -> Sample:
    """A repository with a tag, a directory, and an open pull request."""
    repo = forge.repository("acme/pets")
    tagged = repo.tag("v1.0.0", annotated=True)
    parent = repo.push({"net/main.tf": MAIN_TF, "net/outputs.tf": "", "old.md": WORDS * 20}, "Add a network")
    sha = repo.push({"net/main.tf": f"{MAIN_TF}\n", "old.md": None, "docs/new.md": WORDS * 20, "net/outputs.tf": None}, "Tidy up")
    head = repo.push({"net/more.tf": ""}, "Grow", "feature/grow")
    repo.checkout("main")
    pull = forge.open_pull("acme/pets", "feature/grow")
    return Sample(
        repo=Repo("acme/pets"),
        texts=("acme/pets", repo.url, repo.url.removesuffix(".git"), f"{forge.url}/acme/pets/", "git@localhost:acme/pets.git"),
        branch="main",
        sha=sha,
        parent=parent,
        message="Tidy up",
        changed=frozenset({"net/main.tf", "old.md", "docs/new.md", "net/outputs.tf"}),
        files={"main.tf": MAIN_TF.encode(), "net/main.tf": f"{MAIN_TF}\n".encode(), "docs/new.md": (WORDS * 20).encode()},
        tag="v1.0.0",
        tagged=tagged,
        pull=(pull.number, head),
        webhook=forge.signed("push", forge.pushed(repo, "refs/heads/main", sha)),
        ping=forge.signed("ping", {"zen": "Keep it logically awesome.", "hook_id": 1}),
        secret=SECRET,
    )


@contextmanager
def prism_before(forge: GitHubForge, folder: Path) -> Iterator[GitHubForge]:
    """The forge with Prism in front of its API; skips the test where that cannot be had."""
    node, peer = node_for("github")
    port = free_port()
    spec = peer / "openapi.json"
    upstream = f"{forge.url}{BEHIND_PRISM}/api/v3"
    command = [node, str(peer / "node_modules/.bin/prism"), "proxy", "-h", "127.0.0.1", "-p", str(port), str(spec), upstream]
    with (folder / "prism.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(forge.ca_file)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            until(lambda: _answers(f"http://127.0.0.1:{port}/"), "Prism to listen")
            with forge.checked_by(f"http://127.0.0.1:{port}"):
                yield forge
        finally:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True
