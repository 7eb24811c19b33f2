"""What a runner reads of what `init` wrote: modules and providers of the server's own registry, whatever else stands there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from terrapod_core.runner import uses, workdir

HOSTS = frozenset({"tfe.example.com", "localhost:8080"})
LOCK = """# This file is maintained automatically by "terraform init".
# Manual edits may be lost in future updates.

provider "registry.terraform.io/hashicorp/null" {
  version     = "3.2.1"
  constraints = "~> 3.0"
  hashes = [
    "h1:abc=",
  ]
}

provider "tfe.example.com/default/fake" {
  version = "1.4.0"
  hashes = [
    "h1:abc=",
    "zh:0123",
  ]
}
"""


def told(place: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]] | None:
    """Modules and providers as pairs of source and version."""
    found: Any = uses.read(place, HOSTS)
    if found is None:
        return None
    modules, providers = ([(each["source"], each["version"]) for each in found[kind]] for kind in ("modules", "providers"))
    return modules, providers


def write(place: Path, modules: Any = None, lock: str | bytes | None = None) -> Path:
    """Write them as an engine would."""
    if modules is not None:
        path = place / uses.MODULES
        path.parent.mkdir(parents=True)
        path.write_text(modules if isinstance(modules, str) else json.dumps({"Modules": modules}))
    if lock is not None:
        (place / workdir.LOCK_FILE).write_bytes(lock if isinstance(lock, bytes) else lock.encode())
    return place


def call(source: str, version: str | None = None, key: str = "it") -> dict[str, str]:
    """An entry of `modules.json`."""
    return {"Key": key, "Source": source, "Dir": f".terraform/modules/{key}"} | ({"Version": version} if version is not None else {})


def test_a_configuration_without_modules_and_providers_uses_nothing(tmp_path: Path) -> None:
    assert told(tmp_path) == ([], [])


def test_modules_of_the_server_are_told_each_once_and_nested_ones_too(tmp_path: Path) -> None:
    modules = [
        {"Key": "", "Source": "", "Dir": "."},
        call("tfe.example.com/default/vpc/aws", "1.2.0"),
        call("tfe.example.com/default/vpc/aws", "1.2.0", "again"),
        call("TFE.example.com:443/default/vpc/aws//modules/subnet", "1.0.0", "older"),
        call("localhost:8080/default/inner/aws", "0.3.1", "it.inner"),
        call("registry.terraform.io/terraform-aws-modules/vpc/aws", "5.0.0", "public"),
        call("./modules/local", key="local"),
        call("git::https://tfe.example.com/default/vpc/aws.git", key="git"),
        call("tfe.example.com/default/vpc/aws", key="no-version"),
    ]
    assert told(write(tmp_path, modules)) == (
        [
            ("TFE.example.com:443/default/vpc/aws", "1.0.0"),
            ("localhost:8080/default/inner/aws", "0.3.1"),
            ("tfe.example.com/default/vpc/aws", "1.2.0"),
        ],
        [],
    )


def test_providers_of_the_server_are_told_from_the_lock_file(tmp_path: Path) -> None:
    assert told(write(tmp_path, lock=LOCK)) == ([], [("tfe.example.com/default/fake", "1.4.0")])


@pytest.mark.parametrize(
    "modules",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"Modules": 5}',
        '{"Modules": [5]}',
        '{"Modules": {"a": 1}}',
        "[" * 100_000,
        "\ud800".encode("utf-8", "surrogatepass"),
    ],
    ids=range(10),
)
def test_modules_that_cannot_be_read_are_not_told_as_none(tmp_path: Path, modules: str | bytes) -> None:
    path = tmp_path / uses.MODULES
    path.parent.mkdir(parents=True)
    path.write_bytes(modules if isinstance(modules, bytes) else modules.encode())
    assert told(tmp_path) is None


@pytest.mark.parametrize(
    "lock",
    [
        b"\xff\xfe",
        b'provider "tfe.example.com/default/fake" {\n' * 300_000,
    ],
    ids=["no text", "too large"],
)
def test_a_lock_file_that_cannot_be_read_is_not_told_as_none(tmp_path: Path, lock: bytes) -> None:
    assert told(write(tmp_path, lock=lock)) is None


def test_odd_entries_are_passed_over(tmp_path: Path) -> None:
    odd = [
        call("tfe.example.com/default/vpc/aws", "1.0.0\u0000"),
        call("tfe.example.com/default/\u202evpc/aws", "1.0.0"),
        call("tfe.example.com/" + "x" * 600, "1.0.0"),
        call("tfe.example.com/default/vpc/aws", "1" * 200),
        {"Key": "x", "Source": ["tfe.example.com"], "Version": "1.0.0"},
        {"Key": "x", "Source": "tfe.example.com/default/vpc/aws", "Version": 1},
        {},
    ]
    lock = 'provider "tfe.example.com/default/fake" {\n}\n  version = "1.0.0"\nprovider x {\n  version = "2"\n}\nversion = "3"\n'
    assert told(write(tmp_path, odd, lock)) == ([], [])


def test_more_than_a_server_takes_is_not_told_in_part(tmp_path: Path) -> None:
    assert told(write(tmp_path, [call("tfe.example.com/default/vpc/aws", f"1.0.{each}") for each in range(uses.MOST + 1)])) is None


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "link above"])
def test_what_is_no_file_is_not_followed(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    content = json.dumps({"Modules": [call("tfe.example.com/default/vpc/aws", "1.0.0")]})
    (secret / "modules.json").write_text(content)
    place = tmp_path / "place"
    path = place / uses.MODULES
    (path if kind == "directory" else path.parent.parent if kind == "link above" else path.parent).mkdir(parents=True)
    if kind == "link":
        path.symlink_to(secret / "modules.json")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link above":
        path.parent.symlink_to(secret)
    assert told(place) is None
