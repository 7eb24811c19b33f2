"""What a Job and its pod say about a phase, in words for people. Pure: nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from lightkube.models.core_v1 import ContainerStateTerminated, ContainerStatus
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod

from terrapod_core.plugin import PhaseState
from terrapod_runner_kubernetes.manifests import CONTAINER

HOPELESS: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
"""Reasons for which a container waits in vain."""

WORDS: Final = 300


def judge(job: Job, pods: Sequence[Pod], now: datetime, start_seconds: int) -> PhaseState:
    """Whether the phase runs, and how it is or was. `pods` are those of this Job."""
    pod = max(pods, key=lambda each: str(each.metadata.creationTimestamp if each.metadata else ""), default=None)
    if _condition(job, "Complete") is not None or _condition(job, "Failed") is not None or _phase(pod) in ("Succeeded", "Failed"):
        return PhaseState(False, _ending(job, pod))
    if pod is None and job.spec is not None and job.spec.suspend:
        return PhaseState(False, "stopped")
    if pod is not None and _has_begun(pod):
        return PhaseState(True, "running" if pod.metadata is None or pod.metadata.deletionTimestamp is None else "stopping")
    reason, hopeless = _waits_for(pod)
    made = job.metadata.creationTimestamp if job.metadata is not None else None
    if hopeless:
        return PhaseState(False, f"it cannot begin: {reason}")
    if made is not None and (now - made).total_seconds() > start_seconds:
        return PhaseState(False, f"it did not begin within {start_seconds} seconds: {reason}")
    return PhaseState(True, f"waits: {reason}", waiting=True)


def has_taken_its_order(pod: Pod) -> bool:
    """Whether the pod needs its Secret no more."""
    return _phase(pod) in ("Succeeded", "Failed") or _has_begun(pod)


def last_line(text: str | None) -> str:
    """The last line that says something."""
    return next((line.strip()[:WORDS] for line in reversed((text or "").splitlines()) if line.strip()), "")


def _phase(pod: Pod | None) -> str | None:
    return pod.status.phase if pod is not None and pod.status is not None else None


def _condition(job: Job, kind: str) -> tuple[str, str] | None:
    """Reason and message of a condition that holds."""
    for each in (job.status.conditions if job.status is not None else None) or ():
        if each.type == kind and each.status == "True":
            return each.reason or "", each.message or ""
    return None


def _statuses(pod: Pod) -> Iterable[ContainerStatus]:
    if pod.status is not None:
        yield from pod.status.initContainerStatuses or ()
        yield from pod.status.containerStatuses or ()


def _has_begun(pod: Pod) -> bool:
    return any(
        status.name == CONTAINER and status.state is not None and (status.state.running is not None or status.state.terminated is not None)
        for status in _statuses(pod)
    )


def _waits_for(pod: Pod | None) -> tuple[str, bool]:
    """Why it has not begun, in the cluster's own words, and whether it never will."""
    if pod is None:
        return "the cluster has made no pod for it", False
    for condition in (pod.status.conditions if pod.status is not None else None) or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"not scheduled: {condition.message or condition.reason}"[:WORDS], False
    for status in _statuses(pod):
        waiting = status.state.waiting if status.state is not None else None
        if waiting is not None and waiting.reason not in (None, "PodInitializing", "ContainerCreating"):
            return f"{waiting.reason}: {waiting.message or 'no word why'}"[:WORDS], waiting.reason in HOPELESS
        ended = status.state.terminated if status.state is not None else None
        if ended is not None and ended.exitCode != 0:
            return f"its first container failed: {last_line(ended.message) or ended.reason}", True
    return "its node makes it ready", False


def _ending(job: Job, pod: Pod | None) -> str:
    told = _told_by_pod(pod) if pod is not None else []
    failed = _condition(job, "Failed")
    if failed is not None and failed[0] not in ("PodFailurePolicy", "BackoffLimitExceeded"):
        told.insert(0, f"{failed[0]}: {failed[1]}")
    if not told:
        return "ended" if failed is None else f"ended: {failed[1]}"
    return "; ".join(told)[:WORDS]


def _told_by_pod(pod: Pod) -> list[str]:
    status = pod.status
    told = [
        f"the cluster took its place away ({each.reason}): {each.message}"
        for each in (status.conditions if status is not None else None) or ()
        if each.type == "DisruptionTarget" and each.status == "True"
    ]
    if status is not None and status.reason is not None:
        told.append(f"{status.reason}: {status.message}")
    ended = [each.state.terminated for each in _statuses(pod) if each.state is not None and each.state.terminated is not None]
    return told + [_end_of(each) for each in ended if each.exitCode != 0]


def _end_of(ended: ContainerStateTerminated) -> str:
    if ended.reason == "OOMKilled":
        return "killed: it took more memory than resource-memory allows"
    line = last_line(ended.message)
    return f"ended with exit code {ended.exitCode}" + (f": {line}" if line else "")
