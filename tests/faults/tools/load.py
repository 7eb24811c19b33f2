"""What clients do while servers and what they stand on come and go; each notes what was acknowledged, and must be there for ever after."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.faults.tools.patient import Failure, GivenUp, Journal, Patient, is_unsent
from tests.support import wire
from tests.support.server import Server
from tests.support.sse import stream
from tests.support.waiting import until
from tests.support.wire import ORG, archive, document, ref, state, state_version
from tests.support.workspace import EVERY_OPERATION, OVER

PAUSE_SECONDS: Final = 0.2
RUN_SECONDS: Final = 150.0
PIECE_BYTES: Final = 2000
"""Logs are read in small pieces, so that more than one is read."""

CONFIGURATION: Final = """
resource "terraform_data" "one" {{
  triggers_replace = "{key}"
  provisioner "local-exec" {{
    command = "for each in 1 2 3 4 5 6; do echo line $each of {key}; sleep {pause}; done"
  }}
}}

output "key" {{
  value = terraform_data.one.triggers_replace
}}
"""


@dataclass(frozen=True)
class Kept:
    """A state that was acknowledged."""

    workspace: str
    version: str
    serial: int
    md5: str
    sha256: str


@dataclass
class Ran:
    """A run that was acknowledged, and what was seen of it."""

    workspace: str
    run: str
    key: str
    seen: dict[str, bytes] = field(default_factory=dict)
    """The beginning of its logs, by phase, as it was read while they grew."""
    status: str = ""


@dataclass
class Acknowledged:
    """All that the site said it keeps. Each list and mapping has one writer."""

    names: dict[str, str] = field(default_factory=dict)
    """Workspaces: id to name."""
    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Variables: id to key and last value."""
    states: list[Kept] = field(default_factory=list)
    runs: list[Ran] = field(default_factory=list)
    first_event: int = 0
    heard: list[int] = field(default_factory=list)
    """Ids of events, in the order in which they came."""
    streams: int = 0


class Load:
    """Threads that ask until they are told to stop, and then end what they have begun."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.journal = Journal()
        self.kept = Acknowledged()
        self._seed = seed
        self._stopping = threading.Event()
        self._deaf = threading.Event()
        self._begun = threading.Event()
        self.last_told = ("", "")
        """The newest event and its workspace."""
        self._runs = threading.Lock()
        works: list[tuple[str, Callable[[Patient, random.Random], None]]] = [
            ("settings", self._settings),
            ("states", self._states),
            ("runs-1", self._auto_applied),
            ("runs-2", self._confirmed),
            ("reads", self._reads),
        ]
        self._threads = [threading.Thread(target=self._work, args=work, name=work[0]) for work in works]
        self._hearing = threading.Thread(target=self._hear, name="events", daemon=True)

    def start(self) -> None:
        """Begin; return when events are heard."""
        self._hearing.start()
        assert self._begun.wait(60), "no stream begins"
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return when everything that was begun has ended; events are heard still."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def stop_hearing(self) -> None:
        """The end of the stream of events; one that comes after all others is heard first."""
        with Patient(self.server, "last", self.journal) as last:
            workspace = str(_workspace(last)["id"])
            last.ask("POST", f"workspaces/{workspace}/actions/lock", {})
            until(lambda: self.last_told == ("workspace.locked", workspace), "the last event to be heard")
            self._deaf.set()
            last.ask("POST", f"workspaces/{workspace}/actions/unlock")
            self._hearing.join()

    def _work(self, name: str, work: Callable[[Patient, random.Random], None]) -> None:
        try:
            with Patient(self.server, name, self.journal) as patient:
                work(patient, random.Random(f"{self._seed}/{name}"))
        except GivenUp as sentence:
            self.journal.breaks(f"{name}: {sentence}")
        except Exception:  # noqa: BLE001 - a client that breaks is a finding, and the others go on
            self.journal.breaks(f"{name} broke: {traceback.format_exc()}")

    # -- workspaces and variables

    def _settings(self, patient: Patient, chance: random.Random) -> None:
        while not self._stopping.is_set():
            workspace = _workspace(patient)
            self.kept.names[workspace["id"]] = workspace["attributes"]["name"]
            for key in ("first", "second"):
                ident = _variable(patient, workspace["id"], key)
                self.kept.values[ident] = (key, "0")
                for value in range(1, 1 + chance.randint(1, 4)):
                    patient.ask("PATCH", f"workspaces/{workspace['id']}/vars/{ident}", document("vars", value=str(value)))
                    self.kept.values[ident] = (key, str(value))
                    time.sleep(PAUSE_SECONDS)

    # -- states

    def _states(self, patient: Patient, chance: random.Random) -> None:
        workspace = str(_workspace(patient)["id"])
        # 409: the lock of an earlier try, whose answer was lost.
        patient.ask("POST", f"workspaces/{workspace}/actions/lock", {}, bears=(409,))
        for serial in itertools.count(1):
            if self._stopping.is_set():
                return
            content = state(serial, outputs={"said": "x" * chance.randint(10, 20_000)}, note=str(serial))
            made = patient.ask("POST", f"workspaces/{workspace}/state-versions", state_version(content)).json()["data"]
            patient.upload(made["attributes"]["hosted-state-upload-url"], content)
            self.kept.states.append(Kept(workspace, made["id"], serial, wire.md5(content), hashlib.sha256(content).hexdigest()))
            current = patient.get(f"workspaces/{workspace}/current-state-version")
            if current["id"] != made["id"]:
                self.journal.breaks(f"{made['id']} (serial {serial}) was acknowledged, and {current['id']} is the current state")
            elif patient.download(current["attributes"]["hosted-state-download-url"]) != content:
                self.journal.breaks(f"{made['id']} (serial {serial}) was acknowledged, and other bytes are read")
            time.sleep(PAUSE_SECONDS)

    # -- runs

    def _auto_applied(self, patient: Patient, chance: random.Random) -> None:
        self._run_on(patient, chance, auto_apply=True)

    def _confirmed(self, patient: Patient, chance: random.Random) -> None:
        self._run_on(patient, chance, auto_apply=False)

    def _run_on(self, patient: Patient, chance: random.Random, *, auto_apply: bool) -> None:
        workspace = str(_workspace(patient)["id"])
        while not self._stopping.is_set():
            key = f"key-{chance.randrange(10**9)}"
            files = {"main.tf": CONFIGURATION.format(key=key, pause=round(chance.uniform(0.1, 1), 2))}
            sent = document("configuration-versions", auto_queue_runs=False)
            version = patient.ask("POST", f"workspaces/{workspace}/configuration-versions", sent).json()["data"]
            patient.upload(version["attributes"]["upload-url"], archive(files))
            inputs = {"workspace": ref("workspaces", workspace), "configuration-version": ref("configuration-versions", version["id"])}
            made = patient.ask("POST", "runs", document("runs", inputs, auto_apply=auto_apply)).json()["data"]
            ran = Ran(workspace, made["id"], key)
            with self._runs:
                self.kept.runs.append(ran)
            self._follow(patient, ran)

    def _follow(self, patient: Patient, ran: Ran) -> None:
        end = time.monotonic() + RUN_SECONDS
        while ran.status not in OVER:
            # All of the workspace: a try whose answer was lost may have made another run, and ours waits for it.
            for run in patient.get(f"workspaces/{ran.workspace}/runs", **{"filter[operation]": EVERY_OPERATION}):
                attributes = run["attributes"]
                if attributes["actions"]["is-confirmable"]:
                    patient.ask("POST", f"runs/{run['id']}/actions/apply", {}, bears=(409,))
                if run["id"] == ran.run:
                    ran.status = attributes["status"]
            for phase in ("plan", "apply"):
                self._read_on(patient, ran, phase)
            if time.monotonic() > end:
                self.journal.breaks(f"{ran.run} is {ran.status} after {RUN_SECONDS:g} s")
                return
            time.sleep(PAUSE_SECONDS)

    def _read_on(self, patient: Patient, ran: Ran, phase: str) -> None:
        link = patient.get(f"runs/{ran.run}/{phase}")["attributes"]["log-read-url"]
        seen = ran.seen.get(phase, b"")
        ran.seen[phase] = seen + patient.download(link, offset=len(seen), limit=PIECE_BYTES)

    # -- reads and events

    def _reads(self, patient: Patient, chance: random.Random) -> None:
        while not self._stopping.is_set():
            patient.get(f"{ORG}/workspaces", **{"page[size]": 20})
            patient.get("account/details")
            names = list(self.kept.names)
            if names:
                patient.get(f"workspaces/{chance.choice(names)}/vars")
            time.sleep(PAUSE_SECONDS)

    def _hear(self) -> None:
        last: str | None = None
        while not self._deaf.is_set():
            began = time.monotonic()
            try:
                with stream(self.server, f"{ORG}/events", self.server.token, last_id=last) as heard:
                    if heard.answer.status_code != httpx.codes.OK:
                        text = f"GET events -> {heard.answer.status_code}"
                        self.journal.failed(Failure(time.monotonic(), began, "events", text, unsent=False))
                        time.sleep(PAUSE_SECONDS)
                        continue
                    self.kept.streams += 1
                    if last is None:
                        heard.begun()
                        last = heard.last_id
                        self.kept.first_event = int(last)
                        self._begun.set()
                    while not self._deaf.is_set() and (told := heard.next()) is not None:
                        last = told.id
                        if told.name == "reset":
                            self.journal.breaks(f"events were missed: {told.data}")
                        else:
                            self.kept.heard.append(int(told.id))
                            self.last_told = (told.name, told.data["workspace-id"])
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                self.journal.failed(Failure(time.monotonic(), began, "events", f"GET events: {error!r}", is_unsent(error)))
            except httpx.TransportError:
                pass  # a stream that breaks off: whoever listens comes back
            except Exception:  # noqa: BLE001 - as above
                self.journal.breaks(f"the stream broke: {traceback.format_exc()}")
                return
            time.sleep(PAUSE_SECONDS)


def _workspace(patient: Patient) -> dict[str, Any]:
    """A new one. When the answer to an earlier try was lost, its name is taken, by us."""
    name = wire.fresh("replicas")
    answer = patient.ask("POST", f"{ORG}/workspaces", document("workspaces", name=name), bears=(422,))
    return dict(answer.json()["data"] if answer.is_success else patient.get(f"{ORG}/workspaces/{name}"))


def _variable(patient: Patient, workspace: str, key: str) -> str:
    """A new one with the value 0; likewise."""
    sent = document("vars", key=key, value="0", category="terraform")
    answer = patient.ask("POST", f"workspaces/{workspace}/vars", sent, bears=(422,))
    if answer.is_success:
        return str(answer.json()["data"]["id"])
    return next(str(each["id"]) for each in patient.get(f"workspaces/{workspace}/vars") if each["attributes"]["key"] == key)


def outputs(content: bytes) -> dict[str, Any]:
    """Of a state."""
    return {name: output["value"] for name, output in json.loads(content)["outputs"].items()}
