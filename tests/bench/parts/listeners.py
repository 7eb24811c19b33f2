"""A thousand listeners that wait on one server: what they cost, and how soon one of them has a run."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import quantiles

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.bench.tools.asking import Asking
from tests.bench.tools.pollers import WAIT_SECONDS, Pollers, polling
from tests.bench.tools.report import Report, mebibytes, seconds
from tests.bench.tools.servers import BenchServer, serving
from tests.support import wire
from tests.support.listeners import join, joining, make_pool, make_token, to_pool
from tests.support.postgres import PostgresServer

AIM_CONNECTED = 1.0
AIM_MEMORY = 64 << 20
AIM_CORE = 0.01
AIM_GIVEN = 0.1
CONFIGURATION = 'output "nothing" {\n  value = 1\n}\n'


def idle(report: Report, directory: Path, postgres: PostgresServer, *, number: int, watched: float, runs: int) -> None:
    """`number` listeners for `watched` seconds on both databases, then `runs` runs for them."""
    for kind in ("SQLite", "PostgreSQL"):
        url = postgres.url(postgres.create()) if kind == "PostgreSQL" else None
        with serving(directory / f"idle-{kind.lower()}", database_url=url) as server:
            report.section(f"{number} idle listeners on one server, {kind}, polls of {WAIT_SECONDS} s")
            _idle(report, server, number=number, watched=watched, runs=runs)


def _idle(report: Report, server: BenchServer, *, number: int, watched: float, runs: int) -> None:
    pool = make_pool(server.api)["id"]
    report.doing(f"joining {number} listeners")
    listeners = joined(server, pool, number)
    workspaces = [_workspace(server, pool, f"idle-{each}") for each in range(runs)]
    process = psutil.Process(server.pid)
    report.doing(f"watching the server alone for {watched:.0f} s")
    alone = _share(process, watched)
    memory, before = server.resident().forget_peak(), _cpu(process)
    with polling(server.url, listeners) as pollers:
        connected, ready = pollers.line(), pollers.line()
        report.add("all connected", seconds(connected), aim="under 1 s", met=connected < AIM_CONNECTED)
        each = (_cpu(process) - before) / number
        report.add("all waiting, each by a signed request", seconds(ready), f"{1000 * each:.1f} ms of CPU a poll")
        report.doing(f"watching for {watched:.0f} s")
        share = _share(process, watched) - alone
        beside = f"above the {100 * alone:.2f} % of the same server before"
        report.add("CPU while they wait", f"{100 * share:.2f} % of a core", beside, aim="under 1 %", met=share < AIM_CORE)
        again = share + each * number / WAIT_SECONDS
        report.add("with what asking again costs", f"{100 * again:.2f} % of a core", f"{number / WAIT_SECONDS:.1f} polls a second")
        grown = server.resident().peak() - memory
        report.add("memory", mebibytes(grown), "above the same server before", aim="under 64 MiB", met=grown < AIM_MEMORY)
        _given(report, server, pollers, workspaces)


def _given(report: Report, server: BenchServer, pollers: Pollers, workspaces: list[tuple[Asking, str]]) -> None:
    latencies, from_request = [], []
    for asking, workspace in workspaces:
        asked = time.monotonic()
        run_id = asking.run(workspace, plan_only=True)
        queued = time.monotonic()
        plan_id, given = pollers.line()
        assert wire.data(server.api.get(f"runs/{run_id}"))["relationships"]["plan"]["data"]["id"] == plan_id
        latencies.append(max(0.0, given - queued))
        from_request.append(given - asked)
    cut, whole = quantiles(latencies, n=100, method="inclusive"), quantiles(from_request, n=100, method="inclusive")
    beside = f"from the request that made it p50 {seconds(whole[49])}, p99 {seconds(whole[98])}"
    report.add(
        "a run that was queued reaches a listener",
        f"p50 {seconds(cut[49])}, p99 {seconds(cut[98])}",
        beside,
        aim="within 100 ms",
        met=cut[98] < AIM_GIVEN,
    )


def joined(server: BenchServer, pool: str, number: int) -> list[dict[str, str]]:
    """So many listeners of the pool, as `polling` takes them."""
    token, found = make_token(server.api, pool, uses=number), []
    for each in range(number):
        key = Ed25519PrivateKey.generate()
        made = wire.data(join(server.url, pool, token, joining(key, name=f"host-{each}", capacity=1)), 201)
        raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        found.append({"id": made["id"], "key-id": made["attributes"]["key-id"], "key": raw.hex()})
    return found


def _workspace(server: BenchServer, pool: str, name: str) -> tuple[Asking, str]:
    asking = Asking(server)
    workspace = asking.workspace(name, CONFIGURATION)
    to_pool(server.api, workspace, pool)
    return asking, workspace


def _share(process: psutil.Process, watched: float) -> float:
    """Of one processor."""
    before, began = _cpu(process), time.monotonic()
    time.sleep(watched)
    return (_cpu(process) - before) / (time.monotonic() - began)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
