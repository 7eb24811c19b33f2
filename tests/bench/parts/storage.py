"""A large state through a server, and a large plain archive through `Archives`, over one storage; beside the storage's own client."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import httpx

from tests.bench.parts.states import download, peak_of, rate_text, upload
from tests.bench.tools.bodies import announce, large_state, new_workspace
from tests.bench.tools.direct import moves
from tests.bench.tools.report import Report, mebibytes
from tests.bench.tools.servers import Resident, serving
from tests.support.object_stores import Store, azurite, fake_gcs, rclone_s3
from tests.support.server import free_port
from tests.support.waiting import until
from tests.support.workspace import data

STORES: Mapping[str, Callable[[Path], AbstractContextManager[Store]]] = {"s3": rclone_s3, "gcs": fake_gcs, "azure": azurite}
NAMES = {"local": "files", "s3": "S3 (rclone)", "gcs": "Google (fake-gcs-server)", "azure": "Azure (Azurite)"}
CLIENTS = {"local": "write and fsync, read", "s3": "boto3", "gcs": "httpx, resumable", "azure": "azure-storage-blob"}
MEMORY = 48 * 2**20
WARM = 16 * 2**20
"""Bytes that are moved before anything is measured: imports and connections are there then, and belong to idle."""
PROGRAM = Path(__file__).parents[1] / "tools/archiving.py"


def measure(report: Report, directory: Path, kind: str, size: int) -> None:
    """All of one storage."""
    report.section(f"{NAMES[kind]}: {mebibytes(size)} up and down; memory is the process's peak above idle")
    path, small = directory / "large.tfstate", directory / "small.tfstate"
    for each, wanted in ((path, size), (small, WARM)):
        if not each.exists():
            report.doing(f"making a state of {mebibytes(wanted)}")
            large_state(each, wanted)
    folder = directory / f"store-{kind}"
    folder.mkdir()
    with nullcontext() if kind == "local" else STORES[kind](folder) as store:
        up, down = moves(store, path, directory / "direct")
        bare = {}
        for way, act in (("up", up), ("down", down)):
            report.doing(f"{way} with {CLIENTS[kind]}")
            bare[way] = path.stat().st_size / _seconds(act)
        into = _Into(report, path, bare, CLIENTS[kind])
        settings = {} if store is None else dict(store.settings)
        _state(into, directory / f"server-{kind}", settings, path, small)
        _archive(into, directory / f"archives-{kind}", settings, path, small)


class _Into:
    """Where the figures of one storage go."""

    def __init__(self, report: Report, path: Path, bare: Mapping[str, float], client: str) -> None:
        self.report = report
        self.size = path.stat().st_size
        self._bare = bare
        self._client = client

    def move(self, what: str, way: str, resident: Resident, act: Callable[[], None]) -> None:
        """Move it once, and note what that took."""
        self.report.doing(f"{what} {way}")
        took, peak = peak_of(resident, act)
        rate, bare = self.size / took, self._bare[way]
        figure = f"{mebibytes(peak)}, {rate_text(rate)}"
        beside = f"{self._client} {rate_text(bare)}: {rate / bare:.2f} of it"
        self.report.add(f"{what} {way}", figure, beside, aim="under 48 MiB above idle", met=peak < MEMORY)


def _state(into: _Into, directory: Path, settings: Mapping[str, str], path: Path, small: Path) -> None:
    limits = {"LIMITS__STATE_BYTES": str(2 * into.size + WARM)}
    with serving(directory, settings={**settings, **limits}) as server:
        for name, file in (("warm", small), ("large", path)):
            workspace = new_workspace(server, name, locked=True)
            link = announce(server, workspace, file)
            up = partial(upload, link, file)
            if file is path:
                into.move("state", "up", server.resident(), up)
            else:
                up()
            current = data(server.api.get(f"workspaces/{workspace}/current-state-version"))["attributes"]
            down = partial(download, current["hosted-state-download-url"], server.token, file.stat().st_size)
            if file is path:
                into.move("state", "down", server.resident(), down)
            else:
                down()


def _archive(into: _Into, directory: Path, settings: Mapping[str, str], path: Path, small: Path) -> None:
    with _archiving(directory, settings) as (url, resident):
        upload(f"{url}/archive", small)
        download(f"{url}/archive", "", small.stat().st_size)
        into.move("archive", "up", resident, partial(upload, f"{url}/archive", path))
        into.move("archive, streamed,", "down", resident, partial(download, f"{url}/archive", "", into.size))
        answer = httpx.get(f"{url}/link", headers={"Range": "bytes=0-0"}, trust_env=False)
        if answer.status_code == 302:
            into.move("archive, redirected,", "down", resident, partial(_follow, f"{url}/link", into.size))
        else:
            into.report.add("archive, redirected, down", "the store signs no links here")


def _follow(url: str, size: int) -> None:
    download(httpx.get(url, trust_env=False).headers["Location"], "", size)


@contextmanager
def _archiving(directory: Path, settings: Mapping[str, str]) -> Iterator[tuple[str, Resident]]:
    """The address and the memory of a process that serves archives only."""
    directory.mkdir()
    port = free_port()
    variables = {f"TERRAPOD_{name}": value for name, value in {**settings, "DATA_DIR": str(directory)}.items()}
    with subprocess.Popen([sys.executable, str(PROGRAM), str(port)], env={**os.environ, **variables}) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _answers(url), "the archives to be served")
            yield url, Resident(process.pid)
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        httpx.get(f"{url}/nothing", trust_env=False)
    except httpx.TransportError:
        return False
    return True


def _seconds(act: Callable[[], None]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began
