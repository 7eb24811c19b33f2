from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from terrapod_core.plugin import Connection
from terrapod_core.testing.fakes import FakeClock
from terrapod_core.testing.mirrors import http_clients
from terrapod_vcs_gitlab.provider import GitLab
from terrapod_vcs_gitlab.settings import GitLabSettings
from tests.support.forge import Repository
from tests.support.forge_gitlab import GitLabForge


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[GitLabForge]:
    forge = GitLabForge(tmp_path)
    forge.start()
    yield forge
    forge.stop()


@pytest.fixture
def repo(forge: GitLabForge) -> Repository:
    """In a subgroup."""
    return forge.repository("acme/platform/network", {"main.tf": "# one\n", "modules/vpc/vpc.tf": "# vpc\n"})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider(forge: GitLabForge, clock: FakeClock) -> GitLab:
    return GitLab(GitLabSettings(webhook_secret="the secret token"), http_clients(forge.ca_file), clock)


@pytest.fixture
def connection(forge: GitLabForge) -> Connection:
    return Connection("vcs-1", forge.url, {"token": "forge-token"})
