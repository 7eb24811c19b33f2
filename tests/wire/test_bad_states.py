"""States that are empty, that are none, whose md5, serial or lineage disagree, that come twice, without the lock or too late."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support import wire
from tests.support.server import Server
from tests.support.wire import Person, b64, data, md5, put, refused, state, state_version

OTHER_LINEAGE = "00000000-2222-4222-8333-944455556666"


@pytest.fixture
def mine(api: httpx.Client) -> str:
    """A workspace of the test's own, locked by its admin."""
    ident: str = wire.make_workspace(api)["id"]
    wire.lock(api, ident)
    return ident


def create(api: httpx.Client, workspace: str, content: bytes, **more: Any) -> httpx.Response:
    """Announce a state."""
    return api.post(f"workspaces/{workspace}/state-versions", json=state_version(content, **more))


def current(api: httpx.Client, workspace: str) -> bytes | None:
    """The bytes of the state in force; `None` when there is none."""
    response = api.get(f"workspaces/{workspace}/current-state-version")
    if response.status_code == 404:
        return None
    return api.get(data(response)["attributes"]["hosted-state-download-url"], follow_redirects=True).content


def test_a_state_needs_the_lock_of_the_one_who_sends_it(api: httpx.Client, mine: str) -> None:
    unlocked = wire.make_workspace(api)["id"]
    refused(create(api, unlocked, state()), 409, says="lock")
    made = data(create(api, mine, state()), 201)
    refused(api.post(f"workspaces/{mine}/actions/unlock"), 422, says="latest state version is still pending")
    assert current(api, mine) is None, "a state is in force before its bytes came"
    assert put(made["attributes"]["hosted-state-upload-url"], state()).status_code == 200
    assert api.post(f"workspaces/{mine}/actions/unlock").status_code == 200
    refused(create(api, mine, state(2)), 409, says="lock")
    assert current(api, mine) == state()


BROKEN = {
    "nothing": b"",
    "blanks": b"   ",
    "no JSON": b"state!",
    "a list": b"[]",
    "null": b"null",
    "an empty object": b"{}",
    "half": state()[:200],
    "two": state() + state(),
    "not UTF-8": b'{"version": 4, "serial": 1, "lineage": "\xff"}',
    "a version from the future": b'{"version": 99, "serial": 1, "lineage": "x"}',
    "a serial that is text": b'{"version": 4, "serial": "1", "lineage": "x"}',
    "nested without end": b'{"version": 4, "serial": 1, "lineage": "x", "outputs": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_state_that_is_none_is_422_and_changes_nothing(api: httpx.Client, mine: str, content: bytes) -> None:
    wire.put_state(api, mine, state(1))
    sent = wire.document("state-versions", serial=2, md5=md5(content), lineage=wire.LINEAGE)
    response = api.post(f"workspaces/{mine}/state-versions", json=sent)
    if response.status_code == 201:
        made = data(response, 201)
        refused(put(made["attributes"]["hosted-state-upload-url"], content), 422)
    else:
        refused(response, 422)
    sent["data"]["attributes"]["state"] = b64(content)
    refused(api.post(f"workspaces/{mine}/state-versions", json=sent), 409, 422)
    assert current(api, mine) == state(1)


def test_bytes_with_another_md5_are_422_and_the_right_ones_still_come(api: httpx.Client, mine: str) -> None:
    made = data(create(api, mine, state()), 201)
    url = made["attributes"]["hosted-state-upload-url"]
    refused(put(url, state(note="-other")), 422, says="md5")
    refused(put(url, b""), 422)
    assert wire.attributes(api.get(f"state-versions/{made['id']}"))["status"] == "pending"
    assert current(api, mine) is None
    assert put(url, state()).status_code == 200
    assert current(api, mine) == state()


def test_bytes_whose_serial_or_lineage_were_announced_otherwise_are_422(api: httpx.Client, mine: str) -> None:
    content = state(3)
    for serial, lineage, word in ((4, wire.LINEAGE, "serial"), (3, OTHER_LINEAGE, "lineage")):
        response = create(api, mine, content, serial=serial, lineage=lineage)
        if response.status_code == 201:
            response = put(data(response, 201)["attributes"]["hosted-state-upload-url"], content)
        refused(response, 409, 422, says=word)
        refused(create(api, mine, content, serial=serial, lineage=lineage, state=b64(content)), 409, 422, says=word)
    assert current(api, mine) is None


@pytest.mark.parametrize(
    ("serial", "lineage", "says"),
    [(4, wire.LINEAGE, "serial"), (0, wire.LINEAGE, "serial"), (6, OTHER_LINEAGE, "lineage"), (5, OTHER_LINEAGE, "lineage")],
)
def test_a_state_that_does_not_follow_is_409(api: httpx.Client, mine: str, serial: int, lineage: str, says: str) -> None:
    wire.put_state(api, mine, state(5))
    content = state(serial, lineage=lineage)
    refused(create(api, mine, content, lineage=lineage), 409, says=says)
    refused(create(api, mine, content, lineage=lineage, state=b64(content)), 409, says=says)
    assert current(api, mine) == state(5)
    # `terraform state push -force` means it.
    data(create(api, mine, content, lineage=lineage, state=b64(content), force=True), 201)
    assert current(api, mine) == content


def test_the_same_serial_with_the_same_bytes_is_fine_and_with_others_409(api: httpx.Client, mine: str) -> None:
    wire.put_state(api, mine, state(5))
    wire.put_state(api, mine, state(5))
    data(create(api, mine, state(5), state=b64(state(5))), 201)
    refused(create(api, mine, state(5, note="-other")), 409, says="serial")
    assert current(api, mine) == state(5)


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"serial": -1}, "/data/attributes/serial"),
        ({"serial": 2**63 - 1}, None),
        ({"md5": "x"}, "/data/attributes/md5"),
        ({"md5": ""}, "/data/attributes/md5"),
        ({"md5": "g" * 32}, "/data/attributes/md5"),
        ({"lineage": "x" * 5000}, "/data/attributes/lineage"),
        ({"state": "%%%"}, "/data/attributes/state"),
    ],
)
def test_what_announces_a_state_is_checked(api: httpx.Client, mine: str, attributes: dict[str, object], pointer: str | None) -> None:
    content = state(1)
    sent = {"serial": 1, "md5": md5(content), "lineage": wire.LINEAGE} | attributes
    response = api.post(f"workspaces/{mine}/state-versions", json=wire.document("state-versions", **sent))
    if pointer is None and response.status_code == 201:
        refused(put(data(response, 201)["attributes"]["hosted-state-upload-url"], content), 422)
    else:
        refused(response, 422, pointer=pointer)


def test_the_same_upload_again_is_200_and_another_409(api: httpx.Client, mine: str) -> None:
    made = data(create(api, mine, state()), 201)
    url = made["attributes"]["hosted-state-upload-url"]
    assert [put(url, state()).status_code for _ in range(3)] == [200, 200, 200]
    refused(put(url, state(note="-other")), 409)
    refused(put(url, b""), 409)
    assert put(url, state()).status_code == 200
    assert current(api, mine) == state()


def test_an_old_link_never_brings_an_old_state_back(api: httpx.Client, mine: str) -> None:
    old = data(create(api, mine, state(1)), 201)["attributes"]["hosted-state-upload-url"]
    assert put(old, state(1)).status_code == 200
    wire.put_state(api, mine, state(2))
    assert put(old, state(1)).status_code == 200  # the same bytes: fine, and nothing happens
    assert current(api, mine) == state(2)


def test_of_two_announcements_only_one_becomes_the_state(api: httpx.Client, mine: str) -> None:
    first = data(create(api, mine, state(1, note="-a")), 201)["attributes"]["hosted-state-upload-url"]
    response = create(api, mine, state(1, note="-b"))
    if response.status_code != 201:
        refused(response, 409)
        assert put(first, state(1, note="-a")).status_code == 200
        assert current(api, mine) == state(1, note="-a")
        return
    second = data(response, 201)["attributes"]["hosted-state-upload-url"]
    answers = [put(second, state(1, note="-b")), put(first, state(1, note="-a"))]
    assert answers[0].status_code == 200
    refused(answers[1], 404, 409)
    assert current(api, mine) == state(1, note="-b")


def test_an_upload_after_its_time_is_404(api: httpx.Client, server: Server, mine: str) -> None:
    from terrapod_core.clock import SystemClock
    from terrapod_core.storage import Capabilities, Purpose

    made = data(create(api, mine, state()), 201)["id"]
    links = Capabilities(server.keyring, SystemClock())
    over = links.url_path(Purpose.STATE_UPLOAD, "PUT", made, expires=datetime.now(UTC) - timedelta(minutes=1))
    refused(put(server.url + over, state()), 404, says="over")
    assert current(api, mine) is None


def test_an_id_is_not_a_key(api: httpx.Client, server: Server, mine: str) -> None:
    """The contract's `/content` takes bytes without a token only while the version waits, and only those that were announced."""
    made = data(create(api, mine, state()), 201)["id"]
    content, parsed = f"{server.url}/api/v2/state-versions/{made}/content", f"{server.url}/api/v2/state-versions/{made}/json-content"
    refused(put(content, state(note="-forged")), 422)
    assert put(content, state()).status_code == 200
    refused(put(content, state(note="-forged")), 404, 409)
    assert current(api, mine) == state()
    for path in (content.replace(made, "sv-" + wire.UNKNOWN), parsed.replace(made, "sv-" + wire.UNKNOWN), content.replace(made, "x")):
        refused(put(path, state()), 404)


def test_a_pending_state_is_for_writers_only(api: httpx.Client, auditor: Person, mine: str) -> None:
    made = data(create(api, mine, state()), 201)["id"]
    refused(auditor.api.get(f"state-versions/{made}"), 404)
    assert data(auditor.api.get(f"workspaces/{mine}/state-versions")) == []
    assert [one["id"] for one in data(api.get(f"workspaces/{mine}/state-versions"))] == [made]


def test_a_state_without_outputs_or_resources_is_one(api: httpx.Client, mine: str) -> None:
    bare = (
        b'{"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "'
        + wire.LINEAGE.encode()
        + b'", "outputs": {}, "resources": []}'
    )
    wire.put_state(api, mine, bare)
    assert data(api.get(f"workspaces/{mine}/current-state-version-outputs")) == []


def test_outputs_without_a_state_are_an_empty_list(api: httpx.Client) -> None:
    empty = wire.make_workspace(api)["id"]
    assert data(api.get(f"workspaces/{empty}/current-state-version-outputs")) == []
    refused(api.get(f"workspaces/{empty}/current-state-version"), 404)


def test_a_rollback_keeps_the_serials_rising(api: httpx.Client, mine: str) -> None:
    first = wire.put_state(api, mine, state(1))
    wire.put_state(api, mine, state(7))
    sent = {
        "data": {"type": "state-versions", "relationships": {"rollback-state-version": {"data": wire.ref("state-versions", first["id"])}}}
    }
    made = data(api.patch(f"workspaces/{mine}/state-versions", json=sent), 201)
    assert made["attributes"]["serial"] == 8
    wire.put_state(api, mine, state(9))
    assert api.post(f"workspaces/{mine}/actions/unlock").status_code == 200
    refused(api.patch(f"workspaces/{mine}/state-versions", json=sent), 409, says="lock")


def test_an_output_without_a_type_or_too_large_to_keep_leaves_the_state_whole(api: httpx.Client, mine: str) -> None:
    """terraform downloads the state itself when an output comes without its detailed type."""
    odd = json.loads(state(1))
    odd["outputs"] = {
        "untyped": {"value": "x"},
        "large": {"value": "x" * (17 << 20), "type": "string"},
        "small": {"value": "y", "type": "string"},
    }
    content = json.dumps(odd).encode()
    wire.put_state(api, mine, content)
    assert current(api, mine) == content
    found = {one["attributes"]["name"]: one["attributes"] for one in data(api.get(f"workspaces/{mine}/current-state-version-outputs"))}
    assert {name: one["detailed-type"] for name, one in found.items()} == {"untyped": None, "large": None, "small": "string"}
    assert (found["large"]["value"], found["small"]["value"]) == (None, "y")
