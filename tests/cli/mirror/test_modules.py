"""Modules through the mirror, by a real terraform."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.mirrored import Client
from tests.support.server import Server
from tests.support.upstream import Upstream

NewClient = Callable[[Server], Client]
Mirroring = Callable[..., Server]
REFUSED = "Failed to retrieve a download URL for registry.example.com/acme/pet/null 1.0.0 from registry.example.com: error getting download"


def pet(client: Client) -> str:
    """What the module says, once it is applied."""
    client.run("apply", "-auto-approve", "-input=false")
    return client.run("output", "-raw", "pet").output


def test_a_tar_and_a_zip_are_installed_and_a_second_init_needs_no_upstream(
    mirroring: Mirroring, new_client: NewClient, up: Upstream
) -> None:
    server = mirroring()
    for version in ("1.0.0", "1.1.0"):
        client = new_client(server).uses_module(version)
        client.run("init", "-input=false")
        assert pet(client) == version
    assert up.count("/archives/modules/*") == 2
    with up.stopped():
        again = new_client(server).uses_module("1.1.0")
        again.run("init", "-input=false")
        assert pet(again) == "1.1.0"


def test_a_module_of_a_forge_is_found_in_the_one_folder_at_the_top(mirroring: Mirroring, new_client: NewClient, up: Upstream) -> None:
    up.modules["acme/pet/null"].add("2.0.0", get=f"{up.url}/acme/terraform-null-pet/archive/v1.0.0.tar.gz//*?archive=tar.gz")
    server = mirroring()
    client = new_client(server).uses_module("2.0.0")
    client.run("init", "-input=false")
    assert pet(client) == "1.0.0"
    small = new_client(server).uses_module("2.0.0", part="//modules/small")
    small.run("init", "-input=false")
    assert pet(small) == "yes"
    assert up.count("/acme/terraform-null-pet/archive/*") == 1


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"tampered": True}, "is refused"),
        ({"cut": 100}, "broke the connection off"),
        ({"html": True}, "answered with a page for people in the place of a file"),
        ({"location": "https://elsewhere.example/x.tar.gz"}, "elsewhere.example: is not on the list of hosts that may be asked"),
        ({"status": 503}, "503"),
    ],
    ids=["tampered", "truncated", "html", "elsewhere", "unavailable"],
)
def test_what_is_no_archive_is_refused_with_the_reason_and_never_cached(
    mirroring: Mirroring, new_client: NewClient, up: Upstream, how: dict[str, object], why: str
) -> None:
    server = mirroring()
    with up.twisted("/archives/modules/*", **how):
        refused = new_client(server).uses_module().run("init", "-input=false", check=False)
    assert refused.code == 1
    assert REFUSED in refused.text
    assert "424 Failed Dependency resp:" in refused.text
    assert why in refused.text
    client = new_client(server).uses_module()
    client.run("init", "-input=false")
    assert pet(client) == "1.0.0"


def test_a_sealed_server_says_what_is_missing_and_asks_nobody(mirroring: Mirroring, new_client: NewClient, up: Upstream) -> None:
    server = mirroring()
    new_client(server).uses_module("1.1.0").run("init", "-input=false")
    server.set("MIRRORS__SEALED", "true")
    server.restart()
    up.forget()
    new_client(server).uses_module("1.1.0").run("init", "-input=false")
    refused = new_client(server).uses_module().run("init", "-input=false", check=False)
    assert refused.code == 1
    assert "this server is sealed (mirrors.sealed): bring it with `terrapod bundle import`" in refused.text
    assert up.connections == 0
