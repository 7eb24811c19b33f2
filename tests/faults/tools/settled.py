"""What a site says when all is over, held against all that it ever acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import asyncpg

from terrapod_core.live.kinds import KINDS
from tests.faults.tools.lane import frightening
from tests.faults.tools.load import Acknowledged, Kept, Load, Ran, outputs
from tests.faults.tools.patient import GivenUp, Patient
from tests.support.site import Site
from tests.support.wire import ORG
from tests.support.workspace import EVERY_OPERATION, OVER

COMMAND_SECONDS: Final = 300
AT_ONCE: Final = (
    "from datetime import timedelta; from terrapod_core.cli import main; from terrapod_core.storage import check; "
    "check.GRACE = timedelta(0); main()"
)
"""The program `terrapod`, to which an object without a name is an orphan also when it is younger than a day."""


def of_site(site: Site, load: Load) -> Iterator[str]:
    """Promises that are broken."""
    kept = load.kept
    with Patient(site, "truth", load.journal) as patient:
        try:
            yield from _of_settings(patient, kept)
            for state in kept.states:
                yield from _of_state(patient, state)
            if kept.states:
                yield from _of_current(patient, kept.states[-1])
            made = {workspace: _states_of(patient, workspace) for workspace in {each.workspace for each in kept.runs}}
            for run in kept.runs:
                yield from _of_run(patient, run, made[run.workspace].get(run.run))
            yield from _of_all_runs(patient, kept)
        except GivenUp as sentence:
            yield f"what was acknowledged cannot be read: {sentence}"
    yield from _of_events(site, kept)
    for replica in site.replicas:
        yield from (f"{replica.directory.name} said: {line}" for line in frightening(replica.said()))


def storage(site: Site) -> tuple[int, str]:
    """What `terrapod storage check --deep` ends with, and says."""
    return _command(site, "-c", AT_ONCE, "storage", "check", "--deep")


def audit(site: Site) -> tuple[int, str]:
    """What `terrapod audit verify` ends with, and says."""
    return _command(site, "-m", "terrapod_core", "audit", "verify")


def _command(site: Site, *words: str) -> tuple[int, str]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(site.directory), "LANG": "C.UTF-8"} | site.where
    command = [sys.executable, *words, "--data-dir", str(site.data)]
    done = subprocess.run(
        command, cwd=site.directory, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def _of_settings(patient: Patient, kept: Acknowledged) -> Iterator[str]:
    shown: dict[str, tuple[str, str]] = {}
    for workspace, name in kept.names.items():
        named = patient.get(f"{ORG}/workspaces/{name}")
        if named["id"] != workspace:
            yield f"the workspace {name} is {named['id']}, and was {workspace}"
        for each in patient.get(f"workspaces/{workspace}/vars"):
            shown[each["id"]] = each["attributes"]["key"], each["attributes"]["value"]
    for ident, value in kept.values.items():
        if shown.get(ident) != value:
            yield f"the variable {ident} is {shown.get(ident)}, and was acknowledged as {value}"


def _of_state(patient: Patient, kept: Kept) -> Iterator[str]:
    shown = patient.get(f"state-versions/{kept.version}")["attributes"]
    if (shown["serial"], shown["status"]) != (kept.serial, "finalized"):
        yield f"{kept.version} is {shown['status']} with the serial {shown['serial']}, and was acknowledged with {kept.serial}"
    content = patient.download(shown["hosted-state-download-url"])
    if hashlib.sha256(content).hexdigest() != kept.sha256:
        yield f"{kept.version} (serial {kept.serial}) has other bytes than were acknowledged"
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != kept.md5:
        yield f"{kept.version} (serial {kept.serial}) has another md5 than was acknowledged"


def _of_current(patient: Patient, newest: Kept) -> Iterator[str]:
    current = patient.get(f"workspaces/{newest.workspace}/current-state-version")
    if current["id"] != newest.version:
        yield f"the current state is {current['id']} (serial {current['attributes']['serial']}), and not {newest}"


def _of_run(patient: Patient, ran: Ran, link: str | None) -> Iterator[str]:
    """`link` leads to the state that the run made."""
    run = patient.get(f"runs/{ran.run}")["attributes"]
    if run["status"] != "applied":
        yield f"{ran.run} ended as {run['status']}: {run.get('error-message')}"
        return
    if link is None:
        yield f"{ran.run} is applied, and no state is its"
    elif outputs(patient.download(link)).get("key") != ran.key:
        yield f"the state of {ran.run} is not what it made"
    for phase in ("plan", "apply"):
        log = patient.download(patient.get(f"runs/{ran.run}/{phase}")["attributes"]["log-read-url"])
        if not (log.startswith(b"\x02") and log.endswith(b"\x03") and log.count(b"\x02") == log.count(b"\x03") == 1):
            yield f"the log of {ran.run}'s {phase} does not begin and end as one: {log[:40]!r}...{log[-200:]!r}"
        if not log.startswith(ran.seen.get(phase, b"")):
            yield f"the log of {ran.run}'s {phase} is another than was read while it grew"
        if phase == "apply" and any(log.count(f"line {each} of {ran.key}\n".encode()) != 1 for each in range(1, 7)):
            yield f"the log of {ran.run}'s apply does not tell each line once: {log!r}"


def _states_of(patient: Patient, workspace: str) -> dict[str, str]:
    """Links to the newest states of a workspace's runs, by the run."""
    name = patient.get(f"workspaces/{workspace}")["attributes"]["name"]
    filters: dict[str, Any] = {"filter[workspace][name]": name, "filter[organization][name]": "default", "page[size]": 100}
    links: dict[str, str] = {}
    for number in itertools.count(1):
        page = patient.get("state-versions", **filters, **{"page[number]": number})
        for each in page:
            run = each["relationships"]["run"]["data"]
            if run is not None:
                links.setdefault(run["id"], each["attributes"]["hosted-state-download-url"])
        if len(page) < filters["page[size]"]:
            break
    return links


def _of_all_runs(patient: Patient, kept: Acknowledged) -> Iterator[str]:
    """Also of those that nobody was told of."""
    for workspace in sorted({each.workspace for each in kept.runs}):
        for run in patient.get(f"workspaces/{workspace}/runs", **{"filter[operation]": EVERY_OPERATION, "page[size]": 100}):
            if run["attributes"]["status"] not in OVER:
                yield f"{run['id']} is {run['attributes']['status']} for ever"
        shown = patient.get(f"workspaces/{workspace}")["attributes"]
        conditions = [each for each in shown["conditions"] if each["run-id"] is not None]
        if shown["locked"] or conditions:
            yield f"the workspace {workspace} is locked: {shown['locked']}; its conditions: {json.dumps(conditions)}"


def _of_events(site: Site, kept: Acknowledged) -> Iterator[str]:
    heard = kept.heard
    if heard != sorted(set(heard)):
        twice = [each for each, times in Counter(heard).items() if times > 1]
        yield f"events were heard twice or out of order: {twice[:10]}"
    missed = sorted(set(asyncio.run(_told(site, kept.first_event, heard[-1]))) - set(heard))
    if missed:
        yield f"{len(missed)} events were told and not heard: {missed[:10]}"


async def _told(site: Site, after: int, up_to: int) -> list[int]:
    connection = await asyncpg.connect(site.where["TERRAPOD_DATABASE_URL"].replace("+asyncpg", ""))
    try:
        names = [kind.name() for kind in KINDS]
        statement = "SELECT id FROM told_events WHERE id > $1 AND id <= $2 AND event = ANY($3)"
        return [row["id"] for row in await connection.fetch(statement, after, up_to, names)]
    finally:
        await connection.close()
