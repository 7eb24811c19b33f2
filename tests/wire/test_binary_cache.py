"""The binary cache on the wire: versions, links, warming, purging, keys, and everything that is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.cached_engines import mirrored, without_engines
from tests.support.server import Server
from tests.support.upstream import Upstream, upstream
from tests.support.upstream_releases import Blob
from tests.support.waiting import until
from tests.support.wire import data, document, make_person, refused

CACHE = "admin/binary-cache"
LINUX = "linux/amd64"


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with upstream() as up:
        for version in ("1.10.5", "1.11.0", "1.11.1", "1.11.2", "2.0.0-alpha1"):
            up.engines["terraform"].add(version)
        up.engines["terraform"].add("1.5.0", {("darwin", "arm64"): b"PK"})
        up.engines["terraform"].add("1.3.0", size=3 << 20)
        yield up


@pytest.fixture(scope="module")
def server(up: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with without_engines(mirrored(up, tmp_path_factory.mktemp("mirrored"))) as server:
        yield server


@pytest.fixture
def api(server: Server) -> httpx.Client:
    return server.api


def location(api: httpx.Client, tool: str, version: str, platform: str = LINUX) -> str:
    """Where a download is answered to be."""
    answer = api.get(f"binary-cache/{tool}/{quote(version, safe='')}/{platform}")
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def fetched(api: httpx.Client, tool: str, version: str) -> bytes:
    """The zip, fetched as curl does it: nothing is shown to where the redirect leads."""
    answer = httpx.get(location(api, tool, version), trust_env=False, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.content


def bytes_of(blob: Blob) -> bytes:
    return blob if isinstance(blob, bytes) else blob.read_bytes()


def warmed(api: httpx.Client, **wanted: object) -> list[dict[str, Any]]:
    """The warmings of a request, when all have ended."""
    answer = api.post(f"{CACHE}/warm", json=document("binary-cache-warmings", **wanted))
    assert answer.status_code in (200, 202), answer.text

    def ended(ident: str) -> dict[str, Any] | None:
        found: dict[str, Any] = data(api.get(f"{CACHE}/warm/{ident}"))["attributes"]
        return found if found["finished-at"] is not None else None

    return [until(lambda ident=each["id"]: ended(ident), "a warming to end") for each in answer.json()["data"]]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("1.11.1", "1.11.1"),
        ("v1.11.1", "1.11.1"),
        ("= 1.11.1", "1.11.1"),
        ("latest", "1.11.4"),
        ("1.10", "1.10.5"),
        ("~> 1.10.0", "1.10.5"),
        (">= 1.9, < 1.11.2", "1.11.1"),
        ("1.12.0-beta1", "1.12.0-beta1"),
    ],
)
def test_a_version_is_exact_the_latest_a_line_or_a_constraint(api: httpx.Client, up: Upstream, asked: str, meant: str) -> None:
    assert fetched(api, "terraform", asked) == bytes_of(up.engines["terraform"].versions[meant].files["linux", "amd64"])


def test_what_was_fetched_once_is_in_the_list_with_its_digest(api: httpx.Client, up: Upstream) -> None:
    content = fetched(api, "tofu", "1.9.1")
    until(lambda: any(each["attributes"]["tool"] == "tofu" for each in data(api.get(CACHE))), "the zip to be kept")
    (entry,) = [each["attributes"] for each in data(api.get(CACHE)) if each["attributes"]["tool"] == "tofu"]
    assert (entry["version"], entry["os"], entry["arch"], entry["size"]) == ("1.9.1", "linux", "amd64", len(content))
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert entry["cached-at"] is not None
    before = up.count("/release-assets/1.9.1/*.zip")
    with up.stopped():
        assert fetched(api, "tofu", "1.9.1") == content
        assert fetched(api, "tofu", "~> 1.9.0") == content
    assert up.count("/release-assets/1.9.1/*.zip") == before == 1
    page = api.get(f"{CACHE}?page[size]=1").json()
    assert len(page["data"]) == 1
    assert page["meta"]["pagination"]["total-count"] == len(data(api.get(f"{CACHE}?page[size]=100")))


def test_a_part_of_a_zip_can_be_asked_for_once_it_is_here(api: httpx.Client) -> None:
    whole = fetched(api, "terraform", "1.11.2")
    warmed(api, tool="terraform", version="1.11.2", os="linux", arch="amd64")
    part = httpx.get(location(api, "terraform", "1.11.2"), headers={"Range": "bytes=10-19"}, trust_env=False)
    assert (part.status_code, part.content) == (206, whole[10:20])
    assert httpx.head(location(api, "terraform", "1.11.2"), trust_env=False).headers["content-length"] == str(len(whole))


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        (f"packer/1.0.0/{LINUX}", 404, "there are terraform and tofu"),
        (f"terraform/9.9.9/{LINUX}", 404, "terraform has no version 9.9.9; the newest are 1.11.4"),
        (f"terraform/%3E%3D%203.0/{LINUX}", 404, "no version of terraform fits `>= 3.0`"),
        (f"terraform/2.0/{LINUX}", 404, "no version of terraform fits `2.0`"),
        (f"terraform/1.5.0/{LINUX}", 404, "for darwin_arm64"),
        (f"terraform/~%3E%201.5.0/{LINUX}", 404, "is for darwin_arm64"),
        ("terraform/1.11.4/plan9/mips", 404, "not for plan9_mips|is not made for plan9_mips"),
        ("terraform/1.11.4/..%2f..%2f/amd64", 404, ""),
        ("terraform/1.11.4/LINUX/amd64", 404, "is no platform"),
        ("terraform/1.11.4/linux/%F0%9F%92%A5", 404, "is no platform"),
        (f"terraform/..%2f..%2fetc%2fpasswd/{LINUX}", 404, ""),
        (f"terraform/../{LINUX}", 404, ""),
        (f"terraform/1e9/{LINUX}", 422, "'1e9' is no version; write `latest`"),
        (f"terraform/{'9' * 5000}/{LINUX}", 422, "is no version"),
        (f"terraform/{'1' * 90}.0.0/{LINUX}", 404, "fits|has no version"),
        (f"terraform/%D9%A1.%D9%A2.%D9%A3/{LINUX}", 422, "is no version"),
        (f"terraform/1.11.4%00/{LINUX}", 404, ""),
        (f"terraform/1.11.4%0A/{LINUX}", 422, "is no version"),
        (f"terraform/%3E%3D/{LINUX}", 422, "is no version"),
        (f"terraform/1.9%2C%2C/{LINUX}", 422, "is no version"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_do(api: httpx.Client, path: str, status: int, says: str) -> None:
    answer = api.get(f"binary-cache/{path}")
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"]
    if says:
        refused(answer, status, says=says)


def test_an_engine_is_brought_here_for_several_platforms_and_later_answered_at_once(api: httpx.Client, up: Upstream) -> None:
    wanted = {"tool": "terraform", "version": "1.3", "platforms": ["linux_amd64", "darwin_arm64"]}
    ends = warmed(api, **wanted)
    assert [(each["version"], each["os"], each["status"]) for each in ends] == [
        ("1.3.0", "linux", "finished"),
        ("1.3.0", "darwin", "finished"),
    ]
    assert all(each["received"] > 3 << 20 for each in ends)
    again = api.post(f"{CACHE}/warm", json=document("binary-cache-warmings", **wanted))
    assert (again.status_code, {each["attributes"]["status"] for each in again.json()["data"]}) == (200, {"finished"})
    assert up.count("/terraform/1.3.0/*.zip") == 2
    entries = data(api.get("admin/audit-log?filter[action]=binary-cache.warm"))
    assert entries[0]["attributes"]["detail"] == {"version": "1.3.0", "platforms": ["linux_amd64", "darwin_arm64"]}


def test_a_warming_shows_how_far_it_is_and_why_it_failed(api: httpx.Client, up: Upstream) -> None:
    up.engines["terraform"].versions["1.11.0"].files["linux", "amd64"] = up.engines["terraform"].versions["1.3.0"].files["linux", "arm64"]
    gate = up.gate("/terraform/1.11.0/*.zip", after=1 << 20)
    answer = api.post(f"{CACHE}/warm", json=document("binary-cache-warmings", tool="terraform", version="1.11.0", os="linux", arch="amd64"))
    (warming,) = data(answer, 202)
    gate.wait()

    def received() -> int:
        return int(data(api.get(f"{CACHE}/warm/{warming['id']}"))["attributes"]["received"])

    until(lambda: received() > 0, "bytes to be told of")
    gate.open()
    until(lambda: data(api.get(f"{CACHE}/warm/{warming['id']}"))["attributes"]["status"] == "finished", "the warming to end")
    up.heal()
    with up.twisted("/terraform/1.9.8/*.zip", tampered=True):
        (failed,) = warmed(api, tool="terraform", version="1.9.8", platforms=["linux_amd64"])
    assert failed["status"] == "errored"
    assert "its SHA-256 is" in failed["message"]


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"tool": "terraform", "version": "1.11.4"}, "name one platform"),
        ({"tool": "terraform", "version": "1.11.4", "platforms": []}, "name one platform"),
        ({"tool": "terraform", "version": "1.11.4", "platforms": ["linux"]}, "is no platform"),
        ({"tool": "terraform", "version": "1.11.4", "platforms": [f"linux_a{each}" for each in range(21)]}, "up to 20"),
        ({"tool": "terraform", "version": "../1", "platforms": ["linux_amd64"]}, "is no version"),
        ({"tool": "terraform", "version": 1, "platforms": ["linux_amd64"]}, ""),
        ({"version": "1.11.4", "platforms": ["linux_amd64"]}, "tool is required"),
    ],
)
def test_a_wrong_wish_to_warm_is_refused(api: httpx.Client, attributes: dict[str, Any], says: str) -> None:
    answer = api.post(f"{CACHE}/warm", json={"data": {"type": "binary-cache-warmings", "attributes": attributes}})
    assert answer.status_code == 422, answer.text
    assert says in answer.text


def test_what_is_purged_is_gone_and_nothing_else_may_take_its_place(api: httpx.Client, server: Server, up: Upstream) -> None:
    path = f"{CACHE}/terraform/1.10.5/{LINUX}"
    warmed(api, tool="terraform", version="1.10.5", os="linux", arch="amd64")
    assert api.delete(path).status_code == 204
    refused(api.delete(path), 404, says="is not in the cache")
    assert "1.10.5" not in [each["attributes"]["version"] for each in data(api.get(f"{CACHE}?page[size]=100"))]
    assert data(api.get("admin/audit-log?filter[action]=binary-cache.purge"))[0]["attributes"]["detail"]["version"] == "1.10.5"
    release = up.engines["terraform"].versions["1.10.5"]
    right = release.files["linux", "amd64"]
    release.files["linux", "amd64"] = release.files["linux", "arm64"]  # and signed anew, with sums that say so
    (failed,) = warmed(api, tool="terraform", version="1.10.5", os="linux", arch="amd64")
    assert "its SHA-256 is" in failed["message"]
    release.files["linux", "amd64"] = right
    assert fetched(api, "terraform", "1.10.5") == bytes_of(right)
    refused(api.delete(f"{CACHE}/terraform/latest/{LINUX}"), 404, says="its version has to be exact")


def test_everybody_who_is_signed_in_downloads_and_only_admins_care_for_it(server: Server) -> None:
    person = make_person(server, "somebody")
    try:
        assert person.api.get(f"binary-cache/terraform/1.11.4/{LINUX}").status_code == 302
        refused(person.api.get(CACHE), 403, says="only a platform audit may look into the binary cache")
        refused(person.api.delete(f"{CACHE}/terraform/1.11.4/{LINUX}"), 403)
    finally:
        person.api.close()
    assert httpx.get(f"{server.url}/api/v2/binary-cache/terraform/1.11.4/{LINUX}", trust_env=False).status_code == 401


def test_keys_of_engines_are_for_the_settings_to_say(api: httpx.Client) -> None:
    location(api, "terraform", "latest")
    refused(api.get("admin/mirror-keys/offered?filter[scope]=terraform"), 409, says="the settings of the plugin hashicorp say which keys")
    refused(api.get("admin/mirror-keys/offered?filter[scope]=packer"), 422, says="write HOST/NAMESPACE")
    refused(api.get("admin/mirror-keys/offered?filter[scope]=r.example.com/acme"), 404, says="nothing of r.example.com/acme was ever")
    refused(api.get("admin/mirror-keys/offered"), 400, says="say of what")
    sent = document("mirror-keys", scope="r.example.com/acme", fingerprint="12")
    refused(api.post("admin/mirror-keys", json=sent), 422, says="forty hexadecimal digits")


def test_a_server_without_upstreams_says_so(tmp_path: Path, up: Upstream) -> None:
    server = mirrored(up, tmp_path / "bare", {"PLUGINS__DISABLED": "mirror-hashicorp,mirror-opentofu"})
    with without_engines(server):
        refused(server.api.get(f"binary-cache/terraform/latest/{LINUX}"), 404, says="no mirror plugin here has releases of terraform")
