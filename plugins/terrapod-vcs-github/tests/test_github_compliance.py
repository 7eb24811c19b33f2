from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from terrapod_core.plugin import Connection, PluginContext, VCSProvider
from terrapod_core.testing.vcs import Sample, Trouble, VCSProviderKit
from tests.support.forge_github import GitHubForge, pem
from tests.support.github_peer import app_connection, provider_for, running, sample_of, token_connection


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubForge]:
    with running(tmp_path_factory.mktemp("github")) as forge:
        yield forge


@pytest.fixture(scope="module")
def pets(forge: GitHubForge) -> Sample:
    return sample_of(forge)


class Kit(VCSProviderKit):
    @pytest.fixture
    def provider(self, forge: GitHubForge, plugin_context: PluginContext) -> VCSProvider:
        return provider_for(forge, plugin_context)

    @pytest.fixture
    def sample(self, pets: Sample) -> Sample:
        return pets

    @pytest.fixture
    def stopped(self, forge: GitHubForge) -> Trouble:
        return forge.stopped


class TestAnApp(Kit):
    @pytest.fixture
    def connection(self, forge: GitHubForge) -> Connection:
        return app_connection(forge)

    @pytest.fixture
    def refused(self, forge: GitHubForge) -> Connection:
        another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return app_connection(forge, **{"private-key": pem(another)})


class TestAToken(Kit):
    @pytest.fixture
    def connection(self, forge: GitHubForge) -> Connection:
        return token_connection(forge)

    @pytest.fixture
    def refused(self, forge: GitHubForge) -> Connection:
        return token_connection(forge, "a-token-that-was-revoked")
