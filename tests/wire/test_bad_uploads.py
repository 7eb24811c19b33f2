"""Uploads over their limit, declared or not, and clients that vanish in the middle. Bytes are sent by hand."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.support import wire
from tests.support.raw import Answer, Raw
from tests.support.server import Server, running
from tests.support.waiting import until
from tests.support.wire import check_errors, data, document, put, refused, state, state_version, stored

LIMIT = 8 << 20
SMALL_JSON = 64 << 10


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose limits are reached soon."""
    limits = {
        "LIMITS__CONFIGURATION_BYTES": str(LIMIT),
        "LIMITS__STATE_BYTES": str(LIMIT),
        "LIMITS__JSON_BYTES": str(SMALL_JSON),
        "LIMITS__ARCHIVE_ENTRIES": "100",
        "LIMITS__UNPACKED_BYTES": str(LIMIT),
        "LIMITS__PENDING_RUNS_PER_WORKSPACE": "2",
        "LIMITS__WORKSPACES_PER_USER": "2",
    }
    with running(tmp_path_factory.mktemp("narrow"), settings=limits) as server:
        yield server


def upload_urls(server: Server, content: bytes | None = None) -> dict[str, str]:
    """One link of each kind that takes bytes, each still waiting; `content` is the state that is announced."""
    api = server.api
    workspace = wire.make_workspace(api)["id"]
    wire.lock(api, workspace)
    configuration = data(api.post(f"workspaces/{workspace}/configuration-versions", json=document("configuration-versions")), 201)
    announced = data(api.post(f"workspaces/{workspace}/state-versions", json=state_version(content or state())), 201)
    return {
        "configuration": configuration["attributes"]["upload-url"],
        "state": announced["attributes"]["hosted-state-upload-url"],
        "state by id": f"{server.url}/api/v2/state-versions/{announced['id']}/content",
        "parsed state": announced["attributes"]["hosted-json-state-upload-url"],
    }


def check(answer: Answer, status: int, says: str | None = None) -> None:
    """The same as `refused`, for what came over a bare socket."""
    assert answer.status == status, answer
    check_errors(answer.status, answer.headers.get("content-type", ""), answer.body, repr(answer), says=says)


KINDS = ("configuration", "state", "state by id", "parsed state")
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_declared_length_over_the_limit_is_refused_before_the_bytes(narrow: Server, kind: str) -> None:
    """The answer comes although not one byte of the body was sent."""
    with Raw(upload_urls(narrow)[kind]) as raw:
        raw.head("PUT", {**OCTETS, "Content-Length": str(LIMIT + 1)})
        check(raw.answer(), 413, says="8 MiB")


@pytest.mark.parametrize("kind", KINDS)
def test_an_undeclared_length_is_refused_when_it_passes_the_limit(narrow: Server, kind: str) -> None:
    url, before = upload_urls(narrow)[kind], stored(narrow)
    noise = os.urandom(64 << 10)
    with Raw(url) as raw:
        raw.head("PUT", {**OCTETS, "Transfer-Encoding": "chunked"})
        raw.chunks([noise] * (LIMIT // len(noise) + 4))
        answer = raw.answer()
    # Noise is no archive: that may be seen before the limit is.
    assert answer.status in (413, 422), answer
    check(answer, answer.status)
    until(lambda: stored(narrow) == before, "what was written of it to be gone")


def test_an_archive_over_the_limit_is_413_and_one_below_it_is_taken(narrow: Server) -> None:
    url = upload_urls(narrow)["configuration"]
    refused(put(url, wire.archive({"main.tf": os.urandom(LIMIT)})), 413, says="8 MiB")
    refused(put(url, wire.archive({f"{number}.tf": "" for number in range(101)})), 422, says="100 entries")
    refused(put(url, wire.archive({"a.tf": bytes(LIMIT // 2), "b.tf": bytes(LIMIT)})), 422, says="unpacks")
    assert put(url, wire.archive({"main.tf": os.urandom(LIMIT // 2)})).status_code == 200


def test_a_json_body_over_its_limit_is_413_however_it_comes(narrow: Server) -> None:
    url = f"{narrow.url}/api/v2/{wire.ORG}/workspaces"
    headers = {"Content-Type": wire.JSON_API, "Authorization": f"Bearer {narrow.token}"}
    with Raw(url) as raw:
        raw.head("POST", {**headers, "Content-Length": str(SMALL_JSON + 1)})
        check(raw.answer(), 413, says="64 KiB")
    with Raw(url) as raw:
        raw.head("POST", {**headers, "Transfer-Encoding": "chunked"})
        raw.chunks([b" " * 8192] * 20)
        check(raw.answer(), 413, says="64 KiB")


def test_an_inline_state_may_be_larger_than_other_documents(narrow: Server) -> None:
    workspace = wire.make_workspace(narrow.api)["id"]
    wire.lock(narrow.api, workspace)
    path = f"workspaces/{workspace}/state-versions"
    large = state(1, outputs={"said": "x" * (LIMIT // 2)})
    data(narrow.api.post(path, json=state_version(large, state=wire.b64(large))), 201)
    larger = state(2, outputs={"said": "x" * (LIMIT + 1)})
    refused(narrow.api.post(path, json=state_version(larger, state=wire.b64(larger))), 413, 422)


@pytest.mark.parametrize("kind", ["configuration", "state", "state by id"])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_client_that_vanishes_leaves_nothing_and_may_come_again(narrow: Server, kind: str, declared: bool) -> None:
    # So large, and so random, that much of the half has to be on disk before the other half is missed.
    noise = os.urandom(LIMIT // 3)
    whole = wire.archive({"main.tf": noise}) if kind == "configuration" else state(1, outputs={"said": noise.hex()})
    url = upload_urls(narrow, None if kind == "configuration" else whole)[kind]
    before = stored(narrow)
    raw = Raw(url)
    if declared:
        raw.head("PUT", {**OCTETS, "Content-Length": str(len(whole))})
        raw.send(whole[: len(whole) // 2])
    else:
        raw.head("PUT", {**OCTETS, "Transfer-Encoding": "chunked"})
        half = whole[: len(whole) // 2]
        raw.send(f"{len(half):x}\r\n".encode() + half + b"\r\n")
    until(lambda: stored(narrow) - before, "the first of it to be written")
    raw.vanish()
    until(lambda: stored(narrow) == before, "the torn upload to be cleared away", seconds=20)
    assert put(url, whole).status_code == 200
    assert len(stored(narrow) - before) == 1, "one object for one upload"


def test_a_connection_cut_after_the_last_byte_is_no_loss(narrow: Server) -> None:
    """The client that did not hear the answer sends the same bytes again."""
    url = upload_urls(narrow)["state"]
    for _ in range(3):
        raw = Raw(url)
        raw.head("PUT", {**OCTETS, "Content-Length": str(len(state()))})
        raw.send(state())
        raw.vanish()
    assert put(url, state()).status_code == 200


def test_fewer_bytes_than_declared_are_no_archive(narrow: Server) -> None:
    """A client that closes its writing side early, and listens."""
    url = upload_urls(narrow)["configuration"]
    whole = wire.archive({"main.tf": wire.QUICK})
    with Raw(url) as raw:
        raw.head("PUT", {**OCTETS, "Content-Length": str(len(whole) + 100)})
        raw.send(whole)
        raw.socket.shutdown(socket.SHUT_WR)
        answer = raw.answer_or_none()
    # Hanging up on a client that hung up is an answer too.
    assert answer is None or 400 <= answer.status < 500, answer
    assert put(url, whole).status_code == 200


BROKEN_HEADERS = (
    {"Content-Length": "x"},
    {"Content-Length": "-1"},
    {"Content-Length": "99999999999999999999999999"},
    {"Content-Length": "5", "Transfer-Encoding": "chunked"},
    {"Transfer-Encoding": "gzip"},
)


@pytest.mark.parametrize("headers", BROKEN_HEADERS, ids=str)
def test_a_length_that_is_none_is_never_a_crash(narrow: Server, headers: dict[str, str]) -> None:
    url = upload_urls(narrow)["configuration"]
    with Raw(url) as raw:
        raw.head("PUT", {**OCTETS, **headers, "Connection": "close"})
        raw.send(b"0\r\n\r\n")
        answer = raw.answer_or_none()
    # 501 is RFC 9112's, section 6.1, for an encoding nobody knows; hanging up on nonsense is fine too.
    assert answer is None or answer.status in (400, 413, 422, 501), answer
    assert httpx.get(f"{narrow.url}/health", trust_env=False).status_code == 200
    assert put(url, wire.archive({"main.tf": "#"})).status_code == 200


def test_runs_that_wait_have_a_limit(narrow: Server) -> None:
    workspace = wire.make_workspace(narrow.api)["id"]
    wire.make_configuration(narrow.api, workspace, {"main.tf": "# nothing"})
    wire.lock(narrow.api, workspace)
    for _ in range(2):
        wire.make_run(narrow.api, workspace)
    sent = document("runs", {"workspace": wire.ref("workspaces", workspace)})
    errors = refused(narrow.api.post("runs", json=sent), 409, 422, 429, says="2 runs")
    assert errors[0]["code"] == "queue_full"


def test_workspaces_of_one_person_have_a_limit(narrow: Server) -> None:
    person = wire.make_person(narrow, "collector")
    with closing(person.api):
        for _ in range(2):
            wire.make_workspace(person.api)
        refused(person.api.post(f"{wire.ORG}/workspaces", json=document("workspaces", name=wire.fresh("third"))), 403, 409, 422, says="2")
    for _ in range(3):
        wire.make_workspace(narrow.api)  # platform admins have none


def test_a_client_whose_body_does_not_come_is_told_that_the_connection_ends(narrow: Server) -> None:
    with Raw(f"{narrow.url}/api/v2/{wire.ORG}/workspaces") as raw:
        raw.head("POST", {"Content-Type": wire.JSON_API, "Content-Length": "2"})
        answer = raw.answer()
        check(answer, 401)
        assert answer.headers["connection"] == "close"


def test_a_refusal_that_came_before_the_body_leaves_the_connection_usable(narrow: Server) -> None:
    """Clients keep connections; one that the server closed in silence makes their next request fail."""
    headers = {"Content-Type": wire.JSON_API, "Content-Length": "2"}
    with Raw(f"{narrow.url}/api/v2/{wire.ORG}/workspaces") as raw:
        raw.head("POST", headers)
        # By the time this is answered the request above was looked at and refused: it shows no token.
        assert httpx.get(f"{narrow.url}/health", trust_env=False).status_code == 200
        assert raw.send(b"{}")
        check(raw.answer(), 401)
        raw.head("POST", headers)
        raw.send(b"{}")
        check(raw.answer(), 401)
