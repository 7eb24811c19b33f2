"""What Jobs and pods say about a phase, in the shapes that the cluster's documentation gives them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod

from terrapod_core.plugin import PhaseState
from terrapod_runner_kubernetes.verdict import judge, last_line

MADE = datetime(2026, 11, 1, 12, tzinfo=UTC)
FAILED = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}


def job(*conditions: dict[str, Any], suspend: bool = False) -> Job:
    metadata = {"name": "j", "creationTimestamp": MADE.isoformat()}
    spec = {"suspend": suspend, "template": {}}
    return cast("Job", Job.from_dict({"metadata": metadata, "spec": spec, "status": {"conditions": list(conditions)}}))


def pod(phase: str, state: dict[str, Any] | None = None, *, name: str = "runner", deleted: bool = False, **status: Any) -> Pod:
    shown = {"name": name, "image": "i", "imageID": "", "ready": True, "restartCount": 0, "state": state or {}}
    kind = "containerStatuses" if name == "runner" else "initContainerStatuses"
    metadata = {"name": "p", **({"deletionTimestamp": MADE.isoformat()} if deleted else {})}
    return cast(
        "Pod", Pod.from_dict({"metadata": metadata, "status": {"phase": phase, kind: [shown] if state is not None else [], **status}})
    )


def said(job: Job, *pods: Pod, seconds: int = 10) -> PhaseState:
    return judge(job, pods, MADE + timedelta(seconds=seconds), 900)


def ended(code: int, **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, **more}}


DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "preempting to accommodate a pod"}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
POLICY = {**FAILED, "reason": "PodFailurePolicy", "message": "Pod p has condition DisruptionTarget matching FailJob rule"}
DEADLINE = {**FAILED, "reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}
UNREADY = {"type": "Complete", "status": "False"}


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        (said(job(), pod("Running", {"running": {}})), "running"),
        (said(job(UNREADY), pod("Running", {"running": {}})), "running"),
        (said(job(), pod("Unknown", {"running": {}})), "running"),
        (said(job(suspend=True), pod("Running", {"running": {}}, deleted=True)), "stopping"),
        (said(job(), pod("Running", {"running": {}}), seconds=90_000), "running"),
    ],
)
def test_a_program_that_runs(state: PhaseState, detail: str) -> None:
    assert state == PhaseState(True, detail)


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        (said(job()), "waits: the cluster has made no pod for it"),
        (said(job(), pod("Pending")), "waits: its node makes it ready"),
        (said(job(), pod("Pending", conditions=[UNSCHEDULED])), "waits: not scheduled: 0/3 nodes are available"),
        (said(job(), pod("Pending", {"waiting": {"reason": "PodInitializing"}})), "waits: its node makes it ready"),
        (
            said(job(), pod("Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}, name="order")),
            "waits: ImagePullBackOff: not found",
        ),
    ],
)
def test_a_program_that_waits(state: PhaseState, detail: str) -> None:
    assert state == PhaseState(True, detail, waiting=True)


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        (said(job({"type": "Complete", "status": "True"}), pod("Succeeded", ended(0))), "ended"),
        (said(job(), pod("Succeeded", ended(0))), "ended"),
        (said(job(suspend=True)), "stopped"),
        (said(job(FAILED), pod("Failed", ended(4, message="a\nrefused\n"))), "ended with exit code 4: refused"),
        (said(job(FAILED), pod("Failed", ended(137, reason="OOMKilled"))), "killed: it took more memory than resource-memory allows"),
        (said(job(FAILED)), "ended: Job has reached the specified backoff limit"),
        (
            said(job(POLICY), pod("Failed", ended(0), conditions=[DISRUPTED])),
            "the cluster took its place away (PreemptionByScheduler): preempting to accommodate a pod",
        ),
        (
            said(job(FAILED), pod("Failed", ended(137), reason="Evicted", message="The node was low on resource: memory.")),
            "Evicted: The node was low on resource: memory.; ended with exit code 137",
        ),
        (
            said(job(DEADLINE), pod("Failed", ended(143))),
            "DeadlineExceeded: Job was active longer than specified deadline; ended with exit code 143",
        ),
        (
            said(job(), pod("Pending", {"waiting": {"reason": "InvalidImageName", "message": "couldn't parse"}})),
            "it cannot begin: InvalidImageName: couldn't parse",
        ),
        (
            said(job(), pod("Pending", ended(1, message="cp: no such file"), name="order")),
            "it cannot begin: its first container failed: cp: no such file",
        ),
        (
            said(job(), pod("Pending", conditions=[UNSCHEDULED]), seconds=901),
            "it did not begin within 900 seconds: not scheduled: 0/3 nodes are available",
        ),
    ],
)
def test_a_program_that_is_over(state: PhaseState, detail: str) -> None:
    assert state == PhaseState(False, detail)


def test_words_of_others_are_cut() -> None:
    long = said(job(), pod("Pending", conditions=[{**UNSCHEDULED, "message": "x" * 5000}]))
    assert len(long.detail) < 320
    assert last_line("a\n" + "y" * 5000) == "y" * 300
    assert last_line(None) == ""
