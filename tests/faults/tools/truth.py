"""What must be true when everything has settled, whatever happened before: each function gives the sentences that are not."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

from terrapod_core.states import divergence
from tests.faults.tools.experiments import Deed, Experiment, Fault, Kind, Victim
from tests.faults.tools.lane import Lane
from tests.faults.tools.witness import Story, Witness

LOSES_RUNNER = (Victim.RUNNER, Victim.MACHINE, Victim.EVERYTHING, Victim.LISTENERS_MACHINE)
COMES_BACK = (Victim.SERVER, Victim.DATABASE, Victim.LISTENER)
"""Whose absence costs nothing, however long it lasts."""
TIDY_SECONDS = 60.0
"""A runner that was lost gets ten seconds for its terraform, and some for its state."""


def of_run(lane: Lane, experiment: Experiment, run_id: str, status: str | None, story: Story) -> list[str]:
    """Everything that can be asked of one run that is over."""
    if status is None:
        return ["it does not end"]
    run = lane.ask("GET", f"runs/{run_id}")["attributes"]
    phases = {phase: lane.ask("GET", f"runs/{run_id}/{phase}")["attributes"]["status"] for phase in ("plan", "apply")}
    actions = [event["attributes"]["action"] for event in lane.listing(f"runs/{run_id}/run-events")]
    begun = "applying" in actions
    return [
        *_of_status(experiment, run, begun=begun),
        *_of_resources(experiment, status, phases, story),
        *_of_plans(story, retried=actions.count("retried")),
        *(_of_state(lane, experiment, run_id) if status == "applied" else ()),
        *(sentence for phase in phases for sentence in _of_log(lane, experiment, run_id, phase, phases[phase])),
        *_of_workspace(lane, experiment, run_id, status, begun=begun),
        *_of_acknowledged(lane, run_id),
        *_of_leavings(lane, run_id, run["error-message"] or ""),
        *lane.standing(),
    ]


def of_lane(lane: Lane, ended: dict[str, str]) -> list[str]:
    """What must still be true at the very end: no run has moved, no state is lost, the server said nothing that frightens."""
    found = [f"{run_id} was {status} and is {now}" for run_id, status in ended.items() if (now := lane.status(run_id)) != status]
    for run_id in ended:
        found += _of_acknowledged(lane, run_id)
    return [*found, *lane.alarms()]


def _promised(experiment: Experiment, *, begun: bool) -> bool:
    """Whether the run has to end well: nobody was hit who cannot be replaced. `begun` is whether a runner had claimed the apply."""
    fault: Fault = experiment.fault
    if fault.victim in COMES_BACK or fault.deed is Deed.STOP:
        return True
    if fault.victim is Victim.NETWORK and not fault.is_long:
        return True
    if fault.victim is Victim.TERRAFORM:
        return fault.deed is not Deed.KILL
    return not begun  # a plan whose runner is lost is made again, and an apply that nobody had claimed is launched again


def _of_status(experiment: Experiment, run: dict[str, Any], *, begun: bool) -> Iterator[str]:
    well = "planned_and_finished" if experiment.kind is Kind.PLAN else "applied"
    if run["status"] not in (well, "errored"):
        yield f"it is {run['status']}, which nobody asked for"
    elif run["status"] == "errored":
        if not run["error-message"]:
            yield "it is errored, and does not say why"
        if _promised(experiment, begun=begun):
            yield f"it is errored, although everything that was hit came back: {run['error-message']}"


def _of_resources(experiment: Experiment, status: str, phases: dict[str, str], story: Story) -> Iterator[str]:
    for name, times in story.made.items():
        if times > 1:
            yield f"{name} was made {times} times"
    if status == "applied" and set(story.made) != set(experiment.names):
        yield f"it is applied, and {sorted(set(experiment.names) - set(story.made))} were never made"
    if story.made and (experiment.kind is Kind.PLAN or phases["apply"] == "unreachable"):
        yield f"nothing was to be made, and {sorted(story.made)} were"


def _of_plans(story: Story, *, retried: int) -> Iterator[str]:
    if story.plans > 1 + retried:
        yield f"it was planned {story.plans} times, and a lease was over {retried} times"


def _of_state(lane: Lane, experiment: Experiment, run_id: str) -> Iterator[str]:
    current = lane.ask("GET", f"workspaces/{lane.workspace}/current-state-version")
    if current["relationships"]["run"]["data"]["id"] != run_id:
        yield f"the current state is of {current['relationships']['run']['data']['id']}"
    made = {}
    for resource in json.loads(lane.download(current["id"]))["resources"]:
        if resource["mode"] == "managed":
            instance = resource["instances"][0]
            made[resource["name"]] = instance.get("status") or instance["attributes"]["triggers_replace"]["value"]
    if made != dict.fromkeys(experiment.names, experiment.key):
        yield f"the state has {made}"


def _of_log(lane: Lane, experiment: Experiment, run_id: str, phase: str, status: str) -> Iterator[str]:
    text = lane.log(run_id, phase)
    if not text and status in ("unreachable", "canceled"):
        return
    if not (text.startswith(b"\x02") and text.endswith(b"\x03") and text.count(b"\x02") == text.count(b"\x03") == 1):
        yield f"the log of its {phase} does not begin and end as one: {text[:40]!r}...{text[-200:]!r}"
    if phase == "apply" and status == "finished":
        for name in experiment.names:
            if (times := text.count(Witness.answer(experiment.key, name).encode())) != 1:
                yield f"the log of its apply tells {times} times what {name} printed"


def _of_workspace(lane: Lane, experiment: Experiment, run_id: str, status: str, *, begun: bool) -> Iterator[str]:
    workspace = lane.ask("GET", f"workspaces/{lane.workspace}")["attributes"]
    ours = [condition for condition in workspace["conditions"] if condition["run-id"] == run_id]
    if workspace["locked"] and not any(re.search(r"\b(un)?lock", f"{each['detail']} {each['remedy']}") for each in ours):
        yield f"the workspace is locked, and no condition says why: {workspace['conditions']}"
    diverged = any(each["code"] == divergence.CODE for each in ours)
    fault = experiment.fault
    lost = (fault.victim in LOSES_RUNNER and fault.deed is not Deed.STOP) or (fault.victim is Victim.NETWORK and fault.is_long)
    if status == "errored" and begun and lost and not diverged:
        yield "its apply was lost, and the workspace carries no condition that says so"
    if status != "errored" and diverged:
        yield f"it is {status}, and the workspace's condition says that its state may lack something"


def _of_acknowledged(lane: Lane, run_id: str) -> Iterator[str]:
    for entry in lane.acknowledged():
        if entry["run"] == run_id:
            raw = lane.download(entry["version"])
            if hashlib.sha256(raw).hexdigest() != entry["sha256"]:
                yield f"the state {entry['version']} (serial {entry['serial']}) is not what was acknowledged"


def _of_leavings(lane: Lane, run_id: str, message: str) -> Iterator[str]:
    end = time.monotonic() + TIDY_SECONDS
    while (left := lane.left(run_id)) and "undelivered" not in message:
        if time.monotonic() > end:
            yield f"it left {', '.join(left)}"
            return
        time.sleep(0.1)
