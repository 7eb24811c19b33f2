"""Starts one Job per phase, and tells how it goes by what two watches have heard.

Nothing is kept here that a restart may not lose: a Job carries in its labels which launch it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod

from terrapod_core.plugin import Clock, Handle, LaunchFailed, LaunchPostponed, PhaseSpec, PhaseState, SettingsError
from terrapod_runner_kubernetes import manifests
from terrapod_runner_kubernetes.cluster import Away, Cluster, ClusterError, NotThere, Refused, matches
from terrapod_runner_kubernetes.settings import KubernetesRunnerSettings, is_service_account
from terrapod_runner_kubernetes.verdict import has_taken_its_order, judge, last_line
from terrapod_runner_kubernetes.watching import COLLECT_SECONDS, Pause, Watching

FIRST_LIST_SECONDS: Final = 2.0
"""How long the first question waits for the first list."""

OVERDUE: Final = timedelta(minutes=1)
"""A pod that is there this long after its node should have killed it has a node that does not answer."""


class KubernetesRunner:
    """A `RunnerBackend` of Jobs. Handles are `{"job", "phase", "epoch"}`."""

    def __init__(self, settings: KubernetesRunnerSettings, *, clock: Clock, log: logging.Logger) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        self._cluster = Cluster(settings)
        self._ours = manifests.ours(settings)
        self._watching: Watching | None = None
        self._pause = Pause()
        self._postponed: tuple[float, str] = (0.0, "")
        self._unheard: set[str] = set()
        self._taken: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return "kubernetes"

    @property
    def capacity(self) -> int:
        return self._settings.concurrency

    async def self_test(self) -> str | None:
        if self._settings.image is None:
            raise SettingsError("runner.kubernetes.image must name the runner image, for runner.backend is kubernetes")
        try:
            await self._cluster.jobs(self._ours)
            await self._cluster.pods(self._ours)
        except Refused as error:
            raise SettingsError(f"runner.kubernetes: {error}") from error
        except ClusterError as error:
            self._log.warning("runs wait for their cluster: %s", error)
        return None

    async def launch(self, phase: PhaseSpec) -> Handle:
        if self._settings.image is None:
            raise LaunchFailed("runner.kubernetes.image is not set")
        if _is_loopback(phase.url):
            raise LaunchFailed(f"a pod cannot reach this server at {phase.url}; set runner.url to an address that it can")
        if phase.service_account is not None:
            self._check_account(phase.service_account)
        until, why = self._postponed
        if asyncio.get_running_loop().time() < until:
            raise LaunchPostponed(why)
        try:
            for job in (await self._cluster.jobs({**self._ours, manifests.RUN: phase.run_id}))[0]:
                await self._end(_Launch.of_job(job))
                await self._drop_secret(str(job.metadata.name if job.metadata is not None else None))
            launch = await self._start(phase)
        except Away as error:
            self._postponed = asyncio.get_running_loop().time() + self._pause.next(), str(error)
            raise LaunchPostponed(str(error)) from error
        except ClusterError as error:
            raise LaunchFailed(str(error)) from error
        self._pause.reset()
        return launch.handle

    async def find(self, run_id: str, phase_id: str, epoch: int) -> Handle | None:
        try:
            job = await self._cluster.get_job(manifests.name_of(self._settings.instance, phase_id, epoch))
        except ClusterError:
            return None
        wanted = {**self._ours, **manifests.labels_of(run_id, phase_id, epoch)}
        return _Launch.of_job(job).handle if matches(job, wanted) else None

    async def poll(self, handle: Handle) -> PhaseState:
        launch = _Launch.of(handle)
        watching = await self._watched()
        if launch.name in self._unheard:
            await self._stop(launch)
        job = watching.jobs.known.get(launch.name)
        if job is not None:
            state = self._judge(job, [each for each in watching.pods.known.values() if matches(each, launch.labels)])
            if state.running:
                detail = state.detail if watching.trouble is None else f"{state.detail} when last heard of: {watching.trouble}"
                return PhaseState(True, detail, waiting=state.waiting)
        if watching.trouble is not None and not watching.is_listed:
            # It would be asked in vain for each phase in turn, and each time that takes.
            return PhaseState(True, f"not known: {watching.trouble}")
        # What the watches have not heard yet must not count as gone.
        return await self._look(launch)

    async def cancel(self, handle: Handle, *, force: bool) -> None:
        launch = _Launch.of(handle)
        if not (await self.poll(handle)).running:
            return
        await self._stop(launch)
        if force:
            try:
                await self._kill(launch)
            except ClusterError as error:
                self._log.warning("a pod is killed when this is asked again: %s", error)

    async def forget(self, handle: Handle) -> None:
        try:
            await self._end(_Launch.of(handle))
        except ClusterError as error:
            self._log.warning("a Job stays until it is collected: %s", error)

    async def close(self) -> None:
        """Watch no longer. Jobs go on."""
        if self._watching is not None:
            await self._watching.end()
        await self._cluster.close()

    # -- starting

    def _check_account(self, name: str) -> None:
        """Raise `LaunchFailed` for a service account that no pod may have."""
        if not is_service_account(name):
            raise LaunchFailed(f"the agent pool's service-account-name {name!r} is no name of a service account")
        allowed = self._settings.service_accounts
        if allowed and name not in allowed:
            raise LaunchFailed(f"runner.kubernetes.service_accounts does not allow the agent pool's service-account-name {name}")

    async def _start(self, phase: PhaseSpec) -> _Launch:
        made = await self._cluster.create_job(manifests.job(phase, self._settings))
        launch = _Launch.of_job(made)
        assert made.metadata is not None, "what was created has its metadata"
        try:
            owner = {"name": launch.name, "uid": str(made.metadata.uid)}
            await self._cluster.create_secret(manifests.secret(phase, self._settings, owner))
            job = await self._cluster.suspend_job(launch.name, suspend=False)
        except ClusterError:
            await self.forget(launch.handle)
            raise
        (await self._watched()).jobs.known.setdefault(launch.name, job)
        return launch

    async def _watched(self) -> Watching:
        if self._watching is None:
            self._watching = Watching(self._cluster, self._ours, self._log, self._pod_changed, self._collect)
        self._watching.begin()
        try:
            async with asyncio.timeout(FIRST_LIST_SECONDS if self._watching.trouble is None else 0):
                await self._watching.jobs.listed.wait()
                await self._watching.pods.listed.wait()
        except TimeoutError:
            self._log.debug("the cluster has not answered the first question yet")
        return self._watching

    # -- looking

    def _judge(self, job: Job, pods: Sequence[Pod]) -> PhaseState:
        return judge(job, pods, self._clock.now(), self._settings.start_seconds)

    async def _look(self, launch: _Launch) -> PhaseState:
        """Ask the cluster itself."""
        try:
            job = await self._cluster.get_job(launch.name)
            pods, _ = await self._cluster.pods({**self._ours, **launch.labels})
        except NotThere:
            return PhaseState(False, "the cluster has no such Job any more")
        except ClusterError as error:
            return PhaseState(True, f"not known: {error}")
        state = self._judge(job, pods)
        return state if state.running else PhaseState(False, await self._explain(state.detail, launch, pods))

    async def _explain(self, detail: str, launch: _Launch, pods: Sequence[Pod]) -> str:
        """Add what events or the program's own last words say, where the objects themselves say too little."""
        try:
            if not pods and detail != "stopped":
                warnings = await self._cluster.warnings(launch.name)
                return f"{detail}; {last_line(warnings[-1])}" if warnings else detail
            if detail.rpartition(" ")[0].endswith("ended with exit code"):
                line = last_line(await self._cluster.log(_name(pods[-1]), manifests.CONTAINER))
                return f"{detail}: {line}" if line else detail
        except ClusterError as error:
            self._log.debug("the end of %s is not explained: %s", launch.name, error)
        return detail

    # -- ending

    async def _stop(self, launch: _Launch) -> None:
        """Tell it to stop, in its own time; if the cluster does not hear, `poll` tells it again."""
        try:
            await self._cluster.suspend_job(launch.name, suspend=True)
        except NotThere:
            self._log.debug("%s is gone already", launch.name)
        except ClusterError as error:
            if launch.name not in self._unheard:
                self._log.warning("a Job is told to stop later: %s", error)
            self._unheard.add(launch.name)
            return
        self._unheard.discard(launch.name)

    async def _kill(self, launch: _Launch) -> None:
        pods, _ = await self._cluster.pods({**self._ours, **launch.labels})
        for pod in pods:
            leaves = pod.metadata.deletionTimestamp if pod.metadata is not None else None
            overdue = leaves is not None and self._clock.now() - leaves > OVERDUE
            await self._delete_pod(pod, 0 if overdue else self._settings.force_seconds)

    async def _end(self, launch: _Launch) -> None:
        """Remove a Job and what belongs to it; a pod that still runs is told to stop and killed soon."""
        pods, _ = await self._cluster.pods({**self._ours, **launch.labels})
        try:
            await self._cluster.delete_job(launch.name)
        except NotThere:
            self._log.debug("%s is gone already", launch.name)
        for pod in pods:
            await self._delete_pod(pod, self._settings.force_seconds)
        self._unheard.discard(launch.name)
        if self._watching is not None:
            self._watching.jobs.known.pop(launch.name, None)

    async def _delete_pod(self, pod: Pod, seconds: int) -> None:
        try:
            await self._cluster.delete_pod(_name(pod), seconds=seconds)
        except NotThere:
            self._log.debug("%s is gone already", _name(pod))

    # -- tidying up

    def _pod_changed(self, pod: Pod) -> None:
        """Delete the Secret as soon as the program has it: neither terraform's service account nor a second pod finds one."""
        labels = (pod.metadata.labels if pod.metadata is not None else None) or {}
        if not has_taken_its_order(pod) or manifests.PHASE not in labels:
            return
        name = manifests.name_of(self._settings.instance, labels[manifests.PHASE], int(labels[manifests.EPOCH]))
        if name not in self._taken:
            self._taken.add(name)
            task = asyncio.create_task(self._drop_secret(name), name=f"drop-{name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _drop_secret(self, name: str) -> None:
        try:
            await self._cluster.delete_secret(name)
        except NotThere:
            self._log.debug("the Secret %s is gone already", name)
        except ClusterError as error:
            self._log.warning("the Secret %s stays as long as its Job: %s", name, error)
            self._taken.discard(name)

    async def _collect(self) -> None:
        """Remove Jobs that ended and that nobody forgot: the cluster does not remove those that were stopped."""
        assert self._watching is not None, "what was watched is collected"
        pods = list(self._watching.pods.known.values())
        old = max(self._settings.keep_seconds, COLLECT_SECONDS)
        for job in list(self._watching.jobs.known.values()):
            launch = _Launch.of_job(job)
            over = not self._judge(job, [each for each in pods if matches(each, launch.labels)]).running
            changed = _last_change(job)
            if over and changed is not None and (self._clock.now() - changed).total_seconds() > old:
                await self.forget(launch.handle)
        self._taken &= set(self._watching.jobs.known)


@dataclass(frozen=True)
class _Launch:
    """A handle, read."""

    name: str
    phase_id: str
    epoch: int

    @classmethod
    def of(cls, handle: Handle) -> _Launch:
        """`ValueError` for a handle that this backend did not make."""
        name, phase_id, epoch = handle.get("job"), handle.get("phase"), handle.get("epoch")
        if not (isinstance(name, str) and isinstance(phase_id, str) and isinstance(epoch, int)):
            raise ValueError("this is no handle of the Kubernetes runner: it needs job, phase and epoch")
        return cls(name, phase_id, epoch)

    @classmethod
    def of_job(cls, job: Job) -> _Launch:
        assert job.metadata is not None, "whatever the cluster keeps has metadata"
        labels = job.metadata.labels or {}
        return cls(str(job.metadata.name), labels[manifests.PHASE], int(labels[manifests.EPOCH]))

    @property
    def handle(self) -> Handle:
        return {"job": self.name, "phase": self.phase_id, "epoch": self.epoch}

    @property
    def labels(self) -> dict[str, str]:
        """By which its pods are known."""
        return {manifests.PHASE: self.phase_id, manifests.EPOCH: str(self.epoch)}


def _name(pod: Pod) -> str:
    return str(pod.metadata.name if pod.metadata is not None else None)


def _last_change(job: Job) -> datetime | None:
    """When a Job last became something else."""
    moments = [each.lastTransitionTime for each in (job.status.conditions if job.status is not None else None) or ()]
    known = [each for each in (*moments, job.metadata.creationTimestamp if job.metadata is not None else None) if each is not None]
    return max(known, default=None)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
