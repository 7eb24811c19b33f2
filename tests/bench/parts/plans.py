"""Plans of thousands of resources beside other requests, a plan of hundreds of megabytes, and how soon terraform hears of a cancel."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from tests.bench.tools.bodies import new_workspace
from tests.bench.tools.load import measure as load
from tests.bench.tools.report import Report, mebibytes, seconds, spread
from tests.bench.tools.served import PAUSE
from tests.bench.tools.servers import BenchServer, serving
from tests.support.waiting import until
from tests.support.workspace import OVER, data

COUNT = 5_000
MANY = f"""
resource "terraform_data" "x" {{
  count = {COUNT}
  input = {{ number = count.index, secret = sensitive("planted-${{count.index}}") }}
}}
"""
HUGE = 'resource "terraform_data" "x" {\n  count = 1000\n  input = join("", [for number in range(1000) : format("%0100d", number)])\n}\n'
SLOW = 'resource "terraform_data" "x" {\n  provisioner "local-exec" {\n    command = "exec sleep 600"\n  }\n}\n'
BESIDE, LONGEST_PAUSE, MEMORY, HEARD = 8, 0.05, 48 * 2**20, 1.0
PATIENCE = 600.0


def measure(report: Report, directory: Path, *, rounds: int, period: float) -> None:
    """The redacted plan of 5,000 resources, with others asking for a workspace all the while."""
    report.section(f"a plan of {COUNT} resources, redacted and served (median of {rounds})")
    with serving(directory / "plans") as server:
        report.doing("planning")
        run = _run(server, "many", MANY, "planned_and_finished", plan_only=True)
        plan = run["relationships"]["plan"]["data"]["id"]
        workspace = f"{server.url}/api/v2/workspaces/{run['relationships']['workspace']['data']['id']}"
        took, sizes, pauses, quiet, alone, beside = [], [], [], [], [], []
        for number in range(rounds):
            report.doing(f"round {number + 1} of {rounds}")
            _pause(server)
            alone.append(_load(server, workspace, period).p99)
            quiet.append(_pause(server))
            with ThreadPoolExecutor(1) as pool:
                others = pool.submit(_load, server, workspace, period)
                while not others.done():
                    began = time.monotonic()
                    sizes.append(len(server.api.get(f"plans/{plan}/json-output-redacted", timeout=PATIENCE).raise_for_status().content))
                    took.append(time.monotonic() - began)
                beside.append(others.result().p99)
            pauses.append(_pause(server))
        report.add("one answer", spread(took, seconds), mebibytes(median(sizes)))
        report.add(
            "longest pause of the event loop",
            spread(pauses, seconds),
            f"alone {spread(quiet, seconds)}",
            aim="under 50 ms",
            met=median(pauses) < LONGEST_PAUSE,
        )
        report.add(f"GET workspace beside it, {BESIDE} connections: p99", f"{spread(beside)} ms", f"alone {spread(alone)} ms")


def huge(report: Report, directory: Path) -> None:
    """A plan whose JSON is hundreds of megabytes: kept, sent and not taken apart."""
    report.section("a plan with hundreds of megabytes of JSON; memory is the server's peak above idle")
    with serving(directory / "huge") as server:
        idle = server.resident().forget_peak()
        report.doing("planning")
        run = _run(server, "huge", HUGE, "planned_and_finished", plan_only=True)
        up, idle = server.resident().peak() - idle, server.resident().forget_peak()
        plan = run["relationships"]["plan"]["data"]["id"]
        refused = server.api.get(f"plans/{plan}/json-output-redacted", timeout=PATIENCE).status_code
        with server.api.stream("GET", f"plans/{plan}/json-output", timeout=PATIENCE) as answer:
            size = sum(len(piece) for piece in answer.iter_raw(1 << 20))
        down = server.resident().peak() - idle
        aim = "under 48 MiB above idle"
        report.add("plan, log and artifacts taken: memory", mebibytes(up), aim=aim, met=up < MEMORY)
        report.add(
            "redacted refused, whole sent: memory", mebibytes(down), f"{mebibytes(size)}; redacted {refused}", aim=aim, met=down < MEMORY
        )


def cancels(report: Report, directory: Path, *, rounds: int) -> None:
    """From the request to terraform's own word that it was interrupted."""
    report.section(f"cancel of an apply that runs (median of {rounds})")
    with serving(directory / "cancels", settings={"TFE_VERSION": "v202501-1"}) as server:
        heard = []
        for number in range(rounds):
            report.doing(f"round {number + 1} of {rounds}")
            run = _run(server, f"slow-{number}", SLOW, "applying", auto_apply=True)
            until(lambda: b"local-exec" in _log(server, run), "the provisioner to run")  # noqa: B023
            began = time.time()
            server.api.post(f"runs/{run['id']}/actions/cancel").raise_for_status()
            _until(server, run["id"], "canceled")
            heard.append(_interrupted(_log(server, run)) - began)
        report.add("terraform hears of it after", spread(heard, seconds), aim="under 1 s", met=max(heard) < HEARD)


def _run(server: BenchServer, name: str, configuration: str, status: str, **attributes: bool) -> dict[str, Any]:
    """Start a run of a new workspace, and wait until it has this status."""
    workspace = new_workspace(server, name)
    version = data(
        server.api.post(f"workspaces/{workspace}/configuration-versions", json=_document("configuration-versions", auto_queue_runs=False))
    )
    httpx.put(version["attributes"]["upload-url"], content=_archive(configuration), trust_env=False).raise_for_status()
    document = _document("runs", **attributes)
    document["data"]["relationships"] = {"workspace": {"data": {"type": "workspaces", "id": workspace}}}
    return _until(server, data(server.api.post("runs", json=document))["id"], status)


def _until(server: BenchServer, run_id: str, status: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        run = data(server.api.get(f"runs/{run_id}"))
        now = run["attributes"]["status"]
        if now in OVER and now != status:
            raise RuntimeError(f"the run is {now}: {run['attributes']['error-message']}")
        return run if now == status else None

    return until(look, f"{run_id} to be {status}", seconds=PATIENCE)


def _document(kind: str, **attributes: object) -> dict[str, Any]:
    return {"data": {"type": kind, "attributes": {name.replace("_", "-"): value for name, value in attributes.items()}}}


def _archive(configuration: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("main.tf")
        member.size = len(configuration)
        tar.addfile(member, io.BytesIO(configuration.encode()))
    return gzip.compress(buffer.getvalue())


def _load(server: BenchServer, url: str, period: float) -> Any:
    return load(url, connections=BESIDE, seconds=period, headers={"Authorization": f"Bearer {server.token}"})


def _pause(server: BenchServer) -> float:
    """The longest pause of the server's event loop since the last time somebody asked, in seconds."""
    return float(httpx.get(server.url + PAUSE, trust_env=False).raise_for_status().json()["longest"])


def _log(server: BenchServer, run: dict[str, Any]) -> bytes:
    return httpx.get(data(server.api.get(f"runs/{run['id']}/apply"))["attributes"]["log-read-url"], trust_env=False).content


def _interrupted(log: bytes) -> float:
    """When terraform said that it was interrupted, by its own clock, which is ours."""

    def said() -> Iterator[dict[str, Any]]:
        for line in log.splitlines():
            if line.startswith(b"{"):
                yield json.loads(line)

    message = next(each for each in said() if "Interrupt received" in each["@message"])
    return datetime.fromisoformat(message["@timestamp"]).timestamp()
