"""What terraform asks of the registry: the documents of versions beside the smallest request, and large providers beside nginx."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import httpx

from terrapod_core.packages.versions import checked
from tests.bench.parts.states import peak_of, rate_text, upload
from tests.bench.tools.load import Load, measure as load
from tests.bench.tools.report import Report, mebibytes
from tests.bench.tools.served import HELLO
from tests.bench.tools.servers import BenchServer, serving
from tests.support import wire
from tests.support.providers import announce, make_provider, make_version, publish_unsigned
from tests.support.releases import LINUX, Release, zipped
from tests.support.server import free_port
from tests.support.waiting import until

VERSIONS = 500
SHARE, ONE, FOUR = 0.8, 0.6, 0.5
MEMORY = 48 * 2**20
PROTOCOL = "/api/v2/registry"


def documents(report: Report, directory: Path, *, rounds: int, seconds: float) -> None:
    """The lists of versions of a module and of a provider that have many, at 16 connections."""
    report.section(f"a list of {VERSIONS} versions, 16 connections (median of {rounds})")
    with serving(directory / "documents") as server:
        wire.make_module(server.api, "net")
        wire.publish_module(server.api, "net", "1.0.0", {"main.tf": 'variable "name" {}\n'})
        make_provider(server.api, "thing")
        publish_unsigned(server.api, Release.made("thing", "1.0.0"))
        server.stop()
        _multiply(server.data / "terrapod.db")
        server.start()
        paths = {"module": f"{PROTOCOL}/modules/default/net/aws/versions", "provider": f"{PROTOCOL}/providers/default/thing/versions"}
        for kind, path in paths.items():
            answer = httpx.get(server.url + path, headers=bearer(server), trust_env=False)
            assert answer.text.count('"version"') == VERSIONS, answer.text[:1000]
            beside_hello(report, server, kind, path, rounds=rounds, seconds=seconds)


def beside_hello(report: Report, server: BenchServer, name: str, path: str, *, rounds: int, seconds: float) -> None:
    """One document, asked for over 16 connections, in turns with the smallest request."""
    answer = httpx.get(server.url + path, headers=bearer(server), trust_env=False)
    assert answer.status_code == 200, answer.text[:1000]
    hello, listed = [], []
    for number in range(rounds):
        report.doing(f"{name}, round {number + 1} of {rounds}")
        hello.append(asked(server, HELLO, seconds))
        listed.append(asked(server, path, seconds))
    share = median(one.rate / other.rate for one, other in zip(listed, hello, strict=True))
    rate, beside = (median(each.rate for each in loads) for loads in (listed, hello))
    figure = f"{rate:.0f}/s, {len(answer.content) / 1024:.0f} KiB"
    report.add(name, figure, f"hello {beside:.0f}/s: {share:.2f} of it", aim=f"at least {SHARE} of hello", met=share >= SHARE)


def archives(report: Report, directory: Path, size: int) -> None:
    """A zip of a provider: up, with the server's memory, and down, beside nginx and the same file."""
    report.section(f"a provider of {mebibytes(size)}; memory is the process's peak above idle")
    with serving(directory / "archives") as server:
        make_provider(server.api, "thing")
        publish_unsigned(server.api, Release.made("thing", "0.1.0"))  # the server's key, and what is loaded with the first
        release = Release("thing", "1.0.0", {LINUX: zip_of(size)})
        path = directory / "provider.zip"
        path.write_bytes(release.zips[LINUX])
        make_version(server.api, "thing", "1.0.0")
        link = announce(server.api, release, LINUX)["links"]["provider-binary-upload"]
        report.doing("up")
        took, peak = peak_of(server.resident(), partial(upload, link, path))
        report.add("up", f"{mebibytes(peak)}, {rate_text(path.stat().st_size / took)}", aim="under 48 MiB above idle", met=peak < MEMORY)
        wire.data(server.api.post("organizations/default/registry-providers/private/default/thing/versions/1.0.0/actions/publish"))
        told = httpx.get(
            f"{server.url}{PROTOCOL}/providers/default/thing/1.0.0/download/linux/amd64", headers=bearer(server), trust_env=False
        )
        url = str(httpx.URL(server.url).join(told.json()["download_url"]))
        with nginx_beside(path) as beside:
            if beside is None:
                report.add("down", "nginx is not installed here")
                return
            for clients, aim in ((1, ONE), (4, FOUR)):
                down(report, url, beside, path.stat().st_size, clients, aim)


def down(report: Report, url: str, beside: str, size: int, clients: int, aim: float) -> None:
    shares, rates, theirs = [], [], []
    for number in range(5):
        report.doing(f"down, {clients} at once, round {number + 1} of 5")
        ours, nginx = (size * clients / _together(each, clients) for each in (url, beside))
        shares.append(ours / nginx)
        rates.append(ours)
        theirs.append(nginx)
    share = median(shares)
    name = f"down, {clients} client{'s' if clients > 1 else ''}"
    said = f"nginx {rate_text(median(theirs))}: {share:.2f} of it"
    report.add(name, rate_text(median(rates)), said, aim=f"at least {aim} of nginx", met=share >= aim)


def _together(url: str, clients: int) -> float:
    """Seconds until all have it; curl, so that what reads costs little."""
    command = ["curl", "--silent", "--fail", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{time_total}", url]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(clients)]
    return max(float(each.communicate()[0]) for each in started)


@contextmanager
def nginx_beside(path: Path) -> Iterator[str | None]:
    """Where nginx serves the file; `None` where there is no nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    port, root = free_port(), path.parent / "nginx"
    root.mkdir()
    os.link(path, root / path.name)
    settings = root / "nginx.conf"
    settings.write_text(
        f"daemon off; pid {root}/pid; error_log {root}/error.log; user root; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
    )
    with subprocess.Popen([program, "-c", str(settings), "-p", str(root)]) as process:
        try:
            url = f"http://127.0.0.1:{port}/{path.name}"
            until(lambda: _is_there(url), "nginx to serve")
            yield url
        finally:
            process.terminate()


def _is_there(url: str) -> bool:
    try:
        return httpx.head(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def zip_of(size: int) -> bytes:
    """A provider of that size: bytes that nothing makes smaller."""
    return zipped({"terraform-provider-thing_v1.0.0": os.urandom(size)})


def asked(server: BenchServer, path: str, seconds: float) -> Load:
    found = load(server.url.replace("localhost", "127.0.0.1") + path, connections=16, seconds=seconds, headers=bearer(server))
    assert not found.refused, found
    return found


def bearer(server: BenchServer) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"}


def _multiply(path: Path) -> None:
    """Make 500 versions of the one of each kind: publishing them would take minutes, and reading them is what is measured."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for table, children in (("registry_module_versions", None), ("registry_provider_versions", "registry_provider_platforms")):
            names, row = _only(connection, table)
            below = _only(connection, children) if children is not None else None
            for number in range(1, VERSIONS):
                version = f"1.{number}.0"
                new = dict(zip(names, row, strict=True)) | {"version": version, "version_order": checked(version).order}
                new["id"] = _another(new["id"], number)
                _insert(connection, table, new)
                if children is not None and below is not None:
                    child = dict(zip(*below, strict=True))
                    _insert(connection, children, child | {"id": _another(child["id"], number), "version_id": new["id"]})
        connection.execute("UPDATE registry_modules SET revision = revision + 1")
        connection.execute("UPDATE registry_providers SET revision = revision + 1")


def _another(ident: object, number: int) -> str:
    return f"{str(ident)[:-4]}{number:04}"


def _only(connection: sqlite3.Connection, table: str) -> tuple[list[str], tuple[object, ...]]:
    found = connection.execute(f"SELECT * FROM {table}")
    return [each[0] for each in found.description], found.fetchone()


def _insert(connection: sqlite3.Connection, table: str, values: dict[str, object]) -> None:
    places = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", list(values.values()))
