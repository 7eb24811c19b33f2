"""Bundles as people make and carry them: from a server with an upstream to a sealed one that has none, and through what goes wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.mirror.test_remote_runs import USES, outputs, run_of
from tests.support import real_provider, wire
from tests.support.cached_engines import engine_settings, without_engines
from tests.support.mirrored import REGISTRY, settings_of
from tests.support.server import Server
from tests.support.upstream import Upstream, publisher, upstream
from tests.support.waiting import until

SECONDS = 240
HERE = "_".join(real_provider.HERE)
PROVIDER = f"{REGISTRY}/acme/fake"


class Operator:
    """Somebody at a terminal of a server's machine."""

    def __init__(self, server: Server, settings: Mapping[str, str]) -> None:
        self.data = server.data
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(server.directory), "LANG": "C.UTF-8"}
        self.environment |= {f"TERRAPOD_{name}": value for name, value in settings.items()}

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "terrapod_core", "bundle", *arguments]
        if arguments[0] != "show":
            command += ["--data-dir", str(self.data)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, env=self.environment, text=True, **pipes)  # type: ignore[call-overload,no-any-return]

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.begin(*arguments)
        output, errors = process.communicate(timeout=SECONDS)
        return process.returncode, output + errors

    def good(self, *arguments: str) -> str:
        code, said = self.run(*arguments)
        assert code == 0, said
        return said


@pytest.fixture
def up(terraform: Path) -> Iterator[Upstream]:
    """The upstream of one test: its engine is a real one, and its provider can be started."""
    with upstream(terraform=terraform, running_provider=True) as up:
        yield up


@pytest.fixture
def connected(up: Upstream, tmp_path: Path) -> Iterator[tuple[Server, Operator]]:
    """The side that reaches the upstream."""
    settings = settings_of(up) | engine_settings(up, tmp_path / "connected")
    with closing(Server(tmp_path / "connected", settings=settings)) as server:
        yield server.start(), Operator(server, settings)


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[tuple[Server, Operator]]:
    """The far side: it has no engine, and knows whose keys count and the registry's name, and nothing of where any of it could be had."""
    directory = tmp_path / "sealed"
    directory.mkdir()
    key = directory / "publisher.asc"
    key.write_text(publisher().armor)
    settings = {"MIRRORS__SEALED": "true", "MIRRORS__ENGINES": "true"}
    settings |= {"MIRROR__REGISTRY__HOSTS": REGISTRY, "MIRROR__HASHICORP__SIGNED_BY": str(key)}
    with without_engines(Server(directory, settings=settings)) as server:
        yield server, Operator(server, settings)


def locked(server: Server, version: str = "1.0.0") -> str:
    """The name of a workspace whose configuration calls the module, and locks the provider."""
    made = wire.make_workspace(server.api)
    lock = f'provider "{PROVIDER}" {{\n  version = "{version}"\n}}\n'
    configuration = wire.make_configuration(server.api, made["id"], {"main.tf": USES, ".terraform.lock.hcl": lock})
    assert configuration
    return str(made["attributes"]["name"])


def key_of(said: str) -> str:
    """The fingerprint that an export tells."""
    found = re.search(r"signed with the key ([0-9a-f]{64})", said)
    assert found is not None, said
    return found[1]


def test_a_bundle_makes_a_remote_run_succeed_on_a_sealed_server_without_an_upstream(
    connected: tuple[Server, Operator], sealed: tuple[Server, Operator], up: Upstream, tmp_path: Path
) -> None:
    (here, operator), (there, other) = connected, sealed
    name = locked(here)
    file = str(tmp_path / "first.bundle")
    engine = f"terraform@{up.terraform_version}"
    said = operator.good("export", file, "--workspace", name, "--engine", engine, "--platform", HERE)
    assert "3 releases with 3 packages" in said
    up.stop()
    try:
        code, refused = other.run("import", file)
        assert (code, "--trust " + key_of(said) in refused) == (1, True)
        code, refused = other.run("import", file, "--trust", key_of(said))
        assert (code, f"{REGISTRY}/acme: " in refused, "terraform: " in refused) == (1, True, False), refused
        assert "3 releases loaded" in other.good("import", file, "--accept-keys")
        assert outputs(there, run_of(there)) == {"id": "thing-one", "pet": "1.0.0"}
        assert "0 releases loaded, 3 here before" in other.good("import", file)
        assert f"terraform {up.terraform_version}  {HERE}" in other.good("show", file)
    finally:
        up.start()


@pytest.mark.long
def test_an_export_that_is_killed_goes_on_and_an_import_that_is_killed_leaves_whole_releases(
    connected: tuple[Server, Operator], sealed: tuple[Server, Operator], up: Upstream, tmp_path: Path
) -> None:
    (_, operator), (there, other) = connected, sealed
    sizes = {f"3.{number}.0": 40 << 20 for number in range(4)}
    big = up.add_provider("acme/big")
    for version, size in sizes.items():
        big.add(version, size=size)
    wanted = [argument for version in sizes for argument in ("--provider", f"{REGISTRY}/acme/big@{version}")]
    file = tmp_path / "big.bundle"
    killed(operator.begin("export", str(file), *wanted), lambda: _size(tmp_path / "big.bundle.partial") > 60 << 20)
    assert not file.exists()
    fetched = up.count("*.zip")
    said = operator.good("export", str(file), *wanted)
    assert up.count("*.zip") == fetched
    arguments = ("import", str(file), "--trust", key_of(said), "--accept-keys")
    killed(other.begin(*arguments), lambda: 0 < _loaded(there) < len(sizes))
    before = _loaded(there)
    assert 0 < before < len(sizes)
    assert "here before" in other.good(*arguments)
    assert _loaded(there) == len(sizes)


def test_a_missing_package_is_named_and_a_difference_needs_its_base(
    connected: tuple[Server, Operator], sealed: tuple[Server, Operator], up: Upstream, tmp_path: Path
) -> None:
    (_, operator), (_, other) = connected, sealed
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    code, said = operator.run("export", first, "--provider", f"{PROVIDER}@9.9.9")
    assert (code, "the bundle was not written" in said, "9.9.9" in said) == (1, True, True)
    key = key_of(operator.good("export", first, "--provider", f"{PROVIDER}@1.0.0"))
    operator.good("export", second, "--provider", f"{PROVIDER}@1.0.0", "--provider", f"{PROVIDER}@1.1.0", "--since", first)
    code, said = other.run("import", second, "--trust", key, "--accept-keys")
    assert (code, "Import that one first" in said) == (1, True), said
    other.good("import", first, "--accept-keys")
    assert "1 releases loaded, 1 here before" in other.good("import", second)
    code, said = other.run("export", str(tmp_path / "third"), "--provider", f"{PROVIDER}@2.0.0")
    assert (code, "this server is sealed" in said) == (1, True), said


def killed(process: subprocess.Popen[str], when: Callable[[], bool]) -> None:
    """Kill a command, with nobody asked, once it has come so far."""
    until(lambda: when() or process.poll() is not None, "the command to come so far", seconds=SECONDS)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _loaded(server: Server) -> int:
    """Versions of the large provider that are here, each of them whole."""
    rows = wire.data(server.api.get("admin/provider-cache", params={"q": "acme/big", "page[size]": "100"}))
    versions = {each["attributes"]["version"] for each in rows}
    here = {each["attributes"]["version"] for each in rows if each["attributes"]["cached"]}
    assert versions == here
    return len(here)
