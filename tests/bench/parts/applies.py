"""Applies by a real terraform: remote, locally executed with remote state, and on the local backend, from one run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.bench.tools.journey import Journey, Phase, journey, requests
from tests.bench.tools.report import Report, seconds, spread
from tests.bench.tools.servers import BenchServer, serving
from tests.bench.tools.timed import commands
from tests.support.tf import Terraform, cloud
from tests.support.wire import fresh

CONFIGURATION = 'resource "terraform_data" "x" {{\n  count = {count}\n  input = count.index\n}}\n'
APPLY = ("apply", "-auto-approve", "-input=false")
PAUSES = "The CLI itself pauses 0.5 s after the upload and 1 s before each of two looks at the run: 2.5 s, whatever the server does."
REMOTE_ABOVE, LOCAL_MODE, OVERHEAD = 3.0, 1.6, 0.4


def measure(report: Report, directory: Path, *, rounds: int, large_rounds: int) -> None:
    """20 resources three ways, 1,000 two ways, and the runner's part of each phase."""
    with serving(directory / "applies", timed=True) as server:
        bench = _Applies(server, directory / "work")
        small = _small(report, bench, rounds)
        large = _large(report, bench, large_rounds) if large_rounds else []
    _where(report, "20 resources", small)
    if large:
        _where(report, "1,000 resources", large)
    report.section("runner around terraform, per phase (launch, Python, protocol, unpacking, log, state, artifacts)")
    for name, chosen in (("plan", [each.plan for each in small]), ("apply", [each.apply for each in small])):
        _overhead(report, name, chosen)


def _small(report: Report, bench: _Applies, rounds: int) -> list[Journey]:
    report.section(f"apply -auto-approve of 20 terraform_data, median of {rounds} (least to most)")
    local, remote, stored = [], [], []
    for number in range(rounds):
        report.doing(f"round {number + 1} of {rounds}: local backend, remote, local execution with remote state")
        local.append(bench.local(20))
        remote.append(bench.remote(20))
        stored.append(bench.local_execution(20))
    whole = [each.whole for each in remote]
    above = median(whole) - median(local)
    share = median(stored) / median(local)
    backend = f"local backend {spread(local, seconds)}"
    report.add("remote", spread(whole, seconds), backend, aim="at most 3 s above local", met=above <= REMOTE_ABOVE)
    report.add("", f"{above:.2f} s above", PAUSES)
    report.add("local execution, remote state", spread(stored, seconds), backend, aim="under 1.6 x local", met=share < LOCAL_MODE)
    report.add("", f"{share:.2f} x local", f"{median(stored) - median(local):.2f} s above local")
    return remote


def _large(report: Report, bench: _Applies, rounds: int) -> list[Journey]:
    report.section(f"apply -auto-approve of 1,000 terraform_data, median of {rounds}")
    local, remote = [], []
    for number in range(rounds):
        report.doing(f"round {number + 1} of {rounds}: remote")
        remote.append(bench.remote(1000))
        report.doing(f"round {number + 1} of {rounds}: local backend (some 25 s)")
        local.append(bench.local(1000))
    whole = [each.whole for each in remote]
    faster = median(whole) < median(local)
    report.add("remote", spread(whole, seconds), f"local backend {spread(local, seconds)}", aim="faster than local", met=faster)
    return remote


def _where(report: Report, what: str, journeys: Sequence[Journey]) -> None:
    report.section(f"where the seconds of the remote apply of {what} go (medians)")

    def part(name: str, values: Sequence[float], note: str = "") -> None:
        report.add(name, seconds(median(values)), note)

    part("CLI: start, look-ups, upload", [each.upload for each in journeys])
    part("CLI: pauses in which nobody works", [each.pause for each in journeys], "0.5 s after the upload, up to 1 s before its last look")
    part("server: create the run", [each.create for each in journeys])
    for name, phases in (("plan", [each.plan for each in journeys]), ("apply", [each.apply for each in journeys])):
        part(f"{name}: queue and launch", [each.launch for each in phases], "until the runner's first word")
        part(f"{name}: terraform", [each.engine for each in phases], "version, init and the work; for a plan also show and schemas")
        part(f"{name}: runner around it", [each.around for each in phases])
    part("CLI: reading logs, end", [each.closing for each in journeys])
    part("the whole command", [each.whole for each in journeys])


def _overhead(report: Report, name: str, phases: Sequence[Phase]) -> None:
    whole = [each.overhead for each in phases]
    parts = f"launch {seconds(median(each.launch for each in phases))}, around {seconds(median(each.around for each in phases))}"
    report.add(name, spread(whole, seconds), parts, aim="under 400 ms", met=median(whole) < OVERHEAD)


class _Applies:
    """Directories and workspaces, a new one for each apply, so that everything is always to be created."""

    def __init__(self, server: BenchServer, directory: Path) -> None:
        program = shutil.which("terraform")
        assert program is not None, "the engine's wrapper was made from it"
        shutil.rmtree(directory, ignore_errors=True)
        self._program = Path(program)
        self._server = server
        self._directory = directory

    def local(self, count: int) -> float:
        """On the local backend; seconds."""
        return self._timed(self._prepared(count))

    def local_execution(self, count: int) -> float:
        """Executed here, with the state on the server; seconds."""
        name = fresh("local")
        tf = self._prepared(count, name)
        workspace = self._server.api.get(f"organizations/default/workspaces/{name}").json()["data"]["id"]
        attributes = {"data": {"type": "workspaces", "attributes": {"execution-mode": "local"}}}
        self._server.api.patch(f"workspaces/{workspace}", json=attributes).raise_for_status()
        return self._timed(tf)

    def remote(self, count: int) -> Journey:
        """Executed by the server."""
        tf = self._prepared(count, fresh("remote"))
        commands(self._server.directory)
        self._server.news()
        began = time.time()
        tf.run(*APPLY)
        ended = time.time()
        return journey(began, ended, requests(self._server.news()), commands(self._server.directory))

    def _prepared(self, count: int, workspace: str | None = None) -> Terraform:
        tf = Terraform(self._program, self._directory / (workspace or fresh("alone")), self._server)
        tf.write(CONFIGURATION.format(count=count))
        if workspace is not None:
            tf.write(cloud(self._server, f'name = "{workspace}"'), "cloud.tf")
        tf.run("init", "-input=false")
        return tf

    def _timed(self, tf: Terraform) -> float:
        began = time.monotonic()
        tf.run(*APPLY)
        return time.monotonic() - began
