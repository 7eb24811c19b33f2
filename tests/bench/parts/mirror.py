"""What mirrors cost: documents beside the smallest request, a cached zip beside nginx, and fifty who want the same for the first time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx

from tests.bench.parts.registry import FOUR, ONE, bearer, beside_hello, down, nginx_beside
from tests.bench.tools.report import Report, mebibytes
from tests.bench.tools.servers import BenchServer, serving
from tests.support.mirrored import REGISTRY, settings_of
from tests.support.releases import LINUX
from tests.support.upstream import Upstream, upstream

VERSIONS = 500
CLIENTS = 50
FIRST_BYTE_SECONDS = 0.3
MEMORY = 48 * 2**20
BASE = f"/v1/providers/{REGISTRY}/acme/fake"
ARCHIVES = "/archives/providers/*.zip"


@contextmanager
def mirroring(directory: Path) -> Iterator[tuple[BenchServer, Upstream]]:
    """A server whose caches are empty, and its upstream."""
    with upstream() as up, serving(directory, settings={**settings_of(up), "MIRRORS__LOCK_PLATFORMS": ""}) as server:
        yield server, up


def documents(report: Report, directory: Path, *, rounds: int, seconds: float) -> None:
    """The lists of a provider's versions by both protocols, and the document of one version."""
    report.section(f"documents of a provider of {VERSIONS} versions, 16 connections (median of {rounds})")
    with mirroring(directory / "documents") as (server, up):
        for number in range(1, VERSIONS):
            up.providers["acme/fake"].add(f"2.{number}.0")
        for name, path in (("index.json", f"{BASE}/index.json"), ("versions", f"{BASE}/versions"), ("one version", f"{BASE}/1.0.0.json")):
            beside_hello(report, server, name, path, rounds=rounds, seconds=seconds)


def archives(report: Report, directory: Path, size: int) -> None:
    """A large zip: fetched for the first time by many at once, with the server's memory, and then from the cache, beside nginx."""
    report.section(f"a provider of {mebibytes(size)}; memory is the process's peak above idle")
    with mirroring(directory / "archives") as (server, up):
        up.providers["acme/fake"].add("3.0.0", size=size)
        told = httpx.get(f"{server.url}{BASE}/3.0.0.json", headers=bearer(server), trust_env=False).json()
        url = str(httpx.URL(f"{server.url}{BASE}/3.0.0.json").join(told["archives"]["_".join(LINUX)]["url"]))
        resident = server.resident()
        idle = resident.forget_peak()
        report.doing(f"{CLIENTS} at once")
        ready = threading.Barrier(CLIENTS)
        with ThreadPoolExecutor(CLIENTS) as pool:
            firsts = list(pool.map(lambda _: _first_byte(url, size, ready), range(CLIENTS)))
        late = max(firsts) - up.first_byte_at(ARCHIVES)
        count = up.count(ARCHIVES)
        report.add(f"{CLIENTS} at once: upstream was asked", f"{count} time{'s' if count != 1 else ''}", aim="once", met=count == 1)
        said = f"the median {1000 * (median(firsts) - up.first_byte_at(ARCHIVES)):.0f} ms"
        report.add(
            "the last one's first byte after upstream's", f"{1000 * late:.0f} ms", said, aim="300 ms", met=late <= FIRST_BYTE_SECONDS
        )
        peak = resident.peak() - idle
        report.add("memory meanwhile", mebibytes(peak), aim="under 48 MiB above idle", met=peak < MEMORY)
        path = directory / "provider.zip"
        path.write_bytes(httpx.get(url, trust_env=False, timeout=60).content)
        with nginx_beside(path) as beside:
            if beside is None:
                report.add("down", "nginx is not installed here")
                return
            for clients, aim in ((1, ONE), (4, FOUR)):
                down(report, url, beside, path.stat().st_size, clients, aim)


def _first_byte(url: str, size: int, ready: threading.Barrier) -> float:
    """When the first byte of a whole download came."""
    ready.wait()
    first, received = None, 0
    with httpx.stream("GET", url, trust_env=False, timeout=120) as answer:
        assert answer.status_code == 200
        for piece in answer.iter_raw():
            first = first or time.monotonic()
            received += len(piece)
    assert first is not None
    assert received >= size
    return first
