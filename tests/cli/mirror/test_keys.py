"""A publisher that changes its key: refused, until an operator accepts it from the command line."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.support.cached_engines import terrapod
from tests.support.mirrored import REGISTRY
from tests.support.server import Server
from tests.support.upstream import Upstream, other_publisher, publisher

SCOPE = f"{REGISTRY}/acme"


def test_a_new_key_of_a_namespace_is_refused_until_it_is_accepted(up: Upstream, mirroring: Callable[..., Server]) -> None:
    server = mirroring(dev_tls=False)

    def document(version: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {server.token}"}
        return httpx.get(f"{server.url}/v1/providers/{SCOPE}/fake/{version}.json", headers=headers, trust_env=False, timeout=30)

    assert document("1.0.0").status_code == 200
    up.providers["acme/fake"].versions["1.1.0"].signer = other_publisher()
    refused = document("1.1.0").json()["errors"][0]["detail"]
    command, _, fingerprint = refused.partition("`terrapod mirror keys accept ")[2].rstrip("`").partition(" ")
    assert (command, fingerprint[-16:]) == (SCOPE, other_publisher().key_id)
    assert "does not name the key" in terrapod(server, "mirror", "keys", "accept", SCOPE, "0" * 40, "--yes", fails=True)
    assert "Aborted" in terrapod(server, "mirror", "keys", "accept", SCOPE, fingerprint, fails=True)
    assert document("1.1.0").status_code == 502
    said = terrapod(server, "mirror", "keys", "accept", SCOPE, fingerprint, "--yes")
    assert "Somebody Else <else@example.com>" in said
    assert f"accepted for {SCOPE}" in said
    assert document("1.1.0").status_code == 200
    assert "may sign what is of registry.example.com/acme already" in terrapod(server, "mirror", "keys", "accept", SCOPE, fingerprint)
    listed = terrapod(server, "mirror", "keys", "list")
    assert listed.count(SCOPE) == 2
    assert publisher().key_id in listed
    assert f"removed from {SCOPE}" in terrapod(server, "mirror", "keys", "remove", SCOPE, fingerprint)
    assert "has no key" in terrapod(server, "mirror", "keys", "remove", SCOPE, fingerprint, fails=True)
