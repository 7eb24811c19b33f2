"""Private providers as terraform takes them: installed, verified, started, locked, and refused with a reason."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import NewWorkspace
from tests.support import wire
from tests.support.providers import add_key, make_provider, path_of, publish_signed, publish_unsigned
from tests.support.real_provider import ELSEWHERE, HERE, configuration, release
from tests.support.releases import Publisher, Release
from tests.support.server import Server
from tests.support.tf import Done, Terraform
from tests.support.wire import document, fresh, make_person

VERIFIED = r"Installed \S+/default/{name} v{version} \(self-signed, key ID ([0-9A-F]+)\)"


def source(server: Server, name: str) -> str:
    """What a configuration names the provider by."""
    return f"{server.host}/default/{name}"


def new_provider(server: Server, publisher: Publisher | None = None) -> str:
    """The name of a provider of the test's own, with the publisher's key."""
    name = fresh("provider")
    make_provider(server.api, name)
    if publisher is not None:
        wire.data(add_key(server.api, publisher, name), 201)
    return name


def init(tf: Terraform, name: str, version: str | None = None, *more: str, check: bool = True) -> Done:
    """Initialise the directory for what uses the provider."""
    tf.write(configuration(source(tf.server, name), version))
    return tf.run("init", "-input=false", *more, check=check)


def key_of(done: Done, name: str, version: str) -> str:
    """The id of the key that terraform verified an installation with."""
    found = re.search(VERIFIED.format(name=name, version=re.escape(version)), done.text)
    assert found is not None, done.text
    return found[1]


def test_a_remote_run_installs_verifies_and_applies_what_its_publisher_signed(new_workspace: NewWorkspace, server: Server) -> None:
    publisher = Publisher()
    name = new_provider(server, publisher)
    publish_signed(server.api, release(name, "1.0.0"), publisher)
    workspace = new_workspace()
    done = init(workspace.tf, name, "~> 1.0")
    assert key_of(done, name, "1.0.0") == publisher.key_id
    applied = workspace.tf.run("apply", "-auto-approve")
    assert 'id = "thing-one"' in applied.text
    run = workspace.run_of(applied)
    assert run["attributes"]["status"] == "applied"
    assert workspace.state()["outputs"]["id"]["value"] == "thing-one"
    destroyed = workspace.tf.run("destroy", "-auto-approve")
    assert "1 destroyed" in destroyed.text


def test_a_local_run_takes_what_the_server_signed(tf: Terraform, server: Server) -> None:
    name = new_provider(server)
    shown = publish_unsigned(server.api, release(name, "0.1.0"))
    assert shown["attributes"]["source"] == "terrapod"
    assert key_of(init(tf, name), name, "0.1.0") == shown["attributes"]["key-id"]
    assert 'id = "thing-one"' in tf.run("apply", "-auto-approve", "-input=false").text


def test_a_newer_terraform_takes_it_too(terraform_115: Path, tmp_path: Path, server: Server) -> None:
    publisher = Publisher()
    name = new_provider(server, publisher)
    publish_signed(server.api, release(name, "1.0.0"), publisher)
    newer = Terraform(terraform_115, tmp_path / "newer", server)
    assert key_of(init(newer, name), name, "1.0.0") == publisher.key_id
    assert 'id = "thing-one"' in newer.run("apply", "-auto-approve", "-input=false").text


def test_who_may_not_read_a_provider_is_told_that_there_is_none(terraform: Path, tmp_path: Path, server: Server) -> None:
    name = new_provider(server)
    publish_unsigned(server.api, release(name, "1.0.0"))
    with closing(make_person(server, "stranger").api) as stranger:
        token = stranger.headers["Authorization"].removeprefix("Bearer ")
    refused = init(Terraform(terraform, tmp_path / "stranger", server, token=token), name, check=False)
    assert (refused.code, "does not have a provider named" in refused.text) == (1, True)


def test_the_newest_release_is_taken_and_a_constraint_chooses(tf: Terraform, server: Server) -> None:
    name = new_provider(server)
    for version in ("1.2.0", "1.10.0", "2.0.0-beta.1"):
        publish_unsigned(server.api, release(name, version))
    assert key_of(init(tf, name), name, "1.10.0")
    assert key_of(init(tf, name, "2.0.0-beta.1", "-upgrade"), name, "2.0.0-beta.1")
    refused = init(tf, name, "~> 3.0", "-upgrade", check=False)
    assert (refused.code, "no available releases match the given constraints" in refused.text) == (1, True)


def test_a_platform_that_is_not_there_is_explained(tf: Terraform, server: Server) -> None:
    name = new_provider(server)
    publish_unsigned(server.api, release(name, "1.0.0", ELSEWHERE))
    refused = init(tf, name, check=False)
    assert refused.code == 1
    assert f"v1.0.0 does not have a package available for your current platform, {'_'.join(HERE)}" in refused.text


def test_a_lock_file_made_on_one_platform_is_valid_on_another(tf: Terraform, server: Server) -> None:
    publisher = Publisher()
    name = new_provider(server, publisher)
    publish_signed(server.api, release(name, "1.0.0", HERE, ELSEWHERE), publisher)
    tf.write(configuration(source(server, name), "1.0.0"))
    tf.run("providers", "lock", f"-platform={'_'.join(ELSEWHERE)}")
    locked = (tf.directory / ".terraform.lock.hcl").read_text()
    platforms = {
        each["attributes"]["os"]: each["attributes"] for each in wire.data(server.api.get(f"{path_of(name)}/versions/1.0.0/platforms"))
    }
    assert set(re.findall(r'"(h1:[^"]+)"', locked)) == {platforms[ELSEWHERE[0]]["h1"]}
    assert set(re.findall(r'"zh:([^"]+)"', locked)) == {each["shasum"] for each in platforms.values()}
    done = tf.run("init", "-input=false", "-lockfile=readonly")
    assert key_of(done, name, "1.0.0") == publisher.key_id
    assert (tf.directory / ".terraform.lock.hcl").read_text() == locked
    tf.run("init", "-input=false")  # notes what it found here, too
    both = set(re.findall(r'"(h1:[^"]+)"', (tf.directory / ".terraform.lock.hcl").read_text()))
    assert both == {each["h1"] for each in platforms.values()}
    assert 'id = "thing-one"' in tf.run("apply", "-auto-approve", "-input=false").text


def test_who_installs_is_warned_of_deprecated_versions_and_told_why_revoked_ones_are_gone(tf: Terraform, server: Server) -> None:
    name = new_provider(server)
    for version in ("1.0.0", "1.1.0"):
        publish_unsigned(server.api, release(name, version))

    def change(version: str, **said: object) -> None:
        sent = document("registry-provider-versions", **said)
        wire.data(server.api.patch(f"{path_of(name)}/versions/{version}", json=sent))

    change("1.0.0", deprecation={"reason": "use 1.1"})
    change("1.1.0", revocation={"reason": "it deletes everything"})
    done = init(tf, name)
    assert key_of(done, name, "1.0.0")
    assert f"default/{name} 1.0.0 is deprecated since" in done.text
    assert "it deletes everything" in done.text
    refused = init(tf, name, "1.1.0", "-upgrade", check=False)
    assert (refused.code, "no available releases match" in refused.text) == (1, True)
    assert re.search(rf"default/{name} 1\.1\.0 was revoked since \d{{4}}-\d\d-\d\d: it deletes everything", refused.text)


@pytest.fixture
def own(new_server: Callable[..., Server], terraform: Path, tmp_path: Path) -> Terraform:
    """A directory whose terraform knows a server of the test's own, on SQLite and files."""
    return Terraform(terraform, tmp_path / "work", new_server().start())


def test_a_zip_that_changed_in_the_store_is_refused(own: Terraform) -> None:
    publisher = Publisher()
    name = new_provider(own.server, publisher)
    publish_signed(own.server.api, release(name, "1.0.0"), publisher)
    (stored,) = (path for path in (own.server.data / "objects/archives/providers").rglob("*") if path.is_file())
    tampered = Release.made(name, "1.0.0", HERE).zips[HERE]
    stored.write_bytes(tampered.ljust(stored.stat().st_size, b"\0")[: stored.stat().st_size])
    refused = init(own, name, check=False)
    assert refused.code == 1
    assert "archive has incorrect checksum" in refused.text
    assert not (own.directory / ".terraform/providers").exists() or not any((own.directory / ".terraform/providers").rglob("terraform-*"))


def test_a_signature_that_is_not_the_keys_is_refused(own: Terraform) -> None:
    publisher = Publisher()
    name = new_provider(own.server, publisher)
    version = publish_signed(own.server.api, release(name, "1.0.0"), publisher)
    wrong = Publisher("Mallory").sign(release(name, "1.0.0").sums)
    with sqlite3.connect(own.server.data / "terrapod.db") as database:
        changed = database.execute("UPDATE registry_provider_versions SET signature = ? WHERE id = ?", (wrong, version["id"]))
        assert changed.rowcount == 1
    database.close()
    refused = init(own, name, check=False)
    assert refused.code == 1
    assert "authentication signature from unknown issuer" in refused.text
