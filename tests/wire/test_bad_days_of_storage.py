"""A store that is away, refuses or has no room: nothing is acknowledged, `/ready` says why, and no restart is needed afterwards."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import wire
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.object_stores import SECRET_ACCESS_KEY, Store, rclone_s3
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import data, put, state, state_version

QUICK = {"STORAGE__S3__RETRIES": "1", "STORAGE__S3__READ_TIMEOUT_SECONDS": "1", "STORAGE__S3__RETRY_SECONDS": "4"}
"""A store that is away is given up soon."""

NewServer = Callable[..., Server]


@pytest.fixture
def store() -> Iterator[Store]:
    with rclone_s3() as store:
        yield store


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultyProxy]:
    with faulty_proxy(store.port) as proxy:
        yield proxy


def why(server: Server) -> str:
    """What `/ready` says of the storage; empty while it is healthy."""
    answer = httpx.get(f"{server.url}/ready", timeout=10, trust_env=False)
    told: str = answer.json()["checks"]["storage"]
    assert (answer.status_code == 200) == told.startswith("healthy"), answer.text
    return "" if told.startswith("healthy") else told


def announce(server: Server, serial: int = 1) -> tuple[str, str, str]:
    """A locked workspace, a state version that waits for its bytes, and the link they go to."""
    workspace: str = wire.make_workspace(server.api)["id"]
    wire.lock(server.api, workspace)
    made = data(server.api.post(f"workspaces/{workspace}/state-versions", json=state_version(state(serial))), 201)
    return workspace, made["id"], made["attributes"]["hosted-state-upload-url"]


def postponed(answer: httpx.Response) -> None:
    """It is refused with a 503 that says when to come back, and none of the store's secrets."""
    assert answer.status_code == 503, answer.text
    [error] = answer.json()["errors"]
    assert error["detail"].endswith("does not work at the moment; try again.")
    assert int(answer.headers["Retry-After"]) > 0
    assert SECRET_ACCESS_KEY not in answer.text


def nothing_acknowledged(server: Server, workspace: str, version: str) -> None:
    assert data(server.api.get(f"state-versions/{version}"))["attributes"]["status"] == "pending"
    assert server.api.get(f"workspaces/{workspace}/current-state-version").status_code == 404


def objects(store: Store) -> list[Path]:
    """The states that the store holds."""
    assert store.directory is not None
    return [path for path in (store.directory / store.bucket).rglob("state-versions/**/*") if path.is_file()]


def test_a_store_that_stops_is_named_and_used_again_when_it_is_back(new_server: NewServer, store: Store) -> None:
    server = new_server(settings=store.settings | QUICK).start()
    assert why(server) == ""
    workspace, version, link = announce(server)
    store.stop()
    postponed(put(link, state(1)))
    until(lambda: "cannot be reached" in why(server), "the server to know why")
    reason = why(server)
    assert reason.startswith(f"unhealthy: the storage s3 does not work: the bucket {store.bucket} at {store.endpoint} cannot be reached")
    assert SECRET_ACCESS_KEY not in reason
    nothing_acknowledged(server, workspace, version)
    assert objects(store) == []
    store.start()
    until(lambda: why(server) == "", "the server to use the store again")
    assert put(link, state(1)).status_code == 200
    assert data(server.api.get(f"state-versions/{version}"))["attributes"]["status"] == "finalized"
    store.stop()
    postponed(server.api.get(f"state-versions/{version}/download", follow_redirects=True))
    store.start()
    found = server.api.get(f"state-versions/{version}/download", follow_redirects=True)
    assert json.loads(found.content)["serial"] == 1
    assert server.stop() == 0


def test_a_store_that_hangs_holds_no_request_for_ever(new_server: NewServer, store: Store) -> None:
    server = new_server(settings=store.settings | QUICK).start()
    workspace, version, link = announce(server)
    store.freeze()
    postponed(put(link, state(1)))
    assert httpx.get(f"{server.url}/health", timeout=5, trust_env=False).status_code == 200
    until(lambda: "cannot be reached" in why(server), "the server to know why")
    store.thaw()
    nothing_acknowledged(server, workspace, version)
    until(lambda: why(server) == "", "the server to use the store again")
    assert put(link, state(1)).status_code == 200


def test_a_store_that_answers_503_half_the_time_is_hardly_noticed(new_server: NewServer, store: Store, proxy: FaultyProxy) -> None:
    server = new_server(settings=store.settings | {"STORAGE__S3__ENDPOINT_URL": proxy.url}).start()
    proxy.rule = lambda number, request: 503 if number % 2 else None
    _, version, link = announce(server)
    assert put(link, state(1)).status_code == 200
    assert server.api.get(f"state-versions/{version}/download", follow_redirects=True).content == state(1)
    proxy.rule = lambda number, request: 503
    _, _, link = announce(server)
    postponed(put(link, state(1)))
    until(lambda: "answers 503" in why(server), "the server to say what the store answers")
    proxy.rule = lambda number, request: None
    until(lambda: why(server) == "", "the server to use the store again")
    assert put(link, state(1)).status_code == 200


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"STORAGE__S3__BUCKET": "nowhere"}, "the bucket nowhere at .* does not exist; make it, or correct storage.s3.bucket"),
        ({"STORAGE__S3__SECRET_ACCESS_KEY": "wrong"}, "the bucket .* at .* refuses access with 403 .*; check the credentials"),
        ({"STORAGE__S3__BUCKET": ""}, "no bucket is set for objects; name one with storage.s3.bucket"),
    ],
)
def test_a_server_with_a_wrong_setting_starts_and_says_which(
    new_server: NewServer, store: Store, settings: dict[str, str], words: str
) -> None:
    server = new_server(settings=store.settings | QUICK | settings).start(awaiting="/health")
    # On a busy machine the first answer may come before the store's: then it says that the store does not answer.
    until(lambda: re.search(words, why(server)), f"/ready to say {words}")
    _, _, link = announce(server)
    postponed(put(link, state(1)))


def test_a_store_that_is_read_only_gives_states_and_takes_none(new_server: NewServer, store: Store) -> None:
    server = new_server(settings=store.settings | QUICK).start()
    _, version, link = announce(server)
    assert put(link, state(1)).status_code == 200
    _, later, link = announce(server)
    with rclone_s3(store.directory, options=["--read-only"]) as read_only:
        assert server.stop() == 0
        server.set("STORAGE__S3__ENDPOINT_URL", read_only.endpoint)
        server.start(awaiting="/health")
        postponed(put(link, state(1)))
        assert f"the bucket {store.bucket} at {read_only.endpoint} answers 500" in why(server)
        assert server.api.get(f"state-versions/{version}/download", follow_redirects=True).content == state(1)
        assert data(server.api.get(f"state-versions/{later}"))["attributes"]["status"] == "pending"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting a small file system is not allowed here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_takes_nothing_and_says_so(new_server: NewServer, tiny_disk: Path) -> None:
    server = new_server(settings={"STORAGE__LOCAL__PATH": str(tiny_disk)}).start()
    workspace, _, link = announce(server)
    filler = tiny_disk / "filler"
    with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    postponed(put(link, state(1)))
    until(lambda: "the disk of the object store is full" in why(server), "the server to say that the disk is full")
    assert server.api.get(f"workspaces/{workspace}/current-state-version").status_code == 404
    filler.unlink()
    until(lambda: why(server) == "", "the server to write again")
    assert put(link, state(1)).status_code == 200


def test_a_folder_that_cannot_be_written_is_named(new_server: NewServer, tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    objects.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", objects], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting a file system is not allowed here: {mounted.stderr.strip()}")
    try:
        server = new_server(settings={"STORAGE__LOCAL__PATH": str(objects)}).start(awaiting="/health")
        assert "Read-only file system" in why(server)
        assert str(objects) in why(server)
        _, _, link = announce(server)
        postponed(put(link, state(1)))
        server.close()
    finally:
        subprocess.run(["umount", "--lazy", objects], check=True)
