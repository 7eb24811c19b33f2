"""A real server that keeps its objects in a bucket."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support import wire
from tests.support.object_stores import Store, azurite, fake_gcs, rclone_s3
from tests.support.server import Server
from tests.support.wire import data, state

NewServer = Callable[..., Server]
STORES = {"s3": rclone_s3, "gcs": fake_gcs, "azure": azurite}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with STORES[request.param]() as store:
        yield store


def keep(server: Server, content: bytes) -> str:
    """The id of a state version with this content, in a workspace of its own."""
    workspace: str = wire.make_workspace(server.api)["id"]
    wire.lock(server.api, workspace)
    version: str = wire.put_state(server.api, workspace, content)["id"]
    return version


def kept(server: Server, version: str) -> bytes:
    answer = server.api.get(f"state-versions/{version}/download", follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer.content


def test_states_are_kept_in_the_bucket_and_the_server_ends_without_a_word(new_server: NewServer, store: Store) -> None:
    server = new_server(settings=store.settings).start()
    content = state(1, outputs={"long": "x" * 5_000_000})
    version = keep(server, content)
    assert kept(server, version) == content
    assert server.stop() == 0
    for complaint in ("Unclosed", "Traceback", "never awaited", "Warning:"):
        assert complaint not in server.said(), server.said()
    assert kept(server.start(), version) == content
    assert not (server.data / "objects").exists()


def test_secrets_of_the_store_are_shown_nowhere(new_server: NewServer, store: Store) -> None:
    server = new_server(settings=store.settings).start()
    keep(server, state(1))
    shown = server.said() + httpx.get(f"{server.url}/ready", trust_env=False).text
    secrets = [value for name, value in store.settings.items() if name.endswith(("SECRET_ACCESS_KEY", "ACCOUNT_KEY"))]
    assert not [secret for secret in secrets if secret in shown]


def test_a_server_that_moves_its_files_to_a_bucket_finds_them_there(new_server: NewServer) -> None:
    server = new_server().start()
    version = keep(server, state(1))
    assert server.stop() == 0
    with rclone_s3() as store:
        assert store.directory is not None
        shutil.copytree(server.data / "objects", store.directory / store.bucket / "moved", ignore=shutil.ignore_patterns(".incoming"))
        for name, value in (store.settings | {"STORAGE__S3__PREFIX": "moved"}).items():
            server.set(name, value)
        server.start()
        assert kept(server, version) == state(1)
        assert data(server.api.get(f"state-versions/{version}"))["attributes"]["status"] == "finalized"
