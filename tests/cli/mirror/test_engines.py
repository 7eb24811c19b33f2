"""Engines of the binary cache: remote runs that have them from there alone, and what is refused and never cached."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import NewWorkspace
from tests.support import real_provider, sandboxes, wire
from tests.support.cached_engines import mirrored, terrapod, without_engines
from tests.support.gate import Gate
from tests.support.server import Server
from tests.support.upstream import Upstream, other_publisher, upstream
from tests.support.waiting import until
from tests.support.wire import data, make_configuration, make_run, make_workspace, refused, run_at

HERE = "/".join(real_provider.HERE)

ONE = """
resource "terraform_data" "one" {
  input = "made"
}
"""


BAD_DAYS = {
    "1.8.1": "its SHA-256 is",
    "1.8.2": "cannot be had from its upstream now",
    "1.8.3": "did not sign these bytes",
    "1.8.4": "it was made with the key",
}
"""What is wrong with each version is done to it in `up`."""


@pytest.fixture(scope="module")
def up(terraform: Path) -> Iterator[Upstream]:
    with upstream(terraform=terraform) as up:
        releases = [up.engines["terraform"].add(version) for version in BAD_DAYS]
        up.twist("/terraform/1.8.1/*.zip", tampered=True)
        up.twist("/terraform/1.8.2/*.zip", cut=100)
        releases[2].bad_signature = True
        releases[3].signer = other_publisher()
        yield up


@pytest.fixture(scope="module")
def server(up: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with without_engines(mirrored(up, tmp_path_factory.mktemp("mirrored"))) as server:
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
    zips = f"/terraform/{up.terraform_version}/*.zip"
    first = new_workspace(ONE, on=server)
    applied = first.tf.run("apply", "-auto-approve")
    assert "Apply complete! Resources: 1 added" in applied.text
    assert f"Terraform v{up.terraform_version}" in applied.text
    assert first.run_of(applied)["attributes"]["terraform-version"] == up.terraform_version
    assert ("terraform", up.terraform_version) in cached(server)
    assert up.count(zips) == 1
    (program,) = kept(server)
    with up.stopped():
        second = new_workspace(ONE, on=server)
        assert "Apply complete!" in second.tf.run("apply", "-auto-approve").text
        program.write_bytes(b"#!/bin/sh\nexit 1\n")  # as a disk that lies, or somebody who may write there
        assert "No changes." in second.tf.run("plan").text
    assert kept(server) == [program]
    assert program.stat().st_size > 1000
    assert up.count(zips) == 1


@pytest.mark.parametrize("version", BAD_DAYS)
def test_what_is_not_what_its_publisher_signed_is_refused_and_never_cached(server: Server, version: str) -> None:
    before = kept(server)
    said = failed_run(server, version)
    assert "The binary cache has none: " in said
    assert BAD_DAYS[version] in said
    assert ("terraform", version) not in cached(server)
    assert kept(server) == before


def test_an_engine_that_a_plan_works_with_is_not_purged(new_workspace: NewWorkspace, server: Server, up: Upstream, gate: Gate) -> None:
    workspace = new_workspace(f'output "waited" {{\n  value = {gate.plan}\n}}\n', on=server)
    path = f"admin/binary-cache/terraform/{up.terraform_version}/{HERE}"
    with workspace.tf.background("plan", "-input=false") as plan:
        gate.wait()
        refused(server.api.delete(path), 409, says=f"{up.terraform_version} for .* is used by the run run-")
        gate.open()
        assert plan.end().code == 0
    assert server.api.delete(path).status_code == 204
    assert ("terraform", up.terraform_version) not in cached(server)


def test_an_operator_looks_after_engines_from_the_command_line(server: Server, up: Upstream) -> None:
    assert "tofu 1.10.0 for linux_arm64 is in the cache" in terrapod(
        server, "mirror", "engines", "warm", "tofu", "1.10", "--platform", "linux_arm64"
    )
    listed = terrapod(server, "mirror", "engines", "list")
    assert re.search(r"^tofu +1\.10\.0 +linux_arm64 +\d+ +\d{4}-\d\d-\d\d +[0-9a-f]{64}$", listed, re.MULTILINE)
    failed = terrapod(server, "mirror", "engines", "warm", "terraform", "1.8.1", "--platform", "linux_amd64", fails=True)
    assert "terraform 1.8.1 for linux_amd64: version 1.8.1 of terraform for linux_amd64 is refused: its SHA-256 is" in failed
    assert "there is no engine 'packer'" in terrapod(server, "mirror", "engines", "warm", "packer", "latest", fails=True)
    assert "removed tofu 1.10.0" in terrapod(server, "mirror", "engines", "purge", "tofu", "1.10.0", "--platform", "linux_arm64")
    assert "is not in the cache" in terrapod(
        server, "mirror", "engines", "purge", "tofu", "1.10.0", "--platform", "linux_arm64", fails=True
    )
    said = terrapod(server, "mirror", "keys", "accept", "terraform", "0" * 40, fails=True)
    assert "the settings of the plugin hashicorp say which keys sign terraform" in said
    assert terrapod(server, "mirror", "keys", "list").split() == ["SCOPE", "FINGERPRINT", "SINCE", "BY"]


def test_a_sandboxed_run_has_its_engine_from_the_cache_too(up: Upstream, tmp_path: Path, new_workspace: NewWorkspace) -> None:
    sandboxes.order()  # skips where there can be none
    server = mirrored(up, tmp_path / "sandboxing", {"RUNNER__LOCAL__ISOLATION": "sandbox"})
    with without_engines(server):
        workspace = new_workspace(ONE, on=server)
        assert "Apply complete!" in workspace.tf.run("apply", "-auto-approve").text
        (program,) = kept(server)
        assert (program.stat().st_uid, program.parent.stat().st_mode & 0o022) == (os.getuid(), 0)


def test_a_sealed_server_gives_what_it_has_and_asks_for_nothing(up: Upstream, tmp_path: Path, new_workspace: NewWorkspace) -> None:
    server = mirrored(up, tmp_path / "sealed")
    with without_engines(server):
        assert server.api.get(f"binary-cache/terraform/latest/{HERE}", follow_redirects=True).status_code == 200
        until(lambda: cached(server), "the zip to be kept")
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
