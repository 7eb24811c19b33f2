"""Mirrors over HTTP: documents, links without a token, answers to what cannot be had, and downloads that break off."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest

from terrapod_core.clock import SystemClock
from terrapod_core.packages import openpgp
from tests.support import wire
from tests.support.mirrored import REGISTRY, settings_of
from tests.support.server import Server
from tests.support.upstream import PLATFORMS, Upstream, upstream
from tests.support.upstream_releases import h1_of
from tests.support.waiting import until

HERE = "_".join(PLATFORMS[0])
FAKE = f"/v1/providers/{REGISTRY}/acme/fake"
PET = f"/v1/modules/{REGISTRY}/acme/pet/null"


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with upstream() as up:
        yield up


@pytest.fixture(scope="module")
def mirroring(up: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that mirrors the upstream and fetches nothing ahead."""
    settings = {**settings_of(up), "MIRRORS__LOCK_PLATFORMS": ","}
    with closing(Server(tmp_path_factory.mktemp("mirroring"), settings=settings)) as server:
        yield server.start()


@pytest.fixture
def http(mirroring: Server, up: Upstream) -> Iterator[httpx.Client]:
    """With a person's token. The upstream is well again afterwards."""
    headers = {"Authorization": f"Bearer {mirroring.token}"}
    with httpx.Client(base_url=mirroring.url, headers=headers, trust_env=False, timeout=60) as http:
        yield http
    up.heal()


@pytest.fixture
def bare(mirroring: Server) -> Iterator[httpx.Client]:
    """Without one, as terraform asks for archives."""
    with httpx.Client(base_url=mirroring.url, trust_env=False, timeout=60) as http:
        yield http


def added(up: Upstream, version: str, size: int | None = None) -> bytes:
    """One more version; the zip of this machine."""
    found = up.providers["acme/fake"].add(version, size=size).files[PLATFORMS[0]]
    assert isinstance(found, bytes)
    return found


def link(http: httpx.Client, version: str) -> str:
    """Where a network mirror says that the zip is."""
    return str(http.get(f"{FAKE}/{version}.json").raise_for_status().json()["archives"][HERE]["url"])


def test_the_documents_of_a_network_mirror(http: httpx.Client, bare: httpx.Client, up: Upstream) -> None:
    zipped = added(up, "3.0.0")
    index = http.get(f"{FAKE}/index.json")
    assert (index.status_code, index.headers["Content-Type"]) == (200, "application/json")
    assert {"1.0.0", "1.1.0"} <= set(index.json()["versions"])
    release = up.providers["acme/fake"].versions["3.0.0"]
    archives = http.get(f"{FAKE}/3.0.0.json").json()["archives"]
    assert {name: each["hashes"] for name, each in archives.items()} == {
        "_".join(each): [f"zh:{release.digest(each)}"] for each in release.files
    }
    got = bare.get(archives[HERE]["url"])
    assert (got.status_code, got.content, got.headers["Content-Type"]) == (200, zipped, "application/zip")
    known = until(lambda: http.get(f"{FAKE}/3.0.0.json").json()["archives"][HERE]["hashes"][1:], "the zip to be cached")
    assert known == [h1_of(zipped)]


def test_the_documents_of_the_registry_protocol(http: httpx.Client, bare: httpx.Client, up: Upstream) -> None:
    versions = http.get(f"{FAKE}/versions").json()
    assert versions["id"] == "acme/fake"
    one = next(each for each in versions["versions"] if each["version"] == "1.0.0")
    assert one["protocols"] == ["6.0"]
    assert {f"{each['os']}_{each['arch']}" for each in one["platforms"]} == {"_".join(each) for each in PLATFORMS}
    found = http.get(f"{FAKE}/1.0.0/download/{'/'.join(PLATFORMS[0])}")
    assert found.headers["Cache-Control"] == "no-store"
    package = found.json()
    sums = bare.get(package["shasums_url"]).content
    (key,) = package["signing_keys"]["gpg_public_keys"]
    openpgp.verify(sums, bare.get(package["shasums_signature_url"]).content, key["ascii_armor"], SystemClock().now())
    zipped = bare.get(package["download_url"]).content
    assert hashlib.sha256(zipped).hexdigest() == package["shasum"]
    assert f"{package['shasum']}  {package['filename']}\n" in sums.decode()


def test_the_documents_of_modules(http: httpx.Client, bare: httpx.Client, up: Upstream) -> None:
    versions = http.get(f"{PET}/versions").json()
    assert {each["version"] for each in versions["modules"][0]["versions"]} == {"1.0.0", "1.1.0"}
    for version, kind in (("1.0.0", "tar.gz"), ("1.1.0", "zip")):
        found = http.get(f"{PET}/{version}/download")
        assert (found.status_code, found.content) == (204, b"")
        where = found.headers["X-Terraform-Get"]
        assert where.startswith("/c/")
        assert where.endswith(f"?archive={kind}")
        assert bare.get(where).content == up.modules["acme/pet/null"].archive(version)


@pytest.mark.parametrize("path", [f"{FAKE}/index.json", f"{FAKE}/versions", f"{FAKE}/1.0.0.json", f"{PET}/versions"])
def test_who_has_a_document_is_told_so(http: httpx.Client, path: str) -> None:
    first = http.get(path)
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = http.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    head = http.head(path)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", first.headers["ETag"])
    assert int(head.headers["Content-Length"]) == len(first.content)


@pytest.mark.parametrize("path", [f"{FAKE}/index.json", f"{FAKE}/1.0.0/download/linux/amd64", f"{PET}/versions"])
def test_documents_are_for_those_who_are_known(bare: httpx.Client, path: str) -> None:
    assert bare.get(path).status_code == 401
    assert bare.get(path, headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_a_head_does_not_wait_and_ranges_begin_when_the_file_is_here(http: httpx.Client, bare: httpx.Client, up: Upstream) -> None:
    zipped = added(up, "4.0.0", size=1_000_000)
    where = link(http, "4.0.0")
    gate = up.gate("*_4.0.0_*.zip", after=500_000)
    head = bare.head(where)
    assert (head.status_code, head.content) == (200, b"")
    assert not {"content-length", "accept-ranges"} & set(head.headers)
    assert up.count("*_4.0.0_*.zip", None) == 0
    with bare.stream("GET", where, headers={"Range": "bytes=10-19"}) as first:
        assert (first.status_code, "Content-Length" in first.headers) == (200, False)
        gate.open()
        assert first.read() == zipped
    until(lambda: "Accept-Ranges" in bare.head(where).headers, "the file to be here")
    part = bare.get(where, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, zipped[10:20])
    assert part.headers["ETag"] == f'"{hashlib.sha256(zipped).hexdigest()}"'
    assert int(bare.head(where).headers["Content-Length"]) == len(zipped)
    assert bare.get(where, headers={"If-None-Match": part.headers["ETag"]}).status_code == 304
    assert up.count("*_4.0.0_*.zip") == 1


def test_fifty_who_ask_first_make_one_request_upstream_and_all_get_it(http: httpx.Client, mirroring: Server, up: Upstream) -> None:
    zipped = added(up, "5.0.0", size=5_000_000)
    where = mirroring.url + link(http, "5.0.0")
    with ThreadPoolExecutor(50) as pool:
        got = list(pool.map(lambda _: httpx.get(where, trust_env=False, timeout=60).content, range(50)))
    assert set(map(len, got)) == {len(zipped)}
    assert set(got) == {zipped}
    assert up.count("*_5.0.0_*.zip") == 1


def raw(server: Server, path: str, protocol: str = "HTTP/1.1") -> bytes:
    """All bytes of an answer as they came, until the server hung up."""
    with socket.create_connection(("localhost", server.port), timeout=30) as connection:
        connection.sendall(f"GET {path} {protocol}\r\nHost: {server.host}\r\nConnection: close\r\n\r\n".encode())
        pieces = b""
        try:
            while piece := connection.recv(1 << 16):
                pieces += piece
        except ConnectionResetError:
            pass
    return pieces


def test_a_download_that_fails_on_its_way_never_ends_as_a_whole_one_does(http: httpx.Client, mirroring: Server, up: Upstream) -> None:
    zipped = added(up, "6.0.0", size=1_000_000)
    path = urlsplit(link(http, "6.0.0")).path
    with up.twisted("*_6.0.0_*.zip", tampered=True):
        answer = raw(mirroring, path)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"transfer-encoding: chunked" in head.lower()
        assert not body.endswith(b"0\r\n\r\n"), "it ended as if that were all"
        assert len(body) < len(zipped) - 60_000
        # An answer of HTTP/1.0 ends with its connection, so nothing of it is sent before all of it is verified.
        assert raw(mirroring, path, "HTTP/1.0").startswith(b"HTTP/1.1 502")
    whole = raw(mirroring, path, "HTTP/1.0")
    assert whole.endswith(zipped)
    assert f"content-length: {len(zipped)}".encode() in whole.partition(b"\r\n\r\n")[0].lower()


def test_a_file_that_is_short_in_the_store_never_ends_as_a_whole_one_does(http: httpx.Client, mirroring: Server, up: Upstream) -> None:
    zipped = added(up, "7.0.0", size=3_000_000)
    path = urlsplit(link(http, "7.0.0")).path
    assert httpx.get(mirroring.url + path, trust_env=False).content == zipped
    until(lambda: len(http.get(f"{FAKE}/7.0.0.json").json()["archives"][HERE]["hashes"]) == 2, "it to be cached")
    stored = next(each for each in _stored(mirroring) if each.read_bytes() == zipped)
    stored.write_bytes(zipped[:2_000_000])
    answer = raw(mirroring, path)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(zipped)}".encode() in head.lower()
    assert len(body) < len(zipped)


def _stored(server: Server) -> list[Path]:
    return [each for each in (server.data / "objects/archives/mirrored").rglob("*") if each.is_file()]


def failed(answer: httpx.Response) -> str:
    """Why an upstream could not be had."""
    assert answer.status_code == 502
    return str(answer.json()["errors"][0]["detail"])


def test_what_fails_names_host_and_reason(http: httpx.Client, up: Upstream) -> None:
    up.add_provider("acme/html").add("1.0.0")
    up.twist("/v1/providers/acme/html/versions", html=True)
    assert f"{REGISTRY}/acme/html cannot be had from its upstream now: " in failed(
        http.get(f"/v1/providers/{REGISTRY}/acme/html/index.json")
    )
    (error,) = wire.refused(http.get(f"/v1/providers/{REGISTRY}/acme/nothing/index.json"), 404)
    assert f"{REGISTRY}/acme/nothing" in error["detail"]
    (error,) = wire.refused(http.get("/v1/providers/unknown.example/acme/fake/index.json"), 404)
    assert f"unknown.example is not mirrored here; these hosts are: {REGISTRY}" in error["detail"]
    http.get(f"{FAKE}/1.0.0.json").raise_for_status()
    (error,) = wire.refused(http.get(f"{FAKE}/1.0.0/download/plan9/mips"), 404)
    assert "is not made for plan9_mips, but for" in error["detail"]
    added(up, "8.0.0")
    up.twist("*_8.0.0_SHA256SUMS.sig", status=503)
    assert "503" in failed(http.get(f"{FAKE}/8.0.0.json"))
    refused = http.get(f"{PET}/9.0.0/download")
    assert refused.status_code == 404


def test_our_own_host_is_refused_with_a_sentence(http: httpx.Client, mirroring: Server) -> None:
    (error,) = wire.refused(http.get(f"/v1/providers/{mirroring.host}/default/fake/index.json"), 404)
    assert f"{mirroring.host} is this server itself" in error["detail"]


@pytest.mark.parametrize("spelled", ["REGISTRY.Example.COM", "registry.example.com:443"])
def test_hosts_are_known_however_they_are_spelled(http: httpx.Client, spelled: str) -> None:
    assert http.get(f"/v1/providers/{spelled}/ACME/Fake/index.json").status_code == 200


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("registry.example.com:8443", "registry.example.com:8443 is not mirrored here"),
        ("bücher.example", "xn--bcher-kva.example is not mirrored here"),
        ("registry.example.com:0", "is no host name"),
        ("registry.example.com:99999", "is no host name"),
        ("registry.example.com:443:443", "is no host name"),
        ("user@registry.example.com", "is no host name"),
        ("registry..example", "is no host name"),
        ("10.0.0.1", "is no host name"),
        ("[::1]", "is no host name"),
        ("a" * 5000, "is no host name"),
        ("registry.example.com%00", "is no host name"),
        ("-x.example", "is no host name"),
    ],
)
def test_other_hosts_are_refused_and_nobody_is_asked(http: httpx.Client, up: Upstream, host: str, says: str) -> None:
    up.forget()
    for path in (
        f"/v1/providers/{quote(host, safe='')}/acme/fake/index.json",
        f"/v1/modules/{quote(host, safe='')}/acme/pet/null/versions",
    ):
        (error,) = wire.refused(http.get(path), 404)
        assert says in error["detail"]
    assert up.connections == 0


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/providers/{REGISTRY}/acme/%2e%2e/index.json",
        f"/v1/providers/{REGISTRY}//fake/index.json",
        f"/v1/providers/{REGISTRY}/acme/fake/../../../secret.json",
        f"/v1/providers/{REGISTRY}/acme/fake/%2e%2e%2f1.0.0.json",
        f"/v1/providers/{REGISTRY}/acme/fake/1.0.0%00.json",
        f"/v1/providers/{REGISTRY}/acme/fake/{'1' * 3000}.json",
        f"/v1/providers/{REGISTRY}/acme/fake/1.0.0/download/linux/%2e%2e",
        f"/v1/modules/{REGISTRY}/acme/pet/NULL/versions",
        f"/v1/modules/{REGISTRY}/%2e%2e/pet/null/versions",
        f"/v1/modules/{REGISTRY}/acme/pet/null/%2e%2e/download",
    ],
)
def test_tricks_with_paths_lead_nowhere(mirroring: Server, up: Upstream, path: str) -> None:
    up.forget()
    with socket.create_connection(("localhost", mirroring.port), timeout=30) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: {mirroring.host}\r\nAuthorization: Bearer {mirroring.token}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 404"), answer[:200]
    assert up.connections == 0
