"""One server of its own with one workspace, in which one run comes after the other; and somebody who asks it with patience."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.faults.tools.experiments import FORWARD, ON_DATABASE, Deed, Experiment, Fault, Kind, Victim
from tests.faults.tools.served import CLOCK, LEDGER
from tests.faults.tools.victims import kill, left, of_run, stand_still
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import archive, document, fresh, ref
from tests.support.workspace import OVER

PATIENCE_SECONDS = 120.0
KEEPS_ITS_WORD = "synchronous_commit = on"
"""The tests' PostgreSQL forgets what it has not written when it is killed. Reaching the disk is not needed: the machine stays on."""


class FaultServer(Server):
    """`tests/faults/tools/served.py` as a process."""

    program = ("-P", str(Path(__file__).with_name("served.py")))


class Lane:
    """`workspace` is the id of its workspace; `database` is `None` for SQLite."""

    def __init__(self, server: FaultServer, database: PostgresServer | None, transport: str) -> None:
        self.server = server
        self.database = database
        self.transport = transport
        self.isolation = str(httpx.get(f"{server.url}/ready", trust_env=False).json()["detail"]["isolation"])
        self.runs = server.data / "runs"
        self.workspace = ""
        self.move()

    @property
    def title(self) -> str:
        """What is different here."""
        isolation = "sandbox" if self.isolation == "sandbox" else "no sandbox"
        return f"{'SQLite' if self.database is None else 'PostgreSQL'}, {self.transport}, {isolation}"

    def faults(self, all_faults: list[Fault]) -> list[Fault]:
        """Those that can happen here."""
        return [fault for fault in all_faults if self.database is not None or fault.victim not in ON_DATABASE]

    def move(self) -> None:
        """Go on in a new workspace."""
        made = self.ask("POST", "organizations/default/workspaces", document("workspaces", name=fresh("faults")))
        self.workspace = str(made["id"])

    @property
    def is_locked(self) -> bool:
        """Whether the last run, or somebody else, still has the workspace."""
        return bool(self.ask("GET", f"workspaces/{self.workspace}")["attributes"]["locked"])

    def processes(self, run_id: str) -> list[psutil.Process]:
        """Of a run: its runner program and all that descends from it."""
        return of_run(self.runs, run_id)

    def left(self, run_id: str) -> list[str]:
        """What a run that is over has left behind: processes, files."""
        return left(self.runs, run_id)

    def alarms(self) -> list[str]:
        """What the programs of the lane said that frightens."""
        return [f"the server said: {line}" for line in frightening(self.server.said())]

    def standing(self) -> list[str]:
        """What is not as it was before the fault."""
        return []

    # -- asking

    def ask(self, method: str, path: str, document: object = None) -> dict[str, Any]:
        """The resource object of a success; whoever is away is asked again."""
        answer = until(lambda: self._answer(method, path, document), f"{method} {path} to be answered", seconds=PATIENCE_SECONDS)
        assert answer.is_success, f"{method} {path} -> {answer.status_code}: {answer.text}"
        return dict(answer.json()["data"]) if answer.content and "data" in answer.json() else {}

    def listing(self, path: str) -> list[dict[str, Any]]:
        """The resource objects of a list that fits on one page."""
        answer = until(lambda: self._answer("GET", path, None), f"GET {path} to be answered", seconds=PATIENCE_SECONDS)
        assert answer.is_success, f"GET {path} -> {answer.status_code}: {answer.text}"
        return list(answer.json()["data"])

    def _answer(self, method: str, path: str, document: object) -> httpx.Response | None:
        try:
            answer = self.server.api.request(method, path, json=document)
        except httpx.TransportError:
            return None
        return None if answer.status_code >= 500 else answer

    def status(self, run_id: str) -> str:
        """Of a run."""
        return str(self.ask("GET", f"runs/{run_id}")["attributes"]["status"])

    def download(self, version_id: str) -> bytes:
        """The bytes of a state version."""
        version = self.ask("GET", f"state-versions/{version_id}")
        answer = self.server.api.get(version["attributes"]["hosted-state-download-url"], follow_redirects=True)
        assert answer.status_code == 200, f"the state of {version_id} -> {answer.status_code}: {answer.text}"
        return answer.content

    def log(self, run_id: str, phase: str) -> bytes:
        """The whole log of a `plan` or an `apply`, as it is served."""
        link = self.ask("GET", f"runs/{run_id}/{phase}")["attributes"]["log-read-url"]
        answer = httpx.get(link, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.content

    def acknowledged(self) -> list[dict[str, Any]]:
        """Every state that a runner was told is kept."""
        ledger = self.server.directory / LEDGER
        return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []

    # -- runs

    def begin(self, experiment: Experiment, text: str) -> str:
        """Upload a configuration and start a run of it; its id."""
        sent = document("configuration-versions", auto_queue_runs=False, speculative=experiment.kind is Kind.PLAN)
        version = self.ask("POST", f"workspaces/{self.workspace}/configuration-versions", sent)
        content, headers = archive({"main.tf": text}), {"Content-Type": "application/octet-stream"}
        self.server.api.put(version["attributes"]["upload-url"], content=content, headers=headers).raise_for_status()
        inputs = {"workspace": ref("workspaces", self.workspace), "configuration-version": ref("configuration-versions", version["id"])}
        wanted = document("runs", inputs, auto_apply=experiment.kind is Kind.AUTO, message=str(experiment))
        return str(self.ask("POST", "runs", wanted)["id"])

    def settle(self, run_id: str) -> str | None:
        """Wait for the end of the run: its last status, or `None` when it does not end."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            status = self.look_after(run_id)
            if status in OVER:
                return status
            time.sleep(0.2)
        return None

    def look_after(self, run_id: str) -> str:
        """Confirm the run if it asks for it; its status."""
        run = self.ask("GET", f"runs/{run_id}")["attributes"]
        if run["actions"]["is-confirmable"]:
            # 409: the answer to an earlier try was lost, and it goes on already.
            self._answer("POST", f"runs/{run_id}/actions/apply", {})
        return str(run["status"])

    # -- faults

    def strike(self, fault: Fault, hold: float, run_id: str, processes: list[psutil.Process]) -> None:
        """Do it, and undo what has to be undone. `processes` are the run's own that are hit, when not all are."""
        match fault.victim:
            case Victim.SERVER:
                self._strike_server(fault, hold)
            case Victim.DATABASE:
                self._strike_database(fault.deed, hold)
            case Victim.MACHINE | Victim.EVERYTHING:
                self.server.kill()
                kill(self.processes(run_id))
                if fault.victim is Victim.EVERYTHING:
                    self._strike_database(fault.deed, hold)
                else:
                    time.sleep(hold)
                self.server.start()
            case _ if fault.deed is Deed.KILL:
                kill(processes)
            case _:
                stand_still(processes, hold)

    def _strike_server(self, fault: Fault, hold: float) -> None:
        if fault.deed in (Deed.STOP, Deed.STAND):
            stand_still([psutil.Process(self.server.pid)], hold)
            return
        if fault.deed is Deed.RESTART:
            self.server.stop()
        else:
            self.server.kill()
            self.put_forward(fault.deed)
            time.sleep(hold)
        self.server.start()

    def put_forward(self, deed: Deed) -> None:
        """Turn the server's clock, where an outage is to be longer than anybody wants to wait."""
        if deed in FORWARD:
            clock = self.server.directory / CLOCK
            before = float(clock.read_text()) if clock.exists() else 0.0
            fresh = clock.with_suffix(".new")
            fresh.write_text(str(before + FORWARD[deed].total_seconds()))
            fresh.replace(clock)

    def _strike_database(self, deed: Deed, hold: float) -> None:
        assert self.database is not None, "SQLite has no process"
        if deed in (Deed.STOP, Deed.STAND):
            stand_still(self.database.processes, hold)
            return
        if deed is Deed.RESTART:
            self.database.stop()
        else:
            processes = self.database.processes
            kill(processes)
            psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
            self.put_forward(deed)
            time.sleep(hold)
        self.database.start()


def frightening(text: str) -> list[str]:
    """The lines of a log that nobody wants to read."""
    return [
        line[:2000]
        for line in text.splitlines()
        if '"level":"error"' in line or '"level":"critical"' in line or line.startswith("Traceback")
    ]


@contextmanager
def open_lane(directory: Path, number: int, *, sandbox: bool) -> Iterator[Lane]:
    """A started lane. Even numbers have SQLite, odd ones a PostgreSQL of their own; every third pair hands state over by file.

    All but the third of six have the sandbox, which is what a server has that somebody installed: faults meet it with both databases and
    both transports. The third is the first without it.
    """
    settings = settings_of(number, sandbox=sandbox)
    with serving(directory, number, settings) as (server, database):
        server.start()
        yield Lane(server, database, settings["RUNNER__LOCAL__STATE_TRANSPORT"])


def settings_of(number: int, *, sandbox: bool) -> dict[str, str]:
    """Of a lane's server, and of its listeners."""
    return {
        "LOG_FORMAT": "json",
        "RUNNER__LOCAL__CONCURRENCY": "2",
        "RUNNER__LOCAL__ISOLATION": "sandbox" if sandbox and number % 6 != 2 else "none",
        "RUNNER__LOCAL__STATE_TRANSPORT": "file" if number % 6 >= 4 else "http",
    }


@contextmanager
def serving(directory: Path, number: int, settings: Mapping[str, str]) -> Iterator[tuple[FaultServer, PostgresServer | None]]:
    """The server of a lane, not started yet, and its database server, which is started."""
    with ExitStack() as stack:
        database = stack.enter_context(postgres_server()) if number % 2 else None
        if database is not None:
            database.execute(f"ALTER SYSTEM SET {KEEPS_ITS_WORD}", "SELECT pg_reload_conf()")
        url = None if database is None else database.url(database.create())
        yield stack.enter_context(closing(FaultServer(directory, database_url=url, settings=settings))), database
