"""A GitHub for each test, one repository, and the provider that asks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from terrapod_core.plugin import PluginContext
from terrapod_core.testing.vcs import Sample
from terrapod_vcs_github.provider import GitHub
from tests.support.forge import Repository
from tests.support.forge_github import GitHubForge
from tests.support.github_peer import provider_for, running, sample_of


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[GitHubForge]:
    with running(tmp_path / "github") as forge:
        yield forge


@pytest.fixture(scope="module")
def pets(forge: GitHubForge) -> Sample:
    """What the kit looks at, in modules whose tests share a GitHub."""
    return sample_of(forge)


@pytest.fixture
def repo(forge: GitHubForge) -> Repository:
    return forge.repository("acme/pets")


@pytest.fixture
def github(forge: GitHubForge, plugin_context: PluginContext) -> GitHub:
    return provider_for(forge, plugin_context)
