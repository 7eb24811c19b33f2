"""Generated states and archives: what is no state or archive is refused with a reason, and nothing of it is kept."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest
from hypothesis import given, settings, strategies as st

from tests.support import wire
from tests.support.fuzzing import encoded, mutated, sane
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import b64, md5, put, stored

GOOD = wire.archive({"main.tf": wire.QUICK, "deep/inside/more.tf": "# more\n" * 200})
STATE = {
    "version": 4,
    "terraform_version": "1.11.4",
    "serial": 1,
    "lineage": wire.LINEAGE,
    "outputs": {"a": {"value": ["x"], "type": ["tuple", ["string"]], "sensitive": True}},
    "resources": [
        {
            "module": "module.a",
            "mode": "managed",
            "type": "terraform_data",
            "name": "one",
            "provider": "p",
            "instances": [{"attributes": {}}],
        }
    ],
    "check_results": None,
}


def flipped(content: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with some of them changed, dropped or repeated in a few places."""

    def edit(edits: list[tuple[int, int, bytes]]) -> bytes:
        edited = content
        for start, drop, extra in edits:
            at = start % (len(edited) + 1)
            edited = edited[:at] + extra + edited[at + drop :]
        return edited

    return st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 20), st.binary(max_size=5)), min_size=1, max_size=4).map(edit)


@pytest.fixture(scope="session")
def workspace(api: httpx.Client) -> str:
    """A workspace that is locked by the one who uploads."""
    ident: str = wire.make_workspace(api)["id"]
    wire.lock(api, ident)
    return ident


def offer(api: httpx.Client, workspace: str, content: bytes) -> None:
    """Upload an archive to a version of its own."""
    sent = wire.document("configuration-versions", auto_queue_runs=False, provisional=True)
    made = wire.data(api.post(f"workspaces/{workspace}/configuration-versions", json=sent), 201)
    response = put(made["attributes"]["upload-url"], content)
    if response.status_code != 200:
        sane(response)
        wire.refused(response, 422)


@given(content=flipped(GOOD) | st.binary(max_size=400))
def test_an_archive_that_was_damaged_on_its_way(api: httpx.Client, workspace: str, content: bytes) -> None:
    offer(api, workspace, content)


@given(content=flipped(gzip.decompress(GOOD)).map(lambda content: gzip.compress(content, 1)))
def test_a_tar_with_damaged_headers(api: httpx.Client, workspace: str, content: bytes) -> None:
    offer(api, workspace, content)


@given(value=mutated(STATE))
def test_a_state_with_something_wrong_in_it(api: httpx.Client, workspace: str, value: Any) -> None:
    announce(api, workspace, encoded(value))


@given(content=flipped(encoded(STATE)) | st.binary(max_size=300))
def test_a_state_that_was_damaged(api: httpx.Client, workspace: str, content: bytes) -> None:
    announce(api, workspace, content)


def announce(api: httpx.Client, workspace: str, content: bytes) -> None:
    """Send a state in both ways, forced, so that the numbers in it do not matter."""
    sent = wire.document("state-versions", serial=1, md5=md5(content), lineage=wire.LINEAGE, force=True)
    response = api.post(f"workspaces/{workspace}/state-versions", json=sent)
    sane(response)
    if response.status_code == 201 and (url := response.json()["data"]["attributes"]["hosted-state-upload-url"]):
        uploaded = put(url, content)
        if uploaded.status_code != 200:
            sane(uploaded)
    sent["data"]["attributes"]["state"] = b64(content)
    sane(api.post(f"workspaces/{workspace}/state-versions", json=sent))
    sane(api.get(f"workspaces/{workspace}/current-state-version", params={"include": "outputs"}))
    sane(api.get(f"workspaces/{workspace}/current-state-version-outputs"))


@settings(max_examples=20)
@given(content=flipped(GOOD))
def test_what_is_refused_leaves_nothing(api: httpx.Client, server: Server, workspace: str, content: bytes) -> None:
    sent = wire.document("configuration-versions", auto_queue_runs=False, provisional=True)
    made = wire.data(api.post(f"workspaces/{workspace}/configuration-versions", json=sent), 201)
    before = stored(server)
    if put(made["attributes"]["upload-url"], content).status_code != 200:
        until(lambda: stored(server) == before, "what was written of the refused archive to be gone", seconds=10)
