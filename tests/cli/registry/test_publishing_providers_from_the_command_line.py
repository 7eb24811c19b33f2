"""`terrapod registry publish provider`: from a directory of release files to what terraform installs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support import wire
from tests.support.providers import add_key, announce, make_provider, make_version, path_of, put
from tests.support.publishing import publish, run_script
from tests.support.real_provider import HERE
from tests.support.releases import Publisher, Release
from tests.support.server import Server
from tests.support.tf import Terraform, dotted
from tests.support.wire import fresh

ELSEWHERE = ("plan9", "arm")


@pytest.fixture
def release() -> Release:
    """A version of a provider of the test's own, for this machine and another."""
    return Release.made(fresh("provider"), "1.0.0", HERE, ELSEWHERE)


def laid_out(directory: Path, release: Release, publisher: Publisher | None = None) -> Path:
    """The files of a release as GoReleaser leaves them; signed when there is a publisher."""
    directory.mkdir(exist_ok=True)
    for platform, content in release.zips.items():
        (directory / release.name(platform)).write_bytes(content)
    stem = f"terraform-provider-{release.provider}_{release.version}"
    manifest = {"version": 1, "metadata": {"protocol_versions": ["6.0"]}}
    (directory / f"{stem}_manifest.json").write_text(json.dumps(manifest))
    if publisher is not None:
        (directory / f"{stem}_SHA256SUMS").write_bytes(release.sums)
        (directory / f"{stem}_SHA256SUMS.sig").write_bytes(publisher.sign(release.sums))
    return directory


def test_a_directory_of_zips_is_signed_by_the_server_and_installed_as_it_was_told(tf: Terraform, release: Release, tmp_path: Path) -> None:
    done = publish(tf.server, "provider", laid_out(tmp_path / "dist", release))
    assert done.code == 0, done.errors
    name = f"default/{release.provider}"
    assert done.errors == f"made the provider {name}\npublished {name} 1.0.0, signed by the server\n"
    assert done.output == (
        "terraform {\n  required_providers {\n"
        f'    {release.provider} = {{\n      source  = "{tf.server.host}/{name}"\n      version = "1.0.0"\n    }}\n  }}\n}}\n'
    )
    shown = wire.attributes(tf.server.api.get(f"{path_of(release.provider)}/versions/1.0.0"))
    assert (shown["protocols"], shown["status"]) == (["6.0"], "published")
    tf.write(done.output.replace(tf.server.host, dotted(tf.server)))
    assert f"Installed {dotted(tf.server)}/{name} v1.0.0" in tf.run("init", "-input=false").text


def test_a_signed_release_is_published_with_the_key_that_the_registry_knows(server: Server, release: Release, tmp_path: Path) -> None:
    publisher = Publisher()
    make_provider(server.api, release.provider)
    wire.data(add_key(server.api, publisher, release.provider), 201)
    directory = laid_out(tmp_path / "dist", release, publisher)
    done = publish(server, "provider", directory, "--key-id", publisher.key_id)
    assert done.code == 0, done.errors
    assert done.errors == f"published default/{release.provider} 1.0.0, signed by its publisher\n"
    again = publish(server, "provider", directory, "--key-id", publisher.key_id, "--quiet")
    assert (again.code, again.output, again.errors) == (0, done.output, "")
    (directory / release.name(HERE)).write_bytes(b"another")
    other = publish(server, "provider", directory, "--key-id", publisher.key_id)
    assert other.code == 1
    assert "version 1.0.0 is there already" in other.errors


def test_a_version_that_was_begun_goes_on(server: Server, release: Release, tmp_path: Path) -> None:
    make_provider(server.api, release.provider)
    make_version(server.api, release.provider, "1.0.0", protocols=["6.0"])
    put(announce(server.api, release, HERE), "provider-binary-upload", release.zips[HERE])
    announce(server.api, release, ELSEWHERE)
    done = publish(server, "provider", laid_out(tmp_path / "dist", release))
    assert done.code == 0, done.errors


def test_a_zip_that_is_none_is_refused_in_the_servers_words(server: Server, release: Release, tmp_path: Path) -> None:
    directory = laid_out(tmp_path / "dist", release)
    (directory / release.name(HERE)).write_bytes(b"no zip")
    done = publish(server, "provider", directory)
    assert done.code == 1
    assert "zip" in done.errors
    assert "Traceback" not in done.errors


def test_a_directory_that_is_no_release_is_said_to_be_none(server: Server, release: Release, tmp_path: Path) -> None:
    empty = publish(server, "provider", tmp_path)
    assert empty.code == 2
    assert "holds no zip called terraform-provider-NAME_VERSION_OS_ARCH.zip" in empty.errors
    directory = laid_out(tmp_path / "dist", release)
    laid_out(directory, Release.made(release.provider, "1.1.0"))
    several = publish(server, "provider", directory)
    assert several.code == 2
    assert "holds several releases" in several.errors
    (directory / f"terraform-provider-{release.provider}_1.0.0_SHA256SUMS").write_bytes(release.sums)
    half = publish(server, "provider", directory, "--version", "1.0.0")
    assert half.code == 2
    assert "_SHA256SUMS.sig is missing" in half.errors
    assert publish(server, "provider", directory, "--version", "1.1.0").code == 0


def test_which_key_signed_has_to_be_said_where_there_are_several(server: Server, release: Release, tmp_path: Path) -> None:
    make_provider(server.api, release.provider)
    for publisher in (first := Publisher(), Publisher()):
        wire.data(add_key(server.api, publisher, release.provider), 201)
    directory = laid_out(tmp_path / "dist", release, first)
    unsaid = publish(server, "provider", directory)
    assert unsaid.code == 2
    assert "say which key signed the release, with --key-id" in unsaid.errors
    assert first.key_id in unsaid.errors


@pytest.mark.skipif(not all(map(shutil.which, ("curl", "jq"))), reason="needs curl and jq")
def test_the_guides_script_publishes_what_the_server_signs_without_the_command(server: Server, release: Release, tmp_path: Path) -> None:
    make_provider(server.api, release.provider)
    laid_out(tmp_path / "dist", release)
    done = run_script(1, server, tmp_path, "1.0.0", inventory=release.provider)
    assert done.code == 0, done.errors
    assert wire.attributes(server.api.get(f"{path_of(release.provider)}/versions/1.0.0"))["status"] == "published"
