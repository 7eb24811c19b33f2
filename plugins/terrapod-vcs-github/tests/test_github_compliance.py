from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from terrapod_core.plugin import Connection
from tests.support.forge_github import GitHubForge, pem
from tests.support.github_peer import GitHubKit, KitOfAToken, app_connection, running


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubForge]:
    with running(tmp_path_factory.mktemp("github")) as forge:
        yield forge


class TestAnApp(GitHubKit):
    @pytest.fixture
    def connection(self, forge: GitHubForge) -> Connection:
        return app_connection(forge)

    @pytest.fixture
    def refused(self, forge: GitHubForge) -> Connection:
        another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return app_connection(forge, **{"private-key": pem(another)})


class TestAToken(KitOfAToken):
    pass
