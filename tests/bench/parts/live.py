"""One log and many who watch it; a long log, read anywhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles

import httpx
import psutil

from terrapod_core.clock import SystemClock
from terrapod_core.secrets import Keyring
from terrapod_core.storage import PhaseTokens
from tests.bench.tools.report import Report, seconds
from tests.bench.tools.servers import BenchServer, serving
from tests.bench.tools.watchers import line, watching
from tests.support import wire
from tests.support.gate import Gate
from tests.support.postgres import PostgresServer
from tests.support.server import KEYS
from tests.support.waiting import until

WATCHERS = (1, 50, 200)
AIM_SECONDS = 0.5
PAUSE_SECONDS = 0.2
MiB = 1 << 20
LONG_BYTES = 50 * MiB
READ_BYTES = 64 * 1024
SETTINGS = {"LIVE__STREAMS_PER_USER": "1000"}


class OpenPlan:
    """A plan that stops at a gate, and whose log the benchmark writes in its runner's name."""

    def __init__(self, server: BenchServer, directory: Path, *, embedded: bool) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.server = server
        self._gate = Gate(directory / wire.fresh("gate"))
        api = server.api
        workspace = wire.make_workspace(api)["id"]
        files = {"main.tf": f'output "waited" {{\n  value = {self._gate.plan}\n}}\n'}
        self.run = wire.make_run(api, workspace, wire.make_configuration(api, workspace, files, speculative=True))
        self._gate.wait()
        self.id = wire.data(api.get(f"runs/{self.run}"))["relationships"]["plan"]["data"]["id"]
        keyring = Keyring.load(None, server.data, embedded=True) if embedded else Keyring(KEYS)
        token = PhaseTokens(keyring, SystemClock()).issue(self.run, self.id, "plan", 1, SystemClock().now() + timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}"}
        base = f"{server.url}/api/runner/v1/phases/{self.id}/"
        self._runner = httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=60)
        self.size: int = self._append(0, b"x").json()["errors"][0]["meta"]["size"]

    def _append(self, offset: int, text: bytes) -> httpx.Response:
        return self._runner.put("log", params={"offset": offset}, content=text)

    def append(self, text: bytes) -> None:
        """As the runner does."""
        self._append(self.size, text).raise_for_status()
        self.size += len(text)

    def end(self) -> None:
        """Let the plan fail: its log is whole."""
        self._runner.post("report", json={"status": "errored"}).raise_for_status()

    @property
    def link(self) -> str:
        """Where terraform reads the log."""
        return str(wire.data(self.server.api.get(f"plans/{self.id}"))["attributes"]["log-read-url"])

    def close(self) -> None:
        """Let go of everything."""
        self._runner.close()
        self._gate.close()


def measure(report: Report, directory: Path, postgres: PostgresServer, *, lines: int) -> None:
    """200 watchers of one log on both databases: how soon each sees a new line, and what it costs the server."""
    for kind in ("SQLite", "PostgreSQL"):
        url = postgres.url(postgres.create()) if kind == "PostgreSQL" else None
        with serving(directory / kind.lower(), database_url=url, settings=SETTINGS) as server:
            report.section(f"watchers of one log on {kind}: {lines} lines, one each {seconds(PAUSE_SECONDS)}")
            watched(report, server, directory, lines=lines, embedded=url is None)


def watched(report: Report, server: BenchServer, directory: Path, *, lines: int, embedded: bool) -> None:
    """The same on a server that runs: for other benchmarks, too."""
    plan = OpenPlan(server, directory, embedded=embedded)
    token = wire.document("authentication-tokens")
    tokens = [wire.data(server.api.post("authentication-tokens", json=token), 201)["attributes"]["token"] for _ in range(10)]
    process, one = psutil.Process(server.pid), 0.0
    for number in WATCHERS:
        report.doing(f"{number} watchers")
        latencies, cpu = _watched(plan, number, lines, tokens, process)
        one = one or cpu
        cut = quantiles(latencies, n=100, method="inclusive")
        figure = f"p50 {seconds(cut[49])}, p99 {seconds(cut[98])}, last {seconds(max(latencies))}"
        cost = f"{1000 * cpu:.1f} ms of CPU a line: {cpu / one:.1f} x that of one"
        report.add(
            "1 watcher" if number == 1 else f"{number} watchers", figure, cost, aim="each within 500 ms", met=max(latencies) < AIM_SECONDS
        )
        if number == WATCHERS[-1]:
            report.add("", f"{cpu / one / number:.2f} of {number} times one", aim="CPU grows sub-linearly", met=cpu < one * number)
    plan.close()


def _watched(plan: OpenPlan, number: int, lines: int, tokens: list[str], process: psutil.Process) -> tuple[list[float], float]:
    """All latencies, and the server's CPU seconds for each line."""
    url = f"{plan.server.url}/api/v2/plans/{plan.id}/log-stream?last-event-id={plan.size}"
    with watching(url, number, lines, tokens) as watchers:
        before = _cpu(process)
        for _ in range(lines):
            plan.append(line())
            time.sleep(PAUSE_SECONDS)
        printed, _ = watchers.communicate(timeout=60)
        after = _cpu(process)
    return [float(each) for each in printed.split()], (after - before) / lines


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def offsets(report: Report, directory: Path, *, rounds: int) -> None:
    """A log of 50 MiB, growing and finished: its end beside its beginning."""
    report.section(f"reading 64 KiB of a log of 50 MiB, SQLite and files, median of {rounds}")
    with serving(directory / "offsets") as server:
        plan = OpenPlan(server, directory, embedded=True)
        noise = os.urandom(3 * MiB // 4)
        text = "\n".join(noise[at : at + 60].hex() for at in range(0, len(noise), 60)).encode()[:MiB]
        for _ in range(LONG_BYTES // len(text)):
            plan.append(text)
        _beside(report, "growing, in the database", plan, rounds)
        plan.end()
        until(lambda: _is_sealed(plan), "the log to be one object")
        _beside(report, "finished, one object", plan, rounds)
        plan.close()


def _is_sealed(plan: OpenPlan) -> bool:
    return any(plan.server.data.glob(f"**/logs/{plan.id}/*"))


def _beside(report: Report, what: str, plan: OpenPlan, rounds: int) -> None:
    places = {"beginning": 0, "middle": LONG_BYTES // 2, "3 MiB before the end": LONG_BYTES - 3 * MiB}
    link, found = plan.link, {name: list[float]() for name in places}
    with httpx.Client(trust_env=False) as client:
        for _ in range(rounds):
            for name, offset in places.items():
                found[name].append(_timed(lambda offset=offset: _read(client, link, offset)))  # type: ignore[misc]
    first = median(found["beginning"])
    for name, times in list(found.items())[1:]:
        share = median(times) / first
        beside = f"beginning {seconds(first)}"
        report.add(f"{what}: {name}", seconds(median(times)), beside, aim="as the beginning", met=share < 2)


def _read(client: httpx.Client, link: str, offset: int) -> None:
    answer = client.get(link, params={"offset": offset, "limit": READ_BYTES})
    assert len(answer.content) == READ_BYTES


def _timed(act: Callable[[], None]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began
