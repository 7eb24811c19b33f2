"""Engines of the binary cache: remote runs that have them from there alone, and what is refused and never cached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import NewWorkspace
from tests.support import real_provider, wire
from tests.support.mirrored import mirrored, without_engines
from tests.support.server import Server
from tests.support.upstream import Upstream, other_publisher, upstream
from tests.support.wire import data, make_configuration, make_run, make_workspace, run_at

HERE = "/".join(real_provider.HERE)
ZIPS = "/terraform/*.zip"

ONE = """
resource "terraform_data" "one" {
  input = "made"
}
"""


@pytest.fixture
def up(terraform: Path) -> Iterator[Upstream]:
    with upstream(terraform=terraform) as up:
        yield up


@pytest.fixture
def server(up: Upstream, tmp_path: Path) -> Iterator[Server]:
    with without_engines(mirrored(up, tmp_path / "mirrored")) as server:
        yield server


def cached(server: Server) -> list[tuple[str, str]]:
    """Tool and version of what the server says it has."""
    return [(each["attributes"]["tool"], each["attributes"]["version"]) for each in data(server.api.get("admin/binary-cache"))]


def kept(server: Server) -> list[Path]:
    """The programs that the runner keeps."""
    return sorted((server.data / "engine-cache").glob("*/terraform"))


def failed_run(server: Server, version: str) -> str:
    """Why a run that wants this version could not begin."""
    workspace = make_workspace(server.api, terraform_version=version)
    run = make_run(server.api, workspace["id"], make_configuration(server.api, workspace["id"], {"main.tf": ONE}))
    run_at(server.api, run, "errored")
    return wire.log_of(server.api, run)


def test_a_run_has_its_engine_from_the_cache_alone_and_later_ones_need_no_upstream(
    new_workspace: NewWorkspace, server: Server, up: Upstream
) -> None:
    first = new_workspace(ONE, on=server)
    applied = first.tf.run("apply", "-auto-approve")
    assert "Apply complete! Resources: 1 added" in applied.text
    assert f"Terraform v{up.terraform_version}" in applied.text
    assert first.run_of(applied)["attributes"]["terraform-version"] == up.terraform_version
    assert cached(server) == [("terraform", up.terraform_version)]
    assert up.count(ZIPS) == 1
    (program,) = kept(server)
    with up.stopped():
        second = new_workspace(ONE, on=server)
        assert "Apply complete!" in second.tf.run("apply", "-auto-approve").text
        program.write_bytes(b"#!/bin/sh\nexit 1\n")  # as a disk that lies, or somebody who may write there
        assert "No changes." in second.tf.run("plan").text
    assert kept(server) == [program]
    assert program.stat().st_size > 1000
    assert up.count(ZIPS) == 1


@pytest.mark.parametrize("day", ["tampered", "cut", "signature", "key"])
def test_what_is_not_what_its_publisher_signed_is_refused_and_never_cached(server: Server, up: Upstream, day: str) -> None:
    release = up.engines["terraform"].versions["1.9.8"]
    if day == "tampered":
        up.twist(ZIPS, tampered=True)
    elif day == "cut":
        up.twist(ZIPS, cut=100)
    elif day == "signature":
        release.bad_signature = True
    else:
        release.signer = other_publisher()
    said = failed_run(server, "1.9.8")
    assert "The binary cache has none: " in said
    why = {"tampered": "its SHA-256 is", "cut": "cannot be had from its upstream now", "signature": "did not sign these bytes"}
    assert why.get(day, "it was made with the key") in said
    assert cached(server) == []
    assert kept(server) == []
    assert not list(server.data.rglob("mirrored/*.*"))
    up.heal()
    release.bad_signature, release.signer = False, up.engines["terraform"].signer
    answer = server.api.get(f"binary-cache/terraform/1.9.8/{HERE}", follow_redirects=True)
    assert answer.status_code == 200
    assert up.count(ZIPS) >= 1


def test_a_sealed_server_gives_what_it_has_and_asks_for_nothing(up: Upstream, tmp_path: Path, new_workspace: NewWorkspace) -> None:
    server = mirrored(up, tmp_path / "sealed")
    with without_engines(server):
        assert server.api.get(f"binary-cache/terraform/latest/{HERE}", follow_redirects=True).status_code == 200
        server.stop()
        up.forget()
        server.set("MIRRORS__SEALED", "true")
        with without_engines(server):
            workspace = new_workspace(ONE, on=server)
            assert "Apply complete!" in workspace.tf.run("apply", "-auto-approve").text
            said = failed_run(server, "1.9.8")
            assert "is sealed (mirrors.sealed)" in said
            assert "terrapod bundle import" in said
    assert up.asked == []
