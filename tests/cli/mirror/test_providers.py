"""Providers through the network mirror, by a real terraform: installed, used, locked, and refused when an upstream is not what it was."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable

import httpx
import pytest

from tests.support.mirrored import REGISTRY, Client, services
from tests.support.server import Server
from tests.support.upstream import PLATFORMS, Upstream, other_publisher
from tests.support.upstream_releases import h1_of
from tests.support.waiting import until

HERE = "_".join(PLATFORMS[0])
NewClient = Callable[[Server], Client]
Mirroring = Callable[..., Server]
ZIP = f"*_{HERE}.zip"
NO_AHEAD = {"MIRRORS__LOCK_PLATFORMS": ","}


def cached(server: Server) -> list[int]:
    """The sizes of what is in the server's store of mirrored files."""
    return [path.stat().st_size for path in (server.data / "objects/archives/mirrored").rglob("*") if path.is_file()]


def document(server: Server, version: str) -> httpx.Response:
    """What a network mirror says of a version."""
    with httpx.Client(verify=server.trust, trust_env=False, headers={"Authorization": f"Bearer {server.token}"}) as http:
        return http.get(f"{server.url}/v1/providers/{REGISTRY}/acme/fake/{version}.json")


def settled(server: Server, version: str = "1.0.0") -> None:
    """Until the zip of this machine is cached for good."""
    until(lambda: "h1:" in str(document(server, version).json()["archives"][HERE]), "the provider to be cached")


def test_init_with_nothing_but_the_mirror_installs_what_is_used(mirroring: Mirroring, new_client: NewClient, up: Upstream) -> None:
    server = mirroring(**NO_AHEAD)
    first = new_client(server).uses_provider()
    assert "(verified checksum)" in first.run("init", "-input=false").text
    assert 'id = "thing-one"' in first.run("apply", "-auto-approve", "-input=false").text
    assert up.count(ZIP) == 1
    assert up.count("*.zip") == 1, "a platform that nobody asked for was fetched"


def test_a_second_init_needs_no_upstream(mirroring: Mirroring, new_client: NewClient, up: Upstream) -> None:
    server = mirroring(**NO_AHEAD)
    new_client(server).uses_provider().run("init", "-input=false")
    settled(server)
    with up.stopped():
        second = new_client(server).uses_provider()
        second.run("init", "-input=false")
        assert 'id = "thing-one"' in second.run("apply", "-auto-approve", "-input=false").text


def test_a_lock_file_is_made_complete_for_four_platforms(mirroring: Mirroring, new_client: NewClient, up: Upstream) -> None:
    server = mirroring()
    release = up.providers["acme/fake"].versions["1.0.0"]
    h1, zh = {h1_of(each) for each in release.files.values()}, {f"zh:{release.digest(each)}" for each in release.files}
    client = new_client(server).uses_provider()
    client.run("init", "-input=false")
    assert client.hashes() == ({h1_of(release.files[PLATFORMS[0]])}, set()), "terraform locks what it installed, whatever it is offered"

    def documented() -> bool:
        archives = document(server, "1.0.0").raise_for_status().json()["archives"]
        hashes = {each for archive in archives.values() for each in archive["hashes"]}
        assert zh <= hashes
        return hashes == h1 | zh

    until(documented, "the other platforms to have been fetched ahead")
    with up.stopped():
        platforms = [f"-platform={'_'.join(each)}" for each in PLATFORMS]
        client.run("providers", "lock", f"-net-mirror={client.mirror}", *platforms)
    assert client.hashes()[0] == h1
    assert up.count("*.zip") == 4


def test_a_tampered_archive_is_refused_and_never_cached(mirroring: Mirroring, new_client: NewClient, up: Upstream) -> None:
    server = mirroring(**NO_AHEAD)
    with up.twisted(ZIP, tampered=True):
        refused = new_client(server).uses_provider().run("init", "-input=false", check=False)
    assert refused.code == 1
    assert re.search(r"Failed to install provider Error while installing \S+/acme/fake v1\.0\.0: \S+: bad response code: 502", refused.text)
    until(lambda: "is refused: its SHA-256 is" in server.said(), "the server to say why")
    assert cached(server) == []
    new_client(server).uses_provider().run("init", "-input=false")


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"cut": 2_000_000}, id="reset"),
        pytest.param({"ended": 2_000_000}, id="ended", marks=pytest.mark.long),
        pytest.param({"declared": 10_000_000}, id="short", marks=pytest.mark.long),
    ],
)
def test_a_truncated_archive_is_never_taken_for_a_whole_one(
    mirroring: Mirroring, new_client: NewClient, up: Upstream, how: dict[str, int]
) -> None:
    up.providers["acme/fake"].add("2.0.0", size=3_000_000)
    server = mirroring(**NO_AHEAD)
    with up.twisted(ZIP, **how):
        refused = new_client(server).uses_provider("2.0.0").run("init", "-input=false", check=False)
    assert refused.code == 1
    assert re.search(r"Error while installing \S+/acme/fake v2\.0\.0: \S+: (unexpected EOF|.*INTERNAL_ERROR|.*reset)", refused.text), (
        refused.text
    )
    assert cached(server) == []


def test_a_bad_signature_is_refused_and_nothing_is_fetched(mirroring: Mirroring, new_client: NewClient, up: Upstream) -> None:
    up.providers["acme/fake"].versions["1.0.0"].bad_signature = True
    server = mirroring(**NO_AHEAD)
    refused = new_client(server).uses_provider().run("init", "-input=false", check=False)
    assert refused.code == 1
    assert re.search(r"failed to query provider mirror \S+ for \S+/acme/fake: the request failed after 2 attempts.*502", refused.text)
    assert up.count("*.zip") == 0
    up.providers["acme/fake"].versions["1.0.0"].bad_signature = False
    new_client(server).uses_provider().run("init", "-input=false")


def test_another_key_than_the_first_is_refused_with_what_to_do(mirroring: Mirroring, new_client: NewClient, up: Upstream) -> None:
    server = mirroring(**NO_AHEAD)
    new_client(server).uses_provider().run("init", "-input=false")
    up.providers["acme/fake"].versions["1.1.0"].signer = other_publisher()
    refused = new_client(server).uses_provider("1.1.0").run("init", "-input=false", check=False)
    assert (refused.code, "502" in refused.text) == (1, True)
    said = document(server, "1.1.0")
    assert f"accept it with `terrapod mirror keys accept {REGISTRY}/acme" in said.json()["errors"][0]["detail"]


def test_a_redirect_to_elsewhere_is_refused_and_not_followed(mirroring: Mirroring, new_client: NewClient, up: Upstream) -> None:
    server = mirroring(**NO_AHEAD)
    with up.twisted(ZIP, location="https://elsewhere.example/provider.zip"):
        refused = new_client(server).uses_provider().run("init", "-input=false", check=False)
    assert (refused.code, "bad response code: 502" in refused.text) == (1, True)
    assert "elsewhere.example" in server.said()
    assert "is not on the list of hosts that may be asked" in server.said()
    assert cached(server) == []


def test_a_sealed_server_makes_no_connection_and_gives_what_it_has(mirroring: Mirroring, new_client: NewClient, up: Upstream) -> None:
    server = mirroring(**NO_AHEAD)
    new_client(server).uses_provider().run("init", "-input=false")
    settled(server)
    server.set("MIRRORS__SEALED", "true")
    server.set("MIRRORS__LOCK_PLATFORMS", HERE + ",linux_arm64")
    server.set("MIRRORS__INDEX_FRESH_SECONDS", "0")
    server.restart()
    up.forget()
    client = new_client(server).uses_provider()
    client.run("init", "-input=false")
    assert 'id = "thing-one"' in client.run("apply", "-auto-approve", "-input=false").text
    refused = new_client(server).uses_provider("1.1.0").run("init", "-input=false", check=False)
    assert (refused.code, "does not have archive index for previously-reported" in refused.text) == (1, True), refused.text
    said = document(server, "1.1.0")
    assert said.status_code == 404
    assert "this server is sealed (mirrors.sealed): bring it with `terrapod bundle import`" in said.json()["errors"][0]["detail"]
    assert up.connections == 0


def test_by_the_registry_protocol_terraform_verifies_the_publishers_signature_itself(
    mirroring: Mirroring, new_client: NewClient, up: Upstream
) -> None:
    server = mirroring(**NO_AHEAD)
    client = new_client(server).uses_provider()
    client.configuration.write_text(services({"providers.v1": f"{server.url}/v1/providers/{REGISTRY}/"}, server.token))
    done = client.run("init", "-input=false")
    key = up.providers["acme/fake"].signer.key_id
    assert f"Installed {REGISTRY}/acme/fake v1.0.0 (self-signed, key ID {key})" in done.text
    assert len(client.hashes()[1]) == len(PLATFORMS)
    assert 'id = "thing-one"' in client.run("apply", "-auto-approve", "-input=false").text
    assert isinstance(server.trust, ssl.SSLContext)
